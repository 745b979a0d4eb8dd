"""What the files of this folder share: keys of a test's own, and patience."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from backends.interface import Session, StateKey

Open = Callable[[], Session]
DEADLINE_S = 10.0  # of one operation: a busy machine is slow, and these tests are not about time
LONG_MS = 600_000


def fresh_key(id_: str = "x") -> StateKey:
    return StateKey("contract", uuid.uuid4().hex, "state", id_)


def wait_until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.005)
