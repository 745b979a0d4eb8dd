"""Deployments on real servers: what they say of themselves, that two stand side by side, and that none outlives its harness."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from backends.redis.sentinel import HURRY_MS, NODES, SENTINEL, SENTINELS, RedisSentinel
from backends.redis.single import NODE, REDIS, RedisSingle
from harness.deploy.ports import HOST
from harness.deploy.process import Processes, sweep
from harness.deploy.supervisor import processes
from harness.driving.backend import Deployment
from harness.driving.client import Completion, outcome
from harness.driving.system import System
from harness.errors import Infrastructure

DEADLINE_S = 60.0
LONG_MS = 60_000

# A harness with one real server and one proxy, which says who they are and waits to be killed.
HARNESS = """
import json, sys
from pathlib import Path
from backends.redis.single import REDIS
from harness.driving.backend import Deployment
with REDIS.open(Deployment("no-save", Path(sys.argv[1]))) as system:
    print(json.dumps({"redis": system.nodes["redis-1"].port}), flush=True)
    sys.stdin.read()
"""


def eventually(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"not within {DEADLINE_S} s: {what}"
        time.sleep(0.01)


def ask(system: System, f: str, key: str, argument: Any, side: int = 0) -> Completion:
    client = system.client(system.sides[side], 0.5)
    try:
        return outcome(client, f, key, argument)
    finally:
        client.close()


def put(system: System, key: str, value: str, side: int = 0) -> Completion:
    return ask(system, "set", key, {"value": value, "ttl_ms": None}, side)


def left(directory: Path) -> dict[int, str]:
    """Give what still runs from a run's directory, the supervisor included."""
    return {row[0]: row[3] for row in processes() if f"{directory}/nodes" in row[3] and not row[2].startswith("Z")}


def supervisor_of(directory: Path) -> int:
    return int((directory / "nodes" / "lock").read_text())


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


# Sentinel


@pytest.fixture(scope="module")
def sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    with SENTINEL.open(Deployment("patient", tmp_path_factory.mktemp("sentinel"))) as system:
        assert isinstance(system, RedisSentinel)
        yield system


@pytest.fixture
def primary(sentinel: RedisSentinel) -> str:
    found = sentinel.primary()
    assert found is not None
    return found


def test_an_opened_sentinel_deployment_is_steady(sentinel: RedisSentinel) -> None:
    assert sentinel.steady() is None


def test_its_primary_is_the_one_node_that_says_so_of_itself(sentinel: RedisSentinel, primary: str) -> None:
    assert {name: role.role for name, role in sentinel.roles().items()} == {
        name: "primary" if name == primary else "replica" for name in NODES
    }


def test_roles_tell_one_epoch_a_run_id_of_each_node_and_how_replicas_are_linked(sentinel: RedisSentinel, primary: str) -> None:
    roles = sentinel.roles()
    assert {role.epoch for role in roles.values()} == {0}
    assert len({role.run_id for role in roles.values()} - {None}) == len(NODES)
    assert {name: role.link for name, role in roles.items()} == {name: None if name == primary else "up" for name in NODES}


def test_each_node_has_a_link_of_each_side_and_of_the_peers_and_each_sentinel_one_of_each_side(sentinel: RedisSentinel) -> None:
    found = {(link.source, link.target) for link in sentinel.links()}
    assert found == {(side, name) for side in sentinel.sides for name in (*NODES, *SENTINELS)} | {("peers", name) for name in NODES}


def test_links_are_chosen_by_source_and_target(sentinel: RedisSentinel) -> None:
    assert {link.target for link in sentinel.links("peers")} == set(NODES)
    assert [link.name for link in sentinel.links("clients-a", "redis-2")] == ["clients-a -> redis-2"]


def test_the_versions_that_really_run_are_told(sentinel: RedisSentinel) -> None:
    assert "toxiproxy" in sentinel.versions
    assert {"Redis", "Valkey"} & set(sentinel.versions)


def test_clients_of_both_sides_find_the_primary(sentinel: RedisSentinel, primary: str) -> None:
    assert [put(sentinel, "k", "x", side).node for side in range(2)] == [primary] * 2


