"""Whether a plan can be run and judged, asked before anything is started."""

from __future__ import annotations

from harness.deploy import launch
from harness.driving.plan import Plan
from harness.driving.run import Catalogue
from harness.errors import UsageError
from harness.judging.checks import unjudged
from harness.judging.kind import every_kind


def check(plan: Plan) -> None:
    """Raise UsageError where the parts of a plan do not fit each other, or a workload drives what none of its checks takes.

    Also where two checks have one name for their classes of anomalies: it would be found out only with a counterexample at hand.

    Raises Infrastructure where a variable names a server that is none.
    """
    every_kind()
    launch.check(plan)
    refuse_unjudged(launch.catalogue(plan))


def refuse_unjudged(chosen: Catalogue) -> None:
    """Raise UsageError where a workload drives what none of its checks takes: its operations would say nothing."""
    for name, workload in chosen.workloads.items():
        if left := unjudged(workload.driven(chosen.backend.functions), workload.checks):
            told = f"workload {name} drives {', '.join(sorted(left))}, which none of its checks takes ({', '.join(workload.checks)})"
            raise UsageError(told)
