"""The contract suite: every rule, asked of a backend that runs, each with a line of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from harness.contract import locks, reference, scans, store
from harness.contract.asking import Asking, Broken
from harness.contract.rule import Rule
from harness.driving.client import Client, Indeterminate, NotApplied
from harness.errors import Infrastructure

RULES: tuple[Rule, ...] = tuple(
    found for module in (reference, store, locks, scans) for found in vars(module).values() if isinstance(found, Rule)
)
"""All rules, in their order."""

Status = Literal["ok", "broken", "unanswered", "left out"]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a rule. `seen` and `expected` of one that is broken; `lacks`: functions for which it was left out."""

    rule: str
    sentence: str
    status: Status
    seen: str | None = None
    expected: str | None = None
    lacks: tuple[str, ...] = ()
    seconds: float = 0.0


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend makes of all rules. `exit`: 1 where one is broken, 3 where the server did not answer, else 0."""

    holdwater: Literal[1] = 1
    backend: str
    variant: str
    mutant: str | None = None
    versions: dict[str, str]
    rules: tuple[Kept, ...]

    @property
    def exit(self) -> int:
        """Give the exit code."""
        words = {each.status for each in self.rules}
        return 1 if "broken" in words else 3 if "unanswered" in words else 0


def chosen(names: Sequence[str]) -> tuple[Rule, ...]:
    """Give the rules of these names, all where none is named."""
    return tuple(each for each in RULES if not names or each.name in names)


def ask_all(rules: Sequence[Rule], connect: Callable[[], Client], functions: frozenset[str]) -> Iterator[Kept]:
    """Ask each rule that a backend has the functions for; give what became of each as it is known."""
    for each in rules:
        lacks = each.lacks(functions)
        began = time.monotonic()
        found: dict[str, Any] = {"status": "left out", "lacks": lacks} if lacks else _asked(each, connect, functions)
        yield Kept(rule=each.name, sentence=each.sentence, seconds=round(time.monotonic() - began, 2), **found)


def _asked(rule: Rule, connect: Callable[[], Client], functions: frozenset[str]) -> dict[str, Any]:
    asking = Asking(connect, functions)
    try:
        rule.run(asking)
    except Broken as error:
        return {"status": "broken", "seen": error.seen, "expected": error.expected}
    except (Indeterminate, NotApplied) as error:
        return {"status": "unanswered", "seen": f"{type(error).__name__}: {error}", "expected": "an answer: nothing was done to the server"}
    except Infrastructure:
        raise
    except Exception as error:  # noqa: BLE001 - a client that raises what its protocol does not name breaks the contract
        return {"status": "broken", "seen": f"{type(error).__name__}: {error}", "expected": "an answer"}
    finally:
        asking.close()
    return {"status": "ok"}
