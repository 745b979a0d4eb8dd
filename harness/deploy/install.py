"""The servers of the local deployment: how each is found, and how it is brought where it is not.

Which there are, backends declare (entry points `holdwater.servers`, each a `Server`). One is looked for
in its variable HOLDWATER_NAME, then on PATH, then where it would have been brought to: a wheel of this
environment, or the user's cache. The first that answers with a version that is new enough is taken;
whatever is taken was asked, since the wheels are one-person repacks and a cache may come from another
machine. What is brought is pinned. A variable that names something else is an error, not a reason to
look further.

Rejected: downloading a project's release, which nothing but its address would vouch for. What has no
wheel is built once for a user, from a registry that checks sums.

Also `python -m harness.deploy.install [NAME ...]`, which is what the Makefile calls.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness import heartbeat, registry
from harness.errors import Infrastructure
from harness.program import command

ASK_S = 30.0
BRING_S = 1200.0
CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"  # of a checkout; an installed wheel has none
FAILED = "the machine: "
WATCHED = "--watched"  # as a command: end when stdin does

Say = heartbeat.Say


@dataclass(frozen=True, slots=True)
class Server:
    """A server that the local deployment starts: where it is looked for, and how it is brought.

    `answer` matches what it says to `ask` (an argument, or the command that asks about a path), with the
    group version, and the group product where there are several; `oldest` is a major version. `brought`
    gives where `bring` puts what is `pinned`; `bring` raises Infrastructure or OSError with the bare
    reason. One that is `built` takes minutes. An `optional` one, for which a machine may lack the `tools`, is
    missed only by its own rows.
    """

    name: str
    product: str
    purpose: str
    licence: str
    programs: tuple[str, ...]
    ask: str | Callable[[Path], list[str]]
    answer: str
    oldest: int
    pinned: str
    source: str
    brought: Callable[[], Path | None]
    bring: Callable[[Say], None]
    built: bool = False
    optional: bool = False
    tools: str | None = None

    @property
    def variable(self) -> str:
        """Name the environment variable that overrides the search."""
        return f"HOLDWATER_{self.name.upper().replace('-', '_')}"


@dataclass(frozen=True, slots=True)
class Found:
    """A server that can be started; `source` says where it comes from."""

    name: str
    path: Path
    product: str
    version: str
    source: str


def cache_folder() -> Path:
    """Give the folder of what was built for this user."""
    if given := os.environ.get("HOLDWATER_CACHE"):
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "holdwater"


def find(name: str) -> Found | None:
    """Find a server, None if this machine has none that fits; raise Infrastructure where its variable names a wrong one."""
    server = _server(name)
    if given := os.environ.get(server.variable):
        found = _asked(server, Path(given), server.variable)
        if found is None:
            raise Infrastructure(f"{server.variable}={given} is no {name} of version {server.oldest} or later that runs here")
        return found
    for program in server.programs:
        path = shutil.which(program)
        if path and (found := _asked(server, Path(path), "PATH")):
            return found
    brought = server.brought()
    return _asked(server, brought, server.source) if brought else None


def require(name: str) -> Found:
    """Find a server; raise Infrastructure with the remedy where there is none."""
    found = find(name)
    if found is None:
        raise Infrastructure(_absence([name]))
    return found


def missing(*names: str) -> str | None:
    """Say which of these servers are not there, and the command that brings them; None if all are."""
    gone = absent(names)
    return _absence(gone) if gone else None


def absent(names: Iterable[str]) -> list[str]:
    """Give those of these servers that are not there, what is built last; raise Infrastructure where a variable names a wrong one."""
    return sorted((name for name in names if find(name) is None), key=lambda name: _server(name).built)


def table() -> list[dict[str, Any]]:
    """Give what was found of each server, for doctor and run.json; None where nothing was."""
    return [_row(server, find(server.name)) for server in servers()]


def servers() -> list[Server]:
    """Give all that backends declare, by name."""
    return [_server(name) for name in registry.names("servers")]


def optional(name: str) -> bool:
    """Say whether a machine may lack what this server is built with."""
    return _server(name).optional


def install(names: Iterable[str] | None = None, say: Say = print) -> None:
    """Bring what is missing; idempotent, about a second where all is there.

    Raises Infrastructure in one line with what was tried; of an optional server only where it was asked for by name.
    """
    asked = list(names or ())
    for server in [_server(name) for name in asked or registry.names("servers")]:
        found = find(server.name)
        if found is None:
            say(f"{server.name}: none found, bringing {server.pinned} (licence: {server.licence})")
            try:
                found = _brought(server, say)
            except Infrastructure as error:
                if asked or not server.optional:
                    raise
                say(f"{error}. Without it: {server.purpose} unavailable")
                continue
        say(f"{server.name}: {found.product} {found.version}, {found.source}: {found.path}")


def _server(name: str) -> Server:
    if name not in registry.names("servers"):
        raise Infrastructure(f"no server {name!r} to install, there are: {', '.join(registry.names('servers'))}")
    server: Server = registry.load("servers", name)
    return server


def _absence(names: Sequence[str]) -> str:
    wanted = [f"no {name} {_server(name).oldest} or later" for name in names]  # an older one may be there
    tools = [f"{tools}, then " for name in names if (tools := _server(name).tools) is not None]
    return f"{' and '.join(wanted)} on this machine; {''.join(tools)}run: {command('install', *(names if tools else ()))}"


def _brought(server: Server, say: Say) -> Found:
    other_way = f"put {' or '.join(server.programs)} ({server.oldest} or later) on PATH, or name one in {server.variable}"
    try:
        server.bring(say)
    except Infrastructure as error:
        raise Infrastructure(f"{server.name}: {error}; try again, or {other_way}") from None
    except OSError as error:
        where = error.filename or cache_folder()
        raise Infrastructure(f"{server.name}: cannot write {where}: {error.strerror}; name another folder in HOLDWATER_CACHE") from None
    found = find(server.name)
    if found is None:
        raise Infrastructure(f"{server.name}: {server.pinned} was brought, but does not run on this machine; {other_way}")
    return found


def _asked(server: Server, path: Path, source: str) -> Found | None:
    """Ask a program for its version; None if it does not run, is something else or is too old."""
    command = [str(path), server.ask] if isinstance(server.ask, str) else server.ask(path)
    try:
        stat = path.stat()
        answer = re.search(server.answer, _said(tuple(command), (stat.st_mtime_ns, stat.st_size)))
    except OSError:
        return None
    if answer is None:
        return None
    product, version = answer.groupdict().get("product") or server.product, answer["version"]
    major = re.match(r"\d+", version)  # a toxiproxy of someone's own says "git"
    if major and int(major[0]) < server.oldest:
        return None
    return Found(server.name, path.absolute(), product, version, source)


@cache
def _said(command: tuple[str, ...], stamp: tuple[int, int]) -> str:
    """Ask a program once: each experiment looks for its servers, and some take a second to answer.

    `stamp` is of the program and changes with it. Raises OSError where it says nothing, which is not kept: it may have been busy.
    """
    said = output(list(command))
    if said is None:
        raise OSError(f"{command[0]} says nothing")
    return said


def _row(server: Server, found: Found | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": server.name,
        "purpose": server.purpose,
        "licence": server.licence,
        "optional": server.optional,
        "tools": server.tools,
    }
    if found is None:
        return row | dict.fromkeys(("product", "version", "path", "source", "sha256"))
    digest = hashlib.sha256(found.path.read_bytes()).hexdigest()
    return row | {"product": found.product, "version": found.version, "path": str(found.path), "source": found.source, "sha256": digest}


# Running other programs


def pip_install(requirement: str, say: Say, *options: str) -> None:
    """Install a package into this environment, one process at a time."""
    if not os.access(sys.prefix, os.W_OK):
        raise Infrastructure(f"{requirement} cannot be installed into {sys.prefix}, which this user cannot write")
    pinned = ("-c", str(CONSTRAINTS)) if CONSTRAINTS.exists() else ()
    with alone(Path(sys.prefix) / "holdwater.lock", say):
        run([*_installer(say), *pinned, *options, requirement], f"installing {requirement}", say)


def _installer(say: Say) -> list[str]:
    """Give what installs packages: pip, uv where an environment (of uv or pipx) has no pip, else the pip that Python carries."""
    if find_spec("pip") is None:
        if uv := shutil.which("uv"):
            return [uv, "pip", "install", "--python", sys.executable]
        if find_spec("ensurepip") is None:
            raise Infrastructure(f"no pip in {sys.prefix} and no uv on PATH to bring it with; install Holdwater with its extra: [servers]")
        run([sys.executable, "-m", "ensurepip"], f"{sys.prefix} has no pip, unpacking Python's own", say)
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off"]


def run(command: list[str], what: str, say: Say, environment: dict[str, str] | None = None) -> None:
    """Run a command, and say what it does; raise Infrastructure with the reason if it cannot be run, fails or hangs."""
    try:
        done = heartbeat.run(command, what, say, environment, BRING_S)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise Infrastructure(str(error)) from None
    if done.process.returncode != 0:
        raise Infrastructure(f"`{' '.join(command)}` failed: {_reason(''.join(done.stderr))}")


def _reason(stderr: str) -> str:
    """Give the line that tells most: pip's first error, with the last of its complaints on the network; else the last line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["no output"]
    complaints = [line for line in lines if "connection broken by" in line]
    errors = [line for line in lines if line.lower().startswith("error") and not line.endswith("Exception:")]  # which a trace follows
    return " | ".join([*complaints[-1:], (errors or lines[-1:])[0]])


