"""The shop's check: orders are placed while the node, stock and wallet are killed, and afterwards every order must have
happened once or not at all. Run by `./run --check`; Python's standard library only.

The last line is "check: N orders, N kills, 0 lost, 0 doubled, stock and money add up" and the status 0, or the evidence
and status 1.
"""

import argparse
import collections
import ctypes
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from build import ROOT  # noqa: E402

READY_LIMIT_S = 30
SETTLE_LIMIT_S = 90
REQUEST_LIMIT_S = 40  # the shop answers within 20 s, also when it has no news
ORDER_LIMIT_S = 120
AGAIN_AFTER_S = 0.1
PROGRESS_PERIOD_S = 5
EVIDENCE_ORDERS_MAX = 20
LEDGER_PAGE = 1000

# The golden cups soon run out, and so does the money of carla and dora: those orders have to be refused.
ITEMS = ("darjeeling", "espresso", "teapot") * 3 + ("gold-cup",)
ACCOUNTS = ("anna", "ben") * 4 + ("carla", "dora")
VICTIMS = ("node", "stock", "wallet")

Order = collections.namedtuple("Order", "id item quantity account mode")


class CheckFailed(Exception):
    """What went wrong, with the evidence."""


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def call(port, method, path, body=None):
    """Returns (status, JSON answer)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_LIMIT_S)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"} if body is not None else {})
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null")
    finally:
        connection.close()


class Service:
    """One process, which can be killed and started again."""

    def __init__(self, name, port, command, ready, logs):
        self.name = name
        self.port = port
        self.command = [str(c) for c in command]
        self.ready_path = ready
        self.log_path = logs / f"{name}.log"
        self.process = None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, preexec_fn=end_with_parent)

    def wait_ready(self):
        deadline = time.monotonic() + READY_LIMIT_S
        while True:
            if self.process.poll() is not None:
                raise CheckFailed(f"{self.name} ended with status {self.process.returncode}:\n{self.log_end()}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.ready_path}", timeout=2):
                    return
            except (OSError, http.client.HTTPException):  # urllib's own are OSErrors
                pass
            if time.monotonic() > deadline:
                raise CheckFailed(f"{self.name} was not ready within {READY_LIMIT_S} s:\n{self.log_end()}")
            time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def log_end(self):
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-20:])


def end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Check:
    """The services, the customers, the killer, and the comparison at the end."""

    def __init__(self, options, directory):
        self.options = options
        self.random = random.Random(options.seed)
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.answers = {}  # order id -> the shop's last word
        self.placed = 0
        self.killed = collections.Counter()
        self.requests = 0
        self.failure = None
        self.done = threading.Event()
        self.started = time.monotonic()
        self.orders = [self._random_order(number) for number in range(options.orders)]
        # When each kill is due, as a number of answered orders.
        self.due = sorted(self.random.randrange(options.orders * 19 // 20 + 1) for _ in range(options.kills))
        self.services = self._services(directory)
        self.shop = self.services["shop"].port

    def _random_order(self, number):
        return Order(f"check-{self.options.seed}-{number:05}", self.random.choice(ITEMS), self.random.randint(1, 3),
                     self.random.choice(ACCOUNTS), self.random.choice(self.options.mode))

    def _services(self, directory):
        binaries = self.options.bin
        node, stock, wallet, shop = free_ports(4)
        more = ["--database", self.options.database] if self.options.database else []

        def part(name, port, *arguments):
            return Service(name, port, [binaries / name, "--listen", f"127.0.0.1:{port}", "--data", directory / name,
                                        "--node", f"http://127.0.0.1:{node}", *arguments, *more], "/healthz", directory)

        return {
            "node": Service("node", node, [binaries / "tandem", "serve", "--data", directory / "node", "--listen",
                                           f"127.0.0.1:{node}", "--set", "branches.retry_interval_max=1s"],
                            "/readyz", directory),
            "stock": part("stock", stock),
            "wallet": part("wallet", wallet),
            "shop": part("shop", shop, "--stock", f"http://127.0.0.1:{stock}", "--wallet",
                         f"http://127.0.0.1:{wallet}"),
        }

    def say(self, text):
        print(f"[{time.monotonic() - self.started:5.1f} s] {text}", flush=True)

    # ---- what happens ----

    def run(self):
        for service in self.services.values():
            service.start()
        for service in self.services.values():
            service.wait_ready()
        self.say(f"node, stock, wallet and shop are up; seed {self.options.seed}, "
                 f"database {'MariaDB' if self.options.database else 'SQLite'}, modes {', '.join(self.options.mode)}")
        customers = [threading.Thread(target=self._guarded, args=(self._customer,), daemon=True)
                     for _ in range(self.options.clients)]
        for customer in customers:
            customer.start()
        threading.Thread(target=self._report, daemon=True).start()
        # In this thread: the kernel ends a process when the thread that started it ends (PR_SET_PDEATHSIG).
        self._guarded(self._killer)
        for customer in customers:
            customer.join()
        self.done.set()
        if self.failure:
            raise self.failure
        self.say(self._progress())
        self._wait_settled()
        self._compare()

    def _report(self):
        while not self.done.wait(PROGRESS_PERIOD_S):
            self.say(self._progress())

    def _progress(self):
        with self.lock:
            ends = collections.Counter(answer["status"] for answer in self.answers.values())
            kills = ", ".join(f"{name} {self.killed[name]}" for name in VICTIMS)
            return (f"{len(self.answers)} of {self.options.orders} orders answered: {ends['succeeded']} succeeded, "
                    f"{ends['failed']} refused or undone; {self.requests} requests; killed: {kills}")

    def _guarded(self, work):
        try:
            work()
        except Exception as error:  # told by run(); the others stop
            with self.changed:
                self.failure = self.failure or (error if isinstance(error, CheckFailed) else CheckFailed(repr(error)))
                self.changed.notify_all()

    def _customer(self):
        while True:
            with self.changed:
                # The killing keeps up with the ordering, so that every kill hits orders under way.
                self.changed.wait_for(lambda: self.failure or self._kills_due() <= sum(self.killed.values()) + 1)
                if self.failure or self.placed == len(self.orders):
                    return
                order = self.orders[self.placed]
                self.placed += 1
            answer = self._order(order)
            with self.changed:
                self.answers[order.id] = answer
                self.changed.notify_all()

    def _kills_due(self):
        return sum(1 for due in self.due if due <= len(self.answers))

    def _order(self, order):
        """Asks with the same id until the shop knows how the order ended."""
        deadline = time.monotonic() + ORDER_LIMIT_S
        while not self.failure:
            with self.lock:
                self.requests += 1
            try:
                status, answer = call(self.shop, "POST", "/orders", order._asdict())
                if status in (200, 201):
                    return answer
                if status != 202 and status < 500:
                    raise CheckFailed(f"the shop answered {status} to {order}: {answer}")
            except (OSError, http.client.HTTPException, ValueError):
                pass
            if time.monotonic() > deadline:
                raise CheckFailed(f"order {order.id} had no answer within {ORDER_LIMIT_S} s")
            time.sleep(AGAIN_AFTER_S)
        raise self.failure

    def _killer(self):
        for due in self.due:
            with self.changed:
                self.changed.wait_for(lambda: self.failure or len(self.answers) >= due)
                if self.failure:
                    return
            time.sleep(self.random.uniform(0, 0.15))
            victim = self.services[self.random.choice(VICTIMS)]
            victim.kill()
            time.sleep(self.random.uniform(0, 0.2))
            victim.start()
            victim.wait_ready()
            with self.changed:
                self.killed[victim.name] += 1
                self.changed.notify_all()

    def _wait_settled(self):
        """Until the node has nothing unfinished."""
        deadline = time.monotonic() + SETTLE_LIMIT_S
        node = self.services["node"].port
        while True:
            _, page = call(node, "GET", "/v1/transactions?status=unfinished&limit=100")
            if not page["transactions"]:
                self.say("nothing is unfinished at the node")
                return
            if time.monotonic() > deadline:
                raise CheckFailed("still unfinished at the node:\n" + json.dumps(page["transactions"], indent=1))
            time.sleep(0.05)

    # ---- the comparison ----

    def _ledger(self, name):
        """The service's ledger as SQL gives it: {order id: [row]}."""
        rows, after = collections.defaultdict(list), 0
        while True:
            status, page = call(self.services[name].port, "GET", f"/ledger?after={after}&limit={LEDGER_PAGE}")
            if status != 200:
                raise CheckFailed(f"{name} answered {status} when asked for its ledger: {page}")
            for row in page["rows"]:
                rows[row["order"]].append(row)
                after = row["id"]
            if len(page["rows"]) < LEDGER_PAGE:
                return rows

    def _compare(self):
        ledgers = {name: self._ledger(name) for name in ("stock", "wallet")}
        lost, doubled, evidence = set(), set(), []
        gone = {"stock": 0, "wallet": 0}
        for order in self.orders:
            _, known = call(self.shop, "GET", f"/orders/{order.id}")
            answer = self.answers[order.id]
            if known["status"] != answer["status"]:
                lost.add(order.id)
                evidence.append(f"{order.id}: the customer was told {answer['status']}, the shop has {known}")
            wanted = {"stock": (order.item, order.quantity), "wallet": (order.account, known["amount"])}
            for name, (subject, amount) in wanted.items():
                rows = ledgers[name].pop(order.id, [])
                if known["status"] == "succeeded":
                    gone[name] += amount
                verdict = judge(known["status"] == "succeeded", rows, subject, amount)
                if verdict:
                    (lost if verdict == "lost" else doubled).add(order.id)
                    evidence.append(f"{order.id} ({order.mode}, {known['status']}): {verdict} in {name}, "
                                    f"whose ledger has {json.dumps(rows)}")
        for name, rest in ledgers.items():
            doubled.update(rest)
            evidence += [f"{gid}: {name} has rows of an order that nobody placed: {rows}" for gid, rows in rest.items()]
        evidence += self._sums(gone)
        self._tell(lost, doubled, evidence)

    def _sums(self, gone):
        """What is wrong with the totals, which the services add up by SQL."""
        wrong = []
        for name in gone:
            _, state = call(self.services[name].port, "GET", "/state")
            total = state["total"]
            if not state["adds_up"] or total["free"] + total["held"] + total["gone"] != total["initial"]:
                wrong.append(f"{name} does not add up: {json.dumps(state)}")
            if total["held"] != 0 or total["gone"] != gone[name]:
                wrong.append(f"{name} has {total['gone']} gone and {total['held']} held; the succeeded orders "
                             f"come to {gone[name]}")
        return wrong

    def _tell(self, lost, doubled, evidence):
        summary = (f"check: {len(self.orders)} orders, {sum(self.killed.values())} kills, {len(lost)} lost, "
                   f"{len(doubled)} doubled, ")
        if evidence:
            shown = "\n".join(evidence[:EVIDENCE_ORDERS_MAX])
            raise CheckFailed(f"{shown}\n{summary}" + ("see above" if lost or doubled else "the sums are wrong"))
        ends = collections.Counter(answer["status"] for answer in self.answers.values())
        self.say(f"{ends['succeeded']} orders took effect once in stock and once in wallet, {ends['failed']} not at all")
        print(summary + "stock and money add up", flush=True)


