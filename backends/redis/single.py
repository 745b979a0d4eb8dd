"""One Redis server, with each of its persistence settings as a variant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from backends.client import FUNCTIONS, StateClient
from backends.redis.composed import DATA_PORT, ComposedNode, options
from backends.redis.mutants import MUTANTS, PLANTED
from backends.redis.servers import SIDES, DataNode, RedisServers
from backends.target import Target
from harness.deploy.compose import Composed
from harness.deploy.ground import Topology, open_ground
from harness.deploy.local import Local
from harness.deploy.ports import HOST
from harness.driving.backend import Deployment
from harness.driving.client import Client
from harness.driving.system import Need, System

NODE = "redis-1"
SHIPPED_SAVE = 'save "3600 1 300 100 60 10000"'

VARIANTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "appendfsync-always": ("append-only file, fsync before every answer", ('save ""', "appendonly yes", "appendfsync always")),
    "appendfsync-everysec": ("append-only file, fsync once a second", ('save ""', "appendonly yes", "appendfsync everysec")),
    "shipped-default": ("snapshots only, as the server is shipped", (SHIPPED_SAVE, "appendonly no")),
    "no-save": ("no persistence at all", ('save ""', "appendonly no")),
}


class RedisSingle(RedisServers):
    """A harness.driving.system.System of one server; both sides reach it."""

    def launch(self, ground: Local | Composed) -> None:
        """Start the server, or take the project's over, and open a link for each side."""
        if isinstance(ground, Composed):
            self._take_over(ground)
        else:
            self._start(ground)

    def _start(self, local: Local) -> None:
        local.start_proxy()
        node = DataNode(local, NODE, local.ports.reserve(), VARIANTS[self.variant][1])
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

    def heal_all(self) -> None:
        self.heal_links()


class RedisBackend:
    """The entry point of the single server."""

    name = "redis"
    variants = {name: sentence for name, (sentence, _) in VARIANTS.items()}
    mutants = {name: mutant.sentence for name, mutant in MUTANTS.items()}
    planted = PLANTED
    functions = FUNCTIONS
    grounds = ("local", "compose")

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
        return frozenset({Need.PROCESS, Need.LINKS, Need.REPLIES})

    def servers(self, variant: str) -> tuple[str, ...]:
        """Name what it starts."""
        return ("redis-server",)


REDIS = RedisBackend()
