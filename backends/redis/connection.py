"""One private connection to a Redis server, with the phases of a call kept apart.

    resolve -> TCP -> ROLE answered "master"    any failure here: NotApplied, nothing was sent
    send -> read                                 any failure here: Indeterminate
    an error reply                               by the table in `errors`

Which side of the line an error fell on is known from where it was raised and not from its class:
redis-py raises the same ConnectionError for both. `redis.Connection` and not `redis.Redis`: the
client sends a failing command up to 11 times. "Connected" alone proves nothing behind a proxy that
accepts before it dials, therefore the handshake asks for the node's role.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any, Protocol, cast

import redis
from redis.exceptions import RedisError

from backends.deadline import Deadline, DeadlineSocket, dial
from backends.redis.errors import classify, is_reply, reply_text
from backends.target import Resolve, Target
from harness.driving.client import Indeterminate, NotApplied

# What redis-py lets through when an answer is no RESP: int("x"), and the arguments of a MOVED that has none.
GARBLED = (ValueError, LookupError)


class RedisConnection:
    """Connects when first used, and anew after it was dropped; `opened` counts. Not thread-safe."""

    def __init__(self, resolve: Resolve, deadline_s: float) -> None:
        self._resolve, self._deadline_s = resolve, deadline_s
        self._wire: _Wire | None = None
        self._target: Target | None = None
        self.node: str | None = None
        self.opened = 0

    def call(self, arguments: tuple[str | int | bytes, ...], within_s: float | None = None) -> Any:
        """Send one command and give its reply, all within the deadline (or `within_s`, if that is less).

        Raises NotApplied, Indeterminate or Unclassified.
        """
        budget_s = self._deadline_s if within_s is None else min(within_s, self._deadline_s)
        deadline = Deadline(time.monotonic() + budget_s)
        wire, target = self._connected(deadline)
        if time.monotonic() >= deadline.at:
            raise NotApplied("the deadline passed before the command was sent", target.node)
        return self._exchange(wire, target, arguments)

    def close(self) -> None:
        """Drop the connection; idempotent, sends nothing."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.disconnect()

    def _connected(self, deadline: Deadline) -> tuple[_Wire, Target]:
        if self._wire is not None and self._target is not None:
            self._wire.deadline.at = deadline.at
            if _idle(self._wire):
                return self._wire, self._target
            self.close()
        target = self._resolve()
        wire = _wire(target, deadline)
        try:
            wire.connect()
            wire.send_command("ROLE")
            role = wire.read_response()
        except (RedisError, OSError, *GARBLED) as error:
            wire.disconnect()
            raise NotApplied(f"not connected to {target.node}: {_reason(error)}", target.node) from error
        if not isinstance(role, list) or role[:1] != [b"master"]:
            wire.disconnect()
            raise NotApplied(f"not connected to {target.node}: node is {_role(role)}", target.node)
        self._wire, self._target = wire, target
        self.opened += 1
        return wire, target

    def _exchange(self, wire: _Wire, target: Target, arguments: tuple[str | int | bytes, ...]) -> Any:
        try:
            wire.send_command(*arguments)
            reply = wire.read_response()
        except RedisError as error:
            if not is_reply(error):
                self.close()
                raise Indeterminate(f"sent, then {_reason(error)}", target.node) from error
            self.node = target.node
            refusal = classify(error, target.node)
            if refusal.reconnect or isinstance(error, redis.ConnectionError):  # the latter redis-py has closed by itself
                self.close()
            raise refusal.error from error
        except (OSError, *GARBLED) as error:
            self.close()
            raise Indeterminate(f"sent, then {_reason(error)}", target.node) from error
        except BaseException:
            self.close()  # a reply may still arrive: it must not be taken for the next command's
            raise
        self.node = target.node
        return reply


class _Wire(Protocol):
    # The part of redis-py's connection that is used here, with types, which it has not.
    deadline: Deadline

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...
    def quiet(self) -> bool: ...
    def send_command(self, *arguments: str | int | bytes) -> None: ...
    def read_response(self) -> Any: ...


class _BoundedConnection(redis.Connection):
    # redis-py's connection over a socket with a deadline.
    deadline: Deadline

    def _connect(self) -> socket.socket:
        return dial(self.host, self.port, self.deadline)

    def quiet(self) -> bool:
        # can_read costs 15 us an operation in paced runs: it makes a poll object each time.
        buffer = getattr(self._parser, "_buffer", None)
        if buffer is None or not isinstance(self._sock, DeadlineSocket):
            return not self.can_read(timeout=0)
        return not buffer.unread_bytes() and self._sock.idle()


def _wire(target: Target, deadline: Deadline) -> _Wire:
    options: dict[str, Any] = {"protocol": 2, "retry": None, "driver_info": None, "socket_timeout": None}
    wire = cast(Callable[..., _Wire], _BoundedConnection)(host=target.host, port=target.port, **options)
    wire.deadline = deadline
    return wire


def _idle(wire: _Wire) -> bool:
    # Closed by the server, or an answer that nobody waits for: nothing was sent yet, so connect anew.
    try:
        return wire.quiet()
    except (RedisError, OSError):
        return False


def _reason(error: Exception) -> str:
    text = reply_text(error) if isinstance(error, RedisError) else str(error)
    return f"{type(error).__name__}: {text}"


def _role(reply: Any) -> str:
    return (
        {b"slave": "a replica", b"sentinel": "a sentinel"}.get(reply[0], repr(reply)) if isinstance(reply, list) and reply else repr(reply)
    )
