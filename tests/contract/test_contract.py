"""The one contract suite: every backend answers as the interface says."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from itertools import chain

import pytest
from asking import HOSTILE_IDS, LONG_MS, ROUNDS, Open, fresh_key, together, wait_until
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from backends.interface import (
    INT64_MAX,
    INT64_MIN,
    KEY_LIMIT_BYTES,
    VALUE_LIMIT_BYTES,
    Conflict,
    LockExpired,
    LockTimeout,
    NotAnInteger,
    Session,
    StateKey,
    Swapped,
)

# Sequences of operations against a reference model


VALUES = st.one_of(
    st.sampled_from(["", "0", "-0", "1", "-1", "01", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "--1", "-", "1\n", "٣", "\r\n", "\u2028"]),
    st.integers(INT64_MIN - 2, INT64_MAX + 2).map(str),
    st.sampled_from([str(edge) for edge in (2**53, 2**53 + 1, INT64_MAX, INT64_MAX + 1, INT64_MIN, INT64_MIN - 1)]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
)
DELTAS = st.one_of(st.sampled_from([0, 1, -1, 2**53 + 1, INT64_MAX, INT64_MIN]), st.integers(INT64_MIN, INT64_MAX))
TTLS = st.sampled_from([None, LONG_MS])
IDS = st.sampled_from(HOSTILE_IDS)


def reference_sum(value: str, delta: int) -> int | None:
    """Add as the interface says, written another way than in the backends."""
    try:
        old = int(value) if value.isascii() else None
    except ValueError:
        return None
    if old is None or (str(old) != value and value != "-0"):
        return None
    return old + delta if all(INT64_MIN <= number <= INT64_MAX for number in (old, old + delta)) else None


class StoreMachine(RuleBasedStateMachine):
    """The store against a dict of (value, version)."""

    def __init__(self, opened: Open) -> None:
        super().__init__()
        self.session = opened()
        self.keys = {id_: fresh_key(id_) for id_ in HOSTILE_IDS}
        self.model: dict[str, tuple[str, int]] = {}

    def put(self, id_: str, value: str) -> int:
        version = self.model[id_][1] + 1 if id_ in self.model else 1
        self.model[id_] = (value, version)
        return version

    @rule(id_=IDS, value=VALUES, ttl=TTLS)
    def check_and_set(self, id_: str, value: str, ttl: int | None) -> None:
        free = id_ not in self.model
        assert self.session.check_and_set(self.keys[id_], value, ttl) is free
        if free:
            self.put(id_, value)

    @rule(id_=IDS, value=VALUES, ttl=TTLS)
    def set(self, id_: str, value: str, ttl: int | None) -> None:
        self.session.set(self.keys[id_], value, ttl)
        self.put(id_, value)

    @rule(id_=IDS)
    def delete(self, id_: str) -> None:
        assert self.session.delete(self.keys[id_]) is (self.model.pop(id_, None) is not None)

    @rule(id_=IDS, delta=DELTAS, ttl=TTLS)
    def increment(self, id_: str, delta: int, ttl: int | None) -> None:
        expected = reference_sum(self.model.get(id_, ("0", 0))[0], delta)
        if expected is None:
            with pytest.raises(NotAnInteger):
                self.session.increment(self.keys[id_], delta, ttl)
        else:
            assert self.session.increment(self.keys[id_], delta, ttl) == expected
            self.put(id_, str(expected))

    @rule(id_=IDS, off=st.sampled_from([0, 0, 0, 1, -1, 7]), value=VALUES, ttl=TTLS)
    def compare_and_swap(self, id_: str, off: int, value: str, ttl: int | None) -> None:
        current, version = self.model.get(id_, (None, 0))
        answer = self.session.compare_and_swap(self.keys[id_], version + off, value, ttl)
        assert answer == (Swapped(self.put(id_, value)) if off == 0 else Conflict(current, version))

    @rule(id_=IDS)
    def get(self, id_: str) -> None:
        assert self.session.get(self.keys[id_]) == self.model.get(id_, (None, 0))[0]

    @rule(id_=IDS)
    def get_versioned(self, id_: str) -> None:
        assert self.session.get_versioned(self.keys[id_]) == self.model.get(id_)

    @invariant()
    def the_node_is_named_once_it_answered(self) -> None:
        assert not self.model or self.session.node

    def teardown(self) -> None:
        for id_, key in self.keys.items():
            assert self.session.get_versioned(key) == self.model.get(id_)
            self.session.delete(key)
        self.session.close()


def test_a_store_follows_the_reference_model(open_session: Open) -> None:
    run_state_machine_as_test(
        lambda: StoreMachine(open_session),
        settings=settings(max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)),
    )


# Single facts of the store


def test_sums_are_exact_beyond_two_to_the_53(session: Session, key: StateKey) -> None:
    assert session.increment(key, 2**53 + 1, None) == 2**53 + 1
    assert session.increment(key, 2, None) == 2**53 + 3


@pytest.mark.parametrize(
    ("edge", "step"), [(INT64_MAX, 1), (INT64_MIN, -1), (INT64_MAX, INT64_MAX), (INT64_MIN, INT64_MIN), (-1, INT64_MIN)]
)
def test_an_overflow_changes_nothing(session: Session, key: StateKey, edge: int, step: int) -> None:
    assert session.increment(key, edge, None) == edge
    with pytest.raises(NotAnInteger):
        session.increment(key, step, 1)
    assert session.get_versioned(key) == (str(edge), 1)


def test_a_huge_text_is_no_integer(session: Session, key: StateKey) -> None:
    session.set(key, "1" * 10_000, None)
    with pytest.raises(NotAnInteger):
        session.increment(key, 1, None)


def test_the_largest_key_and_value_come_back(session: Session) -> None:
    bare = StateKey("n", "t", "k", "x").canonical
    key = StateKey("n", "t", "k", "é" * ((KEY_LIMIT_BYTES - len(bare)) // 2))
    value = "\x01" * VALUE_LIMIT_BYTES
    session.set(key, value, None)
    assert session.get(key) == value
    assert session.delete(key)


def test_keys_that_differ_only_in_where_their_colons_are_stay_apart(session: Session) -> None:
    tenant = uuid.uuid4().hex
    one, other = StateKey("n", tenant, "k", "a:b"), StateKey("n", tenant, "k", "a")
    session.set(one, "1", None)
    assert session.get(other) is None


def test_a_lock_and_a_key_of_one_name_are_independent(session: Session, key: StateKey) -> None:
    session.set(key, "1", None)
    assert session.try_acquire(key.canonical, LONG_MS) is not None
    assert session.get_versioned(key) == ("1", 1)


def test_versions_start_again_after_a_delete(session: Session, key: StateKey) -> None:
    session.set(key, "a", None)
    session.set(key, "b", None)
    session.delete(key)
    session.set(key, "c", None)
    assert session.get_versioned(key) == ("c", 1)


# Expiry of keys


def gone(session: Session, key: StateKey) -> Callable[[], bool]:
    return lambda: session.get(key) is None


def test_a_key_is_seen_within_its_ttl_and_goes_after_it(session: Session, key: StateKey) -> None:
    before = time.monotonic()
    session.check_and_set(key, "a", 300)
    seen = session.get(key)
    if time.monotonic() < before + 0.298:
        assert seen == "a"
    wait_until(gone(session, key))
    assert time.monotonic() >= before + 0.298
    assert session.get_versioned(key) is None
    assert session.delete(key) is False
    assert session.compare_and_swap(key, 1, "b", None) == Conflict(None, 0)
    assert session.check_and_set(key, "b", None) is True
    assert session.get_versioned(key) == ("b", 1)


@pytest.mark.parametrize("write", ["set", "increment"])
def test_what_is_written_after_expiry_begins_anew(session: Session, key: StateKey, write: str) -> None:
    session.set(key, "7", None)
    session.set(key, "7", 50)
    wait_until(gone(session, key))
    if write == "set":
        session.set(key, "1", None)
    else:
        assert session.increment(key, 1, None) == 1
    assert session.get_versioned(key) == ("1", 1)


@pytest.mark.parametrize(
    "write",
    [
        lambda session, key: session.check_and_set(key, "9", None),
        lambda session, key: session.increment(key, 1, None),
        lambda session, key: session.compare_and_swap(key, 77, "9", None),
    ],
    ids=["refused check_and_set", "increment without a ttl", "refused compare_and_swap"],
)
def test_what_does_not_touch_the_ttl_lets_the_key_expire(
    session: Session, key: StateKey, write: Callable[[Session, StateKey], None]
) -> None:
    before = time.monotonic()
    session.set(key, "1", 200)
    write(session, key)
    if time.monotonic() < before + 0.198:  # else it wrote a key of its own
        wait_until(gone(session, key))


@pytest.mark.parametrize(
    "write",
    [
        lambda session, key: session.set(key, "9", None),
        lambda session, key: session.set(key, "9", LONG_MS),
        lambda session, key: session.increment(key, 1, LONG_MS),
        lambda session, key: session.compare_and_swap(key, 1, "9", None),
        lambda session, key: session.compare_and_swap(key, 1, "9", LONG_MS),
    ],
    ids=["set clears", "set replaces", "increment renews", "swap clears", "swap replaces"],
)
def test_what_replaces_the_ttl_keeps_the_key_beyond_it(
    session: Session, key: StateKey, write: Callable[[Session, StateKey], object]
) -> None:
    later = fresh_key()
    session.set(key, "1", 200)
    refused = isinstance(write(session, key), Conflict)  # too slow: it had expired
    session.set(later, "1", 201)
    wait_until(gone(session, later))
    assert refused or session.get(key) is not None


def test_a_replaced_ttl_is_the_new_one(session: Session, key: StateKey) -> None:
    session.set(key, "1", LONG_MS)
    session.set(key, "2", 20)
    wait_until(gone(session, key))


def test_the_longest_ttl_is_accepted(session: Session, key: StateKey, name: str) -> None:
    session.set(key, "1", 2**53)
    assert session.increment(key, 1, 2**53) == 2
    assert session.try_acquire(name, 2**53) is not None


# Locks


def test_a_held_lock_is_refused_to_everyone(session: Session, name: str) -> None:
    guard = session.try_acquire(name, LONG_MS, owner="a")
    assert guard is not None
    assert session.try_acquire(name, LONG_MS, owner="a") is None
    assert session.try_acquire(name, LONG_MS, owner="b") is None
    assert guard.is_held()


def test_a_released_lock_is_granted_again_with_a_higher_token(session: Session, name: str) -> None:
    first = session.try_acquire(name, LONG_MS)
    assert first is not None
    first.release()
    assert not first.is_held()
    second = session.try_acquire(name, LONG_MS)
    assert second is not None
    assert second.fencing_token > first.fencing_token > 0


def test_a_lock_ends_with_its_ttl_and_not_before(open_session: Open, name: str) -> None:
    holder, other = open_session(), open_session()
    before = time.monotonic()
    guard = holder.try_acquire(name, 200)
    assert guard is not None
    wait_until(lambda: other.try_acquire(name, LONG_MS) is not None)
    assert time.monotonic() >= before + 0.198
    assert not guard.is_held()
    with pytest.raises(LockExpired):
        guard.extend(1000)
    with pytest.raises(LockExpired):
        guard.release()


def test_an_extend_moves_the_end_both_ways(session: Session, name: str) -> None:
    guard = session.try_acquire(name, LONG_MS)
    assert guard is not None
    guard.extend(20)
    wait_until(lambda: not guard.is_held())
    longer, other = session.try_acquire(name, 300), session.try_acquire(f"{name}-other", 300)
    assert longer is not None
    assert other is not None
    longer.extend(LONG_MS)
    wait_until(lambda: not other.is_held())
    assert longer.is_held()


def test_a_stranger_can_neither_release_nor_extend(session: Session, name: str) -> None:
    guard = session.try_acquire(name, LONG_MS, owner="mine")
    assert guard is not None
    stranger = session.guard(name, "other")
    with pytest.raises(LockExpired):
        stranger.release()
    with pytest.raises(LockExpired):
        stranger.extend(1)
    assert not stranger.is_held()
    assert guard.is_held()


def test_a_rebuilt_guard_releases_from_another_session(open_session: Open, name: str) -> None:
    assert open_session().try_acquire(name, LONG_MS, owner="a:b\n🔑") is not None
    rebuilt = open_session().guard(name, "a:b\n🔑")
    assert rebuilt.fencing_token == 0
    assert rebuilt.is_held()
    rebuilt.release()
    assert not rebuilt.is_held()


def test_acquire_waits_for_the_release(open_session: Open, name: str) -> None:
    held = open_session().try_acquire(name, LONG_MS)
    assert held is not None
    waiter = open_session()
    granted, _ = together(lambda: waiter.acquire(name, LONG_MS, 20_000), held.release)
    assert granted.is_held()


def test_acquire_gives_up_at_its_deadline(session: Session, name: str) -> None:
    session.try_acquire(name, LONG_MS)
    before = time.monotonic()
    with pytest.raises(LockTimeout):
        session.acquire(name, LONG_MS, 60)
    assert time.monotonic() >= before + 0.06


def test_owners_drawn_by_the_session_differ(session: Session, name: str) -> None:
    guards = [session.try_acquire(f"{name}-{n}", LONG_MS) for n in range(3)]
    assert len({guard.owner for guard in guards if guard}) == 3


# Concurrency


def test_one_of_eight_concurrent_check_and_sets_wins(open_session: Open) -> None:
    sessions = [open_session() for _ in range(8)]
    for _ in range(ROUNDS):
        key = fresh_key()
        wins = together(*(lambda s=s, n=n, key=key: s.check_and_set(key, str(n), None) for n, s in enumerate(sessions)))
        assert wins.count(True) == 1
        assert sessions[0].get_versioned(key) == (str(wins.index(True)), 1)


def test_one_of_eight_concurrent_acquires_wins(open_session: Open, name: str) -> None:
    sessions = [open_session() for _ in range(8)]
    for n in range(ROUNDS):
        guards = together(*(lambda s=s, n=n: s.try_acquire(f"{name}-{n}", LONG_MS) for s in sessions))
        assert len([guard for guard in guards if guard]) == 1


def test_concurrent_increments_sum_up(open_session: Open, key: StateKey) -> None:
    sessions = [open_session() for _ in range(8)]
    answers = together(*(lambda s=s: [s.increment(key, 1, None) for _ in range(25)] for s in sessions))
    assert sorted(chain.from_iterable(answers)) == list(range(1, 201))
    assert sessions[0].get_versioned(key) == ("200", 200)


def test_concurrent_swaps_lose_no_update(open_session: Open, key: StateKey) -> None:
    sessions = [open_session() for _ in range(8)]
    sessions[0].set(key, "0", None)

    def add_ten(session: Session) -> None:
        for _ in range(10):
            while True:
                value, version = session.get_versioned(key) or pytest.fail("the key is gone")
                if isinstance(session.compare_and_swap(key, version, str(int(value) + 1), None), Swapped):
                    break

    together(*(lambda s=s: add_ten(s) for s in sessions))
    assert sessions[0].get_versioned(key) == ("80", 81)


def test_tokens_of_a_lock_that_changes_hands_are_unique_and_rise(open_session: Open, name: str) -> None:
    sessions = [open_session() for _ in range(4)]

    def grants(session: Session) -> list[int]:
        found = []
        for _ in range(10):
            guard = session.acquire(name, LONG_MS, 30_000)
            found.append(guard.fencing_token)
            guard.release()
        return found

    tokens = together(*(lambda s=s: grants(s) for s in sessions))
    assert all(own == sorted(own) for own in tokens)
    assert len(set(chain.from_iterable(tokens))) == 40


# Limits


LONG_TEXT = "x" * (VALUE_LIMIT_BYTES + 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda s, k, n: s.set(k, LONG_TEXT, None),
        lambda s, k, n: s.set(k, "a\0b", None),
        lambda s, k, n: s.set(k, "\ud800", None),
        lambda s, k, n: s.set(k, "a", 0),
        lambda s, k, n: s.set(k, "a", -1),
        lambda s, k, n: s.set(k, "a", 1.5),
        lambda s, k, n: s.set(k, "a", 2**53 + 1),
        lambda s, k, n: s.check_and_set(k, LONG_TEXT, None),
        lambda s, k, n: s.check_and_set(k, "a", 0),
        lambda s, k, n: s.increment(k, INT64_MAX + 1, None),
        lambda s, k, n: s.increment(k, True, None),
        lambda s, k, n: s.increment(k, 1, 0),
        lambda s, k, n: s.compare_and_swap(k, 2**63, "a", None),
        lambda s, k, n: s.compare_and_swap(k, 0, LONG_TEXT, None),
        lambda s, k, n: s.compare_and_swap(k, 0, "a", 0),
        lambda s, k, n: s.try_acquire(n, 0),
        lambda s, k, n: s.try_acquire(n, None),
        lambda s, k, n: s.try_acquire("", 1),
        lambda s, k, n: s.try_acquire("n" * (KEY_LIMIT_BYTES + 1), 1),
        lambda s, k, n: s.try_acquire("a\0b", 1),
        lambda s, k, n: s.try_acquire(n, 1, owner=""),
        lambda s, k, n: s.guard(n, "\0"),
        lambda s, k, n: s.guard(n, "o").extend(0),
        lambda s, k, n: s.acquire(n, 0, 10),
        lambda s, k, n: s.acquire(n, 10, -1),
    ],
)
def test_what_is_beyond_the_limits_is_refused_before_it_is_sent(
    open_session: Open, key: StateKey, name: str, call: Callable[[Session, StateKey, str], object]
) -> None:
    session = open_session()
    with pytest.raises(ValueError):
        call(session, key, name)
    assert session.get(key) is None


@pytest.mark.parametrize("parts", [("a:b", "t", "k", "i"), ("n", "t", "k", ""), ("n", "t", "k", "\0"), ("n", "t", "k", "i" * 1_020)])
def test_a_key_beyond_the_limits_cannot_be_made(parts: tuple[str, str, str, str]) -> None:
    with pytest.raises(ValueError):
        StateKey(*parts)


def test_a_closed_session_connects_anew(session: Session, key: StateKey) -> None:
    session.set(key, "a", None)
    session.close()
    session.close()
    assert session.get(key) == "a"
