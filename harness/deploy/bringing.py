"""Bringing servers beside the judging: one after the other, in the order given, in processes that give way to it.

A process each, since what it installs must not pass under a program that runs, and since it can then be ended as a whole. It
watches its stdin: a pipe that this process holds, so that it ends whichever way we end. Rejected: all at once, which takes the
processors from the run and brings the first one later.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from harness.deploy.install import FAILED, WATCHED
from harness.heartbeat import Child, Say
from harness.program import command

NICE = 19
POLL_S = 0.5
LEAVE_S = 10.0  # what is still to be removed then is removed without us


class Bringing:
    """Servers on their way; a context manager that ends what is under way. `failures` says why one did not come."""

    def __init__(self, names: Sequence[str]) -> None:
        self.failures: dict[str, str] = {}
        self._names = list(dict.fromkeys(names))
        self._here = {name: threading.Event() for name in self._names}
        self._child: Child | None = None
        self._lock = threading.Lock()  # between starting the next one and ending all
        self._ended = False
        self._thread = threading.Thread(target=self._bring_all, name="bringing", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            self._ended = True
            if self._child is not None:
                self._child.send(signal.SIGINT)  # it ends what it has started, and removes that
        self._thread.join(LEAVE_S)

    def pending(self, names: Iterable[str]) -> list[str]:
        """Give those of these servers that are still on their way."""
        return [name for name in names if name in self._here and not self._here[name].is_set()]

    def wait(self, names: Iterable[str], say: Say) -> None:
        """Wait until none of these is on its way any more, whether it came or not; says what is waited for."""
        said = ""
        for name in names:
            while self.pending([name]):
                child = self._child
                line = f"waiting for {name}: {child.last}" if child else f"waiting for {name}"
                if line != said:
                    say(line)
                said = line
                self._here[name].wait(POLL_S)

    def _bring_all(self) -> None:
        for name in self._names:
            child = self._start(name)
            if child is None:
                return
            if (code := child.wait()) != 0:
                said = child.last.removeprefix(FAILED)
                self.failures[name] = (
                    said if said != child.last else f"{name}: bringing it ended with exit {code}: {said}; run: {command('install', name)}"
                )
            self._here[name].set()

    def _start(self, name: str) -> Child | None:
        words = [sys.executable, "-P", "-m", "harness.deploy.install", WATCHED, name]
        with self._lock:
            if self._ended:
                return None
            self._child = Child(words, stdin=subprocess.PIPE)
            os.setpriority(os.PRIO_PROCESS, self._child.process.pid, NICE)
            return self._child
