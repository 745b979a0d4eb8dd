"""One job in a process of its own: what `harness.deploy.jobs` starts, `python -P -m harness.deploy.job FD`.

FD is a socket to whoever started us. It brings what to do, pickled, and takes what is told of it: steps, trials, and at the end
what it gave or what it raised. Its end of file means that nobody waits any more, for whatever reason: then we are interrupted as by
Ctrl-C, heal what is broken, end what we started and leave.

Why a process: clients that wait for their turn are Python threads, and threads of two runs in one process would delay each other.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

from harness.errors import Elsewhere, Infrastructure, UsageError

STEP, TRIAL, GAVE, RAISED = "step", "trial", "gave", "raised"


class Told:
    """A harness.driving.run.Progress that says it to whoever started us."""

    def __init__(self, channel: BinaryIO) -> None:
        self._channel = channel

    def step(self, text: str) -> None:
        self.say(STEP, text)

    def trial_done(self) -> None:
        self.say(TRIAL, None)

    def say(self, what: str, value: object) -> None:
        """Send one thing; somebody who is gone is told nothing."""
        with suppress(OSError):
            self._channel.write(pickle.dumps((what, value)))
            self._channel.flush()


def main() -> None:
    """Do what the socket brings, and tell of it."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, _interrupt_once)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    reader, told = channel.makefile("rb"), Told(channel.makefile("wb"))
    try:
        sys.path[:], sys.argv[:] = pickle.load(reader)  # of whoever started us: what it can load, we can
        work: Callable[[Any], object] = pickle.load(reader)
        threading.Thread(target=_end_with, args=(channel,), daemon=True).start()
        last: tuple[str, object] = (GAVE, work(told))
    except BaseException as error:  # noqa: BLE001 - raised again by whoever started us
        last = (RAISED, _portable(error))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end of file that follows on our last word is not meant
    told.say(*last)


def _interrupt_once(number: int, frame: object) -> None:
    """Leave in order; a second interrupt does not end the leaving."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_with(channel: socket.socket) -> None:
    channel.recv(1)  # nothing more is sent: it returns at the end of file
    os.kill(os.getpid(), signal.SIGINT)


def _portable(error: BaseException) -> tuple[BaseException, Elsewhere]:
    """Give an error as it can be sent, and where it was raised."""
    from harness.registry import modules_of

    where = Elsewhere("".join(traceback.format_exception(error)), tuple(modules_of(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - an error of any package, with any constructor
        family = next((each for each in (UsageError, Infrastructure) if isinstance(error, each)), RuntimeError)
        return family(f"{type(error).__name__}: {error}" if family is RuntimeError else str(error)), where
    return error, where


if __name__ == "__main__":
    main()
