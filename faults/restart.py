"""Kill a server with SIGKILL and start it again at once: what survives is what its persistence kept."""

from __future__ import annotations

from faults.kill import kill
from harness.driving.nemesis import Fault, Words
from harness.driving.system import Need
from harness.record.history import Effect

RESTART = Fault(
    "restart",
    "the server is killed (SIGKILL) and soon started again",
    kill,
    changes_roles=True,
    lasts_s=0.3,
    needs=frozenset({Need.PROCESS}),
    effects=frozenset({Effect.SILENCES_A_NODE}),
    words=Words(does="{node} killed, then started", healed="{node} started again", since="{primary} was killed"),
)
