"""The shortest sub-history of a key with time that is still impossible, which class of anomalies it is, and a sentence with its times.

Every step maps each possible history to a possible one, so that a core which is impossible condemns the whole (`shrink` has the rules):

T  Cut after a completion: what is open then is unanswered. The *culprit* is the completion after which it is impossible.
W  Start at an *anchor*, an operation whose answer proves what was there: a key that it found missing or removed, or what it wrote then.
   What began after it stays, what overlaps it becomes unanswered, what ended before it goes. With clients' clocks what one client found
   missing proves nothing for others.
R  Remove an answered operation that leaves every key alone.
D  Make an answered operation unanswered.

The class is told by what would explain the core: keys that may end at any time, keys that may outlast their TTL, or neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.judging.check import Budget
from harness.judging.checkers.instants import Clock, Coarse, Ends, Window, Zone
from harness.judging.checkers.shrink import cut, unanswered
from harness.judging.checkers.timed import NOTHING, Began, TimedSearch
from harness.judging.checkers.timed_steps import EVERY_RULE, NO_RULE, Rules
from harness.judging.models.key import MISSING, answer, asked, changes, has_ttl, perform
from harness.judging.models.versioned_register import VERSIONED_REGISTER, VersionedRegister
from harness.judging.verdict import Status
from harness.record.history import Operation

TRIAL_STEPS = 2_000
"""Steps of a trial, beside twice those of the whole: what is small enough to show is decided in hundreds."""
CERTIFY_S = 5.0
CERTIFY = Budget(steps=200_000)


@dataclass(frozen=True, slots=True)
class Core:
    """A violation that stands alone: these operations of a key, missing at first or as `anchor` left it. `culprit` has the last answer.

    `coarse`: it was found so, and its parts are, without instants for each operation. `cut` are all operations by the culprit's end, as
    they were then: some of those that the core has unanswered were answered.
    """

    clock: Clock
    operations: tuple[Operation, ...]
    culprit: Operation
    anchor: Operation | None = None
    coarse: bool = False
    cut: tuple[Operation, ...] = ()

    @property
    def open(self) -> int:
        """Count the operations that were unanswered by then."""
        never = {operation.index for operation in self.cut if operation.status == "info"}
        return sum(operation.status == "info" and operation.index in never for operation in self.operations)

    @property
    def answered(self) -> list[Operation]:
        """Give the operations whose answers contradict each other, the anchor first."""
        told = [operation for operation in self.operations if operation.status == "ok"]
        return [self.anchor, *told] if self.anchor else told

    @property
    def ends(self) -> Ends:
        """Give what ends keys in its searches."""
        return Coarse(self.clock) if self.coarse else self.clock

    def search(self, rules: Rules = EVERY_RULE) -> TimedSearch:
        """Make a search of it."""
        began = NOTHING if self.anchor is None else proved(self.anchor, self.ends, timed=any(map(_timed, self.operations)))
        assert began is not None
        return TimedSearch(self.ends, self.operations, began, rules)


@dataclass(frozen=True, slots=True)
class Until:
    """Trials of weaker cores, until a deadline on the clock `now`; `steps` is what the search took to find the whole impossible."""

    deadline: float
    now: Callable[[], float]
    steps: int = 0

    def over(self) -> bool:
        """Say that no time is left."""
        return self.now() >= self.deadline

    def invalid(self, core: Core) -> bool:
        """Say that a core is impossible for certain; False where the search did not end."""
        limits = Budget(steps=2 * self.steps + TRIAL_STEPS)
        return not self.over() and core.search().run(self.deadline - self.now(), limits, self.now) is Status.INVALID


def core_of(whole: Core, reached: int, until: Until) -> Core:
    """Weaken an impossible history of a key as far as time allows; `reached` is what the search reached of it."""
    return _thinned(_anchored(_cut(whole, reached, until), until), until)


def whole(clock: Clock, operations: Sequence[Operation], *, coarse: bool) -> Core:
    """Give the core that is the whole history of a key."""
    return Core(clock, tuple(operations), max((each for each in operations if each.status == "ok"), key=_end), coarse=coarse)


def stands(core: Core) -> bool:
    """Find the core impossible again, by the bare definition if that ends, else with every rule. What does not end refutes nothing."""
    exact = replace(core, coarse=False)
    for search in (exact.search(NO_RULE), exact.search(), core.search()):
        found = search.run(CERTIFY_S, CERTIFY)
        if found is not None:
            return found is not Status.VALID
    return True


def _cut(whole: Core, reached: int, until: Until) -> Core:
    """Rule T: invalidity is monotone in the cut."""
    returns = sorted((operation for operation in whole.operations if operation.status == "ok"), key=_end)

    def after(place: int) -> Core:
        left = tuple(_without_looks(cut(whole.operations, returns[place])))
        return replace(whole, operations=left, culprit=returns[place], cut=left)

    low, high, step, last = reached - 1, min(reached, len(returns) - 1), 1, len(returns) - 1  # cut after `low` is possible
    while high < last and not until.invalid(after(high)):
        low, high, step = high, min(high + step, last), step * 2
    while high - low > 1:
        middle = (low + high) // 2
        if until.invalid(after(middle)):
            high = middle
        else:
            low = middle
    return after(high)


def _without_looks(operations: Sequence[Operation]) -> Iterator[Operation]:
    return (operation for operation in operations if operation.status == "ok" or operation.f not in ("get", "get_versioned"))


def _anchored(core: Core, until: Until) -> Core:
    """Rule W: the nearest anchor that will do, at doubling distances."""
    before = [operation for operation in core.answered if _end(operation) < core.culprit.index]
    before = [each for each in sorted(before, key=_end, reverse=True) if _from(core, each) is not None]
    distance = 0
    while distance < len(before):
        shorter = _from(core, before[distance])
        if shorter is not None and until.invalid(shorter):
            return shorter
        distance = max(distance + 1, distance * 2)
    return core


def _from(core: Core, anchor: Operation) -> Core | None:
    kept = tuple(
        operation if operation.status == "info" or operation.index > _end(anchor) else unanswered(operation)
        for operation in core.operations
        if operation is not anchor and (operation.end_index is None or operation.end_index > anchor.index)
    )
    shorter = replace(core, operations=tuple(_without_looks(kept)), anchor=anchor)
    return shorter if proved(anchor, core.ends, timed=any(map(_timed, core.operations))) else None


def proved(anchor: Operation, ends: Ends, *, timed: bool) -> Began | None:
    """Give what an answered operation proves to be there right after it, None if it leaves some of it open.

    What was found there may end at any time; only where nothing brings a TTL (`timed` false) is it proved whole.
    """
    assert anchor.end is not None
    what, given = asked(anchor), answer(anchor)
    if what.f == "delete" and given == (True,):
        return Began(zone=Zone(anchor.start))
    if finds_missing(anchor):
        step = perform(MISSING, what)
        if step.renews and what.ttl_ms is not None:
            window = Window(anchor.start, anchor.end)
            return Began(step.cell, ends.holds(what.ttl_ms), ends.written((anchor.start, anchor.end), window, what.ttl_ms))
        return Began(step.cell, zone=Zone(anchor.start)) if step.renews or ends.decides else None
    if timed or anchor.f not in VERSIONED_REGISTER.functions:
        return None
    state = VersionedRegister().after(anchor)
    return None if state is None else Began(replace(MISSING, value=state.value, version=state.version), zone=Zone(anchor.start))


def finds_missing(operation: Operation) -> bool:
    """Say whether an answer says that nothing was there; an increment's never does for certain."""
    given = answer(operation)
    match operation.f:
        case "get" | "get_versioned":
            return given is not None and given[0] is None
        case "delete":
            return given == (False,)
        case "check_and_set":
            return given == (True,)
        case "compare_and_swap":
            return given is not None and (given[1] == 0 or (given[0] and operation.argument["expected"] == 0))
    return False


