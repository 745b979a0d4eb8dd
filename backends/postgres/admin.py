"""Questions to a PostgreSQL server over its own port, past every proxy.

Administration only: its answers are evidence for probes, gates and the observer, never operations. It waits for no
standby (synchronous_commit local): a probe must be able to write where an operation cannot.
"""

from __future__ import annotations

import threading

from backends.postgres.connection import PostgresConnection, Row
from backends.target import Target
from harness.deploy.ports import HOST
from harness.driving.client import Indeterminate, NotApplied

TIMEOUT_S = 0.4
LOCAL = "options='-c synchronous_commit=local'"


class Unanswered(Exception):
    """The server did not answer in time, or refused."""


class Admin:
    """One kept connection to a server, whatever its role; thread-safe."""

    def __init__(self, port: int, node: str, timeout_s: float = TIMEOUT_S) -> None:
        self.port, self._lock = port, threading.Lock()
        target = Target(HOST, port, node)
        self._connection = PostgresConnection(lambda: target, timeout_s, any_role=True, more=LOCAL)

    def ask(self, statement: str, *arguments: str | int, within_s: float | None = None) -> list[Row]:
        """Run one statement and give its rows. Raises Unanswered."""
        with self._lock:
            try:
                return self._connection.call(statement.encode(), arguments, within_s)
            except (NotApplied, Indeterminate) as error:
                self._connection.close()
                raise Unanswered(str(error)) from None

    def value(self, statement: str, *arguments: str | int) -> str | None:
        """Run one statement and give the first value of its first row, None if there is none. Raises Unanswered."""
        rows = self.ask(statement, *arguments)
        return rows[0][0] if rows else None

    def close(self) -> None:
        """Drop the connection."""
        with self._lock:
            self._connection.close()
