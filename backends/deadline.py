"""TCP under one deadline for a whole call: connect, handshake, request and answer together.

A plain socket time-out starts anew at every recv, so that a server which sends a byte now and then
could hold a call for ever.
"""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass
from typing import Any

SLACK_S = 0.002


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
    """A socket whose reads and writes raise TimeoutError from the deadline on (within SLACK_S)."""

    deadline: Deadline
    bounded_at: float = 0.0
    bounded_for: float = 0.0
    poller: select.poll | None = None

    def idle(self) -> bool:
        """Say whether nothing waits to be read; closed by the other end counts as something.

        By a poll of its own: a read with MSG_DONTWAIT waits out the time-out all the same, since
        Python polls first. The poll object is kept, which makes this one system call.
        """
        if self.poller is None:
            self.poller = select.poll()
            self.poller.register(self, select.POLLIN)
        return not self.poller.poll(0)

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
        # Each settimeout is a system call: one that was set for this deadline a moment ago still holds.
        now = time.monotonic()
        if self.bounded_for == self.deadline.at and now - self.bounded_at < SLACK_S:
            return
        self.settimeout(self.deadline.left_s())
        self.bounded_at, self.bounded_for = now, self.deadline.at
