"""The benchmarks, each beside its peer or limit in the same run: `./test bench`, or after it
`python3 scripts/bench.py [http] [idle] [sagas] [recover] [micro]`. Python's standard library only.

    http    CPU time a request costs: a bare epoll loop, nginx, Tandem; keep-alive and pipelined
    idle    memory that 10,000 idle keep-alive connections cost the same servers
    sagas   durable two-branch sagas per second, beside what the disk can sync
    recover 100,000 unfinished transactions after kill -9: how soon they are driven again
    micro   every *_bench program of the modules
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import resource
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "build" / "bench" / "bin"
SERVER_CORE = "0"
LOAD_CORE = "1"
ROUNDS = 5
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
START_LIMIT_S = 20
IDLE_CONNECTIONS = 10_000


@dataclasses.dataclass
class Peer:
    """A server to measure."""

    name: str
    command: list
    port: int
    path: str = "/"


@dataclasses.dataclass
class Workload:
    """What is asked of every peer."""

    name: str
    connections: int
    depth: int
    requests: int


@dataclasses.dataclass
class Sample:
    """One measurement of one peer."""

    cpu_us: float  # the server's CPU time per request
    requests_per_s: float
    p50_us: float
    p99_us: float


def machine():
    """The machine's line above every table."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, {time.strftime('%Y-%m-%d')}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    """User and system time of all threads of a process, from proc(5): fields 14 and 15 of stat."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


@contextlib.contextmanager
def running(peer):
    """Starts a peer on the server's core, waits until it answers, stops it at the end. Gives its process id."""
    log = tempfile.TemporaryFile()
    process = subprocess.Popen(["taskset", "-c", SERVER_CORE, *(str(c) for c in peer.command)],
                               stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while not answers(f"http://127.0.0.1:{peer.port}{peer.path}"):
            if process.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                sys.exit(f"bench: {peer.name} did not start:\n{log.read().decode(errors='replace')[-3000:]}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return response.status == 200
    except OSError:
        return False


def load(peer, workload, requests=None):
    """Runs the load generator on its own core; returns what it measured."""
    told = subprocess.run(["taskset", "-c", LOAD_CORE, BIN / "http_load", "--port", str(peer.port), "--path", peer.path,
                           "--connections", str(workload.connections), "--depth", str(workload.depth), "--requests",
                           str(requests or workload.requests)], capture_output=True, text=True)
    if told.returncode != 0:
        sys.exit(f"bench: {peer.name}, {workload.name}: {told.stderr.strip()}")
    return json.loads(told.stdout)


def measure(peer, pid, workload):
    before = cpu_seconds(pid)
    seen = load(peer, workload)
    used = cpu_seconds(pid) - before
    return Sample(used * 1e6 / seen["requests"], seen["requests_per_s"], seen["p50_us"], seen["p99_us"])


def median(samples, field):
    return statistics.median(getattr(s, field) for s in samples)


def table(header, rows):
    """Prints rows of strings in aligned columns, the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, ["-" * w for w in widths], *rows]:
        print("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))))
    print(flush=True)


NGINX_CONFIGURATION = """
daemon off;
master_process off;
worker_processes 1;
error_log stderr warn;
pid {directory}/nginx.pid;
worker_rlimit_nofile 20000;
events {{ worker_connections 12000; multi_accept on; }}
http {{
    access_log off;
    server_tokens off;
    keepalive_requests 1000000000;
    client_body_temp_path {directory};
    proxy_temp_path {directory};
    fastcgi_temp_path {directory};
    uwsgi_temp_path {directory};
    scgi_temp_path {directory};
    default_type text/plain;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ return 200 "hello\\n"; }}
    }}
}}
"""


def http_peers(directory):
    """The peers that this tree has, the limit first."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin") or sys.exit("bench: scripts/setup bench installs nginx")
    port = free_port()
    configuration = directory / "nginx.conf"
    configuration.write_text(NGINX_CONFIGURATION.format(directory=directory, port=port))
    peers = []
    baseline_port = free_port()
    peers.append(Peer("epoll loop", [BIN / "epoll_baseline", baseline_port], baseline_port))
    peers.append(Peer("nginx return 200", [nginx, "-p", directory, "-c", configuration, "-e", "stderr"], port))
    if (BIN / "hello").exists():
        # The smallest servers on Tandem's HTTP and web layers; they take their port as the epoll loop does.
        port = free_port()
        peers.append(Peer("tandem http", [BIN / "hello", port], port))
        port = free_port()
        peers.append(Peer("tandem web", [BIN / "hello", port, "web"], port))
    if (BIN / "tandem").exists():
        port = free_port()
        peers.append(Peer("tandem GET /healthz", [BIN / "tandem", "serve", "--data", directory / "data", "--listen",
                                                  f"127.0.0.1:{port}"], port, "/healthz"))
    return peers


