"""The picture of latencies: what is drawn for which operation, and that it can be read. Judged as marks, before they are drawn."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from split_brain import MS, Recorder, S, split_brain
from test_timeline import ODD, unreadable

from harness.judging.checkers.lease import lease
from harness.judging.verdict import Verdict, unknown, valid
from harness.record.history import Event, EventType, History
from reports import latency
from reports.frame import RIGHT
from reports.marks import FLAG, INFO, INK, MUST, OVERLAP, Box, Mark, Points, Stroke, Words
from reports.panels import LEFT, Figure, run

JUDGED = unknown("nothing")
EVENTS: tuple[EventType, ...] = ("invoke", "ok")
WORDS = "redis-sentinel · default · 8 clients"


@pytest.fixture(scope="module")
def cut() -> tuple[History, Verdict]:
    history = split_brain()
    return history, lease(history)


def figure(history: History, verdict: Verdict = JUDGED) -> Figure:
    return latency.layout(history, verdict, WORDS)


def places(of: Figure, shape: str) -> list[tuple[float, float]]:
    """Where a kind of mark is drawn; not in the legend, which stands below all plots."""
    return [place for mark in of.marks if isinstance(mark, Points) and mark.shape == shape for place in mark.points if place[0] >= LEFT][
        : -3 if shape == "dot" else None
    ]


def said(marks: tuple[Mark, ...]) -> list[str]:
    return [mark.text for mark in marks if isinstance(mark, Words)]


def height(of: Figure, name: str) -> float:
    """The height at which a scale's line is labelled, in the first strip."""
    return next(mark.y for mark in of.marks if isinstance(mark, Words) and mark.text == name) - 0.36 * 17


def many(n: int, *, bad: int = 0) -> History:
    """One operation each millisecond, the first `bad` of them in turn fail and info."""
    record = Recorder()
    for at in range(n):
        type_ = ("fail", "info")[at % 2] if at < bad else "ok"
        took = (at % 7 + 1) * MS // 10
        record.call(at * MS, at * MS + took, at, "get", "key", {}, None if at < bad else {"value": None}, type=type_)
    return record.history(concurrency=n, sides={})


def test_png_is_1600_pixels_wide_and_as_high_as_its_strips(cut: tuple[History, Verdict], tmp_path: Path) -> None:
    latency.draw(*cut, tmp_path / "latency.png", WORDS)
    data = (tmp_path / "latency.png").read_bytes()
    assert struct.unpack(">II", data[16:24]) == (1600, figure(*cut).height_px)


def test_every_operation_has_one_mark(cut: tuple[History, Verdict]) -> None:
    operations, of = cut[0].operations(), figure(*cut)
    for status, shape in (("ok", "dot"), ("fail", "cross"), ("info", "question")):
        assert len(places(of, shape)) == sum(each.status == status for each in operations) > 0


def test_there_is_a_strip_for_each_function_in_the_order_of_the_interface(cut: tuple[History, Verdict]) -> None:
    names = [text for text in said(figure(*cut).marks) if text in latency.FUNCTIONS]
    assert names == ["try_acquire", "release"]


def test_an_info_stands_where_it_was_invoked_as_high_as_its_timeout() -> None:
    record = Recorder()
    record.call(S, 2 * S, 0, "get", "key", {}, None, type="info", error="timed out")
    record.call(3 * S, 3 * S + 100 * MS, 1, "get", "key", {}, {"value": None})
    of = figure(record.history())
    ((x, y),) = places(of, "question")
    assert x == pytest.approx(LEFT + 6)  # the window begins there: moved in to be whole
    assert y == pytest.approx(height(of, "1 s"))
    ((x, y),) = places(of, "dot")
    assert x == pytest.approx(run(record.history(), JUDGED).frame.x(3 * S))
    assert y == pytest.approx(height(of, "100 ms"))