def test_an_observer_reads_a_locks_owner_at_every_node(sentinel: RedisSentinel) -> None:
    assert ask(sentinel, "try_acquire", "observed", {"owner": "0-7", "ttl_ms": LONG_MS}).value["granted"]
    eventually(lambda: {sentinel.lock_owner(name, "observed") for name in NODES} == {"0-7"}, "the lock is replicated")


def test_an_observer_reads_no_owner_of_a_lock_that_nobody_took(sentinel: RedisSentinel) -> None:
    assert {sentinel.lock_owner(name, "never-taken") for name in NODES} == {None}


def test_a_marker_written_at_the_primary_is_read_at_every_node(sentinel: RedisSentinel, primary: str) -> None:
    sentinel.write_marker(primary, "seen")
    eventually(lambda: {sentinel.read_marker(name) for name in NODES} == {"seen"}, "the marker is replicated")


def test_a_replica_that_is_paused_is_named_as_what_is_missing_and_as_its_role(sentinel: RedisSentinel, primary: str) -> None:
    replica = next(name for name in NODES if name != primary)
    sentinel.nodes[replica].pause()
    try:
        missing, role = sentinel.steady(), sentinel.roles()[replica].role
    finally:
        sentinel.nodes[replica].resume()
    assert missing is not None
    assert role == "paused"
    assert replica in missing
    eventually(lambda: sentinel.steady() is None, "the steady state")


def periods(system: RedisSentinel) -> list[dict[str, int]]:
    found = []
    for sentinel in system.sentinels.values():
        flat = [item.decode() for item in sentinel.admin.ask("SENTINEL", "DEBUG")]
        found.append({name: int(value) for name, value in zip(flat[::2], flat[1::2], strict=True) if name in HURRY_MS})
    return found


@pytest.fixture
def stock(sentinel: RedisSentinel) -> list[dict[str, int]]:
    """The periods as shipped; a server without that knob is never hurried."""
    if "Valkey" not in sentinel.versions:
        pytest.skip("needs Valkey: SENTINEL DEBUG without arguments tells the periods")
    return periods(sentinel)


def test_hurried_looks_often_and_restores_what_is_shipped(sentinel: RedisSentinel, stock: list[dict[str, int]]) -> None:
    with sentinel.hurried():
        hurried = periods(sentinel)
    assert hurried == [{name: values[0] for name, values in HURRY_MS.items()}] * 3
    assert periods(sentinel) == stock == [{name: values[1] for name, values in HURRY_MS.items()}] * 3


def test_hurried_restores_what_is_shipped_when_the_body_raises(sentinel: RedisSentinel, stock: list[dict[str, int]]) -> None:
    def body() -> None:
        with sentinel.hurried():
            raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        body()
    assert periods(sentinel) == stock


def test_heal_all_starts_resumes_and_reconnects_everything(sentinel: RedisSentinel, primary: str) -> None:
    first, second = (name for name in NODES if name != primary)
    for link in sentinel.links("clients-a"):
        link.cut()
    sentinel.nodes[first].kill()
    sentinel.nodes[second].pause()
    sentinel.sentinels["sentinel-1"].pause()
    sentinel.sentinels["sentinel-2"].kill()
    sentinel.heal_all()
    with sentinel.hurried():
        eventually(lambda: sentinel.steady() is None, "the steady state")
    assert sentinel.primary() == primary
    assert put(sentinel, "healed", "x").type == "ok"


# Side by side


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[RedisSingle, RedisSingle]]:
    with ExitStack() as stack:
        found = [stack.enter_context(REDIS.open(Deployment("no-save", tmp_path / name))) for name in ("one", "two")]
        assert isinstance(found[0], RedisSingle)
        assert isinstance(found[1], RedisSingle)
        yield found[0], found[1]


def ports(system: RedisSingle) -> set[int]:
    return {node.port for node in system.nodes.values()} | {system.port_of(side, NODE) for side in system.sides}


def test_two_deployments_share_no_port_no_process_and_no_data(pair: tuple[RedisSingle, RedisSingle], tmp_path: Path) -> None:
    one, two = pair
    assert not ports(one) & ports(two)
    assert not set(left(tmp_path / "one")) & set(left(tmp_path / "two"))
    put(one, "k", "of one")
    assert ask(two, "get", "k", {}).value == {"value": None}


