"""The program on the command line."""

import subprocess


def tandem(node, *arguments):
    return subprocess.run([node.binary, *arguments], capture_output=True, text=True, timeout=30, cwd=node.directory)


def test_version_and_help(make_node):
    node = make_node()
    assert tandem(node, "version").stdout.startswith("tandem 0.")
    help_text = tandem(node, "--help").stdout
    for command in ("serve", "tx", "config", "barrier", "version"):
        assert command in help_text
    assert tandem(node).returncode != 0


def test_tx_list_show_and_decide(node):
    node.post("/v1/transactions", json={"mode": "tcc", "gid": "g1"})
    listed = tandem(node, "tx", "list", "--url", node.url, "--status", "unfinished")
    assert listed.returncode == 0 and "g1" in listed.stdout and "prepared" in listed.stdout
    assert "prepared" in tandem(node, "tx", "show", "g1", "--url", node.url).stdout
    decided = tandem(node, "tx", "decide", "g1", "failed", "--reason", "test over", "--url", node.url)
    assert decided.returncode == 0 and "test over" in decided.stdout
    missing = tandem(node, "tx", "show", "nobody", "--url", node.url)
    assert missing.returncode == 1 and "nobody" in missing.stderr
    assert tandem(node, "tx", "decide", "g1", "failed", "--url", node.url).returncode != 0


def test_config_check_reports_every_mistake_with_the_nearest_name(make_node):
    node = make_node()
    bad = node.directory / "bad.toml"
    bad.write_text('[server]\nlisen = "127.0.0.1:1"\nloops = "many"\n[branches]\nretry_interval = "10 parsecs"\n')
    report = tandem(node, "config", "check", str(bad))
    assert report.returncode == 1
    assert "server.listen" in report.stderr and "bad.toml:2" in report.stderr
    assert "bad.toml:3" in report.stderr and "bad.toml:5" in report.stderr
    good = node.directory / "good.toml"
    good.write_text(tandem(node, "config", "default").stdout)
    effective = tandem(node, "config", "check", str(good))
    assert effective.returncode == 0, effective.stderr
    assert "127.0.0.1:7070" in effective.stdout
    open_to_all = node.directory / "open.toml"
    open_to_all.write_text('[server]\nlisten = "0.0.0.0:7070"\n')
    assert "server.token" in tandem(node, "config", "check", str(open_to_all)).stderr


def test_barrier_install_on_sqlite_and_mariadb(make_node, mariadb_url):
    node = make_node()
    for url in (f"sqlite:{node.directory}/service.db", mariadb_url):
        first = tandem(node, "barrier", "install", url)
        assert first.returncode == 0, first.stderr
        assert tandem(node, "barrier", "install", url).returncode == 0
    refused = tandem(node, "barrier", "install", "oracle:x")
    assert refused.returncode == 1 and "sqlite:" in refused.stderr
