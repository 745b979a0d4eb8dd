"""A server whose memory is filled, and one whose clock jumps: what the probes take for it, and what clients of real servers feel."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSystem
from felt import Planted, ask, eventually, found, proved, put, run_that_raises, serves_again, unproved

from backends import clock
from backends.clock import SETTABLE, SettableClock
from backends.postgres import single as postgres
from backends.postgres.single import POSTGRES
from backends.redis import single as redis
from backends.redis.single import REDIS, RedisSingle
from faults.fill_memory import FILL_MEMORY
from faults.server_clock import AHEAD_MS, SERVER_CLOCK
from harness.deploy import install
from harness.driving.backend import Backend, Deployment
from harness.driving.operated import Memory
from harness.driving.run import HISTORY
from harness.driving.system import System
from harness.errors import Infrastructure
from harness.record.format import load

LONG_MS = 20_000


class Filled(FakeSystem):
    """Stands with its memory as a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.now: Memory | None = Memory(evicted=5, refuses=False)
        self.freed = 0

    def fill_memory(self, node: str) -> None:
        """Write nothing."""

    def free_memory(self, node: str) -> None:
        self.freed += 1

    def memory(self, node: str) -> Memory | None:
        return self.now


class Clocked(FakeSystem):
    """Tells the time that a test says."""

    ahead_ms: float | None = 0.0

    def shift_server_clock(self, node: str, offset_ms: int) -> None:
        """Set nothing."""

    def server_clock_ahead_ms(self, node: str) -> float | None:
        return self.ahead_ms


# The probes


@pytest.mark.parametrize(
    ("now", "proves"),
    [
        (Memory(evicted=5, refuses=False), False),
        (Memory(evicted=6, refuses=False), True),
        (Memory(evicted=5, refuses=True), True),
        (None, False),
    ],
    ids=["nothing", "an eviction since", "a refusal", "no answer"],
)
def test_a_full_memory_is_proved_by_evictions_since_it_began_or_by_a_refusal(now: Memory | None, proves: bool) -> None:
    system = Filled()
    injection = FILL_MEMORY.on(system, "node-1")
    injection.inject()
    try:
        system.now = now
        assert injection.bites().proved == proves
    finally:
        injection.heal()


@pytest.mark.parametrize(("now", "proves"), [(Memory(9, refuses=False), True), (Memory(9, refuses=True), False), (None, False)])
def test_it_is_healed_once_writes_are_taken(now: Memory | None, proves: bool) -> None:
    system = Filled()
    injection = FILL_MEMORY.on(system, "node-1")
    injection.heal()
    system.now = now
    assert (injection.healed().proved, system.freed) == (proves, 1)


@pytest.mark.parametrize(
    ("ahead_ms", "bites", "healed"), [(0.4, False, True), (AHEAD_MS - 1.0, True, False), (AHEAD_MS / 2, False, False), (None, False, False)]
)
def test_a_jump_is_proved_by_the_servers_own_time(ahead_ms: float | None, bites: bool, healed: bool) -> None:
    system = Clocked()
    system.ahead_ms = ahead_ms
    injection = SERVER_CLOCK.on(system, "node-1")
    assert (injection.bites().proved, injection.healed().proved) == (bites, healed)


# The shim


def test_what_is_no_shim_for_this_machine_is_not_taken_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tmp_path / "libfaketime.so.1"
    wrong.write_bytes(b"\x7fELF, of another machine")
    monkeypatch.setenv(clock.LIBFAKETIME.variable, str(wrong))
    with pytest.raises(Infrastructure, match=f"HOLDWATER_LIBFAKETIME={wrong} is no libfaketime"):
        install.find("libfaketime")


def test_an_offset_is_written_whole(tmp_path: Path) -> None:
    made = SettableClock(tmp_path)
    made.set(-1500)
    assert [path.name for path in tmp_path.iterdir()] == ["clock"]
    assert (tmp_path / "clock").read_text() == "-1.500\n"


# On real servers


@contextmanager
def opened(backend: Backend, variant: str, directory: Path) -> Iterator[Any]:
    with backend.open(Deployment(variant, directory)) as system:
        yield system


