"""One PostgreSQL server, with what it waits for at a commit as its variants."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from backends.client import FUNCTIONS, StateClient
from backends.clock import SETTABLE, SettableClock
from backends.postgres import session_locks
from backends.postgres.composed import SERVER_PORT, ComposedServer
from backends.postgres.install import PGBOUNCER
from backends.postgres.mutants import MUTANTS, PLANTED
from backends.postgres.pooler import Pooler
from backends.postgres.servers import MUTANT_PAUSE_S, SIDES, PostgresNode, PostgresServers, open_links
from backends.target import Target
from harness.deploy.compose import Composed
from harness.deploy.ground import Ground, Topology, open_ground
from harness.deploy.install import require
from harness.deploy.local import Local
from harness.deploy.ports import HOST
from harness.driving.backend import Deployment
from harness.driving.client import Client
from harness.driving.system import Need, System
from harness.errors import Infrastructure

NODE = "pg-1"
VARIANTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "default": ("as shipped: synchronous_commit on, fsync on", {}),
    # The log is handed to the system page by page: killed, a server loses the page that is not full, some 40 commits.
    # A loss of power would take more.
    "synchronous-commit-off": ("answers before the commit is in the log", {"synchronous_commit": "off"}),
    SETTABLE: ("as shipped; its clock can be set, by a shim", {}),
    "pooled": ("as shipped, behind PgBouncer in transaction mode", {}),
    "session-locks": ("as shipped; clients guard check_and_set by an advisory lock of their session", {}),
    "pooled-session-locks": ("the same clients, behind PgBouncer in transaction mode", {}),
}
POOLED = frozenset({"pooled", "pooled-session-locks"})
SESSION_LOCKS = frozenset({"session-locks", "pooled-session-locks"})
NOW = "SELECT extract(epoch FROM clock_timestamp())"


class PostgresSingle(PostgresServers):
    """A harness.driving.system.System of one server; both sides reach it."""

    def __init__(self, ground: Ground, name: str, variant: str, mutant: str | None) -> None:
        super().__init__(ground, name, variant, mutant)
        self._clock: SettableClock | None = None
        self._pooler: Pooler | None = None

    def launch(self, ground: Local | Composed) -> None:
        """Make the server and start it, or take the project's over, and open a link for each side."""
        ground.start_proxy()
        if isinstance(ground, Composed):
            self.nodes[NODE] = ComposedServer(ground, NODE)
            open_links(ground, SIDES, NODE, SERVER_PORT)
        else:
            self._make(ground)
        node = self.nodes[NODE]
        node.start()
        self.install(node)
        if self._pooler is not None:
            self._pooler.start()

    def _make(self, local: Local) -> None:
        """Make the server, and the pooler before it where clients go through one."""
        self._clock = SettableClock(local.processes.home(NODE)) if self.variant == SETTABLE else None
        self.nodes[NODE] = made = PostgresNode(local, NODE, local.ports.reserve(), VARIANTS[self.variant][1], self._clock)
        if self.variant in POOLED:
            self._pooler = Pooler(local, made.port)
            self._versions["PgBouncer"] = require(PGBOUNCER).version
        open_links(local, SIDES, NODE, made.port if self._pooler is None else self._pooler.port)
        made.create()

    def client(self, side: str, deadline_s: float) -> Client:
        target = Target(HOST, self.port_of(side, NODE), NODE)
        if self.variant in SESSION_LOCKS and self._mutant is None:
            return StateClient(session_locks.session(lambda: target, deadline_s, lambda: time.sleep(MUTANT_PAUSE_S)))
        return self.session(lambda: target, deadline_s)

    def primary(self) -> str | None:
        return NODE

    def steady(self) -> str | None:
        role = self.nodes[NODE].role()
        return None if role.role == "primary" else f"{NODE} is {role.role}"

    def shift_server_clock(self, node: str, offset_ms: int) -> None:
        if self._clock is None:
            raise Infrastructure(f"{node} runs with the machine's clock, expected variant {SETTABLE}")
        self._clock.set(offset_ms)

    def server_clock_ahead_ms(self, node: str) -> float | None:
        before = time.time()
        told = self._value(node, NOW)
        return None if told is None else (float(told) - (before + time.time()) / 2) * 1000

    def heal_all(self) -> None:
        if self._clock is not None:
            self._clock.set(0)
        if self._pooler is not None:
            self._pooler.start()
        self.heal_links()


class PostgresBackend:
    """The entry point of the single server."""

    name = "postgres"
    variants = {name: sentence for name, (sentence, _) in VARIANTS.items()}
    mutants = {name: mutant.sentence for name, mutant in MUTANTS.items()}
    planted = PLANTED
    functions = FUNCTIONS
    grounds = ("local", "compose")
    local_variants = frozenset({SETTABLE, *POOLED})  # a container has the machine's clock, and the topology no pooler

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
        """One server: no node takes over. No lost replies behind a pooler, whose handshake is not the server's."""
        clock = {Need.SERVER_CLOCKS} if variant == SETTABLE else set()
        replies = set() if variant in POOLED else {Need.REPLIES}
        return frozenset({Need.PROCESS, Need.LINKS, *replies, *clock})

    def servers(self, variant: str) -> tuple[str, ...]:
        """Name what it starts."""
        more = {SETTABLE: ("libfaketime",), **dict.fromkeys(POOLED, (PGBOUNCER,))}
        return ("postgres", *more.get(variant, ()))


POSTGRES = PostgresBackend()
