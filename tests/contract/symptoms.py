"""By what each planted bug shows: a sequence that the reference answers otherwise. Not a file of tests.

A symptom is True where the bug was seen. Of two who race, the second acts in the window that the bug opens.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from backends.interface import INT64_MAX, Conflict, LockExpired, LockTimeout, NotAnInteger, Session, StateKey, Swapped

Yield = Callable[[], None]
LONG_MS, SHORT_MS = 600_000, 100
TRIES = 40


@dataclass(frozen=True, slots=True)
class World:
    """One store with the bug planted: `opened` gives a session, `pass_ms` lets time go by there; names of this world's own."""

    opened: Callable[[Yield], Session]
    pass_ms: Callable[[int], None]
    steps_before: int = 0  # how often a session yields before its operation begins

    def session(self) -> Session:
        return self.opened(lambda: None)

    def racing(self, act: Callable[[], Any]) -> tuple[Session, list[Any]]:
        """Give a session in whose window `act` runs once, and the list that gets its answer."""
        answers: list[Any] = []
        yields = 0

        def yield_() -> None:
            nonlocal yields
            yields += 1
            if yields == self.steps_before + 1:
                answers.append(act())

        return self.opened(yield_), answers


def key(id_: str = "x", tenant: str | None = None) -> StateKey:
    return StateKey("mutants", tenant or uuid.uuid4().hex, "state", id_)


def name() -> str:
    return uuid.uuid4().hex


def expired(act: Callable[[], Any]) -> bool:
    try:
        act()
    except LockExpired:
        return True
    return False


def summed(session: Session, k: StateKey, delta: int, ttl_ms: int | None = None) -> int | None:
    try:
        return session.increment(k, delta, ttl_ms)
    except NotAnInteger:
        return None


# Locks


def strangers_take(world: World) -> bool:
    session, n = world.session(), name()
    guard = session.try_acquire(n, LONG_MS)
    assert guard is not None
    return not expired(session.guard(n, "stranger").release)


def release_takes_a_successor(world: World) -> bool:
    n, rival = name(), world.session()

    def change_hands() -> bool:
        world.pass_ms(SHORT_MS)
        return rival.try_acquire(n, LONG_MS, owner="rival") is not None

    victim, answers = world.racing(change_hands)
    assert rival.try_acquire(n, SHORT_MS, owner="victim") is not None
    victim.guard(n, "victim").release()
    return answers == [True] and not rival.guard(n, "rival").is_held()


def two_are_granted(world: World) -> bool:
    n, rival = name(), world.session()
    victim, answers = world.racing(lambda: rival.try_acquire(n, LONG_MS))
    return victim.try_acquire(n, LONG_MS) is not None and bool(answers)


def lock_is(held: bool, after_ms: int, ttl_ms: int, world: World) -> bool:
    """Say whether a lock can (not) be had after this time."""
    session, n = world.session(), name()
    assert session.try_acquire(n, ttl_ms, owner="even") is not None
    world.pass_ms(after_ms)
    return (session.try_acquire(n, LONG_MS) is None) is held


def is_held_by_a_stranger(world: World) -> bool:
    session, n = world.session(), name()
    assert session.try_acquire(n, LONG_MS) is not None
    return session.guard(n, "stranger").is_held()


def used_after_expiry(use: str, world: World) -> bool:
    session, n = world.session(), name()
    guard = session.try_acquire(n, SHORT_MS)
    assert guard is not None
    world.pass_ms(SHORT_MS)
    return guard.is_held() if use == "is_held" else not expired(guard.release if use == "release" else lambda: guard.extend(LONG_MS))


def extend_adds(world: World) -> bool:
    guard = world.session().try_acquire(name(), 1000)
    assert guard is not None
    guard.extend(1000)
    world.pass_ms(1500)
    return guard.is_held()


def extend_renews_nothing(world: World) -> bool:
    guard = world.session().try_acquire(name(), 1000)
    assert guard is not None
    guard.extend(LONG_MS)
    world.pass_ms(1000)
    return not guard.is_held()


def stamped_early(world: World) -> bool:
    session, names = world.session(), [name() for _ in range(TRIES)]
    guards = [session.try_acquire(n, 1000, owner=n) for n in names]
    world.pass_ms(800)
    return not all(guard is not None and guard.is_held() for guard in guards)


