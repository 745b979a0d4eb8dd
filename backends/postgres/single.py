"""One PostgreSQL server, with what it waits for at a commit as its variants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from backends.client import FUNCTIONS
from backends.postgres.composed import SERVER_PORT, ComposedServer
from backends.postgres.mutants import MUTANTS, PLANTED
from backends.postgres.servers import SIDES, PostgresNode, PostgresServers, open_links
from backends.target import Target
from harness.deploy.compose import Composed
from harness.deploy.ground import Topology, open_ground
from harness.deploy.local import Local
from harness.deploy.ports import HOST
from harness.driving.backend import Deployment
from harness.driving.client import Client
from harness.driving.system import Need, System

NODE = "pg-1"
VARIANTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "default": ("as shipped: synchronous_commit on, fsync on", {}),
    # The log is handed to the system page by page: killed, a server loses the page that is not full, some 40 commits.
    # A loss of power would take more.
    "synchronous-commit-off": ("answers before the commit is in the log", {"synchronous_commit": "off"}),
}


class PostgresSingle(PostgresServers):
    """A harness.driving.system.System of one server; both sides reach it."""

    def launch(self, ground: Local | Composed) -> None:
        """Make the server and start it, or take the project's over, and open a link for each side."""
        ground.start_proxy()
        if isinstance(ground, Composed):
            self.nodes[NODE] = ComposedServer(ground, NODE)
            open_links(ground, SIDES, NODE, SERVER_PORT)
        else:
            self.nodes[NODE] = made = PostgresNode(ground, NODE, ground.ports.reserve(), VARIANTS[self.variant][1])
            open_links(ground, SIDES, NODE, made.port)
            made.create()
        node = self.nodes[NODE]
        node.start()
        self.install(node)

    def client(self, side: str, deadline_s: float) -> Client:
        target = Target(HOST, self.port_of(side, NODE), NODE)
        return self.session(lambda: target, deadline_s)

    def primary(self) -> str | None:
        return NODE

    def steady(self) -> str | None:
        role = self.nodes[NODE].role()
        return None if role.role == "primary" else f"{NODE} is {role.role}"

    def heal_all(self) -> None:
        self.heal_links()


class PostgresBackend:
    """The entry point of the single server."""

    name = "postgres"
    variants = {name: sentence for name, (sentence, _) in VARIANTS.items()}
    mutants = {name: mutant.sentence for name, mutant in MUTANTS.items()}
    planted = PLANTED
    functions = FUNCTIONS
    grounds = ("local", "compose")

    @contextmanager
    def open(self, deployment: Deployment) -> Iterator[System]:
        """Start the server; stop it on leaving."""
        options = " ".join(f"-c {name}={value}" for name, value in VARIANTS[deployment.variant][1].items())
        with open_ground(deployment, Topology("postgres", {"POSTGRES_OPTIONS": options}, ("PG_1_PORT",))) as ground:
            system = PostgresSingle(ground, self.name, deployment.variant, deployment.mutant)
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
        return ("postgres",)


POSTGRES = PostgresBackend()
