"""A planted bug, and how it takes the place of a backend's right commands."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar, cast

from backends.session import Commands
from harness.driving.backend import Planted

Chosen = TypeVar("Chosen")
C = TypeVar("C")
Step = Callable[..., Any]
"""(right, *arguments of the operation) -> its result"""
Edit = tuple[str, str, str]
"""The operation whose text it changes (a script, a function, a request), the old text in it, the new one."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug in one sentence, and how it is made: operations replaced by wrong ones, texts that the server runs edited.

    An edit and not a second copy of a text: the reference changes, and the mutant with it.
    `needs`: what a fault must do, or need, for it to show (`harness.driving.backend.Planted`); none = it shows in quiet.
    """

    sentence: str
    steps: Mapping[str, Step] = field(default_factory=dict)
    edits: tuple[Edit, ...] = ()
    needs: frozenset[str] = frozenset()

    @property
    def commands(self) -> frozenset[str]:
        """Name the commands that it gets wrong."""
        return frozenset(self.steps) | {command for command, _, _ in self.edits}


ASKED_BY: Mapping[str, frozenset[str]] = {
    "grant": frozenset({"try_acquire", "acquire_within"}),
    "index": frozenset({"index_timeout", "index_chain_ready"}),
    "unindex": frozenset({"remove_timeout_index", "remove_chain_ready_index"}),
    "due": frozenset({"get_expired_timeouts", "get_ready_chains"}),
    "scan": frozenset({"scan_keys"}),
    "scan_kind": frozenset({"scan_keys_by_kind"}),
}
"""The functions of a client that come down to a command, where they are not called as it is."""


def planted(mutants: Mapping[str, Mutant], everywhere: Mapping[str, Mutant]) -> dict[str, Planted]:
    """Say of each bug which functions of a client it gets wrong, what a fault must do for it to show, whether it is the same everywhere."""
    return {
        name: Planted(
            frozenset().union(*(ASKED_BY.get(command, frozenset({command})) for command in mutant.commands)),
            mutant.needs,
            everywhere.get(name) is mutant,
        )
        for name, mutant in mutants.items()
    }


@dataclass(frozen=True, slots=True)
class Right(Generic[C]):
    """What a wrong step is made of: the right commands, what lets others run between two of them, what this session keeps in mind."""

    commands: C
    yield_: Callable[[], None]
    kept: dict[Any, Any] = field(default_factory=dict)


def bound(steps: Mapping[str, Step], right: Right[C]) -> dict[str, Step]:
    """Give steps as operations, which take arguments only."""
    return {name: partial(step, right) for name, step in steps.items()}


def choose(mutants: Mapping[str, Chosen], name: str) -> Chosen:
    """Give the mutant of this name; raise ValueError naming the nearest."""
    if name in mutants:
        return mutants[name]
    near = difflib.get_close_matches(name, mutants, 1, cutoff=0.0)
    raise ValueError(f"unknown mutant {name!r}, did you mean {near[0]!r}? There are: {', '.join(sorted(mutants))}")


def edited(texts: Mapping[str, str], edits: tuple[Edit, ...]) -> dict[str, str]:
    """Give the texts with these edits; raise LookupError if one no longer fits its text."""
    changed = dict(texts)
    for name, old, new in edits:
        if old not in changed[name]:
            raise LookupError(f"{name} has no {old!r}: the mutant does not fit it any more")
        changed[name] = changed[name].replace(old, new)
    return changed


def altered(commands: Commands, steps: Mapping[str, Callable[..., Any]]) -> Commands:
    """Give these commands with some of them replaced, by method name."""
    return cast(Commands, _Altered(commands, steps))


class _Altered:
    def __init__(self, commands: Commands, steps: Mapping[str, Callable[..., Any]]) -> None:
        self._commands, self._steps = commands, steps

    def __getattr__(self, name: str) -> Any:
        return self._steps[name] if name in self._steps else getattr(self._commands, name)
