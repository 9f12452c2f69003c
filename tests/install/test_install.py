"""What `cmake --install` gives is enough to build a program that uses Tandem."""

import pathlib
import subprocess

import pytest

from support.process import ROOT

APP = pathlib.Path(__file__).resolve().parent / "app"


def run(*command):
    told = subprocess.run([str(c) for c in command], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert told.returncode == 0, f"{' '.join(str(c) for c in command)}\n{told.stdout[-4000:]}{told.stderr[-4000:]}"
    return told.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """A directory into which Tandem is installed."""
    where = tmp_path_factory.mktemp("prefix")
    run("cmake", "--install", "build/release", "--prefix", where)
    return where


def test_a_program_builds_against_the_installed_package(prefix, tmp_path):
    run("cmake", "-G", "Ninja", "-S", APP, "-B", tmp_path, "-DCMAKE_CXX_COMPILER=clang++-19",
        "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path)
    assert run(tmp_path / "app").strip() == "no such order"


def test_no_header_is_installed_that_only_tests_need(prefix):
    names = [p.name for p in (prefix / "include").rglob("*.h")]
    assert "error.h" in names
    assert [n for n in names if n.endswith(("_test.h", "_bench.h"))] == []
