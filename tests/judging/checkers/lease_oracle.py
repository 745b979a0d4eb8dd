"""Judges of the lease checker: small random histories, and an exact search that decides whether one is possible.

Everything is in whole milliseconds here; a history of nanoseconds is made of them at the end. The search
tries every order and every instant, so that it is slow and plainly right: a state is (time, what was
done, owner, expiry), and a state that failed once is not tried again.

Servers are functions (operation, instant, lease) -> (answer, lease): a correct one, correct ones whose
clocks are off, and broken ones.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from harness.record.history import Event, EventType, History

NS_PER_MS = 1_000_000
FUNCTIONS = ("extend", "release", "is_held")
ANSWERS = {"try_acquire": "granted", "extend": "held", "release": "released", "is_held": "held"}
SPANS = {"try_acquire": "ttl_ms", "extend": "duration_ms"}


@dataclass(frozen=True, slots=True)
class Op:
    """One operation in [start, end]; `answer` None and `end` None if it was not answered."""

    f: str
    owner: str
    start: int
    end: int | None
    answer: bool | None
    span: int = 0


Lease = tuple[str, int] | None
"""The owner and the expiry."""


Server = Callable[[Op, int, Lease], tuple[bool, Lease]]


def serve(op: Op, at: int, lease: Lease) -> tuple[bool, Lease]:
    """Do an operation at an instant, as the contract says."""
    live = lease is not None and at < lease[1]
    mine = live and lease is not None and lease[0] == op.owner
    if op.f == "try_acquire":
        return not live, lease if live else (op.owner, at + op.span)
    if op.f == "extend":
        return mine, (op.owner, at + op.span) if mine else lease
    if op.f == "release":
        return mine, None if mine else lease
    return mine, lease


def possible(ops: list[Op]) -> bool:
    """Decide whether a correct server can have given these answers, operations done at whole milliseconds."""
    horizon = max((op.end for op in ops if op.end is not None), default=0)
    failed: set[tuple[int, int, Lease]] = set()

    def search(now: int, done: int, lease: Lease) -> bool:
        left = [(place, op) for place, op in enumerate(ops) if not done >> place & 1]
        answered = [op.end for _, op in left if op.end is not None]
        if not answered:
            return True
        if (now, done, lease) in failed:
            return False
        for place, op in left:
            latest = min([horizon if op.end is None else op.end, *answered])
            for at in range(max(now, op.start), latest + 1):
                answer, after = serve(op, at, lease)
                if op.answer in (None, answer) and search(at, done | 1 << place, after):
                    return True
        failed.add((now, done, lease))
        return False

    return search(0, 0, None)


def draw(
    rng: random.Random, server: Server = serve, *, count: int | None = None, long_calls: bool = False, asked_again: bool = False
) -> list[Op]:
    """Draw operations (3 to 7, or this many) of two or three clients on one lock, answered by a server.

    Tokens are used by any client, before their grant is answered, after a refusal and after none;
    unanswered operations are done late or never. Long calls last up to the TTL. `asked_again`: one token serves several attempts.
    """
    slots = [0] * rng.choice((2, 2, 3))
    ttl = rng.choice((4, 8, 12))
    planned: list[tuple[int, Op]] = []
    owners: list[str] = []
    for number in range(count or rng.randint(3, 7)):
        slot = rng.randrange(len(slots))
        start = slots[slot] + rng.randint(1, 5)
        slots[slot] = end = start + rng.randint(0, ttl if long_calls else 3)
        f, owner = "try_acquire", f"o{number}"
        if owners and rng.random() < 0.55:
            f, owner = rng.choice(FUNCTIONS), rng.choice(owners[-3:])
        elif owners and asked_again and rng.random() < 0.5:
            owner = rng.choice(owners[-3:])
        else:
            owners.append(owner)
        span = {"try_acquire": ttl + rng.choice((0, 0, 3)), "extend": rng.choice((1, 2, ttl, ttl + 4))}.get(f, 0)
        unanswered = rng.random() < 0.15
        at = start + rng.randint(0, 12) if unanswered else rng.randint(start, end)
        planned.append((at, Op(f, owner, start, None if unanswered else end, None, span)))
    return _answered(rng, planned, server)


def _answered(rng: random.Random, planned: list[tuple[int, Op]], server: Server) -> list[Op]:
    lease: Lease = None
    found = []
    for at, op in sorted(planned, key=lambda one: one[0]):
        answer = None
        if op.end is not None or rng.random() < 0.7:
            answer, lease = server(op, at, lease)
        found.append(replace(op, answer=answer if op.end is not None else None))
    return sorted(found, key=lambda op: op.start)


def sloppy(rng: random.Random, skew_ms: int) -> Server:
    """Make a correct server whose leases end up to this much early or late."""

    def server(op: Op, at: int, lease: Lease) -> tuple[bool, Lease]:
        return serve(replace(op, span=max(0, op.span + rng.randint(-skew_ms, skew_ms))), at, lease)

    return server


def by_client_clocks(rng: random.Random, bound_ms: int) -> Server:
    """Make a correct server whose clients' clocks end leases: who waits sees them up to twice the bound longer than who holds."""

    def server(op: Op, at: int, lease: Lease) -> tuple[bool, Lease]:
        if op.f == "try_acquire" and lease is not None:
            answer, after = serve(op, at, (lease[0], lease[1] + rng.randint(0, 2 * bound_ms)))
            return answer, after if answer else lease
        return serve(op, at, lease)

    return server


