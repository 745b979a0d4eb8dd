"""The history's format: what is read, what is refused with its line, how trials are told apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.history import Event, Header, History, MalformedHistory, dump, encode, load, parse

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
