"""Planted bugs that are made of a backend's right commands alone, and so are the same on every backend."""

from __future__ import annotations

from collections.abc import Mapping

from backends.bugs import expiry, indexes, keys, locks
from backends.mutant import Mutant

SHARED: Mapping[str, Mutant] = {**locks.MUTANTS, **keys.MUTANTS, **expiry.MUTANTS, **indexes.MUTANTS}
