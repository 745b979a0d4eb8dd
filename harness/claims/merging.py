"""Shards of the main job into one table: each verify judged some rows, or some trials of the same claims.

Only results.json files are read, and no history is judged again. A claim of one shard is taken as it is. Of a claim
of several the trials add up, and the verdict follows the rules of `judge` as far as words allow: a counterexample
stands, then whatever was in doubt in any shard is in doubt, and only what all shards found quiet is quiet.
That is the worst of their verdicts but for two: a finding, or what a document warns of, is not taken back by a shard
that did not see it.

Trials must be different ones to add up: a shard twice, or two of one seed, is refused. A shard that is not there or
not readable is named among the failures and makes the exit code 3, since what it would have found is not known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from harness.claims import shapes
from harness.claims.claim import Claim, Word
from harness.claims.judging import Cell, Judgement, TableRow, exit_code, headline
from harness.errors import UsageError
from harness.judging.statistics import Rate, rate
from harness.record import store

PASSED_ON = (130, 70, 3)
"""Exit codes of a shard that stand whatever the others found; 1, 2 and 0 are made anew from the claims."""
PRECEDENCE = (130, 64, 70, 1, 3, 2, 0)
DEFINITION = ("cell", "quote", "sentence", "conditions", "document", "unit", "expect")
MOST_SHOWN = 50
EVIDENCE = "evidence"
Results = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shard:
    """What a directory held: its results, or why there are none."""

    directory: Path
    results: Results | None
    failure: str | None = None


def read(directory: Path) -> Shard:
    """Read a shard; what is missing or broken is told and not raised."""
    try:
        return Shard(directory, shapes.read_verify(directory))
    except UsageError as error:
        return Shard(directory, None, str(error))


def merge(shards: Sequence[Shard], *, directory: Path, command: str) -> dict[str, Any]:
    """Join shards into the results of one verify; raise UsageError where they do not belong together, or none is there."""
    there = [(shard, shard.results) for shard in shards if shard.results is not None]
    if not there:
        raise UsageError(f"no shard has results: {shards[0].failure if shards else 'none was named'}")
    _check_same_settings(there)
    parts = _parts(there)
    claims = [_claim(found) for found in parts.values()]
    judgements = {claim["id"]: _judgement(claim) for claim in claims}
    rows = _rows([results for _, results in there], judgements)
    failures = {str(shard.directory): shard.failure for shard in shards if shard.failure is not None}
    for shard, results in there:
        for name, reason in results.get("failures", {}).items():
            failures[f"{name} in {shard.directory}" if name in failures else name] = reason
    strict = any(results.get("strict") for _, results in there)
    codes = [
        exit_code(list(judgements.values()), strict=strict),
        *(results["exit"] for _, results in there if results["exit"] in PASSED_ON),
    ]
    codes += [3] if failures else []
    said = headline(rows)
    absent = [str(shard.directory) for shard in shards if shard.failure is not None]
    return {
        "holdwater": 1,
        "kind": "verify",
        "profile": there[0][1]["profile"],
        "seed": _joined(results.get("seed") for _, results in there),
        "on": _joined(results["on"] for _, results in there),
        "strict": strict,
        "seconds": max(results["seconds"] for _, results in there),
        "finished": max((str(results.get("finished") or "") for _, results in there), default=""),
        "exit": min(codes, key=PRECEDENCE.index),
        "headline": f"{said} {len(absent)} of {len(shards)} shards left no results: {', '.join(absent)}." if absent else said,
        "contradicts": any(claim["verdict"] == Word.VIOLATED for claim in claims),
        "command": command,
        "directory": str(directory),
        "claims_file": there[0][1].get("claims_file"),
        "claims_sha256": there[0][1].get("claims_sha256"),
        "rows": [{"name": row.name, "cells": [_plain(cell) for cell in row.cells]} for row in rows],
        "claims": claims,
        "elsewhere": sorted({name for _, results in there for name in results.get("elsewhere", ())} - set(judgements)),
        "failures": failures,
        "versions": _joined_values(results.get("versions", {}) for _, results in there),
        "environment": _joined_values(results.get("environment", {}) for _, results in there),
        "shards": [each for shard, results in there for each in _described(shard, results)],
    }


def _described(shard: Shard, results: Results) -> list[dict[str, Any]]:
    """Say what a shard was; one that was joined from others is as many as these."""
    if results.get("shards"):
        return [dict(each) for each in results["shards"]]
    named = ("seed", "exit", "command", "seconds", "finished", "versions", "environment")
    claims = [claim["id"] for claim in results["claims"]]
    return [{"directory": str(shard.directory), **{name: results.get(name) for name in named}, "claims": claims}]


def _check_same_settings(there: Sequence[tuple[Shard, Results]]) -> None:
    first, expected = there[0]
    for shard, results in there[1:]:
        if results["profile"] != expected["profile"]:
            told = f"profile {results['profile']!r}, expected {expected['profile']!r} as in {first.directory / store.RESULTS}"
            raise UsageError(f"{shard.directory / store.RESULTS}: {told}")
        if results.get("claims_sha256") != expected.get("claims_sha256"):
            told = f"judged {_document(results)}, expected {_document(expected)} as in {first.directory / store.RESULTS}: one document"
            raise UsageError(f"{shard.directory / store.RESULTS}: {told}")
    seen: dict[tuple[str, Any], Path] = {}
    for shard, results in there:
        for each in _described(shard, results):
            for name in each["claims"]:
                if (before := seen.setdefault((name, each["seed"]), shard.directory)) is not shard.directory:
                    told = f"claim {name} of seed {each['seed']} is in {before / store.RESULTS} too, expected another seed or other rows"
                    raise UsageError(f"{shard.directory / store.RESULTS}: {told}: trials must not count twice")


def _document(results: Results) -> str:
    digest = results.get("claims_sha256")
    return f"{results.get('claims_file')} (SHA-256 {digest[:12]}...)" if digest else "a claims file that it does not name"


def texts(shards: Sequence[Shard], results: Results) -> dict[str, str]:
    """Give the evidence of what was joined that is a plain file inside its shard, each path with its name in the folder of all.

    Raises UsageError where a link leads to one.
    """
    found: dict[str, str] = {}
    for number, claim in enumerate(results["claims"]):
        for n, path in enumerate(claim["evidence"]):
            if path.endswith(".txt") and any(store.is_plain(Path(path), shard.directory) for shard in shards):
                found[path] = f"{EVIDENCE}/{number}-{n}.txt"
    return found


def gather(results: dict[str, Any], found: Mapping[str, str], directory: Path) -> dict[str, Any]:
    """Copy these texts into the folder of what was joined, which then goes from machine to machine as one."""
    for path, name in found.items():
        (directory / name).parent.mkdir(exist_ok=True)
        store.save(directory / name, store.read_text(Path(path)))
    moved = {path: str(directory / name) for path, name in found.items()}
    claims = [{**claim, "evidence": [moved.get(path, path) for path in claim["evidence"]]} for claim in results["claims"]]
    return {**results, "claims": claims}


# Claims


def _parts(there: Sequence[tuple[Shard, Results]]) -> dict[str, list[dict[str, Any]]]:
    """Give each claim as its shards hold it, with the paths as they are now; raise UsageError where two define it differently."""
    parts: dict[str, list[dict[str, Any]]] = {}
    where: dict[str, Path] = {}
    for shard, results in there:
        path = shard.directory / store.RESULTS
        for claim in results["claims"]:
            moved = {**claim, "shard": str(shard.directory)}
            for name in ("evidence", "experiments"):
                moved[name] = [str(store.moved(each, results["directory"], shard.directory)) for each in claim.get(name, ())]
            for before in parts.get(claim["id"], [])[:1]:
                for name in DEFINITION:
                    if claim.get(name) != before.get(name):
                        told = f"claim {claim['id']} has {name} {claim.get(name)!r}, expected {before.get(name)!r}"
                        raise UsageError(f"{path}: {told} as in {where[claim['id']]}")
            where.setdefault(claim["id"], path)
            parts.setdefault(claim["id"], []).append(moved)
    return parts


def _claim(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Give a claim joined from all shards that judged it."""
    plain = [{name: value for name, value in part.items() if name != "shard"} for part in parts]
    if len(parts) == 1:
        return plain[0]
    there = [part for part in parts if not part.get("absent")] or parts  # a machine that lacks its servers adds no trial and no doubt
    word = joined_word([Word(part["verdict"]) for part in there])
    rates = [part["rate"] for part in parts if part["rate"]]
    counted = rate(sum(each["k"] for each in rates), sum(each["n"] for each in rates)) if rates else None
    differ = {part["verdict"] for part in parts} != {str(word)}
    shares = [f"{part['shard']}: {part['verdict']}" for part in parts]
    missing = [reason for part in parts for reason in part["missing"]]
    return {
        **plain[0],
        "verdict": str(word),
        "expected": str(word) in parts[0]["expect"] or (there is parts and all(part["expected"] for part in parts)),
        "rate": counted and {"k": counted.k, "n": counted.n, "low": counted.low, "high": counted.high, "upper": counted.upper},
        "said": _said(word, parts[0]["unit"], counted, parts) + (f"; shards differ: {', '.join(shares)}" if differ else ""),
        "missing": list(dict.fromkeys(missing)),
        "remedy": next((part["remedy"] for part in parts if part["verdict"] == word and part["remedy"]), None),
        "absent": all(part.get("absent", False) for part in parts),
        "infrastructure": next((part["infrastructure"] for part in parts if part.get("infrastructure")), None),
        "bug": next((part["bug"] for part in parts if part.get("bug")), None),
        "gates": _gates(parts),
        "numbers": _numbers([part["numbers"] for part in parts]),
        "anomalies": [each for part in parts for each in part["anomalies"]][:MOST_SHOWN],
        "excused": [each for part in parts for each in part.get("excused", ())][:MOST_SHOWN],
        "voids": [each for part in parts for each in part.get("voids", ())],
        "controls": [each for part in parts for each in part.get("controls", ())],
        "experiments": [each for part in parts for each in part["experiments"]],
        "evidence": [each for part in parts for each in part["evidence"]],
    }


