"""The documented tables as a terminal shows them: each cell with the document's words and the verdict of its worst claim.

A table stands as its document has it where a line has room. Where rows have words of their own ("Purpose", "Used By") these
stand beside the row's name and the verdicts below, since five verdicts and three columns of words fit into no line. Else
one cell stands below the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len
from rich.text import Text

from harness.claims.results import Cell, Judgement, Table, TableRow, Verify
from reports.terminal.lines import GAP, INDENT, QUIET, STRONG, Lines, clean, cleaned, mark, padded, stripped, wrapped

TAG = 15  # columns of the longest tag, "△ as-documented"
LEAST, NAME = 7, 12  # columns of a title, of a name that is wrapped


def documented(results: Verify, width: int) -> list[Lines]:
    """Show each documented table, that without a name first."""
    named = {table.name: table for table in results.tables}
    return [_table(named.get(name or ""), rows, results.claims, width) for name, rows in by_table(results).items()]


def by_table(results: Verify) -> dict[str | None, list[TableRow]]:
    """Give the rows of each documented table in the document's order, that without a name first; none of which nothing was asked for."""
    found: dict[str | None, list[TableRow]] = {None: []} | {table.name: [] for table in results.tables}
    for row in results.rows:
        found.setdefault(row.table, []).append(row)
    there = {name: rows for name, rows in found.items() if rows}
    return {name: rows for name, rows in there.items() if not _left_out(rows)} or there


def _left_out(rows: Sequence[TableRow]) -> bool:
    """Say whether a table has claims, and none of them was chosen."""
    cells = [cell for row in rows for cell in row.cells]
    return any(cell.unjudged for cell in cells) and not any(cell.claims for cell in cells)


def columns_of(rows: Sequence[TableRow]) -> list[str]:
    """Give the columns of a table that have verdicts."""
    return list(dict.fromkeys(cell.column for row in rows for cell in row.cells))


def about(rows: Sequence[TableRow]) -> list[str]:
    """Give the columns of a table that say what its rows are."""
    return list(dict.fromkeys(column for row in rows for column in row.says))


def _table(table: Table | None, rows: Sequence[TableRow], claims: Sequence[Judgement], width: int) -> Lines:
    name = wrapped(cleaned(table.name.upper(), STRONG), width, 2) if table else []
    title = table.row if table else "Backend"
    made = _below(title, rows, claims, width) if about(rows) else _beside_each_other(title, rows, claims, width)
    return [*name, *(made or _stacked(rows, claims, width))]


def _beside_each_other(title: str, rows: Sequence[TableRow], claims: Sequence[Judgement], width: int) -> Lines:
    """Give a table as its document has it; nothing where a line has no room for it."""
    columns = columns_of(rows)
    wanted = [_widest([row.name for row in rows], LEAST)]
    for column in columns:
        quotes = [_quoted(cell.quote) for row in rows for cell in row.cells if cell.column == column and cell.quote]
        wanted.append(_widest([column, *quotes], TAG))
    widths = _shrunk(wanted, [min(wanted[0], NAME), *(TAG for _ in columns)], width - GAP * len(columns))
    if widths is None:
        return []
    lines = _beside(_titles([title, *columns], widths), widths)
    for row in rows:
        cells = {cell.column: cell for cell in row.cells}
        entries = [_entry(cells[name], claims, wide) if name in cells else [] for name, wide in zip(columns, widths[1:], strict=True)]
        lines += _beside([wrapped(cleaned(row.name), widths[0], 2), *entries], widths)
    return lines


def _below(title: str, rows: Sequence[TableRow], claims: Sequence[Judgement], width: int) -> Lines:
    """Give a table whose rows have words of their own, the verdicts below them; nothing where a line has no room for it."""
    said = about(rows)
    wanted = [_widest([title, *(row.name for row in rows)], LEAST)]
    wanted += [_widest([column, *(_quoted(row.says.get(column, "")) for row in rows)], LEAST) for column in said]
    widths = _shrunk(wanted, [min(wide, NAME) for wide in wanted], width - GAP * len(said))
    grid = _grid(rows, claims, width)
    if widths is None or grid is None:
        return []
    lines = _beside(_titles([title, *said], widths), widths) + grid.lines(_titles(grid.columns, grid.widths))
    for row in rows:
        words = [
            wrapped(cleaned(_quoted(row.says[name])), wide, 0) if name in row.says else []
            for name, wide in zip(said, widths[1:], strict=True)
        ]
        lines += _beside([wrapped(cleaned(row.name, STRONG), widths[0], 2), *words], widths)
        lines += grid.lines([grid.entries.get((row.name, name), []) for name in grid.columns])
    return lines


