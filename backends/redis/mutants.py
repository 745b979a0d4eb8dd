"""Planted bugs of the Redis backend: edits of its scripts, and operations in two round trips."""

from __future__ import annotations

from collections.abc import Mapping

from backends.bugs import SHARED, unanswered
from backends.bugs.locks import looking_grant, looking_release
from backends.mutant import Edit, Mutant, planted
from harness.driving.backend import Planted

OWNER_CHECK = "if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then"
NOBODYS = "if redis.call('EXISTS', KEYS[1]) == 0 then"
HELD = "if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then"
HELD_BY_ANYBODY = "if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] or (ARGV[1] == '' and redis.call('EXISTS', KEYS[1]) == 1) then"
TAKEN = "if redis.call('EXISTS', KEYS[1]) == 1 then\n  return false\nend\n"
CLEARS = "\nelse\n  redis.call('PERSIST', KEYS[1])"


def _only(script: str, old: str, new: str) -> tuple[Edit, ...]:
    return ((script, old, new),)


MUTANTS: Mapping[str, Mutant] = {
    **SHARED,
    **unanswered.MUTANTS,
    "release-unchecked": Mutant(
        "release and extend do not check the owner: a late holder frees or prolongs another's lock",
        edits=tuple((name, OWNER_CHECK, NOBODYS) for name in ("release", "extend")),
    ),
    "release-looks-first": Mutant(
        "release looks whose the lock is, then removes it in a second request: it may be another's by then",
        {"release": looking_release},
        _only("release", OWNER_CHECK, NOBODYS),
    ),
    "grant-looks-first": Mutant(
        "a grant looks whether the lock is free, then takes it in a second request",
        {"grant": looking_grant},
        (("is_held", HELD, HELD_BY_ANYBODY), ("grant", TAKEN, "")),
    ),
    "is-held-unchecked": Mutant(
        "is_held answers true to whoever asks, while anybody holds the lock",
        edits=_only("is_held", HELD, "if redis.call('EXISTS', KEYS[1]) == 1 then"),
    ),
    "extend-expired": Mutant(
        "extend brings back a lock that has expired",
        edits=_only(
            "extend",
            OWNER_CHECK,
            "if redis.call('EXISTS', KEYS[1]) == 0 then\n  redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'token', '0')\nend\n"
            + OWNER_CHECK,
        ),
    ),
    "cas-unchecked": Mutant(
        "compare_and_swap does not compare", edits=_only("compare_and_swap", "if version ~= ARGV[1] then", "if false then")
    ),
    "versions-restart": Mutant(
        "set begins the versions again at 1",
        edits=_only("set", "redis.call('HINCRBY', KEYS[1], 'n', 1)", "redis.call('HSET', KEYS[1], 'n', '1')"),
    ),
    "set-keeps-ttl": Mutant("set without a TTL keeps the one that was there", edits=_only("set", CLEARS, "")),
    "cas-keeps-ttl": Mutant("compare_and_swap without a TTL keeps the one that was there", edits=_only("compare_and_swap", CLEARS, "")),
    "increment-clears-ttl": Mutant(
        "increment without a TTL clears the one that was there",
        edits=_only("increment", "  redis.call('PEXPIRE', KEYS[1], ARGV[2])", "  redis.call('PEXPIRE', KEYS[1], ARGV[2])" + CLEARS),
    ),
    "refusal-renews": Mutant(
        "a refused check_and_set renews the TTL",
        edits=_only(
            "check_and_set",
            "  return '0'",
            "  if ARGV[2] ~= '' then\n    redis.call('PEXPIRE', KEYS[1], ARGV[2])\n  end\n  return '0'",
        ),
    ),
}

PLANTED: Mapping[str, Planted] = planted(MUTANTS, SHARED)
