"""Histories of simulated objects, right or spoilt, and the definition of linearizability as brute force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from harness.judging.models import Object
from harness.record.history import Operation

VALUES = ("a", "b", "c")


def brute_force(model: Object, operations: Sequence[Operation]) -> bool:
    """Try every order that keeps real time, unanswered operations in it or not: Herlihy and Wing's definition."""
    kept = [operation for operation in operations if operation.status != "fail"]
    return _fits({model}, tuple(kept))


def _fits(states: set[Any], left: tuple[Operation, ...]) -> bool:
    if not states:
        return False
    if all(operation.status == "info" for operation in left):
        return True
    first_end = min(operation.end_index for operation in left if operation.end_index is not None)
    for operation in left:
        if operation.index < first_end:
            after = {each for state in states for each in state.step(operation)}
            if _fits(after, tuple(other for other in left if other is not operation)):
                return True
    return False


def draw(random: Random, model: Object, unique: int | None = None) -> tuple[str, Any]:
    """Draw an operation; with `unique` every written value is another one."""
    value = random.choice(VALUES) if unique is None else f"v{unique}"
    match model.name:
        case "register":
            f = random.choice(("read", "write", "cas") if unique is None else ("read", "read", "write"))
            other = random.choice(VALUES)
            return f, {"read": None, "write": value, "cas": [other, value]}[f]
        case "versioned-register":
            f = random.choice(("set", "get", "get_versioned", "compare_and_swap", "compare_and_swap", "delete", "check_and_set"))
            if unique is not None and f in ("delete", "check_and_set"):
                f = "get_versioned"
            argument: dict[str, Any] = {"value": value, "ttl_ms": None} if f in ("set", "check_and_set", "compare_and_swap") else {}
            if f == "compare_and_swap":
                argument["expected"] = random.randrange(3)
            return f, argument
        case "counter":
            f = random.choice(("increment", "increment", "get"))
            delta = random.choice((1, 1, 2, -1, 2**63 - 1)) if unique is None else 1
            return f, {"delta": delta, "ttl_ms": None} if f == "increment" else {}
        case "dedup":
            f = random.choice(("check_and_set", "check_and_set", "get", "get_versioned"))
            return f, {"value": value, "ttl_ms": None} if f == "check_and_set" else {}
    raise ValueError(model.name)


@dataclass
class _Open:
    process: int
    f: str
    argument: Any
    start: int
    done: bool = False
    result: Any = None


@dataclass
class Simulation:
    """A perfect object and clients that call it; `lies` is the share of answers that are wrong.

    Without `refusals` a cas that does not match fails, as in Knossos' histories, and tells nothing.
    """

    random: Random
    model: Object
    clients: int = 3
    unanswered: float = 0.0
    lies: float = 0.0
    unique: bool = False
    refusals: bool = True
    index: int = -1
    found: list[Operation] = field(default_factory=list)

    def run(self, calls: int) -> list[Operation]:
        """Give the operations of so many calls, those that are open at the end included."""
        state, earlier = self.model, [self.model]
        open_: dict[int, _Open] = {}
        processes = list(range(self.clients))
        holding: set[int] = set()
        made = 0
        late: list[_Open] = []
        while made < calls or open_:
            slot = self.random.randrange(self.clients)
            call = open_.get(slot)
            if call is None:
                if made == calls:
                    continue
                process = processes[slot]
                if self.model.name == "mutex":
                    f, argument = "release" if process in holding else "acquire", process
                else:
                    f, argument = draw(self.random, self.model, made if self.unique else None)
                open_[slot] = _Open(process, f, argument, self._tick())
                made += 1
            elif not call.done and self.random.random() < 0.6:
                lying = self.random.random() < self.lies
                after, result = state.apply(call.f, call.argument)
                call.result = self._lie(earlier, call) if lying else result
                if self.model.name == "mutex" and lying:
                    call.result = True
                call.done, state = True, after
                earlier = [*earlier[-5:], state]
            elif self.random.random() < self.unanswered:
                del open_[slot]
                processes[slot] += self.clients
                self._record(call, "info")
                late.append(call)
            elif call.done:
                del open_[slot]
                refused = call.result is False and (self.model.name == "mutex" or not self.refusals)
                if self.model.name == "mutex" and not refused:
                    (holding.add if call.f == "acquire" else holding.discard)(call.process)
                self._record(call, "fail" if refused else "ok")
            if late and self.random.random() < 0.3:
                call = late.pop()
                if not call.done and self.random.random() < 0.5:
                    state = state.apply(call.f, call.argument)[0]
        return sorted(self.found, key=lambda operation: operation.index)

    def _lie(self, earlier: Sequence[Any], call: _Open) -> Any:
        """Answer from an earlier state, or from one that never was."""
        state = self.random.choice(earlier)
        if self.model.name != "mutex" and self.random.random() < 0.5:
            state = state.apply(*draw(self.random, self.model))[0]
        return state.apply(call.f, call.argument)[1]

    def _tick(self) -> int:
        self.index += 1
        return self.index

    def _record(self, call: _Open, status: Any) -> None:
        end = self._tick()
        self.found.append(
            Operation(
                index=call.start,
                process=call.process,
                f=call.f,
                key="k",
                argument=None if self.model.name == "mutex" else call.argument,
                status=status,
                result=None if status != "ok" or self.model.name == "mutex" else call.result,
                start=call.start,
                end=None if status == "info" else end,
                end_index=None if status == "info" else end,
                gave_up=end if status == "info" else None,
            )
        )
