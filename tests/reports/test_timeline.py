"""The timeline: what is on it, and that it can be read. Pictures are judged as marks, in pixels, before they are drawn."""

from __future__ import annotations

import struct
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from split_brain import MS, Recorder, S, split_brain

from harness.judging.checkers.lease import lease
from harness.judging.verdict import Anomaly, Verdict, invalid, unknown, valid
from harness.record.history import NEMESIS, Effect, Event, Header, History
from reports import marks
from reports.groups import LANES, Board, board
from reports.marks import EDGE, FLAG, OVERLAP, SMALLEST_PX, WIDTH_PX, Box, Stroke, Words
from reports.panels import Figure
from reports.scene import nodes, window
from reports.sheet import Title
from reports.timeline import Sheet, draw, layout

TITLE = Title(
    "Two clients held the same lock 36 times, first at 3.750 s, 2.25 s after the primary was cut off", "Redis Sentinel · 8 clients · seed 7"
)


@pytest.fixture(scope="module")
def cut() -> tuple[History, Verdict]:
    history = split_brain()
    return history, lease(history)


@pytest.fixture(scope="module")
def quiet() -> tuple[History, Verdict]:
    history = split_brain(cut=False, end_s=3)
    return history, lease(history)


def sheet(case: tuple[History, Verdict]) -> Sheet:
    return layout(*case, TITLE)


def texts(of: Sheet | Figure) -> list[Words]:
    return [mark for mark in of.marks if isinstance(mark, Words)]


def said(of: Sheet) -> str:
    return "\n".join(each.text for each in texts(of))


def unreadable(of: Sheet | Figure) -> list[str]:
    """Every text that is too small, clipped, or on another one. A ? is a mark: it may touch another."""
    wrong = [f"small: {each.text}" for each in texts(of) if each.px < SMALLEST_PX]
    for each in texts(of):
        if each.left < 0 or each.right > WIDTH_PX or each.y - each.px < 0 or each.y + 0.3 * each.px > of.height_px:
            wrong.append(f"clipped: {each.text}")
    words = [each for each in texts(of) if each.text != "?"]
    for one, two in combinations(words, 2):
        high, low = sorted((one, two), key=lambda each: each.y)
        if one.left < two.right and two.left < one.right and low.y - 0.74 * low.px < high.y:
            wrong.append(f"overlapping: {one.text} and {two.text}")
    return wrong


def many_locks(n: int, clients: int = 3) -> History:
    record = Recorder()
    for lock in range(n):
        for client in range(clients):
            start = (lock * clients + client + 1) * 10 * MS
            answer = {"granted": client == 0 or lock == 3, "fencing_token": None}
            record.call(start, start + MS, client, "try_acquire", f"lock-{lock}", {"owner": f"{lock}-{client}", "ttl_ms": 900}, answer)
    return record.history(concurrency=clients, sides={})


def objects(n: int, *, f: str = "check_and_set", kind: str = "dedup") -> History:
    record = Recorder()
    for key in range(n):
        for client in range(4):
            start = (key * 4 + client + 1) * 10 * MS
            record.call(start, start + MS, client, f, f"t1-{kind}-{key}", {"value": f"{client}", "ttl_ms": None}, {"set": client < 2})
    return record.history(concurrency=4, sides={})


def twice_won(history: History) -> Verdict:
    by_key: dict[str, list[Any]] = {}
    for each in history.operations():
        if each.f == "check_and_set" and each.result["set"]:
            by_key.setdefault(str(each.key), []).append(each)
    found = [
        Anomaly("dedup-two-winners", key, tuple(one.index for one in won), won[1].start, f"{key} was set twice")
        for key, won in by_key.items()
    ]
    return invalid("twice", found)


def together(*histories: History) -> History:
    events = [(2 * n * S, event) for n, history in enumerate(histories) for event in history.events]
    renamed = [
        Event(
            index=n, time=later + each.time, process=each.process, type=each.type, f=each.f, key=each.key, value=each.value, node=each.node
        )
        for n, (later, each) in enumerate(events)
    ]
    return History(tuple(renamed), histories[0].header, complete=True)


