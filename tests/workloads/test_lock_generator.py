"""The lock workload's generator, driven by hand: which names it takes when, and what it does with a token that is not its own any more."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pytest
from driving import SLOTS, Answer, Slot, drive, invocations, times

from backends.client import FUNCTIONS
from harness.driving.generator import MEETING_NEAR_NS, MEETING_NS, NS_PER_S, Generator, Invocation
from workloads.lock import LOCK, SPENT_KEPT

REFUSED = {"try_acquire": {"granted": False, "fencing_token": None}, "extend": {"held": False}, "is_held": {"held": False}}
GRANTED = {"try_acquire": {"granted": True, "fencing_token": 1}, "extend": {"held": True}, "is_held": {"held": True}}


def generator(**options: Any) -> Generator:
    return LOCK.begin({"own": 0, **options}, FUNCTIONS)


def granting(invocation: Invocation) -> tuple[str, Any]:
    return "ok", GRANTED.get(invocation.f, {"released": True})


def refusing(invocation: Invocation) -> tuple[str, Any]:
    return "ok", REFUSED.get(invocation.f, {"released": False})


def unanswered(invocation: Invocation) -> tuple[str, Any]:
    return "info", None


def failing(invocation: Invocation) -> tuple[str, Any]:
    return "fail", None


def varied(invocation: Invocation) -> tuple[str, Any]:
    """Grant, refuse, fail and lose in turn, by a function of what is asked."""
    return (granting, refusing, granting, unanswered, failing)[crc32(f"{invocation.f} {invocation.value}".encode()) % 5](invocation)


ANSWERS = [granting, refusing, unanswered, failing, varied]
alone = pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.__name__)


@alone
def test_no_anchor_is_asked_for_before_half_a_second(answer: Answer) -> None:
    early = [now for now in times(1) if now < NS_PER_S // 2]
    assert not [each for each in invocations(drive(generator, answer, early)) if "-anchor-" in each.key]
    assert [each for each in invocations(drive(generator, answer)) if "-anchor-" in each.key]


def test_anchors_are_asked_for_at_once_where_there_are_no_other_names() -> None:
    slots = drive(lambda: generator(churn=0, fresh=0), granting, times(0.2))
    assert {each.key for each in invocations(slots)} == {"t1-anchor-0", "t1-anchor-1"}


@alone
def test_fresh_names_are_left_alone_while_it_is_quiet(answer: Answer) -> None:
    assert not [each for each in invocations(drive(generator, answer)) if "-fresh-" in each.key]


def test_once_cut_every_slot_of_the_first_side_asks_for_a_fresh_name_first_and_once() -> None:
    slots = [Slot(number, generator()) for number in range(SLOTS)]
    for slot in slots:
        slot.one(refusing, NS_PER_S, "fault", cut=True)
    firsts = [slot.invocations[0] for slot in slots]
    assert [each.key for each in firsts[: SLOTS // 2]] == ["t1-fresh-0", "t1-fresh-1"]
    assert [slot.generator.fresh_tried for slot in slots] == [True, True, False, False]  # type: ignore[attr-defined]


def test_without_a_cut_nobody_goes_for_a_fresh_name_of_its_own() -> None:
    slots = drive(generator, refusing, phase="fault", cut=False)
    assert not any(slot.generator.fresh_tried for slot in slots)  # type: ignore[attr-defined]


def test_both_sides_come_back_to_fresh_names_during_and_after_the_fault() -> None:
    for phase in ("fault", "after"):
        slots = drive(generator, refusing, phase=phase)
        assert all(any("-fresh-" in each.key for each in slot.invocations) for slot in slots)


def test_anchors_and_fresh_names_have_the_long_ttl_and_churn_names_the_short_one_or_a_part_of_it() -> None:
    taken = [each for each in invocations(drive(generator, refusing, phase="fault", cut=True)) if each.f == "try_acquire"]
    ttls = {(each.key, each.value["ttl_ms"]) for each in taken if "-churn-" in each.key}
    assert ttls == {("t1-churn-0", 800), ("t1-churn-1", 200), ("t1-churn-2", 100)}
    assert {each.value["ttl_ms"] for each in taken if "-churn-" not in each.key} == {12_000}


@alone
def test_an_owner_token_is_used_for_a_second_attempt_by_its_slot_only_while_it_is_held(answer: Answer) -> None:
    for slot in drive(generator, answer):
        holding: set[str] = set()
        asked: set[str] = set()
        for _, each, type_, value in slot.done:
            owner = each.value["owner"]
            if each.f == "try_acquire":
                assert owner not in asked or owner in holding
                asked.add(owner)
                if type_ == "ok" and value["granted"]:
                    holding.add(owner)
            if type_ == "info" or (each.f == "release" and type_ == "ok") or (type_ == "ok" and value.get("held") is False):
                holding.discard(owner)


def test_no_two_slots_share_an_owner_token() -> None:
    used = [{each.value["owner"] for each in slot.invocations} for slot in drive(generator, varied)]
    assert len(set.union(*used)) == sum(map(len, used))


def asks_again(slot: Slot) -> list[Invocation]:
    first: set[str] = set()
    again = []
    for each in slot.invocations:
        if each.f == "try_acquire" and each.value["owner"] in first:
            again.append(each)
        first.add(each.value["owner"])
    return again


def test_what_is_held_is_asked_for_again_while_it_is_quiet_and_not_after() -> None:
    assert all(asks_again(slot) for slot in drive(generator, granting))
    assert not any(asks_again(slot) for phase in ("fault", "after") for slot in drive(generator, granting, phase=phase))


def test_where_again_is_0_nothing_that_is_held_is_asked_for_again() -> None:
    assert not any(asks_again(slot) for slot in drive(lambda: generator(again=0), granting))


def test_who_is_refused_what_it_holds_holds_it_still() -> None:
    known: set[str] = set()

    def once(invocation: Invocation) -> tuple[str, Any]:
        new = invocation.value["owner"] not in known
        known.add(invocation.value["owner"])
        return granting(invocation) if new else ("ok", REFUSED.get(invocation.f, {"released": False}))

    slot = Slot(0, generator(churn=0, fresh=0))
    for now in times(3):
        before = held(slot)
        asked = slot.one(once, now)
        if asked is not None and asked.f == "try_acquire":
            assert before <= held(slot)
    assert asks_again(slot)


def test_some_churned_grants_are_left_behind_until_they_end() -> None:
    for slot in drive(generator, granting, times(0.6)):
        left = [each for each in slot.generator.held if each.left]  # type: ignore[attr-defined]
        assert left
        assert all("-churn-" in each.key for each in left)


def test_a_holder_aims_releases_extends_and_looks_at_the_end_of_its_lease_from_both_sides() -> None:
    sides: dict[str, set[bool]] = {}
    for seed in range(40):
        slot = Slot(0, generator(churn=1, anchors=0, fresh=0, churn_ttl_ms=300), seed=seed)
        slot.one(granting, 1)
        aimed = slot.one(granting, 270 * 1_000_000)
        if aimed is not None and aimed.f != "try_acquire" and aimed.at:
            sides.setdefault(aimed.f, set()).add(aimed.at < 1 + 300 * 1_000_000)
            assert abs(aimed.at - 1 - 300 * 1_000_000) <= 3_000_000
    assert sides == {f: {False, True} for f in ("release", "extend", "is_held")}


def test_the_others_come_when_the_lease_that_was_taken_at_a_meeting_ends() -> None:
    at = 2 * MEETING_NS + 100 * 1_000_000  # churn-2 has an eighth of 800 ms
    slots = drive(generator, refusing, [at - 1_000_000])
    assert {(each.f, each.key) for each in invocations(slots)} == {("try_acquire", "t1-churn-2")}
    assert all(0 <= each.at - at <= 2_000_000 for each in invocations(slots))


@alone
def test_a_token_is_used_on_the_name_that_it_was_asked_for(answer: Answer) -> None:
    for slot in drive(generator, answer):
        asked = {each.value["owner"]: each.key for each in slot.invocations if each.f == "try_acquire"}
        assert all(asked[each.value["owner"]] == each.key for each in slot.invocations)


@alone
def test_a_slot_uses_only_tokens_that_it_asked_for_itself_and_earlier(answer: Answer) -> None:
    for slot in drive(generator, answer):
        asked: set[str] = set()
        for each in slot.invocations:
            if each.f == "try_acquire":
                asked.add(each.value["owner"])
            assert each.value["owner"] in asked


def held(slot: Slot) -> set[str]:
    return {each.owner for each in slot.generator.held}  # type: ignore[attr-defined]


def test_a_grant_is_relied_on() -> None:
    slot = Slot(0, generator())
    taken = slot.one(granting)
    assert taken is not None
    assert held(slot) == {taken.value["owner"]}


@pytest.mark.parametrize("answer", [refusing, unanswered], ids=lambda answer: answer.__name__)
def test_an_attempt_that_was_refused_or_not_answered_is_never_relied_on(answer: Answer) -> None:
    for slot in drive(generator, answer):
        assert held(slot) == set()


def test_a_failed_operation_changes_nothing() -> None:
    slot = Slot(0, generator())
    slot.one(granting)
    before = slot.generator
    slot.one(failing)
    assert (slot.generator.held, slot.generator.spent) == (before.held, before.spent)  # type: ignore[attr-defined]


def test_a_token_is_not_relied_on_after_an_info_whatever_is_answered_later() -> None:
    """Also where a stray look finds it held: the answer is recorded, the token stays spent."""
    for slot in drive(generator, varied):
        lost: set[str] = set()
        replayed = Slot(slot.number, generator())
        for given, invocation, type_, value in slot.done:
            again = replayed.one(lambda _, said=(type_, value): said, given.now)  # type: ignore[misc]
            assert again == invocation
            owner = invocation.value["owner"]
            if type_ == "info" or (type_ == "ok" and False in value.values()) or (type_ == "ok" and invocation.f == "release"):
                lost.add(owner)
            assert not held(replayed) & lost


def test_a_released_token_is_spent_whatever_was_answered() -> None:
    for answer in (granting, refusing):
        for slot in drive(generator, lambda each, answer=answer: answer(each) if each.f == "release" else granting(each)):  # type: ignore[misc]
            released = {each.value["owner"] for each in slot.invocations if each.f == "release"}
            assert released
            assert not held(slot) & released


def test_spent_tokens_are_used_again_as_strays_in_every_way() -> None:
    used: set[str] = set()
    for slot in drive(generator, refusing):
        used |= {each.f for each in slot.invocations}  # all is refused: whatever is used is a stray
    assert used == {"try_acquire", "release", "extend", "is_held"}


def test_only_the_newest_spent_tokens_are_kept() -> None:
    for slot in drive(generator, refusing):
        assert len(slot.generator.spent) == SPENT_KEPT  # type: ignore[attr-defined]


def test_what_is_held_is_looked_at_extended_released_and_left_to_expire() -> None:
    slots = drive(generator, granting)
    assert {each.f for each in invocations(slots)} == {"try_acquire", "is_held", "extend", "release"}
    assert any("-churn-" in each.key for slot in slots for each in slot.generator.held)  # type: ignore[attr-defined]


def test_an_anchor_that_is_held_is_only_looked_at() -> None:
    used = {each.f for each in invocations(drive(lambda: generator(churn=0, fresh=0), granting)) if "-anchor-" in each.key}
    assert used == {"try_acquire", "is_held"}


def test_extensions_shorten_keep_and_lengthen() -> None:
    extended = [each for each in invocations(drive(generator, granting)) if each.f == "extend"]
    assert {each.value["duration_ms"] for each in extended if each.key == "t1-churn-0"} == {400, 800, 1200}
    assert {each.value["duration_ms"] for each in extended if each.key == "t1-churn-2"} == {50, 100, 150}


def test_near_a_meeting_all_slots_ask_for_the_same_churn_name_at_the_same_instant() -> None:
    for number in range(1, 7):
        slots = drive(generator, granting, [number * MEETING_NS - MEETING_NEAR_NS // 2])
        assert {(each.f, each.key, each.at) for each in invocations(slots)} == {
            ("try_acquire", f"t1-churn-{number % 3}", number * MEETING_NS)
        }


def test_all_churn_names_have_their_meetings() -> None:
    slots = drive(generator, granting, [number * MEETING_NS - 1 for number in range(1, 4)])
    assert {each.key for each in invocations(slots)} == {"t1-churn-0", "t1-churn-1", "t1-churn-2"}


def test_far_from_a_meeting_nobody_waits() -> None:
    assert all(each.at == 0 for each in invocations(drive(generator, refusing, [MEETING_NS - MEETING_NEAR_NS - 1] * 50)))


def test_in_final_nothing_is_asked() -> None:
    assert invocations(drive(generator, granting, phase="final")) == []


def test_keys_are_new_per_trial() -> None:
    assert all(each.key.startswith("t7-") for each in invocations(drive(generator, granting, trial=7)))


def test_the_same_seed_and_answers_draw_the_same() -> None:
    first, second = (invocations(drive(generator, varied)) for _ in range(2))
    assert first == second


def test_another_seed_draws_another() -> None:
    assert invocations(drive(generator, granting)) != invocations(drive(generator, granting, seed=2))


def test_options_that_take_names_away_leave_the_others() -> None:
    slots = drive(lambda: generator(anchors=0, fresh=0), granting, phase="fault", cut=True)
    assert {each.key.split("-")[1] for each in invocations(slots)} == {"churn"}


# What a slot has to itself


def alone(phase: str = "quiet") -> list[Slot]:
    return drive(lambda: generator(own=1), granting, times(20), phase=phase)


def own_uses(slot: Slot) -> list[tuple[int, str, str]]:
    return [(max(context.now, each.at), each.f, each.key) for context, each, _, _ in slot.done if "-own-" in each.key]


def test_a_slots_own_lock_is_no_other_slots() -> None:
    for slot in alone():
        assert {key for _, _, key in own_uses(slot)} == {f"t1-own-{slot.number}"}


def test_a_slots_own_lock_is_used_once_and_only_when_it_is_over() -> None:
    for slot in alone():
        used = own_uses(slot)
        assert [f for _, f, _ in used[::2]] == ["try_acquire"] * len(used[::2])
        assert all(
            used_at - taken_at >= 104 * NS_PER_S // 1000 for (taken_at, _, _), (used_at, f, _) in zip(used[::2], used[1::2], strict=False)
        )
        assert {f for _, f, _ in used[1::2]} == {"release", "extend", "is_held"}


def test_under_a_fault_no_slot_has_a_lock_to_itself() -> None:
    assert [own_uses(slot) for slot in alone("fault")] == [[]] * SLOTS
