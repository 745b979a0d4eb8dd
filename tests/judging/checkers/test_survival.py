"""What survived a crash: what is counted as acknowledged before it, as asked about after it, and as lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from trials import Script

from harness.judging.checkers.survival import Survival, attempted_while_cut, survival
from harness.record.format import load
from harness.record.history import Effect, Header

EXAMPLES = sorted((Path(__file__).parents[3] / "examples/histories/dedup-survival").glob("*/*.jsonl"))
NONE = Survival()


def restarted(f: str = "restart", **more: Any) -> Script:
    """n1 alone, killed at 2 s and back at 3 s."""
    script = Script()
    script.role(1, "n1", "primary")
    script.fault(f, {"begin": 2000, "active": 2100, "healing": 2500, "healed": 3000}, changes_roles=True, **more)
    return script


def failed_over(*, killed: bool = True, promoted: float | None = 4000) -> Script:
    """n1 is cut from its replicas at 1 s, killed at 2 s (if so), n2 promoted at 4 s, n1 back at 9 s."""
    script = Script()
    script.role(1, "n1", "primary")
    script.role(2, "n2", "replica")
    cut = "hold-back-replication" if killed else "isolate-primary"
    script.fault(cut, {"begin": 1000, "active": 1300, "healing": 8000, "healed": 9100}, changes_roles=True)
    if killed:
        script.fault("kill", {"begin": 2000, "active": 2050, "healing": 8001, "healed": 9000}, changes_roles=True, id_=2)
    if promoted is not None:
        script.role(promoted, "n2", "primary")
    return script


def win(script: Script, at: float, key: str = "k", value: str = "v", ttl_ms: int | None = None, **more: Any) -> None:
    script.operation(at, at + 1, "check_and_set", {"value": value, "ttl_ms": ttl_ms}, {"set": True}, key=key, **more)


def read(script: Script, at: float, value: str | None, key: str = "k", **more: Any) -> None:
    script.operation(at, at + 1, "get", {}, {"value": value}, key=key, **more)


def grant(script: Script, at: float, owner: str = "o", ttl_ms: int = 10_000, key: str = "lock", **more: Any) -> None:
    answer = {"granted": True, "fencing_token": None}
    script.operation(at, at + 1, "try_acquire", {"owner": owner, "ttl_ms": ttl_ms}, answer, key=key, **more)


def attempt(script: Script, at: float, granted: bool, owner: str = "other", **more: Any) -> None:
    answer = {"granted": granted, "fencing_token": None}
    script.operation(at, at + 1, "try_acquire", {"owner": owner, "ttl_ms": 800}, answer, key="lock", **more)


def use(script: Script, f: str, at: float, answer: dict[str, bool], owner: str = "o", **more: Any) -> None:
    argument = {"owner": owner, "duration_ms": 10_000} if f == "extend" else {"owner": owner}
    script.operation(at, at + 1, f, argument, answer, key="lock", **more)


def locks(script: Script) -> tuple[int, int, int]:
    found = survival(script.history())
    return found.locks_held_across, found.locks_probed, found.locks_lost


def keys(script: Script) -> tuple[int, int, int]:
    found = survival(script.history())
    return found.dedup_acknowledged, found.dedup_read_back, found.dedup_lost


# Dedup keys


def test_keys_acknowledged_before_the_kill_are_counted_and_read_back() -> None:
    script = restarted()
    win(script, 1000, "kept")
    win(script, 1100, "lost")
    win(script, 1200, "not read")
    read(script, 3500, "v", "kept")
    read(script, 3600, None, "lost")
    assert keys(script) == (3, 2, 1)


@pytest.mark.parametrize("f", ["get", "get_versioned"])
def test_another_value_is_a_loss(f: str) -> None:
    script = restarted()
    win(script, 1000)
    script.operation(3500, 3501, f, {}, {"value": "w", "version": 1}, key="k")
    assert keys(script) == (1, 1, 1)


def test_one_read_of_many_that_misses_it_is_a_loss() -> None:
    script = restarted()
    win(script, 1000)
    read(script, 3500, None)
    read(script, 3600, "v")
    assert keys(script) == (1, 1, 1)


def test_what_is_not_certain_to_be_before_or_after_does_not_count() -> None:
    script = restarted()
    script.operation(1999, 2001, "check_and_set", {"value": "v", "ttl_ms": None}, {"set": True}, key="across")
    script.operation(1000, 1500, "check_and_set", {"value": "v", "ttl_ms": None}, None, key="unanswered", type_="info")
    script.operation(1000, 1001, "check_and_set", {"value": "v", "ttl_ms": None}, None, key="failed", type_="fail")
    script.operation(1000, 1001, "check_and_set", {"value": "v", "ttl_ms": None}, {"set": False}, key="refused")
    win(script, 1000, "expires", ttl_ms=500)
    win(script, 1000, "read early")
    script.operation(2999, 3001, "get", {}, {"value": None}, key="read early")
    script.operation(3500, 3501, "get", {}, None, key="read early", type_="info")
    assert keys(script) == (1, 0, 0)


# Locks


def test_a_refused_competitor_shows_that_a_lock_survived() -> None:
    script = restarted()
    grant(script, 1000)
    attempt(script, 4000, granted=False)
    assert locks(script) == (1, 1, 0)


def test_a_granted_competitor_shows_that_a_lock_was_lost() -> None:
    script = restarted()
    grant(script, 1000)
    attempt(script, 4000, granted=True)
    assert locks(script) == (1, 1, 1)


@pytest.mark.parametrize("f", ["is_held", "extend"])
@pytest.mark.parametrize(("held", "lost"), [(True, 0), (False, 1)])
def test_the_owner_s_own_answer_shows_either(f: str, held: bool, lost: int) -> None:
    script = restarted()
    grant(script, 1000)
    use(script, f, 4000, {"held": held})
    assert locks(script) == (1, 1, lost)


def test_a_lock_is_counted_once_however_often_it_is_asked_about() -> None:
    script = restarted()
    grant(script, 1000)
    for at in (3500, 4000, 4500):
        attempt(script, at, granted=False, owner=f"other-{at}")
    assert locks(script) == (1, 1, 0)


def test_a_lock_that_nobody_asked_about_is_not_probed() -> None:
    script = restarted()
    grant(script, 1000)
    use(script, "is_held", 4000, {"held": False}, owner="stranger")
    use(script, "release", 4100, {"released": False}, owner="stranger")
    assert locks(script) == (1, 0, 0)


@pytest.mark.parametrize("at", [11_500, 10_985])
def test_an_answer_from_the_end_of_must_hold_on_proves_nothing(at: float) -> None:
    script = restarted()
    grant(script, 1000)
    attempt(script, at, granted=True)
    use(script, "is_held", at + 2, {"held": False})
    assert locks(script) == (1, int(at < 10_990), int(at < 10_990))


def test_an_answer_before_the_server_was_back_is_no_probe() -> None:
    script = restarted()
    grant(script, 1000)
    attempt(script, 2400, granted=False)
    assert locks(script) == (1, 0, 0)


def test_a_lock_released_after_the_crash_and_taken_by_another_is_not_lost() -> None:
    script = restarted()
    grant(script, 1000)
    use(script, "release", 3500, {"released": True})
    attempt(script, 4000, granted=True)
    assert locks(script) == (1, 0, 0)


def test_a_lock_that_had_ended_or_came_later_was_not_held_across() -> None:
    script = restarted()
    grant(script, 1000, "short", ttl_ms=500)
    grant(script, 1600, "released")
    use(script, "release", 1800, {"released": True}, owner="released")
    script.operation(1900, 2400, "try_acquire", {"owner": "u", "ttl_ms": 9000}, None, key="other", type_="info")
    grant(script, 3500, "later")
    assert locks(script) == (0, 0, 0)


# Which crash


def test_without_a_fault_that_changes_roles_there_is_no_crash() -> None:
    script = Script()
    script.fault("pause", {"begin": 2000, "active": 2100, "healing": 2500, "healed": 3000})
    win(script, 1000)
    assert survival(script.history()) == NONE


def test_the_death_of_a_replica_is_no_crash() -> None:
    script = Script()
    script.role(1, "n1", "primary")
    script.role(2, "n2", "replica")
    script.fault("kill", {"begin": 2000, "active": 2100, "healing": 2500, "healed": 3000}, ("n2",), changes_roles=True)
    win(script, 1000)
    assert survival(script.history()) == NONE


def test_a_fault_of_several_nodes_is_a_crash_if_one_of_them_is_the_primary() -> None:
    script = Script()
    script.role(1, "n1", "primary")
    script.role(2, "n2", "replica")
    script.fault("restart", {"begin": 2000, "active": 2100, "healing": 2500, "healed": 3000}, ("n2", "n1"), changes_roles=True)
    win(script, 1000)
    assert keys(script) == (1, 0, 0)


def test_a_cut_after_the_kill_does_not_unsay_what_was_acknowledged_before() -> None:
    script = restarted()
    script.fault("isolate-primary", {"begin": 5000, "active": 5300, "healing": 6000, "healed": 6100}, changes_roles=True, id_=2)
    win(script, 1000)
    assert keys(script) == (1, 0, 0)


def test_a_server_whose_role_was_never_seen_may_be_the_primary() -> None:
    script = Script()
    script.fault("restart", {"begin": 2000, "active": 2100, "healing": 2500, "healed": 3000}, changes_roles=True)
    win(script, 1000, node=None)
    read(script, 3500, "v", node=None)
    assert keys(script) == (1, 1, 0)


def test_what_was_acknowledged_stays_counted_where_the_server_did_not_come_back() -> None:
    script = Script()
    script.fault("restart", {"begin": 2000, "active": 2100, "failed": 3000}, changes_roles=True)
    win(script, 1000)
    grant(script, 1100)
    attempt(script, 3500, granted=False)
    assert survival(script.history()) == Survival(dedup_acknowledged=1, locks_held_across=1)


def test_another_fault_s_healing_does_not_mean_that_the_server_is_back() -> None:
    script = restarted()
    script.fault("restart", {"healed": 2200}, id_=9)
    grant(script, 1000)
    attempt(script, 2400, granted=False)
    assert locks(script) == (1, 0, 0)


# Failover


@pytest.mark.parametrize("killed", [True, False])
def test_only_what_was_acknowledged_after_the_cut_counts(killed: bool) -> None:
    script = failed_over(killed=killed)
    win(script, 500, "copied")
    win(script, 1500, "not copied")
    grant(script, 600, key="copied")
    grant(script, 1600)
    read(script, 10_000, None, "not copied", node="n2")
    read(script, 10_100, "v", "copied", node="n2")
    attempt(script, 5000, granted=True, node="n2")
    assert survival(script.history()) == Survival(1, 1, 1, 1, 1, 1)


def test_a_split_brain_exposes_until_the_promotion() -> None:
    script = failed_over(killed=False)
    grant(script, 3500)
    attempt(script, 5000, granted=False, node="n2")
    assert locks(script) == (1, 1, 0)


def test_after_the_kill_nothing_counts_as_acknowledged_before() -> None:
    script = failed_over()
    grant(script, 2500)
    win(script, 2600)
    assert survival(script.history()) == NONE


def test_the_old_primary_s_answers_on_its_side_are_no_probes() -> None:
    script = failed_over(killed=False)
    grant(script, 1600)
    win(script, 1500)
    attempt(script, 5000, granted=False, node="n1")
    use(script, "is_held", 5100, {"held": True}, node="n1")
    read(script, 9500, "v", node="n1")
    assert survival(script.history()) == Survival(dedup_acknowledged=1, locks_held_across=1)


def test_an_answer_of_the_new_primary_before_its_promotion_was_seen_does_not_count() -> None:
    script = failed_over()
    grant(script, 1600)
    attempt(script, 3900, granted=True, node="n2")
    assert locks(script) == (1, 0, 0)


def test_a_cut_after_which_nobody_took_over_is_no_crash() -> None:
    script = failed_over(killed=False, promoted=None)
    grant(script, 1600)
    attempt(script, 9500, granted=False)
    assert survival(script.history()) == NONE


def test_a_kill_after_which_nobody_took_over_is_a_restart() -> None:
    script = failed_over(promoted=None)
    grant(script, 1600)
    attempt(script, 9500, granted=False)
    assert locks(script) == (1, 1, 0)


def test_the_old_primary_in_its_role_again_is_no_promotion() -> None:
    script = restarted("restart-empty")
    script.role(2300, "n1", "dead")
    script.role(2400, "n1", "primary")
    grant(script, 1000)
    attempt(script, 2450, granted=True, owner="early")
    attempt(script, 3500, granted=False)
    assert locks(script) == (1, 1, 0)


def test_a_restarted_server_that_is_first_seen_as_primary_is_no_promotion() -> None:
    script = Script()
    script.fault("restart", {"begin": 2000, "active": 2100, "healing": 2500, "healed": 3000}, changes_roles=True)
    script.role(2400, "n1", "primary")
    grant(script, 1000)
    attempt(script, 2450, granted=True, owner="early")
    attempt(script, 3500, granted=False)
    assert locks(script) == (1, 1, 0)


def test_a_primary_in_a_new_epoch_and_a_replica_are_no_promotions() -> None:
    script = Script()
    script.role(1, "n2", "primary")
    script.fault("restart", {"begin": 2000, "active": 2100, "healing": 2500, "healed": 3000}, changes_roles=True)
    script.role(2400, "n2", "primary", epoch=2)
    script.role(2410, "n3", "replica")
    grant(script, 1000)
    attempt(script, 2450, granted=False, owner="early", node="n2")
    attempt(script, 2460, granted=False, owner="early too", node="n3")
    assert locks(script) == (1, 0, 0)


def test_all_who_take_over_answer_and_the_first_of_them_ends_the_exposure() -> None:
    script = failed_over(killed=False)
    script.role(6000, "n3", "primary")
    grant(script, 3000)
    grant(script, 5000, "too late", key="other")
    attempt(script, 5500, granted=False, owner="early", node="n3")
    assert locks(script) == (1, 0, 0)
    attempt(script, 6500, granted=True, node="n3")
    assert locks(script) == (1, 1, 1)


def test_as_a_whole_what_was_acknowledged_before_the_cut_counts_too() -> None:
    script = failed_over()
    grant(script, 500)
    win(script, 600)
    attempt(script, 4500, granted=False, node="n2")
    found = survival(script.history(), whole=True)
    assert (found.locks_held_across, found.locks_probed, found.dedup_acknowledged) == (1, 1, 1)
    assert survival(script.history()).locks_held_across == 0


def test_attempts_between_the_cut_and_the_kill_are_counted_whatever_came_of_them() -> None:
    script = failed_over()
    grant(script, 500)
    script.operation(1500, 1800, "try_acquire", {"owner": "x", "ttl_ms": 800}, None, key="lock", type_="info")
    attempt(script, 1600, granted=False)
    attempt(script, 2500, granted=False)
    assert attempted_while_cut(script.history()) == 2


def test_without_a_cut_nothing_was_attempted_during_it() -> None:
    script = restarted()
    attempt(script, 1600, granted=False)
    assert attempted_while_cut(script.history()) == 0


def test_a_history_without_events_has_no_crash() -> None:
    assert survival(Script().history()) == NONE


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: "/".join(path.parts[-2:]))
def test_examples(path: Path) -> None:
    assert survival(load(path)).dedup_lost == (path.parts[-2] == "bad")


@pytest.mark.parametrize(("effects", "acknowledged"), [((Effect.CUTS_REPLICATION,), 1), ((), 0)])
def test_a_fault_that_cuts_replication_crashes_nobody_before_another_is_promoted(effects: tuple[Effect, ...], acknowledged: int) -> None:
    script = Script()
    script.role(1, "n1", "primary")
    script.role(2, "n2", "replica")
    script.fault("blackout", {"begin": 1000, "active": 1300, "healing": 8000, "healed": 9100}, changes_roles=True)
    script.role(4000, "n2", "primary")
    win(script, 2000, node="n1")
    history = replace(script.history(), header=Header(effects={"blackout": effects}))
    assert survival(history).dedup_acknowledged == acknowledged
