"""What the terminal shows: every word with its shape, nothing beyond the width, no escape without colour, nothing hidden."""

from __future__ import annotations

import copy
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from split_brain import MS, Recorder, S, split_brain

from harness.claims.claim import Word
from harness.claims.results import Run, Verify
from harness.judging.trials import judge_trials
from harness.judging.verdict import Anomaly, combine, invalid, unknown, valid
from harness.record.history import NEMESIS, Event, History
from harness.record.store import plain
from reports import terminal
from reports.terminal.lines import MARKS, lasting

SHAPES = dict(zip((str(word) for word in Word), "✗?–◆○△✓", strict=True))
RATES = {
    "some": {"k": 5, "n": 5, "low": 0.4781, "high": 1.0, "upper": 1.0},
    "none": {"k": 0, "n": 20, "low": 0.0, "high": 0.168, "upper": 0.1391},
}


def claim(word: str, **more: Any) -> dict[str, Any]:
    seen = word in ("violated", "finding", "as-documented")
    return {
        "id": f"claim-{word}",
        "cell": ["Redis (Sentinel)", "Failover safety"],
        "quote": "Lock may be lost",
        "sentence": f"A sentence about {word}.",
        "conditions": "no min-replicas",
        "document": "warns",
        "verdict": word,
        "expected": True,
        "expect": [word],
        "unit": "failovers",
        "rate": None if word == "unavailable" else RATES["some" if seen else "none"],
        "said": "false in 5 of 5 failovers" if seen else "said in one sentence",
        "missing": ["split-brain, trial 1: settled: 0, needed 1"] if word in ("inconclusive", "unavailable") else [],
        "remedy": "give it a longer fault" if word in ("inconclusive", "unavailable") else None,
        "gates": [{"name": "attempted_during:lock", "needed": 20, "measured": 7, "met": False, "detail": ""}],
        "numbers": {},
        "anomalies": [{"experiment": "split-brain", "trial": 2, "kind": "two-holders", "key": "k", "message": "both held k"}]
        if seen
        else [],
        "evidence": ["runs/1/experiments/split-brain/anomalies/1.txt"] if seen else [],
        "experiments": ["runs/1/experiments/split-brain"],
        "controls": [{"check": "lease", "planted": "mutant ttl-early", "condemned": True, "detail": ""}],
        "voids": [],
        "repeat": "holdwater run lock --backend redis-sentinel --fault isolate-primary --option variant=default --rate 15 --seed 7",
        **more,
    }


def results(*claims: dict[str, Any], **more: Any) -> dict[str, Any]:
    cells = [
        {"column": "Mutual exclusion", "quote": "Strong", "verdict": "not judged", "claims": []},
        {
            "column": "Failover safety",
            "quote": "Lock may be lost",
            "verdict": claims[0]["verdict"] if claims else "not judged",
            "claims": [each["id"] for each in claims],
        },
        {"column": "Recommendation", "quote": "Accept rare duplicates", "verdict": "not judged", "claims": []},
    ]
    return {
        "holdwater": 1,
        "kind": "verify",
        "profile": "quick",
        "seed": 7,
        "on": "local",
        "seconds": 372.1,
        "exit": 0,
        "strict": False,
        "headline": "One of ten documented cells does not hold water: Redis (Sentinel), failover safety.",
        "contradicts": any(each["verdict"] == "violated" for each in claims),
        "command": "holdwater verify --seed 7",
        "directory": "runs/1",
        "rows": [{"name": "Redis (Sentinel)", "cells": cells}],
        "claims": list(claims),
        "failures": {},
        "versions": {"Valkey": "9.1.2", "toxiproxy": "2.12.0"},
        **more,
    }


def every() -> dict[str, Any]:
    return results(*(claim(word) for word in SHAPES))


