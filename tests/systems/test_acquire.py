"""A waiting acquisition on real servers: in time while the server hangs, and late where a planted bug makes it so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backends.memory.system import MEMORY
from backends.redis.single import REDIS
from faults.pause import PAUSE
from harness.driving.plan import Episode, FaultSpec, Plan
from harness.driving.run import HISTORY, Catalogue, run
from harness.judging.checks import verdicts
from harness.judging.verdict import Status
from harness.record.format import load
from harness.record.history import History
from workloads.acquire import ACQUIRE

SERVERS: dict[str, tuple[Any, str]] = {"memory": (MEMORY, "child"), "redis": (REDIS, "no-save")}
MUTANTS = {**SERVERS, "memory": (MEMORY, "default")}  # the child's clients keep their deadline whatever the server does
HUNG = Episode((FaultSpec("pause"),), quiet_s=0.4, fault_s=1.2, after_s=0.4)
QUIET = Episode(quiet_s=1.5, after_s=0)


def carried_out(directory: Path, deployment: tuple[Any, str], episode: Episode, mutant: str | None = None) -> History:
    backend, variant = deployment
    plan = Plan(backend.name, variant, ("acquire",), (episode,), seed=3, rate=60.0, mutant=mutant)
    run(plan, Catalogue(backend, {"acquire": ACQUIRE}, {"pause": PAUSE}), directory)
    return load(directory / HISTORY)


@pytest.mark.parametrize("name", list(SERVERS))
def test_no_acquisition_comes_late_although_the_server_hangs_in_the_middle_of_it(name: str, tmp_path: Path) -> None:
    history = carried_out(tmp_path, SERVERS[name], HUNG)
    hung = [operation for operation in history.operations() if operation.f == "acquire_within" and operation.status == "info"]
    assert hung
    found = verdicts(history)
    assert found["acquire-bound"].status is not Status.INVALID, found["acquire-bound"].summary  # unknown on a machine that is too busy
    assert found["lease"].status is Status.VALID


@pytest.mark.parametrize("name", list(MUTANTS))
def test_one_that_waits_whatever_time_it_was_given_is_condemned(name: str, tmp_path: Path) -> None:
    found = verdicts(carried_out(tmp_path, MUTANTS[name], QUIET, "grant-waits"))
    assert {anomaly.kind for anomaly in found["acquire-bound"].all_anomalies()} == {"acquire-late"}
    assert found["lease"].status is Status.VALID
