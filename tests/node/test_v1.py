"""The RESTful interface, as a stranger with curl or requests meets it."""

import socket
import subprocess

import requests
from support.wait import wait_until


def saga(branches, steps=2, **options):
    return {"mode": "saga",
            "steps": [{"action": f"{branches.url}/do{i}", "compensate": f"{branches.url}/undo{i}"}
                      for i in range(1, steps + 1)],
            "payloads": [{"amount": i} for i in range(1, steps + 1)],
            "options": {"retry_interval_ms": 1000, **options}}


def ended(node, gid, timeout_s=20):
    def look():
        transaction = node.get(f"/v1/transactions/{gid}").json()
        return transaction if transaction["status"] in ("succeed", "failed") else None
    return wait_until(look, timeout_s, f"the end of {gid}")


def test_a_saga_succeeds_and_is_shown_where_location_points(node, branches):
    answer = node.post("/v1/transactions", json=saga(branches, wait=True))
    assert answer.status_code == 201
    transaction = answer.json()
    assert transaction["status"] == "succeed"
    assert [b["status"] for b in transaction["branches"]] == ["done", "done"]
    assert branches.of(transaction["gid"]) == ["action 01", "action 02"]
    first = branches.calls[0]
    assert (first.method, first.body, first.trans_type) == ("POST", '{"amount":1}', "saga")
    shown = node.get(answer.headers["Location"])
    assert shown.status_code == 200 and shown.json()["gid"] == transaction["gid"]
    again = node.get(answer.headers["Location"], headers={"If-None-Match": shown.headers["ETag"]})
    assert again.status_code == 304 and again.content == b""


def test_a_refused_action_is_compensated_in_reverse(node, branches):
    branches.answers["/do2"] = [(409, '{"error":"no stock"}')]
    transaction = node.post("/v1/transactions", json=saga(branches, 3, wait=True)).json()
    assert transaction["status"] == "failed"
    assert "no stock" in transaction["reason"]
    assert branches.of(transaction["gid"]) == ["action 01", "action 02", "compensate 02", "compensate 01"]


def test_errors_and_ongoing_are_retried(node, branches):
    branches.answers["/do1"] = [(500, ""), (425, "ONGOING"), (200, "")]
    answer = node.post("/v1/transactions", json=saga(branches, 1))
    assert answer.json()["status"] == "submitted"
    assert ended(node, answer.json()["gid"])["status"] == "succeed"
    assert len(branches.calls) == 3


def test_tcc_branches_are_registered_then_confirmed_or_cancelled(node, branches):
    for decision, operation, outcome in (("submit", "confirm", "succeed"), ("abort", "cancel", "failed")):
        gid = node.post("/v1/transactions", json={"mode": "tcc"}).json()["gid"]
        for branch in ("01", "02"):
            made = node.post(f"/v1/transactions/{gid}/branches",
                             json={"branch_id": branch, "confirm": f"{branches.url}/c", "cancel": f"{branches.url}/x",
                                   "payload": {"n": 1}})
            assert made.status_code == 201
        assert branches.of(gid) == []
        assert node.post(f"/v1/transactions/{gid}/{decision}").status_code == 200
        assert ended(node, gid)["status"] == outcome
        assert sorted(branches.of(gid)) == [f"{operation} 01", f"{operation} 02"]


def test_a_message_is_delivered_after_submit_and_checked_back_without(node, branches):
    def message(**more):
        return {"mode": "message", "steps": [{"action": f"{branches.url}/deliver"}], "payloads": [{"x": 1}],
                "check_back": f"{branches.url}/check", "options": {"timeout_ms": 1000, "retry_interval_ms": 1000}, **more}
    gid = node.post("/v1/transactions", json=message()).json()["gid"]
    assert node.get(f"/v1/transactions/{gid}").json()["status"] == "prepared"
    node.post(f"/v1/transactions/{gid}/submit", json={"wait": True})
    assert branches.of(gid) == ["action 01"]
    asked = node.post("/v1/transactions", json=message()).json()["gid"]
    assert ended(node, asked)["status"] == "succeed"
    assert branches.of(asked) == ["msg 00", "action 01"]
    branches.answers["/check"] = [(409, "FAILURE")]
    refused = node.post("/v1/transactions", json=message()).json()["gid"]
    assert ended(node, refused)["status"] == "failed"
    assert branches.of(refused) == ["msg 00"]


