"""Which servers a plan needs: a proxy only where a fault meets a link, or where servers reach each other through links."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backends.memory.system import MEMORY
from harness.claims.plans import refuse_unjudged
from harness.commands.request import Request, plan
from harness.deploy.direct import DirectLink
from harness.deploy.launch import needed
from harness.driving.plan import Plan
from harness.driving.run import Catalogue
from harness.errors import Infrastructure, UsageError
from workloads.counter import COUNTER


def asked(backend: str, faults: str = "", **more: str) -> Plan:
    options = tuple(f"{name}={value}" for name, value in more.items())
    return plan(Request("lock", backend, 7, faults, options=options))


@pytest.mark.parametrize("fault", ["", "restart", "kill", "pause"])
@pytest.mark.parametrize(("backend", "server"), [("redis", "redis-server"), ("postgres", "postgres")])
def test_a_single_server_whose_links_no_fault_meets_needs_no_proxy(backend: str, server: str, fault: str) -> None:
    assert needed(asked(backend, fault)) == (server,)


@pytest.mark.parametrize("fault", ["cut", "latency", "lost-reply", "restart,cut"])
def test_a_fault_that_meets_a_link_needs_a_proxy(fault: str) -> None:
    assert needed(asked("redis", fault)) == ("redis-server", "toxiproxy")


@pytest.mark.parametrize("backend", ["redis-sentinel", "postgres-operator", "postgres-patroni"])
def test_servers_that_reach_each_other_through_links_need_a_proxy_without_a_fault(backend: str) -> None:
    assert "toxiproxy" in needed(asked(backend))


def test_a_workload_that_drives_what_none_of_its_checks_takes_is_refused_before_anything_runs() -> None:
    scans = replace(COUNTER, functions=COUNTER.functions | {"scan_keys"})
    with pytest.raises(UsageError, match=r"workload counter drives scan_keys, which none of its checks takes \(linearizable\)"):
        refuse_unjudged(Catalogue(MEMORY, {"counter": scans}, {}))


def test_memory_needs_nothing() -> None:
    assert needed(asked("memory", "restart", variant="child")) == ()


def test_containers_bring_their_own() -> None:
    assert needed(plan(Request("lock", "redis", 7, "cut", on="compose"))) == ()


@pytest.mark.parametrize("do", [DirectLink.cut, lambda link: link.delay(5), DirectLink.drop_replies])
def test_a_link_without_a_proxy_refuses_what_only_a_proxy_can_do(do: object) -> None:
    with pytest.raises(Infrastructure, match="link clients-a -> redis-1 has no proxy in it"):
        do(DirectLink("clients-a", "redis-1", 1))  # type: ignore[operator]
