"""Fixtures of the process tests. A failing test shows the logs of the servers it used."""

import pytest

from support.branches import Branches
from support.mariadb import MariaDB
from support.node import Node
from support.process import free_port

LOG_CHARACTERS_SHOWN = 6000

_SERVERS = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.failed and hasattr(report.longrepr, "addsection"):
        for server in item.stash.get(_SERVERS, []):
            report.longrepr.addsection(f"log of {server.name} ({server.log_path})",
                                       server.log_text()[-LOG_CHARACTERS_SHOWN:])


@pytest.fixture
def keep(request):
    """keep(server): the server's log is shown should the test fail, and it is killed when the test ends."""
    servers = request.node.stash.setdefault(_SERVERS, [])

    def remember(server):
        servers.append(server)
        return server

    yield remember
    for server in reversed(servers):
        server.kill()


@pytest.fixture
def port():
    """A free loopback port."""
    return free_port()


@pytest.fixture
def make_node(keep, tmp_path):
    """make_node(name="node", ...): a Node that is not started yet, in a directory of its own; the other arguments are
    Node's."""

    def make(name="node", **more):
        return keep(Node(tmp_path / name, **more))

    return make


@pytest.fixture
def node(make_node):
    """A node, ready."""
    return make_node().start()


@pytest.fixture(scope="session")
def mariadb():
    """One MariaDB for the whole run; a test that kills it makes its own MariaDB()."""
    server = MariaDB()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def mariadb_url(mariadb):
    """The URL of an empty MariaDB database of this test's own."""
    return mariadb.url(mariadb.create_database())


@pytest.fixture
def branches():
    """A server whose URLs can be branches of transactions."""
    server = Branches()
    yield server
    server.close()
