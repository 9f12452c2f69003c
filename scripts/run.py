"""Starts the node and the shop, shows where they are, and stops what it started: see ./run. Python's standard library
only.

    ./run                 a node on 127.0.0.1:7070 and the shop on 127.0.0.1:7080, data in ./tandem-data
    ./run --database URL  the same, stock and wallet and shop in MariaDB: mysql://user:password@host:port/schema
    ./run node ARGS...    only a node, in this terminal: the same as `tandem serve ARGS...`
    ./run --check ARGS... the shop's check: orders placed while services and the node are killed
"""

import ctypes
import dataclasses
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from build import ROOT, BuildFailed, Preset, say  # noqa: E402

DATA = ROOT / "tandem-data"
NODE = "127.0.0.1:7070"
SHOP = "127.0.0.1:7080"
STOCK = "127.0.0.1:7081"
WALLET = "127.0.0.1:7082"
READY_LIMIT_S = 60  # a node that was killed recovers before it is ready
STOP_LIMIT_S = 15  # between the polite signal and the other one
PROGRAMS = ("tandem", "stock", "wallet", "shop")
PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclasses.dataclass
class Service:
    """One process: how it starts and when it counts as started."""

    name: str
    command: list
    url: str  # what a person opens
    ready: str  # the path that answers 200 once the service works


def shop_service(bin_directory, data, more):
    """The shop, which runs the node, stock and wallet as its children and starts them again when the page kills them."""
    return Service("shop", [bin_directory / "shop", "--supervise", "--listen", SHOP, "--data", data, "--node",
                            f"http://{NODE}", "--stock", f"http://{STOCK}", "--wallet", f"http://{WALLET}", *more],
                   f"http://{SHOP}", "/readyz")


class Failed(Exception):
    """A service did not start or did not stay; the message is for the person at the terminal."""


class Stack:
    """The running services. Leaving the `with` block stops them, the last started first."""

    def __init__(self, data):
        self.logs = data / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.running = []  # (Service, Popen)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, service):
        if answers(service.url + service.ready):
            raise Failed(f"something answers {service.url} already; is another ./run going?")
        with open(self.logs / f"{service.name}.log", "ab") as log:
            # A session of its own, so that Ctrl-C reaches only us and the stopping has an order; the kernel ends the
            # service should we be killed.
            process = subprocess.Popen([str(c) for c in service.command], stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, start_new_session=True, preexec_fn=end_with_parent)
        self.running.append((service, process))
        deadline = time.monotonic() + READY_LIMIT_S
        while not answers(service.url + service.ready):
            self.check(service, process)
            if time.monotonic() > deadline:
                raise Failed(f"{service.name} does not answer {service.url}{service.ready} with 200 after "
                             f"{READY_LIMIT_S} s.\n{self.log_end(service)}")
            time.sleep(0.02)
        self.check(service, process)

    def check(self, service, process):
        if process.poll() is not None:
            raise Failed(f"{service.name} ended with status {process.returncode}.\n{self.log_end(service)}")

    def watch(self):
        """Returns never; raises Failed when a service ends."""
        while True:
            for service, process in self.running:
                self.check(service, process)
            time.sleep(0.5)

    def log_end(self, service):
        path = self.logs / f"{service.name}.log"
        lines = path.read_text(errors="replace").splitlines()[-20:]
        return f"The end of {path}:\n" + "\n".join("    " + line for line in lines)

    def stop(self):
        for service, process in reversed(self.running):
            process.terminate()
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                say(f"{service.name} did not stop within {STOP_LIMIT_S} s; killing it")
                process.kill()
                process.wait()
        self.running.clear()


def end_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError, ValueError):
        return False


def listens(address):
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def build():
    """Builds the programs this tree has; returns their directory."""
    release = Preset("release")
    if len(release.build(*(f"bin/{p}" for p in PROGRAMS))) < len(PROGRAMS):
        raise Failed(f"this tree does not build {', '.join(PROGRAMS)}")
    return release.bin


def run_all(bin_directory, more):
    with Stack(DATA) as stack:
        for address in (NODE, STOCK, WALLET):
            if listens(address):
                raise Failed(f"something listens on {address} already; is another ./run or node going?")
        stack.start(shop_service(bin_directory, DATA, more))
        say(f"node  http://{NODE}/")
        say(f"shop  http://{SHOP}/  open this")
        say(f"logs are in {stack.logs}; Ctrl-C stops everything")
        stack.watch()


def main(arguments):
    if arguments and arguments[0] in ("-h", "--help"):
        print(__doc__)
        return
    bin_directory = build()
    if not arguments:
        run_all(bin_directory, [])
    elif arguments[0] == "--database" and len(arguments) == 2:
        run_all(bin_directory, arguments)
    elif arguments[0] == "node":
        os.execv(bin_directory / "tandem", ["tandem", "serve", *arguments[1:]])
    elif arguments[0] == "--check":
        check = ROOT / "scripts" / "check.py"
        os.execv(sys.executable, [sys.executable, str(check), *arguments[1:]])
    else:
        raise Failed(f"there is no '{arguments[0]}'; ./run --help says what there is")


def interrupted(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        say("stopped")
    except (Failed, BuildFailed) as failure:
        sys.exit(f"run: {failure}")
