"""What a command shows while it works and when it is done: the contracts, and the plug-ins that keep them.

Each has a group of entry points with one of ours: `holdwater.progress`, `holdwater.terminal`, `holdwater.nights`. They are
reached by name only, so that a command loads no plotting library that it does not use. Files of a run directory are
reports (harness.report).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from harness import registry
from harness.claims.results import Run, Verify
from harness.claims.rounds import Listener
from harness.judging.verdict import Verdict
from harness.record.history import History

Machine = Mapping[str, Any]


class Live(Listener, AbstractContextManager["Live"], Protocol):
    """Tells how far a run is, on stderr, from its start to its end."""


class Starts(Protocol):
    """The group `holdwater.progress`."""

    def __call__(self, total_trials: int, /) -> Live:
        """Begin to tell of a run of so many planned trials."""
        ...


class Terminal(Protocol):
    """The group `holdwater.terminal`: what a command prints on stdout, as text; `colour` = with escape sequences."""

    def table(self, results: Verify, /, *, colour: bool) -> str:
        """Show the results of a verify."""
        ...

    def outcome(self, results: Run, history: History | None, /, *, colour: bool) -> str:
        """Show the results of a run, with its history."""
        ...

    def verdict(self, verdict: Verdict, source: str, /, *, colour: bool) -> str:
        """Show what a stored history is."""
        ...

    def listing(self, title: str, rows: Sequence[tuple[str, ...]], /, *, colour: bool) -> str:
        """Show names and sentences."""
        ...

    def doctor(self, found: Machine, /, *, colour: bool) -> str:
        """Show what this machine can run."""
        ...


class NightsPage(Protocol):
    """The group `holdwater.nights`."""

    def __call__(self, root: Path, /) -> Sequence[Path]:
        """Draw the page of a store of nights (harness.claims.nights); give its files, none where the store is empty."""
        ...


def live(total_trials: int) -> Live:
    """Begin to tell of a run of so many planned trials."""
    starts: Starts = registry.load("progress", "live")
    return starts(total_trials)


def terminal() -> Terminal:
    """Give what makes a command's text."""
    found: Terminal = registry.load("terminal", "text")
    return found


def nights_page() -> NightsPage:
    """Give what draws the page of a store of nights."""
    found: NightsPage = registry.load("nights", "index")
    return found


def colour() -> bool:
    """Say whether stdout takes escape sequences."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
