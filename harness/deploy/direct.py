"""A way to a server without a proxy, for runs whose faults meet no link: nothing then stands between client and server.

What is asked of a link when a node ends or starts costs nothing here, since the kernel refuses connections where nobody listens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from harness.errors import Infrastructure


@dataclass(frozen=True, slots=True)
class DirectLink:
    """A harness.driving.system.Link at the server's own port; what only a proxy can do is refused."""

    source: str
    target: str
    port: int

    @property
    def name(self) -> str:
        """Name the link, as in reports."""
        return f"{self.source} -> {self.target}"

    def cut(self) -> NoReturn:
        """Raise Infrastructure: a fault that cuts declares that it needs links."""
        raise Infrastructure(f"link {self.name} has no proxy in it, which a fault of this run would need; let it declare Need.LINKS")

    def delay(self, latency_ms: int) -> NoReturn:
        """Raise Infrastructure."""
        self.cut()

    def drop_replies(self) -> NoReturn:
        """Raise Infrastructure."""
        self.cut()

    def refuse(self) -> None:
        """Do nothing: nobody listens."""

    def accept(self) -> None:
        """Do nothing: the server listens."""

    def heal(self) -> None:
        """Do nothing: nothing can be wrong with it."""
