"""Every planted bug shows, in the backends that have it, by a sequence that the reference refuses or answers otherwise."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from backends.interface import Conflict, LockExpired, LockTimeout, Session, StateKey, Swapped
from backends.memory import mutants as memory_mutants
from backends.memory.session import MemorySession
from backends.memory.store import MemoryStore
from backends.mutant import WAIT_S
from backends.redis import mutants as redis_mutants
from backends.redis.session import RedisSession

Yield = Callable[[], None]
Open = Callable[..., Session]  # (mutant, yield_) -> a session
LONG_MS = 600_000


@pytest.fixture(params=["memory", "redis"])
def opened(request: pytest.FixtureRequest) -> Iterator[Open]:
    store = MemoryStore()
    server = request.getfixturevalue("redis_single") if request.param == "redis" else None
    with ExitStack() as stack:

        def make(mutant: str | None = None, yield_: Yield = lambda: None) -> Session:
            if server is None:
                return MemorySession(store, mutant, yield_)
            session = RedisSession(server.target, 10.0, mutant=mutant, yield_=yield_)
            stack.callback(session.close)
            return session

        yield make


@pytest.fixture
def key() -> StateKey:
    return StateKey("mutants", uuid.uuid4().hex, "state", "x")


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


def racing(opened: Open, mutant: str, act: Callable[[], object]) -> tuple[Session, list[object]]:
    """Give a mutated session in whose window `act` runs, and the list that gets its answer."""
    answers: list[object] = []
    yields = 0

    def yield_() -> None:
        nonlocal yields
        yields += 1
        if yields == (2 if isinstance(session, MemorySession) else 1):  # Memory yields once more, before the operation
            answers.append(act())

    session = opened(mutant, yield_)
    return session, answers


def test_get_then_set_has_two_winners(opened: Open, key: StateKey) -> None:
    rival = opened()
    victim, answers = racing(opened, "get-then-set", lambda: rival.check_and_set(key, "rival", None))
    assert victim.check_and_set(key, "victim", None) is True
    assert answers == [True]


def test_stale_cas_loses_an_update(opened: Open, key: StateKey) -> None:
    rival = opened()
    rival.set(key, "first", None)
    victim, answers = racing(opened, "stale-cas", lambda: rival.compare_and_swap(key, 1, "rival", None))
    assert victim.compare_and_swap(key, 1, "victim", None) == Swapped(2)
    assert answers == [Swapped(2)]


def test_stale_cas_still_refuses_another_version(opened: Open, key: StateKey) -> None:
    assert opened("stale-cas").compare_and_swap(key, 3, "a", None) == Conflict(None, 0)


def test_release_unchecked_frees_anothers_lock(opened: Open, name: str) -> None:
    session = opened("release-unchecked")
    guard = session.try_acquire(name, LONG_MS)
    assert guard is not None
    session.guard(name, "stranger").extend(LONG_MS)
    assert guard.is_held()
    session.guard(name, "stranger").release()
    assert not guard.is_held()
    with pytest.raises(LockExpired):
        guard.release()


def test_increment_twice_answers_the_first_sum(opened: Open, key: StateKey) -> None:
    session = opened("increment-twice")
    assert session.increment(key, 5, None) == 5
    assert session.get(key) == "10"


def test_ttl_early_ends_a_lock_at_half_its_time_in_memory(name: str) -> None:
    now = [0]
    guard = MemorySession(MemoryStore(lambda: now[0]), "ttl-early").try_acquire(name, 1_000)
    assert guard is not None
    now[0] = 500_000_000
    assert not guard.is_held()


def test_ttl_early_ends_a_lock_at_half_its_time_in_redis(redis_single: object, name: str) -> None:
    session = RedisSession(redis_single.target, 10.0, mutant="ttl-early")  # type: ignore[attr-defined]
    guard = session.try_acquire(name, LONG_MS)
    assert guard is not None
    assert 0 < redis_single.admin("PTTL", f"hw:lock:{name}") <= LONG_MS // 2  # type: ignore[attr-defined]
    guard.extend(LONG_MS * 4)
    assert LONG_MS < redis_single.admin("PTTL", f"hw:lock:{name}") <= LONG_MS * 2  # type: ignore[attr-defined]
    session.close()


def test_ttl_late_keeps_a_lock_for_twice_its_time_in_memory(name: str) -> None:
    now = [0]
    session = MemorySession(MemoryStore(lambda: now[0]), "ttl-late")
    assert session.try_acquire(name, 1_000) is not None
    now[0] = 1_900_000_000
    assert session.try_acquire(name, 1_000) is None
    now[0] = 2_000_000_000
    assert session.try_acquire(name, 1_000) is not None


def test_ttl_late_keeps_a_lock_for_twice_its_time_in_redis(redis_single: object, name: str) -> None:
    session = RedisSession(redis_single.target, 10.0, mutant="ttl-late")  # type: ignore[attr-defined]
    assert session.try_acquire(name, LONG_MS) is not None
    assert LONG_MS < redis_single.admin("PTTL", f"hw:lock:{name}") <= LONG_MS * 2  # type: ignore[attr-defined]
    session.close()


def test_fencing_repeats_gives_a_token_twice(opened: Open, name: str) -> None:
    session = opened("fencing-repeats")
    guards = [session.try_acquire(f"{name}-{n}", LONG_MS) for n in range(4)]
    tokens = [guard.fencing_token for guard in guards if guard]
    assert len(set(tokens)) < 4


def test_grant_waits_for_a_lock_longer_than_its_caller_would(opened: Open, name: str) -> None:
    assert opened().try_acquire(name, LONG_MS) is not None
    began = time.monotonic()
    with pytest.raises(LockTimeout):
        opened("grant-waits").acquire(name, LONG_MS, 50)
    assert time.monotonic() - began >= WAIT_S


def test_versions_skip_raises_by_two(opened: Open, key: StateKey) -> None:
    session = opened("versions-skip")
    session.set(key, "a", None)
    session.set(key, "b", None)
    assert session.get_versioned(key) == ("b", 4)


def test_delete_resurrects_the_old_value_after_a_read(opened: Open, key: StateKey) -> None:
    session = opened("delete-resurrects")
    session.set(key, "old", None)
    assert session.delete(key) is True
    assert session.get(key) is None
    assert session.get(key) == "old"
    assert session.delete(key) is True
    assert session.get_versioned(key) is None
    assert session.get_versioned(key) == ("old", 1)


def test_read_evicts_removes_a_successor_and_lets_two_win(key: StateKey) -> None:
    now = [0]
    store = MemoryStore(lambda: now[0])
    reference = MemorySession(store)
    reference.check_and_set(key, "old", 1)
    now[0] = 2_000_000
    wins: list[bool] = []
    turns = iter([lambda: None, lambda: wins.append(reference.check_and_set(key, "new", None))])
    MemorySession(store, "read-evicts", lambda: next(turns)()).get(key)
    wins.append(reference.check_and_set(key, "newer", None))
    assert wins == [True, True]


@pytest.mark.parametrize("mutant", sorted(redis_mutants.MUTANTS))
def test_a_redis_mutant_answers_its_other_operations_as_the_reference(redis_single: object, key: StateKey, mutant: str) -> None:
    session = RedisSession(redis_single.target, 10.0, mutant=mutant)  # type: ignore[attr-defined]
    assert session.get_versioned(key) is None
    assert session.check_and_set(key, "1", None) is True
    assert session.get_versioned(key) == ("1", 1)
    assert session.compare_and_swap(key, 1, "2", None) == Swapped(2)
    assert session.get(key) == "2"
    session.close()


@pytest.mark.parametrize(
    "make", [lambda m: MemorySession(MemoryStore(), m), lambda m: RedisSession(lambda: pytest.fail("connects"), mutant=m)]
)
def test_an_unknown_mutant_is_refused_with_the_nearest(make: Callable[[str], Session]) -> None:
    with pytest.raises(ValueError, match="did you mean 'ttl-early'"):
        make("ttl-erly")


def test_the_mutants_of_both_backends_share_their_names() -> None:
    assert set(memory_mutants.MUTANTS) - set(redis_mutants.MUTANTS) == {"read-evicts"}
    assert set(redis_mutants.MUTANTS) <= set(memory_mutants.MUTANTS)
