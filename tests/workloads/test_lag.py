"""The lag meter: what it records of a sleep that ended late, and that it says when it measures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

import pytest

from harness.record.format import load
from harness.record.history import Header
from harness.record.journal import Journal
from workloads.acquire.lag import LEAST_S, LagMeter

PATIENCE_S = 30.0


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "history.jsonl", Header()) as journal:
        yield journal


def lags(path: Path) -> list[float]:
    return [event.value["late_ms"] for event in load(path / "history.jsonl").nemesis() if event.f == "lag"]


def measure(journal: Journal, moments: Iterator[float], looks: int) -> None:
    """Let a meter see these times instead of the clock, so many of them."""
    seen = []

    def clock() -> float:
        seen.append(next(moments))
        return seen[-1]

    meter = LagMeter(journal, clock)
    meter.start()
    end = time.monotonic() + PATIENCE_S
    while len(seen) < looks:
        assert time.monotonic() < end
        time.sleep(0.005)
    meter.stop()
    meter.stop()


def test_a_sleep_that_ended_late_is_recorded_with_by_how_much(tmp_path: Path) -> None:
    with Journal(tmp_path / "history.jsonl", Header()) as journal:
        measure(journal, chain([0.0, 0.125], (0.125 for _ in count())), 6)
    assert lags(tmp_path) == [120.0]


def test_a_sleep_that_ended_in_time_or_a_little_late_is_not(tmp_path: Path) -> None:
    with Journal(tmp_path / "history.jsonl", Header()) as journal:
        measure(journal, chain([0.0, 0.005, 0.005, 0.010 + LEAST_S * 0.9], (0.02 for _ in count())), 8)
    assert lags(tmp_path) == []


def test_a_mark_says_that_it_measures(tmp_path: Path) -> None:
    with Journal(tmp_path / "history.jsonl", Header()) as journal:
        LagMeter(journal).mark()
    assert lags(tmp_path) == [0.0]
