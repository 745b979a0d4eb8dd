"""A harness whose faults do nothing must say so: inconclusive, exit 2, never holds."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from faults.cut import CUT
from faults.links import links_of_first_side
from harness.claims import file as claims
from harness.claims import running
from harness.claims.asked import Settings
from harness.claims.claim import Claims
from harness.claims.results import Judgement
from harness.commands import request
from harness.driving.nemesis import Injection, Probe
from harness.driving.system import HasLinks, System

CHOSEN = ("sentinel-split-brain", "sentinel-rare", "sentinel-min-replicas")
SHORT = {"quiet_s": 0.8, "fault_s": 1.5, "after_s": 0.3}


class Silent:
    """Nobody listens."""

    def step(self, text: str) -> None: ...
    def trial_done(self) -> None: ...
    def experiment(self, name: str, number: int, of: int, trials: int) -> AbstractContextManager[Silent]:
        return nullcontext(self)

    def judged(self, judgement: Judgement) -> None: ...


def shortened() -> Claims:
    """Give the shipped claims with short faults: nothing happens in them anyway."""
    shipped = claims.shipped()
    experiments = {name: msgspec.structs.replace(each, timeline=SHORT) for name, each in shipped.experiments.items()}
    return replace(shipped, experiments=experiments)


def test_toxiproxy_calls_that_do_nothing_leave_every_claim_of_the_split_brain_inconclusive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.deploy.proxy.ProxyLink.cut", lambda link: None)
    loaded = shortened()
    chosen = [claim for claim in loaded.claims if claim.id in CHOSEN]
    settings = Settings("quick", 5, tmp_path, trials=1)
    results = running.carry_out(loaded, chosen, settings, Silent())
    assert {claim.id: claim.verdict for claim in results.claims} == dict.fromkeys(CHOSEN, "inconclusive")
    assert results.exit == 2
    missing = " ".join(reason for claim in results.claims for reason in claim.missing)
    assert "not proved: isolate-primary" in missing


def test_a_run_whose_fault_is_not_proved_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.deploy.proxy.ProxyLink.cut", lambda link: None)
    options = ("quiet_s=0.5", "fault_s=0.5", "after_s=0.2")
    plan = request.plan(request.Request("lock", "redis", 5, "cut", options=options))
    results = running.run_plan(plan, tmp_path, Silent(), "a test").results
    assert (results.status, results.exit) == ("unknown", 2)
    assert "not proved: cut" in results.trials[0].checks["gates"].summary


@dataclass(frozen=True, slots=True)
class Sham:
    """A cut that does nothing, and whose probe lies."""

    system: HasLinks
    node: str

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(link.name for link in links_of_first_side(self.system, self.node))

    def inject(self) -> None: ...

    def bites(self) -> Probe:
        return Probe(True, {"all is": "cut"})

    def heal(self) -> None: ...

    def healed(self) -> Probe:
        return Probe(True, {"all is": "well"})


def sham(system: System, target: str) -> Injection:
    assert isinstance(system, HasLinks)
    return Sham(system, target)


def one_cut() -> Claims:
    """Give the claim of the single Redis as one of dedup keys under a short cut, with its positive control."""
    shipped = claims.shipped()
    (claim,) = [each for each in shipped.claims if each.id == "redis-single"]
    experiment = shipped.experiments["redis-faults"]
    experiment = msgspec.structs.replace(
        experiment,
        workloads=("dedup",),
        faults=("cut",),
        timeline={"quiet_s": 0.5, "fault_s": 1.5, "after_s": 0.5},
        controls=tuple(each for each in experiment.controls if each.check == "dedup"),
    )
    kinds = tuple(kind for kind in claim.anomalies if kind.startswith("dedup"))
    return Claims(shipped.source, shipped.rows, {experiment.name: experiment}, (msgspec.structs.replace(claim, anomalies=kinds),))


@pytest.mark.parametrize(("lies", "word", "code"), [(False, "holds", 0), (True, "inconclusive", 2)])
def test_a_cut_that_does_nothing_and_a_probe_that_lies_are_found_out_by_the_clients_answers(
    lies: bool, word: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lies:
        monkeypatch.setattr("faults.cut.CUT", replace(CUT, on=sham))
    loaded = one_cut()
    results = running.carry_out(loaded, loaded.claims, Settings("quick", 5, tmp_path, trials=1), Silent())
    (judgement,) = results.claims
    assert (judgement.verdict, results.exit) == (word, code), judgement.missing
    assert len(judgement.missing) == lies
    assert all("faults felt: 0, needed 1 (cut: redis-1 answered " in reason for reason in judgement.missing)
