"""What results.json must hold before anything is drawn or joined from it: a CI carries it from machine to machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from harness import program
from harness.errors import UsageError
from harness.judging.verdict import Anomaly
from harness.record import store

Status = Literal["valid", "unknown", "invalid"]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Exit = Literal[0, 1, 2, 3, 64, 70, 130]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Whole = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _DrawnPlan(msgspec.Struct):
    backend: str
    variant: str
    workloads: list[str]
    concurrency: Count
    seed: Count
    mutant: str | None = None


class _DrawnCheck(msgspec.Struct):
    status: Status
    summary: str
    anomalies: list[Anomaly]
    numbers: dict[str, Any]


Word = Literal["violated", "inconclusive", "unavailable", "finding", "not-seen", "as-documented", "holds"]


class _DrawnRate(msgspec.Struct):
    k: Count
    n: Count
    low: Share
    high: Share
    upper: Share | None = None

    def __post_init__(self) -> None:
        if self.k > self.n:
            raise ValueError(f"k {self.k} of n {self.n}, expected at most n")


class _DrawnGate(msgspec.Struct):
    name: str
    needed: Whole
    measured: Whole
    met: bool
    detail: str = ""


class _DrawnTrial(msgspec.Struct):
    n: Count
    checks: dict[str, _DrawnCheck]
    status: Status | None = None
    faults: list[str] = []
    gates: list[_DrawnGate] = []


class _DrawnRun(msgspec.Struct):
    status: Status
    exit: Exit
    command: str
    directory: str
    seconds: Seconds
    plan: _DrawnPlan
    trials: list[_DrawnTrial]
    broken: str | None = None
    voids: list[str] = []
    versions: dict[str, str] = {}
    finished: str | None = None


class _DrawnSeen(msgspec.Struct):
    experiment: str
    trial: Count
    kind: str
    message: str
    key: str | None = None


class _DrawnControl(msgspec.Struct):
    check: str
    planted: str
    condemned: bool
    detail: str = ""


class _DrawnClaim(msgspec.Struct):
    id: Text
    cell: tuple[Text, Text]
    sentence: Text
    conditions: Text
    document: Literal["promises", "warns", "silent"]
    unit: Text
    verdict: Word
    expected: bool
    expect: Annotated[list[Word], msgspec.Meta(min_length=1)]
    rate: _DrawnRate | None
    said: str
    missing: list[str]
    gates: list[_DrawnGate]
    numbers: dict[str, dict[str, float] | list[float]]
    anomalies: list[_DrawnSeen]
    experiments: list[str]
    evidence: list[str]
    remedy: str | None
    quote: str | None = None
    repeat: str | None = None
    infrastructure: str | None = None
    bug: str | None = None
    absent: bool = False
    excused: list[_DrawnSeen] = []
    voids: list[str] = []
    controls: list[_DrawnControl] = []


class _DrawnCell(msgspec.Struct):
    column: str
    quote: str | None
    verdict: Word | Literal["not judged"]
    claims: list[str]


class _DrawnRow(msgspec.Struct):
    name: str
    cells: list[_DrawnCell]


Plain = str | float | bool | None


class _DrawnShard(msgspec.Struct):
    directory: str
    seed: int | str | None
    exit: Exit
    seconds: Seconds
    claims: list[str]
    command: str | None = None
    finished: str | None = None
    versions: dict[str, str] = {}
    environment: dict[str, Plain] = {}


class _DrawnVerify(msgspec.Struct):
    kind: Literal["verify"]
    profile: str
    on: str
    seconds: Seconds
    exit: Exit
    headline: str
    contradicts: bool
    command: str
    directory: str
    rows: list[_DrawnRow]
    claims: list[_DrawnClaim]
    seed: int | str | None
    failures: dict[str, str] = {}
    versions: dict[str, str] = {}
    strict: bool = False
    finished: str | None = None
    elsewhere: list[str] = []
    environment: dict[str, Plain] = {}
    shards: list[_DrawnShard] = []
    claims_file: str | None = None
    claims_sha256: str | None = None

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for claim in self.claims:
            if claim.id in seen:
                raise ValueError(f"claim {claim.id} stands twice")
            seen.add(claim.id)
            if claim.expected != (claim.verdict in claim.expect) and not (claim.absent and claim.verdict == "unavailable"):
                raise ValueError(f"claim {claim.id} is {claim.verdict}, expected {claim.expected}, and expects {' or '.join(claim.expect)}")
        surprising = [each.id for each in self.claims if not each.expected and each.verdict not in ("inconclusive", "unavailable")]
        if surprising and self.exit not in (1, 64, 70, 130):
            raise ValueError(f"exit {self.exit}, but the verdict on claim {surprising[0]} is not expected")


class _Kind(msgspec.Struct):
    holdwater: Literal[1]
    kind: Literal["run", "verify", "selftest"]


def check_results(directory: Path) -> None:
    """Raise UsageError where a directory has no results, or none that reports can draw; those of its experiments are asked too."""
    path = directory / store.RESULTS
    store.check_plain(directory)
    if not path.is_file() and (directory / store.HISTORY).is_file():
        judged = program.command("check", str(directory / store.HISTORY))
        raise UsageError(f"{directory} has no {store.RESULTS}: its run did not end; judge what it recorded with: {judged}")
    if not path.is_file():
        raise UsageError(f"{directory} has no {store.RESULTS}, expected a run directory")
    try:
        results = store.read(path)
        shape = {"run": _DrawnRun, "verify": _DrawnVerify}.get(msgspec.convert(results, _Kind).kind)
        if shape is not None:
            msgspec.convert(results, shape)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {error}; expected the results of a run") from None
    for experiment in sorted((directory / "experiments").glob(f"*/{store.RESULTS}")):
        check_results(experiment.parent)


def read_verify(directory: Path) -> dict[str, Any]:
    """Read the results of the main job; raise UsageError that names the file where there are none, or others."""
    path = directory / store.RESULTS
    if not store.is_plain(path, directory):
        raise UsageError(f"{path} is not there, expected the results of a verify")
    try:
        results = store.read(path)
        msgspec.convert(results, _Kind)
        msgspec.convert(results, _DrawnVerify)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {error}; expected the results of a verify") from None
    return dict(results)
