"""The shortest sub-history of a violation: what a reader has to look at, and nothing else.

Every step maps each linearizable history to a linearizable one, so that a core which is invalid condemns the
whole history:

T  Cut after a completion: what is open then is unanswered. The *culprit* is the completion after which the cut
   history is invalid; invalidity is monotone in the cut, so doubling and bisection find it. The point that the
   search reached is not it in 2 to 5 % of small histories: the search looks at answers of operations still open.
W  Start at an *anchor*, an answered operation that proves the whole state: that state is the initial one.
   What began after it stays, what overlaps it becomes unanswered, what ended before it goes.
R  Remove an answered operation that leaves every state alone.
D  Make an answered operation unanswered, its result erased (with the result left in, a hundred different
   increments blow the search up).
V  Register without negative observations: remove a value, its writes, its reads, the cas that write it; a cas
   that expects it becomes a write.

Not sound, hence not here: removing an unanswered or a writing operation outright. What is left of those is
counted in words. The order is T, W, then chunks halved down to single operations (Zeller and Hildebrandt's
ddmin; since weakening is monotone one pass per size is enough) over V, R and D. A trial that its budget ends
counts as "not invalid": the core is then larger, never wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec

from harness.judging.check import Budget
from harness.judging.checkers.reductions import looked_at, needed, plain, writes, written
from harness.judging.checkers.search import Rules, Search
from harness.judging.model import Model
from harness.judging.models import Object
from harness.judging.models.register import Register
from harness.judging.verdict import Status
from harness.record.fields import canonical
from harness.record.history import Operation

Item = TypeVar("Item", str, int)
TRIAL = Budget(steps=200_000)
STATES = Budget(steps=50_000)
WITHOUT_HIDING = Rules(rename=False, needed=False, overwritten=False)
"""The rules that hide no state that could have been there."""


@dataclass(frozen=True, slots=True)
class Core:
    """A violation that stands alone: these operations, from the state `model` that `anchor` proved (None = the start).

    `culprit` is the operation whose completion no order explains. `minimal` says that none of the other
    answered operations can be weakened any further; it is False where time ran out. `wider` are the cores that this one
    was made from, the widest first: cut, then anchored; in them nothing that could explain it is left out.
    """

    model: Model
    operations: tuple[Operation, ...]
    culprit: Operation
    anchor: Operation | None = None
    minimal: bool = False
    wider: tuple[Core, ...] = ()

    @property
    def answered(self) -> list[Operation]:
        """Give the operations whose answers contradict each other."""
        return [operation for operation in self.operations if operation.status == "ok"]


@dataclass(frozen=True, slots=True)
class Trials:
    """Searches of weakened histories, until a deadline on the clock `now`."""

    until: float
    now: Callable[[], float]

    def over(self) -> bool:
        """Say that no time is left."""
        return self.now() >= self.until

    def invalid(self, model: Model, operations: Sequence[Operation]) -> bool:
        """Say that a history is invalid for certain; False where the search did not end."""
        if self.over():
            return False
        return Search(model, operations).run(self.until - self.now(), TRIAL, self.now) is Status.INVALID


def shrink(model: Model, operations: Sequence[Operation], reached: int, trials: Trials) -> Core:
    """Weaken an invalid history as far as time allows; `reached` is what `Search` reached of it."""
    whole = _cut(model, operations, reached, trials)
    anchored = core = _anchored(whole, trials)
    if isinstance(model, Register) and plain(core.operations):
        core = _without_values(core, trials)
    core = _thinned(core, trials)
    return replace(core, operations=tuple(needed(core.model, core.operations)), wider=(whole, anchored))


def possible_states(core: Core, trials: Trials) -> list[str] | None:
    """Give every state that may have been there when the culprit returned, in words; None if there was no time to find all."""
    for each in core.wider:
        search = Search(each.model, each.operations, WITHOUT_HIDING)
        if search.run(max(0.0, trials.until - trials.now()), STATES, trials.now) is Status.INVALID:
            return sorted({str(state) for state in search.possible_states()}, key=lambda text: (len(text), text))
    return None


def _cut(model: Model, operations: Sequence[Operation], reached: int, trials: Trials) -> Core:
    """Rule T."""
    returns = sorted((operation for operation in operations if operation.status == "ok"), key=_end)
    low, high, step = reached - 1, reached, 1  # cut after `low` is valid
    while high < len(returns) - 1 and not trials.invalid(model, cut(operations, returns[high])):
        low, high, step = high, min(high + step, len(returns) - 1), step * 2
    high = min(high, len(returns) - 1)
    while high - low > 1:
        middle = (low + high) // 2
        if trials.invalid(model, cut(operations, returns[middle])):
            high = middle
        else:
            low = middle
    return Core(model, tuple(_without_idle(model, cut(operations, returns[high]))), returns[high])


def cut(operations: Iterable[Operation], last: Operation) -> list[Operation]:
    """Give the history up to the completion of `last` (rule T)."""
    end = _end(last)
    kept = (operation for operation in operations if operation.index < end and operation.status != "fail")
    return [operation if operation.end_index is None or operation.end_index <= end else unanswered(operation) for operation in kept]


def unanswered(operation: Operation) -> Operation:
    """Give the operation without its answer (rule D)."""
    return msgspec.structs.replace(operation, status="info", result=None, end=None, end_index=None, gave_up=operation.end)


def _anchored(core: Core, trials: Trials) -> Core:
    """Rule W: the nearest anchor that will do, at doubling distances."""
    before = [operation for operation in core.answered if _end(operation) < core.culprit.index]
    before.sort(key=_end, reverse=True)
    distance = 0
    while distance < len(before):
        shorter = from_anchor(core, before[distance])
        if shorter is not None and trials.invalid(shorter.model, shorter.operations):
            return shorter
        distance = max(distance + 1, distance * 2) if shorter is not None else distance + 1
    return core


def from_anchor(core: Core, anchor: Operation) -> Core | None:
    """Give what must hold after an anchor (rule W), None if the operation does not prove the whole state."""
    state = core.model.after(anchor) if isinstance(core.model, Object) else None
    if state is None:
        return None
    kept = [
        operation if operation.status == "info" or operation.index > _end(anchor) else unanswered(operation)
        for operation in core.operations
        if operation is not anchor and (operation.end_index is None or operation.end_index > anchor.index)
    ]
    return replace(core, model=state, operations=tuple(_without_idle(core.model, kept)), anchor=anchor)


def _without_idle(model: Model, operations: Iterable[Operation]) -> list[Operation]:
    return [
        operation for operation in operations if operation.status == "ok" or not (isinstance(model, Object) and model.observes(operation))
    ]


def _without_values(core: Core, trials: Trials) -> Core:
    """Rule V, in chunks."""
    assert isinstance(core.model, Register)
    kept = {core.model.value, *map(canonical, looked_at(core.culprit))}
    if writes(core.culprit):
        kept.add(canonical(written(core.culprit)))
    values = sorted({canonical(written(operation)) for operation in core.operations if writes(operation)} - kept)

    def weaken(now: Core, chunk: Sequence[str]) -> Core:
        return replace(now, operations=tuple(without_values(now.operations, frozenset(chunk))))

    return _in_chunks(core, values, weaken, trials)[0]


def without_values(operations: Iterable[Operation], values: frozenset[str]) -> list[Operation]:
    """Remove values from a register's history without negative observations (rule V)."""
    kept = []
    for operation in operations:
        if writes(operation) and canonical(written(operation)) in values:
            continue
        looked = {canonical(value) for value in looked_at(operation)}
        if not looked & values:
            kept.append(operation)
        elif operation.f == "cas":
            new = operation.argument[1]
            kept.append(msgspec.structs.replace(operation, f="write", argument=new, result=None))
    return kept


