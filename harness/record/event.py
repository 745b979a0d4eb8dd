"""An event: one line of a history; and the header, which says what made it.

Rejected: open dicts (a typo passes silently), EDN as the native form (20 s to read a million
operations in Python), a binary form (a killed writer loses all of it).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec

EventType = Literal["invoke", "ok", "fail", "info"]
NEMESIS = "nemesis"
CLIENTS = "clients"
"""The target of a fault on clients."""
UNCLASSIFIED, BROKEN = "unclassified: ", "broken: "
"""How the error of an info begins whose driver error no table names, and of one that is a bug of ours."""
MOST_NESTED = 100
LARGEST = 2**63 - 1


class Effect(StrEnum):
    """What a fault does that a judge must know of. The first two together make a split brain; all but the first clients feel (`FELT`)."""

    CUTS_REPLICATION = "cuts-replication"
    """The primary is cut from its replicas, and the fault itself kills nobody."""
    CUTS_A_SIDE = "cuts-a-side"
    """Clients are cut from a server: over a target that is a link nothing passes; one that is a node answers the first side only."""
    SILENCES_A_NODE = "silences-a-node"
    """While it is on its target answers nobody."""
    DELAYS_ANSWERS = "delays-answers"
    """While it is on every answer over its target, a link, takes at least the fault's `delay_ms`."""
    LOSES_ANSWERS = "loses-answers"
    """While it is on connections over its target, a link, end before an answer; what was asked is applied."""
    ENDS_CONNECTIONS = "ends-connections"
    """When it begins all connections to its target end, and clients may soon have others."""
    MOVES_PRIMARY = "moves-primary"
    """Once it is proved another node than its target answers."""
    STOPS_HOLDERS = "stops-holders"
    """While it is on clients that hold a lock rest until their lease is over."""


SPLIT_BRAIN = frozenset({Effect.CUTS_REPLICATION, Effect.CUTS_A_SIDE})
FELT = frozenset(Effect) - {Effect.CUTS_REPLICATION}
"""What clients' own answers show of a fault."""


class MalformedHistory(ValueError):
    """Say which line of a history breaks its format, and why.

    Never a verdict about the system: what cannot be read cannot be judged. Who no longer has the lines
    names the index of the `event` (`History.lines_named`).
    """

    def __init__(self, reason: str, line: int | None = None, source: str = "history", *, event: int | None = None) -> None:
        self.reason, self.line, self.source, self.event = reason, line, source, event
        where = source if line is None else f"{source}:{line}"
        super().__init__(f"{where}: {reason}")


class Event(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One recorded line. `time` is in nanoseconds since the run began, monotonic."""

    index: int
    time: int
    process: int | str
    type: EventType
    f: str
    key: str | None = None
    value: Any
    node: str | None = None
    error: str | None = None


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The optional first line: what made this history."""

    holdwater: int = 1
    seed: int | None = None
    deployment: str | None = None
    variant: str | None = None
    workloads: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    concurrency: int | None = None
    sides: dict[str, str] = {}
    clock_bound_ms: int | None = None  # set where client clocks end leases: the largest difference between two of them
    options: dict[str, Any] = {}
    effects: dict[str, tuple[Effect, ...]] = {}  # of each fault by its name; none in a history that is older than effects
