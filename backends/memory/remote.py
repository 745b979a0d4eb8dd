"""A session with a memory store in another process, by the phase rules of every networked backend.

resolve -> TCP -> hello answered     any failure here: NotApplied, nothing was sent
send -> read                         any failure here: Indeterminate
{"error": ...}                       Unclassified: our own server refuses only what we should not send
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from backends.deadline import Deadline, DeadlineSocket, dial
from backends.interface import Conflict, Swapped
from backends.memory.server import GREETING
from backends.session import CheckedSession, Index
from backends.target import Resolve, Target
from harness.driving.client import Indeterminate, NotApplied, Unclassified

__all__ = ["RemoteMemorySession", "Target"]


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The server's line: one of the two is set."""

    ok: Any = None
    error: str | None = None


class SwapAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Swapped or Conflict as JSON: the latter has a value."""

    version: int
    value: str | msgspec.UnsetType | None = msgspec.UNSET


class RemoteMemorySession(CheckedSession):
    """A private session: connects when first used, to where `resolve` says; each operation ends within `deadline_s`."""

    def __init__(self, resolve: Resolve, deadline_s: float = 0.5) -> None:
        super().__init__(RemoteCommands(RemoteConnection(resolve, deadline_s)))


class RemoteCommands:
    """The commands of `backends.session`, each one request."""

    def __init__(self, connection: RemoteConnection) -> None:
        self._connection = connection

    @property
    def node(self) -> str | None:
        return self._connection.node

    def close(self) -> None:
        self._connection.close()

    def check_and_set(self, key: str, value: str, ttl_ms: int | None) -> bool:
        answer: bool = self._ask(bool, "check_and_set", key, value, ttl_ms)
        return answer

    def get(self, key: str) -> str | None:
        answer: str | None = self._ask(str | None, "get", key)
        return answer

    def get_versioned(self, key: str) -> tuple[str, int] | None:
        answer: tuple[str, int] | None = self._ask(tuple[str, int] | None, "get_versioned", key)
        return answer

    def set(self, key: str, value: str, ttl_ms: int | None) -> None:
        self._ask(None, "set", key, value, ttl_ms)

    def delete(self, key: str) -> bool:
        answer: bool = self._ask(bool, "delete", key)
        return answer

    def increment(self, key: str, delta: int, ttl_ms: int | None) -> int | None:
        answer: int | None = self._ask(int | None, "increment", key, delta, ttl_ms)
        return answer

    def compare_and_swap(self, key: str, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict:
        answer: SwapAnswer = self._ask(SwapAnswer, "compare_and_swap", key, expected_version, value, ttl_ms)
        return Swapped(answer.version) if answer.value is msgspec.UNSET else Conflict(answer.value, answer.version)

    def scan(self, stem: str) -> list[tuple[str, str]]:
        answer: list[tuple[str, str]] = self._ask(list[tuple[str, str]], "scan", stem)
        return answer

    def scan_kind(self, kind: str) -> list[tuple[str, str]]:
        answer: list[tuple[str, str]] = self._ask(list[tuple[str, str]], "scan_kind", kind)
        return answer

    def index(self, index: Index, key: str, time_ms: int) -> None:
        self._ask(None, "index", index, key, time_ms)

    def unindex(self, index: Index, key: str) -> None:
        self._ask(None, "unindex", index, key)

    def due(self, index: Index, now_ms: int) -> list[str]:
        answer: list[str] = self._ask(list[str], "due", index, now_ms)
        return answer

    def grant(self, name: str, owner: str, ttl_ms: int, within_s: float | None) -> int | None:
        answer: int | None = self._ask(int | None, "grant", name, owner, ttl_ms, within_s=within_s)
        return answer

    def extend(self, name: str, owner: str, duration_ms: int) -> bool:
        answer: bool = self._ask(bool, "extend", name, owner, duration_ms)
        return answer

    def release(self, name: str, owner: str) -> bool:
        answer: bool = self._ask(bool, "release", name, owner)
        return answer

    def is_held(self, name: str, owner: str) -> bool:
        answer: bool = self._ask(bool, "is_held", name, owner)
        return answer

    def _ask(self, expected: Any, f: str, *arguments: str | int | None, within_s: float | None = None) -> Any:
        answer = self._connection.call({"f": f, "a": arguments}, within_s)
        try:
            if answer.error is None:
                return msgspec.convert(answer.ok, expected)
            reason = answer.error
        except msgspec.ValidationError as error:
            reason = str(error)
        self._connection.close()
        raise Unclassified(f"unexpected answer to {f}: {reason}", self._connection.node)


class RemoteConnection:
    """Connects when first used, and anew after it was dropped. Not thread-safe."""

    def __init__(self, resolve: Resolve, deadline_s: float) -> None:
        self._resolve, self._deadline_s = resolve, deadline_s
        self._open: tuple[DeadlineSocket, Target] | None = None
        self._encoder, self._decoder = msgspec.json.Encoder(), msgspec.json.Decoder(Answer)
        self.node: str | None = None

    def call(self, request: dict[str, Any], within_s: float | None = None) -> Answer:
        """Send a request and give its answer, all within the deadline (or `within_s`, if that is less).

        Raises NotApplied or Indeterminate.
        """
        budget_s = self._deadline_s if within_s is None else min(within_s, self._deadline_s)
        deadline = Deadline(time.monotonic() + budget_s)
        connection, target = self._connected(deadline)
        if time.monotonic() >= deadline.at:
            raise NotApplied("the deadline passed before the request was sent", target.node)
        try:
            answer = self._exchange(connection, request)
        except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
            self.close()
            raise Indeterminate(f"sent, then {type(error).__name__}: {error}", target.node) from error
        except BaseException:
            self.close()  # an answer may still arrive: it must not be taken for the next request's
            raise
        self.node = target.node
        return answer

    def close(self) -> None:
        """Drop the connection; idempotent, sends nothing."""
        opened, self._open = self._open, None
        if opened is not None:
            opened[0].close()

    def _connected(self, deadline: Deadline) -> tuple[DeadlineSocket, Target]:
        if self._open is not None:
            self._open[0].deadline.at = deadline.at
            if self._open[0].idle():  # else closed by the server, or an answer that nobody waits for: nothing was sent yet
                return self._open
            self.close()
        target = self._resolve()
        connection = None
        try:
            connection = dial(target.host, target.port, deadline)
            greeting = self._exchange(connection, {"f": "hello", "a": []})
            if greeting.ok != GREETING:
                raise ValueError(f"greeted by {greeting.ok!r}")
        except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
            if connection is not None:
                connection.close()
            raise NotApplied(f"not connected to {target.node}: {type(error).__name__}: {error}", target.node) from error
        self._open = connection, target
        return self._open

    def _exchange(self, connection: DeadlineSocket, request: dict[str, Any]) -> Answer:
        connection.sendall(self._encoder.encode(request) + b"\n")
        pieces = [b""]
        while not pieces[-1].endswith(b"\n"):
            pieces.append(connection.recv(65_536))
            if not pieces[-1]:
                raise ConnectionError("closed by the server")
        return self._decoder.decode(b"".join(pieces))
