"""Not a workload. How late the machine wakes threads of this process: a late answer, or a late look at it?

A thread sleeps 5 ms at a time and records each sleep that lasted 10 ms too long or more: interpreter, processor
and machine were not there for it. It sees its own delays and not another thread's, so that what is judged with it
needs a margin (`workloads.acquire.bound`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from harness.record.journal import Journal

PERIOD_S = 0.005
LEAST_S = 0.010


class LagMeter:
    """Record `lag` events, in a thread of its own: one for each sleep that ended late, and one of 0 ms at each mark."""

    def __init__(self, journal: Journal, clock: Callable[[], float] = time.monotonic) -> None:
        self._journal, self._clock = journal, clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="lag", daemon=True)

    def start(self) -> None:
        """Measure from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop measuring; idempotent."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def mark(self) -> None:
        """Record that it measures: a trial without any `lag` was not measured."""
        self._record(0.0)

    def _measure(self) -> None:
        due = self._clock() + PERIOD_S
        while not self._stop.wait(PERIOD_S):
            now = self._clock()
            if now - due >= LEAST_S:
                self._record(now - due)
            due = self._clock() + PERIOD_S

    def _record(self, late_s: float) -> None:
        self._journal.nemesis("lag", {"late_ms": round(late_s * 1000, 1)})