def run_results(history: History, **more: Any) -> dict[str, Any]:
    trials = [
        {"n": trial.n, "faults": [], "checks": {name: _check(found) for name, found in trial.verdicts.items()}, "gates": []}
        for trial in judge_trials(history)
    ]
    wrong = any(check["anomalies"] for trial in trials for check in trial["checks"].values())
    value = {
        "holdwater": 1,
        "kind": "run",
        "status": "invalid" if wrong else "valid",
        "exit": int(wrong),
        "command": "holdwater run lock --backend redis-sentinel --seed 7",
        "directory": "runs/2",
        "plan": {
            "backend": "redis-sentinel",
            "variant": "default",
            "workloads": ["lock"],
            "episodes": [{}],
            "seed": 7,
            "concurrency": 8,
            "rate": 15.0,
            "mutant": None,
        },
        "versions": {"Valkey": "9.1.2"},
        "seconds": 12.3,
        "late_us": {"p50": 90, "p99": 1500, "max": 2_500_000},
        "voids": [],
        "broken": None,
        "operations": {"ok": 1861, "fail": 27, "info": 16},
        "trials": trials,
    }
    return {**plain(value), **more}


def _check(found: Any) -> dict[str, Any]:
    return {"status": str(found.status), "summary": found.summary, "numbers": dict(found.numbers), "anomalies": found.all_anomalies()}


@pytest.fixture(scope="module")
def cut() -> tuple[dict[str, Any], History]:
    history = split_brain()
    return run_results(history), history


def table(value: dict[str, Any], **more: Any) -> str:
    return terminal.table(msgspec.convert(value, Verify), **more)


def outcome(value: dict[str, Any], history: History | None, **more: Any) -> str:
    return terminal.outcome(msgspec.convert(value, Run), history, **more)


def machine(**more: Any) -> dict[str, Any]:
    alone = "memory has no network, and cannot have {fault}; use another backend"
    absent = "no redis-server on this machine; run: holdwater install"
    return {
        "python": "3.11.7",
        "system": "Linux 6.1",
        "cores": 2,
        "root": False,
        "servers": [
            {"name": "redis-server", "product": None, "version": None, "path": None, "source": None},
            {"name": "toxiproxy", "product": "toxiproxy", "version": "2.12.0", "path": "/opt/" + "long/" * 30, "source": "PATH"},
        ],
        "backends": [
            {
                "name": "memory",
                "missing": None,
                "faults": {"cut": alone.format(fault="cut"), "latency": alone.format(fault="latency"), "kill": None},
            },
            {"name": "redis", "missing": absent, "faults": {"cut": None, "latency": None, "kill": None}},
            {"name": "redis-sentinel", "missing": absent, "faults": {"cut": None, "latency": None, "kill": None}},
        ],
        "claims": {"runnable": 13, "total": 17, "unavailable": ["redis-power-loss", "sentinel-quiet"]},
        "exit": 3,
        **more,
    }


def widest(text: str) -> int:
    return max(map(cell_len, text.split("\n")))


# Words, shapes, colours


def test_the_words_are_those_of_the_claims_worst_first() -> None:
    assert list(MARKS)[: len(SHAPES)] == [str(word) for word in Word]


@pytest.mark.parametrize("word", SHAPES)
def test_a_verdict_is_shown_with_its_shape_in_the_table_and_in_the_list(word: str) -> None:
    shown = table(results(claim(word)), colour=False)
    assert shown.count(f"{SHAPES[word]} {word}") >= 2


def test_a_cell_without_claims_is_not_judged() -> None:
    assert "· not judged" in table(every(), colour=False)


def test_only_violated_is_filled() -> None:
    filled = [word for word, (_, style) in MARKS.items() if " on " in style]
    assert filled == ["violated"]


def test_only_what_is_wrong_is_red() -> None:
    red = {word for word, (_, style) in MARKS.items() if "red" in style}
    assert red == {"violated", "invalid"}


