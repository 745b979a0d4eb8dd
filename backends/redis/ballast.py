"""What fills a server's memory: keys that are nobody's, written again and again by a thread of its own."""

from __future__ import annotations

import threading
from contextlib import suppress

from redis.exceptions import RedisError

from backends.redis.admin import Admin

EVERY_S = 0.02
PORTION = ((64, 4096), (64, 16))  # how many keys of how many bytes; the small ones use what room the large leave
BALLAST = "hw:ballast:"
AT_ONCE = 1000  # keys removed by one command


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
            for count, size in PORTION:
                with suppress(RedisError, OSError):  # no room; or no answer, as the probe will tell
                    for _ in range(count):
                        self._admin.ask("SET", f"{BALLAST}{self._written}", "x" * size)
                        self._written += 1