def holder_is_let_in_again(world: World) -> bool:
    session, n = world.session(), name()
    return all(session.try_acquire(n, LONG_MS, owner="same") is not None for _ in range(2))


def refused_a_free_lock(world: World) -> bool:
    session = world.session()
    return any(session.try_acquire(name(), LONG_MS, owner=str(number)) is None for number in range(TRIES))


def tokens_repeat(world: World) -> bool:
    session = world.session()
    tokens = [guard.fencing_token for _ in range(20) if (guard := session.try_acquire(name(), LONG_MS))]
    return len(set(tokens)) < len(tokens)


def acquire_outlasts_its_time(world: World) -> bool:
    session, n = world.session(), name()
    assert session.try_acquire(n, LONG_MS) is not None
    began = time.monotonic()
    try:
        session.acquire(n, LONG_MS, 50)
    except LockTimeout:
        return time.monotonic() - began >= 1.0
    return False


# Keys


def two_winners(world: World) -> bool:
    k, rival = key(), world.session()
    victim, answers = world.racing(lambda: rival.check_and_set(k, "rival", None))
    return victim.check_and_set(k, "victim", None) and answers == [True]


def two_swaps_of_one_version(world: World) -> bool:
    k, rival = key(), world.session()
    rival.set(k, "first", None)
    victim, answers = world.racing(lambda: rival.compare_and_swap(k, 1, "rival", None))
    return victim.compare_and_swap(k, 1, "victim", None) == Swapped(2) and answers == [Swapped(2)]


def equal_sums(world: World) -> bool:
    k, rival = key(), world.session()
    victim, answers = world.racing(lambda: rival.increment(k, 1, None))
    return victim.increment(k, 1, None) == 1 and answers == [1]


def set_is_lost(world: World) -> bool:
    k, rival = key(), world.session()
    victim, answers = world.racing(lambda: rival.set(k, "rival", None))
    victim.set(k, "victim", None)
    return bool(answers) and rival.get(k) == "rival"


def deletes_a_newer_value(world: World) -> bool:
    k, rival = key(), world.session()
    rival.set(k, "old", None)
    victim, answers = world.racing(lambda: rival.delete(k) and rival.check_and_set(k, "new", None))
    victim.delete(k)
    return answers == [True] and rival.get(k) is None


def conflict_with_what_was_expected(world: World) -> bool:
    k, rival = key(), world.session()
    rival.set(k, "a", None)
    victim, answers = world.racing(lambda: rival.set(k, "b", None))
    return victim.compare_and_swap(k, 2, "c", None) == Conflict("b", 2) and bool(answers)


def check_and_set_removes_a_winner(world: World) -> bool:
    k, rival = key(), world.session()
    victim, answers = world.racing(lambda: rival.check_and_set(k, "rival", None))
    return victim.check_and_set(k, "victim", None) and answers == [True]


def a_read_removes_a_successor(world: World) -> bool:
    k, rival = key(), world.session()
    rival.set(k, "old", SHORT_MS)
    world.pass_ms(SHORT_MS)
    victim, answers = world.racing(lambda: rival.check_and_set(k, "new", None))
    victim.get(k)
    return answers == [True] and rival.get(k) is None


def increments_twice(world: World) -> bool:
    session, k = world.session(), key()
    return session.increment(k, 5, None) == 5 and session.get(k) == "10"


def conflict_with_ones_own_value(world: World) -> bool:
    session, k = world.session(), key()
    session.set(k, "0", None)
    answers = [session.compare_and_swap(k, number + 1, str(number), None) for number in range(TRIES)]
    return any(isinstance(answer, Conflict) and answer.value == str(number) for number, answer in enumerate(answers))


def nobody_wins(world: World) -> bool:
    session = world.session()
    return not all(session.check_and_set(key(), str(number), None) for number in range(TRIES))


def versions_are(expected: int, world: World) -> bool:
    session, k = world.session(), key()
    session.set(k, "a", None)
    session.set(k, "b", None)
    return session.get_versioned(k) == ("b", expected)


def zero_overwrites(world: World) -> bool:
    session, k = world.session(), key()
    session.set(k, "a", None)
    return isinstance(session.compare_and_swap(k, 0, "b", None), Swapped)


