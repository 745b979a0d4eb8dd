"""When operations on a key can have taken effect, and when what they wrote can have ended: zones, and the clocks that they are of.

A key has one clock. Where an order of operations is fixed, all that is left open are instants: `now`, that of the last operation, and
E, the end of what is there. All that the rules say of them are differences, and so the instants that are possible form a zone:

    now >= zone.now        zone.low <= E <= zone.high        E - now <= zone.span

An upper bound of `now` is not kept, since time may pass before the next operation; nor is one of now - E, for the same reason. What is
kept is tight, so that one zone lies in another exactly where its four numbers say so. All times are whole nanoseconds.

An operation takes effect at one instant x between its start and its end, and not before the one placed before it.

*A server's clock.* What is written with a TTL of T ends at one E, drawn when it is written: E - x lies in [T - early, T + late]
(`harness.judging.checkers.skew`). Before E everybody finds it, from E on nobody does, and it stays gone. Views see what is
committed and wait for no key's lock: there a TTL may count from any instant since its operation's start (`begun`), and E lies in
[start + T - early, x + T + late].

*Clients' clocks* (DynamoDB). The writer's clock is read after the start of its operation and before x, so that E, which is then +T, lies
in [start + T, x + T]. Whoever looks compares it with a clock of his own, which he too has read by then, and which may differ: what he
finds still there says only that E > start - late (he waits for the bound, and his clock may be as far behind), what he finds missing
only that E <= x + early. A look decides nothing for others.

Sources: Dill, Timing assumptions and verification of finite-state concurrent systems, CAV 1989 (difference bounds); Alur and Dill,
A theory of timed automata, TCS 1994.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from harness.judging.checkers.skew import Skew, skew_of
from harness.record.history import History

NS_PER_MS = 1_000_000
LONG_AGO = -(2**90)
EVER = 2**80
"""Longer than any history and any TTL, of up to 2**53 ms."""


class Zone(NamedTuple):
    """The instants that are possible; of what never ends only `now` counts, and the others are 0."""

    now: int
    low: int = 0
    high: int = 0
    span: int = 0

    def within(self, other: Zone) -> bool:
        """Say whether every instant of this zone is one of the other."""
        return self.now >= other.now and self.low >= other.low and self.high <= other.high and self.span <= other.span


START = Zone(LONG_AGO)


class Window(NamedTuple):
    """When an operation may take effect: its start, and the latest instant that is left for it."""

    start: int
    until: int


class Ends(Protocol):
    """What ends keys, as the search asks it. Each answer is None where no instant fits."""

    @property
    def decides(self) -> bool:
        """Whether what one client found missing is gone for all."""
        ...

    @property
    def starts_count(self) -> bool:
        """Whether an end depends on when the operation that wrote it started."""
        ...

    def holds(self, ttl_ms: int | None) -> int:
        """Give what must be remembered of a TTL beside the zone: 0 = never ends."""
        ...

    def there(self, zone: Zone, window: Window, held: int) -> tuple[Zone, int] | None:
        """Give what is left of the zone where an operation in this window finds it there, and the latest instant for it."""
        ...

    def gone(self, zone: Zone, window: Window, held: int) -> Zone | None:
        """Give what is left where an operation finds it ended."""
        ...

    def either(self, zone: Zone, window: Window) -> Zone | None:
        """Give what is left where an operation takes effect whether or not what was there has ended."""
        ...

    def written(self, now: tuple[int, int], window: Window, ttl_ms: int) -> Zone:
        """Give the zone of what is written at an instant from `now` with this TTL."""
        ...


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock that ends keys: a server's, or clients'. `ms` is the nanoseconds of a millisecond: tests count in smaller ones.

    By a clock that is `early` keys may end at any time before they should, by one that is `late` at any time after.
    `begun`: TTLs count from an instant between an operation's start and its effect, also by a server's clock.
    """

    skew: Skew
    clients: bool = False
    ms: int = NS_PER_MS
    early: bool = False
    late: bool = False
    begun: bool = False

    @property
    def decides(self) -> bool:
        return not self.clients

    @property
    def starts_count(self) -> bool:
        return self.clients or self.begun

    def holds(self, ttl_ms: int | None) -> int:
        if ttl_ms is None:
            return 0
        return ttl_ms if self.clients else 1

    def there(self, zone: Zone, window: Window, held: int) -> tuple[Zone, int] | None:
        if not held:
            now = max(zone.now, window.start)
            return (Zone(now), window.until) if now <= window.until else None
        if self.clients:
            return _left(zone, window, max(zone.low, self.seen_after(window.start, held)), zone.span)
        now = max(zone.now, window.start, zone.low - zone.span)
        latest = min(window.until, zone.high - 1)
        low, high = max(zone.low, now + 1), min(zone.high, latest + zone.span)
        if now > latest or low > high or zone.span < 1:
            return None
        return Zone(now, low, high, min(zone.span, high - now)), latest

    def gone(self, zone: Zone, window: Window, held: int) -> Zone | None:
        if self.clients:
            left = _left(zone, window, zone.low, min(zone.span, self.gone_before(held)))
            return left[0] if left else None
        now = max(zone.now, window.start, zone.low, zone.low - zone.span)
        return Zone(now) if now <= window.until else None

    def either(self, zone: Zone, window: Window) -> Zone | None:
        now = max(zone.now, window.start, zone.low - zone.span)
        return Zone(now) if now <= window.until else None

    def written(self, now: tuple[int, int], window: Window, ttl_ms: int) -> Zone:
        lasts = ttl_ms * self.ms
        if self.clients:
            return Zone(now[0], window.start + lasts, now[1] + lasts, lasts)
        shortest, longest = self.lasts(ttl_ms)
        return Zone(now[0], (window.start if self.begun else now[0]) + shortest, now[1] + longest, longest)

    def lasts(self, ttl_ms: int) -> tuple[int, int]:
        """Give how long at least and at most what is written with a TTL is there, by a server's clock."""
        shortest = 0 if self.early else ttl_ms * self.ms - self.skew.before(ttl_ms)
        return shortest, EVER if self.late else ttl_ms * self.ms + self.skew.late(ttl_ms)

    def seen_after(self, start: int, ttl_ms: int) -> int:
        """Give the earliest end of what a client who began to look at `start` found there."""
        return LONG_AGO if self.late else start - self.skew.late(ttl_ms) + 1

    def gone_before(self, ttl_ms: int) -> int:
        """Give by how much what a client found missing may have ended after he looked."""
        return EVER if self.early else self.skew.before(ttl_ms)


