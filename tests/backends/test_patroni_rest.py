"""What is made of Patroni's answers to a switchover: it is over once another member leads, all else is a trouble of the machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from backends.postgres.patroni_rest import switch_over
from harness.deploy.ports import HOST
from harness.errors import Infrastructure


@contextmanager
def answering(status: int, text: str) -> Iterator[tuple[int, list[Any]]]:
    """Answer every request alike; give the port, and what was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with HTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()


def test_patroni_is_told_who_is_to_lead_no_more() -> None:
    with answering(200, 'Successfully switched over to "pg-2"') as (port, asked):
        switch_over(port, "pg-1")
    assert asked == [("/switchover", {"leader": "pg-1"})]


def test_a_switchover_that_failed_is_told_with_patronis_words() -> None:
    with (
        answering(503, "Switchover failed") as (port, _),
        pytest.raises(Infrastructure, match=r"^Patroni did not switch over from pg-1: 503 Switchover failed$"),
    ):
        switch_over(port, "pg-1")


def test_a_member_that_does_not_answer_is_an_error() -> None:
    with answering(200, "") as (port, _):
        gone = port
    with pytest.raises(Infrastructure, match="did not switch over from pg-1"):
        switch_over(gone, "pg-1")
