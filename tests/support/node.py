"""A `tandem serve` of the test's own."""

import requests

from support.process import ROOT, Server, free_port
from support.wait import wait_until


class Node(Server):
    """One node on a free loopback port.

    preset     whose binary: "release", or "asan", which has the crash points (TANDEM_CRASH_AT) and the sanitizers
    arguments  appended to `tandem serve --data ... --listen ...`
    """

    name = "node"

    def __init__(self, directory, preset="release", arguments=(), port=None):
        super().__init__(directory)
        self.binary = ROOT / "build" / preset / "bin" / "tandem"
        self.data = self.directory / "data"
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.arguments = list(arguments)
        self.environment = {"ASAN_OPTIONS": "detect_leaks=1:halt_on_error=1",
                            "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}

    def command(self):
        return [self.binary, "serve", "--data", self.data, "--listen", f"127.0.0.1:{self.port}", *self.arguments]

    def wait_ready(self, timeout_s=30):
        # A node that has ended will never be ready: say so at once.
        wait_until(lambda: not self.running or self.get("/readyz").status_code == 200, timeout_s,
                   f"{self.url}/readyz answering 200")
        self.check_running()

    def get(self, path, **more):
        return requests.get(self.url + path, timeout=10, **more)

    def post(self, path, **more):
        return requests.post(self.url + path, timeout=30, **more)
