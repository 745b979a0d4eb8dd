"""summary.md: what matters first, every verdict with its shape, and nothing from outside is Markdown, HTML or a mention."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from verified import claim, run, trial, verified, written

from reports.summary import summary

READER = MarkdownIt("commonmark", {"html": True}).enable("table")


def drawn(directory: Path, results: dict[str, Any]) -> str:
    (path,) = summary(written(directory, results))
    return path.read_text("utf-8")


def html(directory: Path, results: dict[str, Any]) -> str:
    return str(READER.render(drawn(directory, results)))


def test_the_headline_stands_first_and_the_exit_code_with_its_meaning_below(tmp_path: Path) -> None:
    told = drawn(tmp_path, verified(claim("c", "violated", 3, 4, expected=False, expect=["holds"]), exit=1)).splitlines()
    assert told[0] == "## ✗ No contradiction of the document was seen in one judged cell."
    assert told[2].startswith("**exit 1**: c is violated, expected holds")


def test_what_is_not_as_expected_stands_before_what_is(tmp_path: Path) -> None:
    bad = claim("bad", "inconclusive", expected=False, expect=["holds"])
    told = drawn(tmp_path, verified(claim("known", "violated", 3, 4), bad, exit=2))
    order = ["### Not as expected", "`bad`", "### Contradicts the document, as expected", "`known`", "### The documented table"]
    assert sorted(order, key=told.index) == order


def test_the_table_has_the_documents_words_and_the_verdict_with_its_shape(tmp_path: Path) -> None:
    page = html(tmp_path, verified(claim("c", "as-documented", 3, 4)))
    assert "<td>“Lock may be lost”<br>△ as-documented</td>" in page


def test_a_claim_tells_its_rate_and_interval(tmp_path: Path) -> None:
    assert "<td>3 of 4 failovers</td>\n<td>19–100 %</td>" in html(tmp_path, verified(claim("c", "as-documented", 3, 4)))


def test_a_claim_that_cannot_be_tested_is_listed_with_its_remedy(tmp_path: Path) -> None:
    told = drawn(tmp_path, verified(claim("c", "unavailable")))
    assert "– unavailable: `c`" in told
    assert "*remedy* run it again" in told


def test_what_the_machine_failed_is_named(tmp_path: Path) -> None:
    told = drawn(tmp_path, verified(claim("c", "inconclusive", infrastructure="no port"), failures={"shards/redis": "no results"}))
    assert "### The machine failed\n\n* `shards/redis`: no results" in told


def test_evidence_is_told_from_the_run_directory(tmp_path: Path) -> None:
    assert "*evidence* `experiments/split-brain/anomalies/1.txt`" in drawn(tmp_path, verified(claim("c", "violated", 3, 4)))


def test_shards_are_listed(tmp_path: Path) -> None:
    shard = {"directory": "shards/a", "seed": 5, "exit": 2, "claims": ["c"], "seconds": 61.0}
    told = drawn(tmp_path, verified(claim("c", "holds", 0, 4), shards=[shard, {**shard, "seed": 6}], seed="5, 6"))
    assert "| `shards/a` | 2 | 5 | 1 | 1 min 01 s |" in told
    assert "seeds 5 and 6" in told


def test_a_run_tells_its_trials_by_check_its_anomalies_and_the_command(tmp_path: Path) -> None:
    told = drawn(tmp_path, run(trial(1, "valid"), trial(2, "invalid"), status="invalid", exit=1))
    assert told.startswith("## ✗ invalid: lock on redis, variant default\n")
    assert "| 2 | cut | ✗ invalid |" in told
    assert "* trial 2, two-holders on `k`: both held k" in told
    assert "```sh\nholdwater run lock --backend redis --seed 7\n```" in told


def test_a_gate_that_was_not_met_is_told_with_what_it_needed(tmp_path: Path) -> None:
    gate = {"name": "attempted_during:lock", "needed": 20, "measured": 7, "met": False, "detail": ""}
    assert "trial 1, attempted during (lock): 7, needed 20" in drawn(tmp_path, run(trial(1, "valid", gates=[gate])))


def test_a_thousand_anomalies_do_not_fill_the_page(tmp_path: Path) -> None:
    many = trial(1, "invalid")
    many["checks"]["lease"]["anomalies"] *= 1000
    told = drawn(tmp_path, run(many, status="invalid", exit=1))
    assert "* and 980 more, in results.json" in told


def test_a_selftest_has_none(tmp_path: Path) -> None:
    assert summary(written(tmp_path, {"holdwater": 1, "kind": "selftest", "detections": []})) == []


HOSTILE = [
    "a | b | c",
    "<img src=x>",
    "**bold**",
    "[a](b)",
    "`",
    "```",
    "\n\n# title",
    "@everyone",
    "\\|",
    "a_b_c",
    "\x1b[31m",
    "</details>",
    "$x$",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_text_from_outside_is_only_text(tmp_path: Path, text: str) -> None:
    plain = html(tmp_path / "plain", verified(claim("c", "violated", 3, 4)))
    seen = {"experiment": text, "trial": 2, "kind": "two-holders", "key": text, "message": text}
    changed = dict.fromkeys(("sentence", "said", "quote", "conditions", "id", "unit", "repeat"), text)
    hostile = html(tmp_path / "hostile", verified({**claim("c", "violated", 3, 4, anomalies=[seen], evidence=[text]), **changed}))
    assert tags(hostile) == tags(plain)
    assert "@everyone" not in re.sub(r"<code.*?</code>", "", hostile, flags=re.DOTALL)  # in code nobody is called
    assert "\x1b" not in hostile


def tags(page: str) -> list[str]:
    return list(re.findall(r"</?[a-z][a-z0-9]*", page))


def test_each_documented_table_has_its_name_its_columns_and_the_words_on_its_rows(tmp_path: Path) -> None:
    of_memory = claim("i", "violated", table="Key Operations", cell=["increment", "Memory"])
    page = html(tmp_path, verified(claim("c", "as-documented", 3, 4), of_memory))
    assert "<h3>The documented table</h3>" in page
    assert "<h3>Key Operations</h3>" in page
    assert "<th>Operation</th>\n<th>Purpose</th>\n<th>Memory</th>" in page
    assert "<td>increment</td>\n<td>“The purpose of increment”</td>\n<td>✗ <strong>violated</strong></td>" in page
    assert "(increment on Memory, “Lock may be lost”)" in page