def output(command: list[str]) -> str | None:
    """Give what a command prints, None if it cannot be run or hangs."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ASK_S, check=False).stdout
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None


@contextmanager
def build_folder(beside: Path, say: Say) -> Iterator[str]:
    """Give a folder of its own beside what is built, removed on leaving; that may take long: a build leaves a gigabyte."""
    folder = tempfile.mkdtemp(dir=beside.parent, prefix="build-")
    try:
        yield folder
    finally:
        with heartbeat.doing("removing what the build has left", say):
            try:
                shutil.rmtree(folder)
            except KeyboardInterrupt:
                shutil.rmtree(folder, ignore_errors=True)
                raise


@contextmanager
def alone(path: Path, say: Say = heartbeat.on_stderr) -> Iterator[None]:
    """Hold a lock file: one process at a time builds, and whoever waited finds it there."""
    with path.open("w") as file:
        with heartbeat.doing("waiting for another process that installs", say):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Install what the command line names, everything where it names nothing; says so on stderr, exit 3 if it cannot."""
    names = sys.argv[1:]
    if names[:1] == [WATCHED]:
        names = names[1:]
        signal.signal(signal.SIGINT, _interrupt_once)
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        install(names, lambda line: print(line, file=sys.stderr, flush=True))
    except Infrastructure as error:
        heartbeat.on_stderr(f"{FAILED}{error}")
        sys.exit(3)
    except KeyboardInterrupt:
        sys.exit(130)  # what was under way is undone


def _interrupt_once(number: int, frame: object) -> None:
    """Undo what is under way; the second interrupt, when whoever has started us is gone as well, does not end the undoing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_with_stdin() -> None:
    os.read(sys.stdin.fileno(), 1)  # until whoever has started us is gone; not through a buffer, whose lock would be held at our exit
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    main()
