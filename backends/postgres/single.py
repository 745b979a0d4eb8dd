"""One PostgreSQL server, with what it waits for at a commit as its variants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from backends.client import FUNCTIONS
from backends.postgres.mutants import MUTANTS
from backends.postgres.servers import SIDES, PostgresNode, PostgresServers, open_links
from backends.target import Target
from harness.client import Client
from harness.deploy.install import missing
from harness.deploy.local import Local, open_local
from harness.deploy.ports import HOST
from harness.system import Deployment, System

NODE = "pg-1"
VARIANTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "default": ("as shipped: synchronous_commit on, fsync on", {}),
    # The log is handed to the system page by page: killed, a server loses the page that is not full, some 40 commits.
    # A loss of power would take more.
    "synchronous-commit-off": ("answers before the commit is in the log", {"synchronous_commit": "off"}),
}


class PostgresSingle(PostgresServers):
    """A harness.system.System of one server; both sides reach it."""

    def launch(self, local: Local) -> None:
        """Make the server, start it, and open a link for each side."""
        local.start_proxy()
        self.nodes[NODE] = node = PostgresNode(local, NODE, local.ports.reserve(), VARIANTS[self.variant][1])
        open_links(local, SIDES, NODE, node.port)
        node.create()
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

    def hurried(self) -> AbstractContextManager[None]:
        return nullcontext()

    def heal_all(self) -> None:
        self.heal_links()


class PostgresBackend:
    """The entry point of the single server."""

    name = "postgres"
    variants = {name: sentence for name, (sentence, _) in VARIANTS.items()}
    mutants = {name: mutant.sentence for name, mutant in MUTANTS.items()}
    functions = FUNCTIONS
    undriven: frozenset[str] = frozenset()
    grounds = ("local",)

    @contextmanager
    def open(self, deployment: Deployment) -> Iterator[System]:
        """Start the server; stop it on leaving."""
        with open_local(deployment.directory) as local:
            system = PostgresSingle(local, self.name, deployment.variant, deployment.mutant)
            try:
                system.launch(local)
                yield system
            finally:
                system.close()

    def refuses(self, fault: str, variant: str) -> str | None:
        """One node: nothing to isolate it from, no replication to hold back or to wait for."""
        if fault in ("isolate-primary", "hold-back-replication", "cancel-wait"):
            return f"postgres is one server without standbys and cannot have {fault}; use --backend postgres-operator"
        if fault == "restart-empty":
            return "postgres keeps its data on disk and cannot have restart-empty; use --backend redis-sentinel"
        if fault in ("client-clock", "client-clock-beyond"):
            return f"postgres reads no client clock and cannot have {fault}; use --backend dynamodb"
        return None

    def missing(self) -> str | None:
        """Say what to install, None if all is there."""
        return missing("postgres", "toxiproxy")


POSTGRES = PostgresBackend()
