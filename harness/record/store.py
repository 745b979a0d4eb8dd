"""Run directories: where they are, what is in them, how the newest is found.

runs/20261125-0209-lock-redis-7/
  run.json       all that repeats it: command, plan, seed, versions, commit, machine
  history.jsonl  what happened, written while it happened
  results.json   what was concluded; docs/results.md has its schema
  timeline.png   latency.png   rate.png   anomalies/N.txt, N.jsonl   logs/NODE.log
runs/latest      -> the newest
"""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import NotWritable, UsageError

RUN, RESULTS, HISTORY = "run.json", "results.json", "history.jsonl"
EXPERIMENTS = ("experiments", "alone/experiments")
"""Folders of the experiments of a verify, the second of those that were repeated alone."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MOST_BYTES = 256 * 2**20
"""Of a JSON file: our own have a few megabytes."""
MOST_OF_A_TEXT = 2**20
"""Of a text of evidence: our own have a few kilobytes."""
DEEPEST = 40  # lists and tables in each other, in what a user hands us: our own files have 8
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def check_name(what: str, name: str) -> str:
    """Give a name back; raise UsageError where it is none that can be a file's: it may become one, in a folder of ours."""
    if NAME.fullmatch(name) is None:
        raise UsageError(f"{what} {name[:120]!r}, expected at most 100 letters, digits, '.', '_' or '-', and a letter or digit first")
    return name


def create(root: Path, label: str) -> Path:
    """Make a new run directory below `root` and point `latest` at it; raise NotWritable where that cannot be."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    try:
        root.mkdir(parents=True, exist_ok=True)
        for suffix in ("", *(f"-{n}" for n in range(2, 1000))):
            directory = root / f"{stamp}-{label}{suffix}"
            try:
                directory.mkdir()
                break
            except FileExistsError:
                continue
        _point_latest(root, directory)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        raise NotWritable(f"cannot write runs to {root}: {error.strerror}; choose another folder with --out") from None
    return directory


def _point_latest(root: Path, directory: Path) -> None:
    link = root / "latest"
    fresh = root / f".latest-{directory.name}"
    fresh.symlink_to(directory.name)
    try:
        fresh.replace(link)
    except OSError as error:
        fresh.unlink()
        directory.rmdir()
        raise NotWritable(f"{link} is not a link of ours ({error.strerror}); choose another folder with --out, or move it away") from None


def plain(value: Any) -> Any:
    """Give a value as JSON would hold it: dicts, lists, texts, numbers."""
    return msgspec.to_builtins(value, enc_hook=str)


def write(path: Path, value: Any) -> None:
    """Write a value as indented JSON, at once or not at all."""
    save(path, msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2) + b"\n")


def save(path: Path, data: bytes) -> None:
    """Write a file at once or not at all, in place of a link and never through it; an error names the file."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with naming(path):
        try:
            fresh.unlink(missing_ok=True)
            with fresh.open("xb") as file:
                file.write(data)
            fresh.replace(path)
        except OSError:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name a file in an error of the operating system: one that is raised in the middle of writing names none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def read(path: Path) -> Any:
    """Read a JSON file; raise UsageError naming it where it is missing, no JSON, too large, or nested too deep for one of ours."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UsageError(f"{path}: more than {MOST_BYTES:,} bytes, expected a file of a run directory")
        value = msgspec.json.decode(data)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}, expected a file of a run directory") from None
    except msgspec.DecodeError as error:
        raise UsageError(f"{path}: {error}") from None
    except RecursionError:
        raise UsageError(f"{path}: values are nested too deep, expected a file of a run directory") from None
    if is_deep(value):
        raise UsageError(f"{path}: values are nested more than {DEEPEST} deep, expected a file of a run directory")
    return value


def is_deep(value: Any) -> bool:
    """Say whether lists and tables stand in each other deeper than anything of ours; without recursion."""
    level = [value]
    for _ in range(DEEPEST):
        level = [part for each in level for part in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())]
        if not level:
            return False
    return True


def check_plain(directory: Path) -> None:
    """Raise UsageError where a run directory that came from elsewhere has a link in it: we would read or write another's file."""
    for folder in (directory, directory / "anomalies", *(directory / each for each in EXPERIMENTS)):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_symlink():
                raise UsageError(f"{path} is a link, expected plain files and folders in a run directory")


def experiments(directory: Path) -> list[Path]:
    """Give the run directories of the experiments in a verify's directory, those that were repeated alone last; none in any other."""
    return [path for each in EXPERIMENTS for path in sorted((directory / each).glob("*/"))]


def is_plain(path: Path, inside: Path) -> bool:
    """Say whether there is a plain file inside a folder; False where nothing is there, or where it is not inside.

    Raises UsageError where a link leads to it.
    """
    if not path.is_relative_to(inside) or ".." in (parts := path.relative_to(inside).parts):
        return False
    place = inside
    for part in parts:
        place = place / part
        if place.is_symlink():
            raise UsageError(f"{place} is a link, expected a plain file in {inside}")
    return path.is_file()


def read_plain(path: Path, most: int = MOST_BYTES) -> bytes:
    """Read a plain file, and nothing that a link leads to; raise UsageError where it is none, or has more than `most` bytes."""
    with naming(path), open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UsageError(f"{path} is no plain file")
        data = file.read(most + 1)
    if len(data) > most:
        raise UsageError(f"{path}: more than {most:,} bytes, expected a file of a run directory")
    return data


def read_text(path: Path) -> bytes:
    """Read a plain text that may come from elsewhere; what is not printable is spelt out, so that it commands no terminal."""
    text = read_plain(path, MOST_OF_A_TEXT).decode("utf-8", "backslashreplace")
    return "\n".join(map(printable, text.split("\n"))).encode()


def printable(text: str) -> str:
    """Spell out what is not printable, line ends included."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def moved(path: str, recorded: str, now: Path) -> Path:
    """Give a path of a run directory that is not where it was recorded any more: a CI carries them from machine to machine."""
    return now / Path(path).relative_to(recorded) if Path(path).is_relative_to(recorded) else Path(path)


def now() -> str:
    """Give the time as results.json keeps it: ISO 8601 in UTC, whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def environment() -> Mapping[str, Any]:
    """Say what machine and what commit this is."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": os.cpu_count(),
        "commit": _commit(),
    }


def _commit() -> str | None:
    try:
        found = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return found.stdout.strip() or None


def tidy(directory: Path) -> None:
    """Remove the nodes' data directories of a run that went well; logs stay."""
    for nodes in directory.rglob("nodes"):
        shutil.rmtree(nodes, ignore_errors=True)