def judge(succeeded, rows, subject, amount):
    """None when the ledger's rows of one order are right, else "lost" or "doubled". A succeeded order held and took, or
    spent, once; a failed one gave back all that it had taken, or took nothing."""
    movements = sorted(row["movement"] for row in rows)
    right = [["hold", "take"], ["spend"]] if succeeded else [[], ["hold", "release"], ["give_back", "spend"]]
    same = all(row["subject"] == subject and row["amount"] == amount for row in rows)
    if movements in right and same:
        return None
    return "lost" if succeeded and len(movements) < 2 and movements != ["spend"] else "doubled"


def parse(arguments):
    parser = argparse.ArgumentParser(prog="./run --check", description=__doc__.split("\n")[0])
    parser.add_argument("--orders", type=int, default=500)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--mode", action="append", choices=("tcc", "saga", "xa"),
                        help="may be repeated; default tcc and saga, with --database also xa")
    parser.add_argument("--database", help="mysql://user:password@host:port/schema instead of SQLite files")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build" / "release" / "bin", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if min(options.orders, options.clients) < 1 or options.kills < 0:
        parser.error("--orders and --clients must be at least 1, --kills at least 0")
    options.mode = options.mode or (["tcc", "saga", "xa"] if options.database else ["tcc", "saga"])
    return options


def main(arguments):
    options = parse(arguments)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="tandem-check-"))
    check = Check(options, directory)
    failed = True
    try:
        check.run()
        failed = False
    except (CheckFailed, OSError, http.client.HTTPException) as failure:
        print(f"{failure or repr(failure)}", flush=True)
        for service in check.services.values():
            if service.process and service.process.poll() is not None:
                print(f"{service.name} ended by itself with status {service.process.returncode}:\n{service.log_end()}")
    finally:
        for service in check.services.values():
            if service.process:
                service.kill()
        if failed:
            print(f"the data and logs are kept in {directory}; again with --seed {options.seed}", file=sys.stderr)
        else:
            shutil.rmtree(directory)
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
