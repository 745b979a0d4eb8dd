"""The scan workload's generator: keys in places that a pattern would confuse, changed while they are scanned, all scanned at the end."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

from driving import SLOTS, Slot, drive, invocations, times

from backends.client import FUNCTIONS
from backends.interface import StateKey, check_value, scan_stem
from harness.driving.generator import NS_PER_S, Generator, Invocation
from harness.record.keys import in_full
from workloads.scan import PLACES, SCAN, SCANS, STEMS, WIDE_BYTES


def generator(**options: Any) -> Generator:
    return SCAN.begin(options, FUNCTIONS)


def answering(invocation: Invocation) -> tuple[str, Any]:
    return "ok", {"items": []} if invocation.f in SCANS else {"value": None}


def test_every_function_is_driven() -> None:
    assert set(drawn := Counter(each.f for each in invocations(drive(generator, answering)))) == SCAN.functions
    assert min(drawn.values()) > 20


def test_first_every_key_is_written_once_by_one_slot() -> None:
    written = [each.key for each in invocations(drive(lambda: generator(keys=32), answering, times(0.04)))]
    assert (len(written), len(set(written))) == (32, 32)


def test_every_key_is_in_a_place_of_the_trial_and_within_the_limits_of_the_interface() -> None:
    for each in invocations(drive(generator, answering)):
        if each.f in SCANS:
            assert each.key == "t1-scans"
            continue
        key = StateKey.parse(in_full(each.key))
        assert (key.namespace, key.tenant, key.kind) in {(f"t1-{namespace}", tenant, f"t1-{kind}") for namespace, tenant, kind in PLACES}
        assert key.id.startswith(STEMS)


def test_every_prefix_is_asked_for_and_every_kind() -> None:
    drawn = [each.value for each in invocations(drive(generator, answering, times(12))) if each.f in SCANS]
    assert {each["prefix"] for each in drawn if "prefix" in each} >= {"", "a", *STEMS}
    assert {each["kind"] for each in drawn} == {f"t1-{kind}" for _, _, kind in PLACES}
    assert all(scan_stem(*(each[name] for name in ("namespace", "tenant", "kind", "prefix"))) for each in drawn if "prefix" in each)


def test_what_is_asked_for_is_what_some_keys_have() -> None:
    drawn = invocations(drive(lambda: generator(keys=256), answering, times(12)))
    names = {each.key for each in drawn if each.f not in SCANS}
    stems = {":".join(each.value[name] for name in ("namespace", "tenant", "kind", "prefix")) for each in drawn if each.f == "scan_keys"}
    assert all(any(name.startswith(stem) for name in names) for stem in stems)


def test_slots_meet_half_to_scan_and_half_to_change_keys_that_lie_near() -> None:
    slots = [Slot(number, generator(keys=4, scan_percent=0)) for number in range(SLOTS)]
    for slot in slots:
        slot.one(answering, 0)
        slot.done.clear()
        slot.one(answering, NS_PER_S - 1)
    met = invocations(slots)
    assert {each.at for each in met} == {NS_PER_S}
    assert sum(each.f in SCANS for each in met) == SLOTS // 2


def test_the_last_scan_is_asked_for_again() -> None:
    slot = Slot(0, generator(keys=4))
    for now in times(3):
        slot.one(answering, now)
    asked = [each for each in slot.invocations if each.f in SCANS]
    assert sum(one.value == other.value for one, other in pairwise(asked)) > 30


def test_at_the_end_every_place_and_every_kind_is_scanned_once() -> None:
    slots = [Slot(number, generator(wide=1)) for number in range(SLOTS)]
    for slot in slots:
        while slot.one(answering, NS_PER_S, "final", final_at=NS_PER_S) is not None:
            pass
    drawn = invocations(slots)
    assert Counter(each.f for each in drawn) == {"scan_keys": len(PLACES) + 1, "scan_keys_by_kind": len({kind for _, _, kind in PLACES})}
    assert all(each.value.get("prefix", "") == "" for each in drawn)


def test_wide_keys_are_as_long_as_they_should_be_and_in_a_kind_of_their_own() -> None:
    drawn = invocations(drive(lambda: generator(keys=4, wide=4), answering, times(0.04)))
    wide = [each for each in drawn if len(each.value.get("value", "")) == WIDE_BYTES]
    assert {each.key for each in wide} == {f"t1-scan-w:w:t1-wide:{number}" for number in range(4, 8)}
    for each in wide:
        check_value(each.value["value"])


def test_some_keys_have_a_ttl_after_they_were_first_written() -> None:
    drawn = invocations(drive(lambda: generator(ttl_percent=50, ttl_ms=7), answering))
    assert {each.value["ttl_ms"] for each in drawn if "ttl_ms" in each.value} == {None, 7}
    assert {each.value["ttl_ms"] for each in drawn[:16]} == {None}
