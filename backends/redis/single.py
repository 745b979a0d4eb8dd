"""One Redis server, with each of its persistence settings as a variant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from backends.client import FUNCTIONS, StateClient
from backends.redis.mutants import MUTANTS
from backends.redis.servers import SIDES, DataNode, RedisServers
from backends.target import Target
from harness.client import Client
from harness.deploy.install import missing
from harness.deploy.local import open_local
from harness.deploy.ports import HOST
from harness.system import Deployment, System

NODE = "redis-1"
SHIPPED_SAVE = 'save "3600 1 300 100 60 10000"'

VARIANTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "appendfsync-always": ("append-only file, fsync before every answer", ('save ""', "appendonly yes", "appendfsync always")),
    "appendfsync-everysec": ("append-only file, fsync once a second", ('save ""', "appendonly yes", "appendfsync everysec")),
    "shipped-default": ("snapshots only, as the server is shipped", (SHIPPED_SAVE, "appendonly no")),
    "no-save": ("no persistence at all", ('save ""', "appendonly no")),
}


class RedisSingle(RedisServers):
    """A harness.system.System of one server; both sides reach it."""

    def launch(self) -> None:
        """Start the server and open a link for each side."""
        self._local.start_proxy()
        node = DataNode(self._local, NODE, self._local.ports.reserve(), VARIANTS[self.variant][1])
        self.nodes[NODE] = node
        for side in SIDES:
            self._local.link(side, NODE, node.port)
        node.start()
        self.note_version(node)

    def client(self, side: str, deadline_s: float) -> Client:
        target = Target(HOST, self.port_of(side, NODE), NODE)
        return StateClient(self.session(lambda: target, deadline_s))

    def primary(self) -> str | None:
        return NODE

    def steady(self) -> str | None:
        role = self.roles()[NODE]
        return None if role.role == "primary" else f"{NODE} is {role.role}"

    def hurried(self) -> AbstractContextManager[None]:
        return nullcontext()

    def heal_all(self) -> None:
        self.heal_links()


class RedisBackend:
    """The entry point of the single server."""

    name = "redis"
    variants = {name: sentence for name, (sentence, _) in VARIANTS.items()}
    mutants = {name: mutant.sentence for name, mutant in MUTANTS.items()}
    functions = FUNCTIONS
    undriven: frozenset[str] = frozenset()

    @contextmanager
    def open(self, deployment: Deployment) -> Iterator[System]:
        """Start the server; stop it on leaving."""
        with open_local(deployment.directory) as local:
            system = RedisSingle(local, self.name, deployment.variant, deployment.mutant)
            try:
                system.launch()
                yield system
            finally:
                system.close()

    def refuses(self, fault: str, variant: str) -> str | None:
        """One node: nothing to isolate it from and no replication to hold back."""
        if fault in ("isolate-primary", "hold-back-replication", "restart-empty"):
            return f"redis is one server without replicas and cannot have {fault}; use --backend redis-sentinel"
        return None

    def missing(self) -> str | None:
        """Say what to install, None if all is there."""
        return missing("redis-server", "toxiproxy")


REDIS = RedisBackend()
