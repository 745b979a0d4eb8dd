"""index.html of a store of nights: what changed since last night, then every claim by night, then rates and bounds.

Drawn from the results.json files of the store alone, into one file that needs no script, no font and no address from
outside: a CI's viewer forbids scripts, and a mail has no network. The script only moves the keyboard's place among the cells.

A claim's trials are pooled over the nights in which it said the same thing (sentence, conditions, unit): a claim that was
reworded is another claim. The cells of the others stand, marked as what they were.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from harness.claims import nights
from harness.claims.nights import Night
from harness.claims.results import Judgement
from harness.claims.table import place
from harness.judging.statistics import Rate
from harness.judging.statistics import rate as pooled_rate
from harness.record import store
from reports.phrases import counted, listed
from reports.terminal.lines import MARKS, versions_said
from reports.terminal.verify import meaning, seeds

COLUMNS, NARROW = 30, 20
"""Nights of the matrix, and those of them that a narrow screen has room for."""
MOST_MISSED = 3  # empty columns in a row for days without a night
WEEK = 7
SAME = ("sentence", "conditions", "document", "unit")
NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
LEGEND = (
    ("violated", "promised, and a counterexample exists"),
    ("inconclusive", "a gate was not met"),
    ("unavailable", "cannot run here"),
    ("finding", "the document is silent; seen"),
    ("not-seen", "warned of; not seen"),
    ("as-documented", "warned of; seen"),
    ("holds", "no violation, every gate met"),
)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the matrix; `night` None = a day without one. `wide` = not shown where there is no room."""

    night: Night | None
    day: str
    number: str = ""
    month: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class _Cell:
    """A claim in a night: `word` None = nothing."""

    word: str | None
    label: str
    changed: bool = False
    surprising: bool = False


@dataclass(frozen=True, slots=True)
class _History:
    """A claim through all nights: its cells, its trials together, the points of its rate."""

    claim: Judgement
    number: int
    cells: tuple[_Cell, ...]
    pooled: Rate | None
    points: tuple[tuple[str | None, Rate | None], ...]  # verdict and rate of each night
    evidence: tuple[str, ...]

    @property
    def anchor(self) -> str:
        """Give the anchor of its details."""
        return f"claim-{self.number}"


@dataclass(frozen=True, slots=True)
class _Group:
    """The claims of a row of a documented table; `table` None: the one that has no name."""

    table: str | None
    row: str
    histories: Sequence[_History]


@dataclass(frozen=True, slots=True)
class _Change:
    """What is not as it was, or not as expected: `before` and `after` are verdicts."""

    history: _History
    before: str
    after: str
    said: str

    @property
    def turned(self) -> bool:
        """Say whether it is another verdict than before."""
        return self.before != self.after


@dataclass(frozen=True, slots=True)
class _Page:
    """All that the template shows."""

    every: Sequence[Night]
    columns: Sequence[_Column]
    groups: Sequence[_Group]
    changes: Sequence[_Change]
    notes: Sequence[str]
    title: str
    contradiction: str
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @property
    def histories(self) -> list[_History]:
        """Give all claims, in the order of the tables."""
        return [history for group in self.groups for history in group.histories]


def index(directory: Path) -> list[Path]:
    """Draw index.html of a store of nights; give its path, nothing where the store is empty."""
    every, unreadable = nights.nights(directory)
    if not every:
        return []
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters |= {"thousands": "{:,}".format, "y": _y, "x": _x}
    page = _page(every, unreadable)
    told = {
        "page": page,
        "tonight": every[-1],
        "results": every[-1].results,
        "ended": _ended(every[-1]),
        "tally": [(word, count) for word in MARKS if (count := Counter(str(each.verdict) for each in every[-1].results.claims)[word])],
        "meaning": meaning(every[-1].results),
        "place": partial(_place, night=every[-1]),
        "seeds": seeds(every[-1].results),
        "summary": store.is_plain(every[-1].directory / "summary.md", every[-1].directory),
        "broken": [each for each in page.histories if each.pooled and each.pooled.k],
        "never": sorted((each for each in page.histories if each.pooled and not each.pooled.k), key=_weakest_first),
        "legend": LEGEND,
        "versions": versions_said(every[-1].results),
        "narrow": min(NARROW, len(page.columns)),
        "first": _day(every[0]),
        "last": _day(every[-1]),
    }
    path = directory / nights.INDEX
    store.save(path, environment.get_template("nightly.html").render(told).encode("utf-8", "backslashreplace"))
    return [path]


def _shown(value: object) -> object:
    """Spell out what is not printable of all that the template shows; what a macro made is shown already."""
    return value if not isinstance(value, str) or isinstance(value, Markup) else store.printable(re.sub(r"\s", " ", value))


