"""clang-tidy over every source of tandem/ (the reasons for its checks are in .clang-tidy), and every public header
compiled alone. Both remember what was clean by the contents that went in, so that only what changed is looked at again."""

import concurrent.futures
import functools
import hashlib
import json
import shlex
import subprocess

import pytest

from support import source

AT_ONCE = 2
CACHE = source.ROOT / "build" / "tidy-cache"
COMPILE_COMMANDS = source.ROOT / "build" / "release" / "compile_commands.json"

# Tests are left out: the sanitizers run them, and a lambda coroutine that captures is fine where it is awaited at once.
SOURCES = [p for p in source.files(".cc") if source.module(p) and not source.is_test(p)]
HEADERS = [p for p in source.files(".h") if source.is_public_header(p)]


@functools.cache
def compile_commands():
    assert COMPILE_COMMANDS.exists(), f"{COMPILE_COMMANDS} is missing: configure the preset release (./test tidy does)"
    commands = {}
    for entry in json.loads(COMPILE_COMMANDS.read_text()):
        path = entry["file"].removeprefix(f"{source.ROOT}/")
        commands[path] = shlex.split(entry["command"])
    return commands


def plain_flags(path):
    """The compiler's flags for `path` without the launcher, input and output, and without the precompiled header, which
    only the very compiler that wrote it can read. Without it the headers a file forgot would not be found, so its text
    is included instead. Returns (flags, the precompiled header's text)."""
    command = compile_commands()[path]
    start = next(i for i, word in enumerate(command) if word.endswith("clang++-19"))
    flags, prefix_header = [], []
    words = iter(command[start + 1:])
    for word in words:
        if word == "-Xclang":
            value = next(words)
            if value.endswith("cmake_pch.hxx"):
                prefix_header = ["-include", value]
        elif word in ("-o", "-MF", "-MT", "-MQ"):
            next(words)
        elif word not in ("-c", "-MD", "-Winvalid-pch") and word != str(source.ROOT / path):
            flags.append(word)
    return flags, prefix_header


def remembered(path, command):
    """The output of `command`, which looks at `path`; an empty one is remembered until an input changes."""
    key = hashlib.sha256(shlex.join(command).replace(str(source.ROOT), "").encode())
    for name in [path, *sorted(source.own_headers(path)), ".clang-tidy", "cmake/pch.h"]:
        key.update(name.encode() + b"\0" + source.text(name).encode() + b"\0")
    mark = CACHE / key.hexdigest()
    if mark.exists():
        return ""
    told = subprocess.run(command, cwd=source.ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if told.returncode == 0:
        CACHE.mkdir(parents=True, exist_ok=True)
        mark.touch()
        return ""
    said = [line for line in (told.stdout + told.stderr).splitlines() if not line.endswith("warnings generated.")]
    return "\n".join(said) or f"exited with {told.returncode}"


def clang_tidy(path):
    if path not in compile_commands():
        return f"{path} is not built by the preset release"
    flags, prefix_header = plain_flags(path)
    return remembered(path, ["clang-tidy-19", "--quiet", "--warnings-as-errors=*", path, "--", *flags, *prefix_header,
                             "-Wno-unknown-warning-option"])


def compile_alone(path):
    """A user includes it first and has no precompiled header."""
    built = [p for p in SOURCES if p in compile_commands()]
    neighbour = next((p for p in built if source.module(p) == source.module(path)), built[0])
    flags, _ = plain_flags(neighbour)
    return remembered(path, ["clang++-19", *flags, "-fsyntax-only", "-Wno-pragma-once-outside-header", "-x", "c++",
                             path])


@pytest.fixture(scope="module")
def answers():
    """answers(function, path): what the function says, worked out ahead by a few threads."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = {(f, p): pool.submit(f, p) for f, paths in ((clang_tidy, SOURCES), (compile_alone, HEADERS))
                for p in paths}
        yield lambda function, path: jobs[function, path].result()
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("path", SOURCES)
def test_clang_tidy(answers, path):
    told = answers(clang_tidy, path)
    if told:
        pytest.fail(told, pytrace=False)


@pytest.mark.parametrize("path", HEADERS)
def test_header_compiles_alone(answers, path):
    told = answers(compile_alone, path)
    if told:
        pytest.fail(told, pytrace=False)
