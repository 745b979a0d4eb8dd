"""Scans and indexes, on every backend: against a reference, with hostile names, and while others write."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable

import pytest
from asking import HOSTILE_IDS, LONG_MS, Open, fresh_key, wait_until
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from backends.interface import INDEX_TIME_MAX_MS, Session, StateKey

IDS = [*HOSTILE_IDS, "x:", "xx", "%_", "a%", "a_b", "a:b:c", "A", "*x", "[ab]", "ab"]
PREFIXES = ["", "x", "a", "a:", "a:b", "%", "_", "*", "?", "[", "[ab]", "\\", "two\n", "к", "🔑", "zz", "A", "'"]
TIMES = st.sampled_from([0, 1, 5, 5, 7, 1_790_000_000_000, INDEX_TIME_MAX_MS - 1, INDEX_TIME_MAX_MS])
INDEXES = ("timeout", "chain")


def enter(session: Session, index: str, key: StateKey, at: int) -> None:
    (session.index_timeout if index == "timeout" else session.index_chain_ready)(key, at)


def leave(session: Session, index: str, key: StateKey) -> None:
    (session.remove_timeout_index if index == "timeout" else session.remove_chain_ready_index)(key)


def due(session: Session, index: str, now: int) -> list[str]:
    return (session.get_expired_timeouts if index == "timeout" else session.get_ready_chains)(now)


class Machine(RuleBasedStateMachine):
    """Values and two indexes against dicts; keys of two tenants and two kinds that are this run's own."""

    def __init__(self, opened: Open) -> None:
        super().__init__()
        self.session = opened()
        self.run = uuid.uuid4().hex
        self.values: dict[StateKey, str] = {}
        self.times: dict[str, dict[str, int]] = {index: {} for index in INDEXES}

    def key(self, place: int, id_: str) -> StateKey:
        return StateKey("contract", f"{self.run}{'%' * (place % 2)}", f"{self.run}-{'k*' if place < 2 else 'k'}", id_)

    @rule(place=st.integers(0, 3), id_=st.sampled_from(IDS), value=st.sampled_from(["", "1", "é"]), ttl=st.sampled_from([None, LONG_MS]))
    def set(self, place: int, id_: str, value: str, ttl: int | None) -> None:
        self.session.set(self.key(place, id_), value, ttl)
        self.values[self.key(place, id_)] = value

    @rule(place=st.integers(0, 3), id_=st.sampled_from(IDS))
    def delete(self, place: int, id_: str) -> None:
        self.session.delete(self.key(place, id_))
        self.values.pop(self.key(place, id_), None)

    @rule(place=st.integers(0, 3), prefix=st.sampled_from(PREFIXES))
    def scan(self, place: int, prefix: str) -> None:
        like = self.key(place, "x")
        found = self.session.scan_keys(like.namespace, like.tenant, like.kind, prefix)
        wanted = {
            key.canonical: value
            for key, value in self.values.items()
            if (key.tenant, key.kind) == (like.tenant, like.kind) and key.id.startswith(prefix)
        }
        assert len(found) == len(dict(found))
        assert dict(found) == wanted

    @rule(place=st.integers(0, 3))
    def scan_kind(self, place: int) -> None:
        kind = self.key(place, "x").kind
        found = self.session.scan_keys_by_kind(kind)
        assert len(found) == len(dict(found))
        assert dict(found) == {key.canonical: value for key, value in self.values.items() if key.kind == kind}

    @rule(index=st.sampled_from(INDEXES), id_=st.sampled_from(IDS), at=TIMES)
    def enter(self, index: str, id_: str, at: int) -> None:
        enter(self.session, index, self.key(0, id_), at)
        self.times[index][self.key(0, id_).canonical] = at

    @rule(index=st.sampled_from(INDEXES), id_=st.sampled_from(IDS))
    def leave(self, index: str, id_: str) -> None:
        leave(self.session, index, self.key(0, id_))
        self.times[index].pop(self.key(0, id_).canonical, None)

    @rule(index=st.sampled_from(INDEXES), now=TIMES)
    def due(self, index: str, now: int) -> None:
        times = self.times[index]
        found = [key for key in due(self.session, index, now) if f":{self.run}" in key]
        assert [times[key] for key in found] == sorted(at for at in times.values() if at <= now)
        assert len(found) == len(set(found))

    def teardown(self) -> None:
        for index in INDEXES:
            for key in self.times[index]:
                leave(self.session, index, StateKey.parse(key))
        for key in self.values:
            self.session.delete(key)
        self.session.close()


def test_scans_and_indexes_follow_the_reference(open_session: Open) -> None:
    run_state_machine_as_test(
        lambda: Machine(open_session),
        settings=settings(max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)),
    )


# Single facts


def scanned(session: Session, key: StateKey, prefix: str = "") -> list[str]:
    return sorted(found for found, _ in session.scan_keys(key.namespace, key.tenant, key.kind, prefix))


def test_a_scan_of_many_keys_gives_each_once(session: Session) -> None:
    key = fresh_key()
    keys = [StateKey(key.namespace, key.tenant, key.kind, f"{n:04d}") for n in range(1200)]
    for each in keys:
        session.set(each, each.id, None)
    found = session.scan_keys(key.namespace, key.tenant, key.kind, "")
    assert sorted(found) == [(each.canonical, each.id) for each in keys]
    assert len(session.scan_keys(key.namespace, key.tenant, key.kind, "11")) == 100


