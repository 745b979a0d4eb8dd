"""Real servers for tests that need no deployment: started on a free port, ended by their pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from backends.postgres.admin import Admin, Unanswered
from backends.postgres.binaries import prefix, program, run
from backends.postgres.servers import SETTINGS
from backends.postgres.session import install_schema
from backends.target import Target
from harness.deploy.supervisor import descendants

START_S = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs: where it is, and its process."""

    port: int
    pid: int
    node: str

    def target(self) -> Target:
        return Target("127.0.0.1", self.port, self.node)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop it and all that it started (SIGSTOP), and let it go on."""
        pids = [self.pid, *descendants(self.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], bool], what: str, within_s: float = START_S) -> None:
    """Poll until true; fail at the deadline."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s} s: {what}")
        time.sleep(0.01)


@contextmanager
def postgres(directory: Path) -> Iterator[Running]:
    """Run a PostgreSQL server with the schema in it until leaving."""
    data, port = directory / "data", free_port()
    run(["initdb", "-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--no-locale"], "a test")
    words = [f"{name}={value}" for name, value in {**SETTINGS, "fsync": "off"}.items()]
    argv = [*prefix(), program("postgres"), "-D", str(data), "-p", str(port), *(part for word in words for part in ("-c", word))]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    admin = Admin(port, "pg")
    try:
        wait_for(lambda: _answers(admin), "PostgreSQL answers")
        install_schema("127.0.0.1", port)
        yield Running(port, process.pid, "pg")
    finally:
        admin.close()
        process.send_signal(signal.SIGQUIT)
        process.wait(timeout=START_S)


def _answers(admin: Admin) -> bool:
    try:
        admin.ask("SELECT 1")
    except Unanswered:
        return False
    return True


@contextmanager
def dynamodb(directory: Path, variant: str, **settings: str) -> Iterator[Running]:
    """Run what a variant of the DynamoDB row runs on until leaving, with more settings. Skips, visibly, where there is none."""
    from backends.dynamodb import emulators
    from backends.dynamodb.table import Table
    from backends.dynamodb.transport import Transport
    from harness.deploy import install
    from harness.driving.client import NotApplied

    if (missing := install.missing(*emulators.servers(variant))) is not None:
        pytest.skip(missing)
    chosen, port = emulators.emulator(variant), free_port()
    assert chosen is not None
    argv = [str(chosen.program), *chosen.arguments(port, directory if variant == emulators.DURABLE else None)]
    environment = {**os.environ, **chosen.environment(port, directory), **settings}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, env=environment)
    running = Running(port, process.pid, "dynamodb")
    table = Table(Transport(running.target, 5.0))

    def created() -> bool:
        try:
            table.begin()
            table.create()
        except NotApplied:
            return False
        return True

    try:
        wait_for(created, f"{chosen.product} answers")
        yield running
    finally:
        table.close()
        process.kill()
        process.wait(timeout=START_S)
