"""Who may include whom: the house of the README as a table. Arrows go down only."""

import re

import pytest

from support import source

# A module may include itself and these.
MAY_INCLUDE = {
    "base": set(),
    "async": {"base"},
    "net": {"async", "base"},
    "http": {"net", "async", "base"},
    "web": {"http", "net", "async", "base"},
    "db": {"net", "async", "base"},
    "tx": {"http", "db", "net", "async", "base"},
    "node": {"base", "async", "net", "http", "web", "db", "tx"},
}
MAY_USE_ASIO = {"async", "net"}


def test_the_table_knows_every_module():
    there = {source.module(p) for p in source.files(".h", ".cc")} - {None}
    source.report([f"tandem/{m}: give it a line in MAY_INCLUDE" for m in sorted(there - MAY_INCLUDE.keys())])


def test_the_table_has_no_circle():
    for module, below in MAY_INCLUDE.items():
        for lower in below:
            assert MAY_INCLUDE[lower] < below, f"{module} may include {lower}, but not all that {lower} includes"


def test_includes_go_down():
    problems = []
    for path in source.cpp_files():
        module = source.module(path)
        if module is None:
            continue
        allowed = MAY_INCLUDE.get(module, set()) | {module}
        for line, name in source.includes(path):
            other = source.module(name)
            if other and other not in allowed:
                problems.append(f"{path}:{line}: {module} may not include {name}; it may include "
                                f"{', '.join(sorted(allowed))}")
    source.report(problems)


def test_detail_stays_in_its_module():
    problems = []
    for path in source.cpp_files():
        for line, name in source.includes(path):
            if "/detail/" in name and source.module(name) != source.module(path):
                problems.append(f"{path}:{line}: {name} belongs to tandem/{source.module(name)} alone")
    source.report(problems)


def test_our_headers_are_included_by_their_full_path():
    ours = {p for p in source.files(".h") if p.startswith("tandem/")}
    problems = []
    for path in source.cpp_files():
        if source.module(path) is None:
            continue
        for line, name in source.includes(path):
            if name not in ours and f"{path.rsplit('/', 1)[0]}/{name}" in ours:
                problems.append(f"{path}:{line}: write \"{path.rsplit('/', 1)[0]}/{name}\"")
    source.report(problems)


def test_asio_stays_in_async_and_net():
    problems = []
    for path in source.cpp_files():
        if source.module(path) in MAY_USE_ASIO:
            continue
        problems += [f"{path}:{line}: includes {name}" for line, name in source.includes(path)
                     if name.startswith("boost/asio")]
        code = source.code(path)
        problems += [f"{path}:{code.count(chr(10), 0, m.start()) + 1}: uses {m.group()}"
                     for m in re.finditer(r"\b(?:boost::)?asio::\w+", code)]
    source.report(problems)


def test_task_is_free_of_asio():
    """What most files include must not pull the reactor in."""
    if "tandem/async/task.h" not in source.files(".h"):
        pytest.fail("tandem/async/task.h is gone; name its successor here")
    for path in ["tandem/async/task.h", *source.own_headers("tandem/async/task.h")]:
        assert not [n for _, n in source.includes(path) if n.startswith("boost/asio")], f"{path} includes Asio"
