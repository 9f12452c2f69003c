"""Server processes that a test starts, kills and starts again."""

import os
import pathlib
import signal
import socket
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
STOP_LIMIT_S = 20

_given_ports = set()


def free_port():
    """A loopback TCP port that nothing listens on, and that no other caller of this function was given."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _given_ports:
            _given_ports.add(port)
            return port


class Server:
    """One process with a log file. Subclasses say how it starts (`command`) and when it is up (`wait_ready`)."""

    name = "server"

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log_path = self.directory / f"{self.name}.log"
        self.environment = {}
        self.process = None

    def command(self):
        raise NotImplementedError

    def wait_ready(self):
        raise NotImplementedError

    def start(self, wait=True, environment=None):
        """Starts it; with `wait` returns once it is ready. `environment` holds for this start only."""
        assert not self.running, f"{self.name} runs already"
        command = [str(c) for c in self.command()]
        assert os.access(command[0], os.X_OK), f"{command[0]} is missing: ./test builds and installs what the tests need"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.directory,
                                            env={**os.environ, **self.environment, **(environment or {})})
        if wait:
            self.wait_ready()
        return self

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return self.process.pid

    def check_running(self):
        assert self.running, f"{self.name} ended with status {self.process.returncode}:\n{self.log_text()}"

    def kill(self):
        """kill -9, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def pause(self):
        """Alive but silent (SIGSTOP), as a machine that swaps or a network that eats packets."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def wait_end(self, timeout_s=STOP_LIMIT_S):
        """Waits until it ends by itself; returns its exit status (-9 where it was killed)."""
        return self.process.wait(timeout_s)

    def stop(self):
        """Asks politely (SIGTERM), fails where that is not heard. Returns the exit status."""
        if not self.running:
            return self.process.returncode if self.process else None
        self.process.terminate()
        try:
            return self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {STOP_LIMIT_S} s of SIGTERM") from None

    def restart(self, **start):
        """kill -9, then start again on the same data and port."""
        self.kill()
        return self.start(**start)

    def log_text(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
