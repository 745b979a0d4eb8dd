"""Rules of locks: grants, refusals, releases, expiry, tokens; and what several clients do at once."""

from __future__ import annotations

import time
import uuid
from functools import partial
from itertools import chain

from harness.contract.asking import LATE_S, LONG_MS, SLACK_S, Ask, Asking, holds, same, together, until
from harness.contract.rule import rule

ROUNDS = 10
CLIENTS = 8


def _name() -> str:
    return f"lock:{uuid.uuid4().hex}"


def _owner() -> str:
    return uuid.uuid4().hex


def _granted(ask: Ask, name: str, owner: str, ttl_ms: int = LONG_MS) -> int:
    """Take a lock that is free; give its token."""
    answer = ask("try_acquire", name, owner=owner, ttl_ms=ttl_ms)
    same("try_acquire of a lock that is free", answer["granted"], True)
    token = answer["fencing_token"]
    holds(f"a grant has the fencing token {token!r}", isinstance(token, int) and token > 0, "a whole number above 0")
    return int(token)


def _refused(ask: Ask, name: str, owner: str, what: str) -> None:
    same(what, ask("try_acquire", name, owner=owner, ttl_ms=LONG_MS), {"granted": False, "fencing_token": None})


@rule("held-is-refused", "A lock that is held is refused to everyone, its holder included: it is not re-entrant.", "try_acquire")
def held_is_refused(asking: Asking) -> None:
    name, owner = _name(), _owner()
    _granted(asking.ask, name, owner)
    _refused(asking.ask, name, owner, "try_acquire by the holder")
    _refused(asking.another(), name, _owner(), "try_acquire by another")


@rule("names-apart", "Locks of different names are different locks.", "try_acquire")
def names_apart(asking: Asking) -> None:
    name = _name()
    for each in (name, f"{name}:h", f"{name}*", f"{name} ", "ключ" + name, f"{name}\n"):
        _granted(asking.ask, each, _owner())


@rule("release-frees", "A lock that was released is granted again, with a higher fencing token.", "try_acquire release")
def release_frees(asking: Asking) -> None:
    name, owner = _name(), "a:b\n🔑" + _owner()
    first = _granted(asking.ask, name, owner)
    same("release by the holder, over another connection", asking.another()("release", name, owner=owner), {"released": True})
    same("a second release", asking.ask("release", name, owner=owner), {"released": False})
    second = _granted(asking.ask, name, _owner())
    holds(f"the token after {first} is {second}", second > first, f"more than {first}")


@rule("lock-expires", "A lock ends with its TTL, not before and not long after.", "try_acquire")
def lock_expires(asking: Asking) -> None:
    name, other, before = _name(), asking.another(), time.monotonic()
    _granted(asking.ask, name, _owner(), 200)
    acknowledged, last = time.monotonic(), before

    def taken() -> bool:
        nonlocal last
        began = time.monotonic()
        if other("try_acquire", name, owner=_owner(), ttl_ms=LONG_MS)["granted"]:
            return True
        last = began  # it was held at this instant, or later
        return False

    until("a lock with a TTL of 200 ms was still refused", taken, "that it ends")
    took = time.monotonic() - before
    holds(f"a lock of 200 ms was granted again {took * 1000:.0f} ms after it was asked for", took >= 0.2 - SLACK_S, "200 ms at least")
    late = last - acknowledged
    holds(f"a lock of 200 ms was refused {late * 1000:.0f} ms after it was granted", late <= 0.2 + LATE_S, "that it ends with its TTL")


@rule("expired-holder", "Whose lock has ended holds it no more: is_held, extend and release say so.", "try_acquire is_held extend release")
def expired_holder(asking: Asking) -> None:
    name, owner = _name(), _owner()
    _granted(asking.ask, name, owner, 100)
    until("a lock with a TTL of 100 ms was still held", lambda: not asking.ask("is_held", name, owner=owner)["held"], "that it ends")
    same("extend of a lock that has ended", asking.ask("extend", name, owner=owner, duration_ms=LONG_MS), {"held": False})
    same("release of a lock that has ended", asking.ask("release", name, owner=owner), {"released": False})


@rule("late-extend", "Whose lock has ended cannot extend it, though nobody has looked or taken it since.", "try_acquire is_held extend")
def late_extend(asking: Asking) -> None:
    late, later = (_name(), _owner()), (_name(), _owner())
    _granted(asking.ask, *late, 100)
    _granted(asking.ask, *later, 101)
    name, owner = later
    until("a lock with a TTL of 101 ms was still held", lambda: not asking.ask("is_held", name, owner=owner)["held"], "that it ends")
    same("extend of a lock that ended before", asking.ask("extend", late[0], owner=late[1], duration_ms=LONG_MS), {"held": False})


