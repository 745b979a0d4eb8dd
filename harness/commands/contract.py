"""The contract suite as a command: contract."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from harness import heartbeat, registry
from harness.commands import request, screens
from harness.commands.guard import kept
from harness.commands.options import command, gathered, json_option, on_option, out_option
from harness.commands.streams import show
from harness.contract import suite
from harness.contract.rule import Rule
from harness.contract.suite import Contract, Kept
from harness.deploy import launch
from harness.driving.backend import Backend, Deployment, grounds_of, mutants_of
from harness.driving.run import through_links
from harness.driving.system import System, sides_of
from harness.errors import UsageError
from harness.record import store

CONTRACT = "contract.json"
ORDER = ("ok", "left out", "unanswered", "broken")
DEADLINE_S = 10.0  # of an operation: a busy machine is slow, and the rules are not about that


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedContract:
    """What a contract was asked for."""

    backend: str
    variant: str | None
    mutant: str | None
    rules: tuple[str, ...]
    on: str
    out: Path
    as_json: bool


@command()
@click.option("--backend", required=True)
@click.option("--variant", help="one of the backend's (list backends); its first where not given")
@click.option("--mutant", help="with this planted bug of the backend's")
@click.option("--rule", "rules", multiple=True, help="only this rule; may be repeated")
@on_option
@out_option
@json_option
@gathered(AskedContract)
def contract(asked: AskedContract) -> int:
    """Whether a backend answers as the document's interface says, rule by rule, without faults."""
    backend: Backend = registry.load("backends", request.backend_of(asked.backend))
    variant, rules = _checked(backend, asked)
    directory = store.create(asked.out, f"contract-{backend.name}")
    links = through_links(backend, variant, frozenset())
    deployment = Deployment(variant, directory, asked.on, asked.mutant, links=links)
    with kept(directory), launch.bare(backend, deployment, heartbeat.on_stderr) as system:
        found = list(_told(rules, system, backend))
        versions = dict(system.versions)
    store.tidy(directory)
    results = Contract(backend=backend.name, variant=variant, mutant=asked.mutant, versions=versions, rules=tuple(found))
    store.write(directory / CONTRACT, results)
    show(json.dumps({**store.plain(results), "exit": results.exit}, indent=2) if asked.as_json else said(results))
    return results.exit


def _checked(backend: Backend, asked: AskedContract) -> tuple[str, Sequence[Rule]]:
    """Give variant and rules; raise UsageError where something that was named is not there."""
    variant = asked.variant or next(iter(backend.variants))
    if variant not in backend.variants:
        raise UsageError(f"unknown variant {variant!r} of {backend.name}, {registry.nearest(variant, backend.variants)}")
    if asked.mutant is not None and asked.mutant not in mutants_of(backend):
        others = [name for name in registry.names("backends") if asked.mutant in mutants_of(registry.load("backends", name))]
        instead = f"use --backend {' or '.join(others)}" if others else registry.nearest(asked.mutant, mutants_of(backend))
        raise UsageError(f"unknown mutant {asked.mutant!r} of {backend.name}, {instead}")
    if asked.on not in (grounds := grounds_of(backend, variant)):
        raise UsageError(f"{backend.name}, variant {variant}, does not run on {asked.on}, only on {' or '.join(grounds)}")
    every = [each.name for each in suite.RULES]
    for name in asked.rules:
        if name not in every:
            raise UsageError(f"unknown rule {name!r}, {registry.nearest(name, every)}")
    return variant, suite.chosen(asked.rules)


def _told(rules: Sequence[Rule], system: System, backend: Backend) -> Iterator[Kept]:
    """Ask the rules, and say on stderr which is asked where one takes long."""
    side = sides_of(system)[0]
    for each in rules:
        with heartbeat.doing(f"asking {each.name}"):
            yield from suite.ask_all([each], lambda: system.client(side, DEADLINE_S), backend.functions)


def said(results: Contract) -> str:
    """Give the rules as they are printed: those that are broken last, each with what was seen, and how many there are of each kind."""
    counts = {status: sum(each.status == status for each in results.rules) for status in ORDER}
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    title = f"{results.backend}, variant {results.variant}" + (f", mutant {results.mutant}" if results.mutant else "")
    rows = [(each.rule, *_words(each)) for each in sorted(results.rules, key=lambda each: ORDER.index(each.status))]
    return screens.terminal().listing(f"contract of {title}: {told}", rows, colour=screens.colour())


def _words(kept: Kept) -> tuple[str, ...]:
    told = f"{kept.status}: {kept.sentence}"
    if kept.lacks:
        return (f"{told} It needs {', '.join(kept.lacks)}.",)
    return (told,) if kept.seen is None else (told, f"seen: {kept.seen}", f"expected: {kept.expected}")
