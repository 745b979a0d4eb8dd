"""The topologies as containers, each with its worst fault: the verdicts of local, nothing left. `make test-compose` brings an engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.claims import running
from harness.commands import request
from harness.deploy import compose, engine
from harness.record import store

LACKING = engine.missing() or ("" if os.environ.get("REDIS_IMAGE") else "no REDIS_IMAGE is named: make test-compose makes and names images")
pytestmark = pytest.mark.skipif(bool(LACKING), reason=str(LACKING))


class Silent:
    """Nobody listens."""

    def step(self, text: str) -> None: ...
    def trial_done(self) -> None: ...


def carried_out(directory: Path, backend: str, fault: str, *options: str, repeat: int = 1, attach: str | None = None) -> dict[str, Any]:
    """Run lock and dedup on compose; every fault was proved, and the project was steady before and after it."""
    asked = request.Request("lock,dedup", backend, 7, fault, on="compose", options=options, repeat=repeat, attach=attach)
    results = store.plain(running.run_plan(request.plan(asked), directory, Silent(), "a test").results)
    assert results["broken"] is None
    unmet = {gate["name"] for trial in results["trials"] for gate in trial["gates"] if not gate["met"]}
    assert {name for name in unmet if ":" not in name} == set()  # the others count what was exercised: a slow machine does less
    return dict(results)


def kinds(trial: dict[str, Any]) -> set[str]:
    return {anomaly["kind"] for check in trial["checks"].values() for anomaly in check["anomalies"]}


def all_kinds(results: dict[str, Any]) -> set[str]:
    return {kind for trial in results["trials"] for kind in kinds(trial)}


# Redis


def test_a_split_brain_gives_two_owners_each_time(tmp_path: Path) -> None:
    results = carried_out(tmp_path, "redis-sentinel", "isolate-primary", "fault_s=8", repeat=5)
    assert ["two-holders" in kinds(trial) for trial in results["trials"]] == [True] * 5
    assert (tmp_path / "logs" / "redis-1.log").stat().st_size > 0


@pytest.mark.parametrize("fault", ["restart", "pause", "cut", "latency", "lost-reply"])
def test_one_server_that_syncs_every_answer_keeps_what_it_acknowledged(tmp_path: Path, fault: str) -> None:
    results = carried_out(tmp_path, "redis", fault, "fault_s=4")
    assert (results["status"], all_kinds(results)) == ("valid", set())


RESTARTED = ("grants=2", "anchor_ttl_ms=8000", "fresh=0", "quiet_s=2", "after_s=2")


def test_a_server_without_persistence_loses_it(tmp_path: Path) -> None:
    assert "dedup-lost" in all_kinds(carried_out(tmp_path, "redis", "restart", "variant=no-save", *RESTARTED))


# PostgreSQL

UNDER_PATRONI = ("fault_s=13", "grants=2", "anchor_ttl_ms=20000")


@pytest.mark.parametrize("fault", ["isolate-primary", "hold-back-replication"])
def test_patroni_loses_what_asynchronous_replication_had_acknowledged(tmp_path: Path, fault: str) -> None:
    results = carried_out(tmp_path, "postgres-patroni", fault, "variant=async", *UNDER_PATRONI)
    assert all_kinds(results) & {"two-holders", "lost-early", "dedup-lost"}


def test_patroni_keeps_what_synchronous_replication_had_acknowledged(tmp_path: Path) -> None:
    results = carried_out(tmp_path, "postgres-patroni", "isolate-primary,kill", "variant=sync", *UNDER_PATRONI)
    assert (results["status"], all_kinds(results)) == ("valid", set())
    assert (tmp_path / "logs" / "etcd.log").stat().st_size > 0


@pytest.mark.parametrize("fault", ["restart", "lost-reply"])
def test_one_postgres_keeps_what_it_acknowledged(tmp_path: Path, fault: str) -> None:
    results = carried_out(tmp_path, "postgres", fault, "fault_s=4")
    assert (results["status"], all_kinds(results)) == ("valid", set())


# DynamoDB


@pytest.mark.parametrize("fault", ["restart", "lost-reply", "client-clock"])
def test_the_emulator_with_a_file_keeps_what_it_acknowledged(tmp_path: Path, fault: str) -> None:
    results = carried_out(tmp_path, "dynamodb", fault, "variant=durable", "fault_s=4")
    assert (results["status"], all_kinds(results)) == ("valid", set())


def test_the_emulator_without_a_file_loses_it(tmp_path: Path) -> None:
    assert "dedup-lost" in all_kinds(carried_out(tmp_path, "dynamodb", "restart", "variant=in-memory", *RESTARTED))


# Projects


@pytest.mark.parametrize(
    ("topology", "node"), [("redis", "redis-1"), ("postgres", "pg-1"), ("dynamodb", "dynamodb-1"), ("redis-sentinel", "redis-1")]
)
def test_a_project_that_is_up_is_driven_again_and_again_and_stays_up(tmp_path: Path, topology: str, node: str) -> None:
    project = f"holdwater-test-{os.getpid()}"
    files = [word for name in (topology, "toxiproxy") for word in ("--file", str(compose.FILES / f"{name}.yaml"))]
    line = [*engine.command(), "--project-name", project, *files]
    subprocess.run([*line, "up", "--detach", "--wait"], check=True, capture_output=True)
    try:
        for n in ("first", "second"):
            (tmp_path / n).mkdir()
            results = carried_out(tmp_path / n, topology, "cut", "fault_s=1.5", attach=project)
            assert (results["status"], all_kinds(results)) == ("valid", set())
        running = subprocess.run([*line, "ps", "--services", "--status", "running"], check=True, capture_output=True, text=True)
        assert node in running.stdout.split()
        assert compose.clear() == 0
    finally:
        subprocess.run([*line, "down", "--volumes", "--timeout", "1"], check=True, capture_output=True)


def test_a_project_that_is_not_up_is_said(tmp_path: Path) -> None:
    asked = request.Request("lock", "redis", 7, "", on="compose", attach="nowhere")
    results = running.run_plan(request.plan(asked), tmp_path, Silent(), "a test").results
    assert str(results.broken).startswith("no compose project 'nowhere' is up; there are:")


def test_what_a_killed_harness_leaves_the_next_one_removes_and_nothing_else(tmp_path: Path) -> None:
    import docker

    client = docker.from_env()
    beside = client.containers.run(os.environ["REDIS_IMAGE"], "redis-server --port 6379", detach=True, labels={compose.RUN: ""})
    try:
        words = [
            sys.executable,
            "-m",
            "harness",
            "run",
            "lock",
            "--backend",
            "redis",
            "--on",
            "compose",
            "--fault",
            "pause",
            "--repeat",
            "9",
        ]
        process = subprocess.Popen([*words, "--out", str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            if list(tmp_path.glob("*/history.jsonl")):
                break
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.2)
        process.kill()
        process.wait()
        assert ours(client, tmp_path)
        assert compose.clear() >= 2
        assert ours(client, tmp_path) == []
        beside.reload()
        assert beside.status == "running"
    finally:
        beside.remove(force=True, v=True)
        client.close()


def ours(client: Any, out: Path) -> list[str]:
    found = client.containers.list(all=True, filters={"label": compose.RUN})
    return [container.name for container in found if container.labels[compose.RUN].startswith(str(out))]
