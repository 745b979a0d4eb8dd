"""Where a session connects to: asked anew for every connection, since a failover moves the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """An address and the name of the node behind it. `host` is an address, not a name: resolving has no deadline."""

    host: str
    port: int
    node: str


Resolve = Callable[[], Target]
"""Say where to connect now. May ask others (sentinels) and raise NotApplied where nobody answers.

Its time counts against the operation's deadline, but only it can keep it.
"""
