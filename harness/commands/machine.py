"""What there is and what this machine can do: list, doctor, install."""

from __future__ import annotations

import json

import click

from harness import heartbeat, registry
from harness.commands import screens
from harness.commands.guard import OK
from harness.commands.options import DEFAULT_OUT, command, json_option, one_of
from harness.commands.streams import show

LISTED = ("backends", "tables", "rows", "workloads", "options", "faults", "checks", "models", "claims", "mutants", "reports")


@command("list")
@click.argument("what", **one_of(*LISTED))
@json_option
def list_(what: str, as_json: bool) -> int:
    """What there is."""
    from harness.commands import inventory

    rows = inventory.rows(what)
    show(json.dumps([list(row) for row in rows], indent=2) if as_json else screens.terminal().listing(what, rows, colour=screens.colour()))
    return OK


@command()
@json_option
def doctor(as_json: bool) -> int:
    """What this machine can run, and the remedy where it cannot; ends what crashed runs have left."""
    from harness.commands import inventory

    with heartbeat.doing("looking at this machine"):
        found = inventory.machine(DEFAULT_OUT)
    show(json.dumps(found, indent=2) if as_json else screens.terminal().doctor(found, colour=screens.colour()))
    return int(found["exit"])


@command()
@click.argument("names", nargs=-1)
def install(names: tuple[str, ...]) -> int:
    """Bring the pinned servers that the local deployment needs."""
    from harness.deploy import install as installer

    for name in names:
        registry.load("servers", name)
    installer.install(names or None, show)
    return OK