def test_what_is_done_to_one_deployment_is_not_felt_by_the_other(pair: tuple[RedisSingle, RedisSingle]) -> None:
    one, two = pair
    put(two, "k", "of two")
    before = two.roles()
    for link in one.links():
        link.cut()
    one.nodes[NODE].kill()
    assert put(one, "k", "x").type == "fail"
    assert two.roles() == before
    assert [ask(two, "get", "k", {}, side).value for side in range(2)] == [{"value": "of two"}] * 2


def test_one_deployment_ends_and_the_other_goes_on(tmp_path: Path) -> None:
    with REDIS.open(Deployment("no-save", tmp_path / "two")) as two:
        with REDIS.open(Deployment("no-save", tmp_path / "one")) as one:
            assert isinstance(one, RedisSingle)
            ended = ports(one)
        assert left(tmp_path / "one") == {}
        assert not any(listens(port) for port in ended)
        assert put(two, "k", "x").type == "ok"


def test_a_directory_is_one_deployments_at_a_time(tmp_path: Path) -> None:
    with REDIS.open(Deployment("no-save", tmp_path)) as first:
        with pytest.raises(Infrastructure, match="another run"), Processes(tmp_path, answer_s=1.0):
            pass
        assert put(first, "k", "x").type == "ok"


# Nothing outlives its harness


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder for runs; whatever a failed test leaves running there is ended, by where it works or what it names."""
    yield tmp_path
    for pid in {row[0] for row in processes() if str(tmp_path) in row[3] or works_in(row[0], tmp_path)}:
        os.kill(pid, signal.SIGKILL)


def works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(folder)
    except OSError:
        return False


def start_harness(directory: Path) -> tuple[subprocess.Popen[str], int]:
    """Start a harness of its own; give it and its server's port."""
    process = subprocess.Popen([sys.executable, "-c", HARNESS, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(json.loads(process.stdout.readline())["redis"])


def test_kill_9_of_the_harness_ends_server_proxy_and_supervisor(root: Path) -> None:
    harness, port = start_harness(root)
    with harness:
        assert len(left(root)) == 3
        harness.kill()
    eventually(lambda: left(root) == {} and not listens(port), "all has ended")


def test_a_supervisor_that_is_terminated_ends_its_servers_and_its_harness_is_told(root: Path) -> None:
    with REDIS.open(Deployment("no-save", root)) as system:
        os.kill(supervisor_of(root), signal.SIGTERM)
        eventually(lambda: left(root) == {}, "all has ended")
        with pytest.raises(Infrastructure, match="supervisor"):
            system.roles()


def test_kill_9_of_a_supervisor_is_told_and_what_it_leaves_a_sweep_ends(root: Path) -> None:
    with REDIS.open(Deployment("no-save", root / "run")) as system:
        assert isinstance(system, RedisSingle)
        served = ports(system)
        os.kill(supervisor_of(root / "run"), signal.SIGKILL)
        with pytest.raises(Infrastructure, match="supervisor"):
            system.roles()
    sweep(root)
    eventually(lambda: left(root / "run") == {}, "all has ended")
    eventually(lambda: not any(listens(port) for port in served), "nobody listens")


def test_a_sweep_ends_what_a_killed_harness_and_supervisor_left_and_leaves_a_live_run_alone(root: Path) -> None:
    crashed, live = root / "crashed", root / "live"
    with REDIS.open(Deployment("no-save", live)) as system:
        harness, port = start_harness(crashed)
        with harness:
            supervisor = supervisor_of(crashed)
            os.kill(supervisor, signal.SIGSTOP)  # so that it does not notice its harness' end before its own
            harness.kill()
            harness.wait()
            os.kill(supervisor, signal.SIGKILL)
        eventually(lambda: supervisor not in left(crashed), "the supervisor has ended")
        assert len(left(crashed)) == 2
        assert listens(port)
        assert sweep(root) == 2
        eventually(lambda: left(crashed) == {} and not listens(port), "all has ended")
        assert put(system, "k", "x").type == "ok"
        assert sweep(root) == 0
