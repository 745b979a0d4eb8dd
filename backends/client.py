"""From the vocabulary of `f` (docs/history.md) to the methods of the interface: written once, for all backends."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from backends.interface import LockExpired, LockTimeout, NotAnInteger, Session, StateKey, Swapped
from harness.record.keys import in_full, in_short

FUNCTIONS = frozenset(
    [
        "try_acquire",
        "acquire_within",
        "extend",
        "release",
        "is_held",
        "check_and_set",
        "set",
        "delete",
        "get",
        "get_versioned",
        "compare_and_swap",
        "increment",
        "scan_keys",
        "scan_keys_by_kind",
        "index_timeout",
        "remove_timeout_index",
        "get_expired_timeouts",
        "index_chain_ready",
        "remove_chain_ready_index",
        "get_ready_chains",
    ]
)
"""The vocabulary of f (docs/history.md) that every backend's client speaks."""


class StateClient:
    """A harness client over a session of any backend.

    A history's key names a StateKey, in full or shortly (`harness.record.keys`), or a lock as it stands. Of an index its key is
    the index's name; the entries' keys stand in the values. Scans name their keys in full, canonically.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._functions: dict[str, Callable[[str, Any], Any]] = {
            "try_acquire": self._try_acquire,
            "acquire_within": self._acquire_within,
            "extend": self._extend,
            "release": self._release,
            "is_held": lambda name, a: {"held": session.guard(name, a["owner"]).is_held()},
            "check_and_set": lambda key, a: {"set": session.check_and_set(_key(key), a["value"], a["ttl_ms"])},
            "set": self._set,
            "delete": lambda key, a: {"deleted": session.delete(_key(key))},
            "get": lambda key, a: {"value": session.get(_key(key))},
            "get_versioned": self._get_versioned,
            "compare_and_swap": self._compare_and_swap,
            "increment": self._increment,
            "scan_keys": lambda _, a: {"items": session.scan_keys(a["namespace"], a["tenant"], a["kind"], a["prefix"])},
            "scan_keys_by_kind": lambda _, a: {"items": session.scan_keys_by_kind(a["kind"])},
            "index_timeout": _entering(session.index_timeout),
            "remove_timeout_index": _leaving(session.remove_timeout_index),
            "get_expired_timeouts": lambda _, a: {"keys": [in_short(key) for key in session.get_expired_timeouts(a["now_ms"])]},
            "index_chain_ready": _entering(session.index_chain_ready),
            "remove_chain_ready_index": _leaving(session.remove_chain_ready_index),
            "get_ready_chains": lambda _, a: {"keys": [in_short(key) for key in session.get_ready_chains(a["now_ms"])]},
        }

    def invoke(self, f: str, key: str, argument: Any) -> tuple[Any, str | None]:
        """Do one operation; give its value and the node that answered."""
        return self._functions[f](key, argument), self._session.node

    def close(self) -> None:
        """Drop the connection."""
        self._session.close()

    def _try_acquire(self, name: str, a: Any) -> Any:
        guard = self._session.try_acquire(name, a["ttl_ms"], owner=a["owner"])
        return {"granted": guard is not None, "fencing_token": guard.fencing_token if guard else None}

    def _acquire_within(self, name: str, a: Any) -> Any:
        try:
            guard = self._session.acquire(name, a["ttl_ms"], a["timeout_ms"], owner=a["owner"])
        except LockTimeout:
            return {"granted": False, "fencing_token": None}
        return {"granted": True, "fencing_token": guard.fencing_token}

    def _extend(self, name: str, a: Any) -> Any:
        try:
            self._session.guard(name, a["owner"]).extend(a["duration_ms"])
        except LockExpired:
            return {"held": False}
        return {"held": True}

    def _release(self, name: str, a: Any) -> Any:
        try:
            self._session.guard(name, a["owner"]).release()
        except LockExpired:
            return {"released": False}
        return {"released": True}

    def _set(self, key: str, a: Any) -> Any:
        self._session.set(_key(key), a["value"], a["ttl_ms"])
        return {}

    def _get_versioned(self, key: str, a: Any) -> Any:
        found = self._session.get_versioned(_key(key))
        return {"value": found[0], "version": found[1]} if found else {"value": None, "version": 0}

    def _compare_and_swap(self, key: str, a: Any) -> Any:
        answer = self._session.compare_and_swap(_key(key), a["expected"], a["value"], a["ttl_ms"])
        if isinstance(answer, Swapped):
            return {"swapped": True, "version": answer.version, "value": a["value"]}
        return {"swapped": False, "version": answer.version, "value": answer.value}

    def _increment(self, key: str, a: Any) -> Any:
        try:
            return {"value": self._session.increment(_key(key), a["delta"], a["ttl_ms"])}
        except NotAnInteger:
            return {"value": None}


@lru_cache(maxsize=4096)
def _key(name: str) -> StateKey:
    return StateKey.parse(in_full(name))


def _entering(enter: Callable[[StateKey, int], None]) -> Callable[[str, Any], Any]:
    def call(_: str, a: Any) -> Any:
        enter(_key(a["key"]), a["time_ms"])
        return {}

    return call


def _leaving(leave: Callable[[StateKey], None]) -> Callable[[str, Any], Any]:
    def call(_: str, a: Any) -> Any:
        leave(_key(a["key"]))
        return {}

    return call
