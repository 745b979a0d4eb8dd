"""What servers stand on, whichever shape it has: child processes of one machine, or the containers of a compose project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from harness.deploy.compose import Composed, attach_compose, open_compose
from harness.deploy.direct import DirectLink
from harness.deploy.local import Local, open_local
from harness.deploy.proxy import ProxyLink
from harness.driving.backend import Deployment
from harness.driving.system import Link


class Ground(Protocol):
    """What both shapes have in common: links, what was really run, what a server wrote."""

    @property
    def links(self) -> Sequence[Link]: ...

    @property
    def versions(self) -> dict[str, str]: ...

    @property
    def attached(self) -> bool:
        """Say whether the servers were there before, with what an earlier run has left in them."""
        ...

    def last_lines(self, name: str, count: int = 5) -> str: ...


@dataclass(frozen=True, slots=True)
class Topology:
    """The compose file that stands for a deployment: what its variables are told, and those of the ports that it publishes."""

    name: str
    environment: Mapping[str, str]
    ports: Sequence[str]


@contextmanager
def open_ground(deployment: Deployment, topology: Topology) -> Iterator[Local | Composed]:
    """Open a deployment's ground where it is asked for; end all that was started on it on leaving. Raises Infrastructure."""
    if deployment.attach is not None:
        with attach_compose(deployment.directory, deployment.attach) as composed:
            yield composed
    elif deployment.on == "compose":
        with open_compose(deployment.directory, topology.name, topology.environment, topology.ports) as composed:
            yield composed
    else:
        with open_local(deployment.directory, links=deployment.links) as local:
            yield local


def links_between(ground: Ground, source: str | None = None, target: str | None = None) -> list[Link]:
    """Give the links from this group into this node; None = any."""
    return [link for link in ground.links if source in (None, link.source) and target in (None, link.target)]


def port_between(ground: Ground, source: str, target: str) -> int:
    """Give the port at which a source group reaches a target."""
    return next(link.port for link in links_between(ground, source, target) if isinstance(link, ProxyLink | DirectLink))
