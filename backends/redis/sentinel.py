"""Three Redis nodes under three sentinels, every node behind links of its own.

    clients-a ──┐                      clients-b ──┐
                ├─> each data node                 ├─> each data node, each sentinel
    peers ──────┘   (announced address)

Nodes announce the proxy that their peers use, and the sentinels monitor that address, so that one cut
takes a node from replicas and sentinels alike. Clients ask the sentinels of their side for the
primary and map its announced port to their own link, as a client in that network zone would.

The sentinels run direct to each other: no fault here divides them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from redis.exceptions import RedisError

from backends.client import FUNCTIONS, StateClient
from backends.redis.admin import Admin, wire
from backends.redis.composed import DATA_PORT, SENTINEL_PORT, ComposedNode, options
from backends.redis.mutants import MUTANTS, PLANTED
from backends.redis.servers import PEERS, PLAIN_ARGUMENTS, SIDES, DataNode, RedisNode, RedisServers
from backends.target import Target
from harness.deploy.compose import Composed
from harness.deploy.ground import Ground, Topology, open_ground
from harness.deploy.install import require
from harness.deploy.local import Local, LocalNode
from harness.deploy.ports import HOST
from harness.driving.backend import Deployment
from harness.driving.client import Client, NotApplied
from harness.driving.system import Need, Role, System
from harness.waiting import wait_for

GROUP = "holdwater"
NODES = ("redis-1", "redis-2", "redis-3")
SENTINELS = ("sentinel-1", "sentinel-2", "sentinel-3")
# A sentinel reconnects at most once a second: with 500 ms it may take a newly promoted node for dead at once and
# fail over again (14 times in 4 trials that provoke one failover each; with 1000 ms once in each of 4).
DOWN_AFTER_MS = {"hasty": 500, "patient": 5000}
DEFAULT_DOWN_AFTER_MS = 1000
FAILOVER_TIMEOUT_MS = 2000
SENTINEL_ANSWER_S = 0.12  # to connect and to answer: three silent sentinels fit in a client's deadline of 0.5 s
STEADY_S = 60.0
HURRY_MS = {"INFO-PERIOD": (500, 10_000), "PUBLISH-PERIOD": (200, 2_000)}  # while healing, and as shipped

VARIANTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "default": ("no persistence, no min-replicas, a node is taken for dead after 1 s", ()),
    "patient": ("the same, and a node is taken for dead after 5 s (as shipped: 30 s): a busy machine makes no failover", ()),
    "hasty": ("the same, a node is taken for dead after 500 ms: a new primary may be taken for dead at once, and failed over again", ()),
    "min-replicas-1-lag-1": (
        "min-replicas-to-write 1, min-replicas-max-lag 1: a primary without replicas stops writing",
        ("min-replicas-to-write 1", "min-replicas-max-lag 1"),
    ),
}


class SentinelNode(LocalNode):
    """A sentinel with its administration connection."""

    def __init__(self, local: Local, name: str, monitored_port: int, down_after_ms: int) -> None:
        self.port = local.ports.reserve()
        self.admin = Admin(self.port)
        directory = local.processes.home(name)
        lines = [
            f"port {self.port}",
            f"bind {HOST}",
            f'dir "{directory}"',
            PLAIN_ARGUMENTS,
            f"sentinel monitor {GROUP} {HOST} {monitored_port} 2",
            f"sentinel down-after-milliseconds {GROUP} {down_after_ms}",
            f"sentinel failover-timeout {GROUP} {FAILOVER_TIMEOUT_MS}",
            f"sentinel parallel-syncs {GROUP} 2",
        ]
        file = directory / "sentinel.conf"
        file.write_text("\n".join(lines) + "\n", "utf-8")
        super().__init__(local, name, [str(require("redis-server").path), str(file), "--sentinel"], self._missing)

    def _missing(self) -> str | None:
        return None if self.admin.info("server") is not None else "no answer to INFO"


Address = tuple[str, int]


def _primary_address(sentinel: RedisNode) -> Address | None:
    """Give the announced address of the node that a sentinel takes for the primary."""
    try:
        answer = sentinel.admin.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", GROUP)
    except (RedisError, OSError):
        return None
    return (answer[0].decode(), int(answer[1])) if answer else None


def _view(sentinel: RedisNode) -> dict[str, str] | None:
    """Give what a sentinel knows of the group, None if it does not answer."""
    try:
        answer = sentinel.admin.ask("SENTINEL", "MASTER", GROUP)
    except (RedisError, OSError):
        return None
    texts = [item.decode() for item in answer]
    return dict(zip(texts[::2], texts[1::2], strict=True))


class RedisSentinel(RedisServers):
    """A harness.driving.system.System of a primary, two replicas and three sentinels."""

    def __init__(self, ground: Ground, name: str, variant: str, mutant: str | None) -> None:
        super().__init__(ground, name, variant, mutant)
        self.sentinels: dict[str, RedisNode] = {}
        self._by_announced: dict[Address, str] = {}

    def launch(self, ground: Local | Composed) -> None:
        """Start nodes and sentinels, or take the project's over, and wait for the steady state."""
        if isinstance(ground, Composed):
            self._take_over(ground)
        else:
            self._start(ground)
        wait_for(self.steady, STEADY_S, "Sentinel becomes steady", 0.1)
        self.forget(self.primary() or NODES[0])
        self.note_version(self.nodes[NODES[0]])

    def _start(self, local: Local) -> None:
        # The data nodes, then the sentinels: these learn of replicas by INFO, every 10 s. With replicas in sync at
        # their first INFO the deployment is steady after 2.3 s, else after 10.
        local.start_proxy()
        nodes: dict[str, DataNode] = {}
        sentinels: dict[str, SentinelNode] = {}
        ports = {name: local.ports.reserve() for name in NODES}
        announced = {name: local.link(PEERS, name, ports[name]).port for name in NODES}
        self._by_announced = {(HOST, port): name for name, port in announced.items()}
        for name in NODES:
            config = [f"replica-announce-ip {HOST}", f"replica-announce-port {announced[name]}", "repl-ping-replica-period 1"]
            config += ['save ""', "appendonly no", *VARIANTS[self.variant][1]]
            if name != NODES[0]:
                config.append(f"replicaof {HOST} {announced[NODES[0]]}")
            self.nodes[name] = nodes[name] = DataNode(local, name, ports[name], config)
            for side in SIDES:
                local.link(side, name, ports[name])
        for node in nodes.values():
            node.launch()
        for node in nodes.values():
            node.await_answer()
        wait_for(self._unsynced, STEADY_S, "the replicas are in sync")
        down_after_ms = DOWN_AFTER_MS.get(self.variant, DEFAULT_DOWN_AFTER_MS)
        for name in SENTINELS:
            self.sentinels[name] = sentinels[name] = SentinelNode(local, name, announced[NODES[0]], down_after_ms)
            for side in SIDES:
                local.link(side, name, sentinels[name].port)
            sentinels[name].launch()
        for sentinel in sentinels.values():
            sentinel.await_answer()

    def _take_over(self, composed: Composed) -> None:
        composed.start_proxy()
        for name, private, known in [
            *((n, DATA_PORT, self.nodes) for n in NODES),
            *((n, SENTINEL_PORT, self.sentinels) for n in SENTINELS),
        ]:
            known[name] = node = ComposedNode(composed, name, private)
            for side in SIDES:
                composed.link(side, name, private)
            node.await_answer()
        self._by_announced = {(composed.address(name), DATA_PORT): name for name in NODES}
        for name in NODES:
            composed.peers(name)

    def client(self, side: str, deadline_s: float) -> Client:
        sentinels = [Target(HOST, self.port_of(side, name), name) for name in SENTINELS]
        data = {address: Target(HOST, self.port_of(side, name), name) for address, name in self._by_announced.items()}
        return StateClient(self.session(lambda: _resolve(sentinels, data), deadline_s))

    def primary(self) -> str | None:
        told = [address for sentinel in self.sentinels.values() if (address := _primary_address(sentinel)) is not None]
        best = max(set(told), key=told.count, default=None)
        return None if best is None or told.count(best) < 2 else self._by_announced[best]

    def roles(self) -> dict[str, Role]:
        epochs = [int(view["config-epoch"]) for sentinel in self.sentinels.values() if (view := _view(sentinel))]
        epoch = max(epochs, default=None)
        found = super().roles()
        return {name: Role(role.role, epoch, role.run_id, role.link) for name, role in found.items()}

    def steady(self) -> str | None:
        primary = self.primary()
        if primary is None:
            return "the sentinels do not agree on a primary"
        for name, sentinel in self.sentinels.items():
            view = _view(sentinel)
            if view is None:
                return f"{name} does not answer"
            if self._by_announced.get((view["ip"], int(view["port"]))) != primary:
                return f"{name} takes another node for the primary"
            if view["flags"] != "master" or view["num-slaves"] != "2" or view["num-other-sentinels"] != "2":
                return f"{name} sees flags {view['flags']}, {view['num-slaves']} replicas, {view['num-other-sentinels']} other sentinels"
        return self._unsynced(primary)

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """Let the sentinels look every 0.5 s instead of every 10 s, where the server has that knob.

        Only while healing: nothing is judged of how long the stock manager takes to come back.
        """
        self._periods(0)
        try:
            yield
        finally:
            self._periods(1)

    def heal_all(self) -> None:
        self.heal_links()
        for sentinel in self.sentinels.values():
            sentinel.resume()
            sentinel.start()

    def close(self) -> None:
        super().close()
        for sentinel in self.sentinels.values():
            sentinel.admin.close()

    def _periods(self, which: int) -> None:
        for sentinel in self.sentinels.values():
            for knob, values in HURRY_MS.items():
                with suppress(RedisError, OSError):
                    sentinel.admin.ask("SENTINEL", "DEBUG", knob, values[which])

    def _unsynced(self, primary: str = NODES[0]) -> str | None:
        roles = super().roles()
        for name, role in roles.items():
            wanted = "primary" if name == primary else "replica"
            if role.role != wanted:
                return f"{name} is {role.role}, expected {wanted}"
            if wanted == "replica" and role.link != "up":
                return f"{name}'s replication is {role.link}"
        try:
            in_sync = self.nodes[primary].admin.ask("WAIT", 2, 100)
        except (RedisError, OSError) as error:
            return f"{primary}: {error}"
        return None if in_sync == 2 else f"{in_sync} of 2 replicas in sync"


