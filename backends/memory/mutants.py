"""Planted bugs of the Memory backend: operations replaced by wrong ones over the same store, conditions of the right ones left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from backends.bugs import SHARED
from backends.bugs.keys import reading
from backends.bugs.locks import ANYBODY, looking_grant, looking_release
from backends.interface import Conflict, Swapped
from backends.memory.store import Entry, Lease, MemoryStore
from backends.mutant import Mutant, Right, altered, planted
from backends.session import Commands
from harness.driving.backend import Planted

R = Right[MemoryStore]

# Locks


def _release_unchecked(right: R, name: str, owner: str) -> bool:
    store = right.commands
    with store.mutex:
        found = store.lease(name)
        return found is not None and store.release(name, found.owner)


def _extend_unchecked(right: R, name: str, owner: str, duration_ms: int) -> bool:
    store = right.commands
    with store.mutex:
        found = store.lease(name)
        return found is not None and store.extend(name, found.owner, duration_ms)


def _is_held_unchecked(right: R, name: str, owner: str) -> bool:
    with right.commands.mutex:
        return right.commands.lease(name) is not None


def _unconditional(store: MemoryStore) -> Commands:
    """Give the commands with an `is_held` that answers for anybody, and a release and a grant that do not look."""

    def is_held(name: str, owner: str) -> bool:
        with store.mutex:
            found = store.lease(name)
            return found is not None and owner in (ANYBODY, found.owner)

    def release(name: str, owner: str) -> bool:
        with store.mutex:
            return store.leases.pop(name, None) is not None

    def grant(name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
        with store.mutex:
            store.leases.pop(name, None)
            return store.grant(name, owner, ttl_ms, within_s)

    return altered(store, {"is_held": is_held, "release": release, "grant": grant})


def _grant_after_look(right: R, name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    return looking_grant(Right(_unconditional(right.commands), right.yield_), name, owner, ttl_ms, within_s)


def _release_after_look(right: R, name: str, owner: str) -> bool:
    return looking_release(Right(_unconditional(right.commands), right.yield_), name, owner)


def _extend_reviving(right: R, name: str, owner: str, duration_ms: int) -> bool:
    store = right.commands
    with store.mutex:
        found = store.leases.get(name)  # be it over
        if found is None or found.owner != owner:
            return False
        store.leases[name] = replace(found, expires_at_ns=store.after_ns(duration_ms))
        return True


def _is_held_for_ever(right: R, name: str, owner: str) -> bool:
    with right.commands.mutex:
        found = right.commands.leases.get(name)
        return found is not None and found.owner == owner


# Keys


def _swap_unwatched(right: R, key: str, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict:
    store = right.commands
    found = store.entries.get(key)
    if (found.version if found else 0) != expected_version or (found and store.passed(found.expires_at_ns)):
        return store.compare_and_swap(key, expected_version, value, ttl_ms)
    right.yield_()
    store.entries[key] = Entry(value, expected_version + 1, None if ttl_ms is None else store.after_ns(ttl_ms))
    return Swapped(expected_version + 1)


def _set_restarting(right: R, key: str, value: str, ttl_ms: int | None) -> None:
    with right.commands.mutex:
        right.commands.entries.pop(key, None)
        right.commands.set(key, value, ttl_ms)


def _get_versioned_evicting(right: R, key: str) -> tuple[str, int] | None:
    store = right.commands
    found = store.entries.get(key)
    if found is None:
        return None
    if store.passed(found.expires_at_ns):
        right.yield_()
        store.entries.pop(key, None)  # whatever stands there by now
        return None
    return found.value, found.version


def _swap_unchecked(right: R, key: str, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict:
    store = right.commands
    with store.mutex:
        found = store.entry(key)
        return store.compare_and_swap(key, found.version if found else 0, value, ttl_ms)


# Expiry: what is over and still stands there


def _alive_again(store: MemoryStore, key: str) -> None:
    """Take the expiry from an entry that is over; call it under the mutex."""
    found = store.entries.get(key)
    if found is not None and store.passed(found.expires_at_ns):
        store.entries[key] = replace(found, expires_at_ns=None)


def _get_versioned_for_ever(right: R, key: str) -> tuple[str, int] | None:
    found = right.commands.entries.get(key)
    return (found.value, found.version) if found else None


def _set_for_ever(right: R, key: str, value: str, ttl_ms: int | None) -> None:
    with right.commands.mutex:
        _alive_again(right.commands, key)
        right.commands.set(key, value, ttl_ms)


def _swap_for_ever(right: R, key: str, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict:
    with right.commands.mutex:
        _alive_again(right.commands, key)
        return right.commands.compare_and_swap(key, expected_version, value, ttl_ms)


def _increment_for_ever(right: R, key: str, delta: int, ttl_ms: int | None) -> int | None:
    with right.commands.mutex:
        _alive_again(right.commands, key)
        return right.commands.increment(key, delta, ttl_ms)


def _delete_for_ever(right: R, key: str) -> bool:
    return right.commands.entries.pop(key, None) is not None


def _check_and_set_for_ever(right: R, key: str, value: str, ttl_ms: int | None) -> bool:
    with right.commands.mutex:
        return key not in right.commands.entries and right.commands.check_and_set(key, value, ttl_ms)


def _scan_for_ever(right: R, stem: str) -> list[tuple[str, str]]:
    with right.commands.mutex:
        return [(key, entry.value) for key, entry in right.commands.entries.items() if key.startswith(stem)]


def _scan_kind_for_ever(right: R, kind: str) -> list[tuple[str, str]]:
    with right.commands.mutex:
        return [(key, entry.value) for key, entry in right.commands.entries.items() if key.split(":", 3)[2] == kind]


# Expiry: what a write makes of the time that was there


def _expiry_of(store: MemoryStore, key: str) -> int | None:
    found = store.entry(key)
    return found.expires_at_ns if found else None


def _with_expiry(store: MemoryStore, key: str, expires_at_ns: int | None) -> None:
    store.entries[key] = replace(store.entries[key], expires_at_ns=expires_at_ns)


def _set_keeping(right: R, key: str, value: str, ttl_ms: int | None) -> None:
    store = right.commands
    with store.mutex:
        old = _expiry_of(store, key)
        store.set(key, value, ttl_ms)
        if ttl_ms is None:
            _with_expiry(store, key, old)


def _swap_keeping(right: R, key: str, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict:
    store = right.commands
    with store.mutex:
        old = _expiry_of(store, key)
        answer = store.compare_and_swap(key, expected_version, value, ttl_ms)
        if ttl_ms is None and isinstance(answer, Swapped):
            _with_expiry(store, key, old)
        return answer


def _increment_clearing(right: R, key: str, delta: int, ttl_ms: int | None) -> int | None:
    store = right.commands
    with store.mutex:
        total = store.increment(key, delta, ttl_ms)
        if total is not None and ttl_ms is None:
            _with_expiry(store, key, None)
        return total


def _refused_renewing(right: R, key: str, value: str, ttl_ms: int | None) -> bool:
    store = right.commands
    with store.mutex:
        won = store.check_and_set(key, value, ttl_ms)
        if not won and ttl_ms is not None:
            _with_expiry(store, key, store.after_ns(ttl_ms))
        return won


def _set_in_two_steps(right: R, key: str, value: str, ttl_ms: int | None) -> None:
    store = right.commands
    with store.mutex:
        found = store.entry(key)
        if found is None:
            return store.set(key, value, ttl_ms)
        store.entries[key] = replace(found, value=value, version=found.version + 1)
    right.yield_()
    with store.mutex:
        if store.entry(key) is not None:
            _with_expiry(store, key, None if ttl_ms is None else store.after_ns(ttl_ms))
    return None


def _no_grant_after_expiry(right: R, name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    store = right.commands
    with store.mutex:
        if name in store.leases:
            return None
        store.fence += 1
        store.leases[name] = Lease(owner, store.fence, store.after_ns(ttl_ms))
        return store.fence


MUTANTS: Mapping[str, Mutant] = {
    **SHARED,
    "release-unchecked": Mutant(
        "release and extend do not check the owner: a late holder frees or prolongs another's lock",
        {"release": _release_unchecked, "extend": _extend_unchecked},
    ),
    "release-looks-first": Mutant(
        "release looks whose the lock is, then removes it in a second step: it may be another's by then", {"release": _release_after_look}
    ),
    "grant-looks-first": Mutant("a grant looks whether the lock is free, then takes it in a second step", {"grant": _grant_after_look}),
    "grant-after-release-only": Mutant("a grant does not look whether the lock has expired", {"grant": _no_grant_after_expiry}),
    "is-held-unchecked": Mutant("is_held answers true to whoever asks, while anybody holds the lock", {"is_held": _is_held_unchecked}),
    "is-held-expired": Mutant("is_held does not look whether the lock has expired", {"is_held": _is_held_for_ever}),
    "extend-expired": Mutant("extend does not look whether the lock has expired", {"extend": _extend_reviving}),
    "stale-snapshot": Mutant(
        "nothing waits for the other operation on a key: two read the same version, and both swap", {"compare_and_swap": _swap_unwatched}
    ),
    "cas-unchecked": Mutant("compare_and_swap does not compare", {"compare_and_swap": _swap_unchecked}),
    "versions-restart": Mutant("set begins the versions again at 1", {"set": _set_restarting}),
    "read-evicts": Mutant(
        "a read that sees an expired value removes, a step later, whatever stands there: two winners, lost writes",
        reading(_get_versioned_evicting),
    ),
    "get-expired": Mutant("a read does not look whether the key has expired", reading(_get_versioned_for_ever)),
    "set-expired": Mutant("set does not look whether the key has expired: versions go on", {"set": _set_for_ever}),
    "cas-expired": Mutant("compare_and_swap does not look whether the key has expired", {"compare_and_swap": _swap_for_ever}),
    "increment-expired": Mutant(
        "increment does not look whether the key has expired: it counts on, and brings the counter back", {"increment": _increment_for_ever}
    ),
    "delete-expired": Mutant("delete does not look whether the key has expired", {"delete": _delete_for_ever}),
    "check-and-set-expired": Mutant("check_and_set does not look whether the key has expired", {"check_and_set": _check_and_set_for_ever}),
    "scan-expired": Mutant("a scan does not look whether a key has expired", {"scan": _scan_for_ever, "scan_kind": _scan_kind_for_ever}),
    "set-keeps-ttl": Mutant("set without a TTL keeps the one that was there", {"set": _set_keeping}),
    "cas-keeps-ttl": Mutant("compare_and_swap without a TTL keeps the one that was there", {"compare_and_swap": _swap_keeping}),
    "increment-clears-ttl": Mutant("increment without a TTL clears the one that was there", {"increment": _increment_clearing}),
    "refusal-renews": Mutant("a refused check_and_set renews the TTL", {"check_and_set": _refused_renewing}),
    "set-in-two-steps": Mutant(
        "set writes value and TTL in two steps: a key that expires in between takes the new value along", {"set": _set_in_two_steps}
    ),
}

PLANTED: Mapping[str, Planted] = planted(MUTANTS, SHARED)
