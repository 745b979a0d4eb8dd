"""What a fault or the runner may ask of a deployment that runs.

A backend's system answers; nothing here knows which. One without nodes is a `System` of three members. Administration
goes over connections of its own, past every proxy, so that a probe sees the far end and not the fault it proves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from harness.driving.client import Client
from harness.shape import held


@dataclass(frozen=True, slots=True)
class Role:
    """What a node says it is: role (primary, replica, paused, dead ...), epoch and run id.

    `link` says how a replica stands with its primary ("up", "down", "syncing"), None elsewhere.
    """

    role: str
    epoch: int | None = None
    run_id: str | None = None
    link: str | None = None


class Node(Protocol):
    """A server process that the deployment owns."""

    @property
    def name(self) -> str: ...

    def start(self) -> None:
        """Start and wait until it answers; idempotent. Raises Infrastructure at its deadline."""
        ...

    def kill(self) -> None:
        """SIGKILL to all of the node at once, inbound listeners closed; idempotent."""
        ...

    def pause(self) -> None:
        """SIGSTOP; idempotent."""
        ...

    def resume(self) -> None:
        """SIGCONT; idempotent."""
        ...

    def state(self) -> str:
        """Give "running", "paused" or "dead", as the operating system tells."""
        ...


class Link(Protocol):
    """The way from a source group to a target node, one proxy listener."""

    @property
    def name(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def target(self) -> str: ...

    def cut(self) -> None:
        """Swallow every byte in both directions; idempotent."""
        ...

    def delay(self, latency_ms: int) -> None:
        """Delay each chunk of both directions by half of this; idempotent."""
        ...

    def drop_replies(self) -> None:
        """Let requests pass and swallow every answer; idempotent."""
        ...

    def heal(self) -> None:
        """Undo all of the above; idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Passage:
    """What became of a marker sent over a link: seen at the far end, answered, and after how long (ms, None if never)."""

    arrived: bool
    answered: bool
    took_ms: float | None


class System(Protocol):
    """A running deployment. What only some have stands in the protocols below, each a System too; who needs one asks by isinstance."""

    @property
    def name(self) -> str:
        """The deployment's name, as in guarantees.toml."""
        ...

    @property
    def versions(self) -> Mapping[str, str]:
        """What was really run: server name -> version, the proxy included."""
        ...

    def client(self, side: str, deadline_s: float) -> Client:
        """Make a client of this side; it connects when first used."""
        ...


@runtime_checkable
class HasSides(System, Protocol):
    """A deployment whose clients are of several groups, which a fault tells apart."""

    @property
    def sides(self) -> tuple[str, ...]:
        """The client groups; the first one stays with the old primary."""
        ...


@runtime_checkable
class HasNodes(System, Protocol):
    """A deployment of server processes of its own: they can be killed and paused, and come back to a steady state."""

    @property
    def nodes(self) -> Mapping[str, Node]: ...

    def roles(self) -> dict[str, Role]:
        """Ask every data node for its role, past the proxies; a node that does not answer is "dead" or "paused"."""
        ...

    def primary(self) -> str | None:
        """Name the node that the cluster's manager takes for the primary now."""
        ...

    def steady(self) -> str | None:
        """Give None if the deployment is in its steady state, else what is missing."""
        ...

    def heal_all(self) -> None:
        """Undo every fault: links healed, paused nodes resumed, dead ones started. Raises Infrastructure."""
        ...


@runtime_checkable
class HasLinks(HasNodes, HasSides, Protocol):
    """A deployment whose nodes are reached through links of the harness: what faults on the network ask of it."""

    def links(self, source: str | None = None, target: str | None = None) -> list[Link]:
        """Give the links from this group (clients-a, clients-b, peers, ...) into this node."""
        ...

    def passage(self, link: Link) -> Passage:
        """Send a marker over this link and look for it at the far end; not arrived where the far end does not answer.

        Raises Infrastructure for a link without a far end that can be asked.
        """
        ...


@runtime_checkable
class HasMarkers(HasNodes, Protocol):
    """A deployment that keeps a marker: what a probe asks that looks for a loss, or for what must not be replicated."""

    def write_marker(self, node: str, marker: str) -> None:
        """Write a marker at this node, past the proxies. Raises Infrastructure if refused."""
        ...

    def read_marker(self, node: str) -> str | None:
        """Read the newest marker at this node, past the proxies; None if there is none or no answer."""
        ...


@runtime_checkable
class HasPeers(HasLinks, HasMarkers, Protocol):
    """A deployment whose nodes replicate over links: what faults that divide a cluster ask of it."""


@runtime_checkable
class HasSynchronousWaits(HasPeers, Protocol):
    """A deployment whose primary waits for its standbys at a commit: what a fault on those waits asks of it."""

    def cancel_waits(self, node: str) -> int:
        """Cancel every statement of this node that waits for a standby; give how many. 0 where the node does not answer."""
        ...


@runtime_checkable
class HasClientClocks(HasSides, Protocol):
    """A deployment whose clients' clocks decide what has expired: what a fault on them asks of it."""

    @property
    def clock_bound_ms(self) -> int:
        """The largest difference between two clients' clocks that the deployment is configured for."""
        ...

    def shift_clock(self, side: str, offset_ms: int) -> None:
        """Let the clients of a side see now + offset from now on."""
        ...

    def clock_ahead_ms(self, side: str) -> float:
        """Measure how far a side's clock is ahead of the harness' own."""
        ...