def joined_word(words: Sequence[Word]) -> Word:
    """Give the verdict on a claim that several shards judged: counterexamples stand, doubt of one is doubt, quiet needs all."""
    order = (Word.VIOLATED, Word.FINDING, Word.INCONCLUSIVE, Word.UNAVAILABLE, Word.AS_DOCUMENTED, Word.NOT_SEEN, Word.HOLDS)
    return min(words, key=order.index)


def _said(word: Word, unit: str, counted: Rate | None, parts: Sequence[Results]) -> str:
    if word in (Word.INCONCLUSIVE, Word.UNAVAILABLE) or counted is None or not counted.n:
        return str(next(part["said"] for part in parts if part["verdict"] == word))
    of = f"{counted} {unit} (95 % interval {counted.interval})"
    quiet = f"{counted.n} {unit}; at most {counted.interval.removeprefix('≤ ')} at 95 % confidence"
    warned = next((part["said"] for part in parts if part["verdict"] == word), "")
    return {
        Word.VIOLATED: f"false in {of}" if parts[0]["document"] != "warns" else f"{warned}; together as it warns in {of}",
        Word.FINDING: f"false in {of}, and the document does not say so",
        Word.AS_DOCUMENTED: f"seen in {of}, as the document warns",
        Word.NOT_SEEN: f"what the document warns of was not seen in {quiet}",
        Word.HOLDS: f"no violation in {quiet}",
    }[word]