def swaps_another_version(world: World) -> bool:
    session, k = world.session(), key()
    session.set(k, "a", None)
    return isinstance(session.compare_and_swap(k, 7, "b", None), Swapped)


def refusal_writes(world: World) -> bool:
    session, k = world.session(), key()
    session.check_and_set(k, "first", None)
    return not session.check_and_set(k, "second", None) and session.get(k) == "second"


def sum_is_rounded(world: World) -> bool:
    session, k = world.session(), key()
    return session.increment(k, 2**53 + 1, None) != 2**53 + 1


def sum_wraps(world: World) -> bool:
    session, k = world.session(), key()
    session.increment(k, INT64_MAX, None)
    return summed(session, k, 1) is not None


def text_counts(world: World) -> bool:
    session, k = world.session(), key()
    session.set(k, "text", None)
    return summed(session, k, 1) == 1


def reads_are_stale(world: World) -> bool:
    session, other = world.session(), world.session()

    def stale(k: StateKey) -> bool:
        session.get(k)
        other.set(k, "new", None)
        return session.get(k) is None

    return any(stale(key()) for _ in range(TRIES))


def comes_back(world: World) -> bool:
    session, k = world.session(), key()
    session.set(k, "old", None)
    session.delete(k)
    return session.get(k) is None and session.get(k) == "old"


def set_hides_what_was_counted(world: World) -> bool:
    session, k = world.session(), key()
    session.set(k, "10", None)
    return session.increment(k, 5, None) == 5


# Expiry


def is_over(write: Callable[[Session, StateKey], Any], after_ms: int, world: World) -> bool:
    """Say whether what was written is over after this time."""
    session, k = world.session(), key()
    write(session, k)
    world.pass_ms(after_ms)
    return session.get(k) is None


def lives_on(write: Callable[[Session, StateKey], Any], after_ms: int, world: World) -> bool:
    return not is_over(write, after_ms, world)


def checked(session: Session, k: StateKey) -> None:
    assert session.check_and_set(k, "1", 1000)


def written(session: Session, k: StateKey) -> None:
    session.set(k, "1", 1000)


def swapped(session: Session, k: StateKey) -> None:
    assert session.compare_and_swap(k, 0, "1", 1000) == Swapped(1)


def counted(session: Session, k: StateKey) -> None:
    session.increment(k, 1, 1000)


def written_long(session: Session, k: StateKey) -> None:
    session.set(k, "1", 1900)


def counted_and_renewed(session: Session, k: StateKey) -> None:
    session.increment(k, 1, 1000)
    session.increment(k, 1, LONG_MS)


def set_then_cleared(session: Session, k: StateKey) -> None:
    session.set(k, "1", SHORT_MS)
    session.set(k, "2", None)


def swapped_then_cleared(session: Session, k: StateKey) -> None:
    session.set(k, "1", SHORT_MS)
    if session.compare_and_swap(k, 1, "2", None) != Swapped(2):
        session.set(k, "2", None)  # too slow: it was over


def counted_without(session: Session, k: StateKey) -> None:
    session.increment(k, 1, SHORT_MS)
    if session.increment(k, 1, None) == 1:
        session.delete(k)  # too slow: it was over


def refused(session: Session, k: StateKey) -> None:
    session.set(k, "1", SHORT_MS)
    if session.check_and_set(k, "2", LONG_MS):
        session.delete(k)  # too slow: it was over


def a_set_is_taken_along(world: World) -> bool:
    k, rival = key(), world.session()
    rival.set(k, "old", SHORT_MS)
    victim, _ = world.racing(lambda: world.pass_ms(SHORT_MS))
    victim.set(k, "new", None)
    return rival.get(k) is None


def after_expiry(seen: Callable[[Session, StateKey], bool], world: World) -> bool:
    session, k = world.session(), key()
    session.set(k, "7", SHORT_MS)
    world.pass_ms(SHORT_MS)
    return seen(session, k)


def scanned(session: Session, k: StateKey, prefix: str = "") -> list[str]:
    return [found for found, _ in session.scan_keys(k.namespace, k.tenant, k.kind, prefix)]


# Scans and indexes


def a_pattern_matches(world: World) -> bool:
    session, k = world.session(), key("a-b")
    session.set(k, "1", None)
    return any(scanned(session, k, prefix) for prefix in ("%", "_-"))


