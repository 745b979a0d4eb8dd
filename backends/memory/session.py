"""A thread's session with a store in its own process."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from backends.memory.mutants import MUTANTS
from backends.memory.store import MemoryStore
from backends.mutant import Right, altered, bound, choose
from backends.session import OPERATIONS, CheckedSession, Commands


class MemorySession(CheckedSession):
    """A session over a shared store.

    `yield_` lets other threads run: before every operation, and between the steps of a mutant that has
    several. Without it a thread keeps the interpreter for 5 ms at a time and nothing contends.
    """

    def __init__(self, store: MemoryStore, mutant: str | None = None, yield_: Callable[[], None] = lambda: time.sleep(0)) -> None:
        super().__init__(commands(store, mutant, yield_))


def commands(store: MemoryStore, mutant: str | None, yield_: Callable[[], None]) -> Commands:
    """Give the store's commands, those of the mutant replaced, with a yield before each."""
    wrong = bound(choose(MUTANTS, mutant).steps, Right(store, yield_)) if mutant is not None else {}
    steps = {name: wrong.get(name) or getattr(store, name) for name in OPERATIONS}
    return altered(store, {name: partial(_after, yield_, do) for name, do in steps.items()})


def _after(yield_: Callable[[], None], do: Callable[..., Any], *arguments: Any) -> Any:
    yield_()
    return do(*arguments)