def test_colour_changes_no_letter() -> None:
    coloured = table(every(), colour=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == table(every(), colour=False)


def test_without_colour_there_is_no_escape(cut: tuple[dict[str, Any], History]) -> None:
    texts = [
        table(every(), colour=False),
        outcome(*cut, colour=False),
        terminal.doctor(machine(), colour=False),
        terminal.listing("faults", [("cut", "cuts")], colour=False),
    ]
    assert not any("\x1b" in text for text in texts)


def test_a_key_of_a_foreign_history_does_not_steer_the_terminal() -> None:
    found = combine({"lease": invalid("two \x1b[31mholders\r\n", [Anomaly("two-holders", "k\x1b]0;x\x07\u202e", (1,), 5, "m\x1b[2J")])})
    shown = terminal.verdict(found, "h\x1b[1mistory", colour=False)
    assert "\\x1b[2J" in shown
    assert all(letter.isprintable() or letter == "\n" for letter in shown)


def test_no_verdict_is_called_passed_failed_or_success() -> None:
    for text in (table(every(), colour=False), terminal.doctor(machine(exit=0), colour=False)):
        assert not {"passed", "failed", "success"} & set(text.lower().replace(":", " ").split())


# Width


@pytest.mark.parametrize("width", [50, 80, 120])
def test_no_line_is_wider_than_asked(width: int, cut: tuple[dict[str, Any], History]) -> None:
    assert widest(table(every(), colour=False, width=width)) <= width
    assert widest(outcome(*cut, colour=False, width=width)) <= width
    assert widest(terminal.doctor(machine(), colour=False, width=width)) <= width


@settings(max_examples=60, deadline=None)
@given(
    words=st.lists(st.text(min_size=1, max_size=120) | st.text("a界 ✗", min_size=60, max_size=200), min_size=9, max_size=9),
    word=st.sampled_from(list(SHAPES)),
)
def test_no_name_quote_or_sentence_makes_a_line_longer_than_80(words: list[str], word: str) -> None:
    names = ("id", "quote", "sentence", "conditions", "unit", "said", "remedy", "repeat")
    each = claim(word, **dict(zip(names, words, strict=False)), expected=False, expect=["finding" if word == "holds" else "holds"])
    each |= {"cell": [words[8], words[0]], "missing": words[:2]}
    text = table(results(each, headline=words[8], command=words[1], failures={words[2]: words[3]}, exit=1), colour=False)
    assert widest(text) <= 80
    rows = [(words[0], words[1]), (words[2], words[3])]
    assert widest(terminal.listing("claims", rows, colour=False)) <= 80


def test_the_documented_table_fits_with_long_names_and_quotes() -> None:
    value = every()
    row = copy.deepcopy(value["rows"][0])
    row["name"] = "A system with a name that is much longer than a column of the table"
    for cell in row["cells"]:
        cell["quote"] = "a sentence of the document that goes on and on, as sentences of documents do, " * 2
    shown = table({**value, "rows": [row]}, colour=False)
    assert widest(shown) <= 80
    assert "RECOMMENDATION" in shown


def test_a_document_with_many_columns_is_shown_cell_below_cell() -> None:
    value = every()
    cells = [{"column": f"Column {n}", "quote": f"quote {n}", "verdict": "holds", "claims": []} for n in range(9)]
    shown = table({**value, "rows": [{"name": "R", "cells": cells}]}, colour=False)
    assert widest(shown) <= 80
    assert all(f"Column {n}" in shown and f"“quote {n}”" in shown for n in range(9))


BACKENDS = ("Memory", "Redis (single)", "Redis (Sentinel)", "PostgreSQL", "DynamoDB")
OPERATIONS = {
    "check_and_set": ("Atomic set-if-not-exists", "Deduplication"),
    "index_chain_ready": ("Schedule chain step", "Chain advancement"),
}


def operations(word: str, columns: tuple[str, ...] = BACKENDS, **more: Any) -> dict[str, Any]:
    """Give results with two documented tables: that of `results`, and operations by backend."""
    value = results(claim("holds"))
    cells = [{"column": column, "quote": None, "verdict": word, "claims": ["claim-holds"], "unjudged": []} for column in columns]
    rows = [
        {"name": name, "table": "Key Operations", "says": {"Purpose": purpose, "Used By": user}, "cells": cells}
        for name, (purpose, user) in OPERATIONS.items()
    ]
    tables = [{"name": "Key Operations", "row": "Operation", "backends": "columns"}]
    return {**value, "tables": tables, "rows": [*value["rows"], *rows], **more}


@pytest.mark.parametrize("word", SHAPES)
def test_operations_by_backend_have_a_line_of_words_and_a_line_of_verdicts(word: str) -> None:
    lines = table(operations(word), colour=False).splitlines()
    start = lines.index("KEY OPERATIONS")
    assert lines[start + 1].split() == ["OPERATION", "PURPOSE", "USED", "BY"]
    at = next(n for n, line in enumerate(lines) if line.startswith("check_and_set"))
    assert re.split(r"\s{2,}", lines[at]) == ["check_and_set", "“Atomic set-if-not-exists”", "“Deduplication”"]
    assert lines[at + 1].count(f"{SHAPES[word]} {word}") == len(BACKENDS)
    assert widest("\n".join(lines)) <= 80


def test_a_verdict_stands_below_its_backend() -> None:
    lines = table(operations("holds"), colour=False).splitlines()
    titles = next(line for line in lines if "POSTGRESQL" in line)
    verdicts = lines[next(n for n, line in enumerate(lines) if line.startswith("check_and_set")) + 1]
    assert [titles.index(name.split()[0].upper()) for name in BACKENDS[:2]] == [at.start() for at in re.finditer("✓", verdicts)][:2]
    assert titles.index("DYNAMODB") == verdicts.rindex("✓")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_no_table_of_operations_is_wider_than_asked_or_loses_a_verdict(width: int) -> None:
    shown = table(operations("as-documented"), colour=False, width=width)
    assert widest(shown) <= width
    assert shown.count("△ as-documented") >= len(BACKENDS) * len(OPERATIONS)


@settings(max_examples=60, deadline=None)
@given(words=st.lists(st.text(min_size=1, max_size=120) | st.text("a界 ✗", min_size=60, max_size=200), min_size=5, max_size=5, unique=True))
def test_no_name_of_a_table_its_columns_or_its_rows_makes_a_line_longer_than_80(words: list[str]) -> None:
    name, row, column, about, said = words
    cells = [{"column": column, "quote": None, "verdict": "holds", "claims": []}]
    rows = [{"name": row, "table": name, "says": {about: said}, "cells": cells}]
    assert widest(table({**operations("holds"), "rows": rows, "tables": [{"name": name, "row": row}]}, colour=False)) <= 80


def test_a_table_of_which_no_claim_was_chosen_is_left_out_and_one_without_claims_is_not() -> None:
    value = operations("holds")
    for row in value["rows"][1:]:
        row["cells"] = [{"column": "Memory", "quote": None, "verdict": "not judged", "claims": [], "unjudged": ["another"]}]
    assert "KEY OPERATIONS" not in table(value, colour=False)
    value["rows"][1]["cells"] = value["rows"][2]["cells"] = [{"column": "Memory", "quote": None, "verdict": "not judged", "claims": []}]
    assert "KEY OPERATIONS" in table(value, colour=False)


def test_a_contradiction_of_an_operation_names_its_backend() -> None:
    wrong = claim("violated", table="Key Operations", cell=["increment", "Redis (single)"], quote="Atomic counter")
    value = operations("violated", claims=[wrong], contradicts=True)
    assert "increment on Redis (single), claimed: “Atomic counter”" in table(value, colour=False)


@settings(max_examples=100, deadline=None)
@given(words=st.lists(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=150), min_size=1, max_size=12))
def test_a_command_can_be_copied_as_it_stands(words: list[str]) -> None:
    printable = [word for word in words if word.isprintable()]
    shown = table(results(command=shlex.join(["holdwater", *printable])), colour=False)
    command = shown.split("\nagain")[1].rpartition("\nexit ")[0]
    assert shlex.split(command.replace("\\\n", "")) == ["holdwater", *printable]