def grant(system: System, name: str, owner: str) -> bool | None:
    """Ask for a lock; None where that was refused or not answered."""
    done = ask(system, "try_acquire", name, {"owner": owner, "ttl_ms": LONG_MS})
    return done.value["granted"] if done.type == "ok" else None


@pytest.fixture(scope="module")
def evicting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSingle]:
    with opened(REDIS, "maxmemory-allkeys-lru", tmp_path_factory.mktemp("evicting")) as system:
        yield system


def test_with_eviction_a_held_lock_is_dropped_and_given_to_another(evicting: RedisSingle) -> None:
    name = f"held-{time.monotonic_ns()}"
    assert grant(evicting, name, "first") is True
    injection = FILL_MEMORY.on(evicting, redis.NODE)
    unproved(injection.bites)
    injection.inject()
    injection.inject()
    try:
        assert proved(injection.bites).seen["evicted"] > 0
        eventually(lambda: grant(evicting, name, "second") is True, "the lock is granted again while it is held")
    finally:
        injection.heal()
        injection.heal()
    proved(injection.healed)
    assert serves_again(evicting)


def test_a_run_whose_body_raises_frees_the_memory(evicting: RedisSingle, tmp_path: Path) -> None:
    with pytest.raises(Planted):
        run_that_raises(REDIS, evicting, FILL_MEMORY, tmp_path)
    assert [event.value["phase"] for event in load(tmp_path / HISTORY).nemesis() if event.f == FILL_MEMORY.name] == [
        "begin",
        "active",
        "healing",
    ]
    assert serves_again(evicting)
    assert "ballast" not in [thread.name for thread in threading.enumerate()]


def test_without_eviction_writes_are_refused_before_they_run_and_nothing_is_dropped(tmp_path: Path) -> None:
    with opened(REDIS, "maxmemory-noeviction", tmp_path) as system:
        assert grant(system, "held", "first") is True
        assert put(system, "kept", "x").type == "ok"
        injection = FILL_MEMORY.on(system, redis.NODE)
        injection.inject()
        try:
            assert proved(injection.bites).seen == {"evicted": 0, "refuses": True}
            eventually(lambda: put(system, "new", "y").type == "fail", "a write is refused, and certainly not applied")
            assert found(system, "kept") == "x"
        finally:
            injection.heal()
        proved(injection.healed)
        eventually(lambda: grant(system, "held", "second") is False, "the lock is still held")
        assert serves_again(system)


CLOCKS = [(REDIS, redis.NODE), (POSTGRES, postgres.NODE)]


@pytest.fixture(scope="module", params=CLOCKS, ids=lambda each: each[0].name)
def jumping(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Backend, str]]:
    backend, node = request.param
    if said := install.missing("libfaketime"):
        pytest.skip(said)
    with opened(backend, SETTABLE, tmp_path_factory.mktemp("clock")) as system:
        yield system, backend, node


def test_a_jump_ends_what_is_held(jumping: tuple[Any, Backend, str]) -> None:
    system, _, node = jumping
    name = f"held-{time.monotonic_ns()}"
    assert grant(system, name, "first") is True
    injection = SERVER_CLOCK.on(system, node)
    unproved(injection.bites)
    injection.inject()
    injection.inject()
    proved(injection.bites)
    eventually(lambda: grant(system, name, "second") is True, "the lock is granted again while it is held")
    injection.heal()
    injection.heal()
    proved(injection.healed)
    assert serves_again(system)


def test_a_server_with_a_settable_clock_leaves_nothing_in_shared_memory(jumping: tuple[Any, Backend, str]) -> None:
    system, _, node = jumping
    system.nodes[node].kill()
    system.nodes[node].start()
    pid = system.nodes[node]._local.processes.pid(node)
    assert pid is not None
    assert not [path for path in clock.SHARED.glob("*faketime*") if str(pid) in path.name]


def test_a_run_whose_body_raises_sets_the_clock_back(jumping: tuple[Any, Backend, str], tmp_path: Path) -> None:
    system, backend, node = jumping
    with pytest.raises(Planted):
        run_that_raises(backend, system, SERVER_CLOCK, tmp_path)
    assert abs(system.server_clock_ahead_ms(node)) < 1000
