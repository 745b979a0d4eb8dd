"""What a fault, a gate or the runner may ask of a deployment that runs.

A backend's `system.py` answers; nothing here knows which. Administration goes over connections of
its own, past every proxy, so that a probe sees the far end and not the fault it proves.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from harness.driving.client import Client


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
    """A running deployment: nodes, links, sides, and what its backend knows of roles."""

    @property
    def name(self) -> str:
        """The deployment's name, as in guarantees.toml."""
        ...

    @property
    def variant(self) -> str: ...

    @property
    def sides(self) -> tuple[str, ...]:
        """The client groups, at least one."""
        ...

    @property
    def clock_bound_ms(self) -> int | None:
        """The largest difference between two clients' clocks that the deployment is configured for; None where a server's clock decides."""
        ...

    @property
    def nodes(self) -> Mapping[str, Node]: ...

    def links(self, source: str | None = None, target: str | None = None) -> list[Link]:
        """Give the links from this group (clients-a, clients-b, peers, ...) into this node."""
        ...

    @property
    def versions(self) -> Mapping[str, str]:
        """What was really run: server name -> version, the proxy included."""
        ...

    def client(self, side: str, deadline_s: float) -> Client:
        """Make a client of this side; it connects when first used."""
        ...

    def roles(self) -> dict[str, Role]:
        """Ask every data node for its role, past the proxies; a node that does not answer is "dead" or "paused"."""
        ...

    def primary(self) -> str | None:
        """Name the node that the cluster's manager takes for the primary now."""
        ...

    def steady(self) -> str | None:
        """Give None if the deployment is in its steady state, else what is missing."""
        ...

    def hurried(self) -> AbstractContextManager[None]:
        """Hurry the manager back to the steady state while healing, where it has a knob; may do nothing."""
        ...

    def passage(self, link: Link) -> Passage:
        """Send a marker over this link and look for it at the far end; not arrived where the far end does not answer.

        Raises Infrastructure for a link without a far end that can be asked.
        """
        ...

    def keys_held(self, node: str) -> int:
        """Count what this node stores, past the proxies. Raises Infrastructure if it does not answer."""
        ...

    def write_marker(self, node: str, marker: str) -> None:
        """Write a marker at this node, past the proxies. Raises Infrastructure if refused."""
        ...

    def read_marker(self, node: str) -> str | None:
        """Read the newest marker at this node, past the proxies; None if there is none or no answer."""
        ...

    def lock_owner(self, node: str, name: str) -> str | None:
        """Read who owns a lock at this node, past the proxies: the observer of a split brain."""
        ...

    def heal_all(self) -> None:
        """Undo every fault: links healed, paused nodes resumed, dead ones started. Raises Infrastructure."""
        ...


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
    """A System that also stands for the run's own clients: what a fault on clients (`Fault.on_clients`) is handed."""

    def pause_holders(self) -> None:
        """Stop clients that hold a lock and have read what it protects, each past its lease; idempotent."""
        ...

    def sleepers(self) -> list[Sleeper]:
        """Give the clients that were stopped since then."""
        ...

    def resume_clients(self) -> None:
        """Wake all, stop nobody any more; idempotent."""
        ...


@runtime_checkable
class HasClientClocks(Protocol):
    """A deployment whose clients' clocks decide what has expired: what a fault on them asks of it."""

    def shift_clock(self, side: str, offset_ms: int) -> None:
        """Let the clients of a side see now + offset from now on."""
        ...

    def clock_ahead_ms(self, side: str) -> float:
        """Measure how far a side's clock is ahead of the harness' own."""
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


@runtime_checkable
class HasSynchronousWaits(Protocol):
    """A deployment whose primary waits for its standbys at a commit: what a fault on those waits asks of it."""

    def cancel_waits(self, node: str) -> int:
        """Cancel every statement of this node that waits for a standby; give how many. 0 where the node does not answer."""
        ...


@runtime_checkable
class MayBeTheUsers(Protocol):
    """A backend whose server may be one that the user started: that is not killed, paused or restarted."""

    def refused(self, variant: str, needs: frozenset[Need]) -> str | None:
        """Say why the user's server cannot serve a variant, or faults of these needs, and after a semicolon the remedy; None if it can."""
        ...


class Backend(Protocol):
    """A backend's entry point: what it offers, and how it is opened."""

    name: str
    variants: Mapping[str, str]  # name -> one sentence
    mutants: Mapping[str, str]  # name -> one sentence
    functions: frozenset[str]  # the vocabulary of f that its client speaks
    undriven: frozenset[str]  # mutants that no workload can show yet
    grounds: tuple[str, ...]  # where its servers can run: local, compose

    def open(self, deployment: Deployment) -> AbstractContextManager[System]:
        """Start the deployment and wait for its steady state; stop all of it on leaving."""
        ...

    def offers(self, variant: str) -> frozenset[Need]:
        """Give what this variant has of what faults need: a fault that needs more is refused beforehand."""
        ...

    def servers(self, variant: str) -> tuple[str, ...]:
        """Name the servers (harness.deploy.install) that this variant starts on a machine itself; they are brought before it is opened."""
        ...


@dataclass(frozen=True, slots=True)
class Deployment:
    """What to open: variant, where, mutant; `directory` is the run directory. Without `links` clients connect to the server itself."""

    variant: str
    directory: Path
    on: str = "local"
    mutant: str | None = None
    attach: str | None = None  # the compose project to use, which is up already
    links: bool = True
