"""The history's format: what is read, what is refused with its line, how trials are told apart."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trials import failover_trial

from harness.judging.checkers.extra_holders import extra_holders
from harness.judging.checkers.fencing import fencing
from harness.judging.checkers.late_grant import late_grant
from harness.judging.checkers.lease import lease
from harness.judging.checkers.survival import attempted_while_cut, survival
from harness.judging.gates import exposure, validity
from harness.record.clock import clock_sane
from harness.record.format import content, dump, encode, load, parse
from harness.record.history import Event, Header, History, MalformedHistory
from reports import scene
from workloads.acquire.bound import acquire_bound

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def event(index: int, type_: str = "invoke", process: int | str = 0, **more: Any) -> Event:
    given = {"f": "get", "key": "k", "value": {}, "time": index * 10, **more}
    return Event(index=index, process=process, type=type_, **given)  # type: ignore[arg-type]


def lines(*items: Event | Header | str) -> bytes:
    return b"".join(item.encode() + b"\n" if isinstance(item, str) else encode(item) for item in items)


def mark(index: int, n: int, phase: str, **more: Any) -> Event:
    return event(index, "info", "nemesis", f="trial", key=None, value={"n": n, "phase": phase, **more})


@given(st.lists(st.tuples(values, values, st.sampled_from(["ok", "fail", "info"])), max_size=6), st.booleans())
@settings(max_examples=100, deadline=None)
def test_what_is_dumped_is_loaded_as_it_was(tmp_path_factory: pytest.TempPathFactory, drawn: list[Any], complete: bool) -> None:
    events = []
    for n, (argument, result, type_) in enumerate(drawn):
        process = n  # an info retires its process
        events += [
            event(2 * n, process=process, value=argument),
            event(2 * n + 1, type_, process, value=result, node="a", error=None if type_ == "ok" else "why"),
        ]
    history = History(tuple(events), Header(seed=7, sides={"0": "clients-a"}), complete)
    path = tmp_path_factory.mktemp("history") / "history.jsonl"
    dump(history, path)
    assert load(path) == history


def test_any_prefix_of_a_history_is_one() -> None:
    data = lines(Header(seed=1), event(0), event(1, "ok"), event(2))
    for end in range(len(data) + 1):
        assert len(parse(data[:end]).events) <= 3


def test_a_torn_last_line_is_dropped_and_said() -> None:
    history = parse(lines(event(0)) + b'{"index": 1, "ti')
    assert (len(history.events), history.torn, history.complete) == (1, True, False)


def test_the_end_mark_makes_a_history_complete() -> None:
    assert parse(lines(event(0), '{"end": true}')).complete


BAD = {
    "a field that is unknown": ('{"index": 1, "time": 9, "process": 0, "type": "ok", "f": "get", "value": null, "odd": 1}', "odd"),
    "no JSON": ("{", "line"),
    "an index that falls": (encode(event(0, "ok")).decode().strip(), "index 0 after 0"),
    "a completion without an invocation": (encode(event(1, "ok", 5)).decode().strip(), "process 5 completes get without an invocation"),
    "another key": (encode(event(1, "ok", key="other")).decode().strip(), "expected get on 'k'"),
    "a second invocation": (encode(event(1)).decode().strip(), "while its get is open"),
    "a process with a strange name": (encode(event(1, process="someone")).decode().strip(), "someone"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_malformed_line_is_refused_with_its_number(what: str) -> None:
    line, said = BAD[what]
    with pytest.raises(MalformedHistory) as raised:
        parse(lines(event(0), line, event(7, process=3)), "h.jsonl")
    assert raised.value.line == 2
    assert said in str(raised.value) or what == "no JSON"


def test_another_format_is_refused() -> None:
    with pytest.raises(MalformedHistory, match="format 2, expected 1"):
        parse(b'{"holdwater": 2}\n')


def test_an_invocation_after_an_info_is_refused() -> None:
    with pytest.raises(MalformedHistory, match="after an info retired it"):
        parse(lines(event(0), event(1, "info", value=None), event(2)))


def test_an_info_and_an_open_invocation_may_yet_take_effect() -> None:
    first, second = parse(lines(event(0), event(1, "info", value=None), event(2, process=1))).operations()
    assert (first.status, first.end, first.gave_up) == ("info", None, 10)
    assert (second.status, second.end, second.gave_up) == ("info", None, None)


def test_a_trial_lasts_until_the_next_begins() -> None:
    marks = [mark(0, 1, "begin"), mark(1, 1, "settled"), event(2), event(3, "ok"), mark(4, 2, "begin"), event(5), event(6, "ok")]
    first, second = parse(lines(*marks)).trials()
    assert ([each.index for each in first.history.operations()], first.history.complete) == ([2], True)
    assert ([each.index for each in second.history.operations()], second.history.complete) == ([5], False)


def test_a_void_trial_says_why() -> None:
    (trial,) = parse(lines(mark(0, 1, "begin"), mark(1, 1, "void", reason="node-2 became primary"))).trials()
    assert trial.void == "node-2 became primary"


def test_a_history_without_trials_is_one_trial() -> None:
    (trial,) = parse(lines(event(0), event(1, "ok"))).trials()
    assert trial.n == 0
    assert len(trial.history.events) == 2


def test_a_recorded_line_is_plain_json() -> None:
    assert json.loads(encode(event(0, value={"owner": "3-17"})))["value"] == {"owner": "3-17"}


def test_a_file_that_is_missing_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere.jsonl")


# What is at the edges of a file and of its numbers


def test_a_last_line_that_is_whole_counts_without_its_line_end() -> None:
    whole = lines(event(0), event(1, "ok"))
    history = parse(whole[:-1])
    assert (history, history.torn) == (parse(whole), False)
    assert parse(lines(event(0), '{"end":true}')[:-1]).complete


def test_a_last_line_that_is_whole_and_no_event_is_refused() -> None:
    with pytest.raises(MalformedHistory, match=r"h:2: .*missing required field"):
        parse(lines(event(0)) + b'{"index":1}', "h")


def test_a_last_line_cut_off_inside_of_a_character_is_torn() -> None:
    data = lines(event(0), event(1, "ok", value="ü"))
    assert parse(data[: data.index("ü".encode()) + 1]).torn


@pytest.mark.parametrize("last", [b"nonsense", b"]", b"\xff", b"7"])
def test_a_last_line_that_no_event_begins_with_is_refused(last: bytes) -> None:
    with pytest.raises(MalformedHistory, match=r"h:2: "):
        parse(lines(event(0)) + last, "h")


HEADERS = {
    '"clock_bound_ms":-1': "clock_bound_ms -1, expected milliseconds, 0 or more",
    '"clock_bound_ms":"5"': "Expected `int | null`, got `str`",
    '"concurrency":0': "concurrency 0, expected 1 or more",
    '"concurrency":-3': "concurrency -3, expected 1 or more",
    f'"concurrency":{2**70}': "concurrency .*, expected 1 or more",
    '"concurrency":2,"sides":{"2":"a"}': "sides of slot '2', expected a number of a slot below 2",
    '"sides":{"x":"a"}': "sides of slot 'x', expected a number of a slot",
    '"sides":{"-1":"a"}': "sides of slot '-1'",
    '"sides":{"01":"a"}': "sides of slot '01'",
    '"sides":{"1":""}': "side '' of slot 1, expected a name",
    '"sides":{"1":null}': "Expected `str`, got `null`",
    '"options":{"x":' + "[" * 5000: "nested deeper than 100",
}


@pytest.mark.parametrize("field", HEADERS)
def test_a_header_out_of_range_is_refused(field: str) -> None:
    with pytest.raises(MalformedHistory, match=f"h:1: {HEADERS[field]}"):
        parse(f'{{"holdwater":1,{field}}}\n'.encode() + lines(event(0)), "h")


@pytest.mark.parametrize(
    "more", [{"index": 2**63}, {"index": 1, "time": 2**63}, {"index": 1, "process": 2**63}, {"index": -1}, {"index": 1, "time": -1}]
)
def test_a_number_beyond_64_bits_is_refused(more: dict[str, int]) -> None:
    raw = {"index": 1, "time": 9, "process": 1, "type": "invoke", "f": "get", "value": None, **more}
    with pytest.raises(MalformedHistory, match=r"h:2: .*expected"):
        parse(lines(event(0), json.dumps(raw)), "h")


@pytest.mark.parametrize(
    "value",
    [
        "[" * 101 + "]" * 101,
        '{"a":' * 101 + "1" + "}" * 101,
        "[" * 5000 + "]" * 5000,
        "[" * 90_000,
        "NaN",
        "1e999",
        "9" * 5000,
        '"\\ud800"',
    ],
)
def test_a_value_that_cannot_be_held_is_refused_with_its_line(value: str) -> None:
    with pytest.raises(MalformedHistory, match=r"h:2: "):
        parse(lines(event(0), f'{{"index":1,"time":9,"process":1,"type":"invoke","f":"write","value":{value}}}', event(7, process=3)), "h")


@pytest.mark.parametrize(
    ("more", "twice"),
    [
        ('"f":"set","value":1', "f"),
        ('"value":{"a":1,"b":{},"a":1}', "a"),
        (r'"value":{"a":1,"\u0061":2}', "a"),
        ('"value":[{"x":{"q" :1,"q":2}}]', "q"),
    ],
)
def test_a_field_that_an_object_has_twice_is_refused(more: str, twice: str) -> None:
    with pytest.raises(MalformedHistory, match=f"h:2: field '{twice}' twice in one object"):
        parse(lines(event(0), f'{{"index":1,"time":9,"process":1,"type":"invoke","f":"get",{more}}}'), "h")
    with pytest.raises(MalformedHistory, match="h:1: field 'seed' twice"):
        parse(b'{"holdwater":1,"seed":1,"seed":1}\n', "h")


def test_one_name_in_two_objects_is_no_twin() -> None:
    value = {"value": {"value": [{"value": '"value":1,"value":2'}]}}
    assert parse(lines(event(0, value=value))).events[0].value == value


def test_large_numbers_stay_exact() -> None:
    read = [parse(lines(event(0, value=value))).events[0].value for value in (2**70, 2**70 + 1, -(2**70))]
    assert read == [2**70, 2**70 + 1, -(2**70)]


@given(st.binary(max_size=60) | st.text('{}[]":,\n\r01aé', max_size=60).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_history_or_refused_with_their_line(data: bytes) -> None:
    try:
        parse(data, "h")
    except MalformedHistory as error:
        assert error.line is not None  # noqa: PT017 - reading them is right too


def test_an_error_that_knows_its_event_is_given_its_line_in_every_part_of_the_history() -> None:
    marks = [mark(0, 1, "begin"), mark(10, 2, "begin")]
    history = parse(lines(Header(seed=1), marks[0], event(1), event(2, "ok"), marks[1], event(11), event(12, "ok")), "h.jsonl")
    for trial, index, line in [(0, 2, 4), (1, 12, 7)]:
        with pytest.raises(MalformedHistory, match=f"h.jsonl:{line}: odd"), history.trials()[trial].history.lines_named():
            raise MalformedHistory("odd", event=index)


# What other tools' nemeses record

ODD: list[Any] = [
    None,
    "cut",
    7,
    [],
    ["begin"],
    {},
    {"phase": None},
    {"phase": "begin"},
    {"n": "1", "phase": "begin"},
    {"phase": ["begin"]},
]
ODD += [
    {"phase": "begin", "targets": 3},
    {"phase": "begin", "targets": [None]},
    {"phase": "begin", "id": []},
    {"phase": "active", "probe": "x"},
]
ODD += [
    {"node": None, "role": "primary"},
    {"node": "n1"},
    {"node": [], "role": {}},
    {"monotonic": 1},
    {"monotonic": "1", "wall": 2},
    {"late_ms": "3"},
]
ODD += [{"monotonic": True, "wall": 2**80}, {"late_ms": 1e300}, {"owners": []}, {"key": "k", "owners": None}, {"void": True}]


READERS: list[Callable[[History], Any]] = [lease, fencing, acquire_bound, extra_holders, survival, attempted_while_cut, validity, exposure]
READERS += [
    clock_sane,
    scene.window,
    lambda each: (each.faults, each.roles, each.owners, each.clocks, each.overslept, each.marks, each.first_act),
    lambda each: scene.nodes(each, 9),
    lambda each: late_grant(each, 10**9),
]


@pytest.mark.parametrize("f", ["trial", "role", "clock", "lag", "observer", "isolate-primary", "kill", "start"])
def test_events_of_another_nemesis_are_read_by_nobody_and_raise_nowhere(f: str) -> None:
    good = failover_trial("lock")
    plain = good.history()
    for value in ODD:
        script = failover_trial("lock")
        script.nemesis(2000, f, value)
        history = script.history()
        others = [each for each in history.nemesis() if each.time != 2_000_000_000]
        assert [each.f for each in others] == [each.f for each in plain.nemesis()]
        assert len(history.trials()) == 1
        for read in READERS:
            read(history)


@pytest.mark.parametrize("value", [None, "begin", {"phase": "begin"}, {"n": None, "phase": "begin"}, {"n": 1}])
def test_a_mark_of_another_tool_hides_no_operation(value: Any) -> None:
    odd = event(5, "info", "nemesis", f="trial", key=None, value=value)
    (trial,) = parse(lines(event(0), event(1, "ok"), odd, event(6), event(7, "ok"))).trials()
    assert [each.index for each in trial.history.operations()] == [0, 6]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_more_than_a_history_can_be_is_refused_packed_or_not(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "h.jsonl"
    path.write_bytes(pack(b"a" * 1000))
    assert content(path, 1000) == b"a" * 1000
    with pytest.raises(MalformedHistory, match="more than 999 bytes, expected a history"):
        content(path, 999)


def test_a_file_without_end_is_not_read_for_ever() -> None:
    with pytest.raises(MalformedHistory, match="more than 1,000 bytes"):
        content(Path("/dev/zero"), 1000)


GOOD = b'{"index":0,"time":0,"process":0,"type":"invoke","f":"read","value":null}\n'


@pytest.mark.parametrize("tail", [b"{", b' {"index":4', b'{"index":1,"ti', b'{"end":tr', b'{"end":true}'])
def test_nothing_stands_behind_the_end_mark_cut_off_or_whole(tail: bytes) -> None:
    with pytest.raises(MalformedHistory, match="history:3: a line after the end mark"):
        parse(GOOD + b'{"end":true}\n' + tail)


@pytest.mark.parametrize("mark", [b'{"end":true}', b'{"end": true}', b'{ "end" :\ttrue }', b'{"end":true}\r'])
def test_an_end_mark_is_told_by_what_it_says(mark: bytes) -> None:
    assert parse(GOOD + mark + b"\n").complete


@pytest.mark.parametrize("line", [b'{"e n d":t r u e}', b'{"end":false}', b'{"end":true,"more":1}', b'{"end":1}'])
def test_what_only_looks_like_an_end_mark_is_none(line: bytes) -> None:
    with pytest.raises(MalformedHistory):
        parse(GOOD + line + b"\n" + GOOD)


def test_a_torn_last_line_may_begin_with_blanks() -> None:
    found = parse(GOOD + b'  {"index":4')
    assert (found.torn, found.complete, len(found.events)) == (True, False, 1)
