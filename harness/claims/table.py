"""What the tables print: the documented cells with a verdict each, the headline, and the exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from harness.claims.claim import COLUMNS, Claims, Row, Word
from harness.claims.results import Cell, Judgement, Shown, Table, TableRow

NOT_JUDGED: Shown = "not judged"
PASSED_ON = (130, 70, 3)
"""Exit codes of a shard that stand whatever the others found; 1, 2 and 0 are made anew from the claims."""
PRECEDENCE = (130, 64, 70, 1, 3, 2, 0)
MOST_TOLD = 3
"""Contradictions of which the headline tells what was promised; of more it names the cells."""
NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")


def table(claims: Claims, judgements: Sequence[Judgement]) -> tuple[TableRow, ...]:
    """Give the documented tables with a verdict in each cell; a file without rows has those that its claims name."""
    rows = claims.rows or _rows_of(claims)
    return tuple(_row(row, claims, judgements) for row in rows)


def _rows_of(claims: Claims) -> list[Row]:
    """Give the rows that the claims of a file without rows name, each with all columns that any of them names."""
    quotes: dict[str, dict[str, str]] = {}
    for claim in claims.claims:
        row, column = claim.cell
        if claim.quote is not None:
            quotes.setdefault(row, {}).setdefault(column, claim.quote)
        quotes.setdefault(row, {})
    return [Row(name=name, says=says) for name, says in quotes.items()]


def _row(row: Row, claims: Claims, judgements: Sequence[Judgement]) -> TableRow:
    table = claims.table(row.table)
    columns = table.columns if claims.rows else dict.fromkeys(claim.cell[1] for claim in claims.claims)
    cells = tuple(_cell((row.name, column), row, claims, judgements) for column in columns)
    says = {column: row.quotes[column] for column in table.about if column in row.quotes}
    return TableRow(name=row.name, cells=cells, table=row.table, says=says)


def _cell(place: tuple[str, str], row: Row, claims: Claims, judgements: Sequence[Judgement]) -> Cell:
    mine = [judgement for judgement in judgements if (judgement.table, judgement.cell) == (row.table, place)]
    judged = {judgement.id for judgement in mine}
    unjudged = tuple(claim.id for claim in claims.claims if (claim.table, claim.cell) == (row.table, place) and claim.id not in judged)
    return cell(place[1], row.quotes.get(place[1]), mine, unjudged)


def cell(column: str, quote: str | None, mine: Sequence[Judgement], unjudged: tuple[str, ...]) -> Cell:
    """Give a cell with the worst of its claims; where some were not judged the others do not speak for them."""
    claims = tuple(judgement.id for judgement in mine)
    if not mine:
        return Cell(column=column, quote=quote, verdict=NOT_JUDGED, claims=claims, unjudged=unjudged)
    deciding = [judgement.verdict for judgement in mine if not (judgement.verdict is Word.UNAVAILABLE and judgement.expected)]
    words = deciding or [Word.UNAVAILABLE]
    if unjudged:
        words.append(Word.INCONCLUSIVE)
    worst = min(words, key=lambda word: word.rank)
    shown = next(each for each in get_args(Shown) if each == worst)
    return Cell(column=column, quote=quote, verdict=shown, claims=claims, unjudged=unjudged)


def exit_code(judgements: Sequence[Judgement], *, strict: bool = False) -> int:
    """Give the exit code (README): 70 a bug, 1 a verdict not expected, 3 infrastructure, 2 in doubt, 0 all as expected.

    `strict`: a contradiction of the document is 1 though it was expected. Where this machine lacks what every claim needs, nothing
    was judged: 2.
    """
    doubt = (Word.INCONCLUSIVE, Word.UNAVAILABLE)
    surprising = [judgement for judgement in judgements if not judgement.expected]
    if any(judgement.bug is not None for judgement in judgements):
        return 70
    if any(judgement.verdict not in doubt for judgement in surprising):
        return 1
    if strict and any(judgement.verdict is Word.VIOLATED for judgement in judgements):
        return 1
    if any(judgement.infrastructure is not None for judgement in judgements):
        return 3
    return 2 if surprising or _nothing_judged(judgements) else 0


def exit_code_of_shards(code: int, shards: Iterable[int], failures: Mapping[str, str]) -> int:
    """Give the exit code of what was joined: `code` is that of its claims, `shards` are those of its shards."""
    codes = [code, *(each for each in shards if each in PASSED_ON), *([3] if failures else [])]
    return min(codes, key=PRECEDENCE.index)


def _nothing_judged(judgements: Sequence[Judgement]) -> bool:
    """Say whether every claim is unavailable, and of one at least it is not the claims file that expects it but this machine."""
    if any(judgement.verdict is not Word.UNAVAILABLE for judgement in judgements):
        return False
    return not judgements or any(each.absent and Word.UNAVAILABLE not in each.expect for each in judgements)


def place(cell: tuple[str, str], name: str | None, tables: Sequence[Table]) -> str:
    """Name a cell of a table in a sentence: "PostgreSQL, failover safety"; "increment on PostgreSQL" where the columns are backends."""
    row, column = cell
    if any(table.name == name and table.backends == "columns" for table in tables):
        return f"{row} on {column}"
    return f"{row}, {column.lower() if name is None or column in COLUMNS.values() else column}"


def headline(rows: Sequence[TableRow], judgements: Mapping[str, Judgement], tables: Sequence[Table] = ()) -> str:
    """Say first, and in words, what contradicts its document; else what was found, and what is in doubt."""
    claimed = [(row, cell) for row in rows for cell in row.cells if cell.verdict != NOT_JUDGED]
    cells = [(row, cell) for row, cell in claimed if cell.verdict != "unavailable"]
    wrong = [(place((row.name, cell.column), row.table, tables), cell) for row, cell in cells if cell.verdict == "violated"]
    if not cells:
        return "No documented cell was judged."
    of = f"{_number(len(cells)).lower()} judged {'cell' if len(cells) == 1 else 'cells'}"
    if wrong:
        told = " ".join(_contradiction(where, cell, judgements) for where, cell in wrong)
        if len(wrong) > MOST_TOLD:
            told = f"{'; '.join(where for where, _ in wrong)}."
        return f"{_number(len(wrong))} of {of} {'does' if len(wrong) == 1 else 'do'} not hold water: {told}"
    doubtful = sum(cell.verdict in ("inconclusive", "unavailable") for _, cell in claimed)
    findings = sum(cell.verdict == "finding" for _, cell in cells)
    text = f"No contradiction of the document was seen in {of}"
    if doubtful:
        text += f"; {_number(doubtful).lower()} could not be decided"
    if findings:
        text += f"; {_number(findings).lower()} {'has' if findings == 1 else 'have'} a finding of which the document is silent"
    return text + "."


def _number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def _contradiction(where: str, cell: Cell, judgements: Mapping[str, Judgement]) -> str:
    worst = next(judgements[name] for name in cell.claims if judgements[name].verdict is Word.VIOLATED)
    words = cell.quote or worst.quote
    quote = f" (“{words}”)" if words else ""
    return f"{where}{quote}: “{worst.sentence.rstrip('.')}” is {worst.said}."
