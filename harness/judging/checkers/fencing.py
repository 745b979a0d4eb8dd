"""Fencing tokens: a later grant of a lock has a higher token, so that a resource can refuse the earlier holder.

A token must be unique on its lock name and above every token acknowledged before its grant was invoked
(`guarantees.toml`). Beyond that, where two calls overlap but the leases allow one order only (the first holder's
lease must still have been live when the other order needed it over), the tokens must follow that order.
Tokens of different names are not compared.

*Soundness.* Invalid is sound under the assumptions of `harness.judging.checkers.lease`; without a sane clock the
order of leases is not used, only that of events. Valid is complete for what is seen: all pairs of
acknowledged tokens are covered. Unknown: no token was seen. O(n log n) in grants.

Sources: Kleppmann, How to do distributed locking, 2016 (fencing); Burrows, The Chubby lock service,
OSDI 2006, section 2.4 (sequencers).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from harness.judging.check import Check, Kind
from harness.judging.checkers.calls import NS_PER_S
from harness.judging.checkers.grants import Grant, grants
from harness.judging.checkers.skew import Skew, skew_of
from harness.judging.verdict import Anomaly, Verdict, first_of, invalid, unknown, valid
from harness.record.clock import clock_sane
from harness.record.history import History


@dataclass(frozen=True, slots=True)
class _Token:
    """An acknowledged grant with a token; `start`, `end` order events, the times order leases."""

    grant: Grant
    value: int
    start: int
    end: int
    acknowledged_at: int
    least: int


def fencing(history: History, skew: Skew | None = None) -> Verdict:
    """Judge whether fencing tokens are unique and rise with the order of the grants, on each lock name.

    Raises MalformedHistory where an operation lacks its owner, TTL or answer.
    """
    names = _tokens(history, skew_of(history) if skew is None else skew)
    numbers = {"tokens": sum(map(len, names.values())), "locks": len(names)}
    if not names:
        return unknown("no fencing token was seen", **numbers)
    leases_count = clock_sane(history)
    anomalies = [anomaly for tokens in names.values() for anomaly in _name(tokens, leases_count=leases_count)]
    if anomalies:
        anomalies.sort(key=lambda anomaly: (anomaly.at, anomaly.operations))
        what = "1 fencing token does" if len(anomalies) == 1 else f"{len(anomalies)} fencing tokens do"
        return invalid(f"{what} not rise; {first_of(anomalies)}", anomalies, **numbers)
    return valid(f"fencing tokens are unique and rise: {numbers['tokens']} tokens on {numbers['locks']} locks", **numbers)


def _tokens(history: History, skew: Skew) -> dict[str | None, list[_Token]]:
    operations = history.operations()
    ends = {operation.index: operation.end_index for operation in operations}
    found: dict[str | None, list[_Token]] = {}
    for grant in grants(operations, skew):
        end = ends[grant.index]
        if grant.token is None or end is None or grant.acknowledged_at is None or grant.least is None:
            continue
        token = _Token(grant, grant.token, grant.index, end, grant.acknowledged_at, grant.least)
        found.setdefault(grant.key, []).append(token)
    return found


def _name(tokens: list[_Token], *, leases_count: bool) -> Iterator[Anomaly]:
    """Report each token that is not new, or too low, once."""
    first: dict[int, _Token] = {}
    earlier = _acknowledged_before(tokens)
    sooner = _held_before(tokens) if leases_count else {}
    for token in tokens:
        twin = first.setdefault(token.value, token)
        highest = earlier.get(token.start)
        ordered = sooner.get(token.start)
        if twin is not token:
            yield _anomaly(twin, token, "had been given already")
        elif highest is not None and highest.value >= token.value:
            yield _anomaly(highest, token, "had been acknowledged before it was asked for")
        elif ordered is not None and ordered.value >= token.value:
            yield _anomaly(ordered, token, "belongs to a lease that can only have been before")


def _acknowledged_before(tokens: list[_Token]) -> dict[int, _Token]:
    """Give for each grant the highest token that was acknowledged before it was invoked."""
    done = iter(sorted(tokens, key=lambda token: token.end))
    following = next(done, None)
    highest: _Token | None = None
    found: dict[int, _Token] = {}
    for token in sorted(tokens, key=lambda token: token.start):
        while following is not None and following.end < token.start:
            highest = _higher(highest, following)
            following = next(done, None)
        if highest is not None:
            found[token.start] = highest
    return found


def _held_before(tokens: list[_Token]) -> dict[int, _Token]:
    """Give for each grant B the highest token of the grants A that can only have been before it.

    B first needs its end <= A's grant <= A's acknowledgement, which `B.least > A.acknowledged_at`
    forbids; A first is possible where `A.least <= B.acknowledged_at` (else they held at once, which is
    another class). A sweep over the second condition, a prefix maximum (Fenwick tree) for the first.
    """
    places = {token.start: place for place, token in enumerate(sorted(tokens, key=lambda token: token.acknowledged_at))}
    acknowledged = sorted(token.acknowledged_at for token in tokens)
    tree: list[_Token | None] = [None] * (len(tokens) + 1)
    over = iter(sorted(tokens, key=lambda token: token.least))
    following = next(over, None)
    found: dict[int, _Token] = {}
    for token in sorted(tokens, key=lambda token: token.acknowledged_at):
        while following is not None and following.least <= token.acknowledged_at:
            _enter(tree, places[following.start] + 1, following)
            following = next(over, None)
        highest = _highest(tree, bisect_left(acknowledged, token.least))
        if highest is not None:
            found[token.start] = highest
    return found


def _enter(tree: list[_Token | None], place: int, token: _Token) -> None:
    while place < len(tree):
        tree[place] = _higher(tree[place], token)
        place += place & -place


def _highest(tree: list[_Token | None], count: int) -> _Token | None:
    """Give the highest token of the first `count` places."""
    found: _Token | None = None
    while count:
        entry = tree[count]
        found = found if entry is None else _higher(found, entry)
        count -= count & -count
    return found


def _higher(one: _Token | None, other: _Token) -> _Token:
    return one if one is not None and one.value >= other.value else other


def _anomaly(before: _Token, after: _Token, why: str) -> Anomaly:
    message = (
        f"{_who(after)} was granted {after.grant.key} at {_at(after)} with token {after.value}, although token {before.value}, "
        f"of {_who(before)} at {_at(before)}, {why}"
    )
    first, last = sorted((before, after), key=lambda token: token.acknowledged_at)
    operations = tuple(sorted((before.start, after.start)))
    return Anomaly("fencing", after.grant.key, operations, last.acknowledged_at, message, live=first.acknowledged_at)


def _who(token: _Token) -> str:
    return f"{token.grant.owner} (process {token.grant.process})"


def _at(token: _Token) -> str:
    return f"{token.acknowledged_at / NS_PER_S:.3f} s"


FENCING = Check(
    name="fencing",
    sentence="fencing tokens are unique and rise with the grants",
    kinds=(
        Kind(
            name="fencing",
            rule="A fencing token is greater than every token acknowledged before its grant was invoked.",
            heading="{key}: a fencing token did not rise",
            one="One fencing token did not rise",
            many="{n} fencing tokens did not rise",
            rank=160,
            strip=True,
        ),
    ),
    judge=lambda history, terms: fencing(history),
    families=("lease",),
)
