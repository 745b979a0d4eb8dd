"""Fill a server's memory with what is nobody's, as a cache beside the locks does: it evicts keys, or refuses writes, as it is set to."""

from __future__ import annotations

from dataclasses import dataclass

from harness.driving.nemesis import Fault, Injection, Probe, Words
from harness.driving.operated import HasMemoryLimit, Memory
from harness.driving.system import Need, System


@dataclass(slots=True)
class FillMemory:
    """What is written until healed."""

    system: HasMemoryLimit
    node: str
    evicted_before: int | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.node,)

    def inject(self) -> None:
        if self.evicted_before is None:
            memory = self.system.memory(self.node)
            self.evicted_before = None if memory is None else memory.evicted
        self.system.fill_memory(self.node)

    def bites(self) -> Probe:
        memory = self.system.memory(self.node)
        evicted = self._evicted(memory)
        return Probe(memory is not None and (evicted > 0 or memory.refuses), {"evicted": evicted, "refuses": memory and memory.refuses})

    def heal(self) -> None:
        self.system.free_memory(self.node)

    def healed(self) -> Probe:
        memory = self.system.memory(self.node)
        return Probe(memory is not None and not memory.refuses, {"evicted": self._evicted(memory), "refuses": memory and memory.refuses})

    def _evicted(self, memory: Memory | None) -> int:
        return 0 if memory is None or self.evicted_before is None else memory.evicted - self.evicted_before


def _on(system: System, target: str) -> Injection:
    assert isinstance(system, HasMemoryLimit)
    return FillMemory(system, target)


FILL_MEMORY = Fault(
    "fill-memory",
    "the server's memory is filled by others, up to its limit and on",
    _on,
    lasts_s=4.0,
    needs=frozenset({Need.MEMORY_LIMIT}),
    words=Words(does="memory of {node} filled", healed="room in the memory of {node} again", since="the memory of {node} was filled"),
    proved_within_s=15.0,
)