def _gates(parts: Sequence[Results]) -> list[Results]:
    """Give of each gate the shard that was worst."""
    worst: dict[str, Results] = {}
    for gate in (gate for part in parts for gate in part["gates"]):
        before = worst.get(gate["name"])
        if before is None or _shortfall(gate) > _shortfall(before):
            worst[gate["name"]] = gate
    return list(worst.values())


def _shortfall(gate: Results) -> tuple[bool, float]:
    return not gate["met"], gate["measured"] if gate["needed"] == 0 else -gate["measured"]


def _numbers(found: Sequence[Results]) -> dict[str, Any]:
    """Join numbers: counts add up, maxima are maxima; a median of all trials cannot be had from medians, and is left out."""
    joined: dict[str, Any] = {}
    for name in dict.fromkeys(name for numbers in found for name in numbers):
        values = [numbers[name] for numbers in found if name in numbers]
        if name in ("anomalies", "excused"):
            joined[name] = dict(sum((Counter(value) for value in values), Counter()))
        elif all(isinstance(value, Mapping) and "max" in value for value in values):
            joined[name] = {"max": max(value["max"] for value in values)}
        elif all(isinstance(value, list) for value in values):
            joined[name] = sorted({each for value in values for each in value})
    return joined


# The table


def _judgement(claim: Results) -> Judgement:
    given = claim["rate"]
    defined = {name: claim.get(name) for name in ("id", *DEFINITION)}
    return Judgement(
        claim=msgspec.convert(defined, Claim),
        verdict=Word(claim["verdict"]),
        expected=claim["expected"],
        sentence=claim["said"],
        rate=rate(given["k"], given["n"]) if given else None,
        infrastructure=claim.get("infrastructure"),
        bug=claim.get("bug"),
        absent=claim.get("absent", False),
    )


