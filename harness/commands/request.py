"""From the words of `holdwater run` to a plan, with errors that name the value and what was expected.

Numbers have bounds here, and not where they are used: a lease of 0 ms or no key to draw from would else
show in the middle of a run, as a bug of ours. What bounds cannot say, such as that of three kinds of names
one must be there, shows when a slot draws its first operations: that is tried before anything is started.
A claims file gives the same options as the command line, and is held to the same bounds.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import registry
from harness.claims import file as claims
from harness.claims.claim import row_word
from harness.driving import schedule
from harness.driving.generator import Context, asked
from harness.driving.plan import Episode, FaultSpec, Plan
from harness.driving.run import planted_bugs
from harness.driving.workload import Workload
from harness.errors import Misfit, UsageError
from harness.record import store

DRAWN = 8  # operations tried of each workload: not every draw meets every kind of operation


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `least` to `most`, ends included; `open` leaves the least one out. `what` names them in an error."""

    kind: type[int] | type[float]
    what: str
    least: float
    most: float
    open: bool = False

    def __str__(self) -> str:
        return f"{self.what} {'above' if self.open else 'from'} {self.least} {'and at most' if self.open else 'to'} {self.most}"

    def read(self, name: str, text: str) -> Any:
        """Give the number that a text holds; raise UsageError with name, text and bounds where it holds none of these."""
        try:
            return self.check(name, self.kind(text))
        except ValueError:
            raise UsageError(f"{name} {text!r}, expected {self}") from None

    def check(self, name: str, value: Any) -> Any:
        """Give the value back; raise UsageError where it is not one of these numbers: true is none, nor is nan."""
        numbers = (int,) if self.kind is int else (int, float)
        if type(value) not in numbers or not self.least <= value <= self.most:  # nan is not, nor is inf
            raise UsageError(f"{name} {value!r}, expected {self}")
        if self.open and value == self.least:
            raise UsageError(f"{name} {value!r}, expected {self}")
        return value


SEED = Range(int, "a whole number", 0, 2**53)
CONCURRENCY = Range(int, "a whole number", 1, 256)
JOBS = Range(int, "a whole number", 1, 64)
NIGHTS = Range(int, "a whole number", 1, 10_000)
TRIALS = Range(int, "a whole number", 1, 10_000)
RATE = Range(float, "operations a second and slot", 0, 100_000, open=True)
DEADLINE = Range(float, "seconds", 0, 60, open=True)
TIME_LIMIT = Range(float, "seconds", 0.2, 3600)
PHASE = Range(float, "seconds", 0, 3600)

EPISODE_OPTIONS = {"quiet_s": PHASE, "fault_s": PHASE, "after_s": PHASE, "grants": Range(int, "a whole number", 0, 1000)}
SCHEDULED = ("quiet_s", "fault_s")
"""Options that a schedule says itself."""
AFTER_S = 1.0
TRIAL_OPTIONS = {**EPISODE_OPTIONS, "deadline_s": DEADLINE}
"""What any run's --option takes beside variant and mutant."""
WEIGHT = Range(float, "a number", 0, 1000, open=True)
RUN_OPTIONS = {"rate": RATE, "concurrency": CONCURRENCY, "deadline_s": DEADLINE}
"""What an experiment of a claims file may say beside its workloads' options."""
FLAGS = ("rate", "concurrency")
"""Those of them that are no --option of `run`."""

MOST_MS, MOST = 86_400_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for; `options` are the K=V texts."""

    workload: str
    backend: str
    seed: int
    faults: str = ""
    time_limit: float | None = None
    rate: float = 15.0
    concurrency: int = 8
    repeat: int = 1
    on: str = "local"
    attach: str | None = None
    options: tuple[str, ...] = ()


def plan(request: Request) -> Plan:
    """Make the plan; raise UsageError on an unknown name, with the nearest match, or a value out of range."""
    backend = registry.load("backends", backend_of(request.backend))
    if request.attach is not None:
        store.check_name("project", request.attach)
    workloads = {name: registry.load("workloads", name) for name in _split(request.workload)}
    specs = schedule.read(request.faults)
    given = _options(request.options, backend, workloads)
    episode = Episode(specs, **{**_timeline(request.time_limit, specs, given), **{k: v for k, v in given.items() if k in EPISODE_OPTIONS}})
    options = {name: _own(workload, given) for name, workload in workloads.items()}
    for name, workload in workloads.items():
        _draw(workload, {option: value for option, value in options[name].items() if option != "weight"})
    return Plan(
        backend=backend.name,
        variant=given.get("variant") or next(iter(backend.variants)),
        workloads=tuple(workloads),
        episodes=(episode,) * request.repeat,
        seed=request.seed,
        mutant=given.get("mutant"),
        on=request.on,
        attach=request.attach,
        concurrency=request.concurrency,
        rate=request.rate,
        deadline_s=given.get("deadline_s", 0.5),
        options={name: values for name, values in options.items() if values},
    )


def backend_of(word: str) -> str:
    """Give the backend that a word names: its own name, or as `verify` says it, as its table calls it (then its first deployment)."""
    if word in registry.names("backends"):
        return word
    table = claims.shipped()
    first = next((claim for claim in table.claims if claim.experiments and row_word(table.backend(claim)) == row_word(word)), None)
    return word if first is None else table.experiments[first.experiments[0]].deployment


def check_options(workloads: Mapping[str, Workload], options: Mapping[str, Any]) -> None:
    """Raise UsageError on an option of a claims file's experiment that is unknown, of a wrong kind, or out of range."""
    for name, value in options.items():
        if name in RUN_OPTIONS:
            RUN_OPTIONS[name].check(f"option {name}", value)
        elif name not in workloads:
            raise UsageError(f"unknown option {name!r}, {registry.nearest(name, [*RUN_OPTIONS, *workloads])}")
        elif not isinstance(value, Mapping):
            raise UsageError(f"option {name} is {value!r}, expected a table of options of the workload {name}")
    for workload in workloads.values():
        own = options.get(workload.name, {})
        for name, value in own.items():
            ranges = {"weight": WEIGHT} | {each: bounds(workload, each) for each in workload.options}
            if name not in ranges:
                raise UsageError(f"unknown option {name!r} of {workload.name}, {registry.nearest(name, ranges)}")
            ranges[name].check(f"option {name}", value)
        _draw(workload, {name: value for name, value in own.items() if name != "weight"})


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _timeline(limit_s: float | None, specs: Sequence[FaultSpec], given: Mapping[str, Any]) -> Mapping[str, float]:
    if own := schedule.timeline(specs):
        return {**own, "after_s": _left(limit_s, own["quiet_s"] + own["fault_s"], given)}
    # A fault that is given more or less time keeps its share: the time before and after it stays in proportion.
    lasts_s = max((registry.load("faults", spec.name).lasts_s for spec in specs), default=0.0)
    quiet_s, after_s = (1.5, AFTER_S) if lasts_s else (2.0, 0.0)
    scale = 1.0 if limit_s is None else limit_s / (quiet_s + lasts_s + after_s)
    return {"quiet_s": round(quiet_s * scale, 3), "fault_s": round(lasts_s * scale, 3), "after_s": round(after_s * scale, 3)}


