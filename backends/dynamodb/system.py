"""DynamoDB's deployment: the emulator Dynoxide as a child process or a container, with and without a file of its own.

An emulator says nothing of AWS: neither of its eventual reads nor of several regions, nor of what a failure of a zone does.
It is run since it does what one conditional request is documented to do; what only AWS can show are claims that are unavailable.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from backends.client import FUNCTIONS, StateClient
from backends.dynamodb.mutants import MUTANTS
from backends.dynamodb.session import DynamoSession, wall_ms
from backends.dynamodb.table import Item, Refused, Table, key
from backends.dynamodb.transport import Transport
from backends.target import Target
from harness.client import Client, Indeterminate, NotApplied
from harness.deploy.compose import Composed, ContainerNode
from harness.deploy.ground import Ground, Topology, links_between, open_ground, port_between
from harness.deploy.install import require
from harness.deploy.local import Local, LocalNode
from harness.deploy.ports import HOST
from harness.deploy.process import wait_for
from harness.deploy.proxy import ProxyLink
from harness.system import Deployment, Infrastructure, Link, Need, Node, Passage, Role, System

NODE, PRIVATE_PORT = "dynamodb-1", 8000
EMULATOR = "Dynoxide"
SIDES = ("clients-a", "clients-b")
BOUND_MS = 100
ADMIN_S, PASSAGE_S, START_S = 1.0, 0.6, 30.0
MUTANT_PAUSE_S = 0.004  # between the steps of a mutant, so that its race is met
# What a connection may pass of answers before the rest is cut: that of GET / and of one or two requests are about 260 bytes each.
REPLY_BUDGET_BYTES = 500
PADDING = "x" * 1000  # an answer long enough to be cut by a link that drops replies
MARKER, PASSAGE = "marker", "passage"
FILE_INSIDE = "--db-path /data/dynoxide.db"
VARIANTS = {
    "durable": "Dynoxide, an emulator, with a database file",
    "in-memory": "Dynoxide, an emulator, without a file: gone with its process",
}


class Clock:
    """A client group's clock: the machine's, with an offset that a fault sets; thread-safe."""

    def __init__(self) -> None:
        self.offset_ms = 0

    def __call__(self) -> int:
        return wall_ms() + self.offset_ms


class Admin:
    """Questions to the emulator past every proxy; thread-safe. What fails raises NotApplied or Indeterminate."""

    def __init__(self, port: int, timeout_s: float = ADMIN_S) -> None:
        target = Target(HOST, port, NODE)
        self._table, self._lock = Table(Transport(lambda: target, timeout_s)), threading.Lock()

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
    """The emulator as a child process."""

    def __init__(self, local: Local, port: int, options: Sequence[str], missing: Callable[[], str | None]) -> None:
        binary = local.processes.home(NODE) / "dynoxide"
        binary.symlink_to(require("dynoxide").path)  # its arguments then name this run's directory, by which a sweep finds it
        super().__init__(local, NODE, [str(binary), "serve", "--host", HOST, "--port", str(port), *options], missing)

    def run_id(self) -> str:
        """Name this start of the emulator."""
        return str(self._local.processes.pid(NODE))


class DynamoSystem:
    """A harness.system.System of one emulator; both sides reach it, each with a clock of its own."""

    name = "dynamodb"
    sides: tuple[str, ...] = SIDES
    clock_bound_ms = BOUND_MS

    def __init__(self, ground: Local | Composed, variant: str, mutant: str | None) -> None:
        self._ground: Ground = ground
        self.variant, self._mutant = variant, mutant
        self._clocks = {side: Clock() for side in SIDES}
        self._port = ground.port(NODE, PRIVATE_PORT) if isinstance(ground, Composed) else ground.ports.reserve()
        self._admin = Admin(self._port)
        self._node = self._made(ground)
        self.nodes: Mapping[str, Node] = {NODE: self._node}
        self._versions = {f"{EMULATOR} (an emulator)": self._version(ground)}

    @property
    def versions(self) -> Mapping[str, str]:
        return {**self._ground.versions, **self._versions}

    def launch(self, ground: Local | Composed) -> None:
        """Start the emulator, or take the project's over, make the table, and open a link for each side."""
        ground.start_proxy()
        port = PRIVATE_PORT if isinstance(ground, Composed) else self._port
        for side in SIDES:
            ground.link(side, NODE, port, reply_budget=REPLY_BUDGET_BYTES)
        if ground.attached:
            self._forget()
        self._node.start()

    def _forget(self) -> None:
        """Remove what an earlier run has left: the table is our own."""
        try:
            self._admin.ask(_drop)
        except (NotApplied, Indeterminate) as error:
            raise Infrastructure(f"{NODE} did not remove the table of an earlier run: {error}") from None

    def _made(self, ground: Local | Composed) -> EmulatorProcess | ContainerNode:
        if isinstance(ground, Composed):
            return ContainerNode(ground, NODE, self._missing)
        file = ["--db-path", str(ground.processes.home(NODE) / "table.db")] if self.variant == "durable" else []
        return EmulatorProcess(ground, self._port, file, self._missing)

    @staticmethod
    def _version(ground: Local | Composed) -> str:
        return ground.image(NODE) if isinstance(ground, Composed) else require("dynoxide").version

    def links(self, source: str | None = None, target: str | None = None) -> list[Link]:
        return links_between(self._ground, source, target)

    def client(self, side: str, deadline_s: float) -> Client:
        target = Target(HOST, port_between(self._ground, side, NODE), NODE)
        return StateClient(
            DynamoSession(
                lambda: target,
                deadline_s,
                bound_ms=BOUND_MS,
                clock=self._clocks[side],
                mutant=self._mutant,
                yield_=lambda: time.sleep(MUTANT_PAUSE_S),
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

    def hurried(self) -> AbstractContextManager[None]:
        return nullcontext()

    def passage(self, link: Link) -> Passage:
        if not isinstance(link, ProxyLink):
            raise Infrastructure(f"link {link.name}: no emulator at its far end to look for a marker")
        marker, through = f"{time.monotonic_ns()}", Admin(link.port, PASSAGE_S)
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

    def keys_held(self, node: str) -> int:
        with_table = Transport(lambda: Target(HOST, self._port, NODE), ADMIN_S)
        table = Table(with_table)
        try:
            table.begin()
            return sum(1 for _ in table.pages("scan"))
        except (NotApplied, Indeterminate) as error:
            raise Infrastructure(f"{node} does not count its keys: {error}") from None
        finally:
            table.close()

    def write_marker(self, node: str, marker: str) -> None:
        try:
            self._admin.ask(lambda table: _write(table, MARKER, marker))
        except (NotApplied, Indeterminate) as error:
            raise Infrastructure(f"{node} refused a marker: {error}") from None

    def read_marker(self, node: str) -> str | None:
        return self._read(MARKER)

    def lock_owner(self, node: str, name: str) -> str | None:
        try:
            found = self._admin.ask(lambda table: table.read(f"l#{name}", "lock"))
        except (NotApplied, Indeterminate):
            return None
        return found["o"]["S"] if found and "o" in found and int(found["e"]["N"]) > wall_ms() else None

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
        """Drop the administration connection."""
        self._admin.close()

    def _read(self, name: str) -> str | None:
        try:
            found = self._admin.ask(lambda table: table.read("m", name))
        except (NotApplied, Indeterminate):
            return None
        return found["v"]["S"] if found else None

    def _missing(self) -> str | None:
        try:
            self._admin.ask(_create)
            self._admin.ask(lambda table: table.read("m", MARKER))
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
    functions = FUNCTIONS
    undriven: frozenset[str] = frozenset()
    grounds = ("local", "compose")

    @contextmanager
    def open(self, deployment: Deployment) -> Iterator[System]:
        """Start the emulator; stop it on leaving."""
        environment = {"DYNAMODB_OPTIONS": FILE_INSIDE if deployment.variant == "durable" else ""}
        with open_ground(deployment, Topology("dynamodb", environment, ("DYNAMODB_1_PORT",))) as ground:
            system = DynamoSystem(ground, deployment.variant, deployment.mutant)
            try:
                system.launch(ground)
                wait_for(system.steady, START_S, "the table is there")
                yield system
            finally:
                system.close()

    def offers(self, variant: str) -> frozenset[Need]:
        """One emulator: no node takes over."""
        return frozenset({Need.PROCESS, Need.LINKS, Need.REPLIES, Need.CLIENT_CLOCKS})

    def servers(self, variant: str) -> tuple[str, ...]:
        """Name what it starts."""
        return ("dynoxide", "toxiproxy")


DYNAMODB = DynamoBackend()
