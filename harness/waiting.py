"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.errors import Infrastructure

POLL_S = 0.02


def wait_for(condition: Callable[[], str | None], deadline_s: float, what: str, poll_s: float = POLL_S) -> None:
    """Poll until the condition gives None; raise Infrastructure with its last reason at the deadline."""
    end = time.monotonic() + deadline_s
    while (reason := condition()) is not None:
        if time.monotonic() > end:
            raise Infrastructure(f"{what}: {reason} (waited {deadline_s:g} s)")
        time.sleep(poll_s)
