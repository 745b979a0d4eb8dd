"""Every planted bug shows, in the backends that have it, by a sequence that the reference answers otherwise."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from asking import DEADLINE_S, wait_until
from symptoms import SYMPTOMS, World

from backends.bugs import SHARED, unanswered
from backends.dynamodb import mutants as dynamodb_mutants
from backends.dynamodb.session import ClientClock, DynamoSession
from backends.interface import Session, StateKey, Swapped
from backends.memory import mutants as memory_mutants
from backends.memory.session import MemorySession
from backends.memory.store import MemoryStore
from backends.mutant import Mutant, Right, altered, bound, edited
from backends.postgres import mutants as postgres_mutants
from backends.postgres.session import PostgresSession, install_schema
from backends.redis import mutants as redis_mutants
from backends.redis.session import RedisSession, scripts
from harness.driving.client import Indeterminate

Yield = Callable[[], None]
PLANTED: Mapping[str, Mapping[str, Mutant]] = {
    "memory": memory_mutants.MUTANTS,
    "redis": redis_mutants.MUTANTS,
    "postgres": postgres_mutants.MUTANTS,
    "dynamodb": dynamodb_mutants.MUTANTS,
}
ELSEWHERE = {
    ("postgres", "stale-snapshot"),
    ("dynamodb", "clock-bound-ignored"),
    *((backend, name) for backend in PLANTED for name in unanswered.MUTANTS),
}
"""What needs two transactions at once, two clocks, or answers that are lost: tests of their own."""


def own(backend: str) -> list[str]:
    """Give the bugs that a backend has a way of its own to plant, and that one session shows: the shared ones are the same everywhere."""
    return sorted(name for name, mutant in PLANTED[backend].items() if SHARED.get(name) is not mutant and (backend, name) not in ELSEWHERE)


def pass_ms(ms: int) -> None:
    end = time.monotonic() + ms / 1000 + 0.005
    wait_until(lambda: time.monotonic() >= end)


Make = Callable[[str | None, Yield], Session]
InWorld = Callable[[Make, str | None], World]


@pytest.fixture
def in_world() -> Iterator[InWorld]:
    """Give worlds on a server; their sessions are closed at the end."""
    with ExitStack() as stack:

        def opened(make: Make, mutant: str | None, yield_: Yield) -> Session:
            session = make(mutant, yield_)
            stack.callback(session.close)
            return session

        yield lambda make, mutant: World(partial(opened, make, mutant), pass_ms)


def in_memory(mutant: str | None) -> World:
    now = [0]
    store = MemoryStore(lambda: now[0])

    def go_on(ms: int) -> None:
        now[0] += ms * 1_000_000

    return World(lambda yield_: MemorySession(store, mutant, yield_), go_on, steps_before=1)


@pytest.mark.parametrize("mutant", sorted(memory_mutants.MUTANTS))
def test_a_memory_mutant_shows_and_the_reference_does_not(mutant: str) -> None:
    assert SYMPTOMS[mutant](in_memory(mutant))
    assert not SYMPTOMS[mutant](in_memory(None))


@pytest.mark.parametrize("mutant", own("redis"))
def test_a_redis_mutant_shows_and_the_reference_does_not(redis_single: Any, in_world: InWorld, mutant: str) -> None:
    def make(planted: str | None, yield_: Yield) -> Session:
        return RedisSession(redis_single.target, DEADLINE_S, mutant=planted, yield_=yield_)

    assert SYMPTOMS[mutant](in_world(make, mutant))
    assert not SYMPTOMS[mutant](in_world(make, None))


@pytest.mark.parametrize("mutant", own("postgres"))
def test_a_postgres_mutant_shows_and_the_reference_does_not(postgres_server: Any, in_world: InWorld, mutant: str) -> None:
    def make(planted: str | None, yield_: Yield) -> Session:
        return PostgresSession(postgres_server.target, DEADLINE_S, mutant=planted, yield_=yield_)

    for planted in (mutant, None):
        install_schema("127.0.0.1", postgres_server.port, planted)
    assert SYMPTOMS[mutant](in_world(make, mutant))
    assert not SYMPTOMS[mutant](in_world(make, None))


@pytest.mark.parametrize("mutant", own("dynamodb"))
def test_a_dynamodb_mutant_shows_and_the_reference_does_not(dynamodb_server: Any, in_world: InWorld, mutant: str) -> None:
    def make(planted: str | None, yield_: Yield) -> Session:
        def now() -> int:
            yield_()
            return time.time_ns() // 1_000_000

        return DynamoSession(dynamodb_server.target, DEADLINE_S, clock=ClientClock(0, now), mutant=planted)

    def world(planted: str | None) -> World:
        return replace(in_world(make, planted), steps_before=1)  # the clock is read once before each request

    assert SYMPTOMS[mutant](world(mutant))
    assert not SYMPTOMS[mutant](world(None))


@pytest.mark.parametrize("backend", sorted(PLANTED))
def test_every_mutant_has_a_symptom_or_a_test_of_its_own(backend: str) -> None:
    assert set(PLANTED[backend]) <= set(SYMPTOMS) | {mutant for _, mutant in ELSEWHERE}


def test_every_symptom_is_of_a_mutant() -> None:
    assert set(SYMPTOMS) <= set().union(*PLANTED.values())


def test_there_are_at_least_forty_bugs() -> None:
    assert len(set().union(*PLANTED.values())) >= 40


def test_a_bound_that_is_ignored_lets_a_client_with_a_fast_clock_take_a_held_lock(dynamodb_server: Any) -> None:
    def granted(mutant: str | None, name: str, ahead_ms: int) -> bool:
        clock = ClientClock(100_000, lambda: time.time_ns() // 1_000_000 + ahead_ms)
        with closing(DynamoSession(dynamodb_server.target, DEADLINE_S, clock=clock, mutant=mutant)) as session:
            return session.try_acquire(name, 600_000) is not None

    def taken(mutant: str | None) -> bool:
        name = uuid.uuid4().hex
        assert granted(mutant, name, 0)
        return granted(mutant, name, 650_000)

    assert taken("clock-bound-ignored")
    assert not taken(None)


@pytest.mark.parametrize("mutant", own("redis"))
def test_a_redis_mutant_answers_its_other_operations_as_the_reference(redis_single: Any, mutant: str) -> None:
    session = RedisSession(redis_single.target, DEADLINE_S, mutant=mutant)
    key = StateKey("mutants", uuid.uuid4().hex, "state", "x")
    assert session.get_versioned(key) is None
    assert session.check_and_set(key, "1", None) is True
    assert session.get_versioned(key) == ("1", 1)
    assert session.compare_and_swap(key, 1, "2", None) == Swapped(2)
    assert session.get(key) == "2"
    session.close()


def unheard(mutant: str, operation: str, often: int) -> tuple[Any, MemoryStore]:
    """Give the mutant's operation over a store that applies it, and the store; so often the answer is lost."""
    store, lost = MemoryStore(), iter(range(often))

    def applied(*arguments: Any) -> Any:
        answer = getattr(store, operation)(*arguments)
        if next(lost, None) is not None:
            raise Indeterminate("the answer was lost")
        return answer

    right = Right(altered(store, {operation: applied}), lambda: None)
    return bound(unanswered.MUTANTS[mutant].steps, right)[operation], store


