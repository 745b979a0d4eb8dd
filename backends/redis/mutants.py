"""Planted bugs of the Redis backend: each is an edit of scripts, or an operation in two round trips.

An edit and not a second copy of the script: the reference changes, and the mutant with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from backends.mutant import Right, Step, bound, get_then_set, lasting_grant, stale_cas, waiting_grant
from backends.session import Commands

Edit = tuple[str, str, str]  # script, old text, new text


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug in one sentence, and how it is made."""

    sentence: str
    edits: tuple[Edit, ...] = ()
    replaced: Mapping[str, Step] = field(default_factory=dict)

    def edited(self, scripts: Mapping[str, str]) -> dict[str, str]:
        """Give the scripts with this bug; raise LookupError if an edit no longer fits its script."""
        texts = dict(scripts)
        for name, old, new in self.edits:
            if old not in texts[name]:
                raise LookupError(f"{name}.lua has no {old!r}: the mutant does not fit it any more")
            texts[name] = texts[name].replace(old, new)
        return texts

    def steps(self, commands: Commands, yield_: Callable[[], None]) -> dict[str, Step]:
        """Give the operations that take several round trips."""
        return bound(self.replaced, Right(commands, yield_))


OWNER_CHECK = "if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then"
HALF = "math.max(1, math.floor(tonumber(ARGV[2]) / 2))"
GHOST = "'hw:ghost:' .. KEYS[1]"


def _haunted(script: str, read: str, missing: str) -> tuple[Edit, ...]:
    back = f"if {missing} and redis.call('EXISTS', {GHOST}) == 1 then\n  redis.call('RENAME', {GHOST}, KEYS[1])\nend"
    return ((script, "#!lua flags=no-writes", "#!lua"), (script, f"return {read}", f"local found = {read}\n{back}\nreturn found"))


MUTANTS: Mapping[str, Mutant] = {
    "release-unchecked": Mutant(
        "release and extend do not check the owner: a late holder frees or prolongs another's lock",
        tuple((name, OWNER_CHECK, "if redis.call('EXISTS', KEYS[1]) == 0 then") for name in ("release", "extend")),
    ),
    "get-then-set": Mutant("check_and_set reads, then writes in a second request: two winners", replaced={"check_and_set": get_then_set}),
    "stale-cas": Mutant(
        "compare_and_swap compares a version read earlier, then writes unconditionally: lost updates",
        replaced={"compare_and_swap": stale_cas},
    ),
    "increment-twice": Mutant(
        "increment is applied twice and answers the first sum, as a retried request would",
        (
            (
                "increment",
                "return redis.call('HGET', KEYS[1], 'v')",
                "local first = redis.call('HGET', KEYS[1], 'v')\nredis.pcall('HINCRBY', KEYS[1], 'v', ARGV[1])\nreturn first",
            ),
        ),
    ),
    "ttl-early": Mutant(
        "a lock ends at half of its TTL or extension",
        (
            ("grant", "redis.call('PEXPIRE', KEYS[1], ARGV[2])", f"redis.call('PEXPIRE', KEYS[1], {HALF})"),
            ("extend", "redis.call('PEXPIRE', KEYS[1], ARGV[2])", f"redis.call('PEXPIRE', KEYS[1], {HALF})"),
        ),
    ),
    "ttl-late": Mutant("a lock is free again only after twice its TTL", replaced={"grant": lasting_grant}),
    "fencing-repeats": Mutant(
        "every fencing token is given twice in a row",
        (("grant", "local token = redis.call('GET', KEYS[2])", "local token = tostring(math.ceil(redis.call('GET', KEYS[2]) / 2))"),),
    ),
    "grant-waits": Mutant("a refused acquisition waits up to 1 s, whatever time its caller gives it", replaced={"grant": waiting_grant}),
    "versions-skip": Mutant("set raises the version by two", (("set", "'n', 1)", "'n', 2)"),)),
    "delete-resurrects": Mutant(
        "the first read after a delete answers missing and brings the old value back",
        (
            (
                "delete",
                "return tostring(redis.call('DEL', KEYS[1]))",
                f"if redis.call('EXISTS', KEYS[1]) == 0 then\n  return '0'\nend\nredis.call('RENAME', KEYS[1], {GHOST})\nreturn '1'",
            ),
            *_haunted("get", "redis.call('HGET', KEYS[1], 'v')", "not found"),
            *_haunted("get_versioned", "redis.call('HMGET', KEYS[1], 'v', 'n')", "not found[1]"),
        ),
    ),
}
