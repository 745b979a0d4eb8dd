"""Results of the main job made by hand: what `verify` writes, without a run behind it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.judging.statistics import rate
from harness.record import store

DOUBT = ("inconclusive", "unavailable")
SEEN = ("violated", "finding", "as-documented")
DOCUMENTS = {"violated": "promises", "holds": "promises", "inconclusive": "promises", "unavailable": "promises", "finding": "silent"}


def claim(name: str, word: str, k: int = 0, n: int = 0, **more: Any) -> dict[str, Any]:
    """Give a claim; `n` = 0 is no trial."""
    found = rate(k, n) if n else None
    doubt = ["settled: 0, needed 1"] if word in DOUBT else []
    document = more.get("document", DOCUMENTS.get(word, "warns"))
    return {
        "id": name,
        "cell": ["Redis (Sentinel)", "Failover safety"],
        "quote": "Lock may be lost",
        "sentence": f"The sentence of {name}.",
        "conditions": "primary cut off",
        "document": document,
        "verdict": word,
        "expected": True,
        "expect": [word],
        "unit": "failovers",
        "rate": found and {"k": k, "n": n, "low": found.low, "high": found.high, "upper": found.upper},
        "said": f"said of {name}",
        "missing": doubt,
        "remedy": "run it again" if word in ("inconclusive", "unavailable") else None,
        "infrastructure": None,
        "bug": None,
        "absent": False,
        "gates": [{"name": "settled", "needed": 1, "measured": 1, "met": True, "detail": ""}],
        "numbers": {"anomalies": {"two-holders": k} if k else {}, "excused": {}},
        "anomalies": [{"experiment": "split-brain", "trial": 2, "kind": "two-holders", "key": "k", "message": "both held k"}] if k else [],
        "excused": [],
        "voids": [],
        "controls": [{"check": "lease", "planted": "mutant ttl-early", "condemned": True, "detail": ""}],
        "experiments": ["runs/1/experiments/split-brain"],
        "evidence": ["runs/1/experiments/split-brain/anomalies/1.txt"] if k else [],
        "repeat": "holdwater run lock --backend redis-sentinel --fault isolate-primary --seed 7",
        "account": None if word == "unavailable" else account(word, k, n, doubt),
        **more,
    }


def account(word: str, k: int, n: int, unknown: Sequence[str] = ()) -> dict[str, Any]:
    """Give what was counted for a claim that came to a word."""
    seen = {"two-holders": k} if k else {}
    counts = {"counted": {} if word == "violated" else seen, "contradicting": seen if word == "violated" else {}}
    return {"n": n, "hits": k, **counts, "unknown": list(unknown)}


def verified(*claims: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Give the results of a verify with these claims; its table has the cells that they name."""
    return {
        "holdwater": 1,
        "kind": "verify",
        "profile": "quick",
        "seed": 7,
        "on": "local",
        "strict": False,
        "seconds": 372.1,
        "finished": "2026-11-24T04:12:07Z",
        "exit": int(any(not each["expected"] and each["verdict"] not in DOUBT for each in claims)),
        "headline": "No contradiction of the document was seen in one judged cell.",
        "contradicts": any(each["verdict"] == "violated" for each in claims),
        "command": "holdwater verify --seed 7",
        "directory": "runs/1",
        "rows": rows(claims),
        "claims": list(claims),
        "elsewhere": [],
        "failures": {},
        "versions": {"Valkey": "9.1.2"},
        "environment": {"python": "3.11.2", "system": "Linux 6", "cores": 2, "commit": "abc"},
        **more,
    }


def rows(claims: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give a table with the cells that claims name, each with the worst of them."""
    order = ("violated", "inconclusive", "unavailable", "finding", "not-seen", "as-documented", "holds")
    table: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for each in claims:
        table.setdefault(each["cell"][0], {}).setdefault(each["cell"][1], []).append(each)
    return [
        {
            "name": row,
            "cells": [
                {
                    "column": column,
                    "quote": mine[0]["quote"],
                    "verdict": min((each["verdict"] for each in mine), key=order.index),
                    "claims": [each["id"] for each in mine],
                }
                for column, mine in cells.items()
            ],
        }
        for row, cells in table.items()
    ]


def run(*trials: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Give the results of a run with these trials."""
    plan = {"backend": "redis", "variant": "default", "workloads": ["lock"], "episodes": [{}], "seed": 7, "concurrency": 8, "rate": 15.0}
    return {
        "holdwater": 1,
        "kind": "run",
        "status": "valid",
        "exit": 0,
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
