"""DTM's HTTP interface, called as its Go, Java, Python, PHP, C# and Node clients call it."""

import json

from support.wait import wait_until

BASE = "/api/dtmsvr"


def new_gid(node):
    answer = node.get(f"{BASE}/newGid").json()
    assert answer["dtm_result"] == "SUCCESS"
    return answer["gid"]


def post(node, call, **body):
    return node.post(f"{BASE}/{call}", json=body)


def query(node, gid):
    return node.get(f"{BASE}/query", params={"gid": gid}).json()


def status_of(node, gid, wanted, timeout_s=20):
    return wait_until(lambda: query(node, gid)["transaction"]["status"] == wanted, timeout_s, f"{gid} being {wanted}")


def saga(branches, gid, **more):
    return {"gid": gid, "trans_type": "saga", "protocol": "http",
            "steps": [{"action": f"{branches.url}/out", "compensate": f"{branches.url}/out-back"},
                      {"action": f"{branches.url}/in", "compensate": f"{branches.url}/in-back"}],
            "payloads": [json.dumps({"amount": 30}), json.dumps({"amount": 30})], **more}


def test_a_saga_with_wait_result(node, branches):
    gid = new_gid(node)
    answer = post(node, "submit", **saga(branches, gid, wait_result=True))
    assert (answer.status_code, answer.json()) == (200, {"dtm_result": "SUCCESS"})
    assert branches.of(gid) == ["action 01", "action 02"]
    assert branches.calls[0].body == '{"amount": 30}'
    assert branches.calls[0].headers["Content-Type"] == "application/json"
    shown = query(node, gid)
    assert shown["transaction"]["status"] == "succeed" and shown["transaction"]["trans_type"] == "saga"
    assert [(b["branch_id"], b["op"], b["status"]) for b in shown["branches"]] == [
        ("01", "compensate", "prepared"), ("01", "action", "succeed"),
        ("02", "compensate", "prepared"), ("02", "action", "succeed")]


def test_a_refused_saga_answers_409_with_failure(node, branches):
    branches.answers["/in"] = [(200, '{"dtm_result":"FAILURE"}')]
    gid = new_gid(node)
    answer = post(node, "submit", **saga(branches, gid, wait_result=True))
    assert answer.status_code == 409 and answer.json()["dtm_result"] == "FAILURE"
    status_of(node, gid, "failed")
    assert branches.of(gid) == ["action 01", "action 02", "compensate 02", "compensate 01"]


def test_ongoing_answers_425_and_is_retried_at_retry_interval(node, branches):
    branches.answers["/in"] = [(425, '{"dtm_result":"ONGOING"}'), (200, "")]
    gid = new_gid(node)
    answer = post(node, "submit", **saga(branches, gid, wait_result=True, retry_interval=1))
    assert answer.status_code == 425 and answer.json()["dtm_result"] == "ONGOING"
    status_of(node, gid, "succeed", 6)


def test_a_concurrent_saga_with_orders_in_custom_data(node, branches):
    gid = new_gid(node)
    body = saga(branches, gid, wait_result=True,
                custom_data=json.dumps({"orders": {"0": [1]}, "concurrent": True}))
    assert post(node, "submit", **body).status_code == 200
    assert branches.of(gid) == ["action 02", "action 01"]


def test_a_saga_gives_up_at_timeout_to_fail(node, branches):
    branches.answers["/in"] = [(500, "")]
    gid = new_gid(node)
    assert post(node, "submit", **saga(branches, gid, retry_interval=1, timeout_to_fail=2)).status_code == 200
    status_of(node, gid, "failed", 10)
    assert branches.of(gid)[-2:] == ["compensate 02", "compensate 01"]


