"""A rule as a value: what it says, which functions it asks, and how it asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.contract.asking import Asking

READS = frozenset({"get", "get_versioned"})


@dataclass(frozen=True, slots=True)
class Rule:
    """`run` raises Broken where a backend breaks it. `reads`: it also needs one function that reads a value, whichever."""

    name: str
    sentence: str
    needs: frozenset[str]
    run: Callable[[Asking], None]
    reads: bool = False

    def lacks(self, functions: frozenset[str]) -> tuple[str, ...]:
        """Name the functions that a backend does not have and this rule asks."""
        missing = sorted(self.needs - functions)
        return (*missing, *(["get or get_versioned"] if self.reads and not functions & READS else []))


def rule(name: str, sentence: str, needs: str, *, reads: bool = False) -> Callable[[Callable[[Asking], None]], Rule]:
    """Make a function a rule; `needs` are names of functions with spaces between them."""
    return lambda run: Rule(name, sentence, frozenset(needs.split()), run, reads)
