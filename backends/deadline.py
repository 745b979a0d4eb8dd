"""TCP under one deadline for a whole call: connect, handshake, request and answer together.

A plain socket time-out starts anew at every recv, so that a server which sends a byte now and then
could hold a call for ever.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Deadline:
    """The instant (time.monotonic seconds) at which the present call must have ended; set anew for every call."""

    at: float

    def left_s(self) -> float:
        """Give the seconds left; raise TimeoutError if there are none."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline passed")
        return left


def dial(host: str, port: int, deadline: Deadline) -> DeadlineSocket:
    """Connect; the socket keeps to this deadline from now on. Raises OSError."""
    plain = socket.create_connection((host, port), timeout=deadline.left_s())
    bounded = DeadlineSocket(fileno=plain.detach())
    bounded.deadline = deadline
    bounded.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bounded.settimeout(None)
    return bounded


class DeadlineSocket(socket.socket):
    """A socket whose reads and writes raise TimeoutError from the deadline on; set to non-blocking, it is left alone."""

    deadline: Deadline

    def recv(self, *arguments: Any) -> bytes:
        self._bound()
        return super().recv(*arguments)

    def recv_into(self, *arguments: Any) -> int:
        self._bound()
        return super().recv_into(*arguments)

    def sendall(self, *arguments: Any) -> None:
        self._bound()
        super().sendall(*arguments)

    def _bound(self) -> None:
        if self.gettimeout() != 0:
            self.settimeout(self.deadline.left_s())
