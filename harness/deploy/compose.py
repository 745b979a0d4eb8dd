"""A compose project as a deployment's ground: containers instead of child processes, networks and toxiproxy for links.

    client groups ──> toxiproxy ──> each node        network `client`, ports published on 127.0.0.1
    peers ──────────────────────────> each node        network `cluster`, internal, fixed addresses that nodes announce

A node is cut from its peers by taking it off `cluster`, with its address given back on healing, and never off `client`:
published ports follow that network. Administration goes to each node's own published port, past every link.

Containers, networks and volumes carry the path of the run that made them (label `holdwater.run`), and the run holds a
lock in its directory: a project whose lock is free belongs to a run that is gone, and the next start removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.deploy.engine import ENGINE_S, command, connected, engine
from harness.deploy.ports import HOST, Ports
from harness.deploy.proxy import ProxyLink, ProxyServer
from harness.driving.system import Link, Node, Passage
from harness.errors import Infrastructure
from harness.record import store
from harness.waiting import wait_for

FILES = Path(__file__).resolve().parents[1] / "compose"
RUN, NODE = "holdwater.run", "holdwater.node"
PROJECT = "com.docker.compose.project"
CLUSTER = "cluster"
PEERS = "peers"
PREFIXES = 100
PROXY, PROXY_API = "toxiproxy", 8474
LOCK = "compose.lock"
UP_S, START_S = 180.0, 60.0


class NetworkLink:
    """The way from a node's peers to it: the cluster network. It can be cut and healed, and nothing else."""

    def __init__(self, project: Composed, target: str) -> None:
        self._project, self.source, self.target = project, PEERS, target
        self.address = project.address(target)

    @property
    def name(self) -> str:
        return f"{self.source} -> {self.target}"

    @property
    def connected(self) -> bool:
        """Say whether the target is on the network."""
        with engine(f"looking at {self.name}"):
            networks = self._project.container(self.target).attrs["NetworkSettings"]["Networks"]
            return self._project.network(CLUSTER).name in networks

    def cut(self) -> None:
        if self.connected:
            with engine(f"cutting {self.name}"):
                self._project.network(CLUSTER).disconnect(self._project.container(self.target))

    def passage(self, nodes: Mapping[str, Node], argv: Sequence[str]) -> Passage:
        """Ask the node by a command inside another one's container: nothing is written, that it succeeds is the arrival."""
        asking = next((name for name, node in nodes.items() if name != self.target and node.state() == "running"), None)
        if asking is None:
            raise Infrastructure(f"link {self.name}: no other node runs that could ask")
        start = time.monotonic()
        answered = self._project.run_in(asking, argv) == 0
        return Passage(answered, answered, round((time.monotonic() - start) * 1000, 1) if answered else None)

    def delay(self, latency_ms: int) -> None:
        raise Infrastructure(f"link {self.name}: a network cannot be delayed here")

    def drop_replies(self) -> None:
        raise Infrastructure(f"link {self.name}: a network cannot lose replies alone")

    def heal(self) -> None:
        if not self.connected:
            with engine(f"healing {self.name}"):
                container = self._project.container(self.target)
                self._project.network(CLUSTER).connect(container, ipv4_address=self.address, aliases=[self.target])


class ContainerNode:
    """A harness.driving.system.Node: one container. `answers` gives None once the server answers at its published port."""

    def __init__(self, project: Composed, name: str, answers: Callable[[], str | None]) -> None:
        self._project, self._name, self._answers = project, name, answers

    @property
    def name(self) -> str:
        return self._name

    def start(self) -> None:
        with engine(f"starting {self._name}"):
            container = self._project.container(self._name)
            if container.status == "paused":
                container.unpause()
            elif container.status != "running":
                container.start()
        self.await_answer()

    def await_answer(self) -> None:
        """Wait until the server answers, then accept connections on the links into it."""
        wait_for(self._answer, START_S, f"{self._name} answers")
        for link in self._inbound:
            link.accept()

    def kill(self) -> None:
        # First: the proxy would dial an address that is gone from the network, and wait for it without end.
        for link in self._inbound:
            link.refuse()
        with engine(f"killing {self._name}"):
            container = self._project.container(self._name)
            if container.status == "paused":
                container.unpause()  # an engine does not kill what is frozen
            if self._project.container(self._name).status == "running":
                container.kill("SIGKILL")
                container.wait(timeout=ENGINE_S)

    def pause(self) -> None:
        with engine(f"pausing {self._name}"):
            if self._project.container(self._name).status == "running":
                self._project.container(self._name).pause()

    def resume(self) -> None:
        with engine(f"resuming {self._name}"):
            if self._project.container(self._name).status == "paused":
                self._project.container(self._name).unpause()

    def state(self) -> str:
        with engine(f"looking at {self._name}"):
            status = self._project.container(self._name).status
        return status if status in ("running", "paused") else "dead"

    @property
    def _inbound(self) -> list[ProxyLink]:
        return [link for link in self._project.links if isinstance(link, ProxyLink) and link.target == self._name]

    def run_id(self) -> str:
        """Name this start of the container."""
        with engine(f"looking at {self._name}"):
            return str(self._project.container(self._name).attrs["State"]["StartedAt"])

    def _answer(self) -> str | None:
        missing = self._answers()
        if missing is not None and self.state() == "dead":
            raise Infrastructure(f"{self._name} ended at its start: {self._project.last_lines(self._name)}")
        return missing


