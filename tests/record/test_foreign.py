"""Histories that others recorded: how they are read, and that their verdicts are known ones."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.judging.checkers.linearizable import linearizable
from harness.judging.checks import judge
from harness.judging.models import MODELS
from harness.judging.verdict import Status
from harness.record.foreign import form_of, load_edn, load_porcupine, read
from harness.record.history import NEMESIS, Event, History, MalformedHistory

REAL = Path(__file__).parents[3] / "shared/histories"
INDEX = REAL / "INDEX.tsv"
LINES = [line.split("\t") for line in INDEX.read_text().splitlines()[1:]] if INDEX.is_file() else []

SMALL = REAL / "small"
ANSWERS = [line.split("\t") for line in (SMALL / "INDEX.tsv").read_text().splitlines()[1:]] if (SMALL / "INDEX.tsv").is_file() else []
NOT_YET = ("no-ttl", "reentrant")
"""What no model can say yet: locks that do not expire, re-entrance."""


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


OURS = """{"index":3,"time":1,"process":0,"type":"invoke","f":"write","key":"a","value":1}
{"index":7,"time":2,"process":0,"type":"ok","f":"write","key":"a","value":"é"}
{"end":true}
"""
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
    assert len(read(file(tmp_path, "h.jsonl", OURS)).events) == 2
    with pytest.raises(ValueError, match="unknown format 'xml'"):
        read(tmp_path / "h.edn", "xml")


@pytest.mark.parametrize("write", [b"%s", b"\xef\xbb\xbf%s"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", ["h.edn", "h.log", "h.jsonl"])
def test_line_ends_byte_order_mark_and_gzip_change_nothing(tmp_path: Path, name: str, pack: Any, ends: bytes, write: bytes) -> None:
    plain = file(tmp_path, name, {"h.edn": OPERATIONS, "h.log": ETCD, "h.jsonl": OURS}[name])
    other = tmp_path / f"other-{name}"
    other.write_bytes(pack(write % plain.read_bytes().replace(b"\n", ends)))
    assert read(other) == read(plain)


def test_gz_behind_a_name_hides_no_format(tmp_path: Path) -> None:
    assert [form_of(tmp_path / name) for name in ("h.edn.gz", "h.log.gz", "h.jsonl.gz", "h.gz")] == ["edn", "porcupine", "jsonl", "jsonl"]


@pytest.mark.parametrize("name", ["h.edn", "h.log", "h.jsonl"])
def test_gzip_that_breaks_off_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(OPERATIONS.encode())[:-9])
    with pytest.raises(MalformedHistory, match="gzip that cannot be unpacked"):
        read(path)


@pytest.mark.parametrize("name", ["h.edn", "h.log", "h.jsonl"])
def test_bytes_that_are_not_utf8_are_refused_with_their_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b'\n{"a": "\xff"}\n\n')
    with pytest.raises(MalformedHistory, match=f"{name}:2: byte 0xff is not UTF-8"):
        read(path)


@pytest.mark.parametrize("name", ["h.edn", "h.log", "h.jsonl"])
def test_every_event_has_its_line(tmp_path: Path, name: str) -> None:
    path = file(tmp_path, name, "\n\n" + {"h.edn": OPERATIONS, "h.log": ETCD, "h.jsonl": OURS}[name])
    history = read(path)
    assert history.lines is not None
    text = path.read_text().split("\n")
    found = [text[(history.lines.number(event.index) or 0) - 1] for event in history.events]
    assert all(event.f in line and str(event.process) in line for event, line in zip(history.events, found, strict=True))
    assert history.lines.number(99) is None


# Porcupine's lines


@pytest.mark.parametrize(
    "line",
    [
        "INFO  jepsen.util - 0\t:invok\t:read\tnil",
        "INFO [2020-01-01 00:00:00,123] jepsen worker 0 - jepsen.util 0\t:invok\t:read\tnil",
        "INFO  jepsen.util - 7 :invoke 0\t:ok\t:read\tnil",
        "INFO  jepsen.util - 0\t:invoke\t:raed\tnil",
        "INFO  jepsen.util - 0\tinvoke\tread\tnil",
        "INFO  jepsen.util - x\t:invoke\t:read\tnil",
        "INFO  jepsen.util - -1\t:invoke\t:read\tnil",
        "INFO  jepsen.util - 0\t:invoke\t:read",
        "INFO  jepsen.util - 0\t:Invoke\t:read\tnil",
        "INFO  jepsen.util - :invoke\t:read\tnil",
        "0 :ok",
        "INFO  jepsen.util - 0\t:invoke\t:write\tnil",
        "INFO  jepsen.util - 0\t:invoke\t:write\t[1 2]",
        "INFO  jepsen.util - 0\t:invoke\t:write\t007",
        "INFO  jepsen.util - 0\t:invoke\t:cas\t3",
        "INFO  jepsen.util - 0\t:invoke\t:cas\t[1 nil]",
        "INFO  jepsen.util - 0\t:invoke\t:read\t3",
        "INFO  jepsen.util - 0\t:invoke\t:read\tnil ; why",
        f"INFO  jepsen.util - {'9' * 30}\t:invoke\t:read\tnil",
    ],
)
def test_a_log_line_that_looks_like_an_operation_and_is_none_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(MalformedHistory, match=r"h.log:2: .*expected"):
        load_porcupine(file(tmp_path, "h.log", f"INFO  jepsen.util - 7\t:invoke\t:read\tnil\n{line}\n"))


@pytest.mark.parametrize("reason", [":timed-out", "[1 2]"])
def test_a_failed_cas_of_a_log_is_an_answer_only_where_it_names_its_values(tmp_path: Path, reason: str) -> None:
    path = file(tmp_path, "h.log", f"0\t:invoke\t:cas\t[1 2]\n0\t:fail\t:cas\t{reason}\n")
    if reason == "[1 2]":
        assert load_porcupine(path).operations()[0].result is False
    else:
        with pytest.raises(MalformedHistory, match=r"h.log:2: value ':timed-out' of :fail :cas, expected \[expected new\]"):
            load_porcupine(path)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "INFO  jepsen.core - Worker 0 starting",
        "INFO [2020-01-01 00:00:00,123] jepsen nemesis - jepsen.util :nemesis\t:info\t:start\tnil",
        "INFO  jepsen.core - {:valid? true, :count 3}",
        "INFO  jepsen.util - :nemesis\t:info\t:start\tnil",
        "WARN  a.b - 3 tries, ok now",
        "0 of 5",
    ],
)
def test_a_log_line_that_is_no_operation_is_skipped(tmp_path: Path, line: str) -> None:
    assert len(load_porcupine(file(tmp_path, "h.log", f"{line}\n0\t:invoke\t:read\tnil\n{line}\n")).events) == 1


def test_a_number_of_5000_digits_in_a_log_is_read_exactly(tmp_path: Path) -> None:
    one, other = (
        load_porcupine(file(tmp_path, "h.log", f"0\t:invoke\t:write\t{'1' * 4999}{last}\n")).events[0].value for last in ("1", "2")
    )
    assert one != other


# Jepsen's operations


def ops(*operations: str) -> str:
    """Give operations, each `process type f value` and more fields, as lines of EDN."""
    lines = []
    for operation in operations:
        process, kind, f, value = operation.split(" ", 3)
        lines.append(f"{{:process {process}, :type :{kind}, :f :{f}, :value {value}}}\n")
    return "".join(lines)


def judged(tmp_path: Path, text: str, model: str = "register", **told: Any) -> Status:
    return linearizable(MODELS[model])(load_edn(file(tmp_path, "h.edn", text), **told)).status


def test_a_discarded_operation_did_not_happen(tmp_path: Path) -> None:
    text = ops("0 invoke write 4", "0 ok write 4", "1 invoke read nil", "1 ok read 4")
    for discarded in (f"#_{ops('0 invoke write 5')}", "#_#_ {:a #_ 1 2} [3]\n", "#_ nonsense "):
        assert judged(tmp_path, discarded + text + discarded) is Status.VALID


def test_a_keyword_and_a_string_are_two_values(tmp_path: Path) -> None:
    assert judged(tmp_path, ops("0 invoke write :up", "0 ok write :up", "1 invoke read nil", '1 ok read "up"')) is Status.INVALID


@pytest.mark.parametrize("seen", ["#{3 1}", "#{1 3}", "#{ 1, 3 }"])
def test_a_set_has_no_order(tmp_path: Path, seen: str) -> None:
    assert judged(tmp_path, ops("0 invoke write #{1 3}", "0 ok write nil", "1 invoke read nil", f"1 ok read {seen}")) is Status.VALID


def test_records_of_jepsen_are_operations(tmp_path: Path) -> None:
    text = OPERATIONS.replace("{:process", "#jepsen.history.Op{:process")
    assert load_edn(file(tmp_path, "h.edn", text)).events == load_edn(file(tmp_path, "g.edn", OPERATIONS)).events


def test_what_the_nemesis_says_is_never_refused(tmp_path: Path) -> None:
    text = '{:process :nemesis :type :info :f :kill :value #object[a.B 0x1f "x"]}\n' + ops("0 invoke read nil", "0 ok read nil")
    assert len(load_edn(file(tmp_path, "h.edn", text)).events) == 3


@pytest.mark.parametrize(
    ("operations", "said"),
    [
        (["0 invoke write 1/2"], "h.edn:1: 1/2, expected a value that can be compared"),
        (["0 invoke read nil", "0 ok read ##NaN"], "h.edn:2: ##NaN, expected"),
        (['0 invoke read nil\n :time 3 :error #x "y"', "0 ok read \\a"], r"h.edn:3: \\a, expected"),
        (["0 invoke read :x", "0 ok read 3"], "h.edn:2: a read of :x is answered 3, expected to be asked with nil"),
        (["0 invoke write 1", "0 ok write 2"], "h.edn:2: a write of 1 is answered 2"),
        (["0 invoke write 1", "0 ok write true"], "h.edn:2: a write of 1 is answered true"),
        (["0 invoke cas [1 2]", "0 ok cas false"], r"h.edn:2: a cas of \[1,2\] is answered false"),
        (["0 invoke acquire :mine", "0 ok acquire :mine"], "h.edn:1: value :mine of :acquire, expected nil"),
        (["-1 invoke read nil"], "h.edn:1: :process -1, expected a number from 0, or :nemesis"),
        (["9999999999999999999 invoke read nil"], "h.edn:1: :process 9999999999999999999"),
        ([":worker invoke read nil"], "h.edn:1: :process :worker"),
        (['"nemesis" info read nil'], "h.edn:1: :process nemesis"),
        (["0 invoke read nil\n :index 4", "0 ok read nil :index 3"], "h.edn:3: :index 3 after 4"),
        (["0 invoke read nil, :key :a", "0 ok read nil"], "h.edn:2: an operation without a :key"),
        (["0 invoke read nil, :key 1/2"], "h.edn:1: 1/2, expected"),
        (["0 invoke read nil", '1 invoke try_acquire {:owner "a" :ttl_ms 9}'], "h.edn:2: try_acquire with ttl_ms, expected a :time"),
    ],
)
def test_what_would_be_dropped_or_guessed_is_refused_with_its_line(tmp_path: Path, operations: list[str], said: str) -> None:
    with pytest.raises(MalformedHistory, match=said):
        load_edn(file(tmp_path, "h.edn", ops(*operations)))


# Keys

TUPLES = ops(
    "0 invoke write [:left 5]",
    "0 ok write [:left 5]",
    "1 invoke cas [:right [nil 6]]",
    ':nemesis info start "a pair [1 2]"',
    "2 invoke read [:left nil]",
    "1 ok cas [:right [nil 6]]",
    "2 ok read [:left 5]",
    "3 invoke cas [:right [6 7]]",
    "3 info cas [:right [6 7]]",
    "4 invoke write [:left 8]",
    "4 fail write [:left 8]",
    "5 invoke read [:right nil]",
    "5 ok read [:right 6]",
)


def test_tuples_name_the_object(tmp_path: Path) -> None:
    history = load_edn(file(tmp_path, "h.edn", TUPLES))
    assert [each.key for each in history.operations()] == [":left", ":right", ":left", ":right", ":left", ":right"]
    assert [each.argument for each in history.operations()] == [5, [None, 6], None, [6, 7], 8, None]
    assert judged(tmp_path, TUPLES) is Status.VALID
    assert judged(tmp_path, TUPLES.replace(":f :read, :value [:left 5]", ":f :read, :value [:left 6]")) is Status.INVALID


def test_the_key_field_names_the_object(tmp_path: Path) -> None:
    text = ops('0 invoke write 1, :key "a"', '0 ok write 1, :key "a"', '0 invoke read nil, :key "b"', '0 ok read nil, :key "b"')
    assert judged(tmp_path, text) is Status.VALID
    assert judged(tmp_path, text.replace('"b"', '"a"')) is Status.INVALID


def test_keys_that_differ_stay_apart(tmp_path: Path) -> None:
    keys = ["1", '"1"', ":1", "[1]", '"[1]"', "1.0", '":1"', "#{1}", '"\\"1\\""']
    text = "".join(ops(f"{n} invoke read nil, :key {key}") for n, key in enumerate(keys))
    found = [event.key for event in load_edn(file(tmp_path, "h.edn", text)).events]
    assert len(set(found)) == len(found) == len(keys)


DOUBTFUL = {
    "only writes": ["0 invoke write [1 2]", "0 ok write [1 2]"],
    "a register of pairs": ["0 invoke write [1 2]", "0 ok write [1 2]", "0 invoke read nil", "0 ok read [1 2]"],
    "a cas with a pair": ["0 invoke cas [1 [1 2]]", "0 ok cas [1 [1 2]]"],
    "reads of nothing": ["0 invoke read [1 nil]", "0 ok read [1 nil]"],
    "reads that were completed": ["0 invoke write [1 2]", "0 ok write [1 2]", "0 invoke read [1 2]", "0 ok read [1 2]"],
    "one read that has a key": ["0 invoke write 3", "0 ok write 3", "0 invoke read [1 nil]", "0 fail read [1 nil]"],
    "a mutex": ["0 invoke acquire [1 nil]", "0 ok acquire [1 nil]"],
    "two keys in one call": ["0 invoke read [1 nil]", "0 ok read [2 5]"],
    "no key": ["0 invoke read [nil nil]", "0 ok read [nil 5]"],
    "versions": ["0 invoke write [nil 5]", "0 ok write [1 5]", "0 invoke read [nil nil]", "0 ok read [1 5]"],
    "one write that is none": ["0 invoke read [1 nil]", "0 ok read [1 5]", "0 invoke write 5", "0 ok write 5"],
}


@pytest.mark.parametrize("operations", DOUBTFUL.values(), ids=list(DOUBTFUL))
def test_where_a_pair_may_be_a_value_nothing_is_guessed(tmp_path: Path, operations: list[str]) -> None:
    with pytest.raises(MalformedHistory, match=r"h.edn:\d+: .*--independent"):
        load_edn(file(tmp_path, "h.edn", ops(*operations)))


def test_who_says_independent_is_believed(tmp_path: Path) -> None:
    two = ops("0 invoke write [1 2]", "0 ok write [1 2]", "0 invoke write [3 4]", "0 ok write [3 4]")
    assert [load_edn(file(tmp_path, "h.edn", two), independent=each).events[0].value for each in (True, False)] == [2, [1, 2]]
    pairs = ops(*DOUBTFUL["a register of pairs"])
    assert judged(tmp_path, pairs, independent=False) is Status.VALID
    with pytest.raises(MalformedHistory, match=r"h.edn:3: value null of :read, expected \[key value\]"):
        load_edn(file(tmp_path, "h.edn", pairs), independent=True)
    locks = ops("0 invoke acquire [1 nil]", "0 ok acquire [1 nil]", "1 invoke acquire [2 nil]", "1 ok acquire [2 nil]")
    assert judged(tmp_path, locks, "mutex", independent=True) is Status.VALID
    with pytest.raises(MalformedHistory, match="expected none with --independent"):
        load_edn(file(tmp_path, "h.edn", ops("0 invoke read nil, :key 1")), independent=True)


@pytest.mark.parametrize(
    "operations",
    [
        ["0 invoke cas [1 2]", "0 ok cas [1 2]", "0 invoke cas [2 3]", "0 fail cas [2 3]"],
        ["0 invoke write [1 2]", "0 ok write [1 2]", "0 invoke write 7", "0 ok write 7"],
        ["0 invoke write [1 2 3]", "0 ok write nil", "0 invoke read nil", "0 ok read [1 2]"],
        ["0 invoke read nil", "0 ok read nil", "0 invoke write 1", "0 ok write 1"],
    ],
)
def test_values_that_are_not_all_pairs_are_values(tmp_path: Path, operations: list[str]) -> None:
    assert {event.key for event in load_edn(file(tmp_path, "h.edn", ops(*operations))).events} == {None}


REGISTERS = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["read", "write", "cas"]), st.integers(0, 2), st.integers(0, 2), st.booleans()),
    min_size=1,
    max_size=8,
)


@given(REGISTERS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tuples_and_keys_give_the_verdict_of_the_same_history_of_ours(tmp_path: Path, drawn: list[Any]) -> None:
    tuples, keyed = "", ""
    expected: list[Event] = []
    for key, f, one, two, done in drawn:
        asked, answer = {"read": ("nil", str(one)), "write": (str(one), str(one)), "cas": (f"[{one} {two}]", f"[{one} {two}]")}[f]
        process, kind = len(expected), "ok" if done else "info"
        tuples += ops(f"{process} invoke {f} [:{key} {asked}]", f"{process} {kind} {f} [:{key} {answer}]")
        keyed += ops(f"{process} invoke {f} {asked}, :key :{key}", f"{process} {kind} {f} {answer}, :key :{key}")
        argument = [one, two] if f == "cas" else one if f == "write" else None
        result = None if not done else True if f == "cas" else one
        common = {"process": process, "f": f, "key": key}
        expected.append(Event(index=2 * process, time=2 * process, type="invoke", value=argument, **common))
        expected.append(Event(index=2 * process + 1, time=2 * process + 1, type="ok" if done else "info", value=result, **common))
    wanted = linearizable(MODELS["register"])(History(tuple(expected))).status
    assert (judged(tmp_path, keyed), judged(tmp_path, tuples, independent=True)) == (wanted, wanted)
    try:
        assert judged(tmp_path, tuples) is wanted
    except MalformedHistory as error:
        assert "--independent" in str(error)  # noqa: PT017 - both ends are right


def test_newer_log_lines_that_name_the_logger_are_read(tmp_path: Path) -> None:
    line = "INFO [2020-01-01 00:00:00,123] jepsen worker 0 - jepsen.util 0\t:invoke\t:write\t3\n"
    assert [event.value for event in load_porcupine(file(tmp_path, "h.log", line)).events] == [3]


PAIRS = st.lists(
    st.tuples(st.sampled_from(["read", "completed", "write", "cas"]), *[st.sampled_from(["1", "2", "nil", "[1 nil]", "[1 2]"])] * 4),
    max_size=6,
)


@given(PAIRS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pairs_of_one_register_are_never_taken_for_tuples(tmp_path: Path, drawn: list[Any]) -> None:
    text = ""
    for process, (f, one, two, three, four) in enumerate(drawn):
        pair, other = f"[{one} {two}]", f"[{three} {four}]"
        asked, answer = {"read": ("nil", pair), "completed": (pair, pair), "write": (pair, pair), "cas": (f"[{pair} {other}]",) * 2}[f]
        f = "read" if f == "completed" else f
        text += ops(f"{process} invoke {f} {asked}", f"{process} ok {f} {answer}")
    try:
        keys = {event.key for event in load_edn(file(tmp_path, "h.edn", text)).events}
    except MalformedHistory:
        return
    assert keys <= {None}


def test_a_cas_of_a_log_that_is_answered_with_other_values_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedHistory, match=r"h.log:2: a cas of \[1 2\] is answered \[1 3\], expected the same"):
        load_porcupine(file(tmp_path, "h.log", "0 :invoke :cas [1 2]\n0 :ok :cas [1 3]\n"))


@pytest.mark.parametrize("name", ["h.EDN", "h.edn.GZ", "h.Log"])
def test_a_format_is_told_by_a_name_in_capitals_too(name: str) -> None:
    assert form_of(Path(name)) in ("edn", "porcupine")
