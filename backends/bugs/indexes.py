"""Wrong scans and indexes, made of right ones."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from backends.interface import INDEX_TIME_MAX_MS
from backends.mutant import Mutant, Right
from backends.session import Commands, Index

R = Right[Commands]
Items = list[tuple[str, str]]
EARLY_MS = 100
STALE_S = 0.2
PAGE = 10
AT = "@"
"""What stands between a key and its time, in the entry of an index that makes a new one for each time."""

# Scans


def _scan_by_pattern(right: R, stem: str) -> Items:
    namespace, tenant, kind, prefix = stem.split(":", 3)
    inside = f"{namespace}:{tenant}:{kind}:"
    wanted = re.compile(re.escape(prefix).replace(r"\*", ".*").replace(r"\?", ".").replace("%", ".*").replace("_", "."), re.DOTALL)
    return [(key, value) for key, value in right.commands.scan(inside) if wanted.match(key.removeprefix(inside))]


def _without_page_ends(found: list[str] | Items) -> list[int]:
    return [number for number in range(len(found)) if number % PAGE != PAGE - 1 or number == len(found) - 1]


def _scan_losing(right: R, stem: str) -> Items:
    found = right.commands.scan(stem)
    return [found[number] for number in _without_page_ends(found)]


def _scan_kind_losing(right: R, kind: str) -> Items:
    found = right.commands.scan_kind(kind)
    return [found[number] for number in _without_page_ends(found)]


def _scan_repeating(right: R, stem: str) -> Items:
    found = right.commands.scan(stem)
    return [*found, *found[-1:]] if len(found) > 1 else found


def _scan_kind_repeating(right: R, kind: str) -> Items:
    found = right.commands.scan_kind(kind)
    return [*found, *found[-1:]] if len(found) > 1 else found


def _scan_kept(right: R, stem: str) -> Items:
    at, found = right.kept.get(stem, (0.0, []))
    if time.monotonic() >= at + STALE_S:
        found = right.commands.scan(stem)
        right.kept[stem] = (time.monotonic(), found)
    return list(found)


def _scan_of_all_tenants(right: R, stem: str) -> Items:
    namespace, _, kind, prefix = stem.split(":", 3)
    found = [(key.split(":", 3), value) for key, value in right.commands.scan_kind(kind)]
    return [(":".join(parts), value) for parts, value in found if parts[0] == namespace and parts[3].startswith(prefix)]


# Indexes


def _index_appending(right: R, index: Index, key: str, time_ms: int) -> None:
    right.commands.index(index, f"{key}{AT}{time_ms}", time_ms)


def _entries(right: R, index: Index, key: str) -> list[str]:
    return [entry for entry in right.commands.due(index, INDEX_TIME_MAX_MS) if _key(entry) == key]


def _key(entry: str) -> str:
    return entry.rpartition(AT)[0]


def _unindex_all(right: R, index: Index, key: str) -> None:
    for entry in _entries(right, index, key):
        right.commands.unindex(index, entry)


def _index_replacing(right: R, index: Index, key: str, time_ms: int) -> None:
    mine = f"{key}{AT}{time_ms}"
    right.commands.index(index, mine, time_ms)
    right.yield_()
    for entry in _entries(right, index, key):
        if entry != mine:
            right.commands.unindex(index, entry)


def _due_stripped(right: R, index: Index, now_ms: int) -> list[str]:
    return [_key(entry) for entry in right.commands.due(index, now_ms)]


def _due_once(right: R, index: Index, now_ms: int) -> list[str]:
    return list(dict.fromkeys(_due_stripped(right, index, now_ms)))


def _index_after_removal(right: R, index: Index, key: str, time_ms: int) -> None:
    right.commands.unindex(index, key)
    right.yield_()
    right.commands.index(index, key, time_ms)


def _index_first_only(right: R, index: Index, key: str, time_ms: int) -> None:
    if key not in right.commands.due(index, INDEX_TIME_MAX_MS):
        right.commands.index(index, key, time_ms)


def _unindex_nothing(right: R, index: Index, key: str) -> None:
    return


def _due_exclusive(right: R, index: Index, now_ms: int) -> list[str]:
    return right.commands.due(index, now_ms - 1) if now_ms else []


def _due_early(right: R, index: Index, now_ms: int) -> list[str]:
    return right.commands.due(index, min(INDEX_TIME_MAX_MS, now_ms + EARLY_MS))


def _due_unordered(right: R, index: Index, now_ms: int) -> list[str]:
    return sorted(right.commands.due(index, now_ms))


def _due_losing(right: R, index: Index, now_ms: int) -> list[str]:
    found = right.commands.due(index, now_ms)
    return [found[number] for number in _without_page_ends(found)]


def _index_into_one(right: R, index: Index, key: str, time_ms: int) -> None:
    right.commands.index("timeout", key, time_ms)


def _unindex_from_one(right: R, index: Index, key: str) -> None:
    right.commands.unindex("timeout", key)


def _due_of_one(right: R, index: Index, now_ms: int) -> list[str]:
    return right.commands.due("timeout", now_ms)


MUTANTS: Mapping[str, Mutant] = {
    "scan-wildcards": Mutant("*, ?, % and _ in a scan's prefix are wildcards", {"scan": _scan_by_pattern}),
    "scan-loses-page-ends": Mutant(
        f"a scan loses the last key of every page of {PAGE} but the last", {"scan": _scan_losing, "scan_kind": _scan_kind_losing}
    ),
    "scan-repeats": Mutant("a scan gives its last key twice", {"scan": _scan_repeating, "scan_kind": _scan_kind_repeating}),
    "scan-stale": Mutant("a scan is answered with what the same client saw up to 200 ms before", {"scan": _scan_kept}),
    "scan-leaks": Mutant("a scan gives the keys of all tenants", {"scan": _scan_of_all_tenants}),
    "index-appends": Mutant(
        "to index a key again adds an entry beside the old one",
        {"index": _index_appending, "unindex": _unindex_all, "due": _due_stripped},
    ),
    "reindex-races": Mutant(
        "to index a key again makes a new entry, then removes all others: two at once remove each other's",
        {"index": _index_replacing, "unindex": _unindex_all, "due": _due_once},
    ),
    "reindex-removes-first": Mutant(
        "to index a key again removes its entry, then makes the new one: in between it is lost", {"index": _index_after_removal}
    ),
    "index-first-only": Mutant("to index a key again leaves it its first time", {"index": _index_first_only}),
    "remove-forgets": Mutant("to remove a key from an index does nothing", {"unindex": _unindex_nothing}),
    "due-exclusive": Mutant("an entry whose time is now is not due", {"due": _due_exclusive}),
    "due-early": Mutant(f"an entry is due {EARLY_MS} ms before its time", {"due": _due_early}),
    "due-unordered": Mutant("what is due comes in the order of its keys", {"due": _due_unordered}),
    "due-loses-page-ends": Mutant(f"a read of an index loses the last entry of every page of {PAGE} but the last", {"due": _due_losing}),
    "indexes-mixed": Mutant("both indexes are one", {"index": _index_into_one, "unindex": _unindex_from_one, "due": _due_of_one}),
}
