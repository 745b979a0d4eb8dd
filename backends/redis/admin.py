"""Questions to a Redis server or sentinel over its own port, past every proxy.

Administration only: its answers are evidence for probes, gates and the observer, never operations.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, cast

import redis
from redis.exceptions import RedisError

from harness.deploy.ports import HOST

TIMEOUT_S = 0.4


class Wire(Protocol):
    """The part of redis-py's connection that is used here, with types, which it has not."""

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...
    def send_command(self, *arguments: str | int) -> None: ...
    def read_response(self) -> Any: ...


class Admin:
    """One kept connection to a server's own port; thread-safe."""

    def __init__(self, port: int, timeout_s: float = TIMEOUT_S) -> None:
        self.port, self._timeout_s = port, timeout_s
        self._lock = threading.Lock()
        self._connection: Wire | None = None

    def ask(self, *arguments: str | int) -> Any:
        """Send one command; raise RedisError or OSError where it was refused or not answered in time.

        A kept connection that has ended is replaced once: a promotion ends all of a node's connections.
        """
        with self._lock:
            kept = self._connection is not None
            try:
                return self._ask(arguments)
            except redis.ConnectionError:
                if not kept:
                    raise
            return self._ask(arguments)

    def _ask(self, arguments: tuple[str | int, ...]) -> Any:
        try:
            if self._connection is None:
                self._connection = wire(HOST, self.port, self._timeout_s)
            self._connection.send_command(*arguments)
            return self._connection.read_response()
        except redis.ResponseError:
            raise
        except (RedisError, OSError):
            self._drop()
            raise

    def info(self, *sections: str) -> dict[str, str] | None:
        """Give sections of INFO, None where the server does not answer."""
        try:
            text = self.ask("INFO", *sections)
        except (RedisError, OSError):
            return None
        lines = text.decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def close(self) -> None:
        """Drop the connection."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(RedisError, OSError):
                connection.disconnect()


def wire(host: str, port: int, timeout_s: float) -> Wire:
    """Connect; every later step takes at most `timeout_s`. Raises RedisError or OSError."""
    options: dict[str, Any] = {"protocol": 2, "retry": None, "driver_info": None}
    made = cast(Callable[..., Wire], redis.Connection)(
        host=host, port=port, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, **options
    )
    made.connect()
    return made
