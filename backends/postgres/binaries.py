"""PostgreSQL's programs, and as whom they run.

PostgreSQL refuses root. In a user namespace of its own root looks like nobody, files stay root's, and the pid stays the
same, so that nothing has to be copied or given away. An IPC namespace of its own comes with it: the System V segment
that a postmaster leaks when it is killed ends with its processes. Both cost nothing and are used as an ordinary user too,
where the system lets one; else the segment is marked for removal as soon as the server answers (`disown`).
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from harness.deploy.install import require
from harness.errors import Infrastructure

NOBODY = "65534"
IPC = "--ipc"
IPC_RMID = 0  # on Linux and macOS
SEGMENT_LINE = 6  # of postmaster.pid, from 0: the key and the id of the segment
RUN_S = 60.0


def program(name: str) -> str:
    """Give the path of one of PostgreSQL's programs: they stand beside the server. Raises Infrastructure."""
    return str(require("postgres").path.resolve().parent / name)


@cache
def prefix() -> tuple[str, ...]:
    """Give what stands before a program of PostgreSQL. Raises Infrastructure as root where there is no user namespace."""
    words = ("unshare", "--user", IPC, f"--map-user={NOBODY}", f"--map-group={NOBODY}")
    if shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
        return words
    if os.geteuid() == 0:
        raise Infrastructure("PostgreSQL refuses to run as root, and this system has no user namespaces; run it as an ordinary user")
    return ()


def disown(data: Path) -> None:
    """Mark the segment of a server that runs here for removal: the kernel keeps it until the last process has let go of it.

    Nothing where the server has an IPC namespace of its own: its id may be somebody else's in ours.
    """
    if IPC in prefix():
        return
    try:
        identifier = int((data / "postmaster.pid").read_text("utf-8").splitlines()[SEGMENT_LINE].split()[1])
    except (OSError, LookupError, ValueError):
        return  # it has ended meanwhile
    ctypes.CDLL(None).shmctl(identifier, IPC_RMID, None)


def run(argv: Sequence[str], doing: str) -> None:
    """Run one of the programs to its end. Raises Infrastructure with its last words."""
    words = [*prefix(), program(argv[0]), *argv[1:]]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_S, check=False)
    except subprocess.TimeoutExpired:
        raise Infrastructure(f"{doing}: {argv[0]} did not end within {RUN_S:g} s") from None
    if done.returncode != 0:
        said = " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise Infrastructure(f"{doing}: {argv[0]} failed: {said or 'no output'}")
