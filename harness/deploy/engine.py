"""The Docker engine and Compose of this machine: found, asked, and what it refuses told as the machine's failure."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import Infrastructure

UNIX = "http+unix://"
ENGINE_S = 20.0
REMEDY = "start a Docker engine that this user may use, with Compose v2 (docker compose), or use --on local"


@contextmanager
def engine(doing: str) -> Iterator[None]:
    """Turn what the engine refuses into Infrastructure that says what was being done."""
    from docker.errors import DockerException  # here and below: the import takes long, and most runs need no engine

    try:
        yield
    except (DockerException, OSError) as error:
        raise Infrastructure(f"{doing}: {getattr(error, 'explanation', None) or error}") from None


def missing() -> str | None:
    """Say what this machine lacks to run compose projects, with the remedy; None if nothing."""
    try:
        connected().close()
        command()
    except Infrastructure as error:
        return str(error)
    return None


def command() -> list[str]:
    """Find Compose: the engine's plug-in, docker-compose on PATH or in this environment. Raises Infrastructure with the remedy."""
    for words in (["docker", "compose"], ["docker-compose"], [str(Path(sys.executable).parent / "docker-compose")]):
        if shutil.which(words[0]) is None:
            continue
        done = subprocess.run([*words, "version"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode == 0:
            return words
    raise Infrastructure(f"no Compose on this machine; {REMEDY}")


def connected() -> Any:
    """Connect to the engine. Raises Infrastructure with the remedy."""
    import docker
    from docker.errors import DockerException
    from docker.utils import parse_host

    try:
        host = parse_host(os.environ.get("DOCKER_HOST"))
        if host.startswith(UNIX):  # first, and closed: the client leaves its socket open where nobody listens
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(host.removeprefix(UNIX))
        client = docker.from_env(timeout=int(ENGINE_S))
        client.ping()
    except (DockerException, OSError) as error:
        raise Infrastructure(f"no Docker engine answers ({error}); {REMEDY}") from None
    return client
