"""The supervisor: starts every server of a run and ends all of them, however the harness ends.

    python supervisor.py FD LOCK HOME

FD is a socket to the harness; its end of file means that the harness is gone, for whatever reason,
kill -9 included. HOME is the run's own directory of nodes: whatever names it in its arguments is
ours. One JSON object a line each way:

    {"start": NAME, "argv": [...], "log": PATH, "env": {...}}   -> {"pid": N}
    {"signal": SIGNUM, "name": NAME}                            -> {"sent": true | false}
    {"tree": SIGNUM, "name": NAME}    the process and all of its descendants -> {"sent": N}
    with "naming": PATH               also what names this directory in its arguments, and the descendants of that
    {"state": NAME}                                             -> {"state": "running" | "paused" | "dead", "code": N | null}

Why a process of its own: a parent-death signal fires when the starting *thread* ends and misses
grandchildren; a process group misses what calls setsid. The supervisor is a subreaper without
threads, in a session of its own (Ctrl-C reaches the harness alone). Signals go through it because
only the parent of a process can be sure that a pid is still that process.

This file imports nothing of ours: it runs before and after everything else.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
SWEEPS = 50


class Supervisor:
    """The children by name, and what became of them."""

    def __init__(self, channel: socket.socket, home: str) -> None:
        self.channel = channel
        self.home = home
        self.children: dict[str, int] = {}  # not yet reaped, so that each pid is still its own
        self.codes: dict[str, int] = {}  # of the newest process of each name that has ended

    def reap(self) -> None:
        """Collect every child that has ended, adopted ones included."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for name in [name for name, child in self.children.items() if child == pid]:
                del self.children[name]
                self.codes[name] = os.waitstatus_to_exitcode(status)

    def alive(self, name: str) -> int | None:
        """Give the pid of a child that has not ended; only we reap it, so that the pid is still its own."""
        self.reap()
        return self.children.get(name)

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start a server, its output appended to its log."""
        if self.alive(request["start"]) is not None:
            return {"error": f"{request['start']} is running already"}
        try:
            with open(request["log"], "ab") as log:
                process = subprocess.Popen(
                    request["argv"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env={**os.environ, **request.get("env", {})},
                )
        except OSError as error:
            return {"error": str(error)}
        process.returncode = 0  # reaped by us, not by Popen
        self.children[request["start"]] = process.pid
        return {"pid": process.pid}

    def signal(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a signal to one child."""
        pid = self.alive(request["name"])
        if pid is None:
            return {"sent": False}
        os.kill(pid, request["signal"])
        return {"sent": True}

    def tree(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a signal to a child and all of its descendants at once; a server that has left its parent is ours by now."""
        pid = self.alive(request["name"])
        roots = {pid} if pid is not None else set()
        if naming := request.get("naming"):
            roots |= {row[0] for row in processes() if naming in row[3] and row[0] != os.getpid()}
        doomed = set(roots)
        for root in roots:
            doomed |= descendants(root)
        for root in roots:
            send(-root, request["tree"])  # its group: the kernel's own list misses no child that was forked since we looked
        for each in doomed - ({pid} if pid is not None else set()):
            send(each, request["tree"])
        return {"sent": len(doomed)}

    def state(self, request: dict[str, Any]) -> dict[str, Any]:
        """Tell what the operating system says of a child."""
        name = request["state"]
        pid = self.alive(name)
        if pid is None:
            return {"state": "dead", "code": self.codes.get(name)}
        row = _read_proc(pid) if os.path.isdir("/proc/self") else next((row for row in processes() if row[0] == pid), None)
        if row is None:
            return {"state": "dead", "code": None}
        # A zombie that could not be reaped has threads that are still ending: it is not gone, and nothing can start in its place.
        return {"state": "paused" if row[2].startswith("T") else "running", "code": None}

    def answer(self, line: bytes) -> dict[str, Any]:
        """Carry out one request."""
        request = json.loads(line)
        for verb in ("start", "signal", "tree", "state"):
            if verb in request:
                answer: dict[str, Any] = getattr(self, verb)(request)
                return answer
        return {"error": f"unknown request {line!r}"}

    def serve(self) -> None:
        """Answer until the harness is gone."""
        buffer = b""
        while True:
            readable, _, _ = select.select([self.channel], [], [], 1.0)
            self.reap()
            if not readable:
                continue
            try:
                chunk = self.channel.recv(65536)
            except ConnectionError:
                return
            if not chunk:
                return
            buffer += chunk
            while b"\n" in buffer:
                line, buffer = buffer.split(b"\n", 1)
                try:
                    self.channel.sendall(json.dumps(self.answer(line)).encode() + b"\n")
                except OSError:
                    return

    def end_all(self) -> None:
        """Kill all descendants and all that runs from our directory, until none is left."""
        for _ in range(SWEEPS):
            self.reap()
            doomed = descendants(os.getpid()) | {row[0] for row in processes() if self.home in row[3] and "supervisor.py" not in row[3]}
            doomed.discard(os.getpid())
            if not doomed:
                return
            for pid in doomed:
                send(pid, signal.SIGKILL)
            time.sleep(0.02)


def processes() -> list[tuple[int, int, str, str]]:
    """List pid, parent, state and arguments of every process, zombies left out of nothing."""
    if os.path.isdir("/proc/self"):
        return [row for name in os.listdir("/proc") if name.isdigit() and (row := _read_proc(int(name)))]
    out = subprocess.run(["ps", "-axo", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=False).stdout
    rows = [line.split(None, 3) for line in out.splitlines()]
    return [(int(r[0]), int(r[1]), r[2], r[3] if len(r) > 3 else "") for r in rows if len(r) >= 3]


def _read_proc(pid: int) -> tuple[int, int, str, str] | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rsplit(b")", 1)[1].split()
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            arguments = file.read().replace(b"\0", b" ").decode("utf-8", "replace")
    except (OSError, IndexError):
        return None
    return pid, int(fields[1]), fields[0].decode(), arguments


def descendants(root: int) -> set[int]:
    """Give every living process below a process."""
    rows = [row for row in processes() if not row[2].startswith("Z")]
    tree, grew = {root}, True
    while grew:
        new = {row[0] for row in rows if row[1] in tree} - tree
        tree |= new
        grew = bool(new)
    return tree - {root}


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may just have ended."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def main() -> None:
    """Serve one harness, then end all."""
    descriptor, lock, home = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    held = open(lock, "w")  # noqa: SIM115 - held until we end: a free lock tells the next run that we are gone
    fcntl.flock(held, fcntl.LOCK_EX)
    held.write(str(os.getpid()))
    held.flush()
    channel = socket.socket(fileno=descriptor)
    supervisor = Supervisor(channel, home)
    channel.sendall(b'{"ready": true}\n')
    try:
        supervisor.serve()
    finally:
        supervisor.end_all()


if __name__ == "__main__":
    main()