# verify


def test_the_headline_comes_first_with_its_mark() -> None:
    assert table(every(), colour=False).startswith("✗ One of ten documented cells does not hold water")


def test_without_contradiction_the_headline_has_the_mark_of_the_worst() -> None:
    assert table(results(claim("holds"), claim("finding")), colour=False).startswith("◆ ")
    assert table(results(claim("holds"), claim("inconclusive")), colour=False).startswith("? ")
    assert table(results(claim("holds"), claim("unavailable")), colour=False).startswith("✓ ")


def test_a_control_counts_once_and_as_condemned_only_where_it_was_everywhere() -> None:
    def planted(*condemned: tuple[str, bool]) -> list[dict[str, Any]]:
        return [{"check": "lease", "planted": name, "condemned": found, "detail": ""} for name, found in condemned]

    one, two = claim("holds", controls=planted(("a", True), ("b", True))), claim("finding", controls=planted(("a", True), ("b", False)))
    assert "controls  1 of 2 condemned" in table(results(one, two), colour=False).replace("    ", "  ")


def test_every_claim_is_listed_worst_first() -> None:
    shown = table(results(*(claim(word) for word in reversed(SHAPES))), colour=False)
    lines = shown[shown.index("\nCLAIMS") :].split("\n\n")[0].splitlines()
    assert [line.split()[1] for line in lines if line.startswith("  ")] == list(SHAPES)


