"""What the key of a history names: `namespace:tenant:kind:id` in full, or shortly an id of the place that is a run's own.

An id alone may hold colons, so that a name with three of them or more is in full and any other is short: each key has one name.
"""

from __future__ import annotations

PLACE = "holdwater:run:state"
"""Namespace, tenant and kind of a key that is named shortly."""
COLONS = 3


def in_full(name: str) -> str:
    """Give the canonical key that a history's key names."""
    return name if name.count(":") >= COLONS else f"{PLACE}:{name}"


def in_short(canonical: str) -> str:
    """Give the name by which a history has a canonical key."""
    name = canonical.removeprefix(f"{PLACE}:")
    return name if name.count(":") < COLONS else canonical


def kind_of(canonical: str) -> str:
    """Give the third component."""
    return canonical.split(":", COLONS)[2]
