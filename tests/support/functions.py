"""Finds the functions of a C++ file by counting braces. Not a parser: good enough for code that clang-format laid out."""

import re

_SCOPE = re.compile(r"^(?:template\s*<.*>\s*)?(?:inline\s+|typedef\s+|export\s+)*(?:namespace|class|struct|union|enum|extern)\b",
                    re.S)
_INITIALIZER_LIST = re.compile(r"\)\s*(?:noexcept(?:\s*\([^)]*\))?\s*)?:(?!:)")


def _closing(code, opening):
    """The position of the brace that closes the one at `opening`; the end of the text where there is none."""
    depth = 0
    for match in re.compile(r"[{}]").finditer(code, opening):
        depth += 1 if match.group() == "{" else -1
        if depth == 0:
            return match.start()
    return len(code) - 1


def _without_parentheses(header):
    previous = None
    while previous != header:
        previous, header = header, re.sub(r"\([^()]*\)", "", header)
    return header


def _kind(header):
    """What the brace after `header` opens: "scope", "function", "member" (of a constructor's list) or "data"."""
    header = header.strip()
    if not header or _SCOPE.match(header) and "(" not in re.sub(r"(?:alignas|__attribute__)\s*\(+[^)]*\)+", "", header):
        return "scope"
    if "(" not in header or "=" in re.sub(r"operator\s*[^\s(]+", "", _without_parentheses(header)):
        return "data"
    if _INITIALIZER_LIST.search(header) and re.search(r"[\w>]$", header):
        return "member"
    return "function"


def functions(code):
    """[(first line, last line, the header's text)] of every outermost function in `code` (source.code of a file)."""
    found = []
    start = at = 0
    for_brace_or_end = re.compile(r"[{};]|\b(?:public|private|protected)\s*:")
    while match := for_brace_or_end.search(code, at):
        at = match.end()
        if match.group() != "{":
            start = at
            continue
        header = code[start:match.start()]
        kind = _kind(header)
        if kind == "scope":
            start = at
            continue
        end = _closing(code, match.start())
        at = end + 1
        if kind == "function":
            first = start + len(header) - len(header.lstrip())
            found.append((code.count("\n", 0, first) + 1, code.count("\n", 0, end) + 1, " ".join(header.split())))
        if kind == "function":
            start = at
    return found