def test_a_claim_that_is_long_gets_two_lines_and_loses_nothing() -> None:
    shown = table(results(claim("holds", id="x" * 60)), colour=False)
    assert "x" * 60 in shown
    assert "0 of 20 failovers, ≤ 14.0 %" in shown


def test_a_rate_has_its_interval_and_none_of_n_its_upper_bound() -> None:
    shown = table(every(), colour=False)
    assert re.search(r"claim-violated +5 of 5 failovers +47–100 %", shown)
    assert re.search(r"claim-holds +0 of 20 failovers +≤ 14.0 %", shown)


def test_a_contradiction_has_claimed_observed_evidence_and_repeat() -> None:
    shown = table(results(claim("violated")), colour=False)
    section = shown[shown.index("CONTRADICTS THE DOCUMENT") :].split("\n\n")[0]
    assert "Redis (Sentinel), failover safety, claimed: “Lock may be lost”" in section
    assert "observed  false in 5 of 5 failovers" in section
    assert "evidence  runs/1/experiments/split-brain/anomalies/1.txt" in section
    assert "repeat    holdwater run lock" in section


def test_evidence_is_named_where_it_is_and_not_by_way_of_the_newest_run(tmp_path: Path) -> None:
    directory = tmp_path / "20261128-verify"
    directory.mkdir()
    (tmp_path / "latest").symlink_to(directory.name)
    path = f"{directory}/experiments/split-brain/anomalies/1.txt"
    shown = table(results(claim("violated", evidence=[path]), directory=str(directory)), colour=False, width=200)
    assert path in shown
    assert "latest" not in shown


def test_a_finding_is_told_in_words() -> None:
    shown = table(results(claim("finding")), colour=False)
    assert "◆ claim-finding: A sentence about finding." in shown


def test_what_is_inconclusive_tells_what_was_missing_needed_and_measured() -> None:
    shown = table(results(claim("inconclusive")), colour=False)
    assert "missing   split-brain, trial 1: settled: 0, needed 1" in shown
    assert "attempted during (lock): 7, needed 20" in shown
    assert "remedy    give it a longer fault" in shown


def test_a_gate_that_is_named_already_is_not_named_twice() -> None:
    shown = table(results(claim("inconclusive", missing=["e, trial 1: attempted during:lock: 7, needed 20"])), colour=False)
    assert shown.count("7, needed 20") == 1


def test_what_this_machine_lacks_is_told_once_with_the_way_to_get_it() -> None:
    absent = {"absent": True, "missing": ["no Dynoxide on this machine"], "remedy": "run: holdwater install dynoxide"}
    made = results(claim("holds"), claim("unavailable", **absent), claim("unavailable", **absent, id="other"), exit=0)
    told = " ".join(table(made, colour=False, width=200).split())
    said = "left out on this machine: 2 claims (claim-unavailable, other): no Dynoxide; get it: run: holdwater install dynoxide"
    assert told.endswith(f"{said} exit 0: every verdict is one that its claim expects, but for what was left out")


