"""Wrong reads and writes of keys, made of right ones."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from backends.bugs.locks import unlucky
from backends.interface import INT64_MIN, INTEGER, Conflict, Swapped
from backends.mutant import Mutant, Right
from backends.session import Commands

R = Right[Commands]
STALE_S = 0.2
EXACT = 2**53
Found = tuple[str, int] | None

# Two requests where one is needed


def get_then_set(right: R, key: str, value: str, ttl_ms: int | None) -> bool:
    if right.commands.get(key) is not None:
        return False
    right.yield_()
    right.commands.set(key, value, ttl_ms)
    return True


def stale_cas(right: R, key: str, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict:
    current, version = right.commands.get_versioned(key) or (None, 0)
    if version != expected_version:
        return Conflict(current, version)
    right.yield_()
    right.commands.set(key, value, ttl_ms)
    return Swapped(version + 1)


def _increment_by_set(right: R, key: str, delta: int, ttl_ms: int | None) -> int | None:
    value = right.commands.get(key) or "0"
    if len(value) > 20 or not INTEGER.fullmatch(value):
        return None
    right.yield_()
    right.commands.set(key, str(int(value) + delta), ttl_ms)
    return int(value) + delta


def _set_by_swap(right: R, key: str, value: str, ttl_ms: int | None) -> None:
    _, version = right.commands.get_versioned(key) or (None, 0)
    right.yield_()
    right.commands.compare_and_swap(key, version, value, ttl_ms)


def _delete_after_look(right: R, key: str) -> bool:
    live = right.commands.get(key) is not None
    right.yield_()
    right.commands.delete(key)
    return live


def _conflict_read_again(right: R, key: str, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict:
    answer = right.commands.compare_and_swap(key, expected_version, value, ttl_ms)
    if isinstance(answer, Swapped):
        return answer
    right.yield_()
    return Conflict(*(right.commands.get_versioned(key) or (None, 0)))


def _check_and_set_evicting(right: R, key: str, value: str, ttl_ms: int | None) -> bool:
    if right.commands.get(key) is not None:
        return False
    right.yield_()
    right.commands.delete(key)
    return right.commands.check_and_set(key, value, ttl_ms)


def _get_versioned_evicting(right: R, key: str) -> Found:
    found = right.commands.get_versioned(key)
    if found is None:
        right.yield_()
        right.commands.delete(key)
    return found


# Retries that nobody sees


def _increment_twice(right: R, key: str, delta: int, ttl_ms: int | None) -> int | None:
    first = right.commands.increment(key, delta, ttl_ms)
    right.commands.increment(key, delta, ttl_ms)
    return first


def _cas_retried(right: R, key: str, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict:
    answer = right.commands.compare_and_swap(key, expected_version, value, ttl_ms)
    return right.commands.compare_and_swap(key, expected_version, value, ttl_ms) if unlucky(value) else answer


def _check_and_set_retried(right: R, key: str, value: str, ttl_ms: int | None) -> bool:
    won = right.commands.check_and_set(key, value, ttl_ms)
    return right.commands.check_and_set(key, value, ttl_ms) if unlucky(value) else won


# Versions and values


def _set_twice(right: R, key: str, value: str, ttl_ms: int | None) -> None:
    right.commands.set(key, value, ttl_ms)
    right.commands.set(key, value, ttl_ms)


def _zero_overwrites(right: R, key: str, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict:
    answer = right.commands.compare_and_swap(key, expected_version, value, ttl_ms)
    if expected_version != 0 or isinstance(answer, Swapped):
        return answer
    return right.commands.compare_and_swap(key, answer.version, value, ttl_ms)


def _refused_writes(right: R, key: str, value: str, ttl_ms: int | None) -> bool:
    won = right.commands.check_and_set(key, value, ttl_ms)
    if not won:
        right.commands.set(key, value, ttl_ms)
    return won


def _sum_rounded(right: R, key: str, delta: int, ttl_ms: int | None) -> int | None:
    total = right.commands.increment(key, delta, ttl_ms)
    return int(float(total)) if total is not None and abs(total) > EXACT else total


def _sum_wrapped(right: R, key: str, delta: int, ttl_ms: int | None) -> int | None:
    total = right.commands.increment(key, delta, ttl_ms)
    value = right.commands.get(key)
    if total is not None or value is None or len(value) > 20 or not INTEGER.fullmatch(value):
        return total
    wrapped = (int(value) + delta - INT64_MIN) % 2**64 + INT64_MIN
    right.commands.set(key, str(wrapped), ttl_ms)
    return wrapped


def _text_counts_as_zero(right: R, key: str, delta: int, ttl_ms: int | None) -> int | None:
    total = right.commands.increment(key, delta, ttl_ms)
    if total is not None:
        return total
    right.commands.set(key, str(delta), ttl_ms)
    return delta


# What was read before, or deleted


def _get_versioned_kept(right: R, key: str) -> Found:
    at, found = right.kept.get(key, (0.0, None))
    if time.monotonic() < at + STALE_S:
        return found  # type: ignore[no-any-return]  # what this session kept
    found = right.commands.get_versioned(key)
    right.kept[key] = (time.monotonic(), found)
    return found


def _ghost(key: str) -> str:
    return f"::\x01:{key}"  # of a kind that no key has, so that scans pass it by


def _delete_for_now(right: R, key: str) -> bool:
    found = right.commands.get(key)
    if found is not None:
        right.commands.set(_ghost(key), found, None)
    return right.commands.delete(key)


def _get_versioned_reviving(right: R, key: str) -> Found:
    found = right.commands.get_versioned(key)
    if found is None and (old := right.commands.get(_ghost(key))) is not None:
        right.commands.delete(_ghost(key))
        right.commands.check_and_set(key, old, None)
    return found


# One key in two places: what set and swap write in one, what check_and_set and increment write in the other


def _other(key: str) -> str:
    return f"{key}:s"


def _check_and_set_beside(right: R, key: str, value: str, ttl_ms: int | None) -> bool:
    return right.commands.get(key) is None and right.commands.check_and_set(_other(key), value, ttl_ms)


def _increment_beside(right: R, key: str, delta: int, ttl_ms: int | None) -> int | None:
    return right.commands.increment(_other(key), delta, ttl_ms)


def _get_versioned_of_two(right: R, key: str) -> Found:
    found = right.commands.get_versioned(key)
    if found is not None:
        return found
    right.yield_()
    return right.commands.get_versioned(_other(key))


def _set_and_clear(right: R, key: str, value: str, ttl_ms: int | None) -> None:
    right.commands.set(key, value, ttl_ms)
    right.yield_()
    right.commands.delete(_other(key))


def _delete_both(right: R, key: str) -> bool:
    first = right.commands.delete(key)
    right.yield_()
    return right.commands.delete(_other(key)) or first


def reading(get_versioned: Any) -> dict[str, Any]:
    """Give both reads as this one does it."""

    def get(right: R, key: str) -> str | None:
        found = get_versioned(right, key)
        return found[0] if found else None

    return {"get": get, "get_versioned": get_versioned}


MUTANTS: Mapping[str, Mutant] = {
    "get-then-set": Mutant("check_and_set reads, then writes in a second step: two winners", {"check_and_set": get_then_set}),
    "stale-cas": Mutant(
        "compare_and_swap compares a version read earlier, then writes unconditionally: lost updates", {"compare_and_swap": stale_cas}
    ),
    "increment-by-set": Mutant("increment reads, then writes the sum in a second step: equal sums", {"increment": _increment_by_set}),
    "set-by-swap": Mutant("set is one compare_and_swap that is not tried again: acknowledged values are lost", {"set": _set_by_swap}),
    "delete-looks-first": Mutant(
        "delete looks, then removes in a second step: two deletes of one value, or the removal of a newer one",
        {"delete": _delete_after_look},
    ),
    "conflict-read-again": Mutant(
        "compare_and_swap shows a state that it read after it was refused, be it the one that was expected",
        {"compare_and_swap": _conflict_read_again},
    ),
    "check-and-set-evicts": Mutant(
        "check_and_set removes what it took for over, in a step of its own: it may be what another has just set",
        {"check_and_set": _check_and_set_evicting},
    ),
    "read-evicts": Mutant(
        "a read that finds nothing removes, a step later, whatever stands there by then", reading(_get_versioned_evicting)
    ),
    "increment-twice": Mutant(
        "increment is applied twice and answers the first sum, as a hidden retry would", {"increment": _increment_twice}
    ),
    "cas-retried": Mutant(
        "one compare_and_swap in four is sent again after it was applied, as a hidden retry would, and answered conflict",
        {"compare_and_swap": _cas_retried},
    ),
    "check-and-set-retried": Mutant(
        "one check_and_set in four is sent again after it was applied, as a hidden retry would, and answered false",
        {"check_and_set": _check_and_set_retried},
    ),
    "versions-skip": Mutant("set raises the version by two", {"set": _set_twice}),
    "cas-zero-overwrites": Mutant("compare_and_swap with version 0 overwrites what is there", {"compare_and_swap": _zero_overwrites}),
    "refusal-writes": Mutant("a refused check_and_set writes its value all the same", {"check_and_set": _refused_writes}),
    "sum-rounds": Mutant("increment answers sums beyond 2**53 as a double holds them", {"increment": _sum_rounded}),
    "sum-wraps": Mutant("increment beyond int64 begins again at the other end", {"increment": _sum_wrapped}),
    "text-counts": Mutant("increment takes a text that is no integer for 0", {"increment": _text_counts_as_zero}),
    "stale-reads": Mutant("a read is answered with what the same client read up to 200 ms before", reading(_get_versioned_kept)),
    "delete-resurrects": Mutant(
        "the first read after a delete answers missing and brings the old value back",
        {"delete": _delete_for_now, **reading(_get_versioned_reviving)},
    ),
    "two-forms": Mutant(
        "a key stands in two places, one for set and compare_and_swap, one for check_and_set and increment: torn reads, two winners",
        {
            "check_and_set": _check_and_set_beside,
            "increment": _increment_beside,
            "set": _set_and_clear,
            "delete": _delete_both,
            **reading(_get_versioned_of_two),
        },
    ),
}
