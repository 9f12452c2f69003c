"""The repository's own files, read as text: what the tidy check looks at."""

import functools
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<][^">]+[">])', re.M)


@functools.cache
def files(*suffixes):
    """Paths relative to the root of all files that are tracked, or new and not ignored; with `suffixes` only those
    that end in one of them."""
    # safe.directory: in a container the checkout often belongs to another user.
    listing = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others",
                              "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = [p for p in sorted(set(listing.splitlines())) if (ROOT / p).is_file()]
    return [p for p in paths if not suffixes or p.endswith(suffixes)]


@functools.cache
def text(path):
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


def cpp_files():
    return files(".h", ".cc")


def is_test(path):
    """Code that is not part of a library or a program."""
    return path.endswith(("_test.cc", "_bench.cc", "_fuzz.cc", "_test.h")) or path.startswith(("tests/", "bench/"))


def module(path):
    """"http" for tandem/http/…; None outside tandem/."""
    parts = path.split("/")
    return parts[1] if parts[0] == "tandem" and len(parts) > 2 else None


def is_public_header(path):
    return path.endswith(".h") and module(path) is not None and "/detail/" not in path and not is_test(path)


@functools.cache
def includes(path):
    """[(line number, what is included without its quotes or brackets)]"""
    source = text(path)
    return [(source.count("\n", 0, m.start()) + 1, m.group(1)[1:-1]) for m in INCLUDE.finditer(source)]


@functools.cache
def own_headers(path):
    """The headers of the repository that `path` includes, directly or through others."""
    known = set(files(".h"))
    found, left = set(), [path]
    while left:
        current = left.pop()
        for _, name in includes(current):
            beside = str(pathlib.PurePosixPath(current).parent / name)
            for candidate in (name, beside):
                if candidate in known and candidate not in found:
                    found.add(candidate)
                    left.append(candidate)
    return frozenset(found)


_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/'                                   # comments
    r'|R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)"'  # raw strings
    r'|"(?:\\.|[^"\\\n])*"'                                 # strings
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",                # characters, but not 1'000
    re.S)


@functools.cache
def code(path):
    """The C++ source with comments, strings and preprocessor lines blanked out; line numbers stay."""

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())

    without_text = _TOKEN.sub(lambda m: blank(m) if m.group()[0] == "/" else '""' + blank(m)[2:], text(path))
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, without_text, flags=re.M)


def report(problems):
    """Fails with every problem on a line of its own."""
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
