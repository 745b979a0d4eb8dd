"""Reading results.json: strictly, since a CI carries it from machine to machine and somebody may have edited it.

A wrong kind of value is refused in one line, and so is a file that contradicts itself (`harness.claims.consistency`):
whatever reads it would pass on a verdict that nobody came to.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness import program
from harness.claims.consistency import contradictions
from harness.claims.results import Results, Verify, convert
from harness.errors import UsageError
from harness.record import store


class Contradiction(UsageError):
    """A results.json that contradicts itself: it was edited, or never written by us. Exit 64."""


def read(directory: Path) -> Results:
    """Read the results of a directory; raise UsageError that names the file where there are none, or wrong ones."""
    return _read(directory / store.RESULTS, "the results of a run")


def read_verify(directory: Path) -> Verify:
    """Read the results of the main job; raise UsageError that names the file where there are none, or others."""
    path = directory / store.RESULTS
    wanted = "the results of a verify"
    if not store.is_plain(path, directory):
        raise UsageError(f"{path} is not there, expected {wanted}")
    found = _read(path, wanted, Verify)
    assert isinstance(found, Verify)
    return found


def _read(path: Path, wanted: str, kind: type[Verify] | None = None) -> Results:
    value = store.read(path)
    try:
        found = convert(value) if kind is None else msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {error}; expected {wanted}") from None
    if (first := next(contradictions(found), None)) is not None:
        raise Contradiction(f"{path}: {first}")
    return found


def check_results(directory: Path) -> None:
    """Raise UsageError where a directory has no results, or none that reports can draw; those of its experiments are asked too."""
    path = directory / store.RESULTS
    store.check_plain(directory)
    if not path.is_file() and (directory / store.RUN).is_file():
        judged = program.command("judge", str(directory), "--save")
        raise UsageError(f"{directory} has no {store.RESULTS}: its run did not end; judge what it recorded with: {judged}")
    if not path.is_file() and (directory / store.HISTORY).is_file():
        judged = program.command("check", str(directory / store.HISTORY))
        raise UsageError(f"{directory} has no {store.RESULTS}: its run did not end; judge what it recorded with: {judged}")
    if not path.is_file():
        raise UsageError(f"{directory} has no {store.RESULTS}, expected a run directory")
    read(directory)
    for experiment in store.experiments(directory):
        if (experiment / store.RESULTS).is_file():
            check_results(experiment)