def _left(limit_s: float | None, end_s: float, given: Mapping[str, Any]) -> float:
    """Give the time after a schedule; raise UsageError where the user sets times that the schedule says itself, or too few."""
    for name in SCHEDULED:
        if name in given:
            raise UsageError(f"option {name}={given[name]:g}, but each fault has a time of its own; expected one of the two")
    if limit_s is None:
        return AFTER_S
    if limit_s < end_s:
        raise UsageError(f"time limit {limit_s:g}, but the last fault is healed at {end_s:g} s; expected at least that")
    return round(limit_s - end_s, 3)


def _own(workload: Workload, given: Mapping[str, Any]) -> dict[str, Any]:
    """Give a workload's options: those of this name, and above them those that are said to be its own."""
    mine = {option: given[f"{workload.name}.{option}"] for option in ("weight", *workload.options) if f"{workload.name}.{option}" in given}
    return {**{option: value for option, value in given.items() if option in workload.options}, **mine}


def _options(texts: tuple[str, ...], backend: Any, workloads: Mapping[str, Workload]) -> dict[str, Any]:
    ranges = {name: [each] for name, each in TRIAL_OPTIONS.items()}
    for workload in workloads.values():
        own = {name: bounds(workload, name) for name in workload.options}
        for name, each in own.items():
            ranges.setdefault(name, []).append(each)  # it goes to each workload that has it, and is held to the bounds of all
        ranges |= {f"{workload.name}.{name}": [each] for name, each in {"weight": WEIGHT, **own}.items()}
    names: Mapping[str, Mapping[str, str]] = {"variant": backend.variants, "mutant": planted_bugs(backend, workloads.values())}
    given: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"option {text!r}, expected NAME=VALUE")
        if name in given:
            raise UsageError(f"option {name} stands twice, {given[name]!r} and {value!r}; expected one of them")
        if name in names and value not in names[name]:
            raise UsageError(f"unknown {name} {value!r} of {backend.name}, {registry.nearest(value, names[name])}")
        if name not in names and name not in ranges:
            raise UsageError(f"unknown option {name!r}, {registry.nearest(name, [*names, *ranges])}")
        for each in ranges.get(name, ()):
            given[name] = each.read(f"option {name}", value)
        if name in names:
            given[name] = value
    return given


def bounds(workload: Workload, name: str) -> Range:
    """Give the numbers that a workload's option may be."""
    kind, what = (float, "a number") if isinstance(workload.options[name], float) else (int, "a whole number")
    return Range(kind, what, workload.least.get(name, 0), workload.most.get(name, MOST_MS if name.endswith("_ms") else MOST))


def _draw(workload: Workload, given: Mapping[str, Any]) -> None:
    """Draw operations as a slot would in the quiet beginning of a trial; raise UsageError where these options leave none."""
    try:
        for slot in range(DRAWN):
            asked(workload.begin(given, workload.optional), _quiet(slot))
    except Misfit as error:
        raise UsageError(f"workload {workload.name}: {error} (package {registry.author(error)})") from error
    except (ArithmeticError, LookupError, ValueError) as error:
        if not given:  # the user asked for nothing: it is the workload's own
            raise
        _draw(workload, {})
        said = ", ".join(f"{name}={value}" for name, value in given.items())
        raise UsageError(f"workload {workload.name} has nothing to do with {said} ({error}); expected more of its kinds above 0") from None


def _quiet(slot: int) -> Context:
    return Context(
        trial=1,
        slot=slot,
        slots=DRAWN,
        process=slot,
        side="clients",
        first_side="clients",
        now=0,
        phase="quiet",
        cut=False,
        final_at=0,
        step=0,
        draw=random.Random(slot),
    )
