"""One Redis server, with each of its persistence settings as a variant."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import redis
from redis.exceptions import RedisError

from backends.client import FUNCTIONS, StateClient
from backends.clock import SETTABLE, SettableClock
from backends.redis.ballast import Ballast
from backends.redis.composed import DATA_PORT, ComposedNode, options
from backends.redis.mutants import MUTANTS, PLANTED
from backends.redis.servers import MARKER, PASSAGE_SCRIPT, SIDES, DataNode, RedisServers
from backends.target import Target
from harness.deploy.compose import Composed
from harness.deploy.ground import Ground, Topology, open_ground
from harness.deploy.local import Local
from harness.deploy.ports import HOST
from harness.driving.backend import Deployment
from harness.driving.client import Client
from harness.driving.operated import Memory
from harness.driving.system import Need, System
from harness.errors import Infrastructure

NODE = "redis-1"
SHIPPED_SAVE = 'save "3600 1 300 100 60 10000"'

DURABLE = ('save ""', "appendonly yes", "appendfsync always")
UNSAVED = ('save ""', "appendonly no", "maxmemory 16mb")

VARIANTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "appendfsync-always": ("append-only file, fsync before every answer", DURABLE),
    "appendfsync-everysec": ("append-only file, fsync once a second", ('save ""', "appendonly yes", "appendfsync everysec")),
    "shipped-default": ("snapshots only, as the server is shipped", (SHIPPED_SAVE, "appendonly no")),
    "no-save": ("no persistence at all", ('save ""', "appendonly no")),
    "maxmemory-allkeys-lru": (
        "16 MB of memory, as of a cache; full, it evicts the keys that were used least recently",
        (*UNSAVED, "maxmemory-policy allkeys-lru"),
    ),
    "maxmemory-volatile-lru": (
        "16 MB of memory; full, it evicts keys with a TTL, those that were used least recently",
        (*UNSAVED, "maxmemory-policy volatile-lru"),
    ),
    "maxmemory-noeviction": ("16 MB of memory; full, it refuses writes, as shipped", (*UNSAVED, "maxmemory-policy noeviction")),
    SETTABLE: ("append-only file, fsync before every answer; its clock can be set, by a shim", DURABLE),
}


class RedisSingle(RedisServers):
    """A harness.driving.system.System of one server; both sides reach it."""

    def __init__(self, ground: Ground, name: str, variant: str, mutant: str | None) -> None:
        super().__init__(ground, name, variant, mutant)
        self._clock: SettableClock | None = None
        self._ballast: Ballast | None = None

    def launch(self, ground: Local | Composed) -> None:
        """Start the server, or take the project's over, and open a link for each side."""
        if isinstance(ground, Composed):
            self._take_over(ground)
        else:
            self._start(ground)

    def _start(self, local: Local) -> None:
        local.start_proxy()
        self._clock = SettableClock(local.processes.home(NODE)) if self.variant == SETTABLE else None
        node = DataNode(local, NODE, local.ports.reserve(), VARIANTS[self.variant][1], self._clock)
        self.nodes[NODE] = node
        for side in SIDES:
            local.link(side, NODE, node.port)
        node.start()
        self.note_version(node)

    def _take_over(self, composed: Composed) -> None:
        composed.start_proxy()
        self.nodes[NODE] = node = ComposedNode(composed, NODE, DATA_PORT)
        for side in SIDES:
            composed.link(side, NODE, DATA_PORT)
        node.start()
        self.forget(NODE)
        self.note_version(node)

    def client(self, side: str, deadline_s: float) -> Client:
        target = Target(HOST, self.port_of(side, NODE), NODE)
        return StateClient(self.session(lambda: target, deadline_s))

    def primary(self) -> str | None:
        return NODE

    def steady(self) -> str | None:
        role = self.roles()[NODE]
        return None if role.role == "primary" else f"{NODE} is {role.role}"

    def fill_memory(self, node: str) -> None:
        if self._ballast is None:
            self._ballast = Ballast(self.nodes[node].admin)
        self._ballast.fill()

    def free_memory(self, node: str) -> None:
        if self._ballast is None:
            return
        try:
            self._ballast.remove()
        except (RedisError, OSError) as error:
            raise Infrastructure(f"{node} did not give its memory free: {error}") from None

    def memory(self, node: str) -> Memory | None:
        info = self.nodes[node].admin.info("stats")
        if info is None:
            return None
        try:
            self.nodes[node].admin.ask("EVAL", PASSAGE_SCRIPT, 1, MARKER, "room?")  # as an operation is: a plain SET passes for longer
        except redis.OutOfMemoryError:
            return Memory(int(info["evicted_keys"]), refuses=True)
        except (RedisError, OSError):
            return None
        return Memory(int(info["evicted_keys"]), refuses=False)

    def shift_server_clock(self, node: str, offset_ms: int) -> None:
        if self._clock is None:
            raise Infrastructure(f"{node} runs with the machine's clock, expected variant {SETTABLE}")
        self._clock.set(offset_ms)

    def server_clock_ahead_ms(self, node: str) -> float | None:
        before = time.time()
        try:
            seconds, microseconds = self.nodes[node].admin.ask("TIME")
        except (RedisError, OSError):
            return None
        return (int(seconds) + int(microseconds) / 1e6 - (before + time.time()) / 2) * 1000

    def heal_all(self) -> None:
        if self._clock is not None:
            self._clock.set(0)
        self.heal_links()
        self.free_memory(NODE)

    def close(self) -> None:
        if self._ballast is not None:
            self._ballast.end()
        super().close()


class RedisBackend:
    """The entry point of the single server."""

    name = "redis"
    variants = {name: sentence for name, (sentence, _) in VARIANTS.items()}
    mutants = {name: mutant.sentence for name, mutant in MUTANTS.items()}
    planted = PLANTED
    functions = FUNCTIONS
    grounds = ("local", "compose")
    local_variants = frozenset({SETTABLE})  # a container has the machine's clock

    @contextmanager
    def open(self, deployment: Deployment) -> Iterator[System]:
        """Start the server; stop it on leaving."""
        topology = Topology("redis", {"REDIS_OPTIONS": options(VARIANTS[deployment.variant][1])}, ("REDIS_1_PORT",))
        with open_ground(deployment, topology) as ground:
            system = RedisSingle(ground, self.name, deployment.variant, deployment.mutant)
            try:
                system.launch(ground)
                yield system
            finally:
                system.close()

    def offers(self, variant: str) -> frozenset[Need]:
        """One server: no node takes over."""
        memory = {Need.MEMORY_LIMIT} if variant.startswith("maxmemory") else set()
        clock = {Need.SERVER_CLOCKS} if variant == SETTABLE else set()
        return frozenset({Need.PROCESS, Need.LINKS, Need.REPLIES, *memory, *clock})

    def servers(self, variant: str) -> tuple[str, ...]:
        """Name what it starts."""
        return ("redis-server", "libfaketime") if variant == SETTABLE else ("redis-server",)


REDIS = RedisBackend()
