"""From the words of `holdwater run` to a plan, with errors that name the value and what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness import registry
from harness.plan import BadPlan, Episode, FaultSpec, Plan

EPISODE_OPTIONS = {"quiet_s": float, "fault_s": float, "after_s": float, "grants": int}
PLAN_OPTIONS = {"variant": str, "mutant": str, "deadline_s": float}


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for; `options` are the K=V texts."""

    workload: str
    backend: str
    seed: int
    faults: str = ""
    time_limit: float | None = None
    rate: float = 15.0
    concurrency: int = 8
    repeat: int = 1
    on: str = "local"
    options: tuple[str, ...] = ()


def plan(request: Request) -> Plan:
    """Make the plan; raise BadPlan on an unknown name, with the nearest match, or a value out of range."""
    backend = registry.load("backends", request.backend)
    workloads = {name: registry.load("workloads", name) for name in _split(request.workload)}
    specs = tuple(FaultSpec.parse(text) for text in _split(request.faults))
    faults = [registry.load("faults", spec.name) for spec in specs]
    known: dict[str, type] = {**EPISODE_OPTIONS, **PLAN_OPTIONS}
    for workload in workloads.values():
        known |= {name: type(default) for name, default in workload.options.items()}
    given = dict(_option(text, known) for text in request.options)
    lasts_s = max((fault.lasts_s for fault in faults), default=0.0)
    episode = Episode(specs, **{**_timeline(request.time_limit, lasts_s), **{k: v for k, v in given.items() if k in EPISODE_OPTIONS}})
    return Plan(
        backend=request.backend,
        variant=given.get("variant") or next(iter(backend.variants)),
        workloads=tuple(workloads),
        episodes=(episode,) * request.repeat,
        seed=request.seed,
        mutant=given.get("mutant"),
        on=request.on,
        concurrency=request.concurrency,
        rate=request.rate,
        deadline_s=given.get("deadline_s", 0.5),
        options={
            name: {k: v for k, v in given.items() if k in workload.options}
            for name, workload in workloads.items()
            if any(k in workload.options for k in given)
        },
    )


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _timeline(limit_s: float | None, lasts_s: float) -> Mapping[str, float]:
    # A fault that is given more or less time keeps its share: the time before and after it stays in proportion.
    quiet_s, after_s = (1.5, 1.0) if lasts_s else (2.0, 0.0)
    scale = 1.0 if limit_s is None else limit_s / (quiet_s + lasts_s + after_s)
    return {"quiet_s": round(quiet_s * scale, 3), "fault_s": round(lasts_s * scale, 3), "after_s": round(after_s * scale, 3)}


def _option(text: str, known: Mapping[str, type]) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadPlan(f"option {text!r}, expected NAME=VALUE")
    if name not in known:
        raise BadPlan(f"unknown option {name!r}, {registry.nearest(name, known)}")
    try:
        return name, known[name](value)
    except ValueError:
        kind = {float: "a number", int: "a whole number"}[known[name]]
        raise BadPlan(f"option {name}={value!r}, expected {kind}") from None
