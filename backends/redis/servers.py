"""What the single and the Sentinel deployment of Redis have in common: data nodes, links, probes.

Each data node has one listener in front of it for every client side and, where it has peers, one for
them. Which server was run, Redis or Valkey, stands in `versions`: both speak the same protocol, and
the findings came out alike on both.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import redis
from redis.exceptions import RedisError

from backends.redis.admin import Admin
from backends.redis.session import RedisSession
from backends.target import Resolve
from harness.deploy.compose import NetworkLink
from harness.deploy.ground import Ground, links_between, port_between
from harness.deploy.install import require
from harness.deploy.local import Local, LocalNode
from harness.deploy.ports import HOST
from harness.deploy.proxy import ProxyLink
from harness.driving.system import Link, Node, Passage, Role
from harness.errors import Infrastructure

SIDES = ("clients-a", "clients-b")
PEERS = "peers"
# Else the server overwrites its arguments, and a sweep for what names the run's directory does not find it.
PLAIN_ARGUMENTS = "set-proc-title no"
MARKER = "hw:marker"
PASSAGE = "hw:passage"
PASSAGE_S = 0.25  # how long a probe waits for an answer that should not come
MUTANT_PAUSE_S = 0.003  # between the steps of a mutant, so that its race is met
ROLES = {"master": "primary", "slave": "replica"}

# A marker that must arrive, and an answer long enough to be cut by a link that drops replies.
PASSAGE_SCRIPT = "#!lua\nredis.call('SET', KEYS[1], ARGV[1])\nreturn string.rep('x', 300)"


class DataNode(LocalNode):
    """A Redis server with its administration connection."""

    def __init__(self, local: Local, name: str, port: int, config: Sequence[str]) -> None:
        self.port, self.admin = port, Admin(port)
        directory = local.processes.home(name)
        lines = [
            f"port {port}",
            f"bind {HOST}",
            f'dir "{directory}"',
            PLAIN_ARGUMENTS,
            "repl-diskless-sync-delay 0",
            "repl-timeout 5",
            *config,
        ]
        file = directory / "redis.conf"
        file.write_text("\n".join(lines) + "\n", "utf-8")
        super().__init__(local, name, [str(require("redis-server").path), str(file)], self._missing)

    def _missing(self) -> str | None:
        info = self.admin.info("persistence")
        if info is None:
            return "no answer to INFO"
        return "still loading its data" if info.get("loading") == "1" else None


class RedisNode(Node, Protocol):
    """A data node, whichever way it is run, with its administration connection."""

    @property
    def admin(self) -> Admin: ...


class RedisServers:
    """Data nodes behind links; what single and Sentinel share of a harness.driving.system.System."""

    def __init__(self, ground: Ground, name: str, variant: str, mutant: str | None) -> None:
        self._ground, self.name, self.variant, self._mutant = ground, name, variant, mutant
        self.nodes: dict[str, RedisNode] = {}
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

    def session(self, resolve: Resolve, deadline_s: float) -> RedisSession:
        """Make a session of the variant or mutant that is deployed."""
        return RedisSession(resolve, deadline_s, mutant=self._mutant, yield_=lambda: time.sleep(MUTANT_PAUSE_S))

    def note_version(self, node: RedisNode) -> None:
        """Record which server really runs."""
        info = node.admin.info("server") or {}
        valkey = info.get("valkey_version")
        self._versions["Valkey" if valkey else "Redis"] = valkey or info.get("redis_version", "unknown")

    def forget(self, primary: str) -> None:
        """Remove what an earlier run has left, where servers were there before: only keys with our own prefix."""
        if not self._ground.attached:
            return
        cursor = ""
        while cursor != "0":
            found, keys = self._admin(primary, "SCAN", cursor or "0", "MATCH", "hw:*", "COUNT", 1000)
            if keys:
                self._admin(primary, "UNLINK", *(key.decode() for key in keys))
            cursor = found.decode()

    def roles(self) -> dict[str, Role]:
        found = {}
        for name, node in self.nodes.items():
            state = node.state()
            found[name] = _role(node) if state == "running" else Role(state)
        return found

    def write_marker(self, node: str, marker: str) -> None:
        self._admin(node, "SET", MARKER, marker)

    def read_marker(self, node: str) -> str | None:
        try:
            return _text(self.nodes[node].admin.ask("GET", MARKER))
        except (RedisError, OSError):
            return None

    def lock_owner(self, node: str, name: str) -> str | None:
        try:
            return _text(self.nodes[node].admin.ask("HGET", f"hw:lock:{name}", "owner"))
        except (RedisError, OSError):
            return None

    def keys_held(self, node: str) -> int:
        return int(self._admin(node, "DBSIZE"))

    def passage(self, link: Link) -> Passage:
        if isinstance(link, NetworkLink):
            return link.passage(self.nodes, ["timeout", "1", "redis-cli", "-h", link.address, "ping"])
        if not isinstance(link, ProxyLink) or link.target not in self.nodes:
            raise Infrastructure(f"link {link.name}: no data node at its far end to look for a marker")
        marker = f"{time.monotonic_ns()}"
        through = Admin(link.port, PASSAGE_S)
        start = time.monotonic()
        try:
            through.ask("EVAL", PASSAGE_SCRIPT, 1, PASSAGE, marker)
            answered = True
        except redis.ResponseError:
            answered = True  # refused, but by the far end
        except (RedisError, OSError):
            answered = False
        finally:
            took_ms = (time.monotonic() - start) * 1000
            through.close()
        try:
            arrived = _text(self.nodes[link.target].admin.ask("GET", PASSAGE)) == marker
        except (RedisError, OSError):
            arrived = False
        return Passage(arrived, answered, round(took_ms, 1) if answered else None)

    def heal_links(self) -> None:
        """Heal every link whose target lives, and start and resume every node."""
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

    def _admin(self, node: str, *arguments: str | int) -> Any:
        try:
            return self.nodes[node].admin.ask(*arguments)
        except (RedisError, OSError) as error:
            raise Infrastructure(f"{node} refused {arguments[0]}: {error}") from None


def _role(node: RedisNode) -> Role:
    info = node.admin.info("server", "replication")
    if info is None:
        return Role("silent")
    link = {"up": "up", "down": "down"}.get(info.get("master_link_status", ""))
    if info.get("master_sync_in_progress") == "1":
        link = "syncing"
    return Role(ROLES.get(info.get("role", ""), "silent"), run_id=info.get("run_id"), link=link)


def _text(reply: Any) -> str | None:
    return None if reply is None else reply.decode("utf-8")
