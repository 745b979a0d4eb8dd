"""The picture of rates: that its bars add up to the operations, and what it says. Judged as marks, before they are drawn."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from split_brain import MS, Recorder, S, split_brain
from test_timeline import ODD, unreadable

from harness.judging.checkers.lease import lease
from harness.judging.verdict import Verdict, unknown
from harness.record.history import History
from reports import rate
from reports.frame import Frame
from reports.marks import FLAG, INFO, INK2, MUST, OVERLAP, Box, Words
from reports.panels import Figure, run
from reports.rate import bins, ceiling, strips

JUDGED = unknown("nothing")
WORDS = "redis-sentinel · default · 8 clients"


@pytest.fixture(scope="module")
def cut() -> tuple[History, Verdict]:
    history = split_brain()
    return history, lease(history)


def figure(history: History, verdict: Verdict = JUDGED) -> Figure:
    return rate.layout(history, verdict, WORDS)


def said(of: Figure) -> list[str]:
    return [mark.text for mark in of.marks if isinstance(mark, Words)]


def bars(of: Figure, colour: str) -> list[Box]:
    return [mark for mark in of.marks if isinstance(mark, Box) and mark.z == 2 and mark.colour == colour]


def steady(*spans: tuple[float, float, str], every_ms: int = 20) -> Recorder:
    """A server that answers every 20 ms, from and to in seconds; a client of its own for each span."""
    record = Recorder()
    for process, (start, end, node) in enumerate(spans):
        for at in range(int(start * 1000), int(end * 1000), every_ms):
            record.call(at * MS, at * MS + MS, process, "get", "key", {}, {"value": None}, node=node)
    end = int(max(end for _, end, _ in spans) * S)
    record.nemesis(end, "clock", monotonic=end, wall=end)
    return record


def test_png_is_1600_pixels_wide_and_as_high_as_its_strips(cut: tuple[History, Verdict], tmp_path: Path) -> None:
    rate.draw(*cut, tmp_path / "rate.png", WORDS)
    data = (tmp_path / "rate.png").read_bytes()
    assert struct.unpack(">II", data[16:24]) == (1600, figure(*cut).height_px)


@pytest.mark.parametrize("name", ["cut", *ODD])
def test_bins_add_up_to_the_operations(name: str) -> None:
    history = split_brain() if name == "cut" else ODD[name]
    of = run(history, JUDGED)
    answered, others = strips(of)
    assert sum(sum(bins(of.frame).counts(strip.times)) for strip in (*answered, *others)) == len(history.operations())


def test_a_bar_is_as_high_as_its_rate() -> None:
    of = figure(steady((0, 5, "a"), (5, 10, "a"), (5, 10, "a")).history())
    heights = [round(bar.y1 - bar.y0) for bar in bars(of, MUST)]
    assert heights == [70] * 10 + [140] * 10
    assert "100/s" in said(of)


def test_there_is_a_strip_for_each_server_that_answered_and_for_fail_and_info(cut: tuple[History, Verdict]) -> None:
    names = ["ok, from redis-1", "ok, from redis-2", "fail ×", "info ?"]
    assert [text for text in said(figure(*cut)) if text in names or text.startswith("ok")] == names


def test_servers_are_ordered_as_people_count() -> None:
    history = steady(*((0, 1, f"node-{n}") for n in (10, 9, 1))).history()
    assert [strip.name for strip in strips(run(history, JUDGED))[0]] == ["ok, from node-1", "ok, from node-9", "ok, from node-10"]


def test_above_eight_servers_the_last_share_a_strip() -> None:
    history = steady(*((0, 1, f"node-{n}") for n in range(20))).history()
    answered, _ = strips(run(history, JUDGED))
    assert (len(answered), answered[-1].name, len(answered[-1].times)) == (8, "ok, from 13 more", 13 * 50)


def test_servers_that_are_not_recorded_share_a_strip() -> None:
    assert [strip.name for strip in strips(run(ODD["a foreign mutex"], JUDGED))[0]] == ["ok"]


def test_strips_of_answers_share_a_scale_and_fail_and_info_another() -> None:
    record = steady((0, 10, "a"), (0, 10, "b"), (0, 10, "b"))
    for n in range(3):
        record.call(5 * S, 5 * S + 1, 10 + n, "get", "key", {}, None, type="fail" if n else "info")
    of = figure(record.history())
    assert {round(bar.y1 - bar.y0) for bar in bars(of, MUST)} == {70, 140}
    assert [round(bar.y1 - bar.y0) for bar in (*bars(of, INK2), *bars(of, INFO))] == [64, 32]


def test_an_info_counts_when_its_client_gave_up() -> None:
    record = steady((0, 10, "a"))
    record.call(2 * S, 6 * S + MS, 3, "get", "key", {}, None, type="info", error="timed out")
    history = record.history()
    (bar,) = bars(figure(history), INFO)
    frame = run(history, JUDGED).frame
    assert bar.x0 <= frame.x(6 * S + MS) <= bar.x1


def test_an_info_that_never_ended_is_counted_at_the_end_and_told() -> None:
    record = steady((0, 10, "a"))
    record.call(2 * S, None, 3, "get", "key", {}, None)
    of = figure(record.history())
    assert "1 in all, 1 of them never ended and drawn at the end" in said(of)
    (bar,) = bars(of, INFO)
    assert bar.x1 == max(each.x1 for each in bars(of, MUST))


@pytest.mark.parametrize(
    ("seconds", "width_ms", "count"), [(0.2, 10, 20), (2, 100, 20), (3, 200, 15), (6, 500, 12), (60, 500, 120), (600, 1000, 600)]
)
def test_bins_are_half_a_second_unless_they_were_too_few_or_too_many(seconds: float, width_ms: int, count: int) -> None:
    cut = bins(Frame(0, int(seconds * S), 0))
    assert (cut.width, len(cut.edges) - 1) == (width_ms * MS, count)


def test_the_last_bin_ends_with_the_window_and_is_neither_short_nor_long() -> None:
    for end_ms in range(6_000, 12_000, 130):
        edges = bins(Frame(0, end_ms * MS, 0)).edges
        assert edges[-1] == end_ms * MS
        assert 250 * MS <= edges[-1] - edges[-2] <= 750 * MS


def test_final_reads_do_not_flatten_the_rest() -> None:
    record = steady((0, 20, "a"))
    for n in range(400):
        record.call(20 * S + n * MS, 20 * S + n * MS + 1, 1, "get", "key", {}, {"value": None}, node="a")
    of = figure(record.history())
    assert sum(round(bar.y1 - bar.y0) == 140 for bar in bars(of, MUST)) == 40 + 1
    assert "50/s" in said(of)
    assert "1,000/s" in said(of)  # 400 in the last bin, of 0.4 s
    assert unreadable(of) == []


def test_the_scale_is_the_highest_bar_that_is_not_beyond_twice_nine_of_ten() -> None:
    assert ceiling([0, 10, 20]) == 20
    assert ceiling([10] * 20 + [19, 21]) == 19
    assert ceiling([]) == ceiling([0, 0]) == 0


def test_the_title_says_that_two_servers_answered_at_once(cut: tuple[History, Verdict]) -> None:
    assert said(figure(*cut))[0].startswith("redis-1 and redis-2 both answered for 6.6 s: ")


def test_two_servers_in_turn_did_not_answer_at_once() -> None:
    assert said(figure(steady((0, 5.25, "a"), (5.25, 10, "b")).history()))[0] == "50 answers a second, from a and b"


def test_the_time_at_once_is_exact_to_the_answer() -> None:
    title = said(figure(steady((0, 7, "a"), (4, 10, "b")).history()))[0]
    assert title == "a and b both answered for 3.0 s: 50 and 50 answers a second"


def test_the_title_says_how_long_no_server_answered() -> None:
    record = steady((0, 4, "a"), (6, 10, "b"))
    record.call(4_100 * MS, 4_600 * MS, 5, "get", "key", {}, None, type="fail")
    record.call(4_700 * MS, 6_001 * MS, 5, "get", "key", {}, {"value": None}, node="b")
    assert said(figure(record.history()))[0].startswith("No server answered for 1.90 s, from 4.100 s on; 40 answers a second")


def test_the_record_that_a_lock_protects_is_no_server() -> None:
    record = steady((0, 10, "redis-1"))
    for at in range(0, 10_000, 20):
        record.call(at * MS + 5 * MS, at * MS + 6 * MS, 3, "resource_read", "record", {}, {"value": 0, "token": None}, node="resource")
    of = run(record.history(), JUDGED)
    assert rate.finding(of) == "50 answers a second, from redis-1"
    assert [(strip.name, len(strip.times)) for strip in strips(of)[0]] == [("ok, from redis-1", 500), ("ok, the record (ours)", 500)]


def test_an_answer_of_the_record_does_not_end_the_silence_of_the_servers() -> None:
    record = steady((0, 4, "a"), (6, 10, "a"))
    record.call(4_100 * MS, 6_001 * MS, 5, "get", "key", {}, {"value": None}, node="a")
    record.call(5_000 * MS, 5_001 * MS, 6, "resource_read", "record", {}, {"value": 0, "token": None}, node="resource")
    assert rate.finding(run(record.history(), JUDGED)).startswith("No server answered for 1.90 s, from 4.100 s on")


def test_one_info_among_many_fails_is_still_seen() -> None:
    record = Recorder()
    for n in range(200):
        record.call(S, 2 * S, n, "get", "key", {}, None, type="fail" if n else "info")
    (bar,) = bars(figure(record.history()), INFO)
    assert bar.y1 - bar.y0 > 2


def test_idle_clients_are_no_outage() -> None:
    assert said(figure(steady((0, 4, "a"), (8, 10, "a")).history()))[0] == "30 answers a second, from a"


def test_a_run_without_answers_says_so() -> None:
    assert said(figure(ODD["only fails"]))[0] == "No operation was answered: 200 fail"


def test_a_run_without_faults_says_so_and_has_no_tint_nor_the_colour_of_a_violation() -> None:
    history = split_brain(cut=False, end_s=3)
    of = figure(history, lease(history))
    assert "none" in said(of)
    assert bars(of, INK2) == bars(of, INFO) == []
    assert [mark for mark in of.marks if (isinstance(mark, Box) and mark.z == 0) or mark.colour in (FLAG, OVERLAP)] == []


def test_an_empty_history_says_so() -> None:
    assert {"Nothing was done", "no operations"} <= set(said(figure(History(()))))


def test_one_operation_is_one_bar() -> None:
    assert len(bars(figure(steady((1, 1.01, "a")).history()), MUST)) == 1


def test_times_that_count_events_are_no_rates() -> None:
    of = figure(ODD["a foreign register, times that count events"])
    assert said(of)[:2] == ["3 answers", f"completions, bins of 1 event · {WORDS}"]
    assert not [text for text in said(of) if text.endswith("/s")]


def test_the_axis_is_that_of_the_other_figures(cut: tuple[History, Verdict]) -> None:
    from reports import latency

    def lines(of: Figure) -> set[float]:
        return {mark.x0 for mark in of.marks if isinstance(mark, Box) and mark.z == 0}

    assert lines(figure(*cut)) == lines(latency.layout(*cut, WORDS))


def test_names_of_1000_characters_are_cut() -> None:
    record = Recorder()
    for n, node in enumerate(("n" * 1000, "m" * 1000)):
        for at in range(1, 9):
            record.call(at * S, at * S + MS, n, "f" * 1000, "k" * 1000, {}, None, node=node)
    of = rate.layout(record.history(), JUDGED, "a subtitle " * 60)
    assert any("…" in text for text in said(of))
    assert unreadable(of) == []


def test_a_split_brain_can_be_read(cut: tuple[History, Verdict]) -> None:
    assert unreadable(figure(*cut)) == []


@pytest.mark.parametrize("name", ODD)
def test_odd_histories_are_drawn(name: str, tmp_path: Path) -> None:
    rate.draw(ODD[name], JUDGED, tmp_path / "rate.png", WORDS)
    assert unreadable(figure(ODD[name])) == []
