"""Several nodes on one MariaDB: each transaction is driven by one of them at a time, and by another when it dies."""

from support.wait import wait_until


def end_of(node, gid, timeout_s=40):
    def look():
        status = node.get(f"/v1/transactions/{gid}").json()["status"]
        return status if status in ("succeed", "failed") else None
    return wait_until(look, timeout_s, f"the end of {gid}")


def test_two_nodes_share_a_store_and_one_takes_over_from_the_dead(make_node, mariadb_url, branches):
    settings = ["--set", f"store.url={mariadb_url}", "--set", "branches.request_timeout=1s"]
    a = make_node("a", arguments=settings).start()
    b = make_node("b", arguments=settings).start()

    def saga(gid):
        return {"mode": "saga", "gid": gid, "steps": [{"action": f"{branches.url}/do", "compensate": ""}],
                "options": {"retry_interval_ms": 1000}}
    for i in range(40):
        (a, b)[i % 2].post("/v1/transactions", json=saga(f"g{i}"))
        (b, a)[i % 2].post("/v1/transactions", json=saga(f"g{i}"))
    for i in range(40):
        assert end_of(a, f"g{i}") == "succeed"
        assert branches.of(f"g{i}") == ["action 01"]
    branches.answers["/do"] = [(500, "")]
    for i in range(10):
        a.post("/v1/transactions", json=saga(f"orphan{i}"))
    a.kill()
    branches.answers["/do"] = [(200, "")]
    for i in range(10):
        assert end_of(b, f"orphan{i}") == "succeed"