def _rows(found: Sequence[Results], judgements: Mapping[str, Judgement]) -> list[TableRow]:
    """Give the documented table of all shards: rows in the order in which they are first met, each cell with the worst of its claims."""
    cells: dict[str, dict[str, list[Results]]] = {}
    for row in (row for results in found for row in results["rows"]):
        columns = cells.setdefault(row["name"], {})
        for cell in row["cells"]:
            columns.setdefault(cell["column"], []).append(cell)
    return [TableRow(name, tuple(_cell(name, each, judgements) for each in columns.values())) for name, columns in cells.items()]


def _cell(row: str, same: Sequence[Results], judgements: Mapping[str, Judgement]) -> Cell:
    quotes = list(dict.fromkeys(cell["quote"] for cell in same if cell["quote"]))
    if len(quotes) > 1:
        raise UsageError(f"shards quote {row}, {same[0]['column']} as {quotes[1]!r} and as {quotes[0]!r}, expected one document")
    mine = tuple(judgements[name] for name in dict.fromkeys(name for cell in same for name in cell["claims"]) if name in judgements)
    quote = quotes[0] if quotes else None
    if not mine:
        return Cell(row, same[0]["column"], quote, None)
    deciding = [each.verdict for each in mine if not (each.verdict is Word.UNAVAILABLE and each.expected)] or [Word.UNAVAILABLE]
    if all(_partly(cell, judgements) for cell in same if cell["claims"]):
        deciding.append(Word.INCONCLUSIVE)
    return Cell(row, same[0]["column"], quote, min(deciding, key=lambda word: word.rank), mine)


def _plain(cell: Cell) -> dict[str, Any]:
    claims = [judgement.claim.id for judgement in cell.judgements]
    return {"column": cell.column, "quote": cell.quote, "verdict": cell.verdict, "claims": claims}


def _partly(cell: Results, judgements: Mapping[str, Judgement]) -> bool:
    """Say whether a shard judged only some claims of a cell: it is in doubt, and none of its claims is."""
    return cell["verdict"] == Word.INCONCLUSIVE and all(
        judgements[name].verdict is not Word.INCONCLUSIVE for name in cell["claims"] if name in judgements
    )


def _joined(values: Iterable[Any]) -> Any:
    """Give the one value that all have, else the different ones as a text."""
    found = list(dict.fromkeys(values))
    return found[0] if len(found) == 1 else ", ".join(map(str, found))


def _joined_values(found: Iterable[Results]) -> dict[str, Any]:
    every = list(found)
    return {name: _joined(each[name] for each in every if name in each) for name in dict.fromkeys(name for each in every for name in each)}
