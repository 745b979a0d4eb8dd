"""Planted bugs of the PostgreSQL backend: edits of the functions of schema.sql, and operations in two requests.

The edited functions stand in a schema of their own, with tables of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

from backends.bugs import SHARED, unanswered
from backends.bugs.locks import looking_grant, looking_release
from backends.mutant import Edit, Mutant, planted
from harness.driving.backend import Planted

BY_OWNER = " AND l.owner = by_owner"
ALIVE = " AND l.expires_at > now"
UNEXPIRED = " AND (s.expires_at IS NULL OR s.expires_at > now)"
SHOWN = "(s.expires_at IS NULL OR s.expires_at > statement_timestamp())"
WRITES_TTL = "version = excluded.version, expires_at = excluded.expires_at"
KEEPS_TTL = "version = excluded.version, expires_at = coalesce(excluded.expires_at, state.expires_at)"


def _function(schema: str, name: str) -> tuple[int, int]:
    start = schema.index(f"CREATE OR REPLACE FUNCTION holdwater.{name}(")
    return start, schema.index("$$;", start)


def edited_schema(schema: str, edits: tuple[Edit, ...]) -> str:
    """Give the schema with these edits; raise LookupError if one no longer fits its function."""
    for name, old, new in edits:
        start, end = _function(schema, name)
        if old not in schema[start:end]:
            raise LookupError(f"function {name} has no {old!r}: the mutant does not fit it any more")
        schema = schema[:start] + schema[start:end].replace(old, new) + schema[end:]
    return schema


MUTANTS: Mapping[str, Mutant] = {
    **SHARED,
    **unanswered.MUTANTS,
    "release-unchecked": Mutant(
        "release and extend do not check the owner: a late holder frees or prolongs another's lock",
        edits=(("release", BY_OWNER, ""), ("extend", BY_OWNER, "")),
    ),
    "release-looks-first": Mutant(
        "release looks whose the lock is, then removes it in a second request: it may be another's by then",
        {"release": looking_release},
        (("release", BY_OWNER, ""),),
    ),
    "grant-looks-first": Mutant(
        "a grant looks whether the lock is free, then takes it in a second request",
        {"grant": looking_grant},
        (("is_held", BY_OWNER, " AND by_owner IN ('', l.owner)"), ("grant", ALIVE, " AND false")),
    ),
    "grant-after-release-only": Mutant("a grant does not look whether the lock has expired", edits=(("grant", ALIVE, ""),)),
    "is-held-unchecked": Mutant("is_held answers true to whoever asks, while anybody holds the lock", edits=(("is_held", BY_OWNER, ""),)),
    "is-held-expired": Mutant("is_held does not look whether the lock has expired", edits=(("is_held", ALIVE, ""),)),
    "extend-expired": Mutant("extend does not look whether the lock has expired", edits=(("extend", ALIVE, ""),)),
    "release-expired": Mutant("release does not look whether the lock has expired", edits=(("release", ALIVE, ""),)),
    "stale-snapshot": Mutant(
        "nothing waits for the other operation on a key: two read the same version, and both swap",
        edits=(("alone", "PERFORM pg_advisory_xact_lock(hashtextextended(what || ' ' || key, 0));", "PERFORM pg_sleep(0.001);"),),
    ),
    "cas-unchecked": Mutant(
        "compare_and_swap does not compare", edits=(("compare_and_swap", "swapped := n = expected", "swapped := true"),)
    ),
    "versions-restart": Mutant("set begins the versions again at 1", edits=(("set", "s.version + 1", "1"),)),
    "get-expired": Mutant(
        "a read does not look whether the key has expired", edits=(("get", UNEXPIRED, ""), ("get_versioned", UNEXPIRED, ""))
    ),
    "set-expired": Mutant(
        "set does not look whether the key has expired: versions go on", edits=(("set", "WHEN s.expires_at <= now", "WHEN false"),)
    ),
    "cas-expired": Mutant("compare_and_swap does not look whether the key has expired", edits=(("compare_and_swap", UNEXPIRED, ""),)),
    "increment-expired": Mutant(
        "increment does not look whether the key has expired: it counts on, and brings the counter back",
        edits=(("increment", UNEXPIRED, ""),),
    ),
    "delete-expired": Mutant(
        "delete does not look whether the key has expired",
        edits=(("delete", "RETURNING s.expires_at IS NULL OR s.expires_at > now", "RETURNING true"),),
    ),
    "check-and-set-expired": Mutant(
        "check_and_set does not look whether the key has expired", edits=(("check_and_set", " WHERE s.expires_at <= now", " WHERE false"),)
    ),
    "scan-expired": Mutant("a scan does not look whether a key has expired", edits=(("scan", SHOWN, "true"), ("scan_kind", SHOWN, "true"))),
    "scan-wildcards": Mutant(
        "% and _ in a scan's prefix are wildcards",
        edits=(("scan", 'starts_with(s.key, stem) AND s.key >= stem COLLATE "C"', "s.key LIKE stem || '%'"),),
    ),
    "set-keeps-ttl": Mutant(
        "set without a TTL keeps the one that was there",
        edits=(("set", "expires_at = excluded.expires_at", "expires_at = coalesce(excluded.expires_at, s.expires_at)"),),
    ),
    "cas-keeps-ttl": Mutant(
        "compare_and_swap without a TTL keeps the one that was there", edits=(("compare_and_swap", WRITES_TTL, KEEPS_TTL),)
    ),
    "increment-clears-ttl": Mutant(
        "increment without a TTL clears the one that was there",
        edits=(("increment", "  IF ttl_ms IS NOT NULL THEN\n", "  found_expiry := NULL;\n  IF ttl_ms IS NOT NULL THEN\n"),),
    ),
    "refusal-renews": Mutant(
        "a refused check_and_set renews the TTL",
        edits=(
            (
                "check_and_set",
                "  RETURN FOUND;",
                "  IF NOT FOUND THEN\n    UPDATE holdwater.state AS s SET expires_at = now + ttl_ms * interval '1 millisecond'"
                " WHERE s.key = k AND ttl_ms IS NOT NULL;\n    RETURN false;\n  END IF;\n  RETURN true;",
            ),
        ),
    ),
}

PLANTED: Mapping[str, Planted] = {
    **planted(MUTANTS, SHARED),
    "stale-snapshot": Planted(frozenset({"compare_and_swap", "increment", "check_and_set"})),  # of all that waits: what shows it soonest
}