def test_an_unavailable_claim_is_listed_under_its_cell() -> None:
    assert "– unavailable 1" in table(results(claim("holds"), claim("unavailable")), colour=False)


def test_a_verdict_that_was_not_expected_says_what_was() -> None:
    shown = table(results(claim("finding", expected=False, expect=["holds"]), exit=1), colour=False)
    assert "not as expected: holds" in shown
    assert shown.splitlines()[-1] == "exit 1: claim-finding is finding, expected holds"


def test_what_failed_and_what_was_void_is_told() -> None:
    shown = table(results(claim("holds", voids=["e: redis-2 became primary"]), failures={"e": "no port"}, exit=3), colour=False)
    assert "e: redis-2 became primary" in shown
    assert "e: no port" in shown


@pytest.mark.parametrize("code", [0, 1, 2, 3, 70, 130])
def test_the_last_line_is_the_exit_code_with_its_meaning(code: int) -> None:
    assert table(results(claim("holds"), exit=code), colour=False).splitlines()[-1].startswith(f"exit {code}: ")


# run


def test_a_run_shows_the_timeline_of_its_faults_and_roles(cut: tuple[dict[str, Any], History]) -> None:
    shown = outcome(*cut, colour=False)
    assert "0.0 s  steady      redis-1 primary; redis-2 and redis-3 replicas" in shown
    assert "1.5 s  fault on    redis-1 and clients 0–3 cut off" in shown
    assert "1.8 s              proved: marker reached 0 of 2 peers" in shown
    assert "2.9 s  role        redis-2 promoted, 1.40 s after the primary was cut off" in shown
    assert "8.5 s  healed      links to redis-1 open again; proved" in shown
    assert "9.9 s  settled     steady again" in shown


def test_each_fault_of_a_schedule_is_told_as_one_that_begins(cut: tuple[dict[str, Any], History]) -> None:
    told, history = cut
    value = {"id": 2, "targets": ["redis-2"], "changes_roles": False}
    begin = next(event for event in history.events if event.f == "isolate-primary" and event.value["phase"] == "active")
    more = [
        Event(index=begin.index, time=begin.time, process=NEMESIS, type="info", f="pause", value={**value, "phase": phase, "probe": {}})
        for phase in ("begin", "active")
    ]
    place = history.events.index(begin)
    events = (*history.events[: place + 1], *more, *history.events[place + 1 :])
    renumbered = tuple(msgspec.structs.replace(event, index=number) for number, event in enumerate(events))
    shown = outcome(told, replace(history, events=renumbered), colour=False)
    assert "1.5 s  fault on    redis-1 and clients 0–3 cut off" in shown
    assert "1.8 s  fault on    redis-2 paused" in shown


def test_a_run_explains_the_anomaly_that_its_verdict_names(cut: tuple[dict[str, Any], History]) -> None:
    shown = outcome(*cut, colour=False)
    assert "✗ invalid: Two clients held the same lock" in shown
    assert "had two owners for" in shown
    assert "both entitled" in shown


def test_a_run_ends_with_counts_places_and_the_command(cut: tuple[dict[str, Any], History]) -> None:
    lines = outcome(*cut, colour=False).splitlines()
    assert "operations  1,904: 1,861 ok, 27 fail, 16 info" in lines
    assert "results     runs/2/results.json" in lines
    assert "repeat      holdwater run lock --backend redis-sentinel --seed 7" in lines
    assert lines[-1] == "exit 1: not valid: a counterexample exists"


def test_a_run_without_anomaly_explains_none() -> None:
    history = split_brain(cut=False, end_s=2.0)
    shown = outcome(run_results(history), history, colour=False)
    assert "✓ valid: No violation by the lease rules" in shown
    assert "▓" not in shown
    assert "passed" not in shown


