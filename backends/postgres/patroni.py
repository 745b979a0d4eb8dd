"""Three PostgreSQL members under Patroni, with one etcd.

    clients-a ──┐              clients-b ──┐
                ├─> each member            ├─> each member
    peers ──────┘   (PostgreSQL, announced)       rest ──> each member's REST (announced)
    each member ──> etcd, a link of its own

As containers the last three are one network, `cluster`: who is cut from it is cut from all of them.

Patroni elects, promotes, demotes itself where it loses the lease, and brings members back; what the operated deployment
does by itself is done here by what people run. Members dial etcd through a proxy, and `use_proxies` keeps them there: else
they would ask it for its own address and walk around. etcd is no fault's target: the wheel's version has bugs on a crash.

Steady with synchronous replication is Patroni's word `sync_standby`, not the server's own: in strict mode a
server says "sync" before Patroni has named a standby, and nobody would be promoted.
"""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backends.client import FUNCTIONS
from backends.postgres import patroni_launcher, patroni_rest
from backends.postgres.admin import Admin
from backends.postgres.binaries import prefix, program
from backends.postgres.composed import SERVER_PORT, ComposedServer
from backends.postgres.finder import Finder
from backends.postgres.mutants import MUTANTS, PLANTED
from backends.postgres.servers import PEERS, SETTINGS, SIDES, PostgresServers, open_links, role_of, silent
from backends.target import Target
from harness.deploy.compose import Composed
from harness.deploy.ground import Topology, open_ground
from harness.deploy.install import require
from harness.deploy.local import Local, LocalNode
from harness.deploy.ports import HOST
from harness.driving.backend import Deployment
from harness.driving.client import Client
from harness.driving.system import Need, Role, System
from harness.waiting import wait_for

BACKEND = "postgres-patroni"
NODES = ("pg-1", "pg-2", "pg-3")
ETCD, REST, REST_PORT = "etcd", "rest", 8008
REST_S, BACK_S, STEADY_S = 0.5, 90.0, 120.0
STREAMING = ("streaming", "running")  # the latter until Patroni 3.0; whether it streams the server itself is asked too
IN_SETTINGS = ("dynamic_shared_memory_type", "shared_buffers", "max_connections", "wal_log_hints", "unix_socket_directories")

VARIANTS: Mapping[str, tuple[str, bool, Mapping[str, Any]]] = {
    "async": ("synchronous_mode off, as shipped; ttl 5 s, where 20 s is Patroni's floor", True, {}),
    "sync": ("synchronous_mode on; ttl 5 s, where 20 s is Patroni's floor", True, {"synchronous_mode": True}),
    "sync-strict": (
        "synchronous_mode on and strict; ttl 5 s, where 20 s is Patroni's floor",
        True,
        {"synchronous_mode": True, "synchronous_mode_strict": True},
    ),
    "async-stock": ("synchronous_mode off, ttl 20 s, Patroni as it is", False, {}),
    "sync-stock": ("synchronous_mode on, ttl 20 s, Patroni as it is", False, {"synchronous_mode": True}),
}
"""Each with its sentence, whether its timing is patched, and its settings of the dynamic configuration."""

TIMING: Mapping[bool, Mapping[str, int]] = {
    True: {"ttl": 5, "loop_wait": 1, "retry_timeout": 2},
    False: {"ttl": 20, "loop_wait": 1, "retry_timeout": 3},
}


class Member(LocalNode):
    """Patroni and the server that it keeps, as one node: they live, stop and die together."""

    def __init__(self, local: Local, name: str, *, patched: bool) -> None:
        self.port, self.rest_port = local.ports.reserve(), local.ports.reserve()
        self.admin = Admin(self.port, name)
        self._home = local.processes.home(name)
        self.data, self._file = self._home / "data", self._home / "patroni.yml"
        how = [str(Path(patroni_launcher.__file__))] if patched else ["-m", "patroni"]
        # -P: else the folder of this file stands first on the path, with modules called patroni and operator.
        super().__init__(local, name, [*prefix(), sys.executable, "-P", *how, str(self._file)], lambda: silent(self.admin))

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Write what Patroni reads when it starts. JSON is YAML."""
        self._file.write_text(json.dumps(settings, indent=1), "utf-8")

    def start(self) -> None:
        self.resume()
        self.launch()
        wait_for(self._answer, BACK_S, f"{self.name} answers")
        for link in self._inbound:
            link.accept()

    def kill(self) -> None:
        self._local.processes.kill(self.name, self._naming)
        for link in self._inbound:
            link.refuse()

    def pause(self) -> None:
        self._local.processes.pause(self.name, self._naming)

    def resume(self) -> None:
        self._local.processes.resume(self.name, self._naming)

    def role(self) -> Role:
        """Ask the server for its role."""
        return role_of(self.admin)

    def cluster(self) -> list[dict[str, Any]]:
        """Give the members as this one's Patroni knows them; none where it does not answer."""
        return patroni_rest.members(self.rest_port)

    @property
    def _naming(self) -> str:
        return f"{self._home}/"


