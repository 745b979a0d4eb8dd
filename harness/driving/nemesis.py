"""The nemesis: injects faults, proves that they bite, heals them, and records what it did and saw.

A fault is four events, `begin`, `active`, `healing`, `healed`. `active` and `healed` are recorded only
once a probe at the far end has proved them: that a tool accepted a command proves nothing. Where a
probe does not succeed before its deadline the event is `failed`, and no gate will count the fault.
Every exit path heals all; a failed heal is Infrastructure, never a verdict.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, Protocol

from harness import registry
from harness.driving.backend import Backend, offers_of
from harness.driving.plan import FaultSpec
from harness.driving.system import OF_CLIENTS, PARTS_OF, HasNodes, Need, Part, Role, ShowsOwners, System, heal_all, roles_of
from harness.errors import Infrastructure
from harness.record.history import NEMESIS, NO_ANSWER, Effect, Event
from harness.record.journal import Journal
from harness.shape import held

POLL_S = 0.02
WATCH_S = 0.1
OBSERVED_KEYS = 6
CLOCK_EVERY = 10  # watches
PLACEHOLDERS = frozenset({"name", "targets", "node", "group", "source", "inner", "primary"})
ABOUT_THE_PRIMARY = frozenset({Need.TAKEOVER, Need.WAITS, Need.EMPTY_RESTART})


@dataclass(frozen=True, slots=True)
class Probe:
    """What was seen at the far end, and whether it proves the point."""

    proved: bool
    seen: Mapping[str, Any]


class Injection(Protocol):
    """One fault on one target. `inject` and `heal` are idempotent; `heal` works without `inject`."""

    @property
    def targets(self) -> tuple[str, ...]: ...

    def inject(self) -> None: ...

    def bites(self) -> Probe:
        """Look once whether the fault is felt; polled until proved."""
        ...

    def heal(self) -> None: ...

    def healed(self) -> Probe:
        """Look once whether the fault is gone; polled until proved."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How reports tell of a fault: what it does, what its healing did, and as what something came after. Templates:

    {name} of the fault, its {targets}, the {node} that it meets, the {group} of clients of this name, the {source} of its links,
    {inner}, the node with the client side that stays with it, and {primary}, which is "the primary" where the node was that, else the node.
    """

    does: str = "{name} {targets}"
    healed: str = "{name} is over"
    since: str = "{name} began"

    def __post_init__(self) -> None:
        for template in (self.does, self.healed, self.since):
            for _, field_name, _, _ in Formatter().parse(template):
                if field_name is not None and field_name not in PLACEHOLDERS:
                    raise ValueError(f"{{{field_name}}} in the words of a fault, expected {{{'}, {'.join(sorted(PLACEHOLDERS))}}}")


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault. `changes_roles`: it is meant to change who is primary, or a run id. `effects` are what a judge must know of it.

    `on` makes the injection for a node's name. One that needs what workloads have is handed that in place of a system, and its target
    is CLIENTS. `follow` are faults on the same target, each so many
    seconds after this one was proved active; they are healed with it, the last first. `lasts_s` is how
    long it goes on where the user does not say. A backend that does not offer all that it `needs` cannot have it.
    The proof that it bites is looked for until `proved_within_s`, the proof that it is gone until `healed_within_s`.
    `meets` are the parts of its node that it has to itself (default: by its needs). `delay_ms` is what an answer takes at least while a
    fault is on that delays answers.
    """

    name: str
    sentence: str
    on: Callable[[System, str], Injection]
    changes_roles: bool = False
    follow: tuple[tuple[float, Fault], ...] = ()
    lasts_s: float = 2.0
    needs: frozenset[Need] = frozenset()
    effects: frozenset[Effect] = frozenset()
    words: Words = Words()
    proved_within_s: float = 5.0
    healed_within_s: float = 30.0
    meets: frozenset[Part] = frozenset()
    delay_ms: int = 0

    @property
    def flaw(self) -> str | None:
        """Say which field does not fit the others, None if all do."""
        if (Effect.DELAYS_ANSWERS in self.effects) != (self.delay_ms > 0):
            return f"delay_ms is {self.delay_ms}, expected milliseconds above 0 with Effect.DELAYS_ANSWERS, and 0 without"
        return None

    @property
    def parts(self) -> frozenset[Part]:
        """Give the parts of its node that it has to itself, with those of what follows it; all where nothing says which."""
        own = self.meets or frozenset().union(*(PARTS_OF.get(need, frozenset()) for need in self.needs)) or frozenset(Part)
        return own.union(*(follower.parts for _, follower in self.follow))

    @property
    def on_clients(self) -> bool:
        """Say whether it meets the run's own clients, and no node."""
        return bool(self.needs & OF_CLIENTS)

    def with_followers(self) -> Iterator[Fault]:
        """Give the fault and all that follow it."""
        yield self
        for _, follower in self.follow:
            yield from follower.with_followers()


