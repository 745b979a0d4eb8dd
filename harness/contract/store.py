"""Rules of keys: sums, limits, names, versions, expiry; and what several clients do at once."""

from __future__ import annotations

import threading
import time
from functools import partial
from itertools import chain
from typing import Any

from harness.contract.asking import LATE_S, LONG_MS, PATIENCE_S, SLACK_S, Ask, Asking, fresh, holds, same, together, until
from harness.contract.reference import INT64_MAX, INT64_MIN
from harness.contract.rule import rule

ROUNDS = 10
CLIENTS = 8
KEY_BYTES, VALUE_BYTES = 1_024, 350_000


@rule("sums-exact", "Sums are exact beyond 2 to the 53.", "increment")
def sums_exact(asking: Asking) -> None:
    key = fresh()
    same("increment by 2**53 + 1", asking.ask("increment", key, delta=2**53 + 1, ttl_ms=None), {"value": 2**53 + 1})
    same("increment by 2 more", asking.ask("increment", key, delta=2, ttl_ms=None), {"value": 2**53 + 3})


@rule("overflow", "An increment beyond an int64 is refused and changes neither value nor TTL.", "increment", reads=True)
def overflow(asking: Asking) -> None:
    steps = [(INT64_MAX, 1), (INT64_MIN, -1), (INT64_MAX, INT64_MAX), (INT64_MIN, INT64_MIN), (-1, INT64_MIN)]
    for edge, step in steps:
        key = fresh()
        same(f"increment of a missing key by {edge}", asking.ask("increment", key, delta=edge, ttl_ms=None), {"value": edge})
        same(f"increment of {edge} by {step}", asking.ask("increment", key, delta=step, ttl_ms=1), {"value": None})
        same(f"the value after a refused increment of {edge}", asking.value(key), str(edge))


@rule("no-integer", "An increment of what is no integer is refused, a huge text of digits too.", "set increment")
def no_integer(asking: Asking) -> None:
    key = fresh()
    for value in ("1" * 10_000, "one", "1.0", ""):
        asking.ask("set", key, value=value, ttl_ms=None)
        same(f"increment of {value[:20]!r}", asking.ask("increment", key, delta=1, ttl_ms=None), {"value": None})


