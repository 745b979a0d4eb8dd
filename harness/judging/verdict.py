"""What a checker concludes, and how conclusions combine: worst wins.

Three statuses. `unknown` is what a check says that raised, ran out of budget, or saw nothing: it
never counts as a pass. A Verdict refuses `bool()`, since every reading of it as true or false
would turn an unknown into one of the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from harness.judging.kind import kind_of


class Status(IntEnum):
    """Order the statuses from best to worst."""

    VALID = 0
    UNKNOWN = 1
    INVALID = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One counterexample.

    `kind` is a class, as a claim names it ("two-holders", "dedup-lost", ...).
    `operations` are the indices of the invocations that prove it. `at` and `until` are
    nanoseconds: the interval in which the contradiction stood, `until` None if it is a moment.
    `live` is the time from which the earlier of the grants (or writes) concerned counted, so
    that a claim can ask whether it lay inside a fault; it defaults to `at`.
    """

    kind: str
    key: str | None
    operations: tuple[int, ...]
    at: int
    message: str
    until: int | None = None
    live: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Say whether a history is valid, and show the evidence.

    `anomalies` is not empty exactly where this verdict's own status is invalid; `parts` are
    named verdicts that were combined into this one.
    """

    status: Status
    summary: str
    anomalies: tuple[Anomaly, ...] = ()
    parts: tuple[tuple[str, Verdict], ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        raise TypeError("a Verdict is valid, unknown or invalid: compare .status")

    def all_anomalies(self) -> list[Anomaly]:
        """Give the anomalies of this verdict and of all its parts, by time."""
        found = list(self.anomalies)
        for _, part in self.parts:
            found += part.all_anomalies()
        return sorted(found, key=lambda anomaly: (anomaly.at, anomaly.operations))


def valid(summary: str, **numbers: Any) -> Verdict:
    """Give a valid verdict with its numbers."""
    return Verdict(Status.VALID, summary, numbers=numbers)


def unknown(summary: str, **numbers: Any) -> Verdict:
    """Give an unknown verdict that says what was missing."""
    return Verdict(Status.UNKNOWN, summary, numbers=numbers)


def invalid(summary: str, anomalies: Iterable[Anomaly], **numbers: Any) -> Verdict:
    """Give an invalid verdict with at least one anomaly."""
    found = tuple(anomalies)
    if not found:
        raise ValueError("an invalid verdict needs an anomaly")
    return Verdict(Status.INVALID, summary, found, numbers=numbers)


def combine(parts: Mapping[str, Verdict]) -> Verdict:
    """Combine named verdicts: worst wins, of several the one with the first anomaly of the worst kind; nothing to combine is unknown."""
    if not parts:
        return unknown("nothing was checked")
    status = max(part.status for part in parts.values())
    worst = [
        f"{name}: {parts[name].summary}" for name in _first_first({name: part for name, part in parts.items() if part.status == status})
    ]
    more = f" (and {len(worst) - 1} more)" if len(worst) > 1 else ""
    return Verdict(status, worst[0] + more, parts=tuple(parts.items()))


def _first_first(parts: Mapping[str, Verdict]) -> list[str]:
    """Give the names of parts, first the one that has the first anomaly of the worst kind."""
    found = [(name, anomaly) for name, part in parts.items() for anomaly in part.all_anomalies()]
    if not found:
        return list(parts)
    first = of_each_kind_first([anomaly for _, anomaly in found])[0]
    of = next(name for name, anomaly in found if anomaly is first)
    return [of, *(name for name in parts if name != of)]


def of_each_kind_first(anomalies: Sequence[Anomaly]) -> list[Anomaly]:
    """Order anomalies: the first of each kind, of the worst kind first, then the others: the order of `anomalies/N.txt`.

    The first of all is the one that titles, flags, texts and summaries speak of.
    """
    first: dict[str, Anomaly] = {}
    for anomaly in sorted(anomalies, key=lambda each: (each.at, each.operations)):
        first.setdefault(anomaly.kind, anomaly)
    leading = {id(anomaly) for anomaly in first.values()}
    return [first[kind] for kind in worst_first(first)] + [anomaly for anomaly in anomalies if id(anomaly) not in leading]


def worst_first(kinds: Iterable[str]) -> list[str]:
    """Order kinds of anomalies, the worst first; those not known here last."""
    return sorted(kinds, key=lambda kind: kind_of(kind).rank)


def kinds_of(anomalies: Sequence[Anomaly]) -> str:
    """Count anomalies by kind, the worst first: "8 two-holders, 2 stranger"."""
    counts = Counter(anomaly.kind for anomaly in anomalies)
    return ", ".join(f"{counts[kind]:,} {kind}" for kind in worst_first(counts))


def first_of(anomalies: Sequence[Anomaly]) -> str:
    """Say the first anomaly of the worst kind, with its kind where there are others."""
    first = of_each_kind_first(anomalies)[0]
    kind = f" {first.kind}" if len({each.kind for each in anomalies}) > 1 else ""
    return f"first{kind}: {first.message}"
