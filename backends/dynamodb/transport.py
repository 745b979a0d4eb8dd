"""HTTP under botocore, with the phases of a call kept apart.

    resolve -> TCP -> GET / answered     any failure here: NotApplied, nothing was sent
    send -> read -> checked               any failure here: Indeterminate

botocore makes, signs and parses requests; it hands each to its event `before-send`, and takes the answer that a handler
gives instead of sending it itself. So the connection is ours: one, kept, under the deadline of the whole call. botocore's
own transport keeps connecting and reading apart only by the class of an exception, has a time-out for each, and does not
check what it read: an answer that was cut off is parsed as success without an item (it passes enforce_content_length=False
to urllib3, and a body that is no JSON is none to its parser). Here length, checksum and JSON are checked first.
"""

from __future__ import annotations

import http.client
import json
import time
import zlib
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from backends.deadline import Deadline, DeadlineSocket, dial
from backends.target import Resolve, Target
from harness.driving.client import Indeterminate, NotApplied

SPOILT = (OSError, http.client.HTTPException, ValueError)


class Transport:
    """One connection, made when first used and anew after it was dropped. Not thread-safe."""

    def __init__(self, resolve: Resolve, deadline_s: float) -> None:
        self._resolve, self._deadline_s = resolve, deadline_s
        self._deadline = Deadline(0.0)
        self._open: tuple[http.client.HTTPConnection, DeadlineSocket, Target] | None = None
        self.node: str | None = None
        self.asked = "?"  # the node that was asked last

    def begin(self, within_s: float | None = None) -> None:
        """Set the deadline of the call that begins: all of its requests share it."""
        self._deadline.at = time.monotonic() + (self._deadline_s if within_s is None else min(within_s, self._deadline_s))

    def exchange(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a request and give status, headers and body of its answer. Raises NotApplied or Indeterminate."""
        connection, target = self._connected()
        if time.monotonic() >= self._deadline.at:
            raise NotApplied("the deadline passed before the request was sent", target.node)
        try:
            answer = _exchange(connection, method, path, headers, body)
        except SPOILT as error:
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

    def _connected(self) -> tuple[http.client.HTTPConnection, Target]:
        if self._open is not None:
            if self._open[1].idle():  # else closed by the server, or an answer that nobody waits for: nothing was sent yet
                return self._open[0], self._open[2]
            self.close()
        target = self._resolve()
        self.asked = target.node
        connection = http.client.HTTPConnection(target.host, target.port)
        try:
            connection.sock = socket = dial(target.host, target.port, self._deadline)
            status, _, _ = _exchange(connection, "GET", "/", {}, b"")
            if status >= 500:  # AWS and Dynoxide say 200 here, ministack 400: whatever it is, the node itself has answered
                raise ValueError(f"GET / was answered by {status}")
        except SPOILT as error:
            connection.close()
            raise NotApplied(f"not connected to {target.node}: {type(error).__name__}: {error}", target.node) from error
        except BaseException:
            connection.close()
            raise
        self._open = connection, socket, target
        return connection, target


def _exchange(
    connection: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    connection.request(method, path, body or None, dict(headers))
    with connection.getresponse() as response:  # it keeps the socket open until it is read to its end or closed
        content = response.read()  # raises IncompleteRead where the answer is shorter than its header says
    found = {name.lower(): value for name, value in response.getheaders()}
    if "content-length" not in found and not response.chunked:
        raise ValueError("an answer without its length: where it ends is not known")
    if "x-amz-crc32" in found and int(found["x-amz-crc32"]) != zlib.crc32(content):
        raise ValueError("an answer whose checksum is wrong")
    if method != "GET":
        json.loads(content)
    return response.status, found, content


class Body(BytesIO):
    """What botocore reads an answer's body from."""

    def stream(self, amount: int = 65_536, **_: Any) -> Any:
        """Give the body in pieces."""
        while piece := self.read(amount):
            yield piece