def http():
    workloads = [Workload("keep-alive: 64 connections, one request at a time", 64, 1, 100_000),
                 Workload("pipelined: 64 connections, 16 requests at a time", 64, 16, 1_000_000)]
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as name, contextlib.ExitStack() as stack:
        peers = http_peers(pathlib.Path(name))
        pids = {peer.name: stack.enter_context(running(peer)) for peer in peers}
        for workload in workloads:
            samples = {peer.name: [] for peer in peers}
            for peer in peers:
                load(peer, workload, workload.requests // 10)  # warms caches and pools
            for _ in range(ROUNDS):
                for peer in peers:
                    samples[peer.name].append(measure(peer, pids[peer.name], workload))
            print_http(workload, samples)


def print_http(workload, samples):
    print(f"HTTP/1.1 {workload.name}; medians of {ROUNDS} alternating rounds of {workload.requests:,} requests")
    limit = median(next(iter(samples.values())), "cpu_us")
    rows = []
    for name, of_peer in samples.items():
        cpu = median(of_peer, "cpu_us")
        spread = f"{min(s.cpu_us for s in of_peer):.2f}–{max(s.cpu_us for s in of_peer):.2f}"
        rows.append([name, f"{cpu:.2f}", spread, f"{cpu / limit:.2f}x", f"{1e6 / cpu:,.0f}",
                     f"{median(of_peer, 'requests_per_s'):,.0f}", f"{median(of_peer, 'p50_us'):,.0f}",
                     f"{median(of_peer, 'p99_us'):,.0f}"])
    table(["server", "CPU µs/request", "min–max", "of epoll loop", "requests/CPU s", "requests/s", "p50 µs", "p99 µs"],
          rows)


def resident_mb(pid):
    """What proc(5) calls VmRSS."""
    line = next(line for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def open_and_ask(peer):
    """A connection that has had one answer and stays open."""
    connection = socket.create_connection(("127.0.0.1", peer.port), timeout=10)
    connection.sendall(f"GET {peer.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    if not connection.recv(4096).startswith(b"HTTP/1.1 200 "):
        sys.exit(f"bench: {peer.name} did not answer 200 on an idle connection")
    return connection


def idle():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < IDLE_CONNECTIONS + 1000:
        sys.exit(f"bench: {IDLE_CONNECTIONS:,} connections need more than {most} open files (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rows = []
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as name:
        for peer in http_peers(pathlib.Path(name)):
            with running(peer) as pid, contextlib.ExitStack() as connections:
                before = resident_mb(pid)
                for _ in range(IDLE_CONNECTIONS):
                    connections.enter_context(open_and_ask(peer))
                after = resident_mb(pid)
            rows.append([peer.name, f"{before:.1f}", f"{after:.1f}", f"{(after - before) * 1024 / IDLE_CONNECTIONS:.1f}"])
    print(f"Memory of {IDLE_CONNECTIONS:,} idle keep-alive connections, each after one request")
    table(["server", "MB before", "MB with them", "kB/connection"], rows)


def metric(port, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
    sys.exit(f"bench: /metrics has no {name}")


def syncs_per_s(directory):
    """The limit: how often this disk takes a 4 KiB write and fdatasync, one after the other."""
    with open(directory / "sync", "wb", buffering=0) as file:
        file.write(b"x" * 4096 * 256)
        os.fsync(file.fileno())
        count, start = 500, time.monotonic()
        for i in range(count):
            os.pwrite(file.fileno(), b"y" * 4096, i % 256 * 4096)
            os.fdatasync(file.fileno())
        return count / (time.monotonic() - start)


def saga_load(port, *arguments):
    told = subprocess.run([BIN / "saga_load", "--url", f"http://127.0.0.1:{port}", *map(str, arguments)],
                          capture_output=True, text=True)
    if told.returncode != 0:
        sys.exit(f"bench: saga_load: {told.stderr.strip()}")
    return json.loads(told.stdout)


@contextlib.contextmanager
def node(directory, port, *settings):
    """A node on both cores; gives its process."""
    command = [BIN / "tandem", "serve", "--data", directory / "data", "--listen", f"127.0.0.1:{port}"]
    for setting in settings:
        command += ["--set", setting]
    with open(directory / "node.log", "ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(what, condition, limit_s=120):
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"bench: {what} did not come within {limit_s} s")
        time.sleep(0.01)


def sagas():
    counts = {1: 1000, 16: 8000, 256: 20_000}
    with tempfile.TemporaryDirectory(prefix="tandem-bench-", dir=ROOT / "build") as name:
        directory, port = pathlib.Path(name), free_port()
        with node(directory, port):
            wait_for("the node", lambda: answers(f"http://127.0.0.1:{port}/readyz"))
            saga_load(port, "--clients", 16, "--sagas", 2000)
            limits, samples = [], {clients: [] for clients in counts}
            for _ in range(ROUNDS):
                limits.append(syncs_per_s(directory))
                for clients, count in counts.items():
                    before, start = metric(port, "tandem_store_commits_total"), time.monotonic()
                    seen = saga_load(port, "--clients", clients, "--sagas", count)
                    seen["syncs_per_s"] = (metric(port, "tandem_store_commits_total") - before) / (time.monotonic() - start)
                    samples[clients].append(seen)
    middle = {clients: {key: statistics.median(s[key] for s in of) for key in of[0]} for clients, of in samples.items()}
    print(f"Durable sagas of two branches with nothing to call, submitted and waited for over HTTP; medians of {ROUNDS} "
          f"rounds.\nThe disk syncs {statistics.median(limits):,.0f} times a second when that is all it does.")
    table(["clients", "sagas/s", "commits/s", "p50 ms", "p99 ms"],
          [[str(clients), f"{m['per_s']:,.0f}", f"{m['syncs_per_s']:,.0f}", f"{m['p50_us'] / 1000:.2f}",
            f"{m['p99_us'] / 1000:.2f}"] for clients, m in middle.items()])


UNFINISHED = 100_000


def recover():
    with tempfile.TemporaryDirectory(prefix="tandem-bench-", dir=ROOT / "build") as name:
        directory, port, branch_port = pathlib.Path(name), free_port(), free_port()
        url = f"http://127.0.0.1:{port}"
        with node(directory, port, "branches.retry_interval=10m", "branches.retry_interval_max=10m"):
            wait_for("the node", lambda: answers(url + "/readyz"))
            # Nobody listens on the branches' port yet: every transaction stays unfinished.
            saga_load(port, "--clients", 64, "--sagas", UNFINISHED, "--no-wait", "--action",
                      f"http://127.0.0.1:{branch_port}/")
            wait_for("the first attempts", lambda: metric(port, "tandem_transactions_driving") == 0)
        with contextlib.closing(sqlite3.connect(directory / "data" / "transactions.db")) as store, store:
            due = store.execute("UPDATE tandem_transactions SET next_attempt_ms = created_ms WHERE unfinished = 1").rowcount
        if due != UNFINISHED:
            sys.exit(f"bench: {due} transactions are unfinished, not {UNFINISHED}")
        branch = Peer("branch", [BIN / "hello", branch_port], branch_port)
        with running(branch):
            start = time.monotonic()
            with node(directory, port) as process:
                wait_for("readiness", lambda: answers(url + "/readyz"))
                ready = time.monotonic() - start
                wait_for("the first call", lambda: metric(port, "tandem_branch_calls_total") > 0)
                first_call = time.monotonic() - start
                wait_for("the end", lambda: metric(port, "tandem_transactions_succeeded_total") >= UNFINISHED, 600)
                finished = time.monotonic() - start
                memory = resident_mb(process.pid)
    print(f"{UNFINISHED:,} unfinished sagas of two branches after kill -9, from the start of the process")
    table(["", "s"], [["ready", f"{ready:.2f}"], ["first branch called", f"{first_call:.2f}"],
                      ["all finished", f"{finished:.1f}"], ["resident at the end (MB)", f"{memory:.0f}"]])


def micro():
    for program in sorted(BIN.glob("*_bench")):
        print(program.name, flush=True)
        if subprocess.run([program, "--benchmark_min_time=0.2"], stdin=subprocess.DEVNULL).returncode != 0:
            sys.exit(f"bench: {program.name} failed")


SECTIONS = {"http": http, "idle": idle, "sagas": sagas, "recover": recover, "micro": micro}


def main():
    chosen = sys.argv[1:] or list(SECTIONS)
    for name in chosen:
        if name not in SECTIONS:
            sys.exit(f"bench: there is no '{name}'; there are {', '.join(SECTIONS)}")
    if os.cpu_count() < 2:
        sys.exit("bench: needs two cores, one for the server and one for the load")
    print(machine() + "\n", flush=True)
    for name in chosen:
        SECTIONS[name]()


if __name__ == "__main__":
    main()
