"""What the DynamoDB row runs on: an emulator that Holdwater starts, or a server of the user's.

    variant in-memory     ministack; Dynoxide where that is missing
    variant durable       Dynoxide: no other one here keeps what it acknowledged through kill -9
    HOLDWATER_DYNAMODB    instead of both: http://127.0.0.1:PORT, an endpoint that somebody started,
                          or the path of a DynamoDBLocal.jar, which is started with the `java` on PATH

One rule, so that a claim is judged on the same emulator wherever it is judged; whatever ran is named in the versions. An endpoint
is one of this machine only: our requests are signed with a made-up key and go through a proxy in clear, and a mistyped address
must not be AWS. What runs elsewhere is forwarded to a port here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from harness.deploy.install import find
from harness.deploy.ports import HOST
from harness.driving.system import Need
from harness.errors import UsageError

VARIABLE = "HOLDWATER_DYNAMODB"
DURABLE, IN_MEMORY = "durable", "in-memory"
NOT_OURS = "a server that Holdwater did not start: it does not kill, pause or restart it"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server that runs already on this machine; all that is in it but our own table is left alone."""

    port: int


@dataclass(frozen=True, slots=True)
class Emulator:
    """A program that serves DynamoDB's API, and how it is started in a node's home; `version` is of the product."""

    product: str
    version: str
    program: Path
    arguments: Callable[[int, Path | None], list[str]]  # (port, folder for its files or None) -> all behind the program
    environment: Callable[[int, Path], Mapping[str, str]] = lambda port, home: {}


def endpoint() -> Endpoint | None:
    """Give the endpoint that the user named; None where none is. Raises UsageError where the variable is no such address."""
    given = os.environ.get(VARIABLE, "")
    if not given or _jar() is not None:
        return None
    expected = f"{VARIABLE}={given}: expected http://127.0.0.1:PORT or the path of a DynamoDBLocal.jar"
    try:
        url = urlsplit(given)
        port = url.port
    except ValueError:
        raise UsageError(expected) from None
    if url.hostname not in (None, HOST, "localhost"):
        raise UsageError(f"{expected}; for a server elsewhere forward a port of this machine to it")
    if url.scheme != "http" or not url.hostname or port is None or url.path not in ("", "/") or url.query or url.username is not None:
        raise UsageError(expected)
    return Endpoint(port)


def emulator(variant: str) -> Emulator | None:
    """Give what a variant runs on, None if this machine has nothing for it. Raises UsageError where the variable names no jar."""
    if (jar := _jar()) is not None:
        return _local(jar)
    (name,) = servers(variant)
    found = find(name)
    if found is None:
        return None
    if name == "ministack":
        return Emulator(found.product, found.version, found.path, lambda port, folder: [], _ministack_settings)
    return Emulator(found.product, found.version, found.path, _dynoxide_arguments)


def servers(variant: str) -> tuple[str, ...]:
    """Name what a variant runs on: ministack in memory, Dynoxide where only that is there; none where the user names a server."""
    if os.environ.get(VARIABLE):
        return ()
    if variant == IN_MEMORY and (find("ministack") is not None or find("dynoxide") is None):
        return ("ministack",)
    return ("dynoxide",)


def refused(variant: str, needs: frozenset[Need]) -> str | None:
    """Say what an endpoint of the user's cannot be asked to do, and the remedy; None where it can, or there is none.

    Raises UsageError where the variable names neither an endpoint nor a jar that can be started.
    """
    if (jar := _jar()) is not None:
        _local(jar)  # raises where it cannot be started
    if endpoint() is None:
        return None
    reason = _not_there(variant, needs)
    return None if reason is None else f"{reason}; unset {VARIABLE}"


def options_inside(variant: str) -> str:
    """Give what a container is told of a variant: for Amazon's image, unless the variables say how another one is told."""
    if variant == DURABLE:
        return os.environ.get("DYNAMODB_DURABLE", "-dbPath /data")
    return os.environ.get("DYNAMODB_IN_MEMORY", "-inMemory")


def _jar() -> Path | None:
    given = os.environ.get(VARIABLE, "")
    return Path(given) if given.endswith(".jar") else None


def _not_there(variant: str, needs: frozenset[Need]) -> str | None:
    if Need.PROCESS in needs:
        return f"{VARIABLE} names {NOT_OURS}"
    return f"{VARIABLE} names a server of whose files nothing is known: it is variant {IN_MEMORY}" if variant == DURABLE else None


def _ministack_settings(port: int, home: Path) -> Mapping[str, str]:
    """Give ministack's settings, which it takes from the environment alone: one service, this machine, nothing kept.

    Without the last four it looks for a Docker engine and removes containers there, listens on ports of other
    services, and writes to the folder for temporary files.
    """
    return {
        "SERVICES": "dynamodb",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        "LOG_LEVEL": "WARNING",
        "AUTH": "false",
        "USE_SSL": "0",
        "PERSIST_STATE": "0",
        "DOCKER_HOST": f"unix://{home}/no-engine",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "TMPDIR": str(home),
    }


def _dynoxide_arguments(port: int, folder: Path | None) -> list[str]:
    return ["serve", "--host", HOST, "--port", str(port), *(["--db-path", str(folder / "table.db")] if folder is not None else [])]


def _local(jar: Path) -> Emulator:
    """Start Amazon's DynamoDB Local as its documentation says. It was never run here: its terms are its vendor's own."""
    java = shutil.which("java")
    if java is None:
        raise UsageError(f"{VARIABLE}={jar}: expected java on PATH, which runs it")
    if not jar.is_file():
        raise UsageError(f"{VARIABLE}={jar}: expected a file")
    library = f"-Djava.library.path={jar.absolute().parent / 'DynamoDBLocal_lib'}"

    def arguments(port: int, folder: Path | None) -> list[str]:
        files = ["-inMemory"] if folder is None else ["-dbPath", str(folder)]
        return [library, "-jar", str(jar.absolute()), "-port", str(port), "-sharedDb", "-disableTelemetry", *files]

    return Emulator("DynamoDB Local", jar.name, Path(java), arguments)