@runtime_checkable
class ShowsOwners(HasNodes, Protocol):
    """A deployment of several nodes, each of which can be asked who owns a lock: the observer of a split brain."""

    def lock_owner(self, node: str, name: str) -> str | None:
        """Read who owns a lock at this node, past the proxies."""
        ...


@runtime_checkable
class CanHurry(System, Protocol):
    """A deployment whose manager has a knob that brings it back to the steady state sooner."""

    def hurried(self) -> AbstractContextManager[None]:
        """Hurry the manager while healing."""
        ...


# What is so of a system that does not say otherwise


def sides_of(system: System) -> tuple[str, ...]:
    """Give the client groups, at least one."""
    return system.sides if isinstance(system, HasSides) else ("clients",)


def clock_bound_of(system: System) -> int | None:
    """Give the largest difference between two clients' clocks in ms; None where a server's clock decides."""
    return system.clock_bound_ms if isinstance(system, HasClientClocks) else None


def roles_of(system: System) -> dict[str, Role]:
    """Give every data node's role; none where there are no nodes."""
    if not isinstance(system, HasNodes):
        return {}
    return held(system.roles(), dict[str, Role], f"what roles of system {system.name} gave", system)


def unsteady(system: System) -> str | None:
    """Say what is missing to the steady state; None if nothing, as always without nodes."""
    return system.steady() if isinstance(system, HasNodes) else None


def heal_all(system: System) -> None:
    """Undo every fault. Raises Infrastructure."""
    if isinstance(system, HasNodes):
        system.heal_all()


def hurried(system: System) -> AbstractContextManager[None]:
    """Hurry the manager while healing, where it has a knob."""
    return system.hurried() if isinstance(system, CanHurry) else nullcontext()


@dataclass(frozen=True, slots=True)
class Sleeper:
    """A client that was stopped while it held a lock: its slot, the lock and its TTL, for how long, whether it has acted again since."""

    slot: int
    key: str
    ttl_ms: int
    slept_ms: int
    back: bool


@runtime_checkable
class PausesClients(Protocol):
    """What a workload whose clients can be stopped hands to faults on clients, in place of a system."""

    def pause_holders(self) -> None:
        """Stop clients that hold a lock and have read what it protects, each past its lease; idempotent."""
        ...

    def sleepers(self) -> list[Sleeper]:
        """Give the clients that were stopped since then."""
        ...

    def resume_clients(self) -> None:
        """Wake all, stop nobody any more; idempotent."""
        ...


class Need(StrEnum):
    """What a fault needs of a deployment, said as what another one lacks ("it has no ..."); the most particular last."""

    PROCESS = "process of its own"
    LINKS = "network"
    REPLIES = "link on which an answer can be told from a handshake"
    TAKEOVER = "node that takes over"
    WAITS = "write that waits for a standby"
    CLIENT_CLOCKS = "expiry by its clients' clocks"
    EMPTY_RESTART = "primary that is back, empty, before its failover limit"
    HOLDERS = "client that holds a lock and can be stopped"


class Part(StrEnum):
    """What of a deployment a fault has to itself while it is on: no two faults can be proved on one part of one node at once."""

    FIRST_LINKS = "links of the first client side"
    OTHER_LINKS = "links of other client sides"
    PEER_LINKS = "links of other servers"
    PROCESS = "server's process"
    CLIENT_CLOCKS = "clients' clocks"
    CLIENTS = "clients"


LINKS = frozenset({Part.FIRST_LINKS, Part.OTHER_LINKS, Part.PEER_LINKS})
PARTS_OF: Mapping[Need, frozenset[Part]] = {
    Need.PROCESS: frozenset({Part.PROCESS}),
    Need.LINKS: LINKS,
    Need.REPLIES: LINKS,
    Need.CLIENT_CLOCKS: frozenset({Part.CLIENT_CLOCKS}),
    Need.EMPTY_RESTART: frozenset({Part.PROCESS}),
    Need.HOLDERS: frozenset({Part.CLIENTS}),
}
"""The parts that a fault has by what it needs, where it does not say which."""
OF_CLIENTS = frozenset({Need.HOLDERS})
"""What a workload has, and no deployment: faults that need it meet the run's own clients."""


KEPT_BY: Mapping[Need, type] = {
    Need.PROCESS: HasNodes,
    Need.LINKS: HasLinks,
    Need.REPLIES: HasLinks,
    Need.TAKEOVER: HasPeers,
    Need.WAITS: HasSynchronousWaits,
    Need.CLIENT_CLOCKS: HasClientClocks,
    Need.EMPTY_RESTART: HasMarkers,
}
"""The protocol of a system that has what is needed: a fault that needs it may take it for granted."""


def unkept(system: System, offered: Iterable[Need]) -> str | None:
    """Say which protocol a system lacks of what its backend offers; None if none."""
    lacking = {need: KEPT_BY[need].__name__ for need in offered if need in KEPT_BY and not isinstance(system, KEPT_BY[need])}
    return "; ".join(f"{system.name} offers Need.{need.name} and its system is no {name}" for need, name in sorted(lacking.items())) or None
