"""The journal: what it appends is in real-time order, any prefix of it loads, and no lost write goes unsaid."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.driving.client import Completion
from harness.errors import UsageError
from harness.record.format import load, parse
from harness.record.history import NEMESIS, Event, Header
from harness.record.journal import CLOCK_PAIR_NS, Journal
from harness.waiting import wait_for

DEADLINE_S = 60.0
THREADS, EACH = 8, 150
HEADER = Header(seed=1, workloads=("lock",), concurrency=2)

# Two threads that append for ever, until the process is killed.
WRITER = """
import sys, threading
from pathlib import Path
from harness.record.history import Header
from harness.record.journal import Journal
with Journal(Path(sys.argv[1]), Header(seed=1)) as journal:
    def append(process):
        while True:
            journal.append(process, "invoke", "get", "k", {"padding": "x" * 50})
            journal.append(process, "ok", "get", "k", {"value": None})
    threads = [threading.Thread(target=append, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    threads[0].join()
"""

# A file that may not grow beyond 4 kB for a while, as a disk that is full and then is not.
FULL_DISK = """
import resource, sys, threading, time
from pathlib import Path
from harness.record.history import Header
from harness.record.journal import Journal
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
try:
    with Journal(Path(sys.argv[1]), Header(seed=1)) as journal:
        end = time.monotonic() + 30
        while any(thread.name == "journal" for thread in threading.enumerate()) and time.monotonic() < end:
            journal.nemesis("mark", {"padding": "x" * 50})
            time.sleep(0.0005)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        journal.nemesis("after the gap", {})
        if len(sys.argv) > 2:
            raise RuntimeError("the body's own")
except OSError as error:
    print("OSError", error.strerror)
except RuntimeError as error:
    print("RuntimeError", error)
"""


def test_index_order_is_time_order_under_many_threads(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    with Journal(path, HEADER) as journal:

        def append(process: int) -> None:
            for _ in range(EACH):
                journal.append(process, "invoke", "get", "k", {})
                journal.append(process, "ok", "get", "k", {"value": None})

        threads = [threading.Thread(target=append, args=(n,)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = load(path).events
    assert [event.index for event in events] == list(range(2 * THREADS * EACH))
    assert [event.time for event in events] == sorted(event.time for event in events)


def test_an_operation_lies_between_what_its_process_did_before_and_after_it(tmp_path: Path) -> None:
    with Journal(tmp_path / "h.jsonl", HEADER) as journal:
        before = journal.now_ns()
        event = journal.append(0, "invoke", "get", "k", {})
        assert before <= event.time <= journal.now_ns()


def test_a_complete_journal_loads_as_it_was_appended(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    with Journal(path, HEADER) as journal:
        appended = [journal.append(0, "invoke", "get", "k", {})]
        appended.append(journal.complete(0, "get", "k", Completion("fail", node="n", error="refused")))
        appended.append(journal.nemesis("mark", {"n": 1}))
    history = load(path)
    assert (list(history.events), history.header, history.complete, history.torn) == (appended, HEADER, True, False)


def test_every_prefix_of_the_file_loads_as_a_prefix_of_the_history(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    with Journal(path, HEADER) as journal:
        for n in range(6):
            journal.append(n % 2, "invoke", "get", f"k-{n}", {})
            journal.append(n % 2, "ok", "get", f"k-{n}", {"value": "é\\n"})
    data = path.read_bytes()
    events = parse(data).events
    for size in range(len(data) - 1):  # without its last line end the end mark is whole
        found = parse(data[:size])
        assert found.events == events[: len(found.events)]
        assert len(found.events) >= data[:size].count(b"\n") - 1  # no whole line is dropped; one is the header
        assert found.complete == (size == len(data) - 1)  # only the line end of the end mark is missing


def test_a_body_that_raises_leaves_its_events_without_an_end_mark(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"

    def body() -> None:
        with Journal(path, HEADER) as journal:
            journal.nemesis("mark", {})
            raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        body()
    history = load(path)
    assert (len(history.events), history.complete) == (1, False)


def test_a_history_that_exists_is_never_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    path.write_bytes(b"another's\n")
    with pytest.raises(FileExistsError):
        Journal(path, HEADER)
    assert path.read_bytes() == b"another's\n"


def test_a_listener_hears_every_event_in_index_order(tmp_path: Path) -> None:
    heard: list[Event] = []
    path = tmp_path / "h.jsonl"
    with Journal(path, HEADER) as journal:
        journal.nemesis("before it listened", {})
        journal.listen(heard.append)
        threads = [threading.Thread(target=lambda: [journal.nemesis("mark", {}) for _ in range(EACH)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert tuple(heard) == load(path).events[1:]


def test_events_are_on_disk_while_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    with Journal(path, HEADER) as journal:
        journal.nemesis("mark", {})
        end = time.monotonic() + DEADLINE_S
        while not load(path).events:
            assert time.monotonic() < end
            time.sleep(0.005)


def run_child(program: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_disk_error_is_raised_at_the_end(tmp_path: Path) -> None:
    assert run_child(FULL_DISK, str(tmp_path / "h.jsonl")).startswith("OSError")


def test_a_disk_error_does_not_hide_the_error_of_the_body(tmp_path: Path) -> None:
    assert run_child(FULL_DISK, str(tmp_path / "h.jsonl"), "raise") == "RuntimeError the body's own"


def test_after_a_disk_error_nothing_is_written_that_would_hide_the_gap(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    run_child(FULL_DISK, str(path))
    history = load(path)
    assert [event.index for event in history.events] == list(range(len(history.events)))
    assert {event.f for event in history.events} == {"mark"}
    assert not history.complete


def test_kill_9_of_a_writer_leaves_a_file_that_loads_without_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)]) as child:
        try:
            end = time.monotonic() + DEADLINE_S
            while not path.exists() or path.stat().st_size < 50_000:
                assert child.poll() is None
                assert time.monotonic() < end
                time.sleep(0.005)
        finally:
            child.kill()
    history = load(path)
    assert [event.index for event in history.events] == list(range(len(history.events)))
    assert history.events
    assert not history.complete


def ticks(*steps: int) -> Iterator[int]:
    """A clock that goes on by these steps, then by 1."""
    now = 1_000
    yield now
    for step in steps:
        now += step
        yield now
    while True:
        now += 1
        yield now


def sampled(path: Path, *steps: int) -> tuple[int, int]:
    """Give the pair's monotonic time and how often the wall clock was asked, by a clock of these steps."""
    asked = 0
    clock = ticks(*steps)

    def now() -> int:
        nonlocal asked
        asked += 1
        return next(clock)

    with Journal(path, HEADER, now) as journal:
        before = asked
        journal.sample_clock()
        pairs = (asked - before - 1) // 2  # the last question is the event's own stamp
    (event,) = load(path).events
    assert (event.process, event.f) == (NEMESIS, "clock")
    return int(event.value["monotonic"]), pairs


def test_a_clock_pair_is_stamped_in_the_middle_of_its_two_readings(tmp_path: Path) -> None:
    assert sampled(tmp_path / "h.jsonl", 500, 40) == (520, 1)


def test_a_clock_pair_whose_readings_lie_too_far_apart_is_taken_again(tmp_path: Path) -> None:
    wide = CLOCK_PAIR_NS + 1
    assert sampled(tmp_path / "h.jsonl", 0, wide, 0, wide, 0, 60) == (2 * wide + 30, 3)


def test_where_no_clock_pair_is_tight_the_tightest_of_twenty_is_recorded(tmp_path: Path) -> None:
    widths = [3 * CLOCK_PAIR_NS] * 7 + [2 * CLOCK_PAIR_NS] + [3 * CLOCK_PAIR_NS] * 12
    steps = [step for width in widths for step in (0, width)]
    assert sampled(tmp_path / "h.jsonl", *steps) == (22 * CLOCK_PAIR_NS, 20)


def test_the_wall_time_of_a_clock_pair_is_the_machines(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    before = time.time_ns()
    with Journal(path, HEADER) as journal:
        journal.sample_clock()
    assert before <= load(path).events[0].value["wall"] <= time.time_ns()


class Unwritable:
    """A value that JSON has no word for."""

    def __repr__(self) -> str:
        return "<unwritable>"


def unwritable(path: Path) -> str:
    """Record a value that cannot be written between others that can; give what is said."""
    journal = Journal(path, HEADER)
    journal.__enter__()
    for number, value in enumerate((1, Unwritable(), 3)):
        journal.append(number, "invoke", "write", "k", value)
        wait_for(lambda tried=number: None if journal.failure or tried != 1 else "no failure yet", 10, "the writer's failure")
    with pytest.raises(UsageError) as error:
        journal.__exit__(None, None, None)
    return str(error.value)


def test_a_value_that_is_no_json_is_told_with_its_event(tmp_path: Path) -> None:
    said = unwritable(tmp_path / "h.jsonl")
    assert said.startswith("invoke of write by process 1 holds <unwritable>, which is no JSON (")
    assert said.endswith("); expected texts, numbers, lists and tables")


def test_nothing_is_written_after_a_gap_and_no_end_mark(tmp_path: Path) -> None:
    """A history with a hole in it would accuse the system of what it has not done."""
    unwritable(tmp_path / "h.jsonl")
    history = load(tmp_path / "h.jsonl")
    assert not history.complete
    assert {event.index for event in history.events} <= {0}
