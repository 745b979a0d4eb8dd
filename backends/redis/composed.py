"""Redis nodes as containers of a compose project: administered at their published ports."""

from __future__ import annotations

from collections.abc import Iterable

from backends.redis.admin import Admin
from harness.deploy.compose import Composed, ContainerNode

DATA_PORT, SENTINEL_PORT = 6379, 26379


class ComposedNode(ContainerNode):
    """A server in a container, with its administration connection."""

    def __init__(self, composed: Composed, name: str, private_port: int) -> None:
        self.admin = Admin(composed.port(name, private_port))
        super().__init__(composed, name, self._missing)

    def _missing(self) -> str | None:
        info = self.admin.info("server", "persistence")
        if info is None:
            return "no answer to INFO"
        return "still loading its data" if info.get("loading") == "1" else None


def options(lines: Iterable[str]) -> str:
    """Turn lines of a configuration file into the options of a command line."""
    return " ".join(f"--{line}" for line in lines)
