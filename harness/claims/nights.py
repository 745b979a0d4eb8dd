"""The store of a nightly job: the results of each night, the newest kept, and what is worth keeping longer.

    STORE/index.html                   all nights on one page (reports.nightly)
    STORE/nights/20261124-041207/      results.json, summary.md, junit.xml, evidence/ of one night

A folder of plain files and not a database: a CI carries it as a cache or an artefact, and a night that is deleted by hand is
just gone. Nights are ordered by their names, which say when they ended in UTC.

A CI publishes the store, and what it takes came from other machines: only plain files inside of their folder are taken,
and nothing is read or written through a link.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.claims import reading
from harness.claims.claim import Word
from harness.claims.results import Verify
from harness.errors import NotWritable, UsageError
from harness.record import store

NIGHTS, EVIDENCE, INDEX = "nights", "evidence", "index.html"
KEEP = 60
TAKEN = (store.RESULTS, "summary.md", "junit.xml")
MOST_IN_A_SECOND = 1000
STAMP = "%Y%m%d-%H%M%S"
NAME = re.compile(r"\d{8}-\d{6}(-\d+)?")


@dataclass(frozen=True, slots=True)
class Night:
    """A night of the store and what it concluded."""

    directory: Path
    results: Verify

    @property
    def ended(self) -> datetime:
        """Give when it ended, in UTC."""
        return datetime.strptime(self.directory.name[:15], STAMP).replace(tzinfo=UTC)

    @property
    def surprises(self) -> tuple[str, ...]:
        """Name the claims whose contradiction was not expected."""
        return tuple(claim.id for claim in self.results.claims if claim.verdict is Word.VIOLATED and not claim.expected)


def nights(root: Path) -> tuple[list[Night], dict[str, str]]:
    """Give the nights of a store, oldest first, and why others cannot be read."""
    found: list[Night] = []
    unreadable: dict[str, str] = {}
    for directory in _directories(root):
        try:
            found.append(Night(directory, reading.read_verify(directory)))
        except UsageError as error:
            unreadable[directory.name] = str(error)
    return found, unreadable


def _directories(root: Path) -> list[Path]:
    names = [path for path in (root / NIGHTS).glob("*") if NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink()]
    return sorted(names, key=lambda path: (path.name[:15], int(path.name[16:] or 1)))


def prepare(root: Path) -> None:
    """Make a store's folder; raise NotWritable where that cannot be: what a night found would be lost."""
    try:
        (root / NIGHTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in store.DISK_FULL:
            raise
        raise NotWritable(f"cannot write nights to {root}: {error.strerror}; choose another folder with --store") from None
    if (root / NIGHTS).is_symlink():
        raise NotWritable(f"{root / NIGHTS} is a link, expected a plain folder of nights; choose another folder with --store")


def append(root: Path, directory: Path, now: datetime | None = None) -> Path:
    """Put a verify directory into the store as a night; give the night. One that is there already is not put in twice.

    Raises UsageError where the directory holds no results of a verify, or of one that ended more than a day after `now`.
    """
    prepare(root)
    verify = reading.read_verify(directory)
    data = store.read_plain(directory / store.RESULTS)
    stamp = _stamp(verify, directory / store.RESULTS, now or datetime.now(UTC))
    same = [path for path in _directories(root) if path.name.startswith(stamp)]
    for before in same:
        if store.is_plain(before / store.RESULTS, before) and store.read_plain(before / store.RESULTS) == data:
            return before
    names = (stamp, *(f"{stamp}-{n}" for n in range(2, MOST_IN_A_SECOND)))
    name = next(name for name in names if not os.path.lexists(root / NIGHTS / name))
    taken = [(directory / file, Path(file)) for file in TAKEN if store.is_plain(directory / file, directory)]
    taken += _evidence(verify, directory)
    fresh = Path(tempfile.mkdtemp(prefix=".night-", dir=root / NIGHTS))  # at once or not at all
    try:
        for path, copy in taken:
            (fresh / copy).parent.mkdir(exist_ok=True)
            store.save(fresh / copy, store.read_text(path) if copy.suffix == ".txt" else store.read_plain(path))
        fresh.chmod(0o755)
        return fresh.rename(root / NIGHTS / name)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _stamp(verify: Verify, path: Path, now: datetime) -> str:
    try:
        stamp = datetime.fromisoformat(str(verify.finished)).strftime(STAMP)
    except ValueError:  # written by an earlier version
        stamp = ""
    if NAME.fullmatch(stamp) and stamp > (now + timedelta(days=1)).strftime(STAMP):
        raise UsageError(f"{path}: finished {verify.finished}, expected a time that has passed; it would stand before all that follow")
    return stamp if NAME.fullmatch(stamp) else datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime(STAMP)


def _evidence(verify: Verify, directory: Path) -> list[tuple[Path, Path]]:
    """Give the texts of a verify directory that show its anomalies, each with its name in a night: CLAIM-TEXT.txt, by number."""
    found: list[tuple[Path, Path]] = []
    for number, claim in enumerate(verify.claims):
        for n, recorded in enumerate(claim.evidence):
            path = store.moved(recorded, verify.directory, directory)
            if path.suffix == ".txt" and store.is_plain(path, directory):
                found.append((path, Path(EVIDENCE) / f"{number}-{n}.txt"))
    return found


def retain(root: Path, keep: int = KEEP) -> list[Path]:
    """Remove all but the newest nights; give what was removed. The newest with a contradiction that was not expected stays."""
    every = _directories(root)
    pinned = _newest_surprise(nights(root)[0])
    old = [path for path in every[:-keep] if path != pinned]
    for path in old:
        shutil.rmtree(path)
    return old


def _newest_surprise(found: Sequence[Night]) -> Path | None:
    return next((night.directory for night in reversed(found) if night.surprises), None)
