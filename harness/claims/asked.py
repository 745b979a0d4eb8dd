"""What the main job was asked for, the plans that this comes to, and run.json, which records it before anything runs.

With run.json and the copy of the claims file beside it a verify that was killed can be judged (`harness.claims.stored`).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from harness import program, registry
from harness.claims.claim import Claim, Claims, Experiment, Trials
from harness.claims.mistakes import PROFILES
from harness.claims.results import FORMAT, Plain, Seconds
from harness.deploy.launch import Moment
from harness.driving import schedule
from harness.driving.plan import Episode, FaultSpec, Plan
from harness.errors import UsageError
from harness.record import store

DEFAULT_DEADLINE_S = 0.5
CONTROL_EPISODES = 2
CONTROL_TRIES = 3
CONTROL_QUIET_S = 1.5
CONTROL_RATE = 60.0
CLAIMS = "claims.toml"
"""The copy of the claims file in a verify's directory."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user chose. `trials` None = as the claims file says for the profile; `command` repeats it.

    `asked`: these claims were asked for, so that one whose servers this machine lacks is not as expected.
    `strict`: what contradicts its document is exit 1 though it was expected. `jobs`: so many experiments at once.
    """

    profile: str
    seed: int
    out: Path
    on: str = "local"
    trials: int | None = None
    asked: bool = False
    strict: bool = False
    command: str = ""
    jobs: int = 1


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine lacked for an experiment, and the remedy. `failed`: any machine can have it, so that this is not as expected."""

    needed: str
    remedy: str | None = None
    failed: bool = False


class VerifyRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="verify"):
    """run.json of a verify: what was asked for, the ids of the claims that were chosen, and what could not be run, by experiment.

    `repeated`: experiments that were run again alone, and what was in doubt at first. `seconds` and `finished` None: it was
    killed, or is not yet done.
    """

    holdwater: Literal[1]
    profile: str
    seed: Annotated[int, msgspec.Meta(ge=0)]
    on: str
    trials: Trials | None
    asked: bool
    strict: bool
    command: str
    claims_file: str | None
    claims_sha256: str | None
    chosen: tuple[str, ...]
    environment: dict[str, Plain]
    absent: dict[str, Lack] = {}
    jobs: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    repeated: dict[str, str] = {}
    seconds: Seconds | None = None
    finished: Moment | None = None

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise UsageError(f"profile {self.profile!r}, {registry.nearest(self.profile, PROFILES)}")

    def settings(self, directory: Path) -> Settings:
        """Give what the user chose, with the directory where it is now."""
        return Settings(self.profile, self.seed, directory, self.on, self.trials, self.asked, self.strict, self.command, self.jobs)


def record_of(claims: Claims, chosen: Sequence[Claim], settings: Settings) -> VerifyRecord:
    """Give what is recorded before anything runs."""
    return VerifyRecord(
        holdwater=FORMAT,
        profile=settings.profile,
        seed=settings.seed,
        on=settings.on,
        trials=settings.trials,
        asked=settings.asked,
        strict=settings.strict,
        command=settings.command,
        claims_file=Path(claims.source).name,
        claims_sha256=claims.sha256,
        chosen=tuple(claim.id for claim in chosen),
        environment=dict(store.environment()),
        jobs=settings.jobs,
    )


def read_record(directory: Path) -> VerifyRecord:
    """Read run.json of a verify; raise UsageError that names the file where it is missing or holds something else."""
    path = directory / store.RUN
    try:
        return msgspec.convert(store.read(path), VerifyRecord)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {error}; expected what was asked of a verify") from None


def experiments_of(claims: Sequence[Claim], every: Mapping[str, Experiment]) -> list[Experiment]:
    """Give the experiments that these claims need, each once, in the order of the file, controls' own included."""
    wanted = {name for claim in claims for name in claim.experiments}
    wanted |= {control.experiment for name in wanted for control in every[name].controls if control.experiment}
    return [experiment for name, experiment in every.items() if name in wanted]


def total_trials(claims: Claims, chosen: Sequence[Claim], settings: Settings) -> int:
    """Count the planned trials, controls left out."""
    return sum(settings.trials or each.trials[settings.profile] for each in experiments_of(chosen, claims.experiments))


def plan_of(experiment: Experiment, settings: Settings) -> Plan:
    """Turn an experiment into a plan: its faults, or schedules of them, take turns over the trials."""
    trials = settings.trials or experiment.trials[settings.profile]
    turns = [_episode(schedule.read(text), experiment.timeline) for text in experiment.faults or ("",)]
    episodes = [turns[n % len(turns)] for n in range(trials)]
    options = {name: dict(values) for name, values in experiment.options.items() if isinstance(values, Mapping)}
    plain = {name: value for name, value in experiment.options.items() if not isinstance(value, Mapping)}
    return Plan(
        backend=experiment.deployment,
        variant=experiment.variant,
        workloads=tuple(experiment.workloads),
        episodes=tuple(episodes),
        seed=settings.seed,
        on=settings.on,
        options=options,
        **plain,
    )


def _episode(faults: tuple[FaultSpec, ...], timeline: Mapping[str, Any]) -> Episode:
    return Episode(faults, **{**timeline, **schedule.timeline(faults)})


def planted(check: str, mutant: str, plan: Plan, seed: int) -> Plan:
    """Give the quiet run of a planted bug, of the workloads of an experiment's plan that a check judges."""
    workloads = judged_by(check, plan.workloads)
    return Plan(
        plan.backend,
        plan.variant,
        workloads,
        (Episode(quiet_s=CONTROL_QUIET_S, after_s=0),) * CONTROL_EPISODES,
        seed,
        mutant=mutant,
        on=plan.on,
        rate=CONTROL_RATE,
        options={name: plan.options[name] for name in workloads if name in plan.options},
    )


def judged_by(check: str, workloads: Iterable[str]) -> tuple[str, ...]:
    """Give the workloads that show a check's mutant: those that it judges."""
    return tuple(name for name in workloads if check in registry.load("workloads", name).checks)


def _of_workloads(plan: Plan) -> Iterator[tuple[str, Any]]:
    """Give the options of workloads as `run` takes them: with the workload's name where another one has an option of that name."""
    every = [registry.load("workloads", name) for name in plan.workloads if name in registry.names("workloads")]
    for workload, given in plan.options.items():
        for name, value in given.items():
            shared = name == "weight" or sum(name in each.options for each in every) > 1
            yield (f"{workload}.{name}" if shared else name), value


def repeat(plan: Plan) -> str:
    """Give the command that repeats one trial of a plan."""
    episode = plan.episodes[0]
    words = [*program.words(), "run", ",".join(plan.workloads), "--backend", plan.backend]
    if episode.faults:
        words += ["--fault", ",".join(str(spec) for spec in episode.faults)]
    options: dict[str, Any] = {"variant": plan.variant}
    options |= {} if episode.scheduled else {"quiet_s": episode.quiet_s, "fault_s": episode.fault_s}
    options |= {"after_s": episode.after_s}
    options |= {"mutant": plan.mutant} if plan.mutant is not None else {}
    options |= {"grants": episode.grants} if episode.grants else {}
    options |= {"deadline_s": plan.deadline_s} if plan.deadline_s != DEFAULT_DEADLINE_S else {}
    options |= dict(_of_workloads(plan))
    words += [word for name, value in options.items() for word in ("--option", f"{name}={value}")]
    words += ["--rate", f"{plan.rate:g}", "--concurrency", str(plan.concurrency), "--seed", str(plan.seed)]
    return shlex.join(words)
