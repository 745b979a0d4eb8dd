"""What the deployments of PostgreSQL have in common: nodes, links, probes.

A local node's settings stand on the command line, where neither ALTER SYSTEM nor the files that pg_rewind copies from another node can
change them; what a node is told while it runs (whose standby it is, for whom it waits) stands in its postgresql.auto.conf.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Protocol

from backends.client import StateClient
from backends.postgres.admin import LOCAL, Admin, Unanswered
from backends.postgres.binaries import disown, prefix, program, run
from backends.postgres.connection import PostgresConnection
from backends.postgres.session import PostgresSession, install_schema, schema_of
from backends.target import Resolve, Target
from harness.deploy.compose import Composed, NetworkLink
from harness.deploy.ground import Ground, links_between, port_between
from harness.deploy.local import Local, LocalNode
from harness.deploy.ports import HOST
from harness.deploy.proxy import ProxyLink
from harness.driving.client import Indeterminate, NotApplied
from harness.driving.system import Link, Node, Passage, Role
from harness.errors import Infrastructure

SIDES = ("clients-a", "clients-b")
PEERS = "peers"
PASSAGE_S = 0.6  # how long a probe waits for an answer that may not come: connecting takes two round trips before the statement's
MUTANT_PAUSE_S = 0.003  # between the steps of a mutant, so that its race is met
# What a connection may pass of answers before the rest is cut: its start and the handshake are about 600 bytes, a reply about 100.
REPLY_BUDGET_BYTES = 750

SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a run's directory is longer than a socket's path may be
    "dynamic_shared_memory_type": "mmap",  # else kill -9 leaves files in /dev/shm
    "shared_buffers": "16MB",
    "max_connections": "100",
    "max_wal_senders": "10",
    "wal_log_hints": "on",  # pg_rewind needs it
    "wal_retrieve_retry_interval": "100ms",
    "wal_receiver_status_interval": "1s",
    "update_process_title": "off",
}
"""Of every node; everything else is as shipped."""

# In postgresql.conf, which copies inherit: pg_rewind first lets the server recover, without our command line. It needs the
# hints, and the log since before the histories parted; so does the other standby, whose primary writes a checkpoint for each copy.
REWINDABLE: Mapping[str, str] = {"wal_log_hints": "on", "wal_keep_size": "128MB"}

ROLE = """
SELECT pg_is_in_recovery(), pg_postmaster_start_time(),
  CASE WHEN pg_is_in_recovery() THEN NULL ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
  (SELECT status FROM pg_stat_wal_receiver)
