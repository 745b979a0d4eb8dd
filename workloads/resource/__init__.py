"""A record read, changed and written under a lock, with the lock's fencing token: what locks are for.

Each slot goes round: acquire, read, write what was read + 1, release. What ended without an answer ends the
round; a lock that was granted is still released, save for some that are left to run out, as by a holder that
died. The lock and its record have names of their own, so that
the lease rules judge the one and the resource check the other. At the end every record is read once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.driving.generator import Context, Invocation, meeting
from harness.driving.system import Need
from harness.driving.workload import Attendant, Attended, Workload
from harness.record.history import Event
from workloads.resource.pausing import Pauses
from workloads.resource.record import FUNCTIONS, Resource, ResourceClient


@dataclass(frozen=True, slots=True)
class Round:
    """A lock that was granted to this slot, and how far it is; `value` is what it read."""

    number: int
    owner: str
    token: int
    value: int = 0
    then: Literal["resource_read", "resource_write", "release"] = "resource_read"


@dataclass(frozen=True, slots=True)
class ResourceGenerator:
    """One slot's rounds."""

    names: int
    ttl_ms: int
    fenced: int
    left_percent: int
    round: Round | None = None
    looked: int = 0

    def next(self, context: Context) -> tuple[Invocation | None, ResourceGenerator]:
        if context.phase == "final":
            return self._look(context)
        if self.round is None:
            return self._acquire(context), self
        lock, record = self._names(context, self.round.number)
        presented = {"lock": lock, "fencing_token": self.round.token}
        if self.round.then == "resource_read":
            return Invocation("resource_read", record, presented), self
        if self.round.then == "resource_write":
            return Invocation("resource_write", record, {**presented, "value": self.round.value + 1, "checked": self.fenced > 0}), self
        return Invocation("release", lock, {"owner": self.round.owner}), self

    def update(self, context: Context, invocation: Event, completion: Event) -> ResourceGenerator:
        answered, f = completion.type == "ok", invocation.f
        if f == "try_acquire":
            return self._granted(invocation, completion) if answered and completion.value["granted"] else self
        if self.round is None or f == "release":
            return replace(self, round=None)
        if f == "resource_read" and answered:
            return replace(self, round=replace(self.round, value=completion.value["value"], then="resource_write"))
        if f == "resource_write" and context.draw.random() * 100 < self.left_percent:
            return replace(self, round=None)
        return replace(self, round=replace(self.round, then="release"))

    def _granted(self, invocation: Event, completion: Event) -> ResourceGenerator:
        number = int(str(invocation.key).rpartition("-")[2])
        return replace(self, round=Round(number, invocation.value["owner"], completion.value["fencing_token"]))

    def _acquire(self, context: Context) -> Invocation:
        number, at = context.draw.randrange(self.names), 0
        if (met := meeting(context)) is not None:
            number, at = met[0] % self.names, met[1]
        lock, _ = self._names(context, number)
        return Invocation("try_acquire", lock, {"owner": f"{context.process}-{context.step}", "ttl_ms": self.ttl_ms}, at)

    def _look(self, context: Context) -> tuple[Invocation | None, ResourceGenerator]:
        # Slot s looks at the records s, s + slots, ...; who only looks presents no token.
        number = context.slot + self.looked * context.slots
        if number >= self.names:
            return None, self
        lock, record = self._names(context, number)
        return Invocation("resource_read", record, {"lock": lock, "fencing_token": None}), replace(self, looked=self.looked + 1)

    def _names(self, context: Context, number: int) -> tuple[str, str]:
        return f"{context.prefix}-resource-{number}", f"{context.prefix}-record-{number}"


def _generator(options: Mapping[str, Any], functions: frozenset[str]) -> ResourceGenerator:
    """Give a slot's generator; `fenced` above 0: the record refuses a token below the highest it has seen.

    Of `left_percent` of the rounds the lock is not released.
    """
    return ResourceGenerator(**options)


def _attend(run: Attended) -> Attendant:
    """Put the records in front of the backend, and a gate at which a fault may stop a holder."""
    records, pauses = Resource(), Pauses()
    return Attendant(client=lambda client: ResourceClient(client, records), before=pauses.wait, after=pauses.note, clients=pauses)


RESOURCE = Workload(
    name="resource",
    sentence="a record read, changed and written under a lock, with or without a fencing check at the record",
    functions=frozenset({"try_acquire", "release"}) | FUNCTIONS,
    answers=FUNCTIONS,
    keys=frozenset({"resource", "record"}),
    checks=("resource", "lease", "fencing"),
    options={"names": 2, "ttl_ms": 600, "fenced": 0, "left_percent": 15},
    least={"names": 1, "ttl_ms": 1},
    most={"fenced": 1, "left_percent": 100},
    generator=_generator,
    attend=_attend,
    offers=frozenset({Need.HOLDERS}),
)
