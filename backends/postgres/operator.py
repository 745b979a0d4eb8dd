"""A primary and two standbys, and an operator who promotes one of them when the primary does not answer.

    clients-a ──┐                 clients-b ──┐
                ├─> each node                 ├─> each node
    peers ──────┘   (standbys, and the operator's own eyes)

The operator is a thread of ours with the simplest policy there is: the primary has not answered over the peers' link for
DOWN_AFTER_S, so the standby that has received the most is promoted, and the other one follows it. A former primary
that can be reached again is rewound and follows too. Nothing fences a primary that was only cut off: that is what a failover
without a lease is. It shows what replication keeps, at a chosen moment and many times; what a manager adds (election,
self-demotion) Patroni shows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from backends.client import FUNCTIONS
from backends.postgres.admin import Unanswered
from backends.postgres.binaries import run
from backends.postgres.connection import HANDSHAKE, PostgresConnection
from backends.postgres.finder import Finder
from backends.postgres.mutants import MUTANTS, PLANTED
from backends.postgres.servers import PEERS, SIDES, PostgresNode, PostgresServers, ServerNode, open_links
from backends.target import Target
from harness.deploy.local import Local, open_local
from harness.deploy.ports import HOST
from harness.driving.backend import Deployment
from harness.driving.client import Client, Indeterminate, NotApplied
from harness.driving.system import Need, System
from harness.errors import Infrastructure
from harness.waiting import wait_for

NODES = ("pg-1", "pg-2", "pg-3")
DOWN_AFTER_S = 2.0
LOOK_S, ANSWER_S = 0.1, 0.3
CHECKPOINT_S = 30.0
PROMOTE_S = 10
STEADY_S = 60.0
LAG_BYTES = 65_536  # behind by less is in sync: the primary goes on writing while it is asked

VARIANTS = {
    "async": "as shipped: a commit waits for no standby",
    "sync": "a commit waits until one of the two standbys has it on disk",
    "sync-believes-tag": "the same, and clients take the command tag for success whatever notice stands beside it",
}

RECEIVED = "SELECT coalesce(pg_wal_lsn_diff(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0'), 0)"
STANDBYS = "SELECT application_name, state, sync_state, pg_wal_lsn_diff(pg_current_wal_flush_lsn(), flush_lsn) FROM pg_stat_replication"


class OperatedNode(PostgresNode):
    """A node that comes back as a standby where another one is the primary by now."""

    def __init__(self, system: PostgresOperator, local: Local, name: str, port: int) -> None:
        super().__init__(local, name, port, {})
        self._system = system

    def start(self) -> None:
        self._system.bring_back(self)

    def start_as_it_is(self) -> None:
        """Start it from what its data directory says."""
        super().start()


class PostgresOperator(PostgresServers):
    """A harness.driving.system.System of three nodes under an operator."""

    def __init__(self, local: Local, variant: str, mutant: str | None) -> None:
        super().__init__(local, BACKEND, variant, mutant, believes_tag=variant == "sync-believes-tag")
        self._local, self._synchronous = local, variant != "async"
        self._announced = NODES[0]
        self._stop, self._lock = threading.Event(), threading.RLock()
        self._operator = threading.Thread(target=self._watch, name="operator", daemon=True)
        self._finders: dict[str, Finder] = {}
        self._eyes: dict[str, PostgresConnection] = {}
        self._trouble: str | None = None

    def launch(self) -> None:
        """Start the primary, copy it to two standbys, wait until they stream."""
        self._local.start_proxy()
        made = {name: OperatedNode(self, self._local, name, self._local.ports.reserve()) for name in NODES}
        self.nodes.update(made)
        for name, node in made.items():
            open_links(self._local, (PEERS, *SIDES), name, node.port)
        for side in SIDES:
            self._finders[side] = Finder({name: Target(HOST, self.port_of(side, name), name) for name in NODES})
        primary = made[NODES[0]]
        primary.create()
        primary.start_as_it_is()
        self.install(primary)
        for node in (made[name] for name in NODES[1:]):
            node.copy_from(primary.port)
            self._follow(node, primary)
            node.start_as_it_is()
        self._wait_for_standbys(primary)
        wait_for(self.steady, STEADY_S, "the standbys stream", 0.05)
        self._operator.start()

    def client(self, side: str, deadline_s: float) -> Client:
        return self.session(self._finders[side].resolve, deadline_s)

    def primary(self) -> str | None:
        return self._announced

    def steady(self) -> str | None:
        if self._trouble is not None:
            return self._trouble
        primary = self.nodes[self._announced]
        try:
            rows = primary.admin.ask(STANDBYS)
        except Unanswered as error:
            return f"{primary.name}: {error}"
        if primary.role().role != "primary":
            return f"{primary.name} is {primary.role().role}, expected primary"
        for name in (name for name in NODES if name != primary.name):
            state = next((row for row in rows if row[0] == name), None)
            if state is None or state[1] != "streaming":
                return f"{name} does not stream from {primary.name} ({self._local.processes.last_lines(name, 2)})"
            if float(state[3] or "inf") > LAG_BYTES:
                return f"{name} is {state[3]} bytes behind {primary.name}"
        if self._synchronous and not any(row[2] == "sync" for row in rows):
            return f"{primary.name} waits for no standby yet"
        return None

    def heal_all(self) -> None:
        with self._lock:  # the primary first: the others are rewound from it
            self.nodes[self._announced].resume()
            self.nodes[self._announced].start()
        self.heal_links()

    def close(self) -> None:
        self._stop.set()
        if self._operator.is_alive():
            self._operator.join()
        for connection in self._eyes.values():
            connection.close()
        super().close()

    # What the operator does

    def bring_back(self, node: OperatedNode) -> None:
        """Start a node: the primary as it is, every other one as a standby, rewound where it has a history of its own."""
        with self._lock:
            if node.state() == "dead" and node.name != self._announced:
                self._rewind(node, self._operated(self._announced))
            node.start_as_it_is()

    def _operated(self, name: str) -> OperatedNode:
        node = self.nodes[name]
        assert isinstance(node, OperatedNode)
        return node

    def _watch(self) -> None:
        answered_at = time.monotonic()
        while not self._stop.wait(LOOK_S):
            if self._answers(self._announced):
                answered_at = time.monotonic()
                self._carefully(self._look_after_others)
            elif time.monotonic() - answered_at > DOWN_AFTER_S and self._carefully(self._fail_over):
                answered_at = time.monotonic()

    def _carefully(self, step: Callable[[], None]) -> bool:
        try:
            with self._lock:
                step()
        except (Infrastructure, Unanswered, OSError) as error:
            self._trouble = f"the operator: {error}"  # tried again at the next look; `steady` says so
            return False
        self._trouble = None
        return True

    def _answers(self, name: str) -> bool:
        """Say whether a node answers over the peers' link that it is a primary."""
        if name not in self._eyes:
            target = Target(HOST, self.port_of(PEERS, name), name)
            self._eyes[name] = PostgresConnection(lambda: target, ANSWER_S)
        try:
            return self._eyes[name].call(HANDSHAKE, ()) == [("f",)]
        except (NotApplied, Indeterminate):
            return False

    def _fail_over(self) -> None:
        """Promote the standby that has received the most; the other one follows it from the next look on."""
        if self._answers(self._announced):
            return  # it was started while this waited for the lock
        node = self.nodes[self._furthest()]
        if node.role().role != "primary":
            node.admin.ask("SELECT pg_promote(false)")
        wait_for(lambda: self._unpromoted(node), PROMOTE_S, f"{node.name} is promoted")
        self._announced = node.name

    def _furthest(self) -> str:
        """Name the standby that has received the most, once none receives any more: what it lacks nobody has."""
        received: dict[str, int] = {}
        for name in (name for name in NODES if name != self._announced):
            try:
                received[name] = self._received(self.nodes[name])
            except Unanswered as error:
                if self._synchronous:
                    raise Infrastructure(f"{name} may have what the other standby lacks: {error}") from None
        if not received:
            raise Infrastructure("no standby answers that could be promoted")
        return max(sorted(received), key=lambda name: received[name])

    def _received(self, node: ServerNode) -> int:
        self._tell(node, primary_conninfo="")
        wait_for(lambda: _receives(node), PROMOTE_S, node.name)
        return int(node.admin.value(RECEIVED) or 0)

    def _unpromoted(self, node: ServerNode) -> str | None:
        if self._stop.is_set():
            raise Infrastructure("the deployment is being stopped")
        return None if node.role().role == "primary" else self._local.processes.last_lines(node.name, 3)

    def _look_after_others(self) -> None:
        """Rewind former primaries that can be reached, let standbys follow the primary, and let it wait for them once it has some."""
        primary = self._operated(self._announced)
        for name in (name for name in NODES if name != self._announced):
            node = self._operated(name)
            role = node.role().role
            if role == "primary" and self._answers(name):  # and can be reached from here
                node.kill()
                self.bring_back(node)
            elif role == "replica" and node.admin.value("SHOW primary_conninfo") != (wanted := self._conninfo(name, primary)):
                self._tell(node, primary_conninfo=wanted)
        if self._synchronous:
            self._wait_for_standbys(primary)

    def _wait_for_standbys(self, primary: PostgresNode) -> None:
        # Not before one streams: a primary whose standbys are named and absent waits for ever.
        if not self._synchronous:
            return
        wanted = f"FIRST 1 ({', '.join(chr(34) + name + chr(34) for name in NODES if name != primary.name)})"
        told = primary.admin.value("SHOW synchronous_standby_names")
        streaming = primary.admin.value("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
        if told != wanted and streaming not in (None, "0"):
            self._tell(primary, synchronous_standby_names=wanted)

    def _tell(self, node: ServerNode, **settings: str) -> None:
        for key, value in settings.items():
            literal = value.replace("'", "''")
            node.admin.ask(f"ALTER SYSTEM SET {key} = '{literal}'")
        node.admin.ask("SELECT pg_reload_conf()")

    def _rewind(self, node: PostgresNode, primary: PostgresNode) -> None:
        # pg_rewind takes the source's timeline from its last checkpoint: without this one, that from before a promotion.
        try:
            primary.admin.ask("CHECKPOINT", within_s=CHECKPOINT_S)
        except Unanswered as error:
            raise Infrastructure(f"{primary.name}, from which {node.name} would be rewound: {error}") from None
        source = f"host={HOST} port={primary.port} user=postgres dbname=postgres"
        try:
            run(["pg_rewind", f"--target-pgdata={node.data}", f"--source-server={source}", "--no-sync"], f"rewinding {node.name}")
        except Infrastructure:
            node.copy_from(primary.port)
        self._follow(node, primary)

    def _follow(self, node: PostgresNode, primary: PostgresNode) -> None:
        node.configure({"primary_conninfo": self._conninfo(node.name, primary)}, standby=True)

    def _conninfo(self, standby: str, primary: PostgresNode) -> str:
        return f"host={HOST} port={self.port_of(PEERS, primary.name)} user=postgres application_name={standby}"


def _receives(node: ServerNode) -> str | None:
    role = node.role()
    return None if role.role == "primary" or role.link == "down" else f"still receives, as {role.role}"


BACKEND = "postgres-operator"


class OperatorBackend:
    """The entry point of the operated deployment, on this machine only: pg_rewind needs the files of a server that is dead."""

    name = BACKEND
    variants = VARIANTS
    mutants = {name: mutant.sentence for name, mutant in MUTANTS.items()}
    planted = PLANTED
    functions = FUNCTIONS

    @contextmanager
    def open(self, deployment: Deployment) -> Iterator[System]:
        """Start the nodes, wait until the standbys stream; stop all of them on leaving."""
        with open_local(deployment.directory) as local:
            system = PostgresOperator(local, deployment.variant, deployment.mutant)
            try:
                system.launch()
                yield system
            finally:
                system.close()

    def offers(self, variant: str) -> frozenset[Need]:
        """Its data is on disk; only a synchronous primary waits for its standbys."""
        waits = set() if variant.startswith("async") else {Need.WAITS}
        return frozenset({Need.PROCESS, Need.LINKS, Need.REPLIES, Need.TAKEOVER, *waits})

    def servers(self, variant: str) -> tuple[str, ...]:
        """Name what it starts."""
        return ("postgres",)


OPERATOR = OperatorBackend()