def tcc(node, branches, gid):
    assert post(node, "prepare", gid=gid, trans_type="tcc").json() == {"dtm_result": "SUCCESS"}
    for branch in ("01", "02"):
        answer = post(node, "registerBranch", gid=gid, trans_type="tcc", branch_id=branch, data='{"amount":1}',
                      confirm=f"{branches.url}/confirm", cancel=f"{branches.url}/cancel", status="prepared")
        assert answer.json() == {"dtm_result": "SUCCESS"}


def test_tcc_submit_and_abort(node, branches):
    yes, no = new_gid(node), new_gid(node)
    tcc(node, branches, yes)
    tcc(node, branches, no)
    assert post(node, "submit", gid=yes, trans_type="tcc").status_code == 200
    assert post(node, "abort", gid=no, trans_type="tcc", rollback_reason="no funds").status_code == 200
    status_of(node, yes, "succeed")
    status_of(node, no, "failed")
    assert sorted(branches.of(yes)) == ["confirm 01", "confirm 02"]
    assert sorted(branches.of(no)) == ["cancel 01", "cancel 02"]
    assert query(node, no)["transaction"]["rollback_reason"] == "no funds"
    late = post(node, "submit", gid=no, trans_type="tcc")
    assert late.status_code == 409 and late.json()["dtm_result"] == "FAILURE"


def test_an_undecided_tcc_is_cancelled_after_timeout_to_fail(node, branches):
    gid = new_gid(node)
    post(node, "prepare", gid=gid, trans_type="tcc", timeout_to_fail=1)
    post(node, "registerTccBranch", gid=gid, branch_id="01", data="", confirm=f"{branches.url}/c",
         cancel=f"{branches.url}/x")
    status_of(node, gid, "failed", 6)
    assert branches.of(gid) == ["cancel 01"]


def test_xa_branches_are_committed_by_post_to_their_url(node, branches):
    gid = new_gid(node)
    assert post(node, "prepare", gid=gid, trans_type="xa").status_code == 200
    assert post(node, "registerXaBranch", gid=gid, trans_type="xa", branch_id="01", url=f"{branches.url}/xa",
                status="prepared").status_code == 200
    assert post(node, "submit", gid=gid, trans_type="xa", wait_result=True).status_code == 200
    assert branches.of(gid) == ["commit 01"]
    assert branches.calls[0].method == "POST"


def message(branches, gid, **more):
    return {"gid": gid, "trans_type": "msg", "steps": [{"action": f"{branches.url}/in"}], "payloads": ['{"amount":30}'],
            "query_prepared": f"{branches.url}/query", **more}


def test_a_message_prepare_submit_and_check_back(node, branches):
    gid = new_gid(node)
    assert post(node, "prepare", **message(branches, gid)).json() == {"dtm_result": "SUCCESS"}
    assert post(node, "submit", **message(branches, gid)).json() == {"dtm_result": "SUCCESS"}
    status_of(node, gid, "succeed")
    silent = new_gid(node)
    post(node, "prepare", **message(branches, silent, timeout_to_fail=1))
    status_of(node, silent, "succeed", 6)
    assert branches.of(silent) == ["msg 00", "action 01"]
    assert [c.method for c in branches.calls if c.gid == silent] == ["GET", "POST"]


def test_a_message_with_delay(node, branches):
    gid = new_gid(node)
    post(node, "submit", **message(branches, gid, custom_data=json.dumps({"delay": 1})))
    assert query(node, gid)["transaction"]["status"] == "submitted"
    assert branches.of(gid) == []
    status_of(node, gid, "succeed", 6)


def test_topics_fan_a_message_out(node, branches):
    for path in ("/a", "/b"):
        answer = node.get(f"{BASE}/subscribe", params={"topic": "paid", "url": branches.url + path, "remark": "r"})
        assert answer.json() == {"dtm_result": "SUCCESS"}
    gid = new_gid(node)
    body = message(branches, gid, wait_result=True)
    body["steps"] = [{"action": "topic://paid"}]
    assert post(node, "submit", **body).status_code == 200
    assert branches.of(gid) == ["action 01-01", "action 01-02"]
    node.get(f"{BASE}/unsubscribe", params={"topic": "paid", "url": branches.url + "/a"})
    gid = new_gid(node)
    assert post(node, "submit", **{**body, "gid": gid}).status_code == 200
    assert branches.of(gid) == ["action 01-01"]
    import requests
    assert requests.delete(f"{node.url}{BASE}/topic/paid", timeout=10).status_code == 200
    nobody = post(node, "submit", **{**body, "gid": new_gid(node)})
    assert nobody.status_code != 200 and "paid" in nobody.json()["message"]


