"""What a backend cannot feel is refused beforehand, with what to do instead: every pair of the registry."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.driving.nemesis import refusal
from harness.driving.plan import Episode, FaultSpec, Plan
from harness.driving.run import Catalogue, run
from harness.errors import UsageError

LINKS = {"cut", "latency", "lost-reply"}
PROCESS = {"kill", "pause", "restart"}
FAILOVER = {"isolate-primary", "hold-back-replication", "freeze"}
EMPTY = {"restart-empty"}
WAITS = {"cancel-wait"}
CLOCKS = {"client-clock", "client-clock-beyond"}
CLIENTS = {"client-pause"}
PLANNED = {"planned-failover"}
COORDINATED = {"planned-failover-coordinated"}
MEMORY = {"fill-memory"}
SERVER_CLOCK = {"server-clock"}
EVERY = LINKS | PROCESS | FAILOVER | EMPTY | WAITS | CLOCKS | CLIENTS | PLANNED | COORDINATED | MEMORY | SERVER_CLOCK
REDIS_VARIANTS = ("appendfsync-always", "appendfsync-everysec", "shipped-default", "no-save")
MEMORY_VARIANTS = ("maxmemory-allkeys-lru", "maxmemory-volatile-lru", "maxmemory-noeviction")
SENTINEL_VARIANTS = ("default", "patient", "hasty", "min-replicas-1-lag-1")
POSSIBLE: dict[tuple[str, str], set[str]] = {
    ("memory", "default"): CLIENTS,
    ("memory", "child"): PROCESS | CLIENTS,
    **{("redis", variant): LINKS | PROCESS | CLIENTS for variant in REDIS_VARIANTS},
    **{("redis", variant): LINKS | PROCESS | CLIENTS | MEMORY for variant in MEMORY_VARIANTS},
    **{(backend, "settable-clock"): LINKS | PROCESS | CLIENTS | SERVER_CLOCK for backend in ("redis", "postgres")},
    **{("redis-sentinel", variant): EVERY - {"lost-reply"} - WAITS - CLOCKS - MEMORY - SERVER_CLOCK for variant in SENTINEL_VARIANTS},
    **{("postgres", variant): LINKS | PROCESS | CLIENTS for variant in ("default", "synchronous-commit-off", "session-locks")},
    **{("postgres", variant): (LINKS | PROCESS | CLIENTS) - {"lost-reply"} for variant in ("pooled", "pooled-session-locks")},
    ("postgres-operator", "async"): LINKS | PROCESS | FAILOVER | CLIENTS,
    **{("postgres-operator", variant): LINKS | PROCESS | FAILOVER | WAITS | CLIENTS for variant in ("sync", "sync-believes-tag")},
    **{("postgres-patroni", variant): LINKS | PROCESS | FAILOVER | CLIENTS | PLANNED for variant in ("async", "async-stock")},
    **{
        ("postgres-patroni", variant): LINKS | PROCESS | FAILOVER | WAITS | CLIENTS | PLANNED
        for variant in ("sync", "sync-strict", "sync-stock")
    },
    **{("dynamodb", variant): LINKS | PROCESS | CLOCKS | CLIENTS for variant in ("durable", "in-memory")},
}
PAIRS = [(backend, variant, fault) for (backend, variant), fault in product(POSSIBLE, sorted(EVERY))]
REFUSED = [(backend, variant, fault) for backend, variant, fault in PAIRS if fault not in POSSIBLE[backend, variant]]


def refused(backend: str, variant: str, fault: str) -> str | None:
    return refusal(registry.load("faults", fault), registry.load("backends", backend), variant)


def test_the_table_names_every_variant_and_every_fault_of_the_registry() -> None:
    variants = {(name, variant) for name in registry.names("backends") for variant in registry.load("backends", name).variants}
    assert set(POSSIBLE) == variants
    assert sorted(EVERY) == registry.names("faults")


@pytest.mark.parametrize(("backend", "variant", "fault"), PAIRS)
def test_what_can_be_felt_is_allowed_and_what_cannot_is_refused(backend: str, variant: str, fault: str) -> None:
    found = refused(backend, variant, fault)
    assert (found is None) == (fault in POSSIBLE[backend, variant])


@pytest.mark.parametrize(("backend", "variant", "fault"), REFUSED)
def test_a_refusal_names_the_fault_and_what_to_do_instead(backend: str, variant: str, fault: str) -> None:
    found = refused(backend, variant, fault) or ""
    assert found.startswith(backend)
    assert f"cannot have {fault}" in found
    instead = found.split(fault, 1)[1]
    assert "--backend " in instead or "--option " in instead
    assert "\n" not in found


@pytest.mark.parametrize(("backend", "variant", "fault"), REFUSED)
def test_what_is_proposed_instead_is_possible_and_all_that_is(backend: str, variant: str, fault: str) -> None:
    instead = (refused(backend, variant, fault) or "").split(fault, 1)[1]
    if "variant=" in instead:
        assert fault in POSSIBLE[backend, instead.split("variant=", 1)[1]]
    else:
        proposed = instead.split("--backend ", 1)[1].split(" or ")
        assert proposed == sorted({name for (name, _), possible in POSSIBLE.items() if fault in possible})


@pytest.mark.parametrize(("backend", "variant", "fault"), REFUSED)
def test_a_plan_with_it_is_refused_before_anything_is_started(backend: str, variant: str, fault: str, tmp_path: Path) -> None:
    plan = Plan(backend, variant, ("lock",), (Episode((FaultSpec(fault),)),), seed=1)
    plugins: Any = {kind: {name: registry.load(kind, name)} for kind, name in (("workloads", "lock"), ("faults", fault))}
    with pytest.raises(UsageError, match=f"cannot have {fault}"):
        run(plan, Catalogue(registry.load("backends", backend), **plugins), tmp_path)
    assert list(tmp_path.iterdir()) == []
