"""A process' session with PostgreSQL: one call of one function an operation. The functions and tables are in schema.sql."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import TypeVar

import psycopg

from backends.interface import Conflict, Swapped
from backends.mutant import Right, altered, bound, choose
from backends.postgres.connection import PostgresConnection, Row, conninfo
from backends.postgres.mutants import MUTANTS, edited_schema
from backends.session import CheckedSession, Commands, Index
from backends.target import Resolve, Target
from harness.driving.client import Unclassified

__all__ = ["PostgresSession", "Target", "install_schema"]

Result = TypeVar("Result")
SCHEMA = "holdwater"
INSTALL_LOCK = 0x686F6C64
INSTALL_S = 30
PAGE = 500
FLAGS = {"t": True, "f": False}


class PostgresSession(CheckedSession):
    """A private session: connects when first used, to where `resolve` says; each operation ends within `deadline_s`.

    `mutant` plants a known bug, in a schema of its own; `yield_` is called between the steps of those that have several.
    `believes_tag`: answer success where the server says so beside a notice that takes it back.
    """

    def __init__(
        self,
        resolve: Resolve,
        deadline_s: float = 0.5,
        *,
        mutant: str | None = None,
        yield_: Callable[[], None] = lambda: time.sleep(0),
        believes_tag: bool = False,
    ) -> None:
        connection = PostgresConnection(resolve, deadline_s, believes_tag=believes_tag)
        if mutant is None:
            super().__init__(PostgresCommands(connection, SCHEMA))
            return
        bug = choose(MUTANTS, mutant)
        commands: Commands = PostgresCommands(connection, schema_of(mutant))
        super().__init__(altered(commands, bound(bug.steps, Right(commands, yield_))))


def schema_of(mutant: str | None) -> str:
    """Name the schema of a mutant, of the reference if None."""
    return SCHEMA if mutant is None else f"{SCHEMA}_{mutant.replace('-', '_')}"


def install_schema(host: str, port: int, mutant: str | None = None) -> None:
    """Create tables and functions, one client at a time; idempotent. They are in the log, where what clients write need not be.

    Raises psycopg.Error.
    """
    text = _schema_text() if mutant is None else edited_schema(_schema_text(), choose(MUTANTS, mutant).edits)
    own = text.replace(f"{SCHEMA}.", f"{schema_of(mutant)}.").replace(f"{SCHEMA};", f"{schema_of(mutant)};")
    with psycopg.connect(conninfo(host, port), connect_timeout=INSTALL_S) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (INSTALL_LOCK,))
        connection.execute("SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'")
        connection.execute(own.encode())


@cache
def _schema_text() -> str:
    return resources.files("backends.postgres").joinpath("schema.sql").read_text("utf-8")


class PostgresCommands:
    """The commands of `backends.session`, each one function call."""

    def __init__(self, connection: PostgresConnection, schema: str) -> None:
        self._connection, self._schema = connection, schema

    @property
    def node(self) -> str | None:
        return self._connection.node

    def close(self) -> None:
        self._connection.close()

    def check_and_set(self, key: str, value: str, ttl_ms: int | None) -> bool:
        return self._call("check_and_set", _flag, key, value, ttl_ms)

    def get(self, key: str) -> str | None:
        return self._call("get", _text_or_none, key)

    def get_versioned(self, key: str) -> tuple[str, int] | None:
        return self._call("get_versioned", _versioned, key)

    def set(self, key: str, value: str, ttl_ms: int | None) -> None:
        self._call("set", _flag, key, value, ttl_ms)

    def delete(self, key: str) -> bool:
        return self._call("delete", _flag, key)

    def increment(self, key: str, delta: int, ttl_ms: int | None) -> int | None:
        return self._call("increment", _int_or_none, key, delta, ttl_ms)

    def compare_and_swap(self, key: str, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict:
        return self._call("compare_and_swap", _swap, key, expected_version, value, ttl_ms)

    def scan(self, stem: str) -> list[tuple[str, str]]:
        return self._pages("scan", stem)

    def scan_kind(self, kind: str) -> list[tuple[str, str]]:
        return self._pages("scan_kind", kind)

    def index(self, index: Index, key: str, time_ms: int) -> None:
        self._call("index", _flag, index, key, time_ms)

    def unindex(self, index: Index, key: str) -> None:
        self._call("unindex", _flag, index, key)

    def due(self, index: Index, now_ms: int) -> list[str]:
        return self._call("due", _column, index, now_ms)

    def grant(self, name: str, owner: str, ttl_ms: int, within_s: float | None) -> int | None:
        return self._call("grant", _int_or_none, name, owner, ttl_ms, within_s=within_s)

    def extend(self, name: str, owner: str, duration_ms: int) -> bool:
        return self._call("extend", _flag, name, owner, duration_ms)

    def release(self, name: str, owner: str) -> bool:
        return self._call("release", _flag, name, owner)

    def is_held(self, name: str, owner: str) -> bool:
        return self._call("is_held", _flag, name, owner)

    def _pages(self, function: str, of: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        while True:
            page = self._call(function, _pairs, of, found[-1][0] if found else "", PAGE)
            found += page
            if len(page) < PAGE:
                return found

    def _call(
        self, function: str, read: Callable[[Sequence[Row]], Result], *arguments: str | int | None, within_s: float | None = None
    ) -> Result:
        rows = self._connection.call(_statement(self._schema, function, len(arguments)), arguments, within_s)
        try:
            return read(rows)
        except (ValueError, KeyError) as error:
            self._connection.close()  # whose answer this was is not known, nor what comes next
            raise Unclassified(f"unexpected answer to {function}: {rows[:3]!r}", self._connection.node) from error


@cache
def _statement(schema: str, function: str, arguments: int) -> bytes:
    places = ", ".join(f"${number}" for number in range(1, arguments + 1))
    return f'SELECT * FROM {schema}."{function}"({places})'.encode()


def _one(rows: Sequence[Row], columns: int) -> Row:
    if len(rows) != 1 or len(rows[0]) != columns:
        raise ValueError(f"expected one row of {columns}")
    return rows[0]


def _flag(rows: Sequence[Row]) -> bool:
    return _as_flag(_one(rows, 1)[0])


def _as_flag(value: str | None) -> bool:
    if value is None:
        raise ValueError("expected true or false")
    return FLAGS[value]


def _text_or_none(rows: Sequence[Row]) -> str | None:
    return _one(rows, 1)[0]


def _int_or_none(rows: Sequence[Row]) -> int | None:
    value = _one(rows, 1)[0]
    return None if value is None else int(value)


def _int(value: str | None) -> int:
    if value is None:
        raise ValueError("expected a number")
    return int(value)


def _text(value: str | None) -> str:
    if value is None:
        raise ValueError("expected a text")
    return value


def _versioned(rows: Sequence[Row]) -> tuple[str, int] | None:
    value, version = _one(rows, 2)
    return None if value is None and version is None else (_text(value), _int(version))


def _swap(rows: Sequence[Row]) -> Swapped | Conflict:
    swapped, version, value = _one(rows, 3)
    return Swapped(_int(version)) if _as_flag(swapped) else Conflict(value, _int(version))


def _pairs(rows: Sequence[Row]) -> list[tuple[str, str]]:
    return [(_text(key), _text(value)) for key, value in rows]


def _column(rows: Sequence[Row]) -> list[str]:
    return [_text(value) for (value,) in rows]
