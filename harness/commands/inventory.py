"""What there is, and what this machine can run: the answers of `list` and `doctor`."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from harness import registry
from harness.claims import file as claims
from harness.claims import results
from harness.claims.asked import Settings, plan_of
from harness.claims.claim import Table, names_by_word, row_word
from harness.claims.table import place
from harness.commands import request
from harness.deploy import compose, install
from harness.deploy.launch import PROXY, lacking
from harness.deploy.process import sweep
from harness.driving.backend import mutants_of, offers_of, servers_of
from harness.driving.nemesis import refusal
from harness.driving.system import Need
from harness.errors import Infrastructure


def rows(what: str) -> list[tuple[str, ...]]:
    """Give names and sentences of a kind of things, in a stable order."""
    if what == "claims":
        return _claims()
    if what == "tables":
        return [(table.name, row_word(table.name), _shape(table)) for table in claims.shipped().tables]
    if what == "mutants":
        return _mutants()
    if what == "rows":
        return _rows()
    if what == "options":
        return _options()
    if what == "backends":
        return [
            (f"{name}, variant {variant}", sentence)
            for name in registry.names("backends")
            for variant, sentence in registry.load("backends", name).variants.items()
        ]
    return [(name, registry.load(what, name).sentence) for name in registry.names(what)]


def machine(runs: Path) -> dict[str, Any]:
    """Say what this machine can run and what it lacks; ends what crashed runs below `runs` have left."""
    backends = [_backend(name) for name in registry.names("backends")]
    loaded = claims.shipped()
    here = Settings("nightly", 0, runs)
    able = {each.name for each in loaded.experiments.values() if lacking(plan_of(each, here)) is None}
    runnable = [claim.id for claim in loaded.claims if claim.experiments and set(claim.experiments) <= able]
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": os.cpu_count(),
        "root": os.geteuid() == 0,
        "servers": install.table(),
        "backends": backends,
        "claims": {
            "runnable": len(runnable),
            "total": len(loaded.claims),
            "unavailable": [claim.id for claim in loaded.claims if claim.id not in runnable],
        },
        "ended": (sweep(runs) if runs.is_dir() else 0) + _containers_removed(),
        "exit": 0 if all(backend["missing"] is None for backend in backends) else 3,
    }


def _containers_removed() -> int:
    """Remove what crashed runs on compose have left; 0 where no engine answers."""
    try:
        return compose.clear()
    except Infrastructure:
        return 0


def _backend(name: str) -> dict[str, Any]:
    backend = registry.load("backends", name)
    variants = list(backend.variants)
    faults = {}
    for fault in registry.names("faults"):
        refusals = [refusal(registry.load("faults", fault), backend, variant) for variant in variants]
        faults[fault] = None if None in refusals else refusals[0]
    links = any(Need.LINKS in offers_of(backend, variant) for variant in variants)
    return {"name": name, "missing": install.missing(*servers_of(backend, variants[0]), *((PROXY,) if links else ())), "faults": faults}


def _claims() -> list[tuple[str, ...]]:
    """Give each claim with its sentence and its cell."""
    shipped = claims.shipped()
    tables = results.tables_of(shipped)
    return [(claim.id, claim.sentence, place(claim.cell, claim.table, tables)) for claim in shipped.claims]


def _shape(table: Table) -> str:
    return f"{table.row} by {', '.join(table.columns)}"


def _rows() -> list[tuple[str, ...]]:
    """Give each row and backend of the documented tables by the words that `verify --backend` takes for it."""
    words = names_by_word(claims.shipped())
    names = dict.fromkeys(name for meant in words.values() for name in meant)
    return [(name, ", ".join(word for word, meant in words.items() if name in meant)) for name in names]


def _options() -> list[tuple[str, ...]]:
    """Give what `run --option` and a claims file take: of every run, then of each workload, with kind, bounds and default."""
    every = {"variant": "one of the backend's, see: list backends", "mutant": "one of the backend's or a workload's, see: list mutants"}
    every |= {name: str(bounds) for name, bounds in request.TRIAL_OPTIONS.items()}
    own = [
        (f"{workload.name}, {option}", f"{request.bounds(workload, option)}; default {default}")
        for workload in (registry.load("workloads", name) for name in registry.names("workloads"))
        for option, default in workload.options.items()
    ]
    general = [(f"any, {name}", said) for name, said in every.items()]
    each = ("each workload, weight", f"its share of the operations, {request.WEIGHT}; default 1.0")
    return [*general, *((f"claims file, {name}", f"{request.RUN_OPTIONS[name]}; run has --{name}") for name in request.FLAGS), each, *own]


def _mutants() -> list[tuple[str, ...]]:
    sentences: dict[str, str] = {}
    homes: dict[str, list[str]] = {}
    of_backends = [(name, mutants_of(registry.load("backends", name))) for name in registry.names("backends")]
    of_workloads = [(f"workload {name}", registry.load("workloads", name).mutants) for name in registry.names("workloads")]
    for name, mutants in [*of_backends, *of_workloads]:
        for mutant, sentence in mutants.items():
            sentences.setdefault(mutant, sentence)
            homes.setdefault(mutant, []).append(name)
    return [(mutant, f"{sentence} ({', '.join(homes[mutant])})") for mutant, sentence in sorted(sentences.items())]
