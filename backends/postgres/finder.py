"""Where a client group finds the primary: each node is asked, the last known first, as libpq's target_session_attrs=read-write does.

So a group that can reach only the old primary stays with it, and one that cannot reach it finds the new one: nobody tells
them. One finder a side, shared by its clients; what it asks is sent over connections of its own, closed at once.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from backends.postgres.connection import PostgresConnection
from backends.target import Target
from harness.driving.client import Indeterminate, NotApplied

ANSWER_S = 0.12  # three silent nodes fit in a client's deadline of 0.5 s


class Finder:
    """The nodes of a cluster as one side reaches them; thread-safe."""

    def __init__(self, targets: Mapping[str, Target]) -> None:
        self._lock, self._order = threading.Lock(), list(targets.values())

    def resolve(self) -> Target:
        """Give the node that says it is no standby. Raises NotApplied where none does."""
        with self._lock:
            order = list(self._order)
        reasons = []
        for target in order:
            try:
                _ask(target)
            except (NotApplied, Indeterminate) as error:
                reasons.append(f"{target.node}: {error}")
                continue
            with self._lock:
                self._order.sort(key=lambda each: each.node != target.node)
            return target
        raise NotApplied(f"no node is a primary ({'; '.join(reasons)})")


def _ask(target: Target) -> None:
    connection = PostgresConnection(lambda: target, ANSWER_S)
    try:
        connection.connect()
    finally:
        connection.close()
