""" "Duplicates are rare": how many extra holders a failover gave to each name.

*Extra holders* of a name are the distinct acknowledged grants of the side that went to the new primary
whose must-hold overlaps the must-hold of a grant of the side that stayed with the old one:

    stayed   |======== A ========|        |==== D ====|
    went           |== B ==| |== C ==|                     B and C: two extra holders beside A, none beside D

Counted are grants, not owners and not instants: each was told that it alone holds the lock, while another
did. The other way round (the old side's grants) counts the same conflict from its other end, and a larger
number of the two would call one extra holder of many A's many. One a name and failover is called rare;
a name with more contradicts it. *Invalid is sound* as far as must-hold is (harness.judging.checkers.lease); must-holds
are the least time of a lease, so that the count may be too low, never too high. *Unknown*: there are no two
sides, or not both were granted anything. O(n log n) in grants.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

from harness.judging.check import Check, Kind
from harness.judging.checkers.grants import Grant, grants
from harness.judging.checkers.late_grant import staying_side
from harness.judging.verdict import Anomaly, Verdict, first_of, invalid, unknown, valid
from harness.record.history import SPLIT_BRAIN, History

ALLOWED = 1


@dataclass(frozen=True, slots=True)
class _Hold:
    """A grant with its must-hold [start, end), not empty."""

    grant: Grant
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Extra:
    """An extra holder, and the first holder of the other side beside whom it was."""

    hold: _Hold
    beside: _Hold

    @property
    def since(self) -> int:
        return max(self.hold.start, self.beside.start)


def extra_holders(history: History) -> Verdict:
    """Count the extra holders of each name in one failover; anomalies are extra-holders, one a name.

    Numbers: `per_name` (of every name that was granted), its `median` and `maximum`, and how many `names`.
    """
    staying = staying_side(history)
    stayed: dict[str | None, list[_Hold]] = {}
    went: dict[str | None, list[_Hold]] = {}
    for hold in _holds(grants(history.operations())):
        side = history.side(hold.grant.process)
        if side is not None:
            (stayed if side == staying else went).setdefault(hold.grant.key, []).append(hold)
    if not stayed or not went:
        return unknown("no grants on two sides were seen")
    extras = {name: _extras(stayed.get(name, []), went.get(name, [])) for name in {**stayed, **went}}
    return _verdict(extras)


def _verdict(extras: dict[str | None, list[_Extra]]) -> Verdict:
    per_name = {_named(name): len(found) for name, found in extras.items()}
    most = max(per_name.values())
    numbers = {"median": median(per_name.values()), "maximum": most, "names": len(per_name), "per_name": per_name}
    beyond = {name: found for name, found in extras.items() if len(found) > ALLOWED}
    if not beyond:
        return valid(f"at most {most} extra holder on each of {len(per_name)} names", **numbers)
    anomalies = [_anomaly(name, found) for name, found in beyond.items()]
    summary = f"{len(beyond)} of {len(per_name)} names had more than {ALLOWED} extra holder, at most {most}; {first_of(anomalies)}"
    return invalid(summary, anomalies, **numbers)


def _holds(found: Iterable[Grant]) -> list[_Hold]:
    ends = [(each, each.acknowledged_at, each.must_end) for each in found if each.acknowledged]
    return [_Hold(each, start, end) for each, start, end in ends if start is not None and end is not None and start < end]


def _extras(stayed: Sequence[_Hold], went: Sequence[_Hold]) -> list[_Extra]:
    """Give the holds of `went` that overlap one of `stayed`, in order of the instant from which they do.

    The first of `stayed`, in order of their starts, that ends after a hold began: if it began before the
    hold's end they overlap, if not, nor do those after it.
    """
    ordered = sorted(stayed, key=lambda hold: hold.start)
    latest = list(accumulate((hold.end for hold in ordered), max))
    found = []
    for hold in sorted(went, key=lambda each: each.start):
        place = bisect_right(latest, hold.start)
        if place < len(ordered) and ordered[place].start < hold.end:
            found.append(_Extra(hold, ordered[place]))
    return found


def _anomaly(name: str | None, found: Sequence[_Extra]) -> Anomaly:
    """Make the anomaly of a name: its grants, those that they overlap included; it stands from the one too many on."""
    owners = ", ".join(extra.hold.grant.owner for extra in found)
    involved = {grant.index for extra in found for grant in (extra.hold.grant, extra.beside.grant)}
    return Anomaly(
        "extra-holders",
        name,
        tuple(sorted(involved)),
        at=found[ALLOWED].since,
        message=f"{_named(name)} had {len(found)} extra holders in one failover ({owners}), each beside a holder on the other side, "
        f"more than {ALLOWED} from {found[ALLOWED].since / 1e9:.3f} s on",
        live=min(extra.beside.start for extra in found),
    )


def _named(name: str | None) -> str:
    return "the object" if name is None else name


EXTRA_HOLDERS = Check(
    name="extra-holders",
    sentence="a split brain gives at most one extra holder to each name",
    kinds=(
        Kind(
            name="extra-holders",
            rule="Duplicates are rare: at most one extra holder per name and failover.",
            heading="{key} had more extra holders than one",
            one="One lock had more extra holders than one",
            many="{n} locks had more extra holders than one",
            rank=130,
            of_a_key=True,
            strip=True,
        ),
    ),
    judge=lambda history, terms: extra_holders(history),
    effects=SPLIT_BRAIN,
)
