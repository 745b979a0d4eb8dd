"""One lock in plain characters: seconds, fault, roles, clients, and where two were entitled. For terminals and mail.

    ━ primary   ─ replica   ╳ dead   ▲ role change   █ must hold   ┄ may hold   ▓ both entitled
    ░ fault begun, not yet proved   ▒ fault proved on

One column stands for the instant at its left edge; what is shorter than a column still gets one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.record.history import RecordedFault
from reports.frame import ticks
from reports.scene import NodeSeen

COLUMNS = 62
LETTERS = {"primary": "━", "replica": "─", "dead": " "}


@dataclass(frozen=True, slots=True)
class Ruler:
    """The window in time over `COLUMNS` columns."""

    start: int
    end: int

    def column(self, at: int) -> int:
        """Give the column of an instant, that of an edge where it is outside."""
        place = (at - self.start) * COLUMNS // max(self.end - self.start, 1)
        return min(max(place, 0), COLUMNS - 1)

    def fill(self, row: list[str], start: int, end: int, letter: str) -> None:
        """Put a letter into the columns from start to end, at least one; nothing outside of the window."""
        if end < self.start or start > self.end:
            return
        first, last = self.column(start), self.column(end)
        for place in range(first, max(last, first + 1) if end < self.end else COLUMNS):
            row[place] = letter


@dataclass(frozen=True, slots=True)
class Holds:
    """A client's row: where it must hold, may hold, and shares the lock with another."""

    name: str
    must: tuple[tuple[int, int], ...] = ()
    may: tuple[tuple[int, int], ...] = ()
    both: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Strip:
    """What a strip shows; `mark` is the interval below it, with its words."""

    ruler: Ruler
    faults: Sequence[RecordedFault]
    nodes: Sequence[NodeSeen]
    clients: Sequence[Holds]
    mark: tuple[int, int]
    words: str

    def text(self) -> str:
        """Give the strip's lines, two columns indented."""
        rows = [self._axis(), *self._fault_rows(), *map(self._node, self.nodes), *map(self._client, self.clients)]
        width = max(len(name) for name, _ in rows) + 2
        lines = [f"  {name:<{width}}{row}".rstrip() for name, row in rows]
        return "\n".join(lines + [" " * (width + 2) + row for row in self._bracket()])

    def _axis(self) -> tuple[str, str]:
        at, unit, name, decimals = ticks(self.ruler.start, self.ruler.end, COLUMNS * 8)
        row = [" "] * (COLUMNS + 8)
        for time in at:
            label, place = f"{time / unit:.{decimals}f}", self.ruler.column(time)
            row[place : place + len(label)] = label
        return name, "".join(row)

    def _fault_rows(self) -> list[tuple[str, str]]:
        rows = []
        for fault in self.faults:
            row = [" "] * COLUMNS
            off = fault.healing.time if fault.healing is not None else self.ruler.end
            self.ruler.fill(row, fault.first.time, fault.active.time if fault.active is not None else off, "░")
            if fault.active is not None:
                self.ruler.fill(row, fault.active.time, off, "▒")
            rows.append(("fault", "".join(row)))
        return rows

    def _node(self, node: NodeSeen) -> tuple[str, str]:
        row = [" "] * COLUMNS
        for span in node.spans:
            self.ruler.fill(row, span.start, span.end, LETTERS.get(span.role, "·"))
            if span.role == "dead" and self.ruler.start <= span.start <= self.ruler.end:
                row[self.ruler.column(span.start)] = "╳"
        for at, _ in node.changes:
            if self.ruler.start <= at <= self.ruler.end:
                row[self.ruler.column(at)] = "▲"
        return node.name, "".join(row)

    def _client(self, client: Holds) -> tuple[str, str]:
        row = [" "] * COLUMNS
        for spans, letter in ((client.may, "┄"), (client.must, "█"), (client.both, "▓")):
            for start, end in spans:
                self.ruler.fill(row, start, end, letter)
        return client.name, "".join(row)

    def _bracket(self) -> list[str]:
        first, last = (self.ruler.column(at) for at in self.mark)
        last = max(last - 1, first) if self.mark[1] < self.ruler.end else last
        drawn = "└" + "─" * (last - first - 1) + "┘" if last > first else "↑"
        place = min(max((first + last + 1 - len(self.words)) // 2, 0), max(COLUMNS - len(self.words), 0))
        return [" " * first + drawn, " " * place + self.words]
