"""The example shop's programs, as servers of a test."""

import requests

from support.process import ROOT, Server, free_port
from support.wait import wait_until


class ShopProgram(Server):
    """One of stock, wallet and shop on a free loopback port.

    preset     whose binaries: "release", or "asan", which has the crash points
    arguments  appended to the command line
    """

    def __init__(self, name, directory, node_url, preset="release", arguments=()):
        self.name = name
        super().__init__(directory)
        self.binary = ROOT / "build" / preset / "bin" / name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.node_url = node_url
        self.arguments = list(arguments)
        self.environment = {"ASAN_OPTIONS": "detect_leaks=1:halt_on_error=1",
                            "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}

    def command(self):
        return [self.binary, "--listen", f"127.0.0.1:{self.port}", "--data", self.directory, "--node", self.node_url,
                *self.arguments]

    def wait_ready(self, timeout_s=30):
        wait_until(lambda: not self.running or self.get("/healthz").status_code == 200, timeout_s,
                   f"{self.url}/healthz answering 200")
        self.check_running()

    def get(self, path, **more):
        return requests.get(self.url + path, timeout=10, **more)

    def post(self, path, json, **more):
        return requests.post(self.url + path, json=json, timeout=40, **more)

    def state(self):
        return self.get("/state").json()

    def movements(self, order):
        """What the ledger says happened to an order, in order: ["hold", "take"]."""
        return [row["movement"] for row in self.get("/ledger").json()["rows"] if row["order"] == order]


class Shop:
    """A node, stock, wallet and shop that know each other."""

    def __init__(self, keep, make_node, directory, preset="release", arguments=()):
        self.node = make_node(preset=preset, arguments=["--set", "branches.retry_interval_max=500ms"])

        def part(name, *more):
            return keep(ShopProgram(name, directory / name, self.node.url, preset, [*arguments, *more]))

        self.stock = part("stock")
        self.wallet = part("wallet")
        self.shop = part("shop", "--stock", self.stock.url, "--wallet", self.wallet.url)

    def start(self):
        for server in (self.node, self.stock, self.wallet, self.shop):
            server.start()
        return self

    def order(self, order_id, item="teapot", quantity=2, account="anna", mode="tcc", **more):
        return self.shop.post("/orders", {"id": order_id, "item": item, "quantity": quantity, "account": account,
                                          "mode": mode}, **more)

    def order_until_it_ends(self, order_id, **more):
        """Repeats the order with the same id until the shop knows how it ended; returns the order."""
        return wait_until(lambda: (answer := self.order(order_id, **more)).status_code in (200, 201) and answer.json(),
                          60, f"order {order_id} having ended")