@dataclass(frozen=True, slots=True)
class _Grid:
    """The verdicts of a table without its rows' names: the width of each column, what is before and between them."""

    columns: Sequence[str]
    entries: Mapping[tuple[str, str], Lines]
    widths: Sequence[int]
    indent: int
    gap: int

    def lines(self, cells: Sequence[Lines]) -> Lines:
        """Put cells beside each other."""
        return [Text.assemble(" " * self.indent, line) for line in _beside(cells, self.widths, self.gap)]


def _grid(rows: Sequence[TableRow], claims: Sequence[Judgement], width: int) -> _Grid | None:
    columns = columns_of(rows)
    entries = {(row.name, cell.column): _entry(cell, claims, width) for row in rows for cell in row.cells}
    least = [max([LEAST, *(line.cell_len for (_, of), lines in entries.items() if of == name for line in lines)]) for name in columns]
    wanted = [_widest([name], wide) for name, wide in zip(columns, least, strict=True)]
    for indent, gap in ((2, GAP), (0, 1)):
        widths = _shrunk(wanted, least, width - indent - gap * (len(columns) - 1))
        if widths is not None:
            return _Grid(columns, entries, widths, indent, gap)
    return None


def _quoted(words: str | None) -> str:
    return f"“{words}”" if words else ""


def _widest(texts: Sequence[str], least: int) -> int:
    return max([least, *(cell_len(clean(text)) for text in texts)])


def _titles(names: Sequence[str], widths: Sequence[int]) -> list[Lines]:
    return [wrapped(cleaned(name.upper(), STRONG), wide, 0) for name, wide in zip(names, widths, strict=True)]


def _shrunk(wanted: Sequence[int], least: Sequence[int], room: int) -> list[int] | None:
    """Give the widths that fit into a room, the widest made smaller first; None where none do."""
    widths = list(wanted)
    if sum(least) > room:
        return None
    while sum(widths) > room:
        widest = max((n for n in range(len(widths)) if widths[n] > least[n]), key=lambda n: widths[n])
        widths[widest] -= 1
    return widths


def _entry(cell: Cell, claims: Sequence[Judgement], width: int) -> Lines:
    """Give a cell: the document's words, the verdict of its worst claim, and what cannot be tested beside it."""
    quote = wrapped(cleaned(_quoted(cell.quote)), width, 0) if cell.quote else []
    beside = [claim for claim in claims if claim.id in cell.claims and claim.verdict == "unavailable" != cell.verdict]
    more = [Text(f"– unavailable {len(beside)}", QUIET)] if beside else []
    return [*quote, mark(cell.verdict), *more]


def _beside(cells: Sequence[Lines], widths: Sequence[int], gap: int = GAP) -> Lines:
    lines: Lines = []
    for parts in zip_longest(*cells, fillvalue=Text("")):
        spaced = [padded(part, wide + gap) for part, wide in zip(parts, widths, strict=True)]
        lines.append(stripped(Text.assemble(*spaced)))
    return lines


def _stacked(rows: Sequence[TableRow], claims: Sequence[Judgement], width: int) -> Lines:
    """Give the table of a document with more columns than a line has room for: one cell below the other."""
    lines: Lines = []
    for row in rows:
        lines += wrapped(cleaned(row.name, STRONG), width, 2)
        for column, words in row.says.items():
            lines += wrapped(Text.assemble("  ", cleaned(f"{column}: {_quoted(words)}")), width, INDENT)
        for cell in row.cells:
            lines += wrapped(Text.assemble("  ", cleaned(cell.column)), width, INDENT)
            lines += [Text.assemble(" " * INDENT, line) for line in _entry(cell, claims, width - INDENT)]
    return lines
