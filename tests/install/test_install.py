"""What `cmake --install` gives is enough to build a program that uses Tandem."""

import pathlib
import shutil
import subprocess

import pytest
import requests

from support.process import ROOT, Server
from support.wait import wait_until

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


class App(Server):
    """The installed program's user."""

    name = "app"

    def __init__(self, directory, port):
        super().__init__(directory)
        self.port = port

    def command(self):
        return [self.directory / "app"]

    def wait_ready(self):
        wait_until(lambda: not self.running or "listening" in self.log_text(), 20, "the app listening")
        self.check_running()


def test_a_five_line_app_builds_against_the_installed_package_and_serves(prefix, tmp_path, keep, port):
    source = tmp_path / "source"
    shutil.copytree(APP, source)
    main = source / "main.cc"
    main.write_text(main.read_text().replace(":8000", f":{port}"))
    run("cmake", "-G", "Ninja", "-S", source, "-B", tmp_path, "-DCMAKE_CXX_COMPILER=clang++-19",
        "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path)
    app = keep(App(tmp_path, port)).start()
    assert requests.get(f"http://127.0.0.1:{port}/hello/you", timeout=10).text == "Hello, you!\n"
    assert app.stop() == 0


def test_no_header_is_installed_that_only_tests_need(prefix):
    names = [p.name for p in (prefix / "include").rglob("*.h")]
    assert "error.h" in names
    assert [n for n in names if n.endswith(("_test.h", "_bench.h"))] == []