def test_the_same_request_twice_is_one_transaction_and_another_body_is_409(node, branches):
    body = {**saga(branches, wait=True), "gid": "order-4711"}
    assert node.post("/v1/transactions", json=body).status_code == 201
    again = node.post("/v1/transactions", json=body)
    assert again.status_code == 200 and again.json()["status"] == "succeed"
    assert len(branches.calls) == 2
    other = node.post("/v1/transactions", json={**saga(branches, 3), "gid": "order-4711"})
    assert other.status_code == 409
    assert other.headers["Content-Type"] == "application/problem+json"


def test_lists_page_by_page_with_filters(node, branches):
    for i in range(7):
        node.post("/v1/transactions", json={**saga(branches, 1, wait=True), "gid": f"g{i}"})
    node.post("/v1/transactions", json={"mode": "tcc", "gid": "open"})
    seen, url = [], "/v1/transactions?limit=3&status=succeed"
    while url:
        page = node.get(url)
        seen += [t["gid"] for t in page.json()["transactions"]]
        url = page.links["next"]["url"] if "next" in page.links else None
    assert seen == [f"g{i}" for i in reversed(range(7))]
    assert [t["gid"] for t in node.get("/v1/transactions?status=unfinished").json()["transactions"]] == ["open"]
    assert [t["gid"] for t in node.get("/v1/transactions?mode=tcc").json()["transactions"]] == ["open"]


def test_a_person_can_force_an_outcome_and_must_say_why(node, branches):
    branches.answers["/do1"] = [(500, "broken for ever")]
    gid = node.post("/v1/transactions", json=saga(branches, 1)).json()["gid"]
    path = f"/v1/transactions/{gid}"
    nameless = node.post(f"{path}/decision", json={"outcome": "failed"})
    assert (nameless.status_code, nameless.json()["field"]) == (400, "reason")
    stale = node.post(f"{path}/decision", json={"outcome": "failed", "reason": "x"}, headers={"If-Match": '"0"'})
    assert stale.status_code == 412
    done = node.post(f"{path}/decision", json={"outcome": "failed", "reason": "supplier is bankrupt"})
    assert done.status_code == 200 and done.json()["forced"] is True
    assert node.get(path).json()["reason"] == "supplier is bankrupt"
    assert node.post(f"{path}/decision", json={"outcome": "succeed", "reason": "x"}).status_code == 409


