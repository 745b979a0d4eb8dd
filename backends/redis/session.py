"""A process' session with Redis: one EVAL of one script an operation, which the server runs alone.

Data: a state key is one hash {v: value, n: version} under "hw:state:" + canonical key, a lock one
hash {owner, token} under "hw:lock:" + name, both with their expiry as the key's own; one counter
"hw:fence" gives the fencing tokens of all locks. One physical key for one logical key: two (a
string here, a hash there) cannot be read or replaced as one. An index is one sorted set "hw:index:" +
its name, a member a canonical key, its score the time. Scripts and not single commands: version,
value and TTL change together. EVAL with the text each time and not EVALSHA: a restarted
server has forgotten the script, and NOSCRIPT would be one more outcome.

A scan is several requests, each one SCAN with the values of what it met, and keeps SCAN's promise:
what is there from the first page to the last is met at least once. The promise is of one process of
the server and its hash tables, so that all pages come over one connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any, TypeVar

from backends.interface import Conflict, Swapped
from backends.mutant import Right, altered, bound, choose, edited
from backends.redis.connection import RedisConnection
from backends.redis.mutants import MUTANTS
from backends.session import OPERATIONS, CheckedSession, Commands, Index
from backends.target import Resolve, Target
from harness.driving.client import NotApplied, Unclassified

__all__ = ["RedisSession", "Target"]

Result = TypeVar("Result")
FENCE = "hw:fence"
STATE = "hw:state:"
PAGE = 500  # keys looked at in a page: the server is held for less than 4 ms, also if it gives all of them


class RedisSession(CheckedSession):
    """A private session: connects when first used, to where `resolve` says; each operation ends within `deadline_s`.

    `mutant` plants a known bug; `yield_` is called between the steps of those that have several.
    """

    def __init__(
        self, resolve: Resolve, deadline_s: float = 0.5, *, mutant: str | None = None, yield_: Callable[[], None] = lambda: time.sleep(0)
    ) -> None:
        connection = RedisConnection(resolve, deadline_s)
        if mutant is None:
            super().__init__(RedisCommands(connection, scripts()))
            return
        bug = choose(MUTANTS, mutant)
        commands: Commands = RedisCommands(connection, edited(scripts(), bug.edits))
        super().__init__(altered(commands, bound(bug.steps, Right(commands, yield_))))


@cache
def scripts() -> Mapping[str, str]:
    """Give the text of every script by the name of its operation."""
    folder = resources.files("backends.redis").joinpath("scripts")
    return {name: folder.joinpath(f"{name}.lua").read_text("utf-8") for name in OPERATIONS}


class RedisCommands:
    """The commands of `backends.session`, each one EVAL; scans one a page."""

    def __init__(self, connection: RedisConnection, texts: Mapping[str, str]) -> None:
        self._connection, self._scripts = connection, {name: text.encode() for name, text in texts.items()}

    @property
    def node(self) -> str | None:
        return self._connection.node

    def close(self) -> None:
        self._connection.close()

    def check_and_set(self, key: str, value: str, ttl_ms: int | None) -> bool:
        return self._state("check_and_set", _flag, key, value, _ttl(ttl_ms))

    def get(self, key: str) -> str | None:
        return self._state("get", _text_or_none, key)

    def get_versioned(self, key: str) -> tuple[str, int] | None:
        return self._state("get_versioned", _versioned, key)

    def set(self, key: str, value: str, ttl_ms: int | None) -> None:
        self._state("set", _flag, key, value, _ttl(ttl_ms))

    def delete(self, key: str) -> bool:
        return self._state("delete", _flag, key)

    def increment(self, key: str, delta: int, ttl_ms: int | None) -> int | None:
        return self._state("increment", _int_or_none, key, str(delta), _ttl(ttl_ms))

    def compare_and_swap(self, key: str, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict:
        return self._state("compare_and_swap", _swap, key, str(expected_version), value, _ttl(ttl_ms))

    def scan(self, stem: str) -> list[tuple[str, str]]:
        return self._pages("scan", STATE + stem)

    def scan_kind(self, kind: str) -> list[tuple[str, str]]:
        return self._pages("scan_kind", kind)

    def index(self, index: Index, key: str, time_ms: int) -> None:
        self._eval("index", _flag, (_index(index),), (str(time_ms), key))

    def unindex(self, index: Index, key: str) -> None:
        self._eval("unindex", _flag, (_index(index),), (key,))

    def due(self, index: Index, now_ms: int) -> list[str]:
        return self._eval("due", _texts, (_index(index),), (str(now_ms),))

    def grant(self, name: str, owner: str, ttl_ms: int, within_s: float | None) -> int | None:
        return self._eval("grant", _int_or_none, (_lock(name), FENCE), (owner, str(ttl_ms)), within_s)

    def extend(self, name: str, owner: str, duration_ms: int) -> bool:
        return self._eval("extend", _flag, (_lock(name),), (owner, str(duration_ms)))

    def release(self, name: str, owner: str) -> bool:
        return self._eval("release", _flag, (_lock(name),), (owner,))

    def is_held(self, name: str, owner: str) -> bool:
        return self._eval("is_held", _flag, (_lock(name),), (owner,))

    def _state(self, script: str, read: Callable[[Any], Result], key: str, *arguments: str) -> Result:
        return self._eval(script, read, (STATE + key,), arguments)

    def _pages(self, script: str, of: str) -> list[tuple[str, str]]:
        found: dict[str, str] = {}  # SCAN may give a key in several pages
        cursor, began = "0", None
        while True:
            cursor, page = self._eval(script, _page, (), (cursor, of, str(PAGE)))
            began = began or self._connection.opened
            if began != self._connection.opened:
                raise NotApplied(f"{script} was cut off: its cursor means nothing on another connection", self.node)
            found.update(page)
            if cursor == "0":
                return list(found.items())

    def _eval(
        self, script: str, read: Callable[[Any], Result], keys: tuple[str, ...], arguments: tuple[str, ...], within_s: float | None = None
    ) -> Result:
        reply = self._connection.call(("EVAL", self._scripts[script], len(keys), *keys, *arguments), within_s)
        try:
            return read(reply)
        except ValueError as error:
            self._connection.close()  # whose answer this was is not known, nor what comes next
            raise Unclassified(f"unexpected reply to {script}: {reply!r}", self._connection.node) from error


def _lock(name: str) -> str:
    return f"hw:lock:{name}"


def _index(index: Index) -> str:
    return f"hw:index:{index}"


def _ttl(ttl_ms: int | None) -> str:
    return "" if ttl_ms is None else str(ttl_ms)


def _flag(reply: Any) -> bool:
    if reply not in (b"0", b"1"):
        raise ValueError("expected '0' or '1'")
    return bool(reply == b"1")


def _text(reply: Any) -> str:
    if isinstance(reply, bytes):
        return reply.decode("utf-8")
    raise ValueError("expected a text")


def _text_or_none(reply: Any) -> str | None:
    return None if reply is None else _text(reply)


def _int_or_none(reply: Any) -> int | None:
    return None if reply is None else int(_text(reply))


def _versioned(reply: Any) -> tuple[str, int] | None:
    value, version = _list(reply, 2)
    return None if value is None and version is None else (_text(value), int(_text(version)))


def _swap(reply: Any) -> Swapped | Conflict:
    swapped, version, *rest = _list(reply, 2, 3)
    if _flag(swapped):
        return Swapped(int(_text(version)))
    return Conflict(_text_or_none(rest[0] if rest else None), int(_text(version)))


def _texts(reply: Any) -> list[str]:
    if not isinstance(reply, list):
        raise ValueError("expected a list")
    return [_text(each) for each in reply]


def _page(reply: Any) -> tuple[str, list[tuple[str, str]]]:
    cursor, *rest = _texts(reply)
    return cursor, [(key.removeprefix(STATE), value) for key, value in zip(rest[::2], rest[1::2], strict=True)]


def _list(reply: Any, *lengths: int) -> list[Any]:
    if not isinstance(reply, list) or len(reply) not in lengths:
        raise ValueError("expected a list")
    return reply