def finds_there(operation: Operation) -> bool:
    """Say whether an answer says that something was there."""
    if operation.f == "increment":
        return operation.status == "ok" and operation.result["value"] not in (None, operation.argument["delta"])
    return operation.status == "ok" and operation.f != "set" and not finds_missing(operation)


def _thinned(core: Core, until: Until) -> Core:
    """Rules R and D, in chunks halved down to single operations: first those that only look, so that writes keep their answers."""
    answered = [operation for operation in core.operations if operation.status == "ok" and operation is not core.culprit]
    left = [operation.index for operation in sorted(answered, key=changes)]
    size = len(left)
    while size:
        place = 0
        while place < len(left):
            weaker = _weaker(core, frozenset(left[place : place + size]))
            if until.invalid(weaker):
                core = weaker
                del left[place : place + size]
            else:
                place += size
        size //= 2
    return core


def only(core: Core, one: Operation, other: Operation) -> Core | None:
    """Give the core in which these two alone are answered, beside the anchor; None if it is not impossible for certain."""
    others = frozenset(operation.index for operation in core.operations if operation.status == "ok") - {one.index, other.index}
    weaker = replace(_weaker(core, others), culprit=max(one, other, key=_end))
    found = weaker.search().run(CERTIFY_S, CERTIFY)
    return weaker if found is Status.INVALID else None


def _weaker(core: Core, indices: frozenset[int]) -> Core:
    kept = (
        unanswered(operation) if operation.index in indices else operation
        for operation in core.operations
        if operation.index not in indices or changes(operation)
    )
    return replace(core, operations=tuple(kept))


# What would explain it


def explained(core: Core, clock: Clock) -> bool:
    """Say that a core is possible by another clock, and nothing known says that what it was cut from is not: there more was answered."""
    if replace(core, clock=clock).search().run(CERTIFY_S, CERTIFY) is not Status.VALID:
        return False
    before = replace(core, clock=clock, operations=core.cut, anchor=None)
    return not core.cut or before.search().run(CERTIFY_S, CERTIFY) is not Status.INVALID


def _timed(operation: Operation) -> bool:
    return has_ttl(operation.argument)


def _end(operation: Operation) -> int:
    assert operation.end_index is not None
    return operation.end_index
