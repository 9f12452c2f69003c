"""The C++ in the documentation is compiled and run: a block after `<!-- snippet: path#name -->` is the region of that
file between `// [name]` and `// [/name]`, less its indentation."""

import re
import textwrap

from support import source

BLOCK = re.compile(r"(?:<!-- snippet: (?P<path>[\w./-]+)#(?P<name>[\w-]+) -->\n)?```cpp\n(?P<code>.*?)```", re.S)


def documents():
    return [p for p in source.files(".md") if p.startswith("docs/") or p == "README.md"]


def region(path, name):
    match = re.search(rf"^[ \t]*// \[{re.escape(name)}\]\n(.*?)^[ \t]*// \[/{re.escape(name)}\]$", source.text(path),
                      re.S | re.M)
    return textwrap.dedent(match.group(1)) if match else None


def test_every_block_of_cpp_says_where_it_is_compiled():
    source.report([f"{path}:{source.text(path).count(chr(10), 0, m.start()) + 1}: put <!-- snippet: FILE#NAME --> on "
                   "the line before" for path in documents() for m in BLOCK.finditer(source.text(path))
                   if not m["path"]])


def test_snippets_are_the_code_that_is_tested():
    problems = []
    for path in documents():
        for match in BLOCK.finditer(source.text(path)):
            where = f"{path}:{source.text(path).count(chr(10), 0, match.start()) + 1}"
            if not match["path"]:
                continue
            if match["path"] not in source.files() or not source.is_test(match["path"]):
                problems.append(f"{where}: {match['path']} is no test")
                continue
            code = region(match["path"], match["name"])
            if code is None:
                problems.append(f"{where}: {match['path']} has no region // [{match['name']}] … // [/{match['name']}]")
            elif code != match["code"]:
                problems.append(f"{where}: differs from {match['path']}#{match['name']}, which is:\n{code}")
    source.report(problems)