def _resolve(sentinels: list[Target], data: Mapping[Address, Target]) -> Target:
    # A fresh connection each time, as a client that has lost its primary makes.
    reasons = []
    for sentinel in sentinels:
        try:
            answer = _ask_primary(sentinel)
        except (RedisError, OSError) as error:
            reasons.append(f"{sentinel.node}: {type(error).__name__}")
            continue
        if answer and (address := (answer[0].decode(), int(answer[1]))) in data:
            return data[address]
        reasons.append(f"{sentinel.node}: names {answer!r}")
    raise NotApplied(f"no sentinel names a primary ({'; '.join(reasons)})")


def _ask_primary(sentinel: Target) -> list[bytes] | None:
    connection = wire(sentinel.host, sentinel.port, SENTINEL_ANSWER_S)
    try:
        connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", GROUP)
        answer: list[bytes] | None = connection.read_response()
        return answer
    finally:
        connection.disconnect()


def _topology(variant: str) -> Topology:
    environment = {
        "REDIS_OPTIONS": options(['save ""', "appendonly no", *VARIANTS[variant][1]]),
        "DOWN_AFTER_MS": str(DOWN_AFTER_MS.get(variant, DEFAULT_DOWN_AFTER_MS)),
        "FAILOVER_TIMEOUT_MS": str(FAILOVER_TIMEOUT_MS),
    }
    ports = [f"{name.upper().replace('-', '_')}_PORT" for name in (*NODES, *SENTINELS)]
    return Topology("redis-sentinel", environment, ports)


class SentinelBackend:
    """The entry point of the Sentinel deployment."""

    name = "redis-sentinel"
    variants = {name: sentence for name, (sentence, _) in VARIANTS.items()}
    mutants = {name: mutant.sentence for name, mutant in MUTANTS.items()}
    planted = PLANTED
    functions = FUNCTIONS
    grounds = ("local", "compose")

    @contextmanager
    def open(self, deployment: Deployment) -> Iterator[System]:
        """Start nodes and sentinels, wait for the steady state; stop all of them on leaving."""
        with open_ground(deployment, _topology(deployment.variant)) as ground:
            system = RedisSentinel(ground, self.name, deployment.variant, deployment.mutant)
            try:
                system.launch(ground)
                yield system
            finally:
                system.close()

    def offers(self, variant: str) -> frozenset[Need]:
        """No lost replies: a client's handshake alone is longer than the bytes let through."""
        return frozenset({Need.PROCESS, Need.LINKS, Need.TAKEOVER, Need.EMPTY_RESTART})

    def servers(self, variant: str) -> tuple[str, ...]:
        """Name what it starts."""
        return ("redis-server",)


SENTINEL = SentinelBackend()