def by_clients_own_clocks(rng: random.Random, bound_ms: int) -> Server:
    """Make a correct server that asks the clocks of its clients: each is set anew before each operation, and all keep within the bound.

    An owner whose clock is set back holds again what he was refused before, if nobody took it.
    """

    def server(op: Op, at: int, lease: Lease) -> tuple[bool, Lease]:
        now = at + rng.randint(0, bound_ms)
        if op.f == "try_acquire":
            free = lease is None or now - bound_ms > lease[1]
            return free, (op.owner, now + op.span) if free else lease
        if lease is None or lease[0] != op.owner or now >= lease[1]:
            return False, lease
        return True, {"extend": (op.owner, now + op.span), "release": None}.get(op.f, lease)

    return server


def granting_held(rng: random.Random) -> Server:
    """Make a server that now and then grants a lock that is held."""

    def server(op: Op, at: int, lease: Lease) -> tuple[bool, Lease]:
        return serve(op, at, None if op.f == "try_acquire" and rng.random() < 0.5 else lease)

    return server


def letting_its_holder_in(op: Op, at: int, lease: Lease) -> tuple[bool, Lease]:
    """Grant a lock that is held to the one who holds it."""
    held = lease is not None and at < lease[1] and lease[0] == op.owner
    return serve(op, at, None if held and op.f == "try_acquire" else lease)


def not_asking_for_the_owner(op: Op, at: int, lease: Lease) -> tuple[bool, Lease]:
    """Extend and release whatever is held, whoever asks."""
    if op.f in ("extend", "release") and lease is not None:
        answer, after = serve(replace(op, owner=lease[0]), at, lease)
        return answer, after
    return serve(op, at, lease)


def flipped(rng: random.Random, ops: list[Op]) -> list[Op]:
    """Give one of the answers the other way round."""
    answered = [place for place, op in enumerate(ops) if op.answer is not None]
    if not answered:
        return ops
    place = rng.choice(answered)
    return [replace(op, answer=not op.answer) if place == number else op for number, op in enumerate(ops)]


def history(ops: list[Op], tick_ns: int = NS_PER_MS) -> History:
    """Write the operations as a history: a process each, invocations before completions where times are equal.

    Times are in ticks, spans always in milliseconds.
    """
    lines: list[tuple[int, int, int, EventType, Any]] = []
    for process, op in enumerate(ops):
        argument: dict[str, Any] = {"owner": op.owner}
        if op.f in SPANS:
            argument[SPANS[op.f]] = op.span
        lines.append((op.start, 0, process, "invoke", argument))
        if op.end is not None:
            value: dict[str, Any] = {ANSWERS[op.f]: op.answer}
            lines.append((op.end, 1, process, "ok", value))
    lines.sort(key=lambda line: line[:3])
    events = [
        Event(index=index, time=time * tick_ns, process=process, type=type_, f=ops[process].f, key="lock", value=value)
        for index, (time, _, process, type_, value) in enumerate(lines)
    ]
    return History(tuple(events), complete=True)
