"""`./run --check`, smaller: orders under kill -9 of node, stock and wallet; and that it can tell when something is wrong."""

import importlib.util
import subprocess
import sys

import pytest

from support.process import ROOT

SCRIPT = ROOT / "scripts" / "check.py"
LIMIT_S = 150


def check(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True,
                          timeout=LIMIT_S)


def last_line(orders, kills):
    return f"check: {orders} orders, {kills} kills, 0 lost, 0 doubled, stock and money add up"


@pytest.mark.parametrize("mode", ("tcc", "saga"))
def test_orders_survive_kills_on_sqlite(mode):
    told = check("--orders", 80, "--kills", 8, "--mode", mode)
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.splitlines()[-1] == last_line(80, 8)


def test_orders_survive_kills_on_mariadb(mariadb_url):
    told = check("--orders", 60, "--kills", 6, "--mode", "tcc", "--mode", "xa", "--database", mariadb_url)
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.splitlines()[-1] == last_line(60, 6)


def rows(*movements, amount=2):
    return [{"movement": movement, "subject": "teapot", "amount": amount} for movement in movements]


@pytest.mark.parametrize("succeeded, movements, verdict", [
    (True, ["hold", "take"], None),
    (True, ["spend"], None),
    (False, [], None),
    (False, ["hold", "release"], None),
    (False, ["spend", "give_back"], None),
    (True, [], "lost"),
    (True, ["hold"], "lost"),
    (True, ["hold", "hold", "take", "take"], "doubled"),
    (True, ["spend", "spend"], "doubled"),
    (False, ["hold"], "doubled"),
    (False, ["spend"], "doubled"),
    (False, ["hold", "take"], "doubled"),
    (False, ["release"], "doubled"),
])
def test_the_verdict_on_an_order(succeeded, movements, verdict):
    spec = importlib.util.spec_from_file_location("check", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.judge(succeeded, rows(*movements), "teapot", 2) == verdict
    if verdict is None and movements:
        assert module.judge(succeeded, rows(*movements, amount=3), "teapot", 2) == "doubled"
