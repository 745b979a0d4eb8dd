"""The Memory backend's two shapes: in this process, or in a child that can be killed."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from backends.client import FUNCTIONS, StateClient
from backends.memory.mutants import MUTANTS, PLANTED
from backends.memory.remote import RemoteMemorySession
from backends.memory.session import MemorySession
from backends.memory.store import MemoryStore
from backends.target import Target
from harness.deploy.local import Local, LocalNode, open_local, own_session_environment
from harness.deploy.ports import HOST
from harness.driving.backend import Deployment
from harness.driving.client import Client
from harness.driving.system import Need, Node, Role, System

NODE = "memory-1"
MUTANT_PAUSE_S = 0.003  # between the steps of a mutant, so that its race is met
VARIANTS = {
    "default": "in the harness' own process, shared by its threads",
    "child": "in a child process, which can be killed",
}


class MemoryThreads:
    """A harness.driving.system.System without processes: one store, shared by threads."""

    name = "memory"

    def __init__(self, mutant: str | None) -> None:
        self._store, self._mutant = MemoryStore(), mutant
        self.versions: Mapping[str, str] = {"Python": sys.version.split()[0]}

    def client(self, side: str, deadline_s: float) -> Client:
        if self._mutant is None:
            return StateClient(MemorySession(self._store))
        return StateClient(MemorySession(self._store, self._mutant, lambda: time.sleep(MUTANT_PAUSE_S)))


class MemoryChild:
    """A harness.driving.system.HasNodes of one child process."""

    name = "memory"

    def __init__(self, local: Local, mutant: str | None) -> None:
        self._local, self._port = local, local.ports.reserve()
        argv = [sys.executable, "-m", "backends.memory.server", "--port", str(self._port)]
        argv += ["--directory", f"{local.processes.home(NODE)}/", *(["--mutant", mutant] if mutant else [])]
        self._node = LocalNode(local, NODE, argv, self._missing, own_session_environment())
        self.nodes: Mapping[str, Node] = {NODE: self._node}
        self.versions: Mapping[str, str] = {"Python": sys.version.split()[0]}
        self._node.start()

    def client(self, side: str, deadline_s: float) -> Client:
        target = Target(HOST, self._port, NODE)
        return StateClient(RemoteMemorySession(lambda: target, deadline_s))

    def roles(self) -> dict[str, Role]:
        state = self._node.state()
        pid = self._local.processes.pid(NODE)
        return {NODE: Role("primary" if state == "running" else state, run_id=None if state == "dead" else str(pid))}

    def primary(self) -> str | None:
        return NODE

    def steady(self) -> str | None:
        return self._missing()

    def heal_all(self) -> None:
        self._node.resume()
        self._node.start()

    def _missing(self) -> str | None:
        try:
            with socket.create_connection((HOST, self._port), timeout=0.3):
                return None
        except OSError as error:
            return str(error)


class MemoryBackend:
    """The entry point of the Memory backend."""

    name = "memory"
    variants = VARIANTS
    mutants = {name: mutant.sentence for name, mutant in MUTANTS.items()}
    planted = PLANTED
    functions = FUNCTIONS
    grounds = ("local", "compose")  # the same on both: there is no server to put into a container

    @contextmanager
    def open(self, deployment: Deployment) -> Iterator[System]:
        """Make the store; a child process is ended on leaving."""
        if deployment.variant == "default":
            yield MemoryThreads(deployment.mutant)
            return
        with open_local(deployment.directory) as local:
            yield MemoryChild(local, deployment.mutant)

    def offers(self, variant: str) -> frozenset[Need]:
        """No network, no second node; the variant child can be killed."""
        return frozenset({Need.PROCESS} if variant == "child" else ())


MEMORY = MemoryBackend()
