"""Lost updates and stale writes: what is condemned, what is not, and the count against a register that is replayed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trials import Script

from harness.judging.checks import verdicts
from harness.judging.verdict import Status, Verdict
from harness.record.history import MalformedHistory
from workloads.resource.record import Resource
from workloads.resource.updates import resource, stale_tried

KEY = "t1-record-0"


class Record(Script):
    """Accesses of a record, a millisecond each."""

    def __init__(self) -> None:
        super().__init__(("resource",))
        self.at = 0

    def read(self, process: int, value: Any, token: int | None, highest: int | None = None, **more: Any) -> None:
        answer = {"value": value, "token": token if highest is None else highest}
        self._one(process, "resource_read", {"lock": "l", "fencing_token": token}, answer, **more)

    def write(self, process: int, value: Any, token: int, *, written: bool = True, checked: bool = False, **more: Any) -> None:
        argument = {"lock": "l", "value": value, "fencing_token": token, "checked": checked}
        self._one(process, "resource_write", argument, {"written": written}, **more)

    def holds(self, process: int, value: int, token: int) -> None:
        """Read a value and write the next."""
        self.read(process, value, token)
        self.write(process, value + 1, token)

    def _one(self, process: int, f: str, argument: Any, answer: Any, key: str = KEY, lasts: int = 1, type_: Any = "ok") -> None:
        self.at += 2
        self.operation(self.at, self.at + lasts, f, argument, answer if type_ == "ok" else None, key=key, process=process, type_=type_)

    def judged(self) -> Verdict:
        return resource(self.history())


def kinds(verdict: Verdict) -> list[str]:
    return [anomaly.kind for anomaly in verdict.all_anomalies()]


def test_holders_one_after_the_other_lose_nothing() -> None:
    record = Record()
    for n in range(5):
        record.holds(n, n, n + 1)
    record.read(9, 5, None, 5)
    verdict = record.judged()
    assert verdict.status is Status.VALID
    assert verdict.numbers == {"written": 5, "refused": 0, "lost": 0, "stale": 0, "records": 1}


@pytest.mark.parametrize("value", [1, 9])
def test_a_read_of_what_nobody_wrote_is_never_valid(value: int) -> None:
    record = Record()
    record.read(1, value, None)
    record.holds(2, 0, 8)
    verdict = record.judged()
    assert (verdict.status, "which nobody wrote" in verdict.summary) == (Status.UNKNOWN, True)


def test_a_read_beside_the_write_that_made_its_value_is_valid() -> None:
    record = Record()
    record.read(2, 0, 8)
    record.write(2, 1, 8, lasts=5)
    record.read(1, 1, None)
    assert record.judged().status is Status.VALID


def paused() -> Record:
    """A reads, B reads and writes, A writes: as in Kleppmann's picture."""
    record = Record()
    record.read(1, 0, 7)
    record.holds(2, 0, 8)
    return record


def test_a_paused_holder_that_writes_loses_an_update_and_is_stale() -> None:
    record = paused()
    record.write(1, 1, 7)
    verdict = record.judged()
    assert kinds(verdict) == ["lost-update", "stale-write"] or kinds(verdict) == ["stale-write", "lost-update"]
    assert (verdict.numbers["lost"], verdict.numbers["stale"]) == (1, 1)
    operations = {anomaly.kind: anomaly.operations for anomaly in verdict.all_anomalies()}
    assert operations == {"stale-write": (2, 6), "lost-update": (4, 6)}


def test_a_paused_holder_that_is_refused_does_no_harm() -> None:
    record = paused()
    record.write(1, 1, 7, written=False, checked=True)
    verdict = record.judged()
    assert verdict.status is Status.VALID
    assert (verdict.numbers["written"], verdict.numbers["refused"]) == (1, 1)


def test_a_resource_that_takes_a_stale_write_although_it_checks_is_condemned_too() -> None:
    record = paused()
    record.write(1, 1, 7, checked=True)
    assert "stale-write" in kinds(record.judged())


def test_a_stale_write_after_a_newer_holder_only_read_is_condemned() -> None:
    record = Record()
    record.read(1, 0, 7)
    record.read(2, 0, 8)
    record.write(1, 1, 7)
    assert kinds(record.judged()) == ["stale-write"]