def scan_of_many(world: World) -> tuple[list[str], list[str]]:
    session, like = world.session(), key()
    keys = [StateKey(like.namespace, like.tenant, like.kind, f"{number:02d}") for number in range(30)]
    for each in keys:
        session.set(each, "1", None)
    return [each.canonical for each in keys], scanned(session, like)


def scan_loses(world: World) -> bool:
    keys, found = scan_of_many(world)
    return len(found) < len(keys)


def scan_repeats(world: World) -> bool:
    _, found = scan_of_many(world)
    return len(found) > len(set(found))


def scan_is_stale(world: World) -> bool:
    session, other = world.session(), world.session()

    def stale(k: StateKey) -> bool:
        scanned(session, k)
        other.set(k, "1", None)
        return not scanned(session, k)

    return any(stale(key()) for _ in range(TRIES))


def scan_leaks(world: World) -> bool:
    session, mine, anothers = world.session(), key(), key("y")
    session.set(anothers, "1", None)
    return bool(scanned(session, mine))


def indexed(session: Session, k: StateKey, *times_ms: int) -> None:
    for time_ms in times_ms:
        session.index_timeout(k, time_ms)


def due(session: Session, now_ms: int, *keys: StateKey) -> list[str]:
    mine = {k.canonical for k in keys}
    return [found for found in session.get_expired_timeouts(now_ms) if found in mine]


def reindexed_is(at: dict[int, int], world: World) -> bool:
    """Say whether a key that was indexed at 500 and then at 5,000 is due so often at these times."""
    session, k = world.session(), key()
    indexed(session, k, 500, 5_000)
    return all(len(due(session, now_ms, k)) == often for now_ms, often in at.items())


def an_old_entry_stays_or_a_new_one_goes(world: World) -> bool:
    """Index a key while another does, in whose window this one is: the one that ends last is not always the one that stands."""
    k, rival = key(), world.session()
    victim, answers = world.racing(lambda: rival.index_timeout(k, 5_000))
    victim.index_timeout(k, 10)
    return bool(answers) and due(rival, 5_000, k) != [k.canonical]


def reindexing_hides(world: World) -> bool:
    k, other = key(), world.session()
    other.index_timeout(k, 10)
    victim, answers = world.racing(lambda: due(other, 100, k))
    victim.index_timeout(k, 20)
    return answers == [[]]


def remove_forgets(world: World) -> bool:
    session, k = world.session(), key()
    indexed(session, k, 5)
    session.remove_timeout_index(k)
    return due(session, 5, k) != []


def due_is(now_ms: int, often: int, world: World) -> bool:
    session, k = world.session(), key()
    indexed(session, k, 1_000)
    return len(due(session, now_ms, k)) == often


def due_out_of_order(world: World) -> bool:
    session, tenant = world.session(), uuid.uuid4().hex
    first, second = key("b", tenant), key("a", tenant)
    indexed(session, first, 1)
    indexed(session, second, 2)
    return due(session, 5, first, second) != [first.canonical, second.canonical]


def due_loses(world: World) -> bool:
    session, tenant = world.session(), uuid.uuid4().hex
    keys = [key(f"{number:02d}", tenant) for number in range(30)]
    for each in keys:
        indexed(session, each, 1)
    return len(due(session, 1, *keys)) < len(keys)


def indexes_are_one(world: World) -> bool:
    session, k = world.session(), key()
    session.index_timeout(k, 5)
    return k.canonical in session.get_ready_chains(5)


Symptom = Callable[[World], bool]


def of(check: Callable[..., bool], *arguments: Any) -> Symptom:
    return lambda world: check(*arguments, world)


