"""Runs the test suites: see ./test. Python's standard library only."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from build import ROOT, BuildFailed, Preset, say  # noqa: E402

PYTHON = "/usr/bin/python3"
PROGRAMS_AT_ONCE = 2
PROGRAM_TIME_LIMIT_S = 300
SANITIZED_TIME_LIMIT_S = 900
PYTEST_TIME_LIMIT_S = 1800
SIMULATOR_TIME_LIMIT_S = 1200
SIMULATOR_SEEDS = 2000
FUZZ_RSS_LIMIT_MB = 2048
OUTPUT_LINES_KEPT = 120  # of a failure's output

# What runs under ThreadSanitizer: the modules whose code is shared between threads.
THREADED_TESTS = ("async_test", "net_test", "http_test", "db_test", "tx_test")

SANITIZER_SETTINGS = {
    "ASAN_OPTIONS": "detect_leaks=1:halt_on_error=1:detect_stack_use_after_return=1:strict_init_order=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
    "ASAN_SYMBOLIZER_PATH": "/usr/bin/llvm-symbolizer-19",
    "TSAN_SYMBOLIZER_PATH": "/usr/bin/llvm-symbolizer-19",
}

SUITES = {
    "unit": "every *_test program, release build",
    "asan": "every *_test program under AddressSanitizer and UndefinedBehaviorSanitizer",
    "tsan": f"under ThreadSanitizer: {', '.join(THREADED_TESTS)}",
    "process": "tests/: several processes, real servers",
    "sim": f"the simulated cluster, {SIMULATOR_SEEDS} seeds",
    "tidy": "tests/tidy: layering, format, clang-tidy, house habits",
    "bench": "the benchmarks beside their peers (not part of a plain ./test)",
    "fuzz": "every *_fuzz program for SECONDS each: ./test fuzz SECONDS (not part of a plain ./test)",
}
ALL = ("tidy", "unit", "asan", "tsan", "sim", "process")


class Results:
    """Counts tests and keeps the failures. Thread-safe."""

    def __init__(self):
        self._lock = threading.Lock()
        self.passed = 0
        self.failures = []  # (name, output)

    def add(self, passed, failures):
        with self._lock:
            self.passed += passed
            self.failures += failures

    def fail(self, name, output):
        self.add(0, [(name, output)])

    def finish(self):
        for name, output in self.failures:
            lines = output.rstrip().splitlines()
            if len(lines) > OUTPUT_LINES_KEPT:
                cut = len(lines) - OUTPUT_LINES_KEPT
                lines = lines[:20] + [f"… {cut} lines left out …"] + lines[20 - OUTPUT_LINES_KEPT:]
            print(f"\nFAILED {name}")
            print("\n".join("    " + line for line in lines))
        print(f"\n{self.passed} passed, {len(self.failures)} failed", flush=True)
        return 0 if self.passed and not self.failures else 1


_groups = set()  # the process groups that run now


def stop_group(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def interrupted(*_):
    """Ends what runs, so that the threads that wait for it end too."""
    for group in list(_groups):
        stop_group(group)
    raise KeyboardInterrupt


def run_bounded(command, limit_s, env=None, show=False):
    """Runs a command in a process group of its own, which is gone afterwards. Returns (status, output); the status is
    None where the time ran out. With `show` the output is also passed on as it comes."""
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace",
                               env=dict(os.environ, **(env or {})), start_new_session=True)
    _groups.add(process.pid)
    timed_out = threading.Event()

    def give_up():
        timed_out.set()
        stop_group(process.pid)

    timer = threading.Timer(limit_s, give_up)
    timer.start()
    output = []
    try:
        for line in process.stdout:
            output.append(line)
            if show:
                print("  " + line.rstrip(), flush=True)
        status = process.wait()
    finally:
        timer.cancel()
        stop_group(process.pid)
        _groups.discard(process.pid)
    text = "".join(output)
    if timed_out.is_set():
        return None, text + f"\nstopped after {limit_s} s\n"
    return status, text


def ending(status):
    if status is None:
        return "ran out of time"
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"exited with {status}"


def read_gtest(name, status, output, report):
    """(passed, failures) of one GoogleTest program."""
    passed, failures = 0, []
    try:
        cases = json.loads(report.read_text())["testsuites"]
    except (OSError, ValueError, KeyError):
        # It died before it could write the report: count what its output shows, and blame the test that was running.
        passed = len(re.findall(r"^\[       OK \]", output, re.M))
        running = re.findall(r"^\[ RUN      \] (\S+)", output, re.M)
        where = f" in {running[-1]}" if running else ""
        return passed, [(f"{name}{where} {ending(status)}", output)]
    for test in (t for case in cases for t in case["testsuite"]):
        full_name = f"{name} {test['classname']}.{test['name']}"
        if test.get("failures"):
            failures.append((full_name, "\n".join(f["failure"] for f in test["failures"])))
        elif test.get("result") != "COMPLETED":
            failures.append((full_name, f"{test.get('result', 'not run').lower()}: a test that does not run is no test"))
        else:
            passed += 1
    if status != 0 and not failures:
        failures.append((f"{name} {ending(status)} after its tests", output))
    return passed, failures


def run_gtest_program(results, preset, program, limit_s):
    name = f"{preset.name}/{program}"
    report = preset.directory / "reports" / f"{program}.json"
    report.parent.mkdir(exist_ok=True)
    report.unlink(missing_ok=True)
    before = time.monotonic()
    status, output = run_bounded([preset.bin / program, f"--gtest_output=json:{report}", "--gtest_color=no"], limit_s,
                                 SANITIZER_SETTINGS)
    passed, failures = read_gtest(name, status, output, report)
    results.add(passed, failures)
    failed = f", {len(failures)} FAILED" if failures else ""
    say(f"{name}: {passed} passed{failed} ({time.monotonic() - before:.1f} s)")


def gtest_suite(results, preset_name, only=None, limit_s=PROGRAM_TIME_LIMIT_S):
    preset = Preset(preset_name)
    programs = [p for p in preset.programs("_test") if only is None or p in only]
    preset.build(*(f"bin/{p}" for p in programs))
    with concurrent.futures.ThreadPoolExecutor(PROGRAMS_AT_ONCE) as pool:
        for future in [pool.submit(run_gtest_program, results, preset, p, limit_s) for p in programs]:
            future.result()


def pytest_suite(results, name, arguments, python=PYTHON):
    report = ROOT / "build" / "reports" / f"{name}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    status, output = run_bounded([python, "-m", "pytest", "-v", "--tb=short", "--color=no", "-p", "no:cacheprovider",
                                  f"--junitxml={report}", *arguments], PYTEST_TIME_LIMIT_S, show=True)
    try:
        cases = list(xml.etree.ElementTree.parse(report).iter("testcase"))
    except (OSError, xml.etree.ElementTree.ParseError):
        results.fail(f"{name} {ending(status)}", output)
        return
    passed, failures = 0, []
    for case in cases:
        bad = [e for e in case if e.tag in ("failure", "error", "skipped")]
        if bad:
            text = "\n".join((e.text or e.get("message") or e.tag) for e in bad)
            failures.append((f"{name} {case.get('classname')}::{case.get('name')}", text))
        else:
            passed += 1
    if status not in (0, 5) and not failures:  # 5: there were no tests
        failures.append((f"{name} {ending(status)}", output))
    results.add(passed, failures)


def tidy_suite(results):
    Preset("release").configure()  # clang-tidy reads its compile_commands.json
    pytest_suite(results, "tidy", ["tests/tidy"])


def process_suite(results):
    release = Preset("release")
    release.build("bin/tandem", "lib/libtandem.a", "bin/shop", "bin/stock", "bin/wallet")
    # The crash points are compiled into these.
    Preset("asan").build("bin/tandem", "bin/shop", "bin/stock", "bin/wallet")
    python = PYTHON
    if any((ROOT / "tests" / "browser").glob("test_*.py")):
        subprocess.run([ROOT / "scripts" / "setup", "browser"], check=True)
        python = ROOT / "build" / "venv" / "bin" / "python"
    pytest_suite(results, "process", ["tests", "--ignore=tests/tidy"], python)


def sim_suite(results):
    release = Preset("release")
    if not release.build("bin/simulate"):
        if (ROOT / "tests" / "sim").exists():
            results.fail("sim", "tests/sim is there, but the build makes no program `simulate` of it")
        else:
            say("sim: this tree has no simulator")
        return
    status, output = run_bounded([release.bin / "simulate", "--seeds", str(SIMULATOR_SEEDS)], SIMULATOR_TIME_LIMIT_S,
                                 show=True)
    if status == 0:
        results.add(1, [])
    else:
        results.fail(f"simulate {ending(status)}", output)


def bench_suite(results):
    preset = Preset("bench")
    preset.build(*(f"bin/{p}" for p in preset.programs() if not p.endswith("_test")))
    status, output = run_bounded([PYTHON, "scripts/bench.py"], 3600, show=True)
    if status == 0:
        results.add(1, [])
    else:
        results.fail(f"bench {ending(status)}", output)


def fuzz_suite(results, seconds):
    preset = Preset("fuzz")
    programs = preset.programs("_fuzz")
    preset.build(*(f"bin/{p}" for p in programs))
    artifacts = ROOT / "build" / "fuzz-artifacts"
    artifacts.mkdir(exist_ok=True)
    for program in programs:
        found = ROOT / "build" / "fuzz-corpus" / program
        found.mkdir(parents=True, exist_ok=True)
        # libFuzzer writes what it finds into the first directory and reads them all.
        corpora = [d for d in (found, ROOT / "tests" / "corpus" / program) if d.is_dir()]
        say(f"fuzz: {program} for {seconds} s")
        status, output = run_bounded(
            [preset.bin / program, f"-max_total_time={seconds}", f"-rss_limit_mb={FUZZ_RSS_LIMIT_MB}", "-timeout=10",
             "-print_final_stats=1", f"-artifact_prefix={artifacts}/{program}-", *corpora],
            seconds + 120, SANITIZER_SETTINGS)
        runs = re.search(r"number_of_executed_units: (\d+)", output)
        if status == 0:
            results.add(1, [])
            say(f"fuzz: {program} ran {runs.group(1) if runs else '?'} inputs")
        else:
            results.fail(f"fuzz {program} {ending(status)}; the input is in build/fuzz-artifacts", output)


def parse_arguments():
    names = "\n".join(f"  {name:8} {what}" for name, what in SUITES.items())
    parser = argparse.ArgumentParser(
        prog="./test", formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="./test [SUITE... | fuzz SECONDS]", description="Builds and runs the tests.",
        epilog=f"suites:\n{names}\n\nWithout a suite, or with `all`: {', '.join(ALL)}.")
    parser.add_argument("suites", nargs="*", metavar="SUITE")
    suites = parser.parse_args().suites or ["all"]
    seconds = None
    if "fuzz" in suites:
        at = suites.index("fuzz") + 1
        if at == len(suites) or not suites[at].isdigit() or int(suites[at]) == 0:
            parser.error("fuzz needs a number of seconds: ./test fuzz 60")
        seconds = int(suites.pop(at))
    for suite in suites:
        if suite != "all" and suite not in SUITES:
            parser.error(f"there is no suite '{suite}'; ./test --help names them")
    chosen = []
    for suite in suites:
        chosen += ALL if suite == "all" else (suite,)
    return list(dict.fromkeys(chosen)), seconds


def main():
    chosen, seconds = parse_arguments()
    results = Results()
    run = {
        "unit": lambda: gtest_suite(results, "release"),
        "asan": lambda: gtest_suite(results, "asan", limit_s=SANITIZED_TIME_LIMIT_S),
        "tsan": lambda: gtest_suite(results, "tsan", THREADED_TESTS, SANITIZED_TIME_LIMIT_S),
        "process": lambda: process_suite(results),
        "sim": lambda: sim_suite(results),
        "tidy": lambda: tidy_suite(results),
        "bench": lambda: bench_suite(results),
        "fuzz": lambda: fuzz_suite(results, seconds),
    }
    for suite in chosen:
        say(f"{suite}: {SUITES[suite]}")
        try:
            run[suite]()
        except BuildFailed as failure:
            results.fail(f"{suite}: the build", str(failure))
        except subprocess.CalledProcessError as failure:
            results.fail(suite, str(failure))
    return results.finish()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted\n0 passed, 1 failed")
        sys.exit(130)
