"""A MariaDB server of the tests' own: Debian's mariadbd on a temporary data directory and a free loopback port."""

import itertools
import os
import pathlib
import shutil
import subprocess
import tempfile

from support.process import Server, free_port
from support.wait import wait_until

USER = "tandem"
PASSWORD = "tandem"

_numbers = itertools.count(1)


class MariaDB(Server):
    """`url(database)` is what `tandem` takes; `execute(sql)` runs statements as root and returns the rows as lists of
    strings. The directory is a short path of its own, because a socket's path must fit in 108 bytes."""

    name = "mariadb"

    def __init__(self, arguments=()):
        super().__init__(pathlib.Path(tempfile.mkdtemp(prefix="tandem-mariadb-")))
        self.data = self.directory / "data"
        self.socket = self.directory / "mariadb.sock"
        self.port = free_port()
        self.arguments = list(arguments)
        self._install()

    def _install(self):
        assert shutil.which("mariadb-install-db"), "mariadb-install-db is missing: scripts/setup test installs it"
        told = subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={self.data}", "--skip-test-db",
                               "--auth-root-authentication-method=normal", *self._as_user()],
                              capture_output=True, text=True)
        assert told.returncode == 0, f"mariadb-install-db failed:\n{told.stdout}{told.stderr}"

    @staticmethod
    def _as_user():
        return ["--user=root"] if os.geteuid() == 0 else []

    def command(self):
        return ["/usr/sbin/mariadbd", "--no-defaults", f"--datadir={self.data}", f"--socket={self.socket}",
                f"--pid-file={self.directory}/mariadb.pid", f"--port={self.port}", "--bind-address=127.0.0.1",
                "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=1",
                "--skip-log-bin", "--max-connections=200", "--lower-case-table-names=0",
                *self._as_user(), *self.arguments]

    def wait_ready(self, timeout_s=60):
        wait_until(lambda: not self.running or self.execute("SELECT 1"), timeout_s, "mariadbd answering SELECT 1")
        self.check_running()
        self.execute(f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'; "
                     f"GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'%'")

    def execute(self, sql, database=""):
        told = subprocess.run(["mariadb", "--no-defaults", "--batch", "--skip-column-names", f"--socket={self.socket}",
                               "--user=root", f"--execute={sql}", *([database] if database else [])],
                              capture_output=True, text=True, timeout=60)
        assert told.returncode == 0, f"{sql}\n{told.stderr}"
        return [line.split("\t") for line in told.stdout.splitlines()]

    def create_database(self, name=None):
        """Makes an empty database and returns its name."""
        name = name or f"test_{next(_numbers)}"
        self.execute(f"CREATE DATABASE `{name}`")
        return name

    def url(self, database):
        return f"mysql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def remove(self):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
