"""Planted bugs of the PostgreSQL backend: each is an edit of schema.sql, or an operation in two requests.

An edit and not a second copy of a function: the reference changes, and the mutant with it. The edited functions stand in
a schema of their own, with tables of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from backends.mutant import Right, Step, bound, get_then_set, lasting_grant, stale_cas, waiting_grant
from backends.session import Commands

Edit = tuple[str, str, str]  # function, old text, new text


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug in one sentence, and how it is made."""

    sentence: str
    edits: tuple[Edit, ...] = ()
    replaced: Mapping[str, Step] = field(default_factory=dict)

    def edited(self, schema: str) -> str:
        """Give the schema with this bug; raise LookupError if an edit no longer fits its function."""
        for function, old, new in self.edits:
            start = schema.index(f"CREATE OR REPLACE FUNCTION holdwater.{function}(")
            end = schema.index("$$;", start)
            body = schema[start:end]
            if old not in body:
                raise LookupError(f"function {function} has no {old!r}: the mutant does not fit it any more")
            schema = schema[:start] + body.replace(old, new) + schema[end:]
        return schema

    def steps(self, commands: Commands, yield_: Callable[[], None]) -> dict[str, Step]:
        """Give the operations that take several round trips."""
        return bound(self.replaced, Right(commands, yield_))


TTL, DURATION = "ttl_ms * interval '1 millisecond'", "duration_ms * interval '1 millisecond'"
HALF = "greatest(1, {} / 2) * interval '1 millisecond'"
BY_OWNER = " AND l.owner = by_owner"

MUTANTS: Mapping[str, Mutant] = {
    "release-unchecked": Mutant(
        "release and extend do not check the owner: a late holder frees or prolongs another's lock",
        (("release", BY_OWNER, ""), ("extend", BY_OWNER, "")),
    ),
    "get-then-set": Mutant("check_and_set reads, then writes in a second request: two winners", replaced={"check_and_set": get_then_set}),
    "stale-cas": Mutant(
        "compare_and_swap compares a version read earlier, then writes unconditionally: lost updates",
        replaced={"compare_and_swap": stale_cas},
    ),
    "increment-twice": Mutant(
        "increment is applied twice and answers the first sum, as a retried request would",
        (("increment", "sum::text, found_version + 1", "(sum + delta)::text, found_version + 1"),),
    ),
    "ttl-early": Mutant(
        "a lock ends at half of its TTL or extension",
        (("grant", TTL, HALF.format("ttl_ms")), ("extend", DURATION, HALF.format("duration_ms"))),
    ),
    "fencing-repeats": Mutant(
        "every fencing token is given twice in a row",
        (("grant", "new_token := nextval('holdwater.fence');", "new_token := (nextval('holdwater.fence') + 1) / 2;"),),
    ),
    "versions-skip": Mutant("set raises the version by two", (("set", "s.version + 1", "s.version + 2"),)),
    "stale-snapshot": Mutant(
        "nothing waits for the other operation on a key: two read the same version, and both swap",
        (("alone", "PERFORM pg_advisory_xact_lock(hashtextextended(what || ' ' || key, 0));", "PERFORM pg_sleep(0.001);"),),
    ),
    "grant-waits": Mutant("a refused acquisition waits up to 1 s, whatever time its caller gives it", replaced={"grant": waiting_grant}),
    "ttl-late": Mutant("a lock is free again only after twice its TTL", replaced={"grant": lasting_grant}),
}
