"""Progress: redrawn lines on a terminal, plain ones elsewhere, and never the end of a run."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from rich.cells import cell_len

from harness.waiting import wait_for
from reports.progress import Live


@dataclass(frozen=True)
class Judged:
    id: str
    verdict: str
    said: str


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


VIOLATED = Judged("postgres-async", "violated", "19 of 20 failovers lost a lock")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Terminal, Clock, Live]]:
    monkeypatch.setenv("TERM", "xterm")
    stream, clock = Terminal(), Clock()
    with Live(10, stream, clock=clock) as live:
        yield stream, clock, live


def plain(live: Live, width: int = 80) -> list[str]:
    return [line.plain for line in live.lines(width)]


def test_elsewhere_an_experiment_and_a_claim_get_a_line_each() -> None:
    stream, clock = io.StringIO(), Clock()
    with Live(5, stream, clock=clock, every_s=3600) as live:
        clock.now = 70
        with live.experiment("split-brain", 6, 11, 5) as experiment:
            experiment.step("trial 1: waiting for the steady state")
            experiment.trial_done()
        clock.now = 26 * 60 + 3
        live.judged(VIOLATED)
    assert stream.getvalue() == (
        "00:01:10  split-brain, 5 trials (6 of 11)\n00:26:03  ✗ violated  postgres-async  19 of 20 failovers lost a lock\n"
    )


def test_elsewhere_what_is_done_now_is_told_where_nothing_else_is_said() -> None:
    stream, clock = io.StringIO(), Clock()
    with Live(5, stream, clock=clock, every_s=0.05) as live:
        live.experiment("split-brain", 6, 11, 5).step("trial 1: waiting for the steady state")
        clock.now = 3
        wait_for(lambda: None if "steady" in stream.getvalue() else "nothing said", 20, "a line")
    assert "00:00:03    trial 1: waiting for the steady state (3.0 s)\n" in stream.getvalue()


def test_elsewhere_experiments_side_by_side_are_told_of_in_turn_and_by_name() -> None:
    stream, clock = io.StringIO(), Clock()
    with Live(5, stream, clock=clock, every_s=0.05) as live:
        live.experiment("split-brain", 6, 11, 5).step("trial 1: final reads")
        live.experiment("redis-faults", 7, 11, 5).step("trial 2: pause")
        clock.now = 3
        wait_for(lambda: None if "pause (3.0 s)" in stream.getvalue() else "nothing said", 20, "a line")
    assert "00:00:03    split-brain (6 of 11): trial 1: final reads (3.0 s)\n" in stream.getvalue()
    assert "00:00:03    redis-faults (7 of 11): trial 2: pause (3.0 s)\n" in stream.getvalue()


def test_elsewhere_there_is_no_escape_and_no_line_over_80_columns() -> None:
    stream = io.StringIO()
    with Live(5, stream) as live:
        live.experiment("x" * 100, 1, 1, 5)
        live.judged(Judged("a" * 90, "holds", "a \x1b[31m sentence " * 20))
    assert "\x1b" not in stream.getvalue()
    assert max(map(cell_len, stream.getvalue().splitlines())) <= 80


def test_a_broken_stream_does_not_end_a_run() -> None:
    with Live(5, Broken()) as live:
        live.experiment("e", 1, 1, 5)
        live.judged(VIOLATED)


def test_what_is_left_is_told_from_the_trials_done(terminal: tuple[Terminal, Clock, Live]) -> None:
    _, clock, live = terminal
    experiment = live.experiment("e", 1, 1, 10)
    clock.now = 60
    assert "left" not in plain(live)[0]
    for _ in range(4):
        experiment.trial_done()
    assert plain(live)[0].startswith("[4/10] ━")
    assert plain(live)[0].endswith(" 40 %   1 min 00 s   1 min 30 s left")


def test_trials_of_controls_and_repeated_ones_do_not_fill_the_bar(terminal: tuple[Terminal, Clock, Live]) -> None:
    _, _, live = terminal
    with live.experiment("one", 1, 2, 4) as one:
        for _ in range(9):
            one.trial_done()
        assert plain(live)[0].startswith("[4/10]")
    live.experiment("two", 2, 2, 6).trial_done()
    assert plain(live)[0].startswith("[5/10]")


def test_an_experiment_that_was_cut_short_counts_as_done_when_it_has_ended(terminal: tuple[Terminal, Clock, Live]) -> None:
    _, _, live = terminal
    with live.experiment("one", 1, 2, 4):
        assert plain(live)[0].startswith("[0/10]")
    assert plain(live)[0].startswith("[4/10]")


def test_the_terminal_says_what_is_done_now_and_for_how_long(terminal: tuple[Terminal, Clock, Live]) -> None:
    _, clock, live = terminal
    live.experiment("split-brain", 6, 11, 5).step("trial 1: final reads")
    clock.now = 1.9
    assert plain(live)[1] == "now  split-brain (6 of 11): trial 1: final reads (1.9 s)"


def test_the_terminal_says_of_each_experiment_that_runs_what_is_done_and_of_what_is_done_beside(
    terminal: tuple[Terminal, Clock, Live],
) -> None:
    _, _, live = terminal
    one, two = live.experiment("one", 1, 3, 4), live.experiment("two", 2, 3, 6)
    one.step("trial 1: pause")
    two.trial_done()
    live.step("judging zero")
    assert plain(live)[0].startswith("[1/10]")
    now = ["now  one (1 of 3): trial 1: pause (0.0 s)", "now  two (2 of 3): starting (0.0 s)", "now  judging zero (0.0 s)"]
    assert plain(live)[1:] == now
    with one:
        live.step("")
    assert plain(live)[1:] == now[1:2]


def test_the_terminal_counts_verdicts_by_word(terminal: tuple[Terminal, Clock, Live]) -> None:
    _, _, live = terminal
    for word in ("holds", "violated", "holds"):
        live.judged(Judged("c", word, "s"))
    assert plain(live)[2].rstrip() == "so far  ✗ violated 1   ✓ holds 2"


@pytest.mark.parametrize("width", [30, 80])
def test_no_redrawn_line_is_wider_than_the_terminal(width: int, terminal: tuple[Terminal, Clock, Live]) -> None:
    _, _, live = terminal
    live.experiment("x" * 100, 1, 1, 5)
    for word in ("violated", "inconclusive", "unavailable", "finding", "not-seen", "as-documented", "holds"):
        live.judged(Judged("c", word, "s"))
    assert max(map(cell_len, plain(live, width))) <= width


def test_a_terminal_is_left_as_it_was(terminal: tuple[Terminal, Clock, Live]) -> None:
    stream, _, live = terminal
    live.judged(VIOLATED)
    live.close()
    live.close()
    assert stream.getvalue().endswith("\x1b[2K")
    assert "\x1b[?25h" in stream.getvalue()


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with Live(5, stream) as live:
        live.judged(VIOLATED)
    assert "\x1b" not in stream.getvalue()
    assert "✗ violated  postgres-async" in stream.getvalue()