def test_an_expired_key_is_in_no_scan(session: Session) -> None:
    key = fresh_key()
    kind = f"kind-{uuid.uuid4().hex}"
    short = StateKey(key.namespace, key.tenant, kind, "short")
    session.set(short, "v", 100)
    session.set(StateKey(key.namespace, key.tenant, kind, "long"), "v", None)
    wait_until(lambda: session.get(short) is None)
    assert [found for found, _ in session.scan_keys(key.namespace, key.tenant, kind, "")] == [f"{key.namespace}:{key.tenant}:{kind}:long"]
    assert len(session.scan_keys_by_kind(kind)) == 1


def test_a_key_that_came_back_after_its_expiry_is_scanned_with_its_new_value(session: Session, key: StateKey) -> None:
    session.set(key, "old", 50)
    wait_until(lambda: session.get(key) is None)
    assert session.check_and_set(key, "new", None)
    assert session.scan_keys(key.namespace, key.tenant, key.kind, "") == [(key.canonical, "new")]


def test_locks_and_index_entries_are_in_no_scan(session: Session, key: StateKey) -> None:
    assert session.try_acquire(key.canonical, LONG_MS) is not None
    session.index_timeout(key, 1)
    assert scanned(session, key) == []
    session.remove_timeout_index(key)


@pytest.mark.parametrize("index", INDEXES)
def test_an_entry_needs_no_data_and_stays_when_the_data_goes(session: Session, key: StateKey, index: str) -> None:
    enter(session, index, key, 5)
    session.set(key, "v", None)
    session.delete(key)
    assert key.canonical in due(session, index, 5)
    leave(session, index, key)
    assert key.canonical not in due(session, index, INDEX_TIME_MAX_MS)


@pytest.mark.parametrize("index", INDEXES)
def test_an_entry_that_is_entered_again_has_its_new_time_only(session: Session, key: StateKey, index: str) -> None:
    enter(session, index, key, 5)
    enter(session, index, key, 50)
    assert key.canonical not in due(session, index, 49)
    assert due(session, index, 50).count(key.canonical) == 1
    leave(session, index, key)
    leave(session, index, key)  # idempotent


def test_the_indexes_are_separate(session: Session, key: StateKey) -> None:
    session.index_timeout(key, 5)
    assert key.canonical not in session.get_ready_chains(5)
    session.remove_chain_ready_index(key)
    assert key.canonical in session.get_expired_timeouts(5)
    session.remove_timeout_index(key)


@pytest.mark.parametrize("at", [-1, INDEX_TIME_MAX_MS + 1, True, 1.5, None])
def test_a_time_beyond_the_limits_is_refused(session: Session, key: StateKey, at: object) -> None:
    with pytest.raises(ValueError, match="expected Unix milliseconds"):
        session.index_timeout(key, at)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected Unix milliseconds"):
        session.get_ready_chains(at)  # type: ignore[arg-type]


def test_a_scan_that_no_key_could_match_is_refused(session: Session) -> None:
    with pytest.raises(ValueError, match="contains ':'"):
        session.scan_keys("n", "t:u", "k", "")
    with pytest.raises(ValueError, match="contains ':'"):
        session.scan_keys_by_kind("k:l")


# While others write


class Beside:
    """A thread that repeats a task of its own session until leaving; what it raises is raised there."""

    def __init__(self, task: Callable[[int], None]) -> None:
        self._task, self._stop, self._error = task, threading.Event(), list[BaseException]()
        self._thread = threading.Thread(target=self._repeat)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._error:
            raise self._error[0]

    def _repeat(self) -> None:
        number = 0
        try:
            while not self._stop.is_set():
                self._task(number)
                number += 1
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
            self._error.append(error)


def test_what_lives_during_a_scan_is_in_it_once_while_others_come_and_go(open_session: Open) -> None:
    session, other, like = open_session(), open_session(), fresh_key()
    lasting = [StateKey(like.namespace, like.tenant, like.kind, f"lasting-{n}") for n in range(150)]
    for each in lasting:
        session.set(each, "0", None)

    def churn(number: int) -> None:
        passing = StateKey(like.namespace, like.tenant, like.kind, f"passing-{number % 200}")
        other.set(passing, "v", None)
        other.set(lasting[number % len(lasting)], str(number), LONG_MS if number % 2 else None)
        other.delete(passing)

    with Beside(churn):
        for _ in range(12):
            found = scanned(session, like)
            assert len(found) == len(set(found))
            assert {each.canonical for each in lasting} <= set(found)


def test_an_entry_whose_time_moves_is_read_once(open_session: Open) -> None:
    session, other, run = open_session(), open_session(), uuid.uuid4().hex
    entries = [StateKey("contract", run, "state", str(n)) for n in range(40)]
    for each in entries:
        session.index_timeout(each, 10)
    deadline = time.monotonic() + 20

    with Beside(lambda number: other.index_timeout(entries[number % len(entries)], 5 + number % 11)):
        for _ in range(25):
            assert time.monotonic() < deadline
            found = [key for key in session.get_expired_timeouts(1000) if run in key]
            assert sorted(found) == sorted(each.canonical for each in entries)
    for each in entries:
        session.remove_timeout_index(each)
