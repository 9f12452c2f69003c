"""What the documentation promises of a node's size and of the alert webhook."""

import concurrent.futures
import json
import pathlib
import shutil
import subprocess

from support.wait import wait_until


def test_the_program_is_small_and_an_idle_node_too(node, tmp_path):
    stripped = tmp_path / "tandem"
    shutil.copy(node.binary, stripped)
    subprocess.run(["strip", stripped], check=True)
    assert stripped.stat().st_size <= 25e6
    status = pathlib.Path(f"/proc/{node.pid}/status").read_text()
    resident_kb = int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])
    assert resident_kb <= 40 * 1024


def test_the_webhook_is_told_once_about_a_transaction_that_does_not_get_further(make_node, branches):
    branches.answers["/down"] = [(500, "broken")]
    node = make_node(arguments=["--set", f"alerts.webhook={branches.url}/alert", "--set", "alerts.after=2",
                                "--set", "branches.retry_interval=100ms"]).start()
    node.post("/v1/transactions", json={"mode": "saga", "gid": "stuck", "steps": [{"action": f"{branches.url}/down"}]})

    def calls(path):
        return [call for call in branches.calls if call.path == path]
    wait_until(lambda: calls("/alert") and len(calls("/down")) >= 4, 20, "the alert and further attempts")
    assert len(calls("/alert")) == 1
    told = json.loads(calls("/alert")[0].body)
    assert told["gid"] == "stuck" and told["failures"] == 2
    assert "broken" in told["branches"][0]["last_error"]


def test_a_node_on_several_loops_serves_as_one(make_node, branches):
    node = make_node(arguments=["--set", "server.loops=3"]).start()

    def order(number):
        return node.post("/v1/transactions",
                         json={"mode": "saga", "gid": f"g{number}", "steps": [{"action": f"{branches.url}/do"}],
                               "options": {"wait": True}}).json()["status"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(order, range(60))) == {"succeed"}
    assert sorted(call.gid for call in branches.calls) == sorted(f"g{number}" for number in range(60))
    assert node.stop() == 0