class ComposedMember(ComposedServer):
    """A container of Patroni and the server that it keeps."""

    def __init__(self, composed: Composed, name: str) -> None:
        super().__init__(composed, name)
        self.rest_port, self._peers = composed.port(name, REST_PORT), composed.peers(name)

    def _answer(self) -> str | None:
        # Cut off from etcd a member starts no server: there is nothing to wait for until the network is healed too.
        return super()._answer() if self._peers.connected else None

    def cluster(self) -> list[dict[str, Any]]:
        """Give the members as this one's Patroni knows them; none where it does not answer."""
        return patroni_rest.members(self.rest_port)


class PostgresPatroni(PostgresServers):
    """A harness.driving.system.System of three members and one etcd."""

    def __init__(self, ground: Local | Composed, variant: str, mutant: str | None) -> None:
        super().__init__(ground, BACKEND, variant, mutant)
        self._members: dict[str, Member | ComposedMember] = {}
        self._finders: dict[str, Finder] = {}
        _, self._patched, self._dynamic = VARIANTS[variant]

    def launch(self, ground: Local | Composed) -> None:
        """Start etcd and the members, or take the project's over; wait until all of them stream."""
        ground.start_proxy()
        first = self._take_over(ground) if isinstance(ground, Composed) else self._start(ground)
        self.install(self._members[first])
        for side in SIDES:
            self._finders[side] = Finder({name: Target(HOST, self.port_of(side, name), name) for name in NODES})
        wait_for(self.steady, STEADY_S, "Patroni becomes steady", 0.1)
        self._versions["Patroni"] = f"{patroni_rest.version(self._members[first].rest_port)}, ttl {TIMING[self._patched]['ttl']} s"

    def _start(self, local: Local) -> str:
        """Start etcd and the first member, then the others, which copy it; give the first one."""
        etcd_port = self._start_etcd(local)
        made = {name: Member(local, name, patched=self._patched) for name in NODES}
        for name, member in made.items():
            self.nodes[name] = self._members[name] = member
            open_links(local, (PEERS, *SIDES), name, member.port)
            rest = local.link(REST, name, member.rest_port).port
            dcs = local.link(name, ETCD, etcd_port).port
            member.configure(self._settings(member, rest, dcs))
        first, *others = made.values()
        first.launch()
        wait_for(lambda: self._leads(local, first.name), STEADY_S, "the first member leads", 0.1)
        for member in others:
            member.launch()
        for member in others:
            member.start()
        self._versions["etcd"] = require("etcd").version
        return first.name

    def _take_over(self, composed: Composed) -> str:
        """Open the links into the project's members and tell Patroni the variant's settings; give who leads."""
        for name in NODES:
            self.nodes[name] = self._members[name] = member = ComposedMember(composed, name)
            open_links(composed, SIDES, name, SERVER_PORT)
            member.await_answer()
        wait_for(lambda: None if self.primary() else self._trouble(NODES[0]), STEADY_S, "a member leads", 0.1)
        wanted = {**TIMING[self._patched], "synchronous_mode": False, "synchronous_mode_strict": False, **self._dynamic}
        patroni_rest.configure(self._members[NODES[0]].rest_port, wanted)
        self._versions["etcd"] = composed.image(ETCD)
        return self.primary() or NODES[0]

    def client(self, side: str, deadline_s: float) -> Client:
        return self.session(self._finders[side].resolve, deadline_s)

    def primary(self) -> str | None:
        told = [
            member["name"]
            for each in self._members.values()
            if each.state() == "running"
            for member in each.cluster()
            if member["role"] == "leader" and member["state"] == "running"
        ]
        return max(sorted(set(told)), key=told.count, default=None)

    def steady(self) -> str | None:
        primary = self.primary()
        if primary is None:
            return f"Patroni names no leader ({self._trouble(NODES[0])})"
        role = self._members[primary].role().role
        if role != "primary":
            return f"{primary} leads and is {role}"
        members = {member["name"]: member for member in self._members[primary].cluster()}
        for name in (name for name in NODES if name != primary):
            member = members.get(name)
            if member is None or member["state"] not in STREAMING or member.get("timeline") != members[primary].get("timeline"):
                state = "missing" if member is None else f"{member['state']} on timeline {member.get('timeline')}"
                return f"{name} is {state}, expected streaming ({self._trouble(name)})"
            if self._members[name].role().link != "up":
                return f"{name}'s replication is down"
        if self._dynamic.get("synchronous_mode") and not any(member["role"] == "sync_standby" for member in members.values()):
            return "Patroni has named no synchronous standby yet"
        return None

    def heal_all(self) -> None:
        self.heal_links()

    def _leads(self, local: Local, name: str) -> str | None:
        waiting = local.died(name)
        return None if self.primary() == name else f"{waiting} ({self._trouble(name)})"

    def _trouble(self, name: str) -> str:
        return self._ground.last_lines(name, 2)

    def _start_etcd(self, local: Local) -> int:
        port, peer_port = local.ports.reserve(), local.ports.reserve()
        client, peer = f"http://{HOST}:{port}", f"http://{HOST}:{peer_port}"
        argv = [str(require("etcd").path), "--name", ETCD, "--data-dir", str(local.processes.home(ETCD) / "data")]
        argv += ["--listen-client-urls", client, "--advertise-client-urls", client, "--unsafe-no-fsync", "--log-level", "warn"]
        argv += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"{ETCD}={peer}"]
        LocalNode(local, ETCD, argv, lambda: _unhealthy(port)).start()
        return port

    def _settings(self, member: Member, rest_port: int, dcs_port: int) -> dict[str, Any]:
        parameters = {name: SETTINGS[name] for name in IN_SETTINGS}
        parameters |= {
            "wal_receiver_timeout": "5s",
            "wal_sender_timeout": "5s",
            "wal_retrieve_retry_interval": "100ms",
            "wal_receiver_status_interval": "1s",
        }
        dynamic = {
            **TIMING[self._patched],
            "primary_start_timeout": 0,
            "maximum_lag_on_failover": 1_048_576,
            "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": parameters},
            **self._dynamic,
        }
        trust = [f"host all all {HOST}/32 trust", f"host replication all {HOST}/32 trust"]
        users = {"superuser": "postgres", "replication": "replicator", "rewind": "rewinder"}
        return {
            "scope": "holdwater",
            "name": member.name,
            "restapi": {"listen": f"{HOST}:{member.rest_port}", "connect_address": f"{HOST}:{rest_port}"},
            "etcd3": {"hosts": [f"{HOST}:{dcs_port}"], "use_proxies": True},
            "bootstrap": {
                "dcs": dynamic,
                "initdb": [{"encoding": "UTF8"}, {"auth-host": "trust"}, {"auth-local": "trust"}, "no-sync", "no-locale"],
            },
            "postgresql": {
                "listen": f"{HOST}:{member.port}",
                "connect_address": f"{HOST}:{self.port_of(PEERS, member.name)}",
                "data_dir": str(member.data),
                "pgpass": str(member.data.parent / "pgpass"),
                "bin_dir": str(Path(program("postgres")).parent),
                "pg_hba": trust,
                "authentication": {kind: {"username": user, "password": "holdwater"} for kind, user in users.items()},
            },
        }