@rule("largest", "A value of 350,000 bytes under a key of 1,024 bytes comes back.", "set delete", reads=True)
def largest(asking: Asking) -> None:
    bare = fresh("x")
    key, value = bare + "é" * ((KEY_BYTES - len(bare)) // 2), "\x01" * VALUE_BYTES
    asking.ask("set", key, value=value, ttl_ms=None)
    same("the largest value", asking.value(key), value)
    same("delete of the largest key", asking.ask("delete", key), {"deleted": True})


@rule("colons", "Keys that differ only in what follows a colon are different keys.", "check_and_set", reads=True)
def colons(asking: Asking) -> None:
    one = fresh("a")
    for other in (f"{one}:b", f"{one}:h", f"{one}:"):
        asking.ask("check_and_set", other, value="1", ttl_ms=None)
    same("a key after others that begin with it were set", asking.value(one), None)


@rule("key-and-lock", "A lock and a key of one name are independent.", "check_and_set try_acquire", reads=True)
def key_and_lock(asking: Asking) -> None:
    key = fresh()
    asking.ask("check_and_set", key, value="1", ttl_ms=None)
    granted = asking.ask("try_acquire", key, owner="a", ttl_ms=LONG_MS)
    same("try_acquire of a name that a key has", granted["granted"], True)
    same("the key of that name", asking.value(key), "1")


@rule("versions-restart", "Versions start at 1 again after a delete.", "set delete get_versioned")
def versions_restart(asking: Asking) -> None:
    key = fresh()
    for value in ("a", "b"):
        asking.ask("set", key, value=value, ttl_ms=None)
    asking.ask("delete", key)
    asking.ask("set", key, value="c", ttl_ms=None)
    same("get_versioned after set, set, delete, set", asking.ask("get_versioned", key), {"value": "c", "version": 1})


@rule("reconnects", "A client that was closed connects anew; closing it twice is closing it once.", "check_and_set", reads=True)
def reconnects(asking: Asking) -> None:
    key, ask = fresh(), asking.another()
    ask("check_and_set", key, value="a", ttl_ms=None)
    ask.close()
    ask.close()
    same("a key after close", asking.value(key, ask), "a")


# Expiry


def _gone(asking: Asking, key: str, what: str) -> None:
    until(f"{what} was still there", lambda: asking.missing(key), "that it expires")


def _lifetime(asking: Asking, f: str, **argument: Any) -> str:
    """Ask whether a key that is written with a TTL lives as long, and not longer; give the key."""
    key, before = fresh(), time.monotonic()
    asking.ask(f, key, **argument, ttl_ms=300)
    acknowledged, last = time.monotonic(), before

    def missing() -> bool:
        nonlocal last
        began = time.monotonic()
        if asking.missing(key):
            return True
        last = began  # it was there at this instant, or later
        return False

    what = f"a key with a TTL of 300 ms, by {f},"
    until(f"{what} was still there", missing, "that it expires")
    took, late = time.monotonic() - before, last - acknowledged
    holds(f"{what} was gone {took * 1000:.0f} ms after it was asked for", took >= 0.3 - SLACK_S, "300 ms at least")
    holds(f"{what} was there {late * 1000:.0f} ms after it was written", late <= 0.3 + LATE_S, "that it expires with its TTL")
    return key


@rule("expires", "A key is there within its TTL, is gone with it and can then be set again.", "check_and_set", reads=True)
def expires(asking: Asking) -> None:
    key = _lifetime(asking, "check_and_set", value="a")
    same("check_and_set after expiry", asking.ask("check_and_set", key, value="b", ttl_ms=None), {"set": True})
    same("the value after that", asking.value(key), "b")


@rule("set-expires", "A key that set writes lives as long as its TTL.", "set", reads=True)
def set_expires(asking: Asking) -> None:
    _lifetime(asking, "set", value="a")


@rule("increment-expires", "A counter lives as long as its TTL.", "increment", reads=True)
def increment_expires(asking: Asking) -> None:
    _lifetime(asking, "increment", delta=1)


@rule("swap-expires", "A key that compare_and_swap writes lives as long as its TTL.", "compare_and_swap", reads=True)
def swap_expires(asking: Asking) -> None:
    _lifetime(asking, "compare_and_swap", expected=0, value="a")


@rule("expired-is-missing", "An expired key is missing for delete and compare_and_swap too.", "set delete compare_and_swap", reads=True)
def expired_is_missing(asking: Asking) -> None:
    key = fresh()
    asking.ask("set", key, value="a", ttl_ms=50)
    _gone(asking, key, "a key with a TTL of 50 ms")
    same("delete after expiry", asking.ask("delete", key), {"deleted": False})
    refused = {"swapped": False, "version": 0, "value": None}
    same("compare_and_swap at its version after expiry", asking.ask("compare_and_swap", key, expected=1, value="b", ttl_ms=None), refused)


@rule("begins-anew", "What is written after expiry begins anew, at version 1.", "set increment get_versioned", reads=True)
def begins_anew(asking: Asking) -> None:
    for f in ("set", "increment"):
        key = fresh()
        for ttl_ms in (None, 50):
            asking.ask("set", key, value="7", ttl_ms=ttl_ms)
        _gone(asking, key, "a key with a TTL of 50 ms")
        asking.ask(f, key, **({"value": "1"} if f == "set" else {"delta": 1}), ttl_ms=None)
        same(f"get_versioned after expiry and {f} to 1", asking.ask("get_versioned", key), {"value": "1", "version": 1})


def _lets_expire(asking: Asking, what: str, f: str, **argument: Any) -> None:
    """Ask whether a key expires at its TTL though something was done to it."""
    key, before = fresh(), time.monotonic()
    asking.ask("set", key, value="1", ttl_ms=200)
    asking.ask(f, key, **argument)
    if time.monotonic() < before + 0.2 - SLACK_S:  # else it wrote a key of its own
        _gone(asking, key, f"a key with a TTL of 200 ms, after {what},")


@rule("refused-set-keeps-ttl", "A refused check_and_set does not touch the TTL.", "set check_and_set", reads=True)
def refused_set_keeps_ttl(asking: Asking) -> None:
    for ttl_ms in (None, LONG_MS):
        _lets_expire(asking, "a refused check_and_set", "check_and_set", value="9", ttl_ms=ttl_ms)


@rule("increment-keeps-ttl", "An increment without a TTL keeps the one that there is.", "set increment", reads=True)
def increment_keeps_ttl(asking: Asking) -> None:
    _lets_expire(asking, "an increment without a TTL", "increment", delta=1, ttl_ms=None)


@rule("refused-swap-keeps-ttl", "A refused compare_and_swap does not touch the TTL.", "set compare_and_swap", reads=True)
def refused_swap_keeps_ttl(asking: Asking) -> None:
    for ttl_ms in (None, LONG_MS):
        _lets_expire(asking, "a refused compare_and_swap", "compare_and_swap", expected=77, value="9", ttl_ms=ttl_ms)


def _keeps(asking: Asking, what: str, f: str, **argument: Any) -> None:
    """Ask whether a write keeps a key beyond the TTL that it had."""
    key, later = fresh(), fresh()
    asking.ask("set", key, value="1", ttl_ms=200)
    answer = asking.ask(f, key, **argument)
    asking.ask("set", later, value="1", ttl_ms=201)
    _gone(asking, later, "a key with a TTL of 201 ms")
    if answer.get("swapped") is not False:  # else too slow: it had expired
        holds(f"a key with a TTL of 200 ms was gone after {what}", not asking.missing(key), "that it lives")


@rule("set-replaces-ttl", "A set replaces the TTL, and clears it where it has none.", "set", reads=True)
def set_replaces_ttl(asking: Asking) -> None:
    for ttl_ms in (None, LONG_MS):
        _keeps(asking, f"a set with TTL {ttl_ms}", "set", value="9", ttl_ms=ttl_ms)
    key = fresh()
    for ttl_ms in (LONG_MS, 20):
        asking.ask("set", key, value="1", ttl_ms=ttl_ms)
    _gone(asking, key, "a key whose long TTL was replaced by 20 ms")


@rule("increment-renews-ttl", "An increment with a TTL sets it anew.", "set increment", reads=True)
def increment_renews_ttl(asking: Asking) -> None:
    _keeps(asking, "an increment with a long TTL", "increment", delta=1, ttl_ms=LONG_MS)


@rule("swap-replaces-ttl", "A compare_and_swap replaces the TTL, and clears it where it has none.", "set compare_and_swap", reads=True)
def swap_replaces_ttl(asking: Asking) -> None:
    for ttl_ms in (None, LONG_MS):
        _keeps(asking, f"a compare_and_swap with TTL {ttl_ms}", "compare_and_swap", expected=1, value="9", ttl_ms=ttl_ms)


@rule("longest-ttl", "A TTL of 2 to the 53 ms is a TTL.", "check_and_set", reads=True)
def longest_ttl(asking: Asking) -> None:
    key = fresh()
    same("check_and_set with the longest TTL", asking.ask("check_and_set", key, value="1", ttl_ms=2**53), {"set": True})
    same("the value after that", asking.value(key), "1")


# Several clients


@rule("one-winner", "Of eight check_and_sets of a key at once, one wins, and its value stands.", "check_and_set", reads=True)
def one_winner(asking: Asking) -> None:
    clients = [asking.another() for _ in range(CLIENTS)]
    for _ in range(ROUNDS):
        key = fresh()
        answers = together(*(partial(ask, "check_and_set", key, value=str(n), ttl_ms=None) for n, ask in enumerate(clients)))
        one = [{"set": False}] * (CLIENTS - 1) + [{"set": True}]
        same("what eight check_and_sets at once answered", sorted(answers, key=str), one)
        same("the value after that", asking.value(key), str(answers.index({"set": True})))


@rule("one-delete", "Of eight deletes of a key at once, one removes it.", "check_and_set delete")
def one_delete(asking: Asking) -> None:
    clients = [asking.another() for _ in range(CLIENTS)]
    for _ in range(ROUNDS):
        key = fresh()
        asking.ask("check_and_set", key, value="a", ttl_ms=None)
        answers = together(*(partial(ask, "delete", key) for ask in clients))
        one = [{"deleted": False}] * (CLIENTS - 1) + [{"deleted": True}]
        same("what eight deletes at once answered", sorted(answers, key=str), one)


@rule("sets-concurrent", "Of sets by eight clients at once each is done: each raises the version by 1.", "set get_versioned")
def sets_concurrent(asking: Asking) -> None:
    key, each = fresh(), 10

    def put(ask: Ask) -> None:
        for n in range(each):
            ask("set", key, value=str(n), ttl_ms=None)

    together(*(partial(put, asking.another()) for _ in range(CLIENTS)))
    same("the version at the end", asking.ask("get_versioned", key)["version"], CLIENTS * each)


@rule("fresh-stays", "A read that meets an expired key does not remove what is set after it.", "check_and_set", reads=True)
def fresh_stays(asking: Asking) -> None:
    readers, writer = [asking.another() for _ in range(CLIENTS - 1)], asking.another()
    written = threading.Event()

    def read(ask: Ask, key: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not written.is_set() and time.monotonic() < end:
            asking.value(key, ask)

    def write(key: str) -> None:
        try:
            until("a key with a TTL of 20 ms was still there", partial(_set, writer, key), "that it expires")
        finally:
            written.set()

    for _ in range(2 * ROUNDS):
        key = fresh()
        written.clear()
        asking.ask("check_and_set", key, value="old", ttl_ms=20)
        together(partial(write, key), *(partial(read, ask, key) for ask in readers))
        same("a key that was set without a TTL while others read it", asking.value(key), "fresh")


def _set(ask: Ask, key: str) -> bool:
    return bool(ask("check_and_set", key, value="fresh", ttl_ms=None)["set"])


@rule("sums-concurrent", "Increments of eight clients at once sum up, and no two answers are equal.", "increment", reads=True)
def sums_concurrent(asking: Asking) -> None:
    key, each = fresh(), 25

    def add(ask: Ask) -> list[int]:
        return [ask("increment", key, delta=1, ttl_ms=None)["value"] for _ in range(each)]

    answers = together(*(partial(add, asking.another()) for _ in range(CLIENTS)))
    same("the answers in order", sorted(chain.from_iterable(answers)), list(range(1, CLIENTS * each + 1)))
    same("the value at the end", asking.value(key), str(CLIENTS * each))


@rule("swaps-concurrent", "Of compare_and_swaps by eight clients at once no update is lost.", "set get_versioned compare_and_swap")
def swaps_concurrent(asking: Asking) -> None:
    key, each = fresh(), 10
    asking.ask("set", key, value="0", ttl_ms=None)

    def add(ask: Ask) -> None:
        for _ in range(each):
            while True:
                found = ask("get_versioned", key)
                holds("a key that was set without a TTL is missing", found["value"] is not None, "that it lives")
                value = str(int(found["value"]) + 1)
                if ask("compare_and_swap", key, expected=found["version"], value=value, ttl_ms=None)["swapped"]:
                    break

    together(*(partial(add, asking.another()) for _ in range(CLIENTS)))
    total = CLIENTS * each
    same("value and version at the end", asking.ask("get_versioned", key), {"value": str(total), "version": total + 1})
