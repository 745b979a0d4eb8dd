"""A process' session with DynamoDB: each step one conditional request, decided by the client's own clock.

With b the largest difference between two clients' clocks, an item counts as live for others until now > expires_at + b,
and a lock for its holder until now >= expires_at: whoever waits for another waits b longer, whoever holds stops in time.

    state     pk "s#namespace:tenant:kind", sk id      k kind, v value, n version, e expires_at in ms (none = never)
    lock      pk "l#name", sk "lock"                   o owner, e expires_at; t the fencing counter of this name
    indexes   pk "i#timeout" or "i#chain", sk key      t time in ms

A lock's item is never removed: its counter must outlive every grant, and in one item with the owner a grant is one
request. An item of a state key that has expired may stay; every condition takes it for missing. A write that depends on
what is there (set, increment) begins with the condition that nothing is, learns from its refusal what is, and writes under
the condition that this has not changed; it takes effect in the one request that succeeds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from backends.dynamodb.mutants import MUTANTS
from backends.dynamodb.table import NAME, Item, Refused, Table, key
from backends.dynamodb.transport import Transport
from backends.interface import INT64_MAX, INT64_MIN, INTEGER, Conflict, Swapped
from backends.mutant import Edit, Right, altered, bound, choose
from backends.session import CheckedSession, Index
from backends.target import Resolve, Target

__all__ = ["DynamoSession", "Target"]

MISSING = "attribute_not_exists(pk) OR e < :dead"
LIVE = "attribute_exists(pk) AND (attribute_not_exists(e) OR e >= :dead)"
FREE = "attribute_not_exists(o) OR e < :dead"
HELD = "o = :o AND e > :now"
MUTANT_PAUSE_S = 0.004  # between the steps of a mutant, so that its race is met


def wall_ms() -> int:
    """Give this machine's time, in Unix ms."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class ClientClock:
    """A client's clock in Unix ms; `bound_ms` is b."""

    bound_ms: int = 0
    now: Callable[[], int] = wall_ms

    def dead(self) -> int:
        """Give the time before which an end is over for everybody."""
        return self.now() - self.bound_ms


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition or an update, the values that it names, and the operation whose it is."""

    text: str
    values: Item = field(default_factory=dict)
    of: str = ""


class DynamoSession(CheckedSession):
    """A private session: connects when first used, to where `resolve` says; each operation ends within `deadline_s`.

    `mutant` plants a known bug. `table` is the table's name.
    """

    def __init__(
        self,
        resolve: Resolve,
        deadline_s: float = 0.5,
        *,
        clock: ClientClock = ClientClock(),
        mutant: str | None = None,
        table: str = NAME,
    ) -> None:
        store = Table(Transport(resolve, deadline_s), table)
        if mutant is None:
            super().__init__(DynamoCommands(store, clock))
            return
        bug = choose(MUTANTS, mutant)
        commands = DynamoCommands(store, clock, bug.edits)
        wrong = bound(bug.steps, Right(commands, lambda: time.sleep(MUTANT_PAUSE_S)))
        super().__init__(altered(commands, wrong))


class DynamoCommands:
    """The commands of `backends.session`. `edits` are of the conditions and updates of an operation, for mutants."""

    def __init__(self, table: Table, clock: ClientClock, edits: tuple[Edit, ...] = ()) -> None:
        self._table, self._clock, self._edits = table, clock, edits

    def by(self, change: Callable[[ClientClock], ClientClock]) -> DynamoCommands:
        """Give the same commands by another clock."""
        return DynamoCommands(self._table, change(self._clock), self._edits)

    @property
    def node(self) -> str | None:
        return self._table.node

    def close(self) -> None:
        self._table.close()

    # State

    def check_and_set(self, key: str, value: str, ttl_ms: int | None) -> bool:
        self._table.begin()
        return not isinstance(self._create(key, value, self._clock.now(), ttl_ms), Refused)

    def get(self, key: str) -> str | None:
        found = self.get_versioned(key)
        return None if found is None else found[0]

    def get_versioned(self, key: str) -> tuple[str, int] | None:
        self._table.begin()
        dead = self._clock.dead()  # before the read: what is extended after it is not missed
        found = self._table.read(*_place(key))
        return None if found is None or _is_dead(found, dead) else (_text(found, "v"), _number(found, "n"))

    def set(self, key: str, value: str, ttl_ms: int | None) -> None:
        self._table.begin()
        while True:
            now = self._clock.now()
            live = Expression(LIVE, {":dead": _n(now - self._clock.bound_ms)}, "set")
            if not isinstance(self._update(key, value, _until(now, ttl_ms), live), Refused):
                return
            if not isinstance(self._create(key, value, now, ttl_ms), Refused):
                return

    def delete(self, key: str) -> bool:
        self._table.begin()
        dead = {":dead": _n(self._clock.dead())}
        answer = self._table.write("delete_item", LIVE, Key=_key_of(key), ExpressionAttributeValues=dead)
        return not isinstance(answer, Refused)

    def increment(self, key: str, delta: int, ttl_ms: int | None) -> int | None:
        self._table.begin()
        while True:
            now = self._clock.now()
            refused = self._create(key, str(delta), now, ttl_ms)
            if not isinstance(refused, Refused):
                return delta
            found = refused.item
            if found is None:
                continue  # gone since
            text, version = _text(found, "v"), _number(found, "n")
            number = int(text) if len(text) <= 20 and INTEGER.fullmatch(text) else None
            if number is None or not INT64_MIN <= number <= INT64_MAX or not INT64_MIN <= number + delta <= INT64_MAX:
                return None
            same = "v = :old AND n = :n AND " + ("e = :e" if "e" in found else "attribute_not_exists(e)")
            values = {":old": {"S": text}, ":n": _n(version), **({":e": found["e"]} if "e" in found else {})}
            answer = self._update(
                key, str(number + delta), _until(now, ttl_ms), Expression(same, values, "increment"), keeps_expiry=ttl_ms is None
            )
            if not isinstance(answer, Refused):
                return number + delta

    def compare_and_swap(self, key: str, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict:
        self._table.begin()
        now = self._clock.now()
        if expected_version == 0:
            answer = self._create(key, value, now, ttl_ms)
        else:
            values = {":dead": _n(now - self._clock.bound_ms), ":n": _n(expected_version)}
            answer = self._update(key, value, _until(now, ttl_ms), Expression(f"n = :n AND ({LIVE})", values, "compare_and_swap"))
        if not isinstance(answer, Refused):
            return Swapped(expected_version + 1)
        if answer.item is None or _is_dead(answer.item, now - self._clock.bound_ms):
            return Conflict(None, 0)
        return Conflict(_text(answer.item, "v"), _number(answer.item, "n"))

    def scan(self, stem: str) -> list[tuple[str, str]]:
        namespace, tenant, kind, prefix = stem.split(":", 3)
        place = f"s#{namespace}:{tenant}:{kind}"
        condition, values = "pk = :pk", {":pk": {"S": place}}
        if prefix:
            condition, values = "pk = :pk AND begins_with(sk, :prefix)", {**values, ":prefix": {"S": prefix}}
        return self._live("query", KeyConditionExpression=condition, ExpressionAttributeValues=values)

    def scan_kind(self, kind: str) -> list[tuple[str, str]]:
        return self._live("scan", FilterExpression="k = :k", ExpressionAttributeValues={":k": {"S": kind}})

    def _live(self, operation: str, **request: Any) -> list[tuple[str, str]]:
        self._table.begin()
        dead = self._clock.dead()
        found = [item for item in self._table.pages(operation, **request) if not _is_dead(item, dead)]
        return [(f"{_text(item, 'pk').removeprefix('s#')}:{_text(item, 'sk')}", _text(item, "v")) for item in found]

    # Indexes: one item an entry, so that it has one place wherever its time moves

    def index(self, index: Index, key: str, time_ms: int) -> None:
        self._table.begin()
        self._table.write("put_item", Item={**_entry(index, key), "t": _n(time_ms)})

    def unindex(self, index: Index, key: str) -> None:
        self._table.begin()
        self._table.write("delete_item", Key=_entry(index, key))

    def due(self, index: Index, now_ms: int) -> list[str]:
        self._table.begin()
        values = {":pk": {"S": f"i#{index}"}, ":now": _n(now_ms)}
        found = self._table.pages(
            "query",
            KeyConditionExpression="pk = :pk",
            FilterExpression="#t <= :now",
            ExpressionAttributeNames={"#t": "t"},
            ExpressionAttributeValues=values,
        )
        return [_text(item, "sk") for item in sorted(found, key=lambda item: _number(item, "t"))]

    # Locks

    def grant(self, name: str, owner: str, ttl_ms: int, within_s: float | None) -> int | None:
        self._table.begin(within_s)
        now = self._clock.now()
        answer = self._table.write(
            "update_item",
            self._said("grant", FREE),
            Key=_lock(name),
            UpdateExpression="SET o = :o, e = :e ADD t :one",
            ExpressionAttributeValues={
                ":o": {"S": owner},
                ":e": _n(now + ttl_ms),
                ":one": _n(1),
                ":dead": _n(now - self._clock.bound_ms),
            },
            ReturnValues="ALL_NEW",
        )
        return None if isinstance(answer, Refused) else _number(answer, "t")

    def extend(self, name: str, owner: str, duration_ms: int) -> bool:
        now = self._clock.now()
        return self._if_held(name, owner, now, Expression("SET e = :e", {":e": _n(now + duration_ms)}, "extend"))

    def release(self, name: str, owner: str) -> bool:
        return self._if_held(name, owner, self._clock.now(), Expression("REMOVE o, e", of="release"))

    def is_held(self, name: str, owner: str) -> bool:
        self._table.begin()
        now = self._clock.now()
        found = self._table.read(f"l#{name}", "lock")
        return found is not None and "o" in found and _text(found, "o") == owner and _number(found, "e") > now

    def _if_held(self, name: str, owner: str, now: int, update: Expression) -> bool:
        self._table.begin()
        condition = self._said(update.of, HELD)
        answer = self._table.write(
            "update_item",
            condition,
            Key=_lock(name),
            UpdateExpression=update.text,
            ExpressionAttributeValues=_named({":o": {"S": owner}, ":now": _n(now), **update.values}, condition, update.text),
        )
        return not isinstance(answer, Refused)

    # Steps

    def _said(self, operation: str, text: str) -> str:
        for edited, old, new in self._edits:
            text = text.replace(old, new) if edited == operation else text
        return text

    def _create(self, key: str, value: str, now: int, ttl_ms: int | None) -> Item | Refused:
        item = {**_key_of(key), "k": {"S": key.split(":", 3)[2]}, "v": {"S": value}, "n": _n(1), **_expiry(_until(now, ttl_ms), "e")}
        dead = {":dead": _n(now - self._clock.bound_ms)}
        return self._table.write("put_item", MISSING, Item=item, ExpressionAttributeValues=dead)

    def _update(self, key: str, value: str, until: int | None, only_if: Expression, *, keeps_expiry: bool = False) -> Item | Refused:
        expiry = "" if keeps_expiry else ", e = :until" if until is not None else " REMOVE e"
        condition, update = self._said(only_if.of, only_if.text), self._said(only_if.of, f"SET v = :v, n = n + :one{expiry}")
        values = {**only_if.values, ":v": {"S": value}, ":one": _n(1), **_expiry(until, ":until")}
        return self._table.write(
            "update_item",
            condition,
            Key=_key_of(key),
            UpdateExpression=update,
            ExpressionAttributeValues=_named(values, condition, update),
        )


def _place(canonical: str) -> tuple[str, str]:
    namespace, tenant, kind, last = canonical.split(":", 3)
    return f"s#{namespace}:{tenant}:{kind}", last


def _key_of(canonical: str) -> Item:
    return key(*_place(canonical))


def _lock(name: str) -> Item:
    return key(f"l#{name}", "lock")


def _entry(index: Index, canonical: str) -> Item:
    return key(f"i#{index}", canonical)


def _named(values: Item, *texts: str) -> Item:
    """Give the values that the texts name: others are refused."""
    named = set(re.findall(r":\w+", " ".join(texts)))
    return {name: value for name, value in values.items() if name in named}


def _n(number: int) -> Item:
    return {"N": str(number)}


def _text(item: Item, name: str) -> str:
    text: str = item[name]["S"]
    return text


def _number(item: Item, name: str) -> int:
    return int(item[name]["N"])


def _until(now: int, ttl_ms: int | None) -> int | None:
    return None if ttl_ms is None else now + ttl_ms


def _expiry(until: int | None, name: str) -> Item:
    return {} if until is None else {name: _n(until)}


def _is_dead(item: Item, dead: int) -> bool:
    return "e" in item and _number(item, "e") < dead