def refusal(fault: Fault, backend: Backend, variant: str) -> str | None:
    """Say why a variant cannot have a fault, and which can; None if it can."""
    missing = fault.needs - OF_CLIENTS - offers_of(backend, variant)
    if not missing:
        return None
    lacking = [need for need in Need if need in missing][-1]  # the most particular one
    if variants := _able(fault, backend):
        return f"{backend.name}, variant {variant}, has no {lacking} and cannot have {fault.name}; use --option variant={variants[0]}"
    others = [name for name in registry.names("backends") if _able(fault, registry.load("backends", name))]
    instead = f"use --backend {' or '.join(others)}" if others else "no backend here can"
    return f"{backend.name} has no {lacking} and cannot have {fault.name}; {instead}"


def target_refusal(spec: FaultSpec, fault: Fault, backend: Backend, variant: str) -> str | None:
    """Say why a variant has no such target for a fault, and what has; None if it has, or the target is its primary."""
    if spec.target == "primary":
        return None
    if fault.on_clients or Need.CLIENT_CLOCKS in fault.needs:
        return f"fault {spec} meets clients and no node; expected {spec.name}"
    if fault.needs & ABOUT_THE_PRIMARY:
        return f"fault {spec} meets the primary and no other node; expected {spec.name}"
    if Need.TAKEOVER in offers_of(backend, variant):
        return None
    others = [registry.load("backends", name) for name in registry.names("backends")]
    able = [each.name for each in others if any(fault.needs | {Need.TAKEOVER} <= offers_of(each, name) for name in each.variants)]
    return f"{backend.name} has no {spec.target} for fault {spec} to meet; use --backend {' or '.join(able)}"


def _able(fault: Fault, backend: Backend) -> list[str]:
    return [variant for variant in backend.variants if fault.needs - OF_CLIENTS <= offers_of(backend, variant)]


@dataclass(slots=True)
class Active:
    """An injected fault; `number` is the caller's, of the fault that it is or follows."""

    id: int
    fault: Fault
    injection: Injection
    number: int


class Nemesis:
    """Inject and heal; used by one thread. `proved` is called with each fault as soon as it is proved active.

    `clients` is what faults on clients are handed in place of the system.
    """

    def __init__(
        self,
        system: System,
        journal: Journal,
        proved: Callable[[Fault], None] = lambda fault: None,
        clients: System | None = None,
    ) -> None:
        self._system, self._journal, self._proved = system, journal, proved
        self._clients = system if clients is None else clients
        self._active: list[Active] = []
        self._ids = 0

    @property
    def changes_roles(self) -> bool:
        """Say whether a fault is on that is meant to change roles."""
        return any(active.fault.changes_roles for active in self._active)

    def inject(self, fault: Fault, target: str, number: int = 0) -> bool:
        """Inject a fault and what follows it; say whether each was proved active. `number` is the caller's name for it."""
        self._ids += 1
        injection = fault.on(self._clients if fault.on_clients else self._system, target)
        active = Active(self._ids, fault, held(injection, Injection, f"what on of fault {fault.name} gave", fault.on), number)
        self._active.append(active)
        self._record(active, "begin", **({"delay_ms": fault.delay_ms} if fault.delay_ms else {}))
        active.injection.inject()
        if not self._prove(active, "active", active.injection.bites, fault.proved_within_s):
            return False
        self._proved(fault)
        proved_at = time.monotonic()
        for delay_s, follower in fault.follow:
            time.sleep(max(0.0, proved_at + delay_s - time.monotonic()))
            if not self.inject(follower, target, number):
                return False
        return True

    def heal(self, numbers: Collection[int] | None = None) -> None:
        """Heal the active faults of these numbers, all where none are given, the last first; raise Infrastructure where one stays."""
        pending = [active for active in reversed(self._active) if numbers is None or active.number in numbers]
        for active in pending:
            self._record(active, "healing")
            active.injection.heal()
        for active in pending:
            if not self._prove(active, "healed", active.injection.healed, active.fault.healed_within_s):
                raise Infrastructure(f"fault {active.fault.name} on {', '.join(active.injection.targets)} did not heal")
            self._active.remove(active)

    def abandon(self) -> None:
        """Undo all faults on a way out: links, nodes, everything, recorded where it was not yet healed."""
        for active in reversed(self._active):
            self._record(active, "healing")
        self._active.clear()
        heal_all(self._system)

    def _prove(self, active: Active, phase: str, look: Callable[[], Probe], deadline_s: float) -> bool:
        end = time.monotonic() + deadline_s
        while not (probe := held(look(), Probe, f"what fault {active.fault.name} gave when asked whether it is {phase}", look)).proved:
            if time.monotonic() > end:
                reason = f"not proved {phase} within {deadline_s:g} s"
                self._record(active, "failed", probe=dict(probe.seen), reason=reason)
                return False
            time.sleep(POLL_S)
        self._record(active, phase, probe=dict(probe.seen))
        return True

    def _record(self, active: Active, phase: str, **more: Any) -> None:
        value = {"id": active.id, "phase": phase, "targets": list(active.injection.targets), "changes_roles": active.fault.changes_roles}
        self._journal.nemesis(active.fault.name, {**value, **more})


