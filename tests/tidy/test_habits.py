"""House habits that a program can check. What each wants is in CONTRIBUTING.md."""

import ast
import pathlib
import re
import subprocess

from support import source
from support.functions import functions

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 700
NOTE_WORDS_MIN = 5

CODE_FILES = (".h", ".cc", ".py", ".cmake", "CMakeLists.txt")


def elsewhere(*suffixes):
    """Code outside the tidy check, which has to name what it forbids."""
    return [p for p in source.files(*suffixes) if not p.startswith("tests/tidy/")]


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def test_clang_format_has_nothing_to_say():
    checked = subprocess.run(["clang-format-19", "--dry-run", "-Werror", "--ferror-limit=1", *source.cpp_files()],
                             cwd=source.ROOT, capture_output=True, text=True)
    wrong = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", checked.stderr, re.M)))
    assert checked.returncode == 0, f"run: clang-format-19 -i {' '.join(wrong)}\n{checked.stderr[:2000]}"


def test_a_long_function_says_why():
    problems = []
    for path in source.cpp_files():
        lines = source.text(path).splitlines()
        for first, last, header in functions(source.code(path)):
            around = "\n".join(lines[max(0, first - 4):last])
            if last - first + 1 > FUNCTION_LINES_MAX and "// Long because" not in around:
                problems.append(f"{path}:{first}: {last - first + 1} lines (of {FUNCTION_LINES_MAX}): {header[:80]}")
    for path in source.files(".py"):
        lines = source.text(path).splitlines()
        for node in ast.walk(ast.parse(source.text(path))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                around = "\n".join(lines[max(0, node.lineno - 4):node.end_lineno])
                length = node.end_lineno - node.lineno + 1
                if length > FUNCTION_LINES_MAX and "# Long because" not in around:
                    problems.append(f"{path}:{node.lineno}: {length} lines (of {FUNCTION_LINES_MAX}): {node.name}")
    source.report(problems)


def test_a_long_file_says_why():
    problems = []
    for path in source.files(".h", ".cc", ".py"):
        count = source.text(path).count("\n")
        if count > FILE_LINES_MAX and " Long because" not in source.text(path):
            problems.append(f"{path}: {count} lines (of {FILE_LINES_MAX})")
    source.report(problems)


def test_a_header_says_what_it_is_for():
    problems = []
    for path in source.files(".h"):
        if not source.text(path).lstrip().startswith("//"):
            problems.append(f"{path}:1: begins without a comment")
        if "#pragma once" not in source.text(path):
            problems.append(f"{path}:1: has no #pragma once")
    source.report(problems)


def test_a_note_for_later_is_a_sentence():
    problems = []
    for path in elsewhere(*CODE_FILES):
        text = source.text(path)
        for match in re.finditer(r"\b(?:TODO|FIXME|XXX|HACK)\b(.*)", text):
            if len(match.group(1).split()) < NOTE_WORDS_MIN:
                problems.append(f"{path}:{line_of(text, match.start())}: say what is to be done and why")
    source.report(problems)


def test_no_test_sleeps_or_skips():
    # async::sleep and its like are under test themselves, and take their time from a clock that a test can pass.
    forbidden = {
        r"\bthis_thread::sleep_\w+|\busleep\s*\(|\bnanosleep\b|(?<!\w)::sleep\s*\(|\btime\.sleep\b":
            "waits for time, not for a condition",
        r"\bGTEST_SKIP\b|\bDISABLED_|\bpytest\.(?:mark\.)?(?:skip|xfail|importorskip)|\bunittest\.skip": "is not run",
    }
    problems = []
    for path in elsewhere(".cc", ".h", ".py"):
        if not path.startswith("tests/") and not path.endswith("_test.cc"):
            continue
        text = source.text(path)
        for pattern, what in forbidden.items():
            problems += [f"{path}:{line_of(text, m.start())}: {m.group()} {what}" for m in re.finditer(pattern, text)]
    source.report(problems)


def test_every_header_is_used():
    used_by = {}
    for path in source.cpp_files():
        for header in source.files(".h"):
            folder = str(pathlib.PurePosixPath(path).parent)
            names = {header, header.removeprefix(folder + "/")}
            if any(name in names for _, name in source.includes(path)):
                used_by.setdefault(header, set()).add(path)
    problems = []
    for header in source.files(".h"):
        if not used_by.get(header, set()) - {header.removesuffix(".h") + ".cc"} and header != "cmake/pch.h":
            problems.append(f"{header}: nobody includes it but its own source")
    source.report(problems)


def test_every_source_is_built():
    problems = []
    for path in source.files(".cc"):
        builders = [str(folder / "CMakeLists.txt") for folder in pathlib.PurePosixPath(path).parents]
        told = "".join(source.text(b) for b in builders if b in source.files("CMakeLists.txt"))
        told += "".join(source.text(p) for p in source.files(".cmake")) if path.startswith("cmake/") else ""
        name = path.rsplit("/", 1)[-1]
        if not re.search(rf"\b{re.escape(name)}\b|\btandem_module\(|\bGLOB", told):
            problems.append(f"{path}: no CMakeLists.txt builds it")
    source.report(problems)


def test_every_script_is_used():
    problems = []
    for path in source.files():
        if not path.startswith(("scripts/", "tests/support/")) or path.endswith(".md"):
            continue
        stem = pathlib.PurePosixPath(path).stem
        others = (p for p in source.files() if p != path and p.endswith((".py", ".md", ".txt", "run", "test", "setup")))
        if not any(re.search(rf"\b{re.escape(stem)}\b", source.text(p)) for p in others):
            problems.append(f"{path}: nothing names it")
    source.report(problems)