def test_a_higher_token_that_a_read_only_saw_makes_a_later_write_stale() -> None:
    record = Record()
    record.read(1, 0, 7)
    record.read(3, 0, None, 8)
    record.write(1, 1, 7)
    assert kinds(record.judged()) == ["stale-write"]


def test_a_write_that_overlaps_the_newer_holders_access_is_not_stale() -> None:
    record = Record()
    record.read(1, 0, 7)
    record.write(1, 1, 7, lasts=9)
    record.read(2, 0, 8)
    assert record.judged().status is Status.VALID


def test_a_late_write_of_the_last_holder_is_not_stale() -> None:
    record = Record()
    record.holds(2, 0, 6)
    record.read(1, 1, 7)
    record.at += 10_000
    record.write(1, 2, 7)
    assert record.judged().status is Status.VALID


def test_tokens_given_twice_hide_no_lost_update() -> None:
    record = Record()
    record.read(1, 0, 7)
    record.holds(2, 0, 7)
    record.write(1, 1, 7, checked=True)
    assert kinds(record.judged()) == ["lost-update"]


def test_what_a_stale_write_rolled_back_is_counted_in_full() -> None:
    record = paused()
    for n in (1, 2, 3):
        record.holds(3, n, 8 + n)
    record.write(1, 1, 7)
    record.read(4, 1, None, 11)
    verdict = record.judged()
    assert (verdict.numbers["written"], verdict.numbers["lost"]) == (5, 4)


def test_without_a_read_at_the_end_the_number_is_that_of_values_written_again() -> None:
    record = paused()
    for n in (1, 2, 3):
        record.holds(3, n, 8 + n)
    record.write(1, 1, 7)
    assert record.judged().numbers["lost"] == 1


def test_a_stale_writer_that_brings_a_higher_value_back_does_not_make_more_lost_than_there_were() -> None:
    record = Record()
    for n in range(4):
        record.holds(1, n, n + 1)
    record.read(2, 2, 3, 4)  # slow: it saw 2 and writes 3
    record.read(3, 4, 5)
    record.write(2, 3, 3)
    record.read(4, 3, None, 5)
    record.write(3, 5, 5)
    record.read(4, 5, None, 5)
    assert record.judged().numbers["lost"] == 1


@pytest.mark.parametrize("type_", ["info", "fail"])
def test_a_write_without_an_answer_is_no_evidence(type_: str) -> None:
    record = paused()
    record.write(1, 1, 7, type_=type_)
    verdict = record.judged()
    assert verdict.status is Status.VALID
    assert verdict.numbers["written"] == 1


def test_a_read_that_lacks_acknowledged_writes_tells_of_one_that_an_unanswered_write_undid() -> None:
    record = paused()
    record.holds(3, 1, 9)
    record.write(1, 1, 7, type_="info")
    record.read(4, 1, None, 9)
    verdict = record.judged()
    assert kinds(verdict) == ["lost-update"]
    assert verdict.numbers["lost"] == 1


def test_a_read_that_overlaps_the_writes_lacks_none() -> None:
    record = Record()
    record.read(1, 0, 1)
    record.read(9, 0, None, 1, lasts=9)
    record.write(1, 1, 1)
    assert record.judged().status is Status.VALID


def test_records_are_judged_apart() -> None:
    record = Record()
    for key in ("a", "b"):
        record.read(1, 0, 1, key=key)
        record.write(1, 1, 1, key=key)
    verdict = record.judged()
    assert (verdict.status, verdict.numbers["records"]) == (Status.VALID, 2)


def test_nothing_written_is_unknown() -> None:
    assert Record().judged().status is Status.UNKNOWN
    record = paused()
    record.lines = [line for line in record.lines if line[1]["f"] == "resource_read"]
    assert record.judged().status is Status.UNKNOWN


def test_a_write_of_another_value_than_read_plus_one_is_malformed() -> None:
    record = Record()
    record.read(1, 4, 1)
    record.write(1, 6, 1)
    with pytest.raises(MalformedHistory, match="writes 6 after it read 4"):
        record.judged()