def _page(every: Sequence[Night], unreadable: Mapping[str, str]) -> _Page:
    columns = _columns(every)
    groups = _groups([_history(number, claim, every, columns) for number, claim in enumerate(every[-1].results.claims)], every[-1])
    histories = [history for group in groups for history in group.histories]
    changes = sorted((change for each in histories if (change := _change(each, every)) is not None), key=_worst_first)
    return _Page(every, columns, groups, changes, _notes(every, changes), _title(every, changes), _contradiction(every), unreadable)


def _groups(histories: Sequence[_History], tonight: Night) -> list[_Group]:
    """Give the claims by row, the tables in their order."""
    rows: dict[tuple[str | None, str], list[_History]] = {}
    for history in histories:
        rows.setdefault((history.claim.table, history.claim.cell[0]), []).append(history)
    order = [None, *(table.name for table in tonight.results.tables)]
    return [_Group(table, row, rows[table, row]) for table, row in sorted(rows, key=lambda place: order.index(place[0]))]


# The matrix


def _columns(every: Sequence[Night]) -> list[_Column]:
    """Give the newest nights with an empty column for a day that had none, dates over each week and month."""
    found: list[tuple[Night | None, date]] = []
    for night in every:
        day = night.ended.date()
        missed = (day - found[-1][1]).days - 1 if found else 0
        found += [(None, day - timedelta(n)) for n in range(min(missed, MOST_MISSED), 0, -1)]
        found.append((night, day))
    found = found[-COLUMNS:]
    return [
        _Column(
            night,
            _date(day),
            number=str(day.day) if (len(found) - 1 - place) % WEEK == 0 else "",
            month=MONTHS[day.month - 1][:3] if place == 0 or day.month != found[place - 1][1].month else "",
            wide=len(found) - place > NARROW,
        )
        for place, (night, day) in enumerate(found)
    ]


def _date(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1][:3]}"


def _day(night: Night) -> str:
    return _date(night.ended.date())


def _ended(night: Night) -> str:
    day = night.ended
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}, {day:%H:%M} UTC"


def _history(number: int, claim: Judgement, every: Sequence[Night], columns: Sequence[_Column]) -> _History:
    judged = [_of(night, claim.id) for night in every]
    same = [found if found and _is_same(found, claim) else None for found in judged]
    rates = [found.rate if found else None for found in same]
    n = sum(each.n for each in rates if each)
    cells: dict[str, _Cell] = {}
    last: Judgement | None = None
    for night, found in zip(every, judged, strict=True):
        if found is not None:
            cells[night.directory.name] = _cell(found, last, _day(night), reworded=not _is_same(found, claim))
            last = found
    return _History(
        claim=claim,
        number=number,
        cells=tuple(cells.get(column.night.directory.name if column.night else "") or _empty(claim, column) for column in columns),
        pooled=pooled_rate(sum(each.k for each in rates if each), n) if n else None,
        points=tuple((found.verdict if found else None, each) for found, each in zip(same, rates, strict=True)),
        evidence=_evidence(every[-1], number),
    )


def _of(night: Night, name: str) -> Judgement | None:
    return next((claim for claim in night.results.claims if claim.id == name), None)


def _is_same(one: Judgement, other: Judgement) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in SAME)


def _cell(found: Judgement, last: Judgement | None, day: str, *, reworded: bool) -> _Cell:
    counts = found.rate
    parts = [found.id, day, found.verdict]
    parts += [f"{counts} {found.unit}"] if counts else []
    parts += [] if found.expected else [f"not expected: {' or '.join(found.expect)}"]
    parts += ["worded otherwise, not counted"] if reworded else []
    changed = last is not None and last.verdict != found.verdict
    return _Cell(found.verdict, " · ".join(parts), changed=changed, surprising=not found.expected)


def _empty(claim: Judgement, column: _Column) -> _Cell:
    return _Cell(None, f"{claim.id} · {column.day} · {'not judged' if column.night else 'no night'}")


def _evidence(night: Night, number: int) -> tuple[str, ...]:
    """Give the texts of a night that show a claim's anomalies, as addresses from the index."""
    found = sorted((night.directory / nights.EVIDENCE).glob(f"{number}-*.txt"))
    return tuple(f"{nights.NIGHTS}/{night.directory.name}/{nights.EVIDENCE}/{path.name}" for path in found)


# What changed


def _change(history: _History, every: Sequence[Night]) -> _Change | None:
    claim = history.claim
    earlier = [(night, found) for night in every[:-1] if (found := _of(night, claim.id)) is not None]
    if not earlier and len(every) > 1:
        return _Change(history, "not judged", claim.verdict, f"new. {claim.said}")
    if not earlier:
        return _Change(history, claim.verdict, claim.verdict, claim.said) if not claim.expected else None
    night, last = earlier[-1]
    when = "last night" if night is every[-2] else f"on {_day(night)}"
    if claim.verdict != last.verdict:
        return _Change(history, last.verdict, claim.verdict, _compared(claim, last, when))
    moved = _moved(history) or ("" if claim.expected else f"as {when}. {claim.said}")
    return _Change(history, last.verdict, claim.verdict, moved) if moved else None


