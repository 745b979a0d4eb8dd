"""PostgreSQL servers as containers of a compose project: administered at their published ports."""

from __future__ import annotations

from backends.postgres.admin import Admin
from backends.postgres.servers import role_of, silent
from harness.deploy.compose import Composed, ContainerNode
from harness.driving.system import Role

SERVER_PORT = 5432


class ComposedServer(ContainerNode):
    """A server in a container, with its administration connection."""

    def __init__(self, composed: Composed, name: str) -> None:
        self.port = composed.port(name, SERVER_PORT)
        self.admin = Admin(self.port, name)
        super().__init__(composed, name, lambda: silent(self.admin))

    def role(self) -> Role:
        """Ask the server for its role."""
        return role_of(self.admin)