def test_an_info_that_never_ended_is_as_high_as_the_run_is_long() -> None:
    record = Recorder()
    record.call(S, None, 0, "get", "key", {}, None)
    record.call(10 * S, 11 * S, 1, "get", "key", {}, {"value": None})
    of = figure(record.history())
    ((_, y),) = places(of, "question")
    assert y == pytest.approx(height(of, "10 s"))
    assert "1 ok (median 1.0 s, longest 1.0 s), 1 info ? (1 never ended)" in said(of.marks)


def test_outcomes_differ_in_shape_and_the_worst_is_on_top(cut: tuple[History, Verdict]) -> None:
    drawn = {mark.shape: (mark.z, mark.colour) for mark in figure(*cut).marks if isinstance(mark, Points) and len(mark.points) > 3}
    assert drawn["dot"][0] < drawn["cross"][0] < drawn["question"][0]
    assert [drawn[shape][1] for shape in ("dot", "cross", "question")] == [MUST, INK, INFO]


def test_a_strip_tells_its_median_and_99th_percentile_of_answers() -> None:
    of = figure(many(700))
    assert "700 ok (median 0.40 ms, p99 0.70 ms)" in said(of.marks)


def test_durations_are_said_in_two_figures() -> None:
    assert [latency.duration(ns) for ns in (7, 85_000, 820_000, 6_700_000, 52_400_000, 1_234_000_000, 12_300_000_000)] == [
        "7 events",
        "85 µs",
        "0.82 ms",
        "6.7 ms",
        "52 ms",
        "1.2 s",
        "12 s",
    ]


def test_the_scale_widens_for_what_is_faster_or_slower() -> None:
    record = Recorder()
    record.call(S, S + 12_000, 0, "get", "key", {}, {"value": None})
    record.call(2 * S, 62 * S, 0, "get", "key", {}, {"value": None})
    of = figure(record.history())
    assert {"100 µs", "1 ms", "1 s", "10 s", "100 s"} <= set(said(of.marks))
    ((_, fast), (_, slow)) = places(of, "dot")
    assert height(of, "100 s") < slow < height(of, "10 s") < height(of, "100 µs") < fast


def test_the_title_compares_before_the_fault_with_after_the_first_violation(cut: tuple[History, Verdict]) -> None:
    title = said(figure(*cut).marks)[0]
    assert title.startswith("Median 1.2 ms before the primary was cut off, 1.2 ms from 2.999 s on; ")


def test_the_title_of_a_quiet_run_says_that_all_were_answered() -> None:
    assert said(figure(many(700)).marks)[0] == "700 answers: median 0.40 ms, p99 0.70 ms; all were answered"


def test_final_reads_do_not_pass_for_what_a_fault_did() -> None:
    record = Recorder()
    for phase, at in (("begin", 2), ("active", 3), ("healing", 9), ("healed", 9)):
        record.nemesis(at * S, "kill", id=1, phase=phase, targets=["redis-1"], probe={})
    for at, f, took in ((1, "set", 1), (4, "set", 5), (5, "get", 90), (6, "get", 90), (7, "get", 90)):
        record.call(at * S, at * S + took * MS, 0, f, "key", {}, None)
    assert said(figure(record.history()).marks)[0] == "Median 1.0 ms before redis-1 was killed, 5.0 ms during the fault; all were answered"


def test_where_nothing_was_answered_during_a_fault_the_title_tells_of_after_it() -> None:
    record = Recorder()
    for phase, at in (("begin", 2), ("active", 3), ("healing", 9), ("healed", 9)):
        record.nemesis(at * S, "kill", id=1, phase=phase, targets=["redis-1"], probe={})
    record.call(S, S + MS, 0, "set", "key", {}, None)
    record.call(4 * S, 4 * S + MS, 0, "set", "key", {}, None, type="fail")
    record.call(10 * S, 10 * S + 5 * MS, 0, "set", "key", {}, None)
    assert said(figure(record.history()).marks)[0] == "Median 1.0 ms before redis-1 was killed, 5.0 ms after healing; 1 fail"