def test_a_run_without_a_trial_tells_what_broke() -> None:
    value = run_results(History(()), status="unknown", exit=3, broken="redis-1 did not start", operations={})
    shown = outcome(value, None, colour=False)
    assert "? unknown: no trial was judged" in shown
    assert "redis-1 did not start" in shown
    assert shown.splitlines()[-1] == "exit 3: the machine or a server failed: redis-1 did not start"


def test_a_fault_that_was_not_proved_is_marked_in_doubt() -> None:
    record = Recorder()
    record.nemesis(MS, "trial", n=1, phase="begin")
    record.nemesis(2 * MS, "trial", n=1, phase="steady")
    record.nemesis(S, "cut", id=1, phase="begin", targets=["clients-a -> redis-1"], changes_roles=False)
    record.nemesis(6 * S, "cut", id=1, phase="failed", targets=["clients-a -> redis-1"], reason="not proved active within 5 s")
    history = record.history()
    shown = outcome(run_results(history, status="unknown", exit=2), history, colour=False)
    line = next(line for line in shown.splitlines() if "not proved" in line)
    assert line.endswith("?")


def test_a_gate_that_was_not_met_is_named_with_its_trial(cut: tuple[dict[str, Any], History]) -> None:
    value = copy.deepcopy(cut[0])
    value["trials"][0]["gates"] = [{"name": "promoted", "needed": 1, "measured": 0, "met": False, "detail": ""}]
    shown = outcome(value, cut[1], colour=False)
    assert "exercised   0 of 1 gate met" in shown
    assert "? trial 1: promoted: 0, needed 1" in shown


def with_little(met: bool) -> str:
    value = run_results(split_brain(), status="valid", exit=0)
    value["trials"][0]["gates"] = [{"name": "overlapping_pairs:lock", "needed": 20, "measured": 21 if met else 6, "met": met, "detail": ""}]
    return outcome(value, None, colour=False)


def test_a_valid_run_says_in_the_line_of_its_verdict_that_little_was_exercised() -> None:
    assert "✓ valid, but little was exercised (overlapping pairs (lock) 6, needed 20): " in " ".join(with_little(met=False).split())


def test_a_valid_run_in_which_enough_was_exercised_says_nothing_of_it() -> None:
    assert "little" not in with_little(met=True)


def test_each_check_of_a_run_says_how_many_answered_operations_it_took(cut: tuple[dict[str, Any], History]) -> None:
    shown = " ".join(outcome(cut[0], cut[1], colour=False).split())
    answered = cut[0]["trials"][0]["checks"]["lease"]["numbers"]["answered"]
    assert f"lease, of {answered:,} answered operations: " in shown


# check, list, doctor


@pytest.mark.parametrize(
    ("part", "line"),
    [
        (valid("nothing wrong", grants=1204), "✓ valid  lease: nothing wrong"),
        (unknown("the budget ran out"), "? unknown  lease: the budget ran out"),
        (invalid("two held it", [Anomaly("two-holders", "k", (1,), 5, "m")]), "✗ invalid  lease: two held it"),
    ],
)
def test_a_check_is_shown_with_its_status(part: Any, line: str) -> None:
    shown = terminal.verdict(combine({"lease": part}), "h.jsonl", colour=False)
    assert line in shown
    assert "history     h.jsonl" in shown


def test_of_many_anomalies_each_class_is_shown_and_all_are_counted() -> None:
    found = [Anomaly("two-holders", "k", (n,), n * S, f"message {n}") for n in range(30)] + [Anomaly("stuck", None, (99,), 40 * S, "last")]
    shown = terminal.verdict(combine({"lease": invalid("wrong", found)}), "h", colour=False)
    assert "31: 30 two-holders, 1 stuck" in shown
    assert "2  stuck on the object at 40.000 s: last" in shown
    assert "and 26 more" in shown


def test_the_first_anomaly_listed_is_the_first_of_the_worst_kind() -> None:
    found = [Anomaly("stranger", "k", (1,), S, "early"), Anomaly("two-holders", "k", (2,), 2 * S, "late")]
    shown = terminal.verdict(combine({"lease": invalid("wrong", found)}), "h", colour=False)
    assert "1  two-holders on k at 2.000 s: late" in shown