SYMPTOMS: Mapping[str, Symptom] = {
    "release-unchecked": strangers_take,
    "release-looks-first": release_takes_a_successor,
    "grant-looks-first": two_are_granted,
    "grant-after-release-only": of(lock_is, True, SHORT_MS, SHORT_MS),
    "grant-waits": acquire_outlasts_its_time,
    "ttl-early": of(lock_is, False, 500, 1000),
    "ttl-late": of(lock_is, True, 1500, 1000),
    "grant-endless": of(lock_is, True, 1000, 1000),
    "grant-stamped": stamped_early,
    "grant-reentrant": holder_is_let_in_again,
    "grant-retried": refused_a_free_lock,
    "is-held-unchecked": is_held_by_a_stranger,
    "is-held-expired": of(used_after_expiry, "is_held"),
    "extend-expired": of(used_after_expiry, "extend"),
    "extend-boasts": of(used_after_expiry, "extend"),
    "extend-adds": extend_adds,
    "extend-idle": extend_renews_nothing,
    "release-expired": of(used_after_expiry, "release"),
    "release-boasts": of(used_after_expiry, "release"),
    "fencing-repeats": tokens_repeat,
    "fencing-stalls": tokens_repeat,
    "fencing-timed": tokens_repeat,
    "get-then-set": two_winners,
    "stale-cas": two_swaps_of_one_version,
    "stale-snapshot": two_swaps_of_one_version,
    "increment-by-set": equal_sums,
    "set-by-swap": set_is_lost,
    "delete-looks-first": deletes_a_newer_value,
    "conflict-read-again": conflict_with_what_was_expected,
    "check-and-set-evicts": check_and_set_removes_a_winner,
    "read-evicts": a_read_removes_a_successor,
    "increment-twice": increments_twice,
    "cas-retried": conflict_with_ones_own_value,
    "check-and-set-retried": nobody_wins,
    "versions-skip": of(versions_are, 4),
    "cas-unchecked": swaps_another_version,
    "versions-restart": of(versions_are, 1),
    "cas-zero-overwrites": zero_overwrites,
    "refusal-writes": refusal_writes,
    "sum-rounds": sum_is_rounded,
    "sum-wraps": sum_wraps,
    "text-counts": text_counts,
    "stale-reads": reads_are_stale,
    "delete-resurrects": comes_back,
    "two-forms": set_hides_what_was_counted,
    "check-and-set-endless": of(lives_on, checked, 1000),
    "set-endless": of(lives_on, written, 1000),
    "cas-endless": of(lives_on, swapped, 1000),
    "increment-endless": of(lives_on, counted, 1000),
    "check-and-set-short": of(is_over, checked, 800),
    "set-short": of(is_over, written, 800),
    "increment-short": of(is_over, counted, 800),
    "increment-renews-once": of(is_over, counted_and_renewed, 1000),
    "ttl-truncated": of(is_over, written_long, 1500),
    "ttl-rounded-up": of(lives_on, written_long, 1950),
    "set-keeps-ttl": of(is_over, set_then_cleared, SHORT_MS),
    "cas-keeps-ttl": of(is_over, swapped_then_cleared, SHORT_MS),
    "increment-clears-ttl": of(lives_on, counted_without, SHORT_MS),
    "refusal-renews": of(lives_on, refused, SHORT_MS),
    "set-in-two-steps": a_set_is_taken_along,
    "get-expired": of(after_expiry, lambda session, k: session.get(k) == "7"),
    "set-expired": of(after_expiry, lambda session, k: session.set(k, "8", None) or session.get_versioned(k) == ("8", 2)),
    "cas-expired": of(after_expiry, lambda session, k: session.compare_and_swap(k, 1, "8", None) == Swapped(2)),
    "increment-expired": of(after_expiry, lambda session, k: session.increment(k, 1, None) == 8),
    "delete-expired": of(after_expiry, lambda session, k: session.delete(k)),
    "check-and-set-expired": of(after_expiry, lambda session, k: not session.check_and_set(k, "8", None)),
    "scan-expired": of(after_expiry, lambda session, k: scanned(session, k) == [k.canonical]),
    "scan-wildcards": a_pattern_matches,
    "scan-loses-page-ends": scan_loses,
    "scan-repeats": scan_repeats,
    "scan-stale": scan_is_stale,
    "scan-leaks": scan_leaks,
    "index-appends": of(reindexed_is, {1_000: 1}),
    "index-first-only": of(reindexed_is, {1_000: 1, 10_000: 1}),
    "reindex-races": an_old_entry_stays_or_a_new_one_goes,
    "reindex-removes-first": reindexing_hides,
    "remove-forgets": remove_forgets,
    "due-exclusive": of(due_is, 1_000, 0),
    "due-early": of(due_is, 950, 1),
    "due-unordered": due_out_of_order,
    "due-loses-page-ends": due_loses,
    "indexes-mixed": indexes_are_one,
}
