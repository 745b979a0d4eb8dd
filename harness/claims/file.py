"""guarantees.toml read into claims, or refused with file, line and the nearest right word.

The file is strict: a misspelt field, class, gate, workload's need or name is an error before anything runs, since
an open map would let a claim hold by never being asked. Format: docs/claims.md.

Rejected: claims as Python (users write their own table, and a table is reviewed as a table), YAML (`no`
is a boolean, and so is the failover of Norway).
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.claims import mistakes
from harness.claims.claim import Claim, Claims, Experiment, Row, Table, in_its_table
from harness.errors import UsageError
from harness.record import store
from harness.registry import nearest

FORMAT = 1
MOST_BYTES = 10_000_000
LONGEST_CHAIN = 20  # of tables that are like each other
SHOWN = 100  # characters of a line in an error


class BadClaims(UsageError):
    """A user's mistake in a claims file: one line with file, line number, what was found and what was expected. Exit 64."""


def shipped() -> Claims:
    """Give the documented table that comes with Holdwater."""
    return load(Path(__file__).resolve().parents[1] / "guarantees.toml")


def load(path: Path) -> Claims:
    """Read a claims file; raise BadClaims in one line where it cannot be used."""
    try:
        with path.open("rb") as file:  # a device has no end
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise BadClaims(f"{path}: {error.strerror}, expected a claims file") from None
    except UnicodeDecodeError as error:
        raise BadClaims(f"{path}: not UTF-8 at byte {error.start}") from None
    if len(data) > MOST_BYTES:
        raise BadClaims(f"{path}: more than {MOST_BYTES} bytes, expected a claims file")
    return parse(text, str(path))


def parse(text: str, source: str = "guarantees.toml") -> Claims:
    """Read claims from TOML; see `load`."""
    return _File(text, source).claims()


def place_of(claims: Claims, experiment: str) -> str:
    """Give file and line at which an experiment begins, for an error that is found after reading."""
    file = _File(claims.text, claims.source)
    return f"{file.source}:{file.header('experiment', experiment)}"


Record = TypeVar("Record", Table, Row, Experiment, Claim)


