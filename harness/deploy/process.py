"""Child processes of a run, by name, through its supervisor."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.deploy import supervisor
from harness.errors import Infrastructure
from harness.waiting import wait_for

ANSWER_S = 10.0
POLL_S = 0.02


def sweep(root: Path) -> int:
    """End what crashed runs below a folder left running; give how many processes that were.

    A supervisor ends all of its run; only where it was killed too is anything left. A run is crashed
    where nobody holds its lock any more. What belongs to it names its directory in its arguments.
    """
    ended = 0
    for lock in root.rglob("nodes/lock"):
        if lock.is_symlink() or lock.parent.is_symlink():
            continue  # not a run's own
        try:
            with lock.open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                home = f"{lock.parent.resolve()}/"
                for pid in [row[0] for row in supervisor.processes() if home in row[3] and row[0] != os.getpid()]:
                    supervisor.send(pid, signal.SIGKILL)
                    ended += 1
        except OSError:
            continue  # held: its run goes on
    return ended


class Processes:
    """The servers of one run; a context manager that leaves none behind.

    `directory` is the run directory: nodes live below `nodes/`, logs are `logs/NAME.log`. `answer_s`: what takes longer has failed.
    """

    def __init__(self, directory: Path, answer_s: float = ANSWER_S) -> None:
        self.directory, self._answer_s = directory.resolve(), answer_s
        self._lock = threading.Lock()
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._pids: dict[str, int] = {}

    def __enter__(self) -> Self:
        for name in ("nodes", "logs"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        (self.directory / "nodes").chmod(0o700)  # what servers store, and passwords in their settings, is this user's alone
        ours, theirs = socket.socketpair()
        self._channel = ours
        self._supervisor = subprocess.Popen(
            [
                sys.executable,
                "-S",
                supervisor.__file__,
                str(theirs.fileno()),
                str(self.directory / "nodes" / "lock"),
                f"{self.directory / 'nodes'}/",
            ],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        ours.settimeout(self._answer_s)
        self._reader = ours.makefile("rb")
        try:
            self._read("its start (another run may hold this directory)")
        except BaseException:
            self._supervisor.kill()  # it has started nothing yet
            self._close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        assert self._supervisor is not None
        self._reader.close()
        self._channel.close()  # end of file: the supervisor ends all
        try:
            self._supervisor.wait(self._answer_s)
        except subprocess.TimeoutExpired:
            raise Infrastructure(f"the supervisor, pid {self._supervisor.pid}, did not end within {self._answer_s:g} s") from None
        if self._supervisor.returncode != 0:  # killed itself: what it could not end is ours to end
            sweep(self.directory)

    def home(self, name: str) -> Path:
        """Give the node's own directory, made if it is missing."""
        home = self.directory / "nodes" / name
        home.mkdir(exist_ok=True)
        return home

    def log(self, name: str) -> Path:
        """Give the path of the node's log."""
        return self.directory / "logs" / f"{name}.log"

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> int:
        """Start a server; give its pid. Raises Infrastructure if it cannot be executed."""
        answer = self._ask({"start": name, "argv": list(argv), "log": str(self.log(name)), "env": dict(env or {})})
        pid: int = answer["pid"]
        self._pids[name] = pid
        return pid

    def pid(self, name: str) -> int | None:
        """Give the pid of the newest process of this name; it may have ended."""
        return self._pids.get(name)

    def kill(self, name: str, naming: str | None = None) -> None:
        """SIGKILL to the process and its descendants at once; returns when it is gone.

        `naming`, here and below: also to what names this directory in its arguments, for a node whose processes leave their parent.
        """
        self._tree(signal.SIGKILL, name, naming)
        wait_for(lambda: None if self.state(name) == "dead" else "still there", self._answer_s, f"killing {name}", 0.002)
        if naming is not None:
            wait_for(lambda: self._left(name, naming), self._answer_s, f"killing {name}")

    def _left(self, name: str, naming: str) -> str | None:
        left = self._tree(signal.SIGKILL, name, naming)
        return f"{left} left" if left else None

    def pause(self, name: str, naming: str | None = None) -> None:
        """SIGSTOP to the process and its descendants."""
        self._tree(signal.SIGSTOP, name, naming)

    def resume(self, name: str, naming: str | None = None) -> None:
        """SIGCONT to the process and its descendants."""
        self._tree(signal.SIGCONT, name, naming)

    def stop(self, name: str) -> None:
        """SIGTERM to the process."""
        self._ask({"signal": signal.SIGTERM, "name": name})

    def state(self, name: str) -> str:
        """Give "running", "paused" or "dead"."""
        return str(self._ask({"state": name})["state"])

    def last_lines(self, name: str, count: int = 5) -> str:
        """Give the end of the node's log, for an error message."""
        try:
            lines = self.log(name).read_text("utf-8", "replace").strip().splitlines()
        except OSError:
            return "no log"
        return " | ".join(lines[-count:]) or "an empty log"

    def _tree(self, number: int, name: str, naming: str | None) -> int:
        named = {} if naming is None else {"naming": naming}
        return int(self._ask({"tree": number, "name": name, **named})["sent"])

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            try:
                self._channel.sendall(json.dumps(request).encode() + b"\n")
            except OSError as error:
                raise Infrastructure(f"the supervisor is gone: {error}") from None
            answer = self._read(next(iter(request)))
        if "error" in answer:
            raise Infrastructure(f"{request.get('start', request)}: {answer['error']}")
        return answer

    def _read(self, what: str) -> dict[str, Any]:
        try:
            line = self._reader.readline()
        except OSError as error:
            raise Infrastructure(f"the supervisor did not answer {what}: {error}") from None
        if not line:
            raise Infrastructure(f"the supervisor ended during {what}")
        answer: dict[str, Any] = json.loads(line)
        return answer
