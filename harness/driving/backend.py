"""What a backend states of itself before anything runs, and how it is opened.

`Backend` is what every one has. The rest stands in protocols of its own, each with the default that holds for a backend
which does not say otherwise; who asks does so through the functions at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

import msgspec

from harness.driving.system import Need, System
from harness.shape import held


@dataclass(frozen=True, slots=True)
class Deployment:
    """What to open: variant, where, mutant; `directory` is the run directory. Without `links` clients connect to the server itself."""

    variant: str
    directory: Path
    on: str = "local"
    mutant: str | None = None
    attach: str | None = None  # the compose project to use, which is up already
    links: bool = True


class Backend(Protocol):
    """A backend's entry point: what it offers, and how it is opened."""

    @property
    def name(self) -> str:
        """As on the command line."""
        ...

    @property
    def variants(self) -> Annotated[Mapping[str, str], msgspec.Meta(min_length=1)]:
        """Name -> one sentence; the first is the default."""
        ...

    @property
    def functions(self) -> frozenset[str]:
        """The vocabulary of f that its client speaks."""
        ...

    def open(self, deployment: Deployment) -> AbstractContextManager[System]:
        """Start the deployment and wait for its steady state; stop all of it on leaving."""
        ...


@runtime_checkable
class HasMutants(Protocol):
    """A backend with planted bugs, which its checks must condemn."""

    @property
    def mutants(self) -> Mapping[str, str]:
        """Name -> one sentence."""
        ...


@dataclass(frozen=True, slots=True)
class Planted:
    """Where a planted bug shows: the functions that it gets wrong, and what a fault must do or need for it to come up.

    `needs` are words of `harness.record.event.Effect` and `harness.driving.system.Need`; none = it comes up without a fault.
    `everywhere`: it is made of what every backend does, and so is the same on all that have it. `unseen`: no history shows it
    (docs/limits.md), so that it is run where it is asked for only.
    """

    functions: frozenset[str]
    needs: frozenset[str] = frozenset()
    everywhere: bool = False
    unseen: bool = False


@runtime_checkable
class SaysWhereMutantsShow(Protocol):
    """A backend that knows more of its mutants than a sentence; the others' are looked for with every workload, in quiet."""

    @property
    def planted(self) -> Mapping[str, Planted]:
        """Name -> where it shows."""
        ...


@runtime_checkable
class OffersNeeds(Protocol):
    """A backend that faults can meet."""

    def offers(self, variant: str) -> frozenset[Need]:
        """Give what this variant has of what faults need: a fault that needs more is refused beforehand."""
        ...


@runtime_checkable
class StartsServers(Protocol):
    """A backend that starts servers on a machine itself."""

    def servers(self, variant: str) -> tuple[str, ...]:
        """Name the servers (harness.deploy.install) of this variant; they are brought before it is opened."""
        ...


@runtime_checkable
class HasGrounds(Protocol):
    """A backend that can run elsewhere than on this machine."""

    @property
    def grounds(self) -> tuple[str, ...]:
        """Where its servers can run: local, compose."""
        ...


@runtime_checkable
class HasLocalVariants(Protocol):
    """A backend some of whose variants run on this machine only."""

    @property
    def local_variants(self) -> frozenset[str]: ...


@runtime_checkable
class MayBeTheUsers(Protocol):
    """A backend whose server may be one that the user started: that is not killed, paused or restarted."""

    def refused(self, variant: str, needs: frozenset[Need]) -> str | None:
        """Say why the user's server cannot serve a variant, or faults of these needs, and after a semicolon the remedy; None if it can."""
        ...


MAY_KEEP = (HasMutants, SaysWhereMutantsShow, OffersNeeds, StartsServers, HasGrounds, HasLocalVariants, MayBeTheUsers)
"""What a backend may have beside `Backend`: it is held to it then."""

# What is so of a backend that does not say otherwise


def mutants_of(backend: Backend) -> Mapping[str, str]:
    """Give its planted bugs with a sentence each; none where it has none."""
    return backend.mutants if isinstance(backend, HasMutants) else {}


def planted_of(backend: Backend, mutant: str) -> Planted:
    """Say where a mutant shows: by any function of the backend, without a fault, where it does not say."""
    there = backend.planted if isinstance(backend, SaysWhereMutantsShow) else {}
    return there.get(mutant, Planted(backend.functions))


def offers_of(backend: Backend, variant: str) -> frozenset[Need]:
    """Give what a variant has of what faults need; nothing where it does not say."""
    if not isinstance(backend, OffersNeeds):
        return frozenset()
    return held(backend.offers(variant), frozenset[Need], f"what offers of backend {backend.name} gave", backend)


def servers_of(backend: Backend, variant: str) -> tuple[str, ...]:
    """Name the servers that a variant starts on a machine itself."""
    if not isinstance(backend, StartsServers):
        return ()
    return held(backend.servers(variant), tuple[str, ...], f"what servers of backend {backend.name} gave", backend)


def grounds_of(backend: Backend, variant: str) -> tuple[str, ...]:
    """Say where a variant's servers can run; on this machine where it does not say."""
    if isinstance(backend, HasLocalVariants) and variant in backend.local_variants:
        return ("local",)
    return backend.grounds if isinstance(backend, HasGrounds) else ("local",)