def test_png_is_1600_pixels_wide_and_as_high_as_its_rows(cut: tuple[History, Verdict], tmp_path: Path) -> None:
    draw(*cut, tmp_path / "timeline.png", TITLE)
    data = (tmp_path / "timeline.png").read_bytes()
    assert struct.unpack(">II", data[16:24]) == (1600, sheet(cut).height_px)


def test_the_same_history_gives_the_same_file(quiet: tuple[History, Verdict], tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw(*quiet, tmp_path / name, TITLE)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_split_brain_can_be_read(cut: tuple[History, Verdict]) -> None:
    assert unreadable(sheet(cut)) == []


def test_a_quiet_run_can_be_read(quiet: tuple[History, Verdict]) -> None:
    assert unreadable(sheet(quiet)) == []


def test_overlaps_are_as_many_as_the_verdict_found(cut: tuple[History, Verdict]) -> None:
    pairs = [anomaly for anomaly in cut[1].all_anomalies() if anomaly.kind == "two-holders"]
    assert sheet(cut).board.overlaps == len(pairs) > 10


def test_every_overlap_is_drawn_on_two_lanes(cut: tuple[History, Verdict]) -> None:
    assert {len(overlap.slots) for group in sheet(cut).board.groups for overlap in group.overlaps} == {2}


def test_overlaps_of_locks_without_room_are_counted_and_told() -> None:
    history = many_locks(20)
    judged = lease(history)
    of = layout(history, judged, TITLE)
    assert of.board.overlaps == len(judged.all_anomalies()) == 3
    assert "and 12 more locks, none with two holders" in said(of)
    assert unreadable(of) == []


def test_the_lock_with_a_violation_comes_first() -> None:
    history = many_locks(12)
    assert [group.name for group in board(history, lease(history), S).groups][:3] == ["lock-3", "lock-0", "lock-1"]


def test_locks_are_ordered_as_people_count() -> None:
    names = [group.name for group in board(many_locks(12), valid("nothing"), S).groups]
    assert names == [f"lock-{n}" for n in range(8)]


def test_the_first_violation_of_the_worst_kind_has_a_flag_with_its_time(cut: tuple[History, Verdict]) -> None:
    first = min(anomaly.at for anomaly in cut[1].all_anomalies() if anomaly.kind == "two-holders")
    assert f"two owners, first at {first / S:.3f} s" in said(sheet(cut))


def test_a_quiet_run_has_no_mark_in_the_colour_of_a_violation(quiet: tuple[History, Verdict]) -> None:
    assert [mark for mark in sheet(quiet).marks if mark.colour in (OVERLAP, FLAG)] == []


def test_what_the_verdict_does_not_condemn_is_not_drawn_as_a_violation(cut: tuple[History, Verdict]) -> None:
    of = layout(cut[0], unknown("the clock was not sane"), TITLE)
    assert [mark for mark in of.marks if mark.colour in (OVERLAP, FLAG)] == []


def test_the_fault_says_what_is_cut_and_how_it_was_proved(cut: tuple[History, Verdict]) -> None:
    assert "redis-1 and clients 0–3 cut off (proved: marker reached 0 of 2 peers" in said(sheet(cut))


def test_tint_lasts_from_active_to_healing(cut: tuple[History, Verdict]) -> None:
    (fault,) = cut[0].faults
    times = {phase: moment.time // MS for phase, moment in fault.moments.items()}
    assert times == {"begin": 1_500, "active": 1_810, "healing": 8_500, "healed": 8_540}
    tint = [mark for mark in sheet(cut).marks if isinstance(mark, Box) and mark.z == 0]
    assert len(tint) == 1


def test_a_fault_without_proof_has_no_tint() -> None:
    record = Recorder()
    record.nemesis(S, "kill", id=1, phase="begin", targets=["redis-1"], changes_roles=True)
    record.nemesis(3 * S, "kill", id=1, phase="failed", targets=["redis-1"], changes_roles=True, reason="not proved within 5 s")
    of = layout(record.history(), unknown("nothing"), TITLE)
    assert "redis-1 killed (not proved" in said(of)
    assert [mark for mark in of.marks if isinstance(mark, Box) and mark.z == 0] == []


def test_the_partition_runs_between_the_sides_of_each_lock(cut: tuple[History, Verdict]) -> None:
    of = sheet(cut)
    dashed = [mark for mark in of.marks if isinstance(mark, Stroke) and mark.colour == EDGE and mark.dash]
    assert len(dashed) == len(of.board.groups) + 1  # and one in the legend
    for group in of.board.groups:
        sides = [lane.side for lane in group.lanes]
        assert sides == sorted(sides, key=str)


@pytest.mark.parametrize(("effects", "lines"), [((Effect.CUTS_A_SIDE,), True), ((Effect.CUTS_REPLICATION,), False)])
def test_a_partition_is_drawn_where_a_fault_cuts_a_side_whatever_its_name(
    cut: tuple[History, Verdict], effects: tuple[Effect, ...], lines: bool
) -> None:
    history, verdict = cut
    assert history.header is not None
    events = tuple(structs.replace(each, f="blackout") if each.f == "isolate-primary" else each for each in history.events)
    renamed = replace(history, events=events, header=structs.replace(history.header, effects={"blackout": effects}))
    marks = layout(renamed, verdict, TITLE).marks
    assert any(isinstance(mark, Stroke) and mark.colour == EDGE and bool(mark.dash) for mark in marks) is lines


def test_two_primaries_at_once_are_two_bars(cut: tuple[History, Verdict]) -> None:
    known = {node.name: node for node in nodes(cut[0], 11 * S)}
    assert known["redis-1"].role(5 * S) == known["redis-2"].role(5 * S) == "primary"


def test_a_node_that_was_silent_for_a_moment_did_not_change_its_role() -> None:
    record = Recorder()
    for at, role in ((1, "replica"), (2, "silent"), (3, "replica"), (4, "silent"), (5, "primary")):
        record.nemesis(at * S, "role", node="redis-1", role=role, epoch=0, run_id="a")
    (node,) = nodes(record.history(), 9 * S)
    assert node.changes == ((5 * S, "primary"),)


def test_a_history_with_a_nemesis_says_that_there_was_no_fault(quiet: tuple[History, Verdict]) -> None:
    assert "none" in [each.text for each in texts(sheet(quiet))]


def test_a_trial_is_drawn_from_its_steady_state_on() -> None:
    record = Recorder()
    record.nemesis(20 * S, "trial", n=3, phase="begin")
    record.nemesis(28 * S, "trial", n=3, phase="steady")
    record.call(31 * S, 31 * S + MS, 0, "try_acquire", "t3-anchor-0", {"owner": "a", "ttl_ms": 12_000}, {"granted": True})
    assert window(record.history()) == (28 * S, 31_010 * MS)


def test_above_twelve_lanes_those_without_a_hold_share_one() -> None:
    history = many_locks(1, clients=20)
    (group,) = board(history, lease(history), S).groups
    assert [lane.label for lane in group.lanes] == ["client 0", "19 without hold"]


def test_above_twelve_holders_all_holds_are_still_drawn() -> None:
    record = Recorder()
    for client in range(30):
        start = client * 20 * MS
        argument = {"owner": str(client), "ttl_ms": 10}
        record.call(start, start + MS, client, "try_acquire", "lock", argument, {"granted": True, "fencing_token": None})
    history = record.history(concurrency=30, sides={})
    (group,) = board(history, lease(history), S).groups
    assert len(group.lanes) == LANES
    assert sum(len(lane.must) for lane in group.lanes) == 30


def test_an_acquisition_without_answer_may_hold_without_end() -> None:
    record = Recorder()
    record.call(S, None, 0, "try_acquire", "lock", {"owner": "a", "ttl_ms": 900}, None)
    record.nemesis(3 * S, "clock", monotonic=3 * S, wall=3 * S)
    (group,) = board(record.history(), valid("nothing"), 3 * S).groups
    assert group.lanes[0].endless == S


def test_keys_set_twice_have_a_group_each_and_three_beside_locks() -> None:
    keys, locks = objects(5), many_locks(2)
    judged = twice_won(keys)
    assert sum(group.unit == "winners" for group in board(keys, judged, S).groups) == 5
    both = together(keys, locks)
    drawn = layout(both, twice_won(both), TITLE)
    assert sum(group.unit == "winners" for group in drawn.board.groups) == 3
    assert "won" in said(drawn)
    assert "2 winners" in said(drawn)
    assert [group.unit for group in drawn.board.groups] == ["winners"] * 3 + ["entitled"] * 2
    assert unreadable(drawn) == []


def test_a_run_without_locks_has_a_group_for_each_kind_of_keys() -> None:
    both = together(objects(5), objects(1, f="increment", kind="counter"))
    drawn = layout(both, valid("nothing"), TITLE)
    assert [group.name for group in drawn.board.groups] == ["t1-counter-0", "5 dedup keys"]
    assert unreadable(drawn) == []


def test_long_texts_are_cut_or_broken_and_never_clipped() -> None:
    record = Recorder()
    key = "tenant:" + "a-very-long-name-of-a-lock-" * 12
    record.call(S, S + MS, 0, "try_acquire", key, {"owner": "a", "ttl_ms": 900}, {"granted": True})
    record.nemesis(S, "role", node="node-" * 40, role="primary", epoch=0, run_id="a")
    record.nemesis(2 * S, "mischief", id=1, phase="begin", targets=["a -> " + "b" * 300])
    record.nemesis(2 * S, "mischief", id=1, phase="active", targets=["a -> " + "b" * 300], probe={"state": "c" * 200})
    history = record.history()
    of = layout(history, valid("nothing"), Title("A finding that is said in far too many words " * 8, "and a subtitle " * 40))
    assert unreadable(of) == []


ODD: dict[str, History] = {
    "empty": History(()),
    "no faults": many_locks(2),
    "one operation": many_locks(1, clients=1),
    "only a header": History((), Header(concurrency=8)),
}


def _only_fails() -> History:
    record = Recorder()
    for n in range(200):
        argument = {"owner": str(n), "ttl_ms": 9}
        record.call(n * MS, n * MS + 1, n % 4, "try_acquire", "lock", argument, None, type="fail", error="refused")
    return record.history()


def _unanswered() -> History:
    record = Recorder()
    record.call(S, None, 0, "try_acquire", "lock", {"owner": "a", "ttl_ms": 900}, None)
    return record.history()


def _foreign() -> History:
    operations = [("write", 1, 1), ("read", None, 1), ("cas", [1, 2], True)]
    events = []
    for n, (f, argument, result) in enumerate(operations):
        events.append(Event(index=2 * n, time=2 * n, process=n, type="invoke", f=f, value=argument))
        events.append(Event(index=2 * n + 1, time=2 * n + 1, process=n, type="ok", f=f, value=result))
    return History(tuple(events))


def _mutex() -> History:
    record = Recorder()
    for n, f in enumerate(("acquire", "release")):
        record.call(n * S, n * S + MS, 0, f, None, None, None)
    return record.history()


def _hostile() -> History:
    record = Recorder()
    for key in ("$x_1$", "\N{PILE OF POO}\n\t\x07", "", "漢字" * 50):
        record.call(S, S + MS, len(key), "try_acquire", key, {"owner": "a", "ttl_ms": 900}, {"granted": True})
    return record.history(concurrency=1000)


def _without_owner() -> History:
    record = Recorder()
    record.call(S, S + MS, 0, "try_acquire", "lock", {}, {"granted": True})
    return record.history()


def _many_faults() -> History:
    record = Recorder()
    for n in range(12):
        for phase, at in (("begin", 0), ("active", 1), ("healing", 5), ("healed", 6)):
            value = {"id": n, "phase": phase, "targets": [f"redis-{n % 3}"], "probe": {"state": "dead"}}
            record.nemesis((4 * n + at) * S, "kill", **value)
    return record.history()


ODD |= {
    "only fails": _only_fails(),
    "an acquisition without end": _unanswered(),
    "a foreign register, times that count events": _foreign(),
    "a foreign mutex": _mutex(),
    "hostile names": _hostile(),
    "a lock without owners": _without_owner(),
    "twelve overlapping faults": _many_faults(),
    "only a nemesis": History(tuple(event for event in split_brain().events if event.process == NEMESIS)),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_histories_are_drawn(name: str, tmp_path: Path) -> None:
    draw(ODD[name], unknown("odd"), tmp_path / "timeline.png", TITLE)
    assert unreadable(layout(ODD[name], unknown("odd"), TITLE)) == []


@pytest.mark.parametrize("kind", ["lost-early", "spurious-refusal", "fencing", "stuck", "a-new-kind"])
def test_other_violations_are_marked_on_the_lane_of_the_contradicting_operation(kind: str) -> None:
    history = many_locks(1)
    last = history.operations()[-1]
    judged = invalid("odd", [Anomaly(kind, "lock-0", (0, last.index), last.start, "it contradicts")])
    of = layout(history, judged, TITLE)
    (seen,) = of.board.groups[0].seen
    assert (seen.slot, seen.word) == (2, kind.replace("-", " "))
    assert kind.replace("-", " ") in said(of)


def test_a_violation_is_marked_on_the_lane_of_who_did_what_it_is_seen_by_at_that_time() -> None:
    record = Recorder()
    for n, process in enumerate((0, 1, 2, 3)):
        held = {"owner": f"{process}-1", "ttl_ms": 9_000}
        record.call((n + 1) * S, (n + 1) * S + MS, process, "try_acquire", "lock", held, {"granted": True})
    judged = invalid("odd", [Anomaly("extra-holders", "lock", (0, 2, 4, 6), 3 * S + MS, "too many")])
    (seen,) = layout(record.history(), judged, TITLE).board.groups[0].seen
    assert (seen.slot, seen.at) == (2, 3 * S + MS)


def test_wrong_keys_without_room_share_a_strip_that_counts_them() -> None:
    record, found = Recorder(), []
    for n in range(20):
        record.call((n + 1) * S, (n + 1) * S + MS, n % 8, "get", f"t1-dedup-{n}", {}, {"value": None})
        found.append(Anomaly("dedup-lost", f"t1-dedup-{n}", (2 * n,), (n + 1) * S, "gone"))
    of = layout(record.history(), invalid("odd", found[:15]), TITLE)
    (strip,) = of.board.strips
    assert (len(of.board.groups), strip.lanes[0].label, len(strip.lanes[0].ok)) == (8, "12 dedup keys (7 wrong)", 12)


def test_an_anomaly_of_no_known_key_still_has_its_flag() -> None:
    judged = invalid("odd", [Anomaly("stuck", "elsewhere", (), 5 * MS, "it contradicts")])
    assert "stuck, at 0.005 s" in said(layout(many_locks(1), judged, TITLE))


def test_drawing_does_not_import_pyplot(quiet: tuple[History, Verdict], tmp_path: Path) -> None:
    source = Path(marks.__file__).read_text("utf-8")
    assert "import matplotlib.pyplot" not in source
    assert "\nimport matplotlib" not in source


def test_board_of_an_empty_history_is_empty() -> None:
    assert board(History(()), unknown("nothing"), S) == Board((), (), ())
