"""Records that locks protect. No sequential model: what counts is who wrote after whom (`harness.judging.checkers.resource`)."""

from __future__ import annotations

from harness.judging.family import Family

FUNCTIONS = frozenset({"resource_read", "resource_write"})

RESOURCE = Family(
    name="resource",
    sentence="a record that a lock protects, presented with fencing tokens; answered by the workload itself",
    functions=FUNCTIONS,
    marks=FUNCTIONS,
    rank=20,
    node="resource",
)
