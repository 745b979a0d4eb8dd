"""Experiments of a verify carried out into one directory, side by side or one after the other, and what they leave.

Each is run on a deployment of its own in a directory of its own, so that they share nothing but the machine. Its positive controls
are run on the same deployment with a planted bug: a check that does not condemn them proves nothing by finding nothing. Running is
done in processes of their own where several run at once; judging is done here, as each ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any, Protocol

from harness.claims.asked import CONTROL_TRIES, Lack, Settings, judged_by, plan_of, planted
from harness.claims.bench import EXPERIMENTS, Bench, by_experiment, by_mutant, control_directory, no_control
from harness.claims.claim import Claim, Control, Experiment
from harness.claims.counting import ExperimentEvidence
from harness.claims.results import ControlResult, Judgement, Run
from harness.deploy import install, launch
from harness.deploy.bringing import Bringing
from harness.deploy.jobs import Job, SideBySide
from harness.deploy.launch import lacking, needed
from harness.driving.plan import Plan
from harness.driving.run import Progress
from harness.record import store


class Listener(Progress, Protocol):
    """Who is told how far the main job is, by several threads where experiments run side by side."""

    def experiment(self, name: str, number: int, of: int, trials: int) -> AbstractContextManager[Progress]:
        """Begin to tell of an experiment, by what is given, until its end."""
        ...

    def judged(self, judgement: Judgement) -> None: ...


Planted = tuple[str, str, str]
"""Deployment, check and mutant: a control with a planted bug is run once for all experiments that name it."""


@dataclass(frozen=True, slots=True)
class _Planned:
    """An experiment as it is carried out, here or in a process of its own: its plan, and the planted bugs that are its to run."""

    name: str
    plan: Plan
    controls: tuple[Control, ...]
    settings: Settings

    def carry_out(self, progress: Progress) -> dict[Planted, ControlResult]:
        """Run it, then its controls; judging it is not done here."""
        directory = self.settings.out / EXPERIMENTS / self.name
        directory.mkdir(parents=True)
        launch.carry_out(self.plan, directory, progress, self.settings.command)
        return {_planted(control, self.plan): self._control(control, progress) for control in self.controls}

    def _control(self, control: Control, progress: Progress) -> ControlResult:
        """Run the planted bug without faults until the check condemns it, at most CONTROL_TRIES times."""
        assert control.mutant is not None
        mutant, plan = control.mutant, self.plan
        found = no_control(control.check, mutant, plan)
        for attempt in range(CONTROL_TRIES):
            quiet = planted(control.check, mutant, plan, self.settings.seed + attempt)
            directory = control_directory(self.settings.out, plan, control, quiet.seed)
            directory.mkdir(parents=True)
            launch.carry_out(quiet, directory, _OfControl(mutant, progress), self.settings.command)
            progress.step(f"control {mutant}: judging")
            found = by_mutant(control.check, mutant, directory)
            if found.condemned:
                break
        return found


@dataclass(frozen=True, slots=True)
class _OfControl:
    """The progress of a control, told as one: its trials are not among those that were planned."""

    mutant: str
    progress: Progress

    def step(self, text: str) -> None:
        self.progress.step(f"control {self.mutant}: {text}")

    def trial_done(self) -> None:
        pass


def _planted(control: Control, plan: Plan) -> Planted:
    assert control.mutant is not None
    return plan.backend, control.check, control.mutant


def _lacking(lack: Lack, progress: Progress) -> Lack:
    return lack


class Round:
    """Experiments that are run into one directory, side by side or one after the other, and what they left.

    `before` is the round before: an experiment that is another's control may have been run there.
    """

    def __init__(self, bench: Bench, settings: Settings, listener: Listener, before: Round | None = None) -> None:
        self.bench, self.settings, self.listener, self._before = bench, settings, listener, before
        self.absent: dict[str, Lack] = {}
        self.runs: dict[str, Run] = {}
        self._judged: dict[str, ExperimentEvidence] = {}
        self._owners: dict[Planted, str] = {}  # which experiment runs a control for all that name it
        self._controls: dict[Planted, ControlResult] = {}

    def run(self, experiments: Sequence[Experiment], at_once: int, then: Callable[[], None]) -> None:
        """Run experiments; `then` is called as each is judged, or is known to lack something."""
        trials = {each.name: self.settings.trials or each.trials[self.settings.profile] for each in experiments}
        servers = {each.name: needed(plan_of(each, self.settings)) for each in experiments}
        self._owners = self._first_named(experiments, servers)
        numbers = count(1)

        def begin(job: Job[Any]) -> AbstractContextManager[Progress]:
            return self.listener.experiment(job.name, next(numbers), len(experiments), trials[job.name])

        absent = install.absent(dict.fromkeys(name for names in servers.values() for name in names))
        with Bringing(absent) as bringing, SideBySide(at_once, begin) as lanes:
            for job, gave in lanes.carry_out(self._jobs(experiments, servers, bringing)):
                self._took(job.name, gave)
                then()

    def _jobs(
        self, experiments: Sequence[Experiment], servers: Mapping[str, Sequence[str]], bringing: Bringing
    ) -> Iterator[Job[Lack | dict[Planted, ControlResult]]]:
        for experiment in _in_order(experiments, servers, bringing):
            if bringing.pending(servers[experiment.name]):
                bringing.wait(servers[experiment.name], self.listener.step)
                self.listener.step("")
            plan = plan_of(experiment, self.settings)
            lack = _lack(plan, bringing.failures)
            if lack is None:
                planned = _Planned(experiment.name, plan, self._own_controls(experiment, plan), self.settings)
                yield Job(experiment.name, planned.carry_out)
            else:
                yield Job(experiment.name, partial(_lacking, lack), apart=False)

    def _first_named(self, experiments: Sequence[Experiment], servers: Mapping[str, Sequence[str]]) -> dict[Planted, str]:
        """Give the experiment that runs each planted bug: the first of the file, and none that may lack a server if another may not.

        A variant may hide a bug that the other shows: which one is asked must not depend on what runs when.
        """
        there = {each.name for each in experiments}
        named = [each for name, each in self.bench.claims.experiments.items() if name in there]
        owners: dict[Planted, str] = {}
        for experiment in sorted(named, key=lambda each: any(map(install.optional, servers[each.name]))):
            plan = plan_of(experiment, self.settings)
            for control in experiment.controls:
                if control.mutant is not None and judged_by(control.check, plan.workloads):
                    owners.setdefault(_planted(control, plan), experiment.name)
        return owners

    def _own_controls(self, experiment: Experiment, plan: Plan) -> tuple[Control, ...]:
        """Give the controls with planted bugs that this experiment runs for all, each once."""
        own = {
            _planted(each, plan): each for each in experiment.controls if each.mutant is not None and judged_by(each.check, plan.workloads)
        }
        return tuple(control for planted_, control in own.items() if self._owners.get(planted_) == experiment.name)

    def _took(self, name: str, gave: Lack | dict[Planted, ControlResult]) -> None:
        """Judge an experiment that was run, or keep what it lacked."""
        if isinstance(gave, Lack):
            self.absent[name] = gave
            return
        self._controls |= gave
        self.listener.step(f"judging {name}")
        self._judged[name], judged = self.bench.experiment(name)
        store.write(self.bench.directory / EXPERIMENTS / name / store.RESULTS, judged.results)
        self.runs[name] = judged.results
        self.listener.step("")

    def ready(self, claim: Claim) -> bool:
        """Say whether all that a claim needs is there, its controls included."""
        return all(name in self.absent or (name in self._judged and self._controlled(name)) for name in claim.experiments)

    def _controlled(self, name: str) -> bool:
        plan = self._plan(name)
        return all(
            control.experiment in self._judged or control.experiment in self.absent
            if control.mutant is None
            else _planted(control, plan) in self._controls or not judged_by(control.check, plan.workloads)
            for control in self.bench.claims.experiments[name].controls
        )

    def evidence(self) -> dict[str, ExperimentEvidence]:
        """Give what the experiments left, each with its controls as far as they were run."""
        return {name: replace(each, controls=tuple(self._results(name))) for name, each in self._judged.items()}

    def _results(self, name: str) -> Iterator[ControlResult]:
        plan = self._plan(name)
        for control in self.bench.claims.experiments[name].controls:
            if control.experiment is not None:
                there = {**(self._before._judged if self._before else {}), **self._judged}
                yield by_experiment(control.check, control.experiment, there)
                continue
            assert control.mutant is not None
            yield self._controls.get(_planted(control, plan)) or no_control(control.check, control.mutant, plan)

    def _plan(self, name: str) -> Plan:
        return plan_of(self.bench.claims.experiments[name], self.settings)


def _lack(plan: Plan, failures: Mapping[str, str]) -> Lack | None:
    """Say why a plan cannot run here: what the machine lacks, or why that could not be had; None where it can."""
    absent = lacking(plan)
    if absent is None:
        return None
    failed = [name for name in needed(plan) if name in failures]
    wanted, _, remedy = (failures[failed[0]] if failed else absent).partition("; ")
    # A server that any machine can have is expected to come.
    return Lack(needed=wanted, remedy=remedy or None, failed=not all(map(install.optional, failed)))


def _in_order(experiments: Sequence[Experiment], servers: Mapping[str, Sequence[str]], bringing: Bringing) -> Iterator[Experiment]:
    """Give each experiment once: the first one whose servers are there, else the first one."""
    left = list(experiments)
    while left:
        chosen = next((each for each in left if not bringing.pending(servers[each.name])), left[0])
        left.remove(chosen)
        yield chosen
