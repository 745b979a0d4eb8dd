"""What the files of this folder share: keys of a test's own, patience, threads that start at once, hostile ids."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from backends.interface import Session, StateKey

Open = Callable[[], Session]
DEADLINE_S = 10.0  # of one operation: a busy machine is slow, and these tests are not about time
LONG_MS = 600_000
ROUNDS = 10


def fresh_key(id_: str = "x") -> StateKey:
    return StateKey("contract", uuid.uuid4().hex, "state", id_)


def wait_until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.005)


def together(*tasks: Callable[[], Any]) -> list[Any]:
    """Run the tasks in threads that start at once, and give their results."""
    barrier = threading.Barrier(len(tasks))

    def run(task: Callable[[], Any]) -> Any:
        barrier.wait(20)
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks, timeout=60))


HOSTILE_IDS = [
    "x",
    "x:h",
    "a:b",
    "*",
    "_",
    "%",
    "?[x]",
    "\\",
    "two\nlines",
    "\r\n$3\r\nfoo\r\n",
    " ",
    "ключ",
    "🔑",
    "'; DEL",
    "{x}",
    "\x01\x7f",
]