def test_names_stand_beside_their_sentences_and_above_them_where_they_are_long() -> None:
    assert "  cut  cuts it" in terminal.listing("faults", [("cut", "cuts it")], colour=False)
    assert "  " + "n" * 50 + "\n    cuts it" in terminal.listing("faults", [("n" * 50, "cuts it")], colour=False)


def test_an_empty_list_says_so() -> None:
    assert terminal.listing("mutants", [], colour=False) == "MUTANTS\n  none"


def test_doctor_shows_what_can_be_done_to_which_backend() -> None:
    lines = terminal.doctor(machine(), colour=False).splitlines()
    assert next(line.split() for line in lines if line.startswith("  cut")) == ["cut", "–", "1", "1"]
    assert next(line.split() for line in lines if line.startswith("  kill")) == ["kill", "✓", "1", "1"]


def test_doctor_gives_one_remedy_for_all_whom_it_helps() -> None:
    shown = terminal.doctor(machine(), colour=False)
    assert "  1  redis, redis-sentinel: no redis-server on this machine; run: holdwater" in shown
    assert "redis-server  not found, remedy 1" in shown


def test_doctor_tells_a_refusal_once_for_all_faults_that_share_it() -> None:
    assert "memory has no network, and cannot have cut and latency; use another" in terminal.doctor(machine(), colour=False)


def test_doctor_names_the_claims_that_cannot_run_and_ends_with_the_exit_code() -> None:
    shown = terminal.doctor(machine(), colour=False)
    assert "13 of 17 claims can run here; 2 would be unavailable: redis-power-loss," in shown
    assert shown.splitlines()[-1] == "exit 3: part of the table cannot be judged on this machine"


@pytest.mark.parametrize(("seconds", "words"), [(12.3, "12 s"), (59.6, "1 min 00 s"), (372.1, "6 min 12 s"), (3725, "1 h 02 min")])
def test_durations_are_said_in_words(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


# Pictures


def pictured(folder: Path, word: str, name: str) -> dict[str, Any]:
    """Give a claim in whose experiment an anomaly was seen and drawn."""
    experiment = folder / "experiments" / name
    experiment.mkdir(parents=True, exist_ok=True)
    (experiment / "timeline.png").touch()
    anomalies = [{"experiment": name, "trial": 1, "kind": "two-holders", "key": "k", "message": "both held k"}]
    return claim(word, id=f"claim-{name}", experiments=[str(experiment)], anomalies=anomalies)


def pictures(*claims: dict[str, Any]) -> list[str]:
    shown = table(results(*claims), colour=False)  # paths are whole, whatever the width
    return [word for word in shown.split() if word.endswith("timeline.png")]


def test_verify_names_the_pictures_of_what_was_seen_contradictions_first(tmp_path: Path) -> None:
    claims = [pictured(tmp_path, word, word) for word in ("as-documented", "finding", "violated")]
    assert [Path(path).parent.name for path in pictures(*claims)] == ["violated", "finding", "as-documented"]


def test_a_picture_that_is_named_is_there(tmp_path: Path) -> None:
    there, gone = pictured(tmp_path, "violated", "there"), pictured(tmp_path, "violated", "gone")
    (tmp_path / "experiments" / "gone" / "timeline.png").unlink()
    assert pictures(there, gone) == [str(tmp_path / "experiments" / "there" / "timeline.png")]


def test_an_experiment_that_several_claims_share_is_named_once(tmp_path: Path) -> None:
    one, other = pictured(tmp_path, "violated", "one"), pictured(tmp_path, "finding", "one")
    assert len(pictures(one, {**other, "id": "another"})) == 1


def test_what_holds_has_no_picture_named(tmp_path: Path) -> None:
    assert pictures(pictured(tmp_path, "holds", "one")) == []


def test_a_handful_of_pictures_is_named(tmp_path: Path) -> None:
    assert len(pictures(*(pictured(tmp_path, "violated", f"e{n}") for n in range(9)))) == 5
