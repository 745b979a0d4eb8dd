"""Ports on 127.0.0.1 that stay ours from the moment we choose them.

Choosing a free port and starting a server on it later is a race. Here the port is bound by a socket
that never listens and is kept for the whole run. SO_REUSEADDR is set on it only *after* the bind:
the kernel then refuses every other plain bind and never hands the port to an outgoing connection,
but lets a server that sets SO_REUSEADDR (all of ours do) bind and listen beside it, and again after
a kill. Measured on Linux 6; elsewhere the socket is closed at once and the race is left.

Source: Linux net/ipv4/inet_connection_sock.c, inet_csk_bind_conflict.
"""

from __future__ import annotations

import socket
import sys
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"


class Ports:
    """Reserved ports, released together; a context manager."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for held in self._sockets:
            held.close()
        self._sockets.clear()

    def reserve(self) -> int:
        """Give a port that nobody else gets while this object lives."""
        held = socket.socket()
        held.bind((HOST, 0))
        port: int = held.getsockname()[1]
        if sys.platform == "linux":
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._sockets.append(held)
        else:
            held.close()
        return port
