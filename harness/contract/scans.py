"""Rules of scans and indexes: against a reference, with hostile names, and while others write."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable

from harness.contract.asking import LONG_MS, PATIENCE_S, Ask, Asking, fresh, same, until
from harness.contract.reference import HOSTILE_IDS, SEED
from harness.contract.rule import rule

IDS = (*HOSTILE_IDS, "x:", "xx", "%_", "a%", "a_b", "a:b:c", "A", "*x", "[ab]", "ab")
PREFIXES = ("", "x", "a", "a:", "a:b", "%", "_", "*", "?", "[", "[ab]", "\\", "two\n", "к", "🔑", "zz", "A", "'")
LAST_MS = 2**53
TIMES = (0, 1, 5, 5, 7, 1_790_000_000_000, LAST_MS - 1, LAST_MS)
INDEXES = {
    "timeouts": ("index_timeout", "remove_timeout_index", "get_expired_timeouts"),
    "chains": ("index_chain_ready", "remove_chain_ready_index", "get_ready_chains"),
}
"""By index: the functions that enter, remove and read."""
OF_TIMEOUTS, OF_CHAINS = (" ".join(functions) for functions in INDEXES.values())
ROUNDS, STEPS = 25, 40
MANY = 1200


def _scan(ask: Ask, namespace: str, tenant: str, kind: str, prefix: str = "") -> list[tuple[str, str]]:
    """Scan; keys and values in order, each of which may be there once."""
    items = ask("scan_keys", "scan", namespace=namespace, tenant=tenant, kind=kind, prefix=prefix)["items"]
    return sorted((str(key), str(value)) for key, value in items)


class Entries:
    """One of the two indexes, asked by one client; only entries of its own run are looked at."""

    def __init__(self, ask: Ask, index: str, run: str) -> None:
        self._ask, self._key, self._run = ask, index, run
        self._enter, self._leave, self._read = INDEXES[index]

    def enter(self, key: str, at: int) -> None:
        self._ask(self._enter, self._key, key=key, time_ms=at)

    def leave(self, key: str) -> None:
        self._ask(self._leave, self._key, key=key)

    def due(self, now: int) -> list[str]:
        return [key for key in self._ask(self._read, self._key, now_ms=now)["keys"] if self._run in key]


@rule(
    "scan-sequence",
    "A scan gives the live keys that begin with its prefix, taken literally, each once and with its value.",
    "set delete scan_keys",
)
def scan_sequence(asking: Asking) -> None:
    for number in range(ROUNDS):
        draw, run, values = random.Random(SEED + number), uuid.uuid4().hex, dict[str, str]()

        def key(place: int, id_: str, run: str = run) -> str:
            return f"contract:{run}{'%' * (place % 2)}:{run}-{'k*' if place < 2 else 'k'}:{id_}"

        for _ in range(STEPS):
            name = key(draw.randrange(4), draw.choice(IDS))
            match draw.choice(("set", "set", "delete", "scan")):
                case "set":
                    values[name] = draw.choice(("", "1", "é"))
                    asking.ask("set", name, value=values[name], ttl_ms=draw.choice((None, LONG_MS)))
                case "delete":
                    asking.ask("delete", name)
                    values.pop(name, None)
                case _:
                    namespace, tenant, kind, _ = name.split(":", 3)
                    prefix = draw.choice(PREFIXES)
                    stem = f"{namespace}:{tenant}:{kind}:{prefix}"
                    wanted = sorted((each, value) for each, value in values.items() if each.startswith(stem))
                    same(f"scan_keys with prefix {prefix!r}", _scan(asking.ask, namespace, tenant, kind, prefix), wanted)
        for name in values:
            asking.ask("delete", name)


@rule("scan-kind", "A scan by kind gives the live keys of that kind in every namespace and tenant, each once.", "set scan_keys_by_kind")
def scan_kind(asking: Asking) -> None:
    kind = f"kind-{uuid.uuid4().hex}"
    wanted = []
    for namespace, tenant in (("contract", "t"), ("contract", "u"), ("other", "t"), ("%", "_")):
        for id_ in ("x", "x:y", "*"):
            wanted.append((f"{namespace}:{tenant}:{kind}:{id_}", id_))
    for name, value in [*wanted, (f"contract:t:{kind}2:x", "no"), (f"contract:{kind}:state:x", "no")]:
        asking.ask("set", name, value=value, ttl_ms=None)
    items = asking.ask("scan_keys_by_kind", "scan", kind=kind)["items"]
    same("scan_keys_by_kind", sorted((str(key), str(value)) for key, value in items), sorted(wanted))


@rule("scan-many", "A scan of 1,200 keys gives each once.", "set scan_keys")
def scan_many(asking: Asking) -> None:
    namespace, tenant, kind, _ = fresh().split(":")
    wanted = [(f"{namespace}:{tenant}:{kind}:{n:04d}", str(n)) for n in range(MANY)]
    for name, value in wanted:
        asking.ask("set", name, value=value, ttl_ms=None)
    found = _scan(asking.ask, namespace, tenant, kind)
    same("keys in a scan of 1,200", len(found), MANY)
    same("the keys of a scan of 1,200", found, wanted)
    same("keys with the prefix 11", len(_scan(asking.ask, namespace, tenant, kind, "11")), 100)


@rule(
    "scan-expired",
    "An expired key is in no scan, and one that came back is there with its new value.",
    "set check_and_set scan_keys",
    reads=True,
)
def scan_expired(asking: Asking) -> None:
    key = fresh()
    namespace, tenant, kind, _ = key.split(":")
    asking.ask("set", key, value="old", ttl_ms=50)
    until("a key with a TTL of 50 ms was still there", lambda: asking.missing(key), "that it expires")
    same("a scan after the only key has expired", _scan(asking.ask, namespace, tenant, kind), [])
    asking.ask("check_and_set", key, value="new", ttl_ms=None)
    same("a scan after it came back", _scan(asking.ask, namespace, tenant, kind), [(key, "new")])


@rule("scan-data-only", "Locks and entries of an index are in no scan.", f"try_acquire scan_keys {OF_TIMEOUTS}")
def scan_data_only(asking: Asking) -> None:
    key = fresh()
    namespace, tenant, kind, _ = key.split(":")
    asking.ask("try_acquire", key, owner=uuid.uuid4().hex, ttl_ms=LONG_MS)
    entries = Entries(asking.ask, "timeouts", tenant)
    entries.enter(key, 1)
    same("a scan beside a lock and an entry", _scan(asking.ask, namespace, tenant, kind), [])
    entries.leave(key)


# Indexes


def _sequence(asking: Asking, index: str) -> None:
    for number in range(ROUNDS):
        draw, run, times = random.Random(SEED + number), uuid.uuid4().hex, dict[str, int]()
        entries = Entries(asking.ask, index, run)
        for _ in range(STEPS):
            key = f"contract:{run}:state:{draw.choice(IDS)}"
            match draw.choice(("enter", "enter", "leave", "due")):
                case "enter":
                    times[key] = draw.choice(TIMES)
                    entries.enter(key, times[key])
                case "leave":
                    entries.leave(key)
                    times.pop(key, None)
                case _:
                    _due(entries, times, draw.choice(TIMES))
        for key in times:
            entries.leave(key)


def _due(entries: Entries, times: dict[str, int], now: int) -> None:
    found = entries.due(now)
    same(f"the entries due at {now}, each once", sorted(found), sorted(key for key, at in times.items() if at <= now))
    same(f"the times of the entries due at {now}, in the order given", [times[key] for key in found], sorted(times[key] for key in found))


def _entry(asking: Asking, index: str) -> None:
    key = fresh()
    entries = Entries(asking.ask, index, key.split(":")[1])
    entries.enter(key, 5)
    same("the entries due at the very time of one", entries.due(5), [key])
    entries.enter(key, 50)
    same("the entries due before the new time of one that was entered again", entries.due(49), [])
    same("the entries due at its new time", entries.due(50), [key])
    entries.leave(key)
    entries.leave(key)
    same("the entries after it was removed twice", entries.due(LAST_MS), [])


def _without_data(asking: Asking, index: str) -> None:
    key = fresh()
    entries = Entries(asking.ask, index, key.split(":")[1])
    entries.enter(key, 5)
    asking.ask("set", key, value="v", ttl_ms=None)
    asking.ask("delete", key)
    same("the entry of a key whose data was deleted", entries.due(5), [key])
    entries.leave(key)


def _moving(asking: Asking, index: str) -> None:
    run = uuid.uuid4().hex
    keys = [f"contract:{run}:state:{n}" for n in range(40)]
    entries = Entries(asking.ask, index, run)
    one, two = (Entries(asking.another(), index, run) for _ in range(2))
    for key in keys:
        entries.enter(key, 10)
    end = time.monotonic() + PATIENCE_S
    move, move_too = (lambda n, by=by: by.enter(keys[n % len(keys)], 5 + n % 11) for by in (one, two))
    with Beside(move), Beside(move_too):
        for _ in range(25):
            same("the entries while their times move", sorted(entries.due(1000)), sorted(keys))
            if time.monotonic() > end:
                break
    same("the entries at the end", sorted(entries.due(1000)), sorted(keys))
    for key in keys:
        entries.leave(key)


@rule("timeouts-sequence", "The index of timeouts gives what is due, the instant included, each key once, ascending by time.", OF_TIMEOUTS)
def timeouts_sequence(asking: Asking) -> None:
    _sequence(asking, "timeouts")


@rule("chains-sequence", "The index of chains gives what is ready, the instant included, each key once, ascending by time.", OF_CHAINS)
def chains_sequence(asking: Asking) -> None:
    _sequence(asking, "chains")


@rule("timeouts-entry", "A timeout that is entered again has its new time only; removing it is idempotent.", OF_TIMEOUTS)
def timeouts_entry(asking: Asking) -> None:
    _entry(asking, "timeouts")


@rule("chains-entry", "A chain that is entered again has its new time only; removing it is idempotent.", OF_CHAINS)
def chains_entry(asking: Asking) -> None:
    _entry(asking, "chains")


@rule("timeouts-without-data", "A timeout needs no data, and stays when the data goes.", f"set delete {OF_TIMEOUTS}")
def timeouts_without_data(asking: Asking) -> None:
    _without_data(asking, "timeouts")


@rule("chains-without-data", "A chain needs no data, and stays when the data goes.", f"set delete {OF_CHAINS}")
def chains_without_data(asking: Asking) -> None:
    _without_data(asking, "chains")


@rule("indexes-apart", "The two indexes are separate.", f"{OF_TIMEOUTS} {OF_CHAINS}")
def indexes_apart(asking: Asking) -> None:
    key = fresh()
    timeouts, chains = (Entries(asking.ask, index, key.split(":")[1]) for index in INDEXES)
    timeouts.enter(key, 5)
    same("the chains after a timeout was entered", chains.due(LAST_MS), [])
    chains.leave(key)
    same("the timeouts after a chain was removed", timeouts.due(5), [key])
    timeouts.leave(key)


# While others write


class Beside:
    """A thread that repeats a task of a client of its own until leaving; what it raises is raised there."""

    def __init__(self, task: Callable[[int], None]) -> None:
        self._task, self._stop, self._error = task, threading.Event(), list[BaseException]()
        self._thread = threading.Thread(target=self._repeat)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._error:
            raise self._error[0]

    def _repeat(self) -> None:
        number = 0
        try:
            while not self._stop.is_set():
                self._task(number)
                number += 1
        except BaseException as error:  # noqa: BLE001 - raised where it is left
            self._error.append(error)


@rule("scan-beside-writes", "What lives during a scan is in it once, while others come and go.", "set delete scan_keys")
def scan_beside_writes(asking: Asking) -> None:
    namespace, tenant, kind, _ = fresh().split(":")
    other, stem = asking.another(), f"{namespace}:{tenant}:{kind}:"
    lasting = [f"{stem}lasting-{n}" for n in range(150)]
    for each in lasting:
        asking.ask("set", each, value="0", ttl_ms=None)

    def churn(number: int) -> None:
        passing = f"{stem}passing-{number % 200}"
        other("set", passing, value="v", ttl_ms=None)
        other("set", lasting[number % len(lasting)], value=str(number), ttl_ms=LONG_MS if number % 2 else None)
        other("delete", passing)

    with Beside(churn):
        for _ in range(12):
            found = [key for key, _ in _scan(asking.ask, namespace, tenant, kind)]
            same("keys in a scan that are there twice", sorted({key for key in found if found.count(key) > 1}), [])
            same("keys that lived during a scan and are not in it", sorted(set(lasting) - set(found)), [])


@rule("timeouts-moving", "A timeout whose time moves while it is read is read once.", OF_TIMEOUTS)
def timeouts_moving(asking: Asking) -> None:
    _moving(asking, "timeouts")


@rule("chains-moving", "A chain whose time moves while it is read is read once.", OF_CHAINS)
def chains_moving(asking: Asking) -> None:
    _moving(asking, "chains")
