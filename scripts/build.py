"""Configures and builds a CMake preset, with progress a person can follow. Python's standard library only."""

import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRESS_PERIOD_S = 20  # between progress lines where the output is not a terminal

_started = time.monotonic()


def say(text):
    """A line of progress, with the seconds since the start before it."""
    print(f"[{time.monotonic() - _started:6.1f} s] {text}", flush=True)


class BuildFailed(Exception):
    """The build's own words, errors first."""


class Preset:
    """One build directory: build/<name>."""

    def __init__(self, name):
        self.name = name
        self.directory = ROOT / "build" / name
        self.bin = self.directory / "bin"
        self._configured = False

    def configure(self):
        """Makes build.ninja where it is missing, and anew where something it depends on has changed. Ninja sees changed
        CMakeLists.txt files and new sources itself, but not a new CMakeLists.txt: hence the list of them."""
        if self._configured:
            return
        lists = "\n".join(sorted(str(p.relative_to(ROOT)) for pattern in ("*", "*/*")
                                 for p in ROOT.glob(f"{pattern}/CMakeLists.txt")))
        seen = self.directory / "cmake-lists.txt"
        if (self.directory / "build.ninja").exists() and seen.exists() and seen.read_text() == lists:
            self._ninja("build.ninja")
        else:
            say(f"{self.name}: configuring")
            self._run(["cmake", "--preset", self.name], "configuring")
            seen.write_text(lists)
        self._configured = True

    def programs(self, suffix=""):
        """The names of the programs that can be built into bin/ and end in `suffix`, sorted."""
        prefix = "bin/"
        return sorted(t[len(prefix):] for t in self.targets() if t.startswith(prefix) and t.endswith(suffix))

    def targets(self):
        self.configure()
        listing = subprocess.run(["ninja", "-C", self.directory, "-t", "targets", "all"],
                                 capture_output=True, text=True, check=True).stdout
        return {line.split(": ")[0] for line in listing.splitlines()}

    def build(self, *targets):
        """Builds those of `targets` (paths beneath the build directory) that the build knows; returns them."""
        known = self.targets()
        wanted = [t for t in targets if t in known]
        if wanted:
            before = time.monotonic()
            self._ninja(*wanted)
            say(f"{self.name}: built {', '.join(w.split('/')[-1] for w in wanted)} "
                f"({time.monotonic() - before:.1f} s)")
        return wanted

    def _ninja(self, *targets):
        self._run(["ninja", "-C", str(self.directory), *targets], "building")

    def _run(self, command, what):
        environment = dict(os.environ, NINJA_STATUS="[%f/%t] ")
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors="replace", env=environment)
        lines = []
        last_said = time.monotonic()
        terminal = sys.stdout.isatty()
        for line in process.stdout:
            lines.append(line)
            if not line.startswith("["):
                continue
            if terminal:
                print(f"\r\033[K{self.name}: {line.rstrip()[:100]}", end="", flush=True)
            elif time.monotonic() - last_said > PROGRESS_PERIOD_S:
                last_said = time.monotonic()
                say(f"{self.name}: {line.rstrip()}")
        if terminal:
            print("\r\033[K", end="", flush=True)
        if process.wait() != 0:
            told = [line for line in lines if not line.startswith("[")] or lines
            raise BuildFailed(f"{what} {self.name} failed: {' '.join(command)}\n" + "".join(told[-200:]))