def test_a_grant_without_an_answer_counts_as_granted() -> None:
    grant, store = unheard("unanswered-is-granted", "grant", 1)
    store.grant("n", "other", 600_000)
    assert grant("n", "mine", 600_000) is not None


def test_a_check_and_set_without_an_answer_counts_as_lost() -> None:
    check_and_set, store = unheard("unanswered-is-false", "check_and_set", 1)
    assert check_and_set("n:t:k:x", "mine", None) is False
    assert store.get("n:t:k:x") == "mine"


def test_an_increment_without_an_answer_is_applied_again() -> None:
    increment, _ = unheard("unanswered-is-sent-again", "increment", 1)
    assert increment("n:t:k:x", 1, None) == 2


def test_an_edit_that_no_longer_fits_is_refused() -> None:
    with pytest.raises(LookupError, match="get has no 'nothing'"):
        edited(scripts(), (("get", "nothing", "something"),))


@pytest.mark.parametrize(
    "make", [lambda m: MemorySession(MemoryStore(), m), lambda m: RedisSession(lambda: pytest.fail("connects"), mutant=m)]
)
def test_an_unknown_mutant_is_refused_with_the_nearest(make: Callable[[str], Session]) -> None:
    with pytest.raises(ValueError, match="did you mean 'ttl-early'"):
        make("ttl-erly")


def test_the_bugs_that_need_nothing_of_a_backend_are_planted_in_all_of_them() -> None:
    assert all(set(SHARED) <= set(planted) for planted in PLANTED.values())