def _left(zone: Zone, window: Window, low: int, span: int) -> tuple[Zone, int] | None:
    now = max(zone.now, window.start, low - span)
    high = min(zone.high, window.until + span)
    if now > window.until or low > high:
        return None
    return Zone(now, low, high, min(span, high - now)), window.until


@dataclass(frozen=True, slots=True)
class Coarse:
    """A clock that forgets at which instant each operation took effect: only the end of what is there stays within bounds.

    Whatever is possible by the clock is possible by this one, and far fewer zones differ. So what is impossible by it is impossible, and
    an order that is possible by it is tried by the clock itself.
    """

    clock: Clock

    @property
    def decides(self) -> bool:
        return self.clock.decides

    @property
    def starts_count(self) -> bool:
        return self.clock.starts_count

    def holds(self, ttl_ms: int | None) -> int:
        return self.clock.holds(ttl_ms)

    def there(self, zone: Zone, window: Window, held: int) -> tuple[Zone, int] | None:
        if not held:
            return zone, window.until
        after = self.clock.seen_after(window.start, held) if self.clock.clients else window.start + 1
        low = max(zone.low, after)
        return (zone._replace(low=low), window.until) if low <= zone.high else None

    def gone(self, zone: Zone, window: Window, held: int) -> Zone | None:
        if not self.clock.clients:
            return START if zone.low <= window.until else None
        high = min(zone.high, window.until + self.clock.gone_before(held))
        return zone._replace(high=high) if zone.low <= high else None

    def either(self, zone: Zone, window: Window) -> Zone | None:
        return START

    def written(self, now: tuple[int, int], window: Window, ttl_ms: int) -> Zone:
        shortest, longest = (ttl_ms * self.clock.ms,) * 2 if self.clock.clients else self.clock.lasts(ttl_ms)
        return Zone(LONG_AGO, window.start + shortest, window.until + longest, EVER)


def clock_of(history: History) -> Clock:
    """Give the clock that ends keys: clients' where the header names their bound, else a server's."""
    by_clients = history.header is not None and history.header.clock_bound_ms is not None
    return Clock(skew_of(history), clients=by_clients)