@dataclass(slots=True)
class Seen:
    """What the watcher last recorded; `known` are the roles of nodes that answered, with their last epoch and run id."""

    roles: dict[str, Role] = field(default_factory=dict)
    known: dict[str, Role] = field(default_factory=dict)
    owners: dict[str, dict[str, str | None]] = field(default_factory=dict)


class Watcher:
    """Record roles and lock owners at each change, and the clock at every tenth look; a thread of its own, which looks every `every_s`.

    It is also the observer of a split brain: it reads the locks that clients were last granted from
    every data node, past the proxies.
    """

    def __init__(self, system: System, journal: Journal, every_s: float = WATCH_S) -> None:
        self._system, self._journal, self._every_s = system, journal, every_s
        self._seen = Seen()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._keys: dict[str, None] = {}
        self.planned = False
        self.unplanned: str | None = None
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Watch from now on."""
        self._journal.sample_clock()
        self._journal.listen(self._note)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; idempotent."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def mark(self) -> None:
        """Record every node's role now, changed or not: a trial begins. Nothing unplanned was seen yet."""
        with self._lock:
            self._seen = Seen()
            self._keys = {}
            self.unplanned, self.planned = None, False
            self._look()
        self._journal.sample_clock()

    def look(self) -> None:
        """Look now: what has changed by the settled state is recorded before it."""
        with self._lock:
            self._look()

    def _watch(self) -> None:
        count = 0
        try:
            while not self._stop.wait(self._every_s):
                with self._lock:
                    self._look()
                    self._observe()
                count += 1
                if count % CLOCK_EVERY == 0:
                    self._journal.sample_clock()
        except BaseException as error:  # noqa: BLE001 - shown by the run: a watcher that died saw nothing
            self.failure = error

    def _look(self) -> None:
        for node, role in roles_of(self._system).items():
            before = self._seen.roles.get(node)
            if before is not None and (before.role, before.epoch, before.run_id) == (role.role, role.epoch, role.run_id):
                continue
            self._seen.roles[node] = role
            value = {"node": node, "role": role.role, "epoch": role.epoch, "run_id": role.run_id}
            self._journal.nemesis("role", value)
            if self._changed(node, role) and not self.planned:
                self.unplanned = f"{node} became {role.role} (epoch {role.epoch})"

    def _changed(self, node: str, role: Role) -> bool:
        # As the gates see it: a busy machine that answers late, or tells no epoch, has not changed.
        if role.role == NO_ANSWER:
            return False
        before = self._seen.known.get(node, role)
        epoch = before.epoch if role.epoch is None else role.epoch
        run_id = before.run_id if role.run_id is None else role.run_id
        self._seen.known[node] = Role(role.role, epoch, run_id)
        return before.role != role.role or before.epoch not in (None, epoch) or before.run_id not in (None, run_id)

    def _note(self, event: Event) -> None:
        if event.process != NEMESIS and event.type == "ok" and event.f == "try_acquire" and event.key and event.value["granted"]:
            self._keys.pop(event.key, None)
            self._keys[event.key] = None

    def _observe(self) -> None:
        if not self.planned or not isinstance(self._system, ShowsOwners) or len(self._system.nodes) < 2:
            return
        for key in list(self._keys)[-OBSERVED_KEYS:]:
            owners = {name: self._system.lock_owner(name, key) for name in self._system.nodes}
            if self._seen.owners.get(key) != owners:
                self._seen.owners[key] = owners
                self._journal.nemesis("observer", {"key": key, "owners": owners})


def target_of(system: System, spec: FaultSpec) -> str:
    """Name the node that a fault meets now; raise Infrastructure where there is none."""
    primary = system.primary() if isinstance(system, HasNodes) else None
    if primary is None or not isinstance(system, HasNodes):
        raise Infrastructure(f"{system.name} has no primary for fault {spec} to meet")
    if spec.target == "primary":
        return primary
    others = sorted(name for name in system.nodes if name != primary)
    if not others:
        raise Infrastructure(f"{system.name} has no replica for fault {spec} to meet")
    return others[0]
