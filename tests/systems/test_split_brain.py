"""The split brain on real servers, watched by an observer of the test's own, past every proxy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import recount
import redis

from backends.redis.sentinel import SENTINEL, RedisSentinel
from faults.isolate_primary import ISOLATE_PRIMARY
from harness.driving.backend import Deployment
from harness.driving.plan import Episode, FaultSpec, Plan
from harness.driving.run import HISTORY, Catalogue, run
from harness.driving.system import Need, System
from harness.judging.checkers.lease import lease
from harness.judging.verdict import Status
from harness.record.format import load
from workloads.lock import LOCK

FAULTS = {"isolate-primary": ISOLATE_PRIMARY}
EPISODE = Episode((FaultSpec("isolate-primary"),), quiet_s=1.5, fault_s=7.0, after_s=0.5)


class Opened:
    """The Sentinel backend, with the system that it opened within reach of the test."""

    name, variants, mutants, functions = SENTINEL.name, SENTINEL.variants, SENTINEL.mutants, SENTINEL.functions

    def __init__(self) -> None:
        self.system: RedisSentinel | None = None

    @contextmanager
    def open(self, deployment: Deployment) -> Iterator[System]:
        with SENTINEL.open(deployment) as system:
            assert isinstance(system, RedisSentinel)
            self.system = system
            yield system

    def offers(self, variant: str) -> frozenset[Need]:
        return SENTINEL.offers(variant)


class Observer:
    """Reads lock keys from every data node's own port, in a thread; keeps what differed between nodes."""

    def __init__(self, opened: Opened) -> None:
        self.opened, self.stop = opened, threading.Event()
        self.two_owners: set[tuple[str, str, str]] = set()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self) -> None:
        while not self.stop.wait(0.1):
            system = self.opened.system
            if system is None:
                continue
            for name in ("t1-fresh-0", "t1-fresh-1", "t1-anchor-0", "t1-churn-0", "t1-churn-1", "t1-churn-2"):
                owners = {self.read(node.port, name) for node in system.nodes.values()} - {None}
                if len(owners) > 1:
                    first, second = sorted(owner for owner in owners if owner is not None)
                    self.two_owners.add((name, first, second))

    @staticmethod
    def read(port: int, name: str) -> str | None:
        client = redis.Redis(port=port, socket_timeout=1, retry=None, protocol=2, decode_responses=True)
        try:
            found = client.hget(f"hw:lock:{name}", "owner")
            return str(found) if found is not None else None
        except redis.RedisError:
            return None
        finally:
            client.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_observer_past_the_proxies_sees_two_owners_and_both_are_tokens_of_the_history(tmp_path: Path) -> None:
    opened = Opened()
    observer = Observer(opened)
    observer.thread.start()
    plan = Plan("redis-sentinel", "default", ("lock",), (EPISODE,), seed=11)
    run(plan, Catalogue(opened, {"lock": LOCK}, FAULTS), tmp_path)
    observer.stop.set()
    observer.thread.join()
    history = load(tmp_path / HISTORY)
    granted = {
        (operation.key, operation.argument["owner"])
        for operation in history.operations()
        if operation.f == "try_acquire" and operation.status == "ok" and operation.result["granted"]
    }
    asked = {(operation.key, operation.argument["owner"]) for operation in history.operations() if operation.f == "try_acquire"}
    assert observer.two_owners
    assert all((name, owner) in asked for name, *owners in observer.two_owners for owner in owners)
    assert any((name, first) in granted and (name, second) in granted for name, first, second in observer.two_owners)
    verdict = lease(history)
    assert verdict.status is Status.INVALID
    assert any(anomaly.kind == "two-holders" for anomaly in verdict.all_anomalies())
    (events,) = recount.trials(tmp_path / HISTORY)
    assert recount.two_owners(events), "the second opinion sees no two owners"


def test_toxiproxy_calls_that_do_nothing_leave_the_fault_unproved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.deploy.proxy.ProxyLink.cut", lambda link: None)
    faults = {"isolate-primary": replace(ISOLATE_PRIMARY, proved_within_s=1.0)}
    plan = Plan("redis-sentinel", "default", ("lock",), (Episode(EPISODE.faults, quiet_s=0.5, fault_s=1.0, after_s=0.2),), seed=12)
    run(plan, Catalogue(SENTINEL, {"lock": LOCK}, faults), tmp_path)
    phases = [event.value["phase"] for event in load(tmp_path / HISTORY).nemesis() if event.f == "isolate-primary"]
    assert phases == ["begin", "failed", "healing", "healed"]
