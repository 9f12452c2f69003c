"""Waiting for conditions instead of for time."""

import threading
import time

POLL_PERIOD_S = 0.02


def wait_until(condition, timeout_s=10, what="the condition"):
    """Returns the first true value that `condition()` gives. Fails with `what` and the last exception after
    `timeout_s`; until then an exception counts as "not yet"."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while True:
        last_error = None
        try:
            value = condition()
            if value:
                return value
        except Exception as error:  # not yet, whatever the reason; it is told at the deadline
            last_error = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout_s} s" +
                                 (f" (last: {last_error!r})" if last_error else "")) from last_error
        pause.wait(POLL_PERIOD_S)
