"""What operations do to the cells of a key, asked for once, with values and versions that nobody looks at left out.

Half of `harness.judging.checkers.timed`, which says why its rules N, V and W lose no order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from harness.judging.models.key import MISSING, Asked, Cell, Step, answer, asked, changes, number_of, perform, without_versions
from harness.record.history import Operation

VERSIONED = frozenset({"get_versioned", "compare_and_swap"})
WRITING = frozenset({"set", "check_and_set", "compare_and_swap"})
WATCHING = frozenset({"get", "get_versioned"})
UNREAD = "(a value that nobody read)"


@dataclass(frozen=True, slots=True)
class Rules:
    """Which reductions the search uses; all of them are exact."""

    rename: bool = True  # N
    absorb: bool = True  # E
    watch: bool = True  # O
    classes: bool = True  # C
    overwritten: bool = True  # L
    versions: bool = True  # V
    wanted: bool = True  # W


EVERY_RULE = Rules()
NO_RULE = Rules(rename=False, absorb=False, watch=False, classes=False, overwritten=False, versions=False, wanted=False)


class Known(NamedTuple):
    """A step with its cell as a number."""

    cell: int
    renews: bool
    ttl_ms: int | None


class Steps:
    """What operations do to cells, each asked for once; cells and identities are numbered, the first cell is 0."""

    def __init__(self, first: Cell, operations: Sequence[Operation], rules: Rules, *, own: bool) -> None:
        self._cells: list[Cell] = []
        self._cell_numbers: dict[Cell, int] = {}
        self._versions = not rules.versions or any(operation.f in VERSIONED for operation in operations)
        self._own = own
        self._mentioned = _mentioned(operations) if rules.rename else None
        self._readers = _readers(operations, first) if rules.wanted else {}
        self._identity_numbers: dict[Hashable, int] = {}
        self._examples: list[tuple[Asked, tuple[object, ...] | None]] = []
        self._known: list[dict[int, Known | None]] = []
        self.looks: list[bool] = []
        """Of each identity: whether it changes nothing wherever it is possible."""
        self._cell(first if self._versions or first == MISSING else replace(first, version=1))
        self.missing = self._cell(MISSING)

    def identity(self, operation: Operation) -> int:
        """Number what the specification looks at; each is of its own where rule C is off."""
        what, given = asked(operation), answer(operation)
        if self._mentioned is not None and what.value is not None and what.value not in self._mentioned:
            if what.f == "compare_and_swap" and given is not None and given[0] and given[2] == what.value:
                given = (*given[:2], UNREAD)
            what = replace(what, value=UNREAD)
        name: Hashable = (what, given, operation.index) if self._own else (what, given)
        number = self._identity_numbers.setdefault(name, len(self._examples))
        if number == len(self._examples):
            self._examples.append((what, given))
            self.looks.append(operation.status == "ok" and not changes(operation))
            self._known.append({})
        return number

    def of(self, cell: int, identity: int) -> Known | None:
        """Give what an operation does to a cell, None if its answer is impossible."""
        known = self._known[identity]
        if cell not in known:
            what, given = self._examples[identity]
            step = perform(self._cells[cell], what)
            legal = given is None or step.answer == given
            known[cell] = self._numbered(step, what) if legal else None
        return known[cell]

    def readers(self, cell: int) -> Sequence[int]:
        """Give the operations whose answer tells the value of a cell, where nobody can write it again."""
        value = self._cells[cell].value
        return self._readers.get(value, ()) if value is not None else ()

    def loses(self, cell: int, after: int) -> bool:
        """Say whether the value of a cell is another one afterwards."""
        return self._cells[cell].value != self._cells[after].value

    def _numbered(self, step: Step, what: Asked) -> Known:
        after = step if self._versions else without_versions(step)
        return Known(self._cell(after.cell), after.renews, what.ttl_ms)

    def _cell(self, cell: Cell) -> int:
        number = self._cell_numbers.setdefault(cell, len(self._cells))
        if number == len(self._cells):
            self._cells.append(cell)
        return number


def _mentioned(operations: Sequence[Operation]) -> set[object] | None:
    """Give the values that answers tell, None where something computes with values."""
    if any(operation.f == "increment" for operation in operations):
        return None
    return {value for operation in operations for value in _told(operation)}


def _readers(operations: Sequence[Operation], first: Cell) -> dict[str, list[int]]:
    """Give who reads each value that is there or written once at most, by an answered operation."""
    counts = any(operation.f == "increment" for operation in operations)
    writes = Counter(operation.argument["value"] for operation in operations if operation.f in WRITING)
    writes.update([first.value] if first.value is not None else [])
    unsure = {operation.argument["value"] for operation in operations if operation.f in WRITING and operation.status != "ok"}
    found: dict[str, list[int]] = {}
    for operation in operations:
        for value in _told(operation):
            if isinstance(value, str) and writes[value] <= 1 and value not in unsure and not (counts and number_of(value) is not None):
                found.setdefault(value, []).append(operation.index)
    return found


def _told(operation: Operation) -> list[object]:
    given = answer(operation)
    if given is None:
        return []
    if operation.f == "compare_and_swap":
        return [] if given[0] and given[2] == operation.argument["value"] else [given[2]]
    return [given[0]] if operation.f in WATCHING else []