def _unhealthy(port: int) -> str | None:
    connection = http.client.HTTPConnection(HOST, port, timeout=REST_S)
    try:
        connection.request("GET", "/health")
        return None if connection.getresponse().status == 200 else "etcd is not healthy"
    except (OSError, http.client.HTTPException) as error:
        return str(error)
    finally:
        connection.close()


PORTS = [f"{name.upper().replace('-', '_')}_{kind}" for name in NODES for kind in ("PORT", "REST_PORT")]
TOPOLOGY = Topology("postgres-patroni", {}, PORTS)


class PatroniBackend:
    """The entry point of the deployment under Patroni."""

    name = BACKEND
    variants = {name: sentence for name, (sentence, _, _) in VARIANTS.items()}
    mutants = {name: mutant.sentence for name, mutant in MUTANTS.items()}
    planted = PLANTED
    functions = FUNCTIONS
    grounds = ("local", "compose")

    @contextmanager
    def open(self, deployment: Deployment) -> Iterator[System]:
        """Start etcd and the members, wait until they stream; stop all of them on leaving."""
        with open_ground(deployment, TOPOLOGY) as ground:
            system = PostgresPatroni(ground, deployment.variant, deployment.mutant)
            try:
                system.launch(ground)
                yield system
            finally:
                system.close()

    def offers(self, variant: str) -> frozenset[Need]:
        """Its data is on disk; only a synchronous primary waits for its standbys."""
        waits = set() if variant.startswith("async") else {Need.WAITS}
        return frozenset({Need.PROCESS, Need.LINKS, Need.REPLIES, Need.TAKEOVER, *waits})

    def servers(self, variant: str) -> tuple[str, ...]:
        """Name what it starts."""
        return ("postgres", "patroni", "etcd")


PATRONI_DEPLOYMENT = PatroniBackend()
