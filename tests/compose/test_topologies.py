"""The topologies as containers, each with its worst fault: the verdicts of local, nothing left. `make test-compose` brings an engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import experiment, request, store
from harness.deploy import compose

LACKING = compose.missing() or (
    "" if os.environ.get("REDIS_IMAGE") else "no REDIS_IMAGE is named: make test-compose makes and names images"
)
pytestmark = pytest.mark.skipif(bool(LACKING), reason=str(LACKING))


class Silent:
    """Nobody listens."""

    def step(self, text: str) -> None: ...
    def trial_done(self) -> None: ...


def carried_out(directory: Path, backend: str, fault: str, *options: str) -> dict[str, Any]:
    asked = request.Request("lock,dedup", backend, 7, fault, on="compose", options=options)
    results = store.plain(experiment.carry_out_and_judge(request.plan(asked), directory, Silent(), "a test"))
    assert results["broken"] is None
    assert all(gate["met"] for gate in results["trials"][0]["gates"])
    return dict(results)


def kinds(results: dict[str, Any]) -> set[str]:
    return {anomaly["kind"] for trial in results["trials"] for check in trial["checks"].values() for anomaly in check["anomalies"]}


def test_a_split_brain_gives_two_owners(tmp_path: Path) -> None:
    results = carried_out(tmp_path, "redis-sentinel", "isolate-primary", "fault_s=8")
    assert {"two-holders", "dedup-two-winners"} <= kinds(results)
    assert (tmp_path / "logs" / "redis-1.log").stat().st_size > 0


@pytest.mark.parametrize("fault", ["restart", "pause", "cut", "latency", "lost-reply"])
def test_one_server_that_syncs_every_answer_keeps_what_it_acknowledged(tmp_path: Path, fault: str) -> None:
    results = carried_out(tmp_path, "redis", fault, "fault_s=1.5")
    assert (results["status"], kinds(results)) == ("valid", set())


def test_a_server_without_persistence_loses_it(tmp_path: Path) -> None:
    options = ("variant=no-save", "grants=2", "anchor_ttl_ms=8000", "fresh=0", "quiet_s=2", "after_s=2")
    assert "dedup-lost" in kinds(carried_out(tmp_path, "redis", "restart", *options))


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