def _compared(claim: Judgement, last: Judgement, when: str) -> str:
    now, then = claim.rate, last.rate
    if not now or not then or claim.verdict == "inconclusive":
        return str(claim.said)
    if last.verdict == "inconclusive":
        return f"{claim.said}. {when.capitalize()} {last.said}"
    numbers = f"{then} {when}, {now} {claim.unit} tonight"
    if claim.verdict in ("violated", "finding"):
        return f"{numbers}: one counterexample is enough"
    apart = now.low > then.high or now.high < then.low
    chance = "it may still be there" if last.verdict in ("violated", "finding") else "it may be chance"
    return f"{numbers}: {'the intervals are apart' if apart else f'the intervals overlap, {chance}'}"


def _moved(history: _History) -> str:
    """Say that tonight's interval has left that of all earlier nights; empty where it has not."""
    earlier = [each for _, each in history.points[:-1] if each]
    now = history.points[-1][1]
    if not earlier or not now:
        return ""
    before = pooled_rate(sum(each.k for each in earlier), sum(each.n for each in earlier))
    if now.low <= before.high and now.high >= before.low:
        return ""
    return f"{now} {history.claim.unit} tonight, {before} in all nights before: the intervals are apart"


def _worst_first(change: _Change) -> tuple[int, int, str]:
    order = list(MARKS)
    return (order.index(change.after), int(not change.turned), str(change.history.claim.id))


def _notes(every: Sequence[Night], changes: Sequence[_Change]) -> list[str]:
    """Say what else a reader must know: what stayed, what was not judged tonight, servers, an old surprise."""
    tonight = every[-1].results
    turned = [change.after for change in changes if change.turned]
    same = len(tonight.claims) - len(turned)
    wrong = sum(claim.verdict == "violated" for claim in tonight.claims) - turned.count("violated")
    of_them = f", {wrong} of them violated" if wrong else ""
    notes = [
        f"{counted(same, 'verdict')} {'is' if same == 1 else 'are'} the same{of_them}." if len(every) > 1 else "There is no night before."
    ]
    if len(every) > 1:
        judged = {claim.id for claim in tonight.claims}
        gone = [claim.id for claim in every[-2].results.claims if claim.id not in judged]
        notes += [f"Judged last night and not tonight: {', '.join(gone)}."] if gone else []
        before, after = versions_said(every[-2].results), versions_said(tonight)
        notes += [f"Servers: {after or 'none'}; last night {before or 'none'}."] if before != after else []
    notes += [f"The machine failed: {name}: {reason}" for name, reason in tonight.failures.items()]
    last = next((night for night in reversed(every) if night.surprises), None)
    if last is not None and last is not every[-1]:
        notes.append(f"The last contradiction that was not expected was on {_day(last)}: {', '.join(last.surprises)}.")
    return notes


def _title(every: Sequence[Night], changes: Sequence[_Change]) -> str:
    if len(every) == 1:
        return "The first night."
    turned = [change for change in changes if change.turned]
    if not turned:
        return "No verdict changed since last night."
    wrong = sum(change.after == "violated" for change in turned)
    number = NUMBERS[len(turned)] if len(turned) < len(NUMBERS) else str(len(turned))
    to = "none" if not wrong else NUMBERS[wrong].lower() if wrong < len(NUMBERS) else str(wrong)
    to = "" if len(turned) == wrong == 1 else f"{to} "
    return f"{number} verdict{'' if len(turned) == 1 else 's'} changed since last night, {to}to violated."


def _contradiction(every: Sequence[Night]) -> str:
    rows = _contradicting(every[-1])
    if not rows:
        return ""
    before = set(_contradicting(every[-2])) if len(every) > 1 else set()
    still = "still " if before >= set(rows) else ""
    return f"{listed(rows)} {still}contradict{'s' if len(rows) == 1 else ''} the document."


def _contradicting(night: Night) -> list[str]:
    wrong = [claim for claim in night.results.claims if claim.verdict == "violated"]
    by_column = {table.name for table in night.results.tables if table.backends == "columns"}
    return list(dict.fromkeys(_place(claim, night) if claim.table in by_column else claim.cell[0] for claim in wrong))


def _place(claim: Judgement, night: Night) -> str:
    return place(claim.cell, claim.table, night.results.tables)


# Rates and bounds


def _weakest_first(history: _History) -> tuple[float, str]:
    return (-history.pooled.bound if history.pooled else 0, str(history.claim.id))


def _y(share: float) -> str:
    return f"{86 - 78 * share:.1f}"


def _x(number: int, of: int) -> str:
    return f"{36 + (238 * number / (of - 1) if of > 1 else 119):.1f}"
