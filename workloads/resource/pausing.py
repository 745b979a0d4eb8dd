"""Not a workload. Pausing clients: a lock's holder sleeps past its lease and then goes on, as if no time had passed.

A garbage collection, a suspended machine or a slow disk does so to a real client. Workers of a run pass
`wait` before each invocation and tell `note` of each completion; while holders are paused, the next slot
that holds a lock and has read the record under it is stopped there. It sleeps until

    its lease has passed for certain    and    another slot was granted the lock and has read the record

the moment from which its write does harm, or until the clients are resumed. One sleeps on each lock at a
time, and who has just read beside it is spared: so about every second holder is paused.

To all others a paused holder is a dead one, of the hardest kind: its connection stays open, so that nothing
but its TTL tells the server. One that crashes, whose connection is closed by its machine, is an easier case.

Rejected: SIGSTOP to a client process (clients are threads here, and it would stop wherever it is, nearly
never between a read and its write), a pause of random length (most end inside the lease and show nothing).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.driving.system import Sleeper
from harness.record.history import Event

SLICE_S = 0.05
FIXED_S, DRIFT = 0.002, 1.0005  # the skew of a lease (harness.judging.checkers.grants): after it nobody may take it for live

ACQUISITIONS = frozenset({"try_acquire", "acquire_within"})
FOLLOWED = ACQUISITIONS | {"release", "resource_read"}


@dataclass(slots=True)
class _Victim:
    """A slot that was chosen. `asleep_at` None = it has not come to its next invocation yet; times in seconds."""

    slot: int
    key: str
    ttl_ms: int
    token: int
    asleep_at: float | None = None
    slept_s: float = 0.0
    succeeded: bool = False  # another slot was granted the lock and has read
    woken: bool = False
    back: bool = False

    def slept(self, now: float) -> float:
        return self.slept_s if self.woken or self.asleep_at is None else now - self.asleep_at


class Pauses:
    """The gate of a run's workers; thread-safe. It never calls the journal, and may be called under its lock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._condition = threading.Condition()
        self._armed = False
        self._grants: dict[tuple[int, str], int] = {}  # slot and lock -> TTL in ms
        self._victims: list[_Victim] = []

    def pause_holders(self) -> None:
        """Stop holders from now on, one a lock at a time; idempotent."""
        with self._condition:
            if not self._armed:
                self._victims = []
            self._armed = True

    def resume_clients(self) -> None:
        """Wake all and stop nobody from now on; idempotent."""
        with self._condition:
            self._armed = False
            self._victims = [victim for victim in self._victims if victim.asleep_at is not None]
            self._condition.notify_all()

    def sleepers(self) -> list[Sleeper]:
        """Give the slots that were stopped since holders are paused."""
        with self._condition:
            now = self._clock()
            return [Sleeper(each.slot, each.key, each.ttl_ms, round(each.slept(now) * 1000), each.back) for each in self._victims]

    def wait(self, slot: int, stopped: Callable[[], bool]) -> None:
        """Sleep here if this slot was chosen; call it before each invocation. Ends soon after `stopped` says so."""
        with self._condition:
            victim = self._of(slot)
            if victim is None:
                return
            victim.asleep_at = self._clock()
            while self._armed and not self._done(victim) and not stopped():
                self._condition.wait(SLICE_S)
            victim.slept_s, victim.woken = self._clock() - victim.asleep_at, True

    def note(self, slot: int, invoke: Event, completion: Event) -> None:
        """Learn how an operation of this slot ended; call it after each."""
        with self._condition:
            for victim in self._victims:
                victim.back |= victim.woken and victim.slot == slot
            if invoke.f in FOLLOWED and completion.type == "ok":
                self._follow(slot, invoke, completion.value)

    def _follow(self, slot: int, invoke: Event, answer: Any) -> None:
        if invoke.f in ACQUISITIONS and answer["granted"]:
            self._grants[slot, str(invoke.key)] = invoke.value["ttl_ms"]
        elif invoke.f == "release":
            self._grants.pop((slot, str(invoke.key)), None)
        elif invoke.f == "resource_read" and (ttl_ms := self._grants.get((slot, invoke.value["lock"]))) is not None:
            self._has_read(_Victim(slot, invoke.value["lock"], ttl_ms, invoke.value["fencing_token"]))

    def _has_read(self, holder: _Victim) -> None:
        before = [victim for victim in self._victims if victim.key == holder.key and not victim.woken]
        for victim in before:
            victim.succeeded |= victim.token < holder.token
            self._condition.notify_all()
        if self._armed and not before:
            self._victims.append(holder)

    def _of(self, slot: int) -> _Victim | None:
        return next((victim for victim in self._victims if victim.slot == slot and not victim.woken), None)

    def _done(self, victim: _Victim) -> bool:
        lasted_s = victim.ttl_ms / 1000 * DRIFT + FIXED_S
        return victim.succeeded and victim.slept(self._clock()) > lasted_s
