"""The contract, asked of every backend: the rules that `holdwater contract` asks, and what only a session shows: its limits and errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from asking import LONG_MS, Open, wait_until

from backends.client import FUNCTIONS, StateClient
from backends.interface import (
    INDEX_TIME_MAX_MS,
    INT64_MAX,
    KEY_LIMIT_BYTES,
    VALUE_LIMIT_BYTES,
    LockExpired,
    LockTimeout,
    NotAnInteger,
    Session,
    StateKey,
)
from harness.contract.asking import Asking
from harness.contract.rule import Rule
from harness.contract.suite import RULES


@pytest.mark.parametrize("rule", RULES, ids=[each.name for each in RULES])
def test_the_rule_is_kept(open_session: Open, rule: Rule) -> None:
    asking = Asking(lambda: StateClient(open_session()), FUNCTIONS)
    assert rule.lacks(asking.functions) == ()
    try:
        rule.run(asking)
    finally:
        asking.close()


# What a session shows


def test_the_node_is_named_once_it_answered(session: Session, key: StateKey) -> None:
    session.get(key)
    assert session.node


def test_a_sum_that_is_no_int64_raises(session: Session, key: StateKey) -> None:
    session.set(key, "x", None)
    with pytest.raises(NotAnInteger):
        session.increment(key, 1, None)


def test_a_guard_whose_lock_has_ended_says_so(session: Session, name: str) -> None:
    guard = session.try_acquire(name, 50)
    assert guard is not None
    wait_until(lambda: not guard.is_held())
    with pytest.raises(LockExpired):
        guard.extend(1000)
    with pytest.raises(LockExpired):
        guard.release()


def test_a_rebuilt_guard_has_no_token_of_its_own(session: Session, name: str) -> None:
    assert session.try_acquire(name, LONG_MS, owner="a") is not None
    rebuilt = session.guard(name, "a")
    assert rebuilt.fencing_token == 0
    assert rebuilt.is_held()


def test_acquire_gives_up_with_an_error(session: Session, name: str) -> None:
    session.try_acquire(name, LONG_MS)
    with pytest.raises(LockTimeout):
        session.acquire(name, LONG_MS, 60)


def test_owners_drawn_by_the_session_differ(session: Session, name: str) -> None:
    guards = [session.try_acquire(f"{name}-{n}", LONG_MS) for n in range(3)]
    assert len({guard.owner for guard in guards if guard}) == 3


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
