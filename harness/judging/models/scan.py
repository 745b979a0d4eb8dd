"""Scans: what is there at one place. No sequential model: the keys are objects of their own (`harness.judging.checkers.scan`)."""

from __future__ import annotations

from harness.judging.family import Family

OF_A_PLACE, OF_A_KIND = "scan_keys", "scan_keys_by_kind"
FUNCTIONS = frozenset({OF_A_PLACE, OF_A_KIND})

SCAN = Family(
    name="scan",
    sentence="scans: every live key of a place or a kind, with its value",
    functions=FUNCTIONS,
    marks=FUNCTIONS,
    rank=26,
    fields={OF_A_PLACE: (("namespace", "tenant", "kind", "prefix"), ("items",)), OF_A_KIND: (("kind",), ("items",))},
)
