"""What fills a server's memory: keys that are nobody's, written again and again by a thread of its own."""

from __future__ import annotations

import threading
from contextlib import suppress

from redis.exceptions import RedisError

from backends.redis.admin import Admin

EVERY_S = 0.02
COUNT, SIZE_BYTES = 128, 4096  # keys of a portion, and how large each is: 512 kB at a time
BALLAST = "hw:ballast:"
AT_ONCE = 1000  # keys removed by one command
# A portion is one script and so one round trip, whatever the machine is at. The server makes room, or refuses, before a script runs and
# not within: the last portion takes it past its limit, where every other script that may write is refused too.
WRITE = """#!lua
local text = string.rep('x', ARGV[3])
for number = ARGV[1], ARGV[1] + ARGV[2] - 1 do
  redis.call('SET', KEYS[1] .. number, text)
end
"""


class Ballast:
    """At one server, over its administration connection; used by one thread beside its own."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._written = 0

    def fill(self) -> None:
        """Begin; idempotent."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._write, name="ballast", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Write no more; idempotent."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def remove(self) -> None:
        """End, and remove all that was written; idempotent. Raises RedisError or OSError where the server does not answer."""
        self.end()
        for first in range(0, self._written, AT_ONCE):
            self._admin.ask("UNLINK", *(f"{BALLAST}{number}" for number in range(first, min(first + AT_ONCE, self._written))))
        self._written = 0

    def _write(self) -> None:
        while not self._stop.wait(EVERY_S):
            with suppress(RedisError, OSError):  # no room; or no answer, as the probe will tell
                self._admin.ask("EVAL", WRITE, 1, BALLAST, self._written, COUNT, SIZE_BYTES)
                self._written += COUNT