def test_bad_input_names_the_field_and_writes_nothing(node, branches):
    good = {"action": f"{branches.url}/a", "compensate": f"{branches.url}/b"}
    cases = [
        ({"mode": "sagaa", "steps": []}, "mode"),
        ({"steps": []}, "mode"),
        ({"mode": "saga"}, "steps"),
        ({"mode": "saga", "steps": [good, {"action": 5}]}, "steps[1].action"),
        ({"mode": "saga", "steps": [{"action": "http://10.0.0.1/x"}]}, "steps[0].action"),
        ({"mode": "saga", "steps": [{"action": "http://127.0.0.1.evil.example/x"}]}, "steps[0].action"),
        ({"mode": "saga", "steps": [{"action": "file:///etc/passwd"}]}, "steps[0].action"),
        ({"mode": "saga", "steps": [{**good, "actoin": "x"}]}, "steps[0].actoin"),
        ({"mode": "saga", "steps": [good], "payloads": [1, 2]}, "payloads"),
        ({"mode": "saga", "steps": [good], "options": {"retry_limit": -1}}, "options.retry_limit"),
        ({"mode": "saga", "steps": [good], "options": {"retry_limit": "many"}}, "options.retry_limit"),
        ({"mode": "saga", "steps": [good], "gid": "has space"}, "gid"),
        ({"mode": "saga", "steps": [good], "gid": "x" * 200}, "gid"),
        ({"mode": "saga", "steps": [good], "nonsense": 1}, "nonsense"),
        ({"mode": "saga", "steps": [good, good], "options": {"orders": {"0": [1], "1": [0]}}}, "options.orders"),
        ({"mode": "message", "steps": [good], "check_back": "http://8.8.8.8/"}, "steps[0].compensate"),
        ({"mode": "message", "steps": [{"action": f"{branches.url}/a"}], "check_back": "http://8.8.8.8/"}, "check_back"),
    ]
    for body, field in cases:
        answer = node.post("/v1/transactions", json=body)
        assert answer.status_code == 400, (body, answer.text)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["field"] == field, (body, answer.text)
    for text in ("", "{", "[]", "nul", '{"mode":"saga"', "[" * 100_000):
        answer = node.post("/v1/transactions", data=text, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, (text[:20], answer.text)
    assert node.post("/v1/transactions", data="a=b").status_code == 415
    big = node.post("/v1/transactions", json={"mode": "saga", "steps": [good], "payloads": ["x" * 2_000_000]})
    assert big.status_code == 413
    assert node.get("/v1/transactions").json()["transactions"] == []
    assert branches.calls == []


def test_wrong_methods_and_paths(node):
    assert node.get("/v1/transactions/nobody").status_code == 404
    assert node.post("/v1/transactions/nobody/submit").status_code == 404
    wrong = requests.request("PUT", node.url + "/v1/transactions", timeout=10)
    assert wrong.status_code == 405 and "POST" in wrong.headers["Allow"]
    assert requests.request("BREW", node.url + "/v1/transactions", timeout=10).status_code == 501


def test_health_readiness_and_metrics(node, branches):
    node.post("/v1/transactions", json=saga(branches, wait=True))
    assert node.get("/healthz").status_code == 200
    assert node.get("/readyz").status_code == 200
    metrics = node.get("/metrics").text
    assert "tandem_transactions_succeeded_total 1" in metrics
    names = {line.split("{")[0].split(" ")[0] for line in metrics.splitlines() if line and not line.startswith("#")}
    assert names and all(name.startswith("tandem_") for name in names)


def test_beyond_loopback_a_token_is_needed(make_node):
    node = make_node()
    refused = subprocess.run([node.binary, "serve", "--data", node.data, "--listen", f"0.0.0.0:{node.port}"],
                             capture_output=True, text=True, timeout=20)
    assert refused.returncode == 1
    assert "server.token" in refused.stderr and "0.0.0.0" in refused.stderr
    node.arguments = ["--set", "server.token=secret-of-the-test"]
    node.start()
    assert node.get("/v1/transactions").status_code == 401
    assert "Bearer" in node.get("/v1/transactions").headers["WWW-Authenticate"]
    assert node.get("/v1/transactions", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert node.get("/v1/transactions", headers={"Authorization": "Bearer secret-of-the-test"}).status_code == 200
    assert node.get("/readyz").status_code == 200


def test_events_show_every_transition_as_it_happens(node, branches):
    with requests.get(node.url + "/v1/events", stream=True, timeout=20) as events:
        lines = events.iter_lines(decode_unicode=True, chunk_size=1)
        assert next(lines) == ": hello"
        gid = node.post("/v1/transactions", json=saga(branches, wait=True)).json()["gid"]
        data = []
        for line in lines:
            if line.startswith("data: "):
                data.append(line)
                if '"status":"succeed"' in line:
                    break
        assert all(gid in line for line in data)
        assert '"status":"submitted"' in data[0]


def test_a_second_node_on_the_same_data_is_refused(node):
    second = subprocess.run([node.binary, "serve", "--data", node.data, "--listen", "127.0.0.1:0"],
                            capture_output=True, text=True, timeout=20)
    assert second.returncode == 1 and "used by another node" in second.stderr


def test_sigterm_finishes_what_is_under_way_and_exits_0(node, branches):
    with socket.create_connection(("127.0.0.1", node.port)) as half_open:
        half_open.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert half_open.recv(100).startswith(b"HTTP/1.1 200")
        assert node.stop() == 0
