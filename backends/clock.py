"""A server's clock that can be set: libfaketime before the server, which reads an offset from a file whenever the time is asked for.

Only the time of day; monotonic clocks, which no time service steps, go on as they are. Rejected: setting the machine's clock (root, and
everybody else's too) and a time namespace (it has no time of day).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from harness.deploy.install import Say, Server, pip_install, require

SETTABLE = "settable-clock"
"""The variant of a backend whose server has one."""
WHEEL = "libfaketime==3.0.1"
SHIM = Path("vendor") / "libfaketime" / "src" / "libfaketime.so.1"
SHARED = Path("/dev/shm")

# Whether a program that it stands before sees another time: a library for another machine is passed over with a warning only.
ASK = """
import importlib.metadata, os, subprocess, sys
path = sys.argv[1]
environment = {**os.environ, "LD_PRELOAD": path, "FAKETIME": "@2001-02-03 04:05:06"}
look = [sys.executable, "-S", "-c", "import time; print(time.gmtime().tm_year)"]
year = subprocess.run(look, env=environment, capture_output=True, text=True).stdout.strip()
of_wheel = os.path.join("libfaketime", "vendor") in path
print("libfaketime", (importlib.metadata.version("libfaketime") if of_wheel else "of-its-own") if year == "2001" else "")
"""


class SettableClock:
    """The clock of one server, kept in a file of its directory; thread-safe."""

    def __init__(self, home: Path) -> None:
        self._file = home / "clock"
        self.set(0)

    def environment(self) -> Mapping[str, str]:
        """Give what a server must be started with. Raises Infrastructure where there is no shim."""
        return {
            "LD_PRELOAD": " ".join([str(require("libfaketime").path), *os.environ.get("LD_PRELOAD", "").split()]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",  # else a jump is felt up to 10 s later
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",  # the times of files stay what they are
        }

    def set(self, offset_ms: int) -> None:
        """Let the server see the machine's time + offset from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_ms / 1000:+.3f}\n", "utf-8")
        new.replace(self._file)

    @staticmethod
    def disown(pid: int | None) -> None:
        """Remove what the shim keeps for a server that answers: its processes have it open, and killed it would leave it behind."""
        for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
            (SHARED / name).unlink(missing_ok=True)


def _found() -> Path | None:
    importlib.invalidate_caches()  # the wheel may have come a moment ago
    found = find_spec("libfaketime")
    return None if found is None or found.origin is None else Path(found.origin).parent / SHIM


def _bring(say: Say) -> None:
    pip_install(WHEEL, say)


LIBFAKETIME = Server(
    name="libfaketime",
    product="libfaketime",
    purpose=f"the variants {SETTABLE}: a server whose clock jumps",
    licence="GPL-2.0",
    programs=("libfaketime.so.1",),
    ask=lambda path: [sys.executable, "-c", ASK, str(path)],
    answer=r"^libfaketime (?P<version>\S+)",
    oldest=3,
    pinned=WHEEL,
    source="the libfaketime wheel",
    brought=_found,
    bring=_bring,
    optional=True,
)
