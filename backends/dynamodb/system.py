"""DynamoDB's deployment: an emulator as a child process or a container, or an endpoint of the user's (`emulators`).

An emulator says nothing of AWS: neither of its eventual reads nor of several regions, nor of what a failure of a zone does.
It is run since it does what one conditional request is documented to do; what only AWS can show are claims that are unavailable.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from backends.client import FUNCTIONS, StateClient
from backends.dynamodb import emulators
from backends.dynamodb.emulators import DURABLE, IN_MEMORY, NOT_OURS, Emulator
from backends.dynamodb.mutants import MUTANTS, PLANTED
from backends.dynamodb.session import ClientClock, DynamoSession, wall_ms
from backends.dynamodb.table import NAME, Item, Refused, Table, key
from backends.dynamodb.transport import Transport
from backends.target import Target
from harness.deploy.compose import Composed, ContainerNode
from harness.deploy.ground import Ground, Topology, links_between, open_ground, port_between
from harness.deploy.install import missing
from harness.deploy.local import Local, LocalNode
from harness.deploy.ports import HOST
from harness.deploy.proxy import ProxyLink
from harness.driving.backend import Deployment
from harness.driving.client import Client, Indeterminate, NotApplied
from harness.driving.system import Link, Need, Node, Passage, Role, System
from harness.errors import Infrastructure
from harness.waiting import wait_for

NODE, PRIVATE_PORT = "dynamodb-1", 8000
SIDES = ("clients-a", "clients-b")
BOUND_MS = 100
ADMIN_S, PASSAGE_S, START_S = 1.0, 0.6, 30.0
# What a connection may pass of answers before the rest is cut: that of GET / and of one or two requests are about 260 bytes each.
REPLY_BUDGET_BYTES = 500
PADDING = "x" * 1000  # an answer long enough to be cut by a link that drops replies
PASSAGE = "passage"
VARIANTS = {
    IN_MEMORY: "an emulator without a file: gone with its process; ministack, or what HOLDWATER_DYNAMODB names",
    DURABLE: "an emulator with a database file: Dynoxide",
}


class Clock:
    """A client group's clock: the machine's, with an offset that a fault sets; thread-safe."""

    def __init__(self) -> None:
        self.offset_ms = 0

    def __call__(self) -> int:
        return wall_ms() + self.offset_ms


class Admin:
    """Questions to the server past every proxy; thread-safe. What fails raises NotApplied or Indeterminate."""

    def __init__(self, port: int, table: str, timeout_s: float = ADMIN_S) -> None:
        target = Target(HOST, port, NODE)
        self._table, self._lock = Table(Transport(lambda: target, timeout_s), table), threading.Lock()

    def ask(self, question: Callable[[Table], Item | Refused | None]) -> Item | None:
        """Ask within the time-out; a condition that fails is no answer."""
        with self._lock:
            self._table.begin()
            answer = question(self._table)
        return None if isinstance(answer, Refused) else answer

    def close(self) -> None:
        with self._lock:
            self._table.close()


class EmulatorProcess(LocalNode):
    """An emulator as a child process."""

    def __init__(self, local: Local, port: int, chosen: Emulator, variant: str, missing: Callable[[], str | None]) -> None:
        home = local.processes.home(NODE)
        program = home / chosen.program.name
        program.symlink_to(chosen.program)  # its arguments then name this run's directory, by which a sweep finds it
        argv = [str(program), *chosen.arguments(port, home if variant == DURABLE else None)]
        super().__init__(local, NODE, argv, missing, chosen.environment(port, home))

    def run_id(self) -> str:
        """Name this start of the emulator."""
        return str(self._local.processes.pid(NODE))


class EndpointNode:
    """A harness.driving.system.Node that somebody else started: it is asked, and nothing else."""

    name = NODE

    def __init__(self, missing: Callable[[], str | None]) -> None:
        self._missing = missing

    def start(self) -> None:
        if (reason := self._missing()) is not None:
            raise Infrastructure(f"{emulators.VARIABLE}={os.environ.get(emulators.VARIABLE)}: {reason}")

    def kill(self) -> None:
        raise Infrastructure(f"{NODE} is {NOT_OURS}")

    def pause(self) -> None:
        raise Infrastructure(f"{NODE} is {NOT_OURS}")

    def resume(self) -> None:
        """Do nothing: it was not paused."""

    def state(self) -> str:
        return "running"

    def run_id(self) -> str:
        """Name every start of it alike: which one it is cannot be seen."""
        return "endpoint"


class DynamoSystem:
    """A harness.driving.system.System of one server; both sides reach it, each with a clock of its own."""

    name = "dynamodb"
    sides: tuple[str, ...] = SIDES
    clock_bound_ms = BOUND_MS

    def __init__(self, ground: Local | Composed, variant: str, mutant: str | None) -> None:
        self._ground: Ground = ground
        self.variant, self._mutant = variant, mutant
        self._clocks = {side: Clock() for side in SIDES}
        self._endpoint = None if isinstance(ground, Composed) else emulators.endpoint()
        self._table = NAME if self._endpoint is None else f"{NAME}-{os.getpid()}-{time.time_ns() // 1_000_000}"
        self._begun = False  # our table is at the endpoint
        self._port = self._its_port(ground)
        self._admin = Admin(self._port, self._table)
        self._node, self._versions = self._made(ground)
        self.nodes: Mapping[str, Node] = {NODE: self._node}

    @property
    def versions(self) -> Mapping[str, str]:
        return {**self._ground.versions, **self._versions}

    def launch(self, ground: Local | Composed) -> None:
        """Start the emulator, or take over what is there, make the table, and open a link for each side."""
        ground.start_proxy()
        port = PRIVATE_PORT if isinstance(ground, Composed) else self._port
        for side in SIDES:
            ground.link(side, NODE, port, reply_budget=REPLY_BUDGET_BYTES)
        if ground.attached:
            self._forget("the table of an earlier run")
        if self._endpoint is not None:
            self._begin()
        self._node.start()

    def _begin(self) -> None:
        """Make our table at an endpoint, once: one that is gone later has lost what was acknowledged, and nobody restarted it."""
        try:
            self._begun = True
            self._admin.ask(_create)
        except NotApplied as error:
            self._begun = False
            raise Infrastructure(f"{emulators.VARIABLE}={os.environ.get(emulators.VARIABLE)}: {error}") from None
        except Indeterminate as error:
            raise Infrastructure(f"{emulators.VARIABLE}={os.environ.get(emulators.VARIABLE)}: {error}") from None

    def _forget(self, what: str) -> None:
        try:
            self._admin.ask(_drop)
        except (NotApplied, Indeterminate) as error:
            raise Infrastructure(f"{NODE} did not remove {what}, {self._table}: {error}") from None

    def _its_port(self, ground: Local | Composed) -> int:
        if isinstance(ground, Composed):
            return ground.port(NODE, PRIVATE_PORT)
        return ground.ports.reserve() if self._endpoint is None else self._endpoint.port

    def _made(self, ground: Local | Composed) -> tuple[EmulatorProcess | ContainerNode | EndpointNode, dict[str, str]]:
        """Make the node; give it with what it is, as reports name it."""
        if isinstance(ground, Composed):
            return ContainerNode(ground, NODE, self._missing), {"DynamoDB (an emulator)": ground.image(NODE)}
        if self._endpoint is not None:
            return EndpointNode(self._missing), {"DynamoDB (an endpoint)": f"http://{HOST}:{self._port}"}
        chosen = emulators.emulator(self.variant)
        if chosen is None:
            raise Infrastructure(missing(*emulators.servers(self.variant)) or "no emulator")
        node = EmulatorProcess(ground, self._port, chosen, self.variant, self._missing)
        return node, {f"{chosen.product} (an emulator)": chosen.version}

    def links(self, source: str | None = None, target: str | None = None) -> list[Link]:
        return links_between(self._ground, source, target)

    def client(self, side: str, deadline_s: float) -> Client:
        target = Target(HOST, port_between(self._ground, side, NODE), NODE)
        return StateClient(
            DynamoSession(
                lambda: target,
                deadline_s,
                clock=ClientClock(BOUND_MS, self._clocks[side]),
                mutant=self._mutant,
                table=self._table,
            )
        )

    def roles(self) -> dict[str, Role]:
        state = self._node.state()
        if state != "running":
            return {NODE: Role(state)}
        return {NODE: Role("primary", run_id=self._node.run_id()) if self._missing() is None else Role("silent")}

    def primary(self) -> str | None:
        return NODE

    def steady(self) -> str | None:
        return self._missing()

    def passage(self, link: Link) -> Passage:
        if not isinstance(link, ProxyLink):
            raise Infrastructure(f"link {link.name}: no emulator at its far end to look for a marker")
        marker, through = f"{time.monotonic_ns()}", Admin(link.port, self._table, PASSAGE_S)
        start = time.monotonic()
        try:
            through.ask(lambda table: _write(table, PASSAGE, marker))
            answered = True
        except (NotApplied, Indeterminate):
            answered = False
        finally:
            took_ms = (time.monotonic() - start) * 1000
            through.close()
        return Passage(self._read(PASSAGE) == marker, answered, round(took_ms, 1) if answered else None)

    def shift_clock(self, side: str, offset_ms: int) -> None:
        """Let the clients of a side see another time from now on."""
        self._clocks[side].offset_ms = offset_ms

    def clock_ahead_ms(self, side: str) -> float:
        """Measure a side's clock against the harness' own wall clock."""
        return self._clocks[side]() - time.time() * 1000

    def heal_all(self) -> None:
        for side in SIDES:
            self.shift_clock(side, 0)
        self._node.resume()
        for link in self._ground.links:
            link.heal()
        self._node.start()

    def close(self) -> None:
        """Remove our table from an endpoint, and drop the administration connection."""
        try:
            if self._begun:
                self._forget("our table")
        finally:
            self._admin.close()

    def _read(self, name: str) -> str | None:
        try:
            found = self._admin.ask(lambda table: table.read("m", name))
        except (NotApplied, Indeterminate):
            return None
        return found["v"]["S"] if found else None

    def _missing(self) -> str | None:
        try:
            if self._endpoint is None:
                self._admin.ask(_create)
            self._admin.ask(lambda table: table.read("m", PASSAGE))
        except (NotApplied, Indeterminate) as error:
            return str(error)
        return None


def _drop(table: Table) -> None:
    table.drop()


def _create(table: Table) -> None:
    table.create()


def _write(table: Table, name: str, text: str) -> Item | Refused:
    values = {":v": {"S": text}, ":p": {"S": PADDING}}
    update = "SET v = :v, p = :p"
    return table.write("update_item", Key=key("m", name), UpdateExpression=update, ExpressionAttributeValues=values, ReturnValues="ALL_NEW")


class DynamoBackend:
    """The entry point of the DynamoDB row."""

    name = "dynamodb"
    variants = VARIANTS
    mutants = {name: mutant.sentence for name, mutant in MUTANTS.items()}
    planted = PLANTED
    functions = FUNCTIONS
    grounds = ("local", "compose")

    @contextmanager
    def open(self, deployment: Deployment) -> Iterator[System]:
        """Start the emulator; stop it on leaving."""
        environment = {"DYNAMODB_OPTIONS": emulators.options_inside(deployment.variant)}
        with open_ground(deployment, Topology("dynamodb", environment, ("DYNAMODB_1_PORT",))) as ground:
            system = DynamoSystem(ground, deployment.variant, deployment.mutant)
            try:
                system.launch(ground)
                wait_for(system.steady, START_S, "the table is there")
                yield system
            finally:
                system.close()

    def offers(self, variant: str) -> frozenset[Need]:
        """One server: no node takes over."""
        return frozenset({Need.PROCESS, Need.LINKS, Need.REPLIES, Need.CLIENT_CLOCKS})

    def servers(self, variant: str) -> tuple[str, ...]:
        """Name an emulator, where the user names no server."""
        return emulators.servers(variant)

    def refused(self, variant: str, needs: frozenset[Need]) -> str | None:
        """Say what an endpoint of the user's cannot be asked to do."""
        return emulators.refused(variant, needs)


DYNAMODB = DynamoBackend()