def test_query_of_nobody_and_of_nothing(node):
    nobody = node.get(f"{BASE}/query", params={"gid": "nobody"})
    assert nobody.status_code == 200 and nobody.json()["transaction"] is None
    assert node.get(f"{BASE}/query", params={"gid": ""}).status_code == 500


def test_all_lists_by_position(node, branches):
    gids = [new_gid(node) for _ in range(5)]
    for gid in gids:
        post(node, "submit", **saga(branches, gid, wait_result=True))
    first = node.get(f"{BASE}/all", params={"limit": 3}).json()
    rest = node.get(f"{BASE}/all", params={"limit": 3, "position": first["next_position"]}).json()
    seen = [t["gid"] for t in first["transactions"] + rest["transactions"]]
    assert seen == list(reversed(gids))
    assert rest["next_position"] == ""
    one = node.get(f"{BASE}/all", params={"gid": gids[0]}).json()
    assert [t["gid"] for t in one["transactions"]] == [gids[0]]


def test_force_stop_and_reset_cron_time(node, branches):
    branches.answers["/in"] = [(500, "")]
    gid, hurried = new_gid(node), new_gid(node)
    post(node, "submit", **saga(branches, gid))
    post(node, "submit", **saga(branches, hurried))
    wait_until(lambda: len(branches.calls) == 4, 10, "the first attempts")
    assert post(node, "forceStop", gid=gid).json() == {"dtm_result": "SUCCESS"}
    status_of(node, gid, "failed")
    branches.answers["/in"] = [(200, "")]
    assert post(node, "resetNextCronTime", gid=hurried).json() == {"dtm_result": "SUCCESS"}
    status_of(node, hurried, "succeed", 5)
    again = new_gid(node)
    branches.answers["/in"] = [(500, "")]
    post(node, "submit", **saga(branches, again))
    wait_until(lambda: query(node, again)["branches"][3]["error"], 10, "the first failure")
    branches.answers["/in"] = [(200, "")]
    swept = node.get(f"{BASE}/resetCronTime", params={"timeout": 1, "limit": 10}).json()
    assert swept == {"has_remaining": False, "succeed_count": 1}
    status_of(node, again, "succeed", 5)


def test_workflow_and_unknown_types_are_refused_clearly(node):
    workflow = post(node, "prepareWorkflow", gid="w", trans_type="workflow")
    assert workflow.status_code == 500 and "workflow" in workflow.json()["message"]
    for kind in ("workflow", "magic"):
        answer = post(node, "submit", gid="w", trans_type=kind)
        assert answer.status_code == 400 and answer.json()["field"] == "trans_type"
        assert kind in answer.json()["message"]


def test_json_rpc(node, branches):
    def call(method, **params):
        return node.post("/api/json-rpc", json={"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).json()
    gid = call("newGid")["result"]["gid"]
    assert call("submit", **saga(branches, gid, wait_result=True))["result"]["dtm_result"] == "SUCCESS"
    assert call("abort", gid=gid)["error"]["code"] == -32901
    assert call("fly")["error"]["code"] == -32601
    assert node.post("/api/json-rpc", data="{").json()["error"]["code"] == -32700


def test_version_and_ping(node):
    assert "tandem" in node.get(f"{BASE}/version").json()["version"]
    assert node.get("/api/ping").status_code == 200
    assert "tandem_" in node.get("/api/metrics").text
