"""Planted bugs of the DynamoDB backend: words of a request left out or changed, or an operation in two requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from backends.mutant import Right, Step, bound, get_then_set, lasting_grant, stale_cas, waiting_grant
from backends.session import Commands


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug in one sentence, and how it is made: by step, what is replaced in its request by what."""

    sentence: str
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    replaced: Mapping[str, Step] = field(default_factory=dict)

    def steps(self, commands: Commands, yield_: Callable[[], None]) -> dict[str, Step]:
        """Give the operations that take several requests."""
        return bound(self.replaced, Right(commands, yield_))


def _increment_twice(right: Right[Commands], key: str, delta: int, ttl_ms: int | None) -> int | None:
    first = right.commands.increment(key, delta, ttl_ms)
    right.commands.increment(key, delta, ttl_ms)
    return first


def _grant_repeating(right: Right[Commands], name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    token = right.commands.grant(name, owner, ttl_ms, within_s)
    return None if token is None else (token + 1) // 2


UNCHECKED = ("o = :o AND e > :now", "e > :now")

MUTANTS: Mapping[str, Mutant] = {
    "release-unchecked": Mutant(
        "release and extend do not check the owner: a late holder frees or prolongs another's lock",
        words={"release": UNCHECKED, "extend": UNCHECKED},
    ),
    "get-then-set": Mutant("check_and_set reads, then writes in a second request: two winners", replaced={"check_and_set": get_then_set}),
    "stale-cas": Mutant(
        "compare_and_swap compares a version read earlier, then writes unconditionally: lost updates",
        replaced={"compare_and_swap": stale_cas},
    ),
    "increment-twice": Mutant(
        "increment is applied twice and answers the first sum, as a retried request would", replaced={"increment": _increment_twice}
    ),
    "ttl-early": Mutant("a lock ends at half of its TTL or extension", words={"half": ("", "")}),
    "fencing-repeats": Mutant("every fencing token is given twice in a row", replaced={"grant": _grant_repeating}),
    "versions-skip": Mutant("set raises the version by two", words={"skip": ("", "")}),
    "grant-waits": Mutant("a refused acquisition waits up to 1 s, whatever time its caller gives it", replaced={"grant": waiting_grant}),
    "ttl-late": Mutant("a lock is free again only after twice its TTL", replaced={"grant": lasting_grant}),
}
