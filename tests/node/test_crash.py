"""The node killed at every named crash point, and restarted: nothing acknowledged is lost, nothing happens twice."""

import pytest
import requests
from support.wait import wait_until


@pytest.fixture
def crashing(make_node):
    """The sanitized build, which has the crash points."""
    return make_node(preset="asan", arguments=["--set", "coordinator.prepared_timeout=2s"])


def end_of(node, gid):
    def look():
        answer = node.get(f"/v1/transactions/{gid}")
        if answer.status_code == 404:
            return "nothing"
        status = answer.json()["status"]
        return status if status in ("succeed", "failed") else None
    return wait_until(look, 30, f"the end of {gid}")


def post_until_death(node, path, body):
    """The answer, or None when the node died before it answered."""
    try:
        return requests.post(node.url + path, json=body, timeout=10)
    except requests.exceptions.ConnectionError:
        return None


def saga(branches, gid):
    return {"mode": "saga", "gid": gid,
            "steps": [{"action": f"{branches.url}/do{i}", "compensate": f"{branches.url}/undo{i}"} for i in (1, 2)],
            "options": {"retry_interval_ms": 1000}}


@pytest.mark.parametrize("point, known, calls", [
    ("coordinator.before_insert", False, []),
    ("coordinator.after_insert", True, ["action 01", "action 02"]),
    ("coordinator.before_call", True, ["action 01", "action 02"]),
    ("coordinator.before_call:2", True, ["action 01", "action 02"]),
    ("coordinator.after_call", True, ["action 01", "action 01", "action 02"]),
    ("coordinator.after_call:2", True, ["action 01", "action 02", "action 02"]),
    ("coordinator.after_outcome", True, ["action 01", "action 02"]),
    ("coordinator.after_outcome:2", True, ["action 01", "action 02"]),
])
def test_a_saga_survives_a_crash(crashing, branches, point, known, calls):
    crashing.start(environment={"TANDEM_CRASH_AT": point})
    answer = post_until_death(crashing, "/v1/transactions", saga(branches, "g"))
    assert crashing.wait_end() == -9
    crashing.start()
    if known:
        assert end_of(crashing, "g") == "succeed"
    else:
        assert answer is None and end_of(crashing, "g") == "nothing"
    # A call whose outcome was not written is made again: that is what the barrier is for.
    assert branches.of("g") == calls


@pytest.mark.parametrize("point", ["coordinator.after_call:2", "coordinator.after_outcome:2",
                                   "coordinator.before_call:3", "coordinator.after_call:3", "coordinator.after_call:4"])
def test_a_compensation_survives_a_crash(crashing, branches, point):
    branches.answers["/do2"] = [(409, "FAILURE")]
    crashing.start(environment={"TANDEM_CRASH_AT": point})
    post_until_death(crashing, "/v1/transactions", saga(branches, "g"))
    assert crashing.wait_end() == -9
    crashing.start()
    assert end_of(crashing, "g") == "failed"
    calls = branches.of("g")
    assert "compensate 01" in calls and "compensate 02" in calls
    assert calls.index("compensate 02") < calls.index("compensate 01")
    first_back = calls.index("compensate 02")
    assert not any(call.startswith("action") for call in calls[first_back:]), calls


@pytest.mark.parametrize("point, outcome", [("coordinator.before_decision", "failed"),
                                            ("coordinator.after_decision", "succeed")])
def test_commit_survives_crash_between_prepare_and_decision(crashing, branches, point, outcome):
    crashing.start(environment={"TANDEM_CRASH_AT": point})
    crashing.post("/v1/transactions", json={"mode": "tcc", "gid": "g"})
    crashing.post("/v1/transactions/g/branches",
                  json={"branch_id": "01", "confirm": f"{branches.url}/c", "cancel": f"{branches.url}/x"})
    assert post_until_death(crashing, "/v1/transactions/g/submit", {}) is None
    assert crashing.wait_end() == -9
    crashing.start()
    assert end_of(crashing, "g") == outcome
    assert set(branches.of("g")) == {"confirm 01" if outcome == "succeed" else "cancel 01"}


def test_a_checked_back_message_survives_a_crash_after_the_answer(crashing, branches):
    crashing.start(environment={"TANDEM_CRASH_AT": "coordinator.after_open_decision"})
    crashing.post("/v1/transactions",
                  json={"mode": "message", "gid": "g", "steps": [{"action": f"{branches.url}/do"}],
                        "check_back": f"{branches.url}/check"})
    assert crashing.wait_end() == -9
    crashing.start()
    assert end_of(crashing, "g") == "succeed"
    assert branches.of("g") == ["msg 00", "action 01"]


def test_a_crash_during_recovery_is_recovered_from(crashing, branches):
    branches.answers["/do1"] = [(500, ""), (200, "")]
    crashing.start()
    crashing.post("/v1/transactions", json=saga(branches, "g"))
    crashing.kill()
    crashing.start(wait=False, environment={"TANDEM_CRASH_AT": "coordinator.recovery"})
    assert crashing.wait_end() == -9
    crashing.start()
    assert end_of(crashing, "g") == "succeed"


def test_every_acknowledged_transaction_survives_kill_9_under_load(make_node, branches):
    import concurrent.futures
    node = make_node(arguments=["--set", "branches.retry_interval=200ms"]).start()
    acknowledged = []

    def client(number):
        for i in range(30):
            gid = f"c{number}-{i}"
            for _ in range(100):
                try:
                    answer = requests.post(node.url + "/v1/transactions", json=saga(branches, gid), timeout=5)
                    if answer.status_code in (200, 201):
                        acknowledged.append(gid)
                        break
                except requests.exceptions.RequestException:
                    wait_until(lambda: reachable(node), 20, "the node being back")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(client, n) for n in range(8)]
        for kills in range(1, 6):
            wait_until(lambda: len(acknowledged) >= 35 * kills, 60, "more acknowledged transactions")
            node.restart()
        for future in clients:
            future.result()
    assert len(set(acknowledged)) == 240
    for gid in acknowledged:
        assert end_of(node, gid) == "succeed"
        calls = branches.of(gid)
        assert set(calls) == {"action 01", "action 02"}
        assert calls.index("action 01") < calls.index("action 02")


def reachable(node):
    try:
        return node.get("/readyz").status_code == 200
    except requests.exceptions.RequestException:
        return False
