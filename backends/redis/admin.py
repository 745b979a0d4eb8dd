"""Questions to a Redis server or sentinel over its own port, past every proxy.

Administration only: its answers are evidence for probes, gates and the observer, never operations.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from harness.deploy.ports import HOST

TIMEOUT_S = 0.4


class Admin:
    """One kept connection to a server's own port; thread-safe."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._lock = threading.Lock()
        self._connection: redis.Connection | None = None

    def ask(self, *arguments: str | int, timeout_s: float = TIMEOUT_S) -> Any:
        """Send one command; raise RedisError or OSError where it was refused or not answered in time.

        A kept connection that has ended is replaced once: a promotion ends all of a node's connections.
        """
        with self._lock:
            kept = self._connection is not None
            try:
                return self._ask(arguments, timeout_s)
            except redis.ConnectionError:
                if not kept:
                    raise
            return self._ask(arguments, timeout_s)

    def _ask(self, arguments: tuple[str | int, ...], timeout_s: float) -> Any:
        try:
            if self._connection is None:
                self._connection = _connect(self.port, timeout_s)
            self._connection.send_command(*arguments)
            return self._connection.read_response(timeout=timeout_s)
        except redis.ResponseError:
            raise
        except (RedisError, OSError):
            self._drop()
            raise

    def info(self, section: str) -> dict[str, str] | None:
        """Give a section of INFO, None where the server does not answer."""
        try:
            text = self.ask("INFO", section)
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


def _connect(port: int, timeout_s: float) -> redis.Connection:
    connection = redis.Connection(  # type: ignore[no-untyped-call]
        host=HOST,
        port=port,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        protocol=2,
        retry=Retry(NoBackoff(), 0),  # type: ignore[no-untyped-call]
        driver_info=None,
    )
    connection.connect()
    return connection
