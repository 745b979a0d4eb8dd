"""A harness whose faults do nothing must say so: inconclusive, exit 2, never holds."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import msgspec
import pytest

from harness.claims import file as claims
from harness.claims import running
from harness.claims.asked import Settings
from harness.claims.claim import Claims
from harness.claims.results import Judgement
from harness.commands import request

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
    return Claims(shipped.source, shipped.rows, experiments, shipped.claims)


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
