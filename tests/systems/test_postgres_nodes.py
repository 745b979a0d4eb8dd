"""A PostgreSQL server as a child process: the one that is killed, which leaves nothing in the kernel and keeps what its variant says."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.postgres import binaries, servers
from backends.postgres.single import NODE, POSTGRES, PostgresSingle
from harness.driving.backend import Deployment
from harness.driving.client import outcome
from harness.errors import Infrastructure

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
WRITERS, WRITES = 4, 200


def opened(directory: Path, variant: str = "default") -> Iterator[PostgresSingle]:
    with POSTGRES.open(Deployment(variant, directory)) as system:
        assert isinstance(system, PostgresSingle)
        yield system


@pytest.fixture
def system(tmp_path: Path) -> Iterator[PostgresSingle]:
    yield from opened(tmp_path)


@pytest.fixture
def without_ipc_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that gives no namespace of its own; root still needs to look like somebody else."""
    words = tuple(word for word in binaries.prefix() if word != binaries.IPC)
    for module in (binaries, servers):
        monkeypatch.setattr(module, "prefix", lambda: words)


def segments() -> set[str]:
    return {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}


def write(system: PostgresSingle, side: str, acknowledged: set[str]) -> None:
    """Write until it is refused."""
    client = system.client(side, 5)
    for n in range(WRITES):
        key = f"{threading.get_ident()}-{n}"
        if outcome(client, "set", key, {"value": "x", "ttl_ms": None}).type != "ok":
            break
        acknowledged.add(key)
    client.close()


def lost_by_a_kill(system: PostgresSingle) -> tuple[set[str], set[str]]:
    """Kill a loaded server and start it again; give what was acknowledged, and what of that is gone."""
    acknowledged: set[str] = set()
    writers = [threading.Thread(target=write, args=(system, system.sides[n % 2], acknowledged)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    system.nodes[NODE].kill()
    system.nodes[NODE].start()
    client = system.client(system.sides[0], 5)
    read = {key: outcome(client, "get", key, {}) for key in acknowledged}
    assert {done.type for done in read.values()} == {"ok"}
    kept = {key for key, done in read.items() if done.value["value"] is not None}
    client.close()
    return acknowledged, acknowledged - kept


def test_the_process_that_is_killed_and_paused_is_the_server(system: PostgresSingle) -> None:
    node = system.nodes[NODE]
    assert (node.data / "postmaster.pid").read_text().split()[0] == str(node._local.processes.pid(NODE))


@linux
def test_a_killed_server_leaves_no_segment(tmp_path: Path) -> None:
    before = segments()
    for system in opened(tmp_path):
        system.nodes[NODE].kill()
        assert segments() <= before


@linux
@pytest.mark.usefixtures("without_ipc_namespace")
def test_a_killed_server_leaves_no_segment_where_it_has_no_namespace_of_its_own(tmp_path: Path) -> None:
    before = segments()
    for system in opened(tmp_path):
        assert len(segments() - before) == 1  # what shows that the test could fail
        for _ in range(2):
            system.nodes[NODE].kill()
            assert segments() <= before
            system.nodes[NODE].start()
    assert segments() <= before


def test_a_killed_server_keeps_what_it_acknowledged(system: PostgresSingle) -> None:
    acknowledged, lost = lost_by_a_kill(system)
    assert len(acknowledged) == WRITERS * WRITES
    assert lost == set()


def test_a_killed_server_loses_what_it_acknowledged_before_the_commit_was_in_the_log(tmp_path: Path) -> None:
    for system in opened(tmp_path, "synchronous-commit-off"):
        assert any(lost_by_a_kill(system)[1] for _ in range(5))


def test_a_copy_that_fails_leaves_the_data_as_they_are(system: PostgresSingle) -> None:
    node = system.nodes[NODE]
    node.kill()
    with pytest.raises(Infrastructure, match="pg_basebackup failed"):
        node.copy_from(node.port)
    node.start()
    assert system.steady() is None


def test_a_program_that_fails_is_said_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Infrastructure, match=r"making x: initdb failed: .*(not empty|remove or empty)"):
        binaries.run(["initdb", "-D", str(tmp_path)], "making x")