@dataclass(slots=True)
class Composed:
    """The containers, ports and links of one run; made by `open_compose`, or found by `attach_compose`."""

    project: str
    directory: Path
    files: tuple[Path, ...]
    environment: Mapping[str, str]
    client: Any
    link_ports: list[int]
    links: list[Link]
    versions: dict[str, str]
    attached: bool = False
    _proxy: ProxyServer | None = None

    def container(self, service: str) -> Any:
        """Give a service's container, as the engine sees it now. Raises Infrastructure where there is none."""
        with engine(f"looking for {service}"):
            found = self.client.containers.list(all=True, filters={"label": self._labels(service)})
        if not found:
            raise Infrastructure(f"project {self.project} has no container of service {service}")
        return found[0]

    def network(self, name: str) -> Any:
        """Give a network of the project. Raises Infrastructure where there is none."""
        found = self.client.networks.list(filters={"label": [f"{PROJECT}={self.project}", f"com.docker.compose.network={name}"]})
        if not found:
            raise Infrastructure(f"project {self.project} has no network {name}")
        return found[0]

    def port(self, service: str, private: int) -> int:
        """Give the port on 127.0.0.1 at which a service's own port is published."""
        published = self.container(service).attrs["HostConfig"]["PortBindings"].get(f"{private}/tcp") or []
        if not published:
            raise Infrastructure(f"service {service} of project {self.project} does not publish port {private}")
        return int(published[0]["HostPort"])

    def address(self, service: str) -> str:
        """Give a service's fixed address on the cluster network."""
        endpoint = self.container(service).attrs["NetworkSettings"]["Networks"][self.network(CLUSTER).name]
        return str(endpoint["IPAMConfig"]["IPv4Address"])

    def image(self, service: str) -> str:
        """Name the image that a service runs, as the project's file does."""
        return str(self.container(service).attrs["Config"]["Image"])

    def start_proxy(self) -> None:
        """Wait until the project's toxiproxy answers."""
        self._proxy = ProxyServer(self.port(PROXY, PROXY_API))
        proxy = self._proxy
        wait_for(lambda: None if proxy.version() is not None else "no answer yet", START_S, "toxiproxy answers")
        self.versions["toxiproxy"] = proxy.version() or "unknown"

    def link(self, source: str, target: str, private: int, *, reply_budget: int | None = None) -> ProxyLink:
        """Open a link into a port of a service; for its reply budget in bytes see `harness.deploy.proxy`."""
        assert self._proxy is not None
        made = self._proxy.link(source, target, self.link_ports.pop(0), f"{target}:{private}", listen_host="0.0.0.0")
        made.reply_budget = made.reply_budget if reply_budget is None else reply_budget
        self.links.append(made)
        return made

    def peers(self, target: str) -> NetworkLink:
        """Make the link by which a node's peers reach it: the cluster network."""
        made = NetworkLink(self, target)
        self.links.append(made)
        return made

    def run_in(self, service: str, argv: Sequence[str]) -> int:
        """Run a command inside a service's container; give its exit code."""
        with engine(f"running {argv[0]} in {service}"):
            return int(self.container(service).exec_run(list(argv)).exit_code)

    def save_logs(self) -> None:
        """Copy what each container wrote to logs/NODE.log of the run directory."""
        folder = self.directory / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        for container in self.client.containers.list(all=True, filters={"label": f"{PROJECT}={self.project}"}):
            with suppress(Infrastructure), engine("reading a log"):
                label = container.labels.get(NODE, "")  # of an attached project: anybody's
                name = label if store.NAME.fullmatch(label) else container.name
                store.save(folder / f"{name}.log", container.logs(timestamps=True))

    def last_lines(self, name: str, count: int = 5) -> str:
        """Give the end of what a service wrote, for an error message."""
        with suppress(Infrastructure), engine("reading a log"):
            lines = self.container(name).logs(tail=count).decode("utf-8", "replace").strip().splitlines()
            return " | ".join(lines) or "an empty log"
        return "no log"

    def _labels(self, service: str) -> list[str]:
        return [f"{PROJECT}={self.project}", f"com.docker.compose.service={service}"]