@pytest.mark.parametrize(
    ("f", "argument", "answer"),
    [
        ("resource_read", None, {"value": 1, "token": 1}),
        ("resource_read", {"fencing_token": "7"}, {"value": 1, "token": 1}),
        ("resource_read", {"fencing_token": 7}, {"value": None, "token": 1}),
        ("resource_write", {"value": 1, "fencing_token": None}, {"written": True}),
        ("resource_write", {"value": True, "fencing_token": 1}, {"written": True}),
        ("resource_write", {"value": 1, "fencing_token": 1}, {"written": None}),
        ("resource_write", {"value": 1, "fencing_token": 1}, None),
    ],
)
def test_an_access_that_lacks_what_it_needs_is_malformed(f: str, argument: Any, answer: Any) -> None:
    script = Script()
    script.operation(1, 2, f, argument, answer, key=KEY)
    with pytest.raises(MalformedHistory, match="expected"):
        resource(script.history())


def test_the_tries_of_succeeded_holders_are_counted_taken_or_refused() -> None:
    record = paused()
    record.write(1, 1, 7, written=False)
    record.read(6, 1, 8)
    record.read(5, 1, 9)
    record.write(6, 2, 8)
    assert stale_tried(record.history()) == 2


def test_the_lock_and_its_record_are_judged_by_their_own_checks() -> None:
    record = paused()
    granted = {"granted": True, "fencing_token": 7}
    record.operation(1, 1.5, "try_acquire", {"owner": "1-1", "ttl_ms": 600}, granted, key="t1-resource-0", process=1)
    assert set(verdicts(record.history())) == {"lease", "fencing", "resource"}


# Against a record that is replayed: any interleaving of holders with tokens in the order of their reads

steps = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=25)


def replay(found: list[tuple[int, bool]], *, checked: bool) -> tuple[Record, int]:
    """Let processes read (a new grant) and write in turn; give the history with a last read, and how many updates are lost."""
    record, store, tokens = Record(), Resource(), 0
    last: dict[int, tuple[int, int]] = {}
    taken = 0
    for process, reads in found:
        if reads or process not in last:
            tokens += 1
            value, highest = store.read(KEY, tokens)
            record.read(process, value, tokens, highest)
            last[process] = value, tokens
        else:
            value, token = last.pop(process)
            written = store.write(KEY, value + 1, token, checked=checked)
            record.write(process, value + 1, token, written=written, checked=checked)
            taken += written
    value, highest = store.read(KEY, None)
    record.read(9, value, None, highest)
    return record, taken - value


@settings(max_examples=150, deadline=None)
@given(steps)
def test_the_number_lost_is_exact_and_something_is_condemned_exactly_if_it_is_not_zero(found: list[tuple[int, bool]]) -> None:
    record, lost = replay(found, checked=False)
    verdict = record.judged()
    assert verdict.numbers["lost"] == lost
    assert ("lost-update" in kinds(verdict)) == (lost > 0)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_with_a_fencing_check_at_every_access_nothing_is_ever_lost(found: list[tuple[int, bool]]) -> None:
    record, lost = replay(found, checked=True)
    assert lost == 0
    assert record.judged().status is not Status.INVALID


@settings(max_examples=100, deadline=None)
@given(steps, st.data())
def test_an_answer_withheld_never_makes_a_valid_history_invalid(found: list[tuple[int, bool]], data: st.DataObject) -> None:
    record, _ = replay(found, checked=data.draw(st.booleans()))
    before = record.judged()
    ends = [place for place, (_, line) in enumerate(record.lines) if line["f"] == "resource_write" and line["type"] == "ok"]
    if not ends or before.status is Status.INVALID:
        return
    at, line = record.lines[data.draw(st.sampled_from(ends))]
    record.lines[record.lines.index((at, line))] = (at, {**line, "type": "info", "value": None})
    record.lines = _retired(record.lines, at, line["process"])
    assert record.judged().status is not Status.INVALID


def _retired(lines: list[tuple[float, Any]], at: float, process: int) -> list[tuple[float, Any]]:
    """Let a process go on under another number after an info."""
    return [(time, {**line, "process": process + 100} if time > at and line["process"] == process else line) for time, line in lines]
