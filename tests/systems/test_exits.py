"""However a run ends, nothing of it is left, and what it recorded can be judged."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.deploy.supervisor import processes
from harness.waiting import wait_for

MOMENTS = int(os.environ.get("HOLDWATER_MOMENTS", "2"))  # of each way to end; the full acceptance runs 20
GONE_S = 5.0
STARTED_S = 60.0
# The command, with a signal on which it raises an exception wherever it happens to be.
PLANTED = """
import signal
def explode(*_):
    raise RuntimeError("planted")
signal.signal(signal.SIGUSR1, explode)
from harness.commands.cli import main
main()
"""
ENDS = {"kill -9": signal.SIGKILL, "Ctrl-C": signal.SIGINT, "an exception": signal.SIGUSR1}
CODES = {"kill -9": {-9}, "Ctrl-C": {130}, "an exception": {70}}


def moments() -> Iterator[tuple[str, int]]:
    for end in ENDS:
        yield from ((end, n) for n in range(MOMENTS))


def start(out: Path, *more: str) -> subprocess.Popen[bytes]:
    backend = ["--backend", "redis", "--fault", "restart", "--repeat", "20", "--seed", "5", "--out", str(out), *more]
    return subprocess.Popen(
        [sys.executable, "-c", PLANTED, "run", "lock,dedup", *backend], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=out.parent
    )


def left(out: Path) -> list[str]:
    return [row[3] for row in processes() if str(out) in row[3] and not row[2].startswith("Z")]


def wait_for_history(out: Path, process: subprocess.Popen[bytes]) -> Path:
    deadline = time.monotonic() + STARTED_S
    while time.monotonic() < deadline:
        for path in out.glob("*/history.jsonl"):
            if path.stat().st_size > 2_000:
                return path
        assert process.poll() is None, process.stdout.read().decode() if process.stdout else "ended"
        time.sleep(0.02)
    raise AssertionError("no history was written")


@pytest.mark.parametrize(("end", "moment"), list(moments()))
def test_nothing_is_left_and_the_history_is_judged(tmp_path: Path, end: str, moment: int) -> None:
    out = tmp_path / "runs"
    process = start(out)
    path = wait_for_history(out, process)
    time.sleep(random.Random(f"{end}/{moment}").uniform(0, 4))
    process.send_signal(ENDS[end])
    output, _ = process.communicate(timeout=60)
    assert process.returncode in CODES[end], output.decode()
    deadline = time.monotonic() + GONE_S
    while left(out) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left(out) == []
    judged = subprocess.run([sys.executable, "-m", "harness", "check", str(path)], capture_output=True, text=True, timeout=120, check=False)
    assert judged.returncode in (0, 1, 2), judged.stderr
    assert "Traceback" not in judged.stderr


SIDE_BY_SIDE = """\
format = 1

[experiment.one]
deployment = "redis"
variant = "appendfsync-everysec"
workloads = ["lock"]
faults = ["restart"]
timeline = { quiet_s = 1.0, fault_s = 1.0, after_s = 1.0 }
trials = { quick = 20, nightly = 20 }
controls = [{ check = "lease", mutant = "release-unchecked" }]

[experiment.two]
like = "one"

[[claim]]
id = "one"
cell = ["Ours", "Failover safety"]
document = "silent"
sentence = "A lock has one owner."
conditions = "restarts"
experiments = ["one"]
anomalies = ["two-holders"]
expect = ["holds"]

[[claim]]
id = "two"
like = "one"
experiments = ["two"]
"""


@pytest.mark.parametrize("end", ["kill -9", "Ctrl-C", "an exception"])
def test_nothing_is_left_of_experiments_side_by_side_and_they_are_judged(tmp_path: Path, end: str) -> None:
    out, claims = tmp_path / "runs", tmp_path / "own.toml"
    claims.write_text(SIDE_BY_SIDE)
    words = ["verify", "--claims", str(claims), "--jobs", "2", "--seed", "5", "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-c", PLANTED, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path)
    wait_for(lambda: None if len(begun(out)) == 2 or process.poll() is not None else "not both began", STARTED_S, "both experiments begin")
    process.send_signal(ENDS[end])
    output, _ = process.communicate(timeout=60)
    assert process.returncode in CODES[end], output.decode()
    wait_for(lambda: None if not left(out) else f"left: {left(out)}", 30, "all servers end")
    wait_for(lambda: None if all(ended(path.parent) for path in begun(out)) else "not written down", 30, "the experiments leave in order")
    judge = [sys.executable, "-m", "harness", "judge", str(out / "latest")]
    judged = subprocess.run(judge, capture_output=True, text=True, timeout=120, check=False)
    assert judged.returncode in (1, 3), judged.stderr  # 3: cut short
    assert "Traceback" not in output.decode() + judged.stderr


def begun(out: Path) -> list[Path]:
    return [path for path in out.glob("2*/experiments/*/history.jsonl") if path.stat().st_size > 2_000]


def ended(directory: Path) -> bool:
    return json.loads((directory / "run.json").read_text("utf-8"))["finished"] is not None


def test_a_second_run_beside_one_that_is_killed_gives_its_own_verdict(tmp_path: Path) -> None:
    first = start(tmp_path / "first")
    wait_for_history(tmp_path / "first", first)
    arguments = ["run", "lock", "--backend", "redis", "--time-limit", "3", "--seed", "6", "--out", str(tmp_path / "second")]
    second = subprocess.Popen([sys.executable, "-m", "harness", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait = time.monotonic() + STARTED_S
    while not list((tmp_path / "second").glob("*/history.jsonl")) and time.monotonic() < wait:
        time.sleep(0.02)
    first.kill()
    first.communicate(timeout=60)
    output, errors = second.communicate(timeout=120)
    assert second.returncode == 0, output + errors
