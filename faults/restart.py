"""Kill a server with SIGKILL and start it again at once: what survives is what its persistence kept."""

from __future__ import annotations

from faults.kill import kill
from harness.nemesis import Fault
from harness.system import Need

RESTART = Fault(
    "restart",
    "the server is killed (SIGKILL) and soon started again",
    kill,
    changes_roles=True,
    lasts_s=0.3,
    needs=frozenset({Need.PROCESS}),
)