def _thinned(core: Core, trials: Trials) -> Core:
    """Rules R and D, in chunks."""
    indices = [operation.index for operation in core.answered if operation.index != core.culprit.index]

    def weakened(now: Core, chunk: Sequence[int]) -> Core:
        return weaken(now, frozenset(chunk))

    core, done = _in_chunks(core, indices, weakened, trials)
    return replace(core, minimal=done)


def weaken(core: Core, indices: frozenset[int]) -> Core:
    """Remove operations that change nothing (R) and make the others unanswered (D)."""
    kept = [
        unanswered(operation) if operation.index in indices else operation
        for operation in core.operations
        if not _gone(core, operation, indices)
    ]
    return replace(core, operations=tuple(kept))


def _gone(core: Core, operation: Operation, indices: frozenset[int]) -> bool:
    return operation.index in indices and isinstance(core.model, Object) and core.model.observes(operation)


def _in_chunks(core: Core, items: Sequence[Item], weaken: Callable[[Core, Sequence[Item]], Core], trials: Trials) -> tuple[Core, bool]:
    """Weaken as many of the items as leave the core invalid; say whether all were tried."""
    left, size = list(items), len(items)
    while size:
        place = 0
        while place < len(left):
            chunk = left[place : place + size]
            weaker = weaken(core, chunk)
            if trials.invalid(weaker.model, weaker.operations):
                core = weaker
                del left[place : place + size]
            else:
                place += size
        size //= 2
    return core, not trials.over()


def _end(operation: Operation) -> int:
    assert operation.end_index is not None
    return operation.end_index
