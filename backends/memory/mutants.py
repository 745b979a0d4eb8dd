"""Planted bugs of the Memory backend: operations replaced by wrong ones over the same store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from backends.memory.store import MemoryStore
from backends.mutant import Right, Step, get_then_set, lasting_grant, stale_cas, waiting_grant


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug in one sentence, and the operations it replaces."""

    sentence: str
    steps: Mapping[str, Step]


def _release_unchecked(right: Right[MemoryStore], name: str, owner: str) -> bool:
    store = right.commands
    with store.mutex:
        found = store.lease(name)
        return found is not None and store.release(name, found.owner)


def _extend_unchecked(right: Right[MemoryStore], name: str, owner: str, duration_ms: int) -> bool:
    store = right.commands
    with store.mutex:
        found = store.lease(name)
        return found is not None and store.extend(name, found.owner, duration_ms)


def _increment_twice(right: Right[MemoryStore], key: str, delta: int, ttl_ms: int | None) -> int | None:
    store = right.commands
    with store.mutex:
        first = store.increment(key, delta, ttl_ms)
        store.increment(key, delta, ttl_ms)
        return first


def _grant_half(right: Right[MemoryStore], name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    return right.commands.grant(name, owner, max(1, ttl_ms // 2), within_s)


def _extend_half(right: Right[MemoryStore], name: str, owner: str, duration_ms: int) -> bool:
    return right.commands.extend(name, owner, max(1, duration_ms // 2))


def _grant_repeating(right: Right[MemoryStore], name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    store = right.commands
    with store.mutex:
        token = store.grant(name, owner, ttl_ms, within_s)
        return None if token is None else (token + 1) // 2


def _set_skipping(right: Right[MemoryStore], key: str, value: str, ttl_ms: int | None) -> None:
    store = right.commands
    with store.mutex:
        store.set(key, value, ttl_ms)
        store.entries[key] = replace(store.entries[key], version=store.entries[key].version + 1)


def _ghost(key: str) -> str:
    return f"::\0:{key}"  # of a kind that no key has, so that scans pass it by


def _delete_for_now(right: Right[MemoryStore], key: str) -> bool:
    store = right.commands
    with store.mutex:
        found = store.entry(key)
        if found is not None:
            store.entries[_ghost(key)] = found
        return store.delete(key)


def _get_versioned_reviving(right: Right[MemoryStore], key: str) -> tuple[str, int] | None:
    store = right.commands
    with store.mutex:
        found = store.get_versioned(key)
        if found is None and store.entry(_ghost(key)) is not None:
            store.entries[key] = store.entries.pop(_ghost(key))
        return found


def _get_reviving(right: Right[MemoryStore], key: str) -> str | None:
    found = _get_versioned_reviving(right, key)
    return found[0] if found else None


def _get_versioned_evicting(right: Right[MemoryStore], key: str) -> tuple[str, int] | None:
    store = right.commands
    found = store.entries.get(key)
    if found is None:
        return None
    if store.passed(found.expires_at_ns):
        right.yield_()
        store.entries.pop(key, None)  # whatever stands there by now
        return None
    return found.value, found.version


def _get_evicting(right: Right[MemoryStore], key: str) -> str | None:
    found = _get_versioned_evicting(right, key)
    return found[0] if found else None


MUTANTS: Mapping[str, Mutant] = {
    "release-unchecked": Mutant(
        "release and extend do not check the owner: a late holder frees or prolongs another's lock",
        {"release": _release_unchecked, "extend": _extend_unchecked},
    ),
    "get-then-set": Mutant("check_and_set reads, then writes in a second step: two winners", {"check_and_set": get_then_set}),
    "stale-cas": Mutant(
        "compare_and_swap compares a version read earlier, then writes unconditionally: lost updates", {"compare_and_swap": stale_cas}
    ),
    "increment-twice": Mutant("increment is applied twice and answers the first sum", {"increment": _increment_twice}),
    "ttl-early": Mutant("a lock ends at half of its TTL or extension", {"grant": _grant_half, "extend": _extend_half}),
    "ttl-late": Mutant("a lock is free again only after twice its TTL", {"grant": lasting_grant}),
    "fencing-repeats": Mutant("every fencing token is given twice in a row", {"grant": _grant_repeating}),
    "grant-waits": Mutant("a refused acquisition waits up to 1 s, whatever time its caller gives it", {"grant": waiting_grant}),
    "versions-skip": Mutant("set raises the version by two", {"set": _set_skipping}),
    "delete-resurrects": Mutant(
        "the first read after a delete answers missing and brings the old value back",
        {"delete": _delete_for_now, "get": _get_reviving, "get_versioned": _get_versioned_reviving},
    ),
    "read-evicts": Mutant(
        "a read that sees an expired value removes, a step later, whatever stands there: two winners, lost writes",
        {"get": _get_evicting, "get_versioned": _get_versioned_evicting},
    ),
}
