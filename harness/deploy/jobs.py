"""Jobs side by side, each in a process of its own (`harness.deploy.job`): runs on deployments that share nothing.

A run waits most of its time: for its timeline, for an election. So several at once need little more than one, and what noise they
make for each other is caught by the gates that every trial is held to. One at once is done in this process.

Rejected: threads, whose clients would delay each other; a pool of `concurrent.futures`, which tells nothing before the end and
leaves the work of a caller that was killed running.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from harness.deploy.job import GAVE, RAISED, STEP, TRIAL
from harness.driving.run import Progress
from harness.errors import Infrastructure

LEAVE_S = 30.0  # what an interrupted run needs to heal, to end its servers and to write down what it was
T = TypeVar("T")


def by_cores() -> int:
    """Give how many jobs this machine takes at once: three for two cores that are ours.

    Measured over the lock table: a run keeps 0.4 of a core busy, servers included, and one of Patroni 0.6.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores * 3 // 2)


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """Something to be done that shares nothing with what is done beside it.

    `work` can be pickled: a function of a module, or a `functools.partial` of one; so can what it gives. `apart` False: it takes no
    time and needs no process.
    """

    name: str
    work: Callable[[Progress], T]
    apart: bool = True


Begin = Callable[[Job[Any]], AbstractContextManager[Progress]]


class SideBySide:
    """So many jobs at once; a context manager that ends what is under way.

    `begin` is called as a job begins, for who is told of it; by several threads where there are several at once.
    """

    def __init__(self, at_once: int, begin: Begin) -> None:
        self._at_once, self._begin = at_once, begin
        self._running: set[_Process] = set()
        self._taking, self._lock = threading.Lock(), threading.Lock()  # the next job; between starting one and ending all
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            self._ended = True
            left = list(self._running)
        for process in left:
            process.interrupt()
        end = time.monotonic() + LEAVE_S
        for process in left:
            process.leave(end - time.monotonic())

    def carry_out(self, jobs: Iterable[Job[T]]) -> Iterator[tuple[Job[T], T]]:
        """Do the jobs, begun in their order; give each with what it gave, as they end.

        The next job is asked for when there is room for it, by one thread at a time. Raises what a job raises, and Infrastructure
        where its process ended without a word: then end all by leaving the context.
        """
        if self._at_once == 1:
            yield from ((job, self._here(job)) for job in jobs)
            return
        waiting, done = iter(jobs), queue.SimpleQueue[tuple[Job[T], T] | BaseException | None]()
        for n in range(self._at_once):
            threading.Thread(target=self._lane, args=(waiting, done), name=f"lane {n}", daemon=True).start()
        open_lanes = self._at_once
        while open_lanes:
            ended = done.get()
            if ended is None:
                open_lanes -= 1
            elif isinstance(ended, BaseException):
                raise ended
            else:
                yield ended

    def _here(self, job: Job[T]) -> T:
        with self._begin(job) as progress:
            return job.work(progress)

    def _lane(self, waiting: Iterator[Job[T]], done: queue.SimpleQueue[Any]) -> None:
        """Do one job after the other."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # so does a new process, until it can leave in order
        try:
            while (job := self._next(waiting)) is not None:
                with self._begin(job) as progress:
                    gave = self._apart(job, progress) if job.apart else job.work(progress)
                done.put((job, gave))
            done.put(None)
        except BaseException as error:  # noqa: BLE001 - raised where the results are asked for
            done.put(error)

    def _next(self, waiting: Iterator[Job[T]]) -> Job[T] | None:
        with self._taking:
            return None if self._ended else next(waiting, None)

    def _apart(self, job: Job[T], progress: Progress) -> T:
        process = self._start()
        try:
            found: T = process.follow(job, progress)
            return found
        finally:
            process.leave(LEAVE_S)
            with self._lock:
                self._running.discard(process)

    def _start(self) -> _Process:
        with self._lock:
            if self._ended:
                raise KeyboardInterrupt
            process = _Process()
            self._running.add(process)
        return process


class _Process:
    """A process for one job."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.deploy.job", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=sys.__stderr__.fileno() if sys.__stderr__ else subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches us alone
        )
        theirs.close()

    def follow(self, job: Job[T], progress: Progress) -> T:
        """Hand it its job, pass on what it tells, and give what the job gave; raise what it raised."""
        with self._channel, self._channel.makefile("rb") as reader:
            self._hand((sys.path, sys.argv), job.work)
            while True:
                try:
                    what, value = pickle.load(reader)
                except (EOFError, OSError):
                    raise Infrastructure(f"{job.name}: its process ended without a word, exit {self._process.wait()}") from None
                if what == STEP:
                    progress.step(value)
                elif what == TRIAL:
                    progress.trial_done()
                elif what == GAVE:
                    found: T = value
                    return found
                elif what == RAISED:
                    raise value[0] from value[1]

    def _hand(self, *values: object) -> None:
        try:
            for value in values:
                self._channel.sendall(pickle.dumps(value))
        except OSError:
            return  # it is gone: that shows when it is asked

    def interrupt(self) -> None:
        """Let it end as by Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def leave(self, within_s: float) -> None:
        """Wait for its end; kill it where it does not come: its supervisor then ends its servers."""
        try:
            self._process.wait(max(0.0, within_s))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
