"""Results of the main job made by hand: what `verify` writes, without a run behind it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.claims import judging
from harness.claims.counting import numbers
from harness.claims.results import Account, Judgement
from harness.claims.table import cell, exit_code
from harness.judging.statistics import rate
from harness.record import store

DOUBT = ("inconclusive", "unavailable")
SEEN = ("violated", "finding", "as-documented")
OWN = {"said", "missing", "numbers", "anomalies"}
DOCUMENTS = {"violated": "promises", "holds": "promises", "inconclusive": "promises", "unavailable": "promises", "finding": "silent"}


def claim(name: str, word: str, k: int = 0, n: int = 0, **more: Any) -> dict[str, Any]:
    """Give a claim that does not contradict itself: what was seen was seen once at least, and what is not in doubt has four trials.

    One with texts or numbers of its own has no account, as one that an earlier version wrote.
    """
    ran = word != "unavailable"
    n = n or 4 * (word not in DOUBT)
    k = k or int(word in SEEN)
    doubt = ["settled: 0, needed 1"] if word in DOUBT else []
    document = more.get("document", DOCUMENTS.get(word, "warns"))
    counted = None if not ran or OWN & set(more) else account(document, k, n, doubt)
    made = {
        "id": name,
        "cell": ["Redis (Sentinel)", "Failover safety"],
        "quote": "Lock may be lost",
        "sentence": f"The sentence of {name}.",
        "conditions": "primary cut off",
        "document": document,
        "verdict": word,
        "expected": word in more.get("expect", [word]),
        "expect": [word],
        "unit": "failovers",
        "rate": store.plain(rate(k, n)) if ran and n else None,
        "said": f"said of {name}",
        "missing": doubt,
        "remedy": "run it again" if word in DOUBT else None,
        "infrastructure": None,
        "bug": None,
        "absent": False,
        "gates": [{"name": "settled", "needed": 1, "measured": 1, "met": True, "detail": ""}] if ran else [],
        "numbers": {"anomalies": {"two-holders": k} if k else {}, "excused": {}} if ran else {},
        "anomalies": [seen()] * k,
        "excused": [],
        "voids": [],
        "controls": [{"check": "lease", "planted": "mutant ttl-early", "condemned": True, "detail": ""}] if ran else [],
        "experiments": ["runs/1/experiments/split-brain"],
        "evidence": ["runs/1/experiments/split-brain/anomalies/1.txt"] if k else [],
        "repeat": "holdwater run lock --backend redis-sentinel --fault isolate-primary --seed 7",
        "account": counted,
        **more,
    }
    return made if made["account"] is None else {**made, **told(made)}


def seen(kind: str = "two-holders") -> dict[str, Any]:
    """Give an anomaly as a claim lists it."""
    return {"experiment": "split-brain", "trial": 2, "kind": kind, "key": "k", "message": "both held k"}


def told(made: dict[str, Any]) -> dict[str, Any]:
    """Give what judging tells of a claim by its account."""
    counted = msgspec.convert(made["account"], Account)
    found = msgspec.convert(made, Judgement)
    kinds = Counter(counted.contradicting) + Counter(counted.counted)
    return {
        "said": judging.said(found, found.verdict, counted),
        "missing": list(judging.missing(found.verdict, counted)),
        "numbers": numbers(counted),
        "anomalies": [seen(kind) for kind in kinds.elements()],
    }


def account(document: str, k: int, n: int, unknown: Sequence[str] = ()) -> dict[str, Any]:
    """Give what was counted for a claim of which so many trials saw what it names."""
    found = {"two-holders": k} if k else {}
    breaking = document == "promises"
    return {"n": n, "hits": k, "counted": {} if breaking else found, "contradicting": found if breaking else {}, "unknown": list(unknown)}


def verified(*claims: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Give the results of a verify with these claims; its tables have the cells that they name, one with a name an operation a row."""
    return {
        "holdwater": 1,
        "kind": "verify",
        "profile": "quick",
        "seed": 7,
        "on": "local",
        "strict": False,
        "seconds": 372.1,
        "finished": "2026-11-24T04:12:07Z",
        "exit": exit_code([msgspec.convert(each, Judgement) for each in claims], strict=more.get("strict", False)),
        "headline": "No contradiction of the document was seen in one judged cell.",
        "contradicts": any(each["verdict"] == "violated" for each in claims),
        "command": "holdwater verify --seed 7",
        "directory": "runs/1",
        "tables": [{"name": name, "row": "Operation", "backends": "columns"} for name in dict.fromkeys(filter(None, map(_table, claims)))],
        "rows": rows(claims),
        "claims": list(claims),
        "elsewhere": [],
        "failures": {},
        "versions": {"Valkey": "9.1.2"},
        "environment": {"python": "3.11.2", "system": "Linux 6", "cores": 2, "commit": "abc"},
        **more,
    }


def rows(claims: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give tables with the cells that claims name, each with the worst of them; that without a name quotes in its cells."""
    found: dict[tuple[str | None, str], dict[str, list[Judgement]]] = {}
    for each in (msgspec.convert(claim, Judgement) for claim in claims):
        found.setdefault((each.table, each.cell[0]), {}).setdefault(each.cell[1], []).append(each)
    return [_row(table, row, cells) for (table, row), cells in found.items()]


def _row(table: str | None, row: str, cells: dict[str, list[Judgement]]) -> dict[str, Any]:
    told = [cell(column, None if table else mine[0].quote, mine, ()) for column, mine in cells.items()]
    made = {"name": row, "cells": [dict(store.plain(each)) for each in told]}
    return {**made, "table": table, "says": {"Purpose": f"The purpose of {row}"}} if table else made


def _table(claim: dict[str, Any]) -> str | None:
    return claim.get("table")


def run(*trials: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Give the results of a run with these trials."""
    status = max((each["status"] for each in trials), key=["valid", "unknown", "invalid"].index, default="unknown")
    plan = {"backend": "redis", "variant": "default", "workloads": ["lock"], "episodes": [{}], "seed": 7, "concurrency": 8, "rate": 15.0}
    return {
        "holdwater": 1,
        "kind": "run",
        "status": status,
        "exit": {"valid": 0, "unknown": 2, "invalid": 1}[status],
        "command": "holdwater run lock --backend redis --seed 7",
        "directory": "runs/2",
        "plan": plan,
        "versions": {"Valkey": "9.1.2"},
        "seconds": 12.3,
        "finished": "2026-11-24T04:12:07Z",
        "voids": [],
        "broken": None,
        "operations": {"ok": 10},
        "trials": list(trials),
        **more,
    }


def trial(n: int, status: str, **more: Any) -> dict[str, Any]:
    """Give a trial of a run, of one check."""
    seen = [{"kind": "two-holders", "key": "k", "operations": [1, 2], "at": 5, "message": "both held k", "until": None, "live": None}]
    check = {"status": status, "summary": f"lease is {status}", "numbers": {}, "anomalies": seen if status == "invalid" else []}
    return {"n": n, "status": status, "faults": ["cut"], "checks": {"lease": check}, "gates": [], **more}


def written(directory: Path, results: dict[str, Any]) -> Path:
    """Write results into a directory; give it."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / store.RESULTS).write_text(json.dumps(results), "utf-8")
    return directory