def test_faults_roles_and_the_first_violation_cross_every_strip(cut: tuple[History, Verdict]) -> None:
    of = figure(*cut)
    tints = [mark for mark in of.marks if isinstance(mark, Box) and mark.z == 0]
    flags = [mark for mark in of.marks if isinstance(mark, Stroke) and mark.colour == FLAG]
    assert len(tints) == len(flags) == 2 + 1  # the strips, and the rows above them
    assert {"redis-2 promoted", "redis-1 demoted"} <= set(said(of.marks))


def test_a_run_without_faults_says_so_and_has_no_tint_nor_the_colour_of_a_violation() -> None:
    history = split_brain(cut=False, end_s=3)
    of = figure(history, lease(history))
    assert "none" in said(of.marks)
    assert [mark for mark in of.marks if (isinstance(mark, Box) and mark.z == 0) or mark.colour in (FLAG, OVERLAP)] == []


def test_a_foreign_history_with_a_violation_has_its_flag() -> None:
    history = ODD["a lock without owners"]
    judged = lease(split_brain())
    assert sum(text.startswith("two owners, first at 2.999 s") for text in said(figure(history, judged).marks)) == 1


def test_an_empty_history_says_so() -> None:
    assert {"Nothing was done", "no operations"} <= set(said(figure(History(())).marks))


def test_one_operation_is_one_mark() -> None:
    assert len(places(figure(many(1)), "dot")) == 1


def test_above_20000_operations_answers_are_cells_and_the_rest_stays_in_full() -> None:
    of = figure(many(20_001, bad=10))
    assert "20,001 operations, 10 in full, answers in bins" in said(of.marks)[1]
    assert len(places(of, "cross")) == len(places(of, "question")) == 5
    cells = [mark for mark in of.marks if isinstance(mark, Box) and mark.z == 4]
    assert 600 <= len(cells) <= 600 * 7
    assert all(cell.x1 <= RIGHT for cell in cells)


def test_above_3000_fails_and_infos_a_cell_shows_the_worst() -> None:
    of = figure(many(20_001, bad=3_002))
    assert "in bins, the worst outcome of each is shown" in said(of.marks)[1]
    assert 0 < len(places(of, "question")) < 1_501
    cells = [{(int(x / latency.MARK_PX), int(y / latency.MARK_PX)) for x, y in places(of, shape)} for shape in ("cross", "question")]
    assert not cells[0] & cells[1]


def test_above_300_fails_and_infos_have_no_halo() -> None:
    for bad, halo in ((300, True), (301, False)):
        marks = [mark for mark in figure(many(400, bad=bad)).marks if isinstance(mark, Points) and mark.shape == "cross"]
        assert [mark.halo for mark in marks if len(mark.points) > 1] == [halo]


def test_above_twelve_functions_the_last_share_a_strip() -> None:
    events: list[Event] = []
    for n in range(40):
        for type_ in EVENTS:
            events.append(Event(index=len(events), time=len(events) * MS, process=0, type=type_, f=f"f{n:02}", value=None))
    of = figure(History(tuple(events)), valid("all"))
    assert "29 more functions" in said(of.marks)
    assert len(places(of, "dot")) == 40


def test_names_of_1000_characters_are_cut() -> None:
    record = Recorder()
    record.call(S, S + MS, 0, "f" * 1000, "k" * 1000, {}, None, node="n" * 1000)
    record.nemesis(S, "role", node="n" * 1000, role="replica", epoch=0, run_id="a")
    record.nemesis(S + 2 * MS, "role", node="n" * 1000, role="primary", epoch=1, run_id="a")
    of = latency.layout(record.history(), JUDGED, "a subtitle " * 60)
    assert any("…" in text for text in said(of.marks))
    assert unreadable(of) == []


def test_a_split_brain_can_be_read(cut: tuple[History, Verdict]) -> None:
    assert unreadable(figure(*cut)) == []


@pytest.mark.parametrize("name", ODD)
def test_odd_histories_are_drawn(name: str, tmp_path: Path) -> None:
    latency.draw(ODD[name], JUDGED, tmp_path / "latency.png", WORDS)
    assert unreadable(figure(ODD[name])) == []