class _File:
    """A file being read: its tables, and where each of them stands."""

    def __init__(self, text: str, source: str) -> None:
        self.text, self.lines, self.source = text, text.splitlines(), source
        try:
            self.tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            place = re.search(r"\(at line (\d+), column \d+\)|\(at end of document\)", str(error))
            line = int(place[1]) if place and place[1] else max(1, len(self.lines))
            reason = re.sub(r"\s*\(at [^)]*\)", "", str(error))
            raise BadClaims(f"{source}:{line}: no TOML: {' '.join(reason.split())}") from None
        except ValueError:  # more digits than Python reads
            raise BadClaims(f"{source}: no TOML: a whole number of thousands of digits") from None
        except RecursionError:
            raise BadClaims(f"{source}: values are nested too deep, expected a claims file") from None
        if store.is_deep(self.tables):
            raise BadClaims(f"{source}: values are nested more than {store.DEEPEST} deep, expected a claims file")
        if (huge := _huge(self.tables)) is not None:
            raise self.bad(self._line_of(huge), f"{huge} is a whole number beyond 64 bits, expected one that TOML has")

    def claims(self) -> Claims:
        self._top()
        tables = self._array("table", Table, "name")
        rows = self._array("row", Row, "name")
        experiments = self._experiments()
        claims = self._array("claim", Claim, "id")
        digest = hashlib.sha256("\n".join(self.lines).encode()).hexdigest()
        found = Claims(self.source, tuple(rows), experiments, tuple(claims), sha256=digest, text=self.text, tables=tuple(tables))
        self._check_tables(found)
        for claim in claims:
            self._check_claim(claim, found)
        return replace(found, claims=tuple(in_its_table(claim, rows) for claim in claims))

    # Reading

    def _top(self) -> None:
        known = ("format", "table", "row", "experiment", "claim")
        for name in self.tables:
            if name not in known:
                raise self.bad(self._line_of(name), f"unknown field {name!r}, {nearest(name, known)}")
        if type(self.tables.get("format")) is not int or self.tables["format"] != FORMAT:
            raise self.bad(self._line_of("format"), f"format {self.tables.get('format')!r}, expected {FORMAT}")
        if not self.tables.get("claim"):
            raise self.bad(len(self.lines), "no [[claim]], expected at least one")

    def _array(self, kind: str, record: type[Record], name: str) -> list[Record]:
        tables = self.tables.get(kind, [])
        if not isinstance(tables, list):
            raise self.bad(self._line_of(kind), f"{kind} is no list of tables, expected [[{kind}]]")
        if not all(isinstance(table, dict) for table in tables):
            raise self.bad(self._line_of(kind), f"{kind} is a list of values, expected [[{kind}]]")
        found: dict[tuple[str | None, str], Record] = {}
        by_name = {str(table.get(name, number + 1)): table for number, table in enumerate(tables)}
        for number, table in enumerate(tables):
            line = self.header(kind, number)
            label = str(table.get(name, number + 1))
            if kind == "claim" and by_name[label] is table:
                table = self._inherited(kind, label, by_name, ())
            value = self._convert(table, record, line, f"{kind} {label}")
            identity = getattr(value, name)
            if kind == "claim":
                self._check_name(kind, identity, line)
            place = value.table if isinstance(value, Row) else None
            if (place, identity) in found:
                raise self.bad(line, f"{kind} {identity} stands twice")
            found[place, identity] = value
        return list(found.values())

    def _experiments(self) -> dict[str, Experiment]:
        tables = self.tables.get("experiment", {})
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            raise self.bad(self._line_of("experiment"), "expected a table [experiment.NAME] for each experiment")
        found: dict[str, Experiment] = {}
        for name in tables:
            line = self.header("experiment", name)
            self._check_name("experiment", name, line)
            merged = {**self._inherited("experiment", name, tables, ()), "name": name}
            found[name] = self._convert(merged, Experiment, line, f"experiment {name}")
            self._check_experiment(found[name], found)
        return found

    def _inherited(self, kind: str, name: str, tables: Mapping[str, Any], heirs: tuple[str, ...]) -> dict[str, Any]:
        own = dict(tables[name])
        other = own.pop("like", None)
        if other is None:
            return own
        line = self._line_of("like", self.header(kind, name if kind == "experiment" else list(tables).index(name)))
        if not isinstance(other, str) or other not in tables:
            raise self.bad(line, f"{kind} {name} is like {other!r}, {nearest(str(other), tables)}")
        if other == name or other in heirs:
            raise self.bad(line, f"{kind} {name} is like {other}, which is like {name}")
        if len(heirs) > LONGEST_CHAIN:
            raise self.bad(line, f"{kind} {name} is like {other}, the end of a chain of more than {LONGEST_CHAIN}")
        return {**self._inherited(kind, other, tables, (*heirs, name)), **own}

    def _check_name(self, kind: str, name: str, line: int) -> None:
        try:
            store.check_name(kind, name)
        except UsageError as error:
            raise self.bad(line, str(error)) from None

    def _convert(self, table: Any, record: type[Record], line: int, label: str) -> Record:
        try:
            return msgspec.convert(table, record, strict=True)
        except msgspec.ValidationError as error:
            said, _, path = str(error).partition(" - at ")
            steps = re.findall(r"\.([\w-]+)|\[(\d+)\]", path.strip("`"))
            names = [name for name, _ in steps if name]
            place = self._line_of(mistakes.unknown_field(said) or (names or [""])[0], line)
            written = f", in: {self.lines[place - 1].strip()[:SHOWN]}" if names else ""
            raise self.bad(place, f"{label}: {mistakes.field(said, table, record, steps)}{written}") from None

    # Checking

    def _check_experiment(self, experiment: Experiment, earlier: Mapping[str, Experiment]) -> None:
        for key, reason in mistakes.of_experiment(experiment, [name for name in earlier if name != experiment.name]):
            raise self.bad(self._line_of(key, self.header("experiment", experiment.name)), f"experiment {experiment.name}: {reason}")

    def _check_tables(self, claims: Claims) -> None:
        for number, table in enumerate(claims.tables):
            for key, reason in mistakes.of_table(table, claims.rows):
                raise self.bad(self._line_of(key, self.header("table", number)), f"table {table.name}: {reason}")
        for number, row in enumerate(claims.rows):
            for key, reason in mistakes.of_row(row, claims):
                raise self.bad(self._line_of(key, self.header("row", number)), f"row {row.name}: {reason}")

    def _check_claim(self, claim: Claim, claims: Claims) -> None:
        start = next(self.header("claim", n) for n, table in enumerate(self.tables["claim"]) if table["id"] == claim.id)
        for key, reason in mistakes.of_claim(claim, claims):
            raise self.bad(self._line_of(key, start), f"claim {claim.id}: {reason}")

    # Places

    def bad(self, line: int, reason: str) -> BadClaims:
        return BadClaims(f"{self.source}:{line}: {reason}")

    def header(self, kind: str, which: int | str) -> int:
        """Give the line of the n-th [[kind]], or of [kind.name]; 1 where it is written in another way."""
        if isinstance(which, int):
            found = [number for number, line in enumerate(self.lines, 1) if re.match(rf"\s*\[\[\s*{kind}\s*\]\]", line)]
            return found[which] if which < len(found) else 1
        name = re.escape(which)
        found = [n for n, line in enumerate(self.lines, 1) if re.match(rf"""\s*\[\s*{kind}\s*\.\s*["']?{name}["']?\s*\]""", line)]
        return found[0] if found else 1

    def _line_of(self, key: str, start: int = 0) -> int:
        """Give the line of a key inside the table that begins at `start`; the table's own line if it is not there.

        0 stands for the whole file. A field inside an inline table, or inherited, is looked for by its name alone.
        """
        pattern = re.compile(rf"""(^|[\s{{,\[.]){re.escape(key)}["']?\s*([=\].]|$)""")
        for number, line in enumerate(self.lines[start:], start + 1):
            if start and re.match(r"\s*\[", line) and not re.match(rf"\s*\[\[?\s*\w+\.[\w.-]*{re.escape(key)}", line):
                break
            if key and pattern.search(line.split("#")[0]):
                return number
        return max(1, start)


def _huge(value: Any, name: str = "") -> str | None:
    """Give the name of a whole number that is none of TOML's, which no error could even print."""
    if isinstance(value, int):
        return name if abs(value) >= 2**1000 else None
    parts = value.items() if isinstance(value, dict) else [(name, each) for each in value] if isinstance(value, list) else []
    return next((found for key, each in parts if (found := _huge(each, key)) is not None), None)
