"""Histories that others recorded: how they are read, and that their verdicts are known ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.checkers.linearizable import linearizable
from harness.checks import judge
from harness.foreign import load_edn, load_porcupine, read
from harness.history import NEMESIS, MalformedHistory
from harness.models import MODELS
from harness.verdict import Status

REAL = Path(__file__).parents[2] / "shared/histories"
INDEX = REAL / "INDEX.tsv"
LINES = [line.split("\t") for line in INDEX.read_text().splitlines()[1:]] if INDEX.is_file() else []

SMALL = REAL / "small"
ANSWERS = [line.split("\t") for line in (SMALL / "INDEX.tsv").read_text().splitlines()[1:]] if (SMALL / "INDEX.tsv").is_file() else []
NOT_YET = ("-ttl-", "no-ttl", "reentrant")
"""What no model can say yet: keys that expire, locks that do not, re-entrance."""


def file(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.skipif(not LINES, reason="the histories of Jepsen and Knossos are not beside the repository (../shared/histories)")
def test_every_real_history_is_judged() -> None:
    there = {str(path.relative_to(REAL)) for path in REAL.glob("*/*") if path.suffix in (".log", ".edn") and path.parent != SMALL}
    assert {line[0] for line in LINES} == there


@pytest.mark.parametrize(
    ("name", "form", "model", "verdict"),
    LINES or [pytest.param("", "", "", "", marks=pytest.mark.skip(reason="no ../shared/histories beside the repository"))],
    ids=lambda value: value,
)
def test_a_real_history_has_its_known_verdict(name: str, form: str, model: str, verdict: str) -> None:
    found = linearizable(MODELS[model])(read(REAL / name, form))
    assert found.status is Status[verdict.upper()]


def answer(name: str, right: str) -> Any:
    """Give a case: the file, and the words that one of must be its answer."""
    word = "valid" if right.startswith(("valid", "as with")) else right.split()[0]
    marks = [pytest.mark.xfail(reason="no model for it yet")] if any(part in name for part in NOT_YET) else []
    return pytest.param(name, word, marks=marks, id=name)


@pytest.mark.parametrize(
    ("name", "word"),
    [answer(name, right) for name, right, *_ in ANSWERS]
    or [pytest.param("", "", marks=pytest.mark.skip(reason="no ../shared/histories/small beside the repository"))],
)
def test_an_input_that_was_once_answered_wrongly_has_its_right_answer(name: str, word: str) -> None:
    try:
        said = str(judge(read(SMALL / name), None, 60).status)
    except MalformedHistory:
        said = "refused"
    assert said == word


ETCD = """INFO  jepsen.core - Worker 0 starting
INFO  jepsen.util - 0\t:invoke\t:cas\t[3 0]
INFO  jepsen.util - 1   :invoke :write  4
INFO  jepsen.util - 0\t:fail\t:cas\t[3 0]
INFO  jepsen.util - 1   :info   :write  :timed-out
INFO  jepsen.util - 0\t:invoke\t:read\tnil
INFO  jepsen.util - 0\t:ok\t:read\t4
INFO  jepsen.util - 0\t:invoke\t:read\tnil
INFO  jepsen.util - 0\t:fail\t:read\t:timed-out
"""


def test_in_an_etcd_log_a_failed_cas_is_an_answer(tmp_path: Path) -> None:
    cas, write, first, second = load_porcupine(file(tmp_path, "etcd.log", ETCD)).operations()
    assert (cas.status, cas.argument, cas.result) == ("ok", [3, 0], False)
    assert (write.status, write.argument, write.result) == ("info", 4, None)
    assert (first.status, first.result) == ("ok", 4)
    assert second.status == "fail"


def test_an_etcd_log_counts_its_events_as_time(tmp_path: Path) -> None:
    events = load_porcupine(file(tmp_path, "etcd.log", ETCD)).events
    assert [event.time for event in events] == [event.index for event in events] == list(range(8))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("INFO  jepsen.util - 0\t:invoke\t:write\tx1", r"etcd.log:10: value 'x1'"),
        ("INFO  jepsen.util - 5\t:ok\t:read\t1", r"etcd.log:10: process 5 completes read without an invocation"),
        ("INFO  jepsen.util - 1\t:invoke\t:read\tnil", r"etcd.log:10: process 1 invokes read after an info retired it"),
    ],
)
def test_an_etcd_log_that_does_not_fit_is_refused_with_its_line(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(MalformedHistory, match=reason):
        load_porcupine(file(tmp_path, "etcd.log", f"{ETCD}{line}\n"))


def test_a_file_without_operations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedHistory, match="no operation in it"):
        load_porcupine(file(tmp_path, "empty.log", "nothing\n"))
    with pytest.raises(MalformedHistory, match="no operation in it"):
        load_edn(file(tmp_path, "empty.edn", "[]"))


OPERATIONS = """{:process 0, :type :invoke, :f :write, :value 1}
{:process 0, :type :ok, :f :write, :value 1} ; a comment, with a ; in it
{:process :nemesis, :type :info, :f :start, :value "cut \\"n1\\" off", :time nil}
{:process 1, :type :invoke, :f :cas, :value [1 2]}
{:process 2, :type :invoke, :f :cas, :value [3 4]}
{:process 1, :type :ok, :f :cas, :value [1 2]}
{:process 2, :type :fail, :f :cas, :value [3 4], :error {:cause #{:a :b}, :of (1.5 -2N \\c)}}
{:process 3, :type :invoke, :f :read, :value nil}
{:process 3, :type :ok, :f :read, :value nil, :link #inst "2015-01-01"}
"""


@pytest.mark.parametrize(("before", "after"), [("", ""), ("[", "]"), ("(", ")"), ("; a history\n\n[", "\n]\n")])
def test_edn_is_one_map_a_line_or_one_vector_or_list(tmp_path: Path, before: str, after: str) -> None:
    history = load_edn(file(tmp_path, "h.edn", before + OPERATIONS + after))
    write, swapped, failed, seen = history.operations()
    assert (write.status, write.argument, write.result) == ("ok", 1, 1)
    assert (swapped.argument, swapped.result) == ([1, 2], True)
    assert (failed.status, failed.result) == ("fail", None)
    assert (seen.status, seen.result) == ("ok", None)
    assert [(event.f, event.value) for event in history.events if event.process == NEMESIS] == [("start", 'cut "n1" off')]


def test_a_completed_read_of_nil_is_an_observation_of_null(tmp_path: Path) -> None:
    assert linearizable(MODELS["register"])(load_edn(file(tmp_path, "h.edn", OPERATIONS))).status is Status.INVALID


def test_edn_times_are_kept_where_every_operation_has_one(tmp_path: Path) -> None:
    timed = """{:process 0, :type :invoke, :f :read, :value nil, :time 70}
        {:process :nemesis :type :info :f :x}
        {:process 0, :type :ok, :f :read, :value 3, :time 90}"""
    assert [event.time for event in load_edn(file(tmp_path, "h.edn", timed)).events] == [70, 70, 90]
    assert [event.time for event in load_edn(file(tmp_path, "h.edn", timed.replace(", :time 90", ""))).events] == [0, 1, 2]
    assert [event.time for event in load_edn(file(tmp_path, "h.edn", timed.replace("90", "60"))).events] == [0, 1, 2]


def test_a_mutex_history_of_knossos_is_read(tmp_path: Path) -> None:
    text = "".join(f"{{:process {p} :type :{kind} :f :acquire :value nil}}\n" for p in (1, 2) for kind in ("invoke", "ok"))
    assert linearizable(MODELS["mutex"])(load_edn(file(tmp_path, "h.edn", text))).status is Status.INVALID


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{:process 0 :type :invoke :f :read}\n{:process 0 :type :ok", r"h.edn:2: the end, expected a value"),
        ("{:process 0 :type :invoke :f :read}\n\n{:process 0 :type :done :f :read}", r"h.edn:3: :type :done, expected :invoke"),
        ("{:process true :type :invoke :f :read}", r"h.edn:1: :process true, expected a number"),
        ("[1 2]", r"h.edn:1: 1, expected a map"),
        ("{:process 0 :type}", r"h.edn:1: a map with a key and no value"),
        ('{:process 0 :type "open', r"h.edn:1: .* is no EDN"),
        (
            "[{:process 0 :type :invoke :f :read}\n{:process 0 :type :invoke :f :read}]",
            r"h.edn:2: process 0 invokes read while its read is open",
        ),
        ("[{:process 0 :type :invoke :f :read}", r"h.edn:1: the end, expected"),
    ],
)
def test_edn_that_does_not_fit_is_refused_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(MalformedHistory, match=reason):
        load_edn(file(tmp_path, "h.edn", text))


def test_the_format_follows_from_the_name(tmp_path: Path) -> None:
    assert len(read(file(tmp_path, "h.edn", OPERATIONS)).events) == 9
    assert len(read(file(tmp_path, "h.log", ETCD)).events) == 8
    assert read(file(tmp_path, "h.txt", OPERATIONS), "edn").events == load_edn(tmp_path / "h.txt").events
    ours = '{"index":0,"time":0,"process":0,"type":"invoke","f":"read","value":null}\n'
    assert len(read(file(tmp_path, "h.jsonl", ours)).events) == 1
    with pytest.raises(ValueError, match="unknown format 'xml'"):
        read(tmp_path / "h.edn", "xml")