@rule("extend", "An extend moves the end of a lock to now and its duration, later or earlier.", "try_acquire is_held extend")
def extend(asking: Asking) -> None:
    def held(name: str, owner: str) -> bool:
        return bool(asking.ask("is_held", name, owner=owner)["held"])

    name, owner = _name(), _owner()
    _granted(asking.ask, name, owner)
    same("extend by the holder", asking.ask("extend", name, owner=owner, duration_ms=20), {"held": True})
    until("a lock whose end was moved to 20 ms from now was still held", lambda: not held(name, owner), "that it ends")
    longer, other = (_name(), _owner()), (_name(), _owner())
    for one in (longer, other):
        _granted(asking.ask, *one, 300)
    extended = asking.ask("extend", longer[0], owner=longer[1], duration_ms=LONG_MS)["held"]
    until("a lock with a TTL of 300 ms was still held", lambda: not held(*other), "that it ends")
    holds("a lock of 300 ms that was extended was not held after that", not extended or held(*longer), "that it is held")


@rule("extend-sets", "An extend sets the end anew and does not add to what is left.", "try_acquire is_held extend")
def extend_sets(asking: Asking) -> None:
    name, owner, before = _name(), _owner(), time.monotonic()
    _granted(asking.ask, name, owner, LONG_MS)
    for _ in range(3):
        asking.ask("extend", name, owner=owner, duration_ms=100)
    until(
        "a lock extended by 100 ms three times was still held", lambda: not asking.ask("is_held", name, owner=owner)["held"], "that it ends"
    )
    took = time.monotonic() - before
    holds(f"it ended {took * 1000:.0f} ms after it was asked for", took >= 0.1 - SLACK_S, "100 ms at least")


@rule("strangers", "A stranger can neither release nor extend a lock, nor hold it.", "try_acquire is_held extend release")
def strangers(asking: Asking) -> None:
    name, owner, stranger = _name(), _owner(), _owner()
    _granted(asking.ask, name, owner)
    same("release by a stranger", asking.ask("release", name, owner=stranger), {"released": False})
    same("extend by a stranger", asking.ask("extend", name, owner=stranger, duration_ms=1), {"held": False})
    same("is_held by a stranger", asking.ask("is_held", name, owner=stranger), {"held": False})
    same("is_held by the holder after that", asking.another()("is_held", name, owner=owner), {"held": True})


@rule("longest-lease", "A lease of 2 to the 53 ms is a lease.", "try_acquire")
def longest_lease(asking: Asking) -> None:
    name = _name()
    _granted(asking.ask, name, _owner(), 2**53)
    _refused(asking.ask, name, _owner(), "try_acquire of a lock that is held for long")


@rule("waits", "Who waits for a lock gets it when it is released.", "try_acquire acquire_within release")
def waits(asking: Asking) -> None:
    name, owner, waiter, holder = _name(), _owner(), asking.another(), asking.another()
    _granted(holder, name, owner)
    granted, released = together(
        lambda: waiter("acquire_within", name, owner=_owner(), ttl_ms=LONG_MS, timeout_ms=20_000),
        lambda: holder("release", name, owner=owner),
    )
    same("release by the holder", released, {"released": True})
    same("acquire_within of a lock that is released", granted["granted"], True)


@rule("gives-up", "Who waits for a lock that stays held gives up at the time-out and holds nothing.", "try_acquire acquire_within")
def gives_up(asking: Asking) -> None:
    name, other = _name(), asking.another()
    _granted(asking.ask, name, _owner())

    def in_time() -> bool:
        """A busy machine is late now and then; a client that takes longer than it may is late each time."""
        before = time.monotonic()
        answer = other("acquire_within", name, owner=_owner(), ttl_ms=LONG_MS, timeout_ms=60)
        took = time.monotonic() - before
        same("acquire_within of a lock that stays held", answer, {"granted": False, "fencing_token": None})
        holds(f"it gave up after {took * 1000:.0f} ms", took >= 0.06, "its time-out of 60 ms at least")
        return took <= 0.06 + LATE_S

    until("with a time-out of 60 ms it gave up too late", in_time, f"that it gives up within {LATE_S * 1000:.0f} ms of it")


@rule("one-holder", "Of eight that try to acquire a lock at once, one gets it.", "try_acquire")
def one_holder(asking: Asking) -> None:
    clients = [asking.another() for _ in range(CLIENTS)]
    for _ in range(ROUNDS):
        name = _name()
        answers = together(*(partial(ask, "try_acquire", name, owner=_owner(), ttl_ms=LONG_MS) for ask in clients))
        same("grants of eight that tried at once", [answer["granted"] for answer in answers].count(True), 1)


@rule("tokens-rise", "Fencing tokens of a lock that changes hands are unique and rise.", "acquire_within release")
def tokens_rise(asking: Asking) -> None:
    name, each, clients = _name(), 10, [asking.another() for _ in range(4)]

    def grants(ask: Ask) -> list[int]:
        found = []
        for _ in range(each):
            owner = _owner()
            answer = ask("acquire_within", name, owner=owner, ttl_ms=LONG_MS, timeout_ms=30_000)
            same("acquire_within of a lock that others release", answer["granted"], True)
            found.append(int(answer["fencing_token"]))
            ask("release", name, owner=owner)
        return found

    tokens = together(*(partial(grants, ask) for ask in clients))
    for own in tokens:
        same("the tokens of one client", own, sorted(own))
    same("different tokens of all clients", len(set(chain.from_iterable(tokens))), len(clients) * each)
