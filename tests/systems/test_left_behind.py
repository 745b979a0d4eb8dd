"""After kill -9 of the harness nothing of a deployment is left: processes, shared memory segments, files in /dev/shm, namespaces."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import registry
from harness.deploy import install
from harness.deploy.supervisor import processes
from harness.driving.backend import servers_of

# One of each: those that leave something behind where nobody looks after it.
DEPLOYMENTS = [
    ("memory", "child", "restart"),
    ("redis-sentinel", "default", "isolate-primary"),
    ("postgres", "default", "restart"),
    ("postgres-operator", "sync", "hold-back-replication"),
    ("postgres-patroni", "async", "isolate-primary"),
    ("dynamodb", "in-memory", "restart"),
    ("dynamodb", "durable", "restart"),
]
GONE_S, STARTED_S = 10.0, 120.0


def machine() -> set[str]:
    """Give what the kernel keeps beyond processes: segments, shared memory files, namespaces that somebody is in."""
    segments = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    files = {f"/dev/shm/{name}" for name in os.listdir("/dev/shm")}
    return {" ".join(line.split()[:2]) for line in segments} | files


def ours(out: Path) -> list[str]:
    return [row[3] for row in processes() if str(out) in row[3] and not row[2].startswith("Z")]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("backend", "variant", "fault"), DEPLOYMENTS)
def test_nothing_is_left(tmp_path: Path, backend: str, variant: str, fault: str) -> None:
    if (missing := install.missing(*servers_of(registry.load("backends", backend), variant))) is not None:
        pytest.skip(missing)
    before, out = machine(), tmp_path / "runs"
    options = ["--option", f"variant={variant}", "--repeat", "20", "--seed", "5", "--out", str(out)]
    words = [sys.executable, "-m", "harness", "run", "lock,dedup", "--backend", backend, "--fault", fault, *options]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_for_history(out, process)
        time.sleep(2.0)  # into the fault
    finally:
        process.kill()
        process.communicate()
    deadline = time.monotonic() + GONE_S
    while (ours(out) or machine() - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ours(out) == []
    assert machine() - before == set()


def wait_for_history(out: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTED_S
    while time.monotonic() < deadline:
        if any(path.stat().st_size > 2_000 for path in out.glob("*/history.jsonl")):
            return
        assert process.poll() is None, process.stderr.read().decode() if process.stderr else "ended"
        time.sleep(0.02)
    raise AssertionError("no history was written")
