"""The memory store in a child process: the phase rules, and what its death does."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from backends.interface import StateKey
from backends.memory.remote import RemoteMemorySession
from backends.memory.server import GREETING
from backends.target import Target
from harness.driving.client import Indeterminate, NotApplied, Unclassified

KEY = StateKey("n", "t", "k", "x")
HELLO = json.dumps({"ok": GREETING}).encode() + b"\n"
SHORT_S = 0.25


@contextmanager
def fake(*replies: bytes | None) -> Iterator[tuple[Callable[[], Target], list[bytes]]]:
    """Answer one line of each connection after the other with these replies; None closes. Gives what was received."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            left = list(replies)
            while left:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, connection.makefile("rb") as lines:
                    while line := lines.readline():
                        received.append(line)
                        reply = left.pop(0) if left else b""
                        if reply is None:
                            break
                        connection.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield (lambda: Target("127.0.0.1", port, "memory-1")), received
        finally:
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize("hello", [None, b"", b"HTTP/1.1 400\n", b'{"ok": "somebody else"}\n', b'{"error": "no"}\n'])
def test_a_handshake_that_the_store_did_not_answer_is_not_applied(hello: bytes | None) -> None:
    with fake(hello) as (target, received):
        session = RemoteMemorySession(target, SHORT_S)
        with pytest.raises(NotApplied):
            session.set(KEY, "a", None)
        session.close()
        assert len(received) == 1


@pytest.mark.parametrize("reply", [None, b"", b'{"ok"', b"garbage\n", b'{"ok": null}\n{"ok": null}\n'])
def test_a_lost_or_garbled_answer_is_indeterminate(reply: bytes | None) -> None:
    with fake(HELLO, reply) as (target, received):
        session = RemoteMemorySession(target, SHORT_S)
        with pytest.raises(Indeterminate):
            session.set(KEY, "a", None)
        session.close()
        assert len(received) == 2


@pytest.mark.parametrize("reply", [b'{"ok": 1}\n', b'{"ok": "text"}\n', b'{"error": "no command"}\n'])
def test_an_answer_of_another_shape_is_unclassified(reply: bytes) -> None:
    with fake(HELLO, reply) as (target, _):
        session = RemoteMemorySession(target, SHORT_S)
        with pytest.raises(Unclassified):
            session.delete(KEY)
        session.close()


@contextmanager
def child(port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "backends.memory.server", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()


def test_a_killed_store_refuses_at_once_and_comes_back_empty() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    session = RemoteMemorySession(lambda: Target("127.0.0.1", port, "memory-1"), 10.0)
    with child(port):
        session.set(KEY, "a", None)
        assert session.node == "memory-1"
    with pytest.raises((NotApplied, Indeterminate)):  # the second only if the FIN is not here yet
        session.set(KEY, "b", None)
    with pytest.raises(NotApplied):
        session.get(KEY)
    with child(port):
        assert session.get(KEY) is None
        assert session.try_acquire("n", 1000) is not None
        session.close()
