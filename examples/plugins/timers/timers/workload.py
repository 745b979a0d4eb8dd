"""Timers, as a scheduler keeps them in the index of timeouts: set, listed once they are due, taken away when they were served.

Times are numbers that a slot draws, and `now` is one that it chooses: no clock decides what is due.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.driving.client import Client
from harness.driving.generator import Context, Invocation, meeting
from harness.driving.workload import Attendant, Attended, Workload
from harness.record.history import Event

SET, TAKE, LIST = "index_timeout", "remove_timeout_index", "get_expired_timeouts"
LATEST_MS = 1_000_000
FORGOTTEN = 8


@dataclass(frozen=True, slots=True)
class TimersGenerator:
    """One slot's timers: it keeps some, takes the oldest away, and lists what is due of all slots'."""

    kept: int
    list_percent: int
    mine: tuple[str, ...] = ()
    listed: bool = False  # in the final phase

    def next(self, context: Context) -> tuple[Invocation | None, TimersGenerator]:
        if context.phase == "final":
            return None if self.listed else _asked(context, LIST, {"now_ms": LATEST_MS}), replace(self, listed=True)
        if context.draw.randrange(100) < self.list_percent:
            return _asked(context, LIST, {"now_ms": context.draw.choice((LATEST_MS, LATEST_MS // 2))}), self
        if len(self.mine) < self.kept:
            timer = f"{context.prefix}-timer-{context.slot}-{context.step}"
            return _asked(context, SET, {"key": timer, "time_ms": context.draw.randrange(LATEST_MS)}), self
        return _asked(context, TAKE, {"key": self.mine[0]}), replace(self, mine=self.mine[1:])

    def update(self, context: Context, invocation: Event, completion: Event) -> TimersGenerator:
        if invocation.f == SET and completion.type == "ok":
            return replace(self, mine=(*self.mine, invocation.value["key"]))
        return self


def _asked(context: Context, f: str, value: Mapping[str, Any]) -> Invocation:
    met = meeting(context)  # slots that wait for one instant overlap, and meet races that need two
    return Invocation(f, f"{context.prefix}-timers", value, met[1] if met is not None else 0)


@dataclass(slots=True)
class Forgetful:
    """The mutant: a client that sends timers later, from a buffer, and forgets every eighth."""

    client: Client
    set: int = 0

    def invoke(self, f: str, key: str, argument: Any) -> tuple[Any, str | None]:
        if f == SET:
            self.set += 1
            if self.set % FORGOTTEN == 0:
                return {}, None
        return self.client.invoke(f, key, argument)

    def close(self) -> None:
        self.client.close()


def _attend(run: Attended) -> Attendant:
    return Attendant(client=Forgetful) if run.mutant == "forgetful" else Attendant()


def _generator(options: Mapping[str, Any], functions: frozenset[str]) -> TimersGenerator:
    return TimersGenerator(**options)


TIMERS = Workload(
    name="timers",
    sentence="timers in the index of timeouts: set, listed once due, taken away",
    functions=frozenset({SET, TAKE, LIST}),
    checks=("punctual",),
    generator=_generator,
    options={"kept": 4, "list_percent": 20},
    least={"kept": 1},
    most={"list_percent": 100},
    attend=_attend,
    mutants={"forgetful": f"a client that answers before it sends, and forgets every {FORGOTTEN}th timer"},
)
