"""SQLite as a backend of Holdwater: one file, one connection a client."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.driving.backend import Deployment
from harness.driving.client import Indeterminate, NotApplied, Unclassified

NODE = "sqlite"
SET_IF_MISSING = """
INSERT INTO state VALUES (:key, :value, :expires) ON CONFLICT (key)
DO UPDATE SET value = excluded.value, expires = excluded.expires WHERE state.expires <= :now
"""


def now_ms() -> float:
    """Give the one clock that all clients share: they are of one machine."""
    return time.time() * 1000


class SqliteClient:
    """check_and_set and get, each one statement in a transaction of its own."""

    def __init__(self, file: Path, deadline_s: float) -> None:
        self._file, self._deadline_s = file, deadline_s
        self._connection: sqlite3.Connection | None = None

    def invoke(self, f: str, key: str, argument: Any) -> tuple[Any, str | None]:
        if self._connection is None:  # connects when first used
            self._connection = sqlite3.connect(self._file, timeout=self._deadline_s, isolation_level=None)
        try:
            return getattr(self, f"_{f}")(self._connection, key, argument), NODE
        except sqlite3.OperationalError as error:  # the table of errors
            code = error.sqlite_errorcode & 0xFF
            if code == sqlite3.SQLITE_BUSY:  # before any effect
                raise NotApplied(str(error), NODE) from error
            if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL):  # while it was written
                raise Indeterminate(str(error), NODE) from error
            raise Unclassified(str(error), NODE) from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _check_and_set(self, connection: sqlite3.Connection, key: str, argument: Any) -> Any:
        now, ttl_ms = now_ms(), argument["ttl_ms"]
        expires = None if ttl_ms is None else now + ttl_ms
        done = connection.execute(SET_IF_MISSING, {"key": key, "value": argument["value"], "expires": expires, "now": now})
        return {"set": done.rowcount == 1}

    def _get(self, connection: sqlite3.Connection, key: str, argument: Any) -> Any:
        live = "SELECT value FROM state WHERE key = ? AND (expires IS NULL OR expires > ?)"
        row = connection.execute(live, (key, now_ms())).fetchone()
        return {"value": row[0] if row else None}


class SqliteSystem:
    """A file: no nodes, no links, so that no fault meets it."""

    name = "sqlite"
    versions = {"SQLite": sqlite3.sqlite_version}

    def __init__(self, file: Path) -> None:
        self._file = file
        with sqlite3.connect(file) as connection:
            connection.execute("CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT, expires REAL)")

    def client(self, side: str, deadline_s: float) -> SqliteClient:
        return SqliteClient(self._file, deadline_s)


class SqliteBackend:
    """The entry point."""

    name = "sqlite"
    variants = {"default": "a rollback journal, as the library is shipped"}
    functions = frozenset({"check_and_set", "get"})

    @contextmanager
    def open(self, deployment: Deployment) -> Iterator[SqliteSystem]:
        yield SqliteSystem(deployment.directory / "state.db")


SQLITE = SqliteBackend()
