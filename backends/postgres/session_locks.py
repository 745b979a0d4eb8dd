"""A client that guards check_and_set by an advisory lock of its session: lock, read, write, unlock, each a statement of its own.

Right over a connection of its own, for as long as that lasts. Over a pooler in transaction mode each of the four statements runs in
whichever session is free: a lock that its session already has is granted again, so that two clients are in the section at once, and an
unlock that comes to another session unlocks nothing. Many programs do this; ours takes its locks for one transaction
(pg_advisory_xact_lock). Each statement has the deadline to itself.
"""

from __future__ import annotations

from collections.abc import Callable

from backends.mutant import altered
from backends.postgres.connection import PostgresConnection
from backends.postgres.session import SCHEMA, PostgresCommands
from backends.session import CheckedSession
from backends.target import Resolve
from harness.driving.client import Indeterminate, NotApplied

LOCK = b"SELECT pg_advisory_lock(hashtextextended($1, 0))"
UNLOCK = b"SELECT pg_advisory_unlock(hashtextextended($1, 0))"


def session(resolve: Resolve, deadline_s: float, pause: Callable[[], None]) -> CheckedSession:
    """Make a session of such a client; `pause` is called between reading and writing."""
    connection = PostgresConnection(resolve, deadline_s)
    commands = PostgresCommands(connection, SCHEMA)
    return CheckedSession(altered(commands, {"check_and_set": _Guarded(connection, commands, pause).check_and_set}))


class _Guarded:
    def __init__(self, connection: PostgresConnection, commands: PostgresCommands, pause: Callable[[], None]) -> None:
        self._connection, self._commands, self._pause = connection, commands, pause

    def check_and_set(self, key: str, value: str, ttl_ms: int | None) -> bool:
        self._connection.call(LOCK, (key,))
        try:
            if self._commands.get(key) is not None:
                return False
            self._pause()
            self._commands.set(key, value, ttl_ms)
            return True
        finally:
            self._unlock(key)

    def _unlock(self, key: str) -> None:
        try:
            self._connection.call(UNLOCK, (key,))
        except (NotApplied, Indeterminate):
            self._connection.close()  # whatever became of it: what was done before is what is answered