"""
WRITE_MARKER = "INSERT INTO holdwater.marker VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
# With an answer long enough to be cut by a link that drops replies.
SEND_MARKER = f"{WRITE_MARKER} RETURNING repeat('x', {REPLY_BUDGET_BYTES})"
READ_MARKER = "SELECT value FROM holdwater.marker WHERE name = $1"
MARKER, PASSAGE = "marker", "passage"


class PostgresNode(LocalNode):
    """A PostgreSQL server with its data directory and its administration connection."""

    def __init__(self, local: Local, name: str, port: int, settings: Mapping[str, str]) -> None:
        self.port, self.admin = port, Admin(port, name)
        self.data = local.processes.home(name) / "data"
        options = [f"{key}={value}" for key, value in {**SETTINGS, **settings}.items()]
        argv = [*prefix(), program("postgres"), "-D", str(self.data), "-p", str(port)]
        super().__init__(local, name, [*argv, *(word for option in options for word in ("-c", option))], self._missing)

    def await_answer(self) -> None:
        super().await_answer()
        disown(self.data)

    def create(self) -> None:
        """Make an empty database cluster."""
        options = ("-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--no-locale")
        run(["initdb", "-D", str(self.data), *options], f"making {self.name}")
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{key} = {value}\n" for key, value in REWINDABLE.items())

    def copy_from(self, port: int) -> None:
        """Make the data directory anew as a copy of the server at this port."""
        copy = self.data.with_name("copy")
        shutil.rmtree(copy, ignore_errors=True)
        source = ("-h", HOST, "-p", str(port), "-U", "postgres", "-w")
        run(["pg_basebackup", *source, "-D", str(copy), "-c", "fast", "--no-sync"], f"copying a primary to {self.name}")
        shutil.rmtree(self.data, ignore_errors=True)  # not before there is another one
        copy.rename(self.data)

    def configure(self, settings: Mapping[str, str], *, standby: bool) -> None:
        """Say what the stopped node is told when it starts: all that was set while it ran is forgotten."""
        lines = [f"{key} = '{value}'" for key, value in settings.items()]
        (self.data / "postgresql.auto.conf").write_text("\n".join(lines) + "\n", "utf-8")
        signal = self.data / "standby.signal"
        if standby:
            signal.touch()
        else:
            signal.unlink(missing_ok=True)

    def role(self) -> Role:
        """Ask the node for its role."""
        return role_of(self.admin)

    def _missing(self) -> str | None:
        return silent(self.admin)


class ServerNode(Node, Protocol):
    """A node, whichever way it is run, with its administration connection."""

    @property
    def port(self) -> int: ...

    @property
    def admin(self) -> Admin: ...

    def role(self) -> Role: ...


def role_of(admin: Admin) -> Role:
    """Ask a server for its role."""
    try:
        recovering, started, timeline, receiver = admin.ask(ROLE)[0]
    except (Unanswered, LookupError):
        return Role("silent")
    if recovering == "t":
        return Role("replica", None, started, "up" if receiver == "streaming" else "down")
    return Role("primary", None if timeline is None else int(timeline), started)


def silent(admin: Admin) -> str | None:
    """Say why a server does not answer; None if it does."""
    try:
        admin.ask("SELECT 1")
    except Unanswered as error:
        return str(error)
    return None


class PostgresServers:
    """Nodes behind links; what the deployments share of a harness.driving.system.System."""

    def __init__(self, ground: Ground, name: str, variant: str, mutant: str | None, *, believes_tag: bool = False) -> None:
        self._ground, self.name, self.variant, self._mutant, self._believes_tag = ground, name, variant, mutant, believes_tag
        self.nodes: dict[str, ServerNode] = {}
        self.sides: tuple[str, ...] = SIDES
        self._versions: dict[str, str] = {}

    @property
    def versions(self) -> Mapping[str, str]:
        return {**self._ground.versions, **self._versions}

    def links(self, source: str | None = None, target: str | None = None) -> list[Link]:
        return links_between(self._ground, source, target)

    def port_of(self, source: str, target: str) -> int:
        """Give the port at which a source group reaches a target."""
        return port_between(self._ground, source, target)

    def session(self, resolve: Resolve, deadline_s: float) -> StateClient:
        """Make a client over a session of the variant or mutant that is deployed."""
        pause = lambda: time.sleep(MUTANT_PAUSE_S)  # noqa: E731
        return StateClient(PostgresSession(resolve, deadline_s, mutant=self._mutant, yield_=pause, believes_tag=self._believes_tag))

    def install(self, node: ServerNode) -> None:
        """Create tables and functions, those of the mutant too."""
        for mutant in dict.fromkeys((None, self._mutant)):
            if self._ground.attached:
                node.admin.ask(f"DROP SCHEMA IF EXISTS {schema_of(mutant)} CASCADE")
            install_schema(HOST, node.port, mutant)
        self._versions["PostgreSQL"] = (node.admin.value("SHOW server_version") or "unknown").split()[0]

    def roles(self) -> dict[str, Role]:
        found = {}
        for name, node in self.nodes.items():
            state = node.state()
            found[name] = node.role() if state == "running" else Role(state)
        return found

    def write_marker(self, node: str, marker: str) -> None:
        try:
            self.nodes[node].admin.ask(WRITE_MARKER, MARKER, marker)
        except Unanswered as error:
            raise Infrastructure(f"{node} refused a marker: {error}") from None

    def read_marker(self, node: str) -> str | None:
        return self._value(node, READ_MARKER, MARKER)

    def lock_owner(self, node: str, name: str) -> str | None:
        lock = f"{schema_of(self._mutant)}.lock"
        return self._value(node, f"SELECT owner FROM {lock} WHERE name = $1 AND expires_at > clock_timestamp()", name)

    def passage(self, link: Link) -> Passage:
        if isinstance(link, NetworkLink):
            return link.passage(self.nodes, ["timeout", "1", "pg_isready", "-q", "-h", link.address])
        if not isinstance(link, ProxyLink) or link.target not in self.nodes:
            raise Infrastructure(f"link {link.name}: no data node at its far end to look for a marker")
        marker, target = f"{time.monotonic_ns()}", Target(HOST, link.port, link.target)
        through = PostgresConnection(lambda: target, PASSAGE_S, any_role=True, more=LOCAL)
        start = time.monotonic()
        try:
            through.call(SEND_MARKER.encode(), (PASSAGE, marker))
            answered = True
        except NotApplied as error:
            answered = "25006" in str(error)  # refused, but by the far end: it is a standby
        except Indeterminate:
            answered = False
        finally:
            took_ms = (time.monotonic() - start) * 1000
            through.close()
        arrived = self._value(link.target, READ_MARKER, PASSAGE) == marker
        return Passage(arrived, answered, round(took_ms, 1) if answered else None)

    def cancel_waits(self, node: str) -> int:
        """Cancel every statement that waits for a standby: each answers success, and a notice that takes it back."""
        count = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        with suppress(Unanswered):
            return int(self.nodes[node].admin.value(count) or 0)
        return 0

    def heal_links(self) -> None:
        """Heal every link, and start and resume every node."""
        for node in self.nodes.values():
            if node.state() == "paused":
                node.resume()
        for link in self._ground.links:
            link.heal()
        for node in self.nodes.values():
            node.start()

    def close(self) -> None:
        """Drop the administration connections."""
        for node in self.nodes.values():
            node.admin.close()

    def _value(self, node: str, statement: str, *arguments: str | int) -> str | None:
        try:
            return self.nodes[node].admin.value(statement, *arguments)
        except Unanswered:
            return None


def open_links(ground: Local | Composed, sources: Iterable[str], name: str, port: int) -> None:
    """Open a link from each source group into a node."""
    for source in sources:
        ground.link(source, name, port, reply_budget=REPLY_BUDGET_BYTES)
