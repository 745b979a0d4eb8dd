"""Run directories: where they are, what is in them, how the newest is found.

runs/20261125-0209-lock-redis-7/
  run.json       all that repeats it: command, plan, seed, versions, commit, machine
  history.jsonl  what happened, written while it happened
  results.json   what was concluded; docs/results.md has its schema
  timeline.png   latency.png   rate.png   anomalies/N.txt, N.jsonl   logs/NODE.log
runs/latest      -> the newest
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from harness.plan import BadPlan
from harness.verdict import Anomaly

RUN, RESULTS, HISTORY = "run.json", "results.json", "history.jsonl"


def create(root: Path, label: str) -> Path:
    """Make a new run directory below `root` and point `latest` at it; raise BadPlan where it cannot be written."""
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
        raise BadPlan(f"cannot write runs to {root}: {error.strerror}; choose another folder with --out") from None
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
        raise BadPlan(f"{link} is not a link of ours ({error.strerror}); choose another folder with --out, or move it away") from None


def plain(value: Any) -> Any:
    """Give a value as JSON would hold it: dicts, lists, texts, numbers."""
    return msgspec.to_builtins(value, enc_hook=str)


def write(path: Path, value: Any) -> None:
    """Write a value as indented JSON, at once or not at all."""
    data = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(data + b"\n")
    fresh.replace(path)


def read(path: Path) -> Any:
    """Read a JSON file; raise BadPlan naming it where it is missing or no JSON."""
    try:
        return msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise BadPlan(f"{path}: {error.strerror}, expected a file of a run directory") from None
    except msgspec.DecodeError as error:
        raise BadPlan(f"{path}: {error}") from None


Status = Literal["valid", "unknown", "invalid"]


class _DrawnPlan(msgspec.Struct):
    backend: str
    variant: str
    workloads: list[str]
    concurrency: int
    seed: int


class _DrawnCheck(msgspec.Struct):
    status: Status
    summary: str
    anomalies: list[Anomaly]
    numbers: dict[str, Any]


Word = Literal["violated", "inconclusive", "unavailable", "finding", "not-seen", "as-documented", "holds"]


class _DrawnRate(msgspec.Struct):
    k: int
    n: int
    low: float
    high: float


class _DrawnGate(msgspec.Struct):
    name: str
    needed: int
    measured: int
    met: bool


class _DrawnTrial(msgspec.Struct):
    n: int
    checks: dict[str, _DrawnCheck]
    faults: list[str] = []
    gates: list[_DrawnGate] = []


class _DrawnRun(msgspec.Struct):
    status: Status
    exit: int
    command: str
    directory: str
    seconds: float
    plan: _DrawnPlan
    trials: list[_DrawnTrial]


class _DrawnSeen(msgspec.Struct):
    experiment: str
    trial: int
    kind: str
    message: str


class _DrawnClaim(msgspec.Struct):
    id: str
    cell: tuple[str, str]
    sentence: str
    conditions: str
    document: Literal["promises", "warns", "silent"]
    unit: str
    verdict: Word
    expected: bool
    expect: Annotated[list[Word], msgspec.Meta(min_length=1)]
    rate: _DrawnRate | None
    said: str
    missing: list[str]
    gates: list[_DrawnGate]
    numbers: dict[str, Any]
    anomalies: list[_DrawnSeen]
    experiments: list[str]
    evidence: list[str]
    quote: str | None = None
    remedy: str | None = None
    repeat: str | None = None


class _DrawnCell(msgspec.Struct):
    column: str
    quote: str | None
    verdict: Word | Literal["not judged"]
    claims: list[str]


class _DrawnRow(msgspec.Struct):
    name: str
    cells: list[_DrawnCell]


class _DrawnVerify(msgspec.Struct):
    kind: Literal["verify"]
    profile: str
    on: str
    seconds: float
    exit: int
    headline: str
    contradicts: bool
    command: str
    directory: str
    rows: list[_DrawnRow]
    claims: list[_DrawnClaim]
    failures: dict[str, str] = {}
    versions: dict[str, str] = {}


class _Kind(msgspec.Struct):
    holdwater: Literal[1]
    kind: Literal["run", "verify", "selftest"]


def check_results(directory: Path) -> None:
    """Raise BadPlan where a directory has no results, or none that reports can draw; those of its experiments are asked too."""
    path = directory / RESULTS
    if not path.is_file():
        raise BadPlan(f"{directory} has no {RESULTS}, expected a run directory")
    try:
        results = read(path)
        shape = {"run": _DrawnRun, "verify": _DrawnVerify}.get(msgspec.convert(results, _Kind).kind)
        if shape is not None:
            msgspec.convert(results, shape)
    except msgspec.ValidationError as error:
        raise BadPlan(f"{path}: {error}; expected the results of a run") from None
    for experiment in sorted((directory / "experiments").glob(f"*/{RESULTS}")):
        check_results(experiment.parent)


def read_verify(directory: Path) -> dict[str, Any]:
    """Read the results of the main job; raise BadPlan that names the file where there are none, or others."""
    path = directory / RESULTS
    if not path.is_file():
        raise BadPlan(f"{path} is not there, expected the results of a verify")
    try:
        results = read(path)
        msgspec.convert(results, _Kind)
        msgspec.convert(results, _DrawnVerify)
    except msgspec.ValidationError as error:
        raise BadPlan(f"{path}: {error}; expected the results of a verify") from None
    return dict(results)


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
