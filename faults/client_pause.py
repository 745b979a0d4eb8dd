"""Let a client that holds a lock sleep past its lease, between what it read and what it writes."""

from __future__ import annotations

from dataclasses import dataclass

from harness.driving.nemesis import Fault, Injection, Probe, Words
from harness.driving.system import Need, PausesClients, Sleeper, System
from harness.record.history import CLIENTS, Effect


@dataclass(frozen=True, slots=True)
class ClientPause:
    """Every second holder or so is stopped until its lease is over and another has read."""

    clients: PausesClients

    @property
    def targets(self) -> tuple[str, ...]:
        return (CLIENTS,)

    def inject(self) -> None:
        self.clients.pause_holders()

    def bites(self) -> Probe:
        found = [each for each in self.clients.sleepers() if each.slept_ms > each.ttl_ms]
        return Probe(bool(found), {"slept": [_told(each) for each in found]})

    def heal(self) -> None:
        self.clients.resume_clients()

    def healed(self) -> Probe:
        sleepers = self.clients.sleepers()
        asleep = [each.slot for each in sleepers if not each.back]
        return Probe(not asleep, {"stopped": len(sleepers), "not_back": asleep, "slept": [_told(each) for each in sleepers]})


def _told(sleeper: Sleeper) -> dict[str, str | int]:
    return {"slot": sleeper.slot, "key": sleeper.key, "slept_ms": sleeper.slept_ms, "ttl_ms": sleeper.ttl_ms}


def _on(system: System, target: str) -> Injection:
    assert isinstance(system, PausesClients)
    return ClientPause(system)


CLIENT_PAUSE = Fault(
    "client-pause",
    "a client that holds a lock sleeps past its lease and then writes",
    _on,
    lasts_s=3.0,
    needs=frozenset({Need.HOLDERS}),
    effects=frozenset({Effect.STOPS_HOLDERS}),
    words=Words(does="holders of locks paused", healed="all clients go on", since="the pausing of holders began"),
)
