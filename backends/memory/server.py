"""The memory store in a process of its own, so that it can be killed: `python -m backends.memory.server --port P`.

Requests and answers are lines of JSON: {"f": "get", "a": ["n:t:k:id"]} and {"ok": null}; `hello` is
answered by GREETING. A request that is none is answered by {"error": why} and changes nothing.
Listens where it is told, on 127.0.0.1 by default; prints "ready" once it does.
"""

from __future__ import annotations

import argparse
import socketserver
import time
from typing import Any

import msgspec

from backends.memory.session import commands
from backends.memory.store import MemoryStore
from backends.session import OPERATIONS, Commands

GREETING = "holdwater memory store"
LINE_LIMIT_BYTES = 4_000_000  # a value of 350,000 control characters, each escaped to six bytes, and room


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command and its arguments, in the order of `backends.session.Commands`."""

    f: str
    a: list[str | int | None]


class Server(socketserver.ThreadingTCPServer):
    """One thread a connection, one store."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128  # of the default 5, the rest of eight clients at once waits a second for its SYN to be sent again

    def __init__(self, address: tuple[str, int], served: Commands) -> None:
        self.served = served
        super().__init__(address, Handler)


class Handler(socketserver.StreamRequestHandler):
    """Answers the requests of one connection, in order, until it ends."""

    disable_nagle_algorithm = True
    server: Server

    def handle(self) -> None:
        decoder, encoder = msgspec.json.Decoder(Request), msgspec.json.Encoder()
        while (line := self.rfile.readline(LINE_LIMIT_BYTES)).endswith(b"\n"):
            try:
                answer = {"ok": _perform(self.server.served, decoder.decode(line))}
            except (msgspec.DecodeError, _NoSuchCommand) as error:
                answer = {"error": str(error)}
            self.wfile.write(encoder.encode(answer) + b"\n")


class _NoSuchCommand(Exception):
    pass


def _perform(served: Commands, request: Request) -> Any:
    if request.f == "hello":
        return GREETING
    if request.f not in OPERATIONS:
        raise _NoSuchCommand(f"no command {request.f!r}")
    return getattr(served, request.f)(*request.a)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="The memory store, over TCP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--mutant")
    parser.add_argument("--directory", help="of the run that this server belongs to; only shown in the process list")
    options = parser.parse_args()
    served = commands(MemoryStore(), options.mutant, lambda: time.sleep(0))
    with Server((options.host, options.port), served) as server:
        print("ready", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