@contextmanager
def open_compose(directory: Path, topology: str, environment: Mapping[str, str], published: Sequence[str]) -> Iterator[Composed]:
    """Bring a topology up with its links, and take all of it down on leaving, its logs copied into the run directory.

    `published` are the topology's variables for ports on 127.0.0.1: each gets a free one. Raises Infrastructure.
    """
    client = connected()
    clear(client)
    directory.mkdir(parents=True, exist_ok=True)
    files = (FILES / f"{topology}.yaml", FILES / "toxiproxy.yaml")
    with contextlib.ExitStack() as stack:
        held = stack.enter_context((directory / LOCK).open("w"))
        fcntl.flock(held, fcntl.LOCK_EX)
        links = _free_range(24)
        settings = {
            **environment,
            **{name: str(port) for name, port in zip([*published, "TOXIPROXY_PORT"], _free(len(published) + 1), strict=True)},
            "LINK_PORTS": f"{links[0]}-{links[-1]}",
            "CLUSTER_PREFIX": _free_prefix(client),
            "HOLDWATER_RUN": str(directory.resolve()),
        }
        project = f"holdwater-{os.getpid()}-{time.monotonic_ns() % 1_000_000_000}"
        ground = Composed(project, directory, files, settings, client, links, [], {})
        try:
            _compose(ground, "up", "--detach", "--wait", "--quiet-pull")
            ground.start_proxy()
            yield ground
        finally:
            ground.save_logs()
            _compose(ground, "down", "--volumes", "--timeout", "1")
            client.close()


@contextmanager
def attach_compose(directory: Path, project: str) -> Iterator[Composed]:
    """Use a project that is up, and leave it up, without our links. Raises Infrastructure, with the projects that there are."""
    client = connected()
    directory.mkdir(parents=True, exist_ok=True)
    ground = Composed(project, directory, (), {}, client, [], [], {}, attached=True)
    try:
        ground.link_ports = _published_links(ground)
        yield ground
    finally:
        for link in ground.links:
            with suppress(Infrastructure):
                link.close() if isinstance(link, ProxyLink) else link.heal()
        ground.save_logs()
        client.close()


def _published_links(ground: Composed) -> list[int]:
    """Find the ports that a project's toxiproxy publishes for links."""
    with engine("looking for projects"):
        projects = {each.labels.get(PROJECT) for each in ground.client.containers.list() if each.labels.get(PROJECT)}
    if ground.project not in projects:
        raise Infrastructure(f"no compose project {ground.project!r} is up; there are: {', '.join(sorted(projects)) or 'none'}")
    try:
        bound = ground.container(PROXY).attrs["HostConfig"]["PortBindings"]
    except Infrastructure as error:
        raise Infrastructure(f"{error}; bring it up with -f compose/toxiproxy.yaml too") from None
    return sorted(int(name.split("/")[0]) for name in bound if name != f"{PROXY_API}/tcp")


def _compose(ground: Composed, *words: str) -> None:
    line = [*command(), "--project-name", ground.project, *(part for file in ground.files for part in ("--file", str(file))), *words]
    done = subprocess.run(
        line, env={**os.environ, **ground.environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=UP_S, check=False
    )
    if done.returncode != 0:
        said = [text for text in done.stderr.splitlines() if text.strip()]
        raise Infrastructure(f"`{' '.join(words)}` of project {ground.project} failed: {' | '.join(said[-3:]) or 'no output'}")


def clear(client: Any | None = None) -> int:
    """Remove the projects of runs that are gone; give how many containers that were. A run is gone where nobody holds its lock."""
    own = client is None
    client = connected() if client is None else client
    removed = 0
    try:
        for container in client.containers.list(all=True, filters={"label": RUN}):
            if _gone(container.labels[RUN]):
                with suppress(Infrastructure), engine("removing a container"):
                    container.remove(force=True, v=True)
                    removed += 1
        for network in client.networks.list(filters={"label": RUN}):
            if _gone(network.attrs["Labels"][RUN]):
                with suppress(Infrastructure), engine("removing a network"):
                    network.remove()
    finally:
        if own:
            client.close()
    return removed


def _gone(run: str) -> bool:
    if not run:
        return False  # brought up by hand
    try:
        with (Path(run) / LOCK).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _free(count: int) -> list[int]:
    with Ports() as ports:
        return [ports.reserve() for _ in range(count)]


def _free_prefix(client: Any) -> str:
    """Find a network for the addresses that nodes announce, so that projects may stand beside each other."""
    with engine("listing networks"):
        networks = client.networks.list()
    taken = [ipaddress.ip_network(each["Subnet"]) for network in networks for each in (network.attrs["IPAM"]["Config"] or ())]
    first = time.monotonic_ns() // 1_000_000
    for n in range(PREFIXES):
        prefix = f"172.30.{100 + (first + n) % PREFIXES}"
        if not any(ipaddress.ip_network(f"{prefix}.0/24").overlaps(each) for each in taken if each.version == 4):
            return prefix
    raise Infrastructure(f"none of the networks 172.30.100.0/24 to 172.30.{99 + PREFIXES}.0/24 is free")


def _free_range(count: int) -> list[int]:
    """Find so many ports in a row that nobody listens on: the engine publishes ranges whole."""
    for start in range(17_101, 30_000, count):
        held = []
        try:
            for port in range(start, start + count):
                one = socket.socket()
                held.append(one)
                one.bind((HOST, port))
        except OSError:
            continue
        finally:
            for one in held:
                one.close()
        return list(range(start, start + count))
    raise Infrastructure(f"no {count} free ports in a row from 17101 on")
