"""junit.xml: it follows the exit code, is what CI servers read, and nothing from outside breaks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verified import claim, run, trial, verified, written

from reports.junit import junit

ATTRIBUTES = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, set()),
    "testsuite": ({"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "id"}, {"name", "tests"}),
    "properties": (set(), set()),
    "property": ({"name", "value"}, {"name", "value"}),
    "testcase": ({"name", "classname", "time"}, {"name", "classname"}),
    "failure": ({"message", "type"}, {"message"}),
    "error": ({"message", "type"}, {"message"}),
    "skipped": ({"message"}, set()),
    "system-out": (set(), set()),
}
"""Of each element the attributes that junit-10.xsd knows and we write, and those that it wants."""
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "testcase": {"failure", "error", "skipped", "system-out"},
}


def drawn(directory: Path, results: dict[str, Any]) -> ElementTree.Element:
    """Give the root of the junit.xml of these results, which keeps the rules of the schema."""
    (path,) = junit(written(directory, results))
    root = ElementTree.fromstring(path.read_bytes())
    check(root)
    return root


def check(element: ElementTree.Element) -> None:
    known, wanted = ATTRIBUTES[element.tag]
    assert set(element.attrib) <= known
    assert wanted <= set(element.attrib)
    assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
    if element.tag in ("testsuites", "testsuite"):
        cases = list(element.iter("testcase"))
        assert int(element.attrib["tests"]) == len(cases)
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.attrib.get(name, len(list(element.iter(tag))))) == len(list(element.iter(tag)))
    if element.tag == "testcase":
        assert len({child.tag for child in element} & {"failure", "error", "skipped"}) <= 1
    if element.tag == "testsuite":
        assert [child.tag for child in element] == sorted((child.tag for child in element), key=["properties", "testcase"].index)
        float(element.attrib["time"])
    for child in element:
        check(child)


def outcomes(root: ElementTree.Element) -> dict[str, str]:
    """Give what each test is: passed, failure, error or skipped."""
    return {
        case.attrib["name"]: next((child.tag for child in case if child.tag != "system-out"), "passed") for case in root.iter("testcase")
    }


# Claims


def test_a_verdict_that_is_expected_passes(tmp_path: Path) -> None:
    words = ("holds", "violated", "finding", "as-documented", "not-seen", "inconclusive")
    assert set(outcomes(drawn(tmp_path, verified(*(claim(word, word) for word in words)))).values()) == {"passed"}


def test_an_expected_contradiction_says_its_sentence_in_system_out(tmp_path: Path) -> None:
    root = drawn(tmp_path, verified(claim("c", "violated", 3, 4, said="false in 3 of 4 failovers")))
    assert "violated: false in 3 of 4 failovers" in (root.findtext(".//system-out") or "")


def test_a_verdict_that_is_not_expected_is_a_failure_and_says_what_was(tmp_path: Path) -> None:
    root = drawn(tmp_path, verified(claim("c", "violated", 3, 4, expected=False, expect=["holds", "finding"]), exit=1))
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.attrib["message"].startswith("violated, expected holds or finding: false in 3 of 4 failovers")
    assert "split-brain, trial 2: two-holders: both held k" in (failure.text or "")


def test_with_strict_an_expected_contradiction_is_a_failure(tmp_path: Path) -> None:
    assert outcomes(drawn(tmp_path, verified(claim("c", "violated", 3, 4), strict=True, exit=1))) == {"c": "failure"}


def test_what_was_in_doubt_though_not_expected_is_a_failure(tmp_path: Path) -> None:
    assert outcomes(drawn(tmp_path, verified(claim("c", "inconclusive", expected=False, expect=["holds"]), exit=2))) == {"c": "failure"}


def test_what_is_unavailable_is_skipped(tmp_path: Path) -> None:
    assert outcomes(drawn(tmp_path, verified(claim("c", "unavailable")))) == {"c": "skipped"}


def test_what_is_unavailable_though_not_expected_is_skipped_and_the_exit_code_fails(tmp_path: Path) -> None:
    results = verified(claim("c", "unavailable", expected=False, expect=["holds"]), exit=2)
    assert outcomes(drawn(tmp_path, results)) == {"c": "skipped", "exit code": "failure"}


def test_what_the_machine_broke_is_an_error(tmp_path: Path) -> None:
    broken = claim("c", "inconclusive", expected=False, expect=["holds"], infrastructure="split-brain: no port")
    results = verified(broken, exit=3, failures={"split-brain": "no port", "shards/redis": "no results.json"})
    assert outcomes(drawn(tmp_path, results)) == {"c": "error", "shards/redis": "error"}


def test_a_bug_of_ours_is_an_error_whatever_the_verdict(tmp_path: Path) -> None:
    assert outcomes(drawn(tmp_path, verified(claim("c", "holds", 0, 4, bug="split-brain, trial 1: TypeError"), exit=70))) == {"c": "error"}


def test_a_table_without_claims_is_not_green(tmp_path: Path) -> None:
    assert outcomes(drawn(tmp_path, verified(exit=2))) == {"exit code": "failure"}


def test_results_of_an_earlier_version_are_drawn(tmp_path: Path) -> None:
    old = claim("c", "holds", 0, 4)
    results = verified({name: value for name, value in old.items() if name not in ("infrastructure", "bug")})
    assert outcomes(drawn(tmp_path, {name: value for name, value in results.items() if name != "finished"})) == {"c": "passed"}


# Runs


def test_a_valid_trial_passes_and_an_invalid_one_fails_with_its_anomaly(tmp_path: Path) -> None:
    root = drawn(tmp_path, run(trial(1, "valid"), trial(2, "invalid"), status="invalid", exit=1))
    assert outcomes(root) == {"trial 1, cut": "passed", "trial 2, cut": "failure"}
    assert "lease: two-holders: both held k" in (root.findtext(".//failure") or "")


def test_an_unknown_trial_is_a_failure(tmp_path: Path) -> None:
    assert outcomes(drawn(tmp_path, run(trial(1, "unknown"), status="unknown", exit=2))) == {"trial 1, cut": "failure"}


def test_a_run_that_the_machine_broke_is_an_error(tmp_path: Path) -> None:
    results = run(trial(1, "valid"), exit=3, broken="redis-server ended with 1")
    assert outcomes(drawn(tmp_path, results)) == {"trial 1, cut": "passed", "run": "error"}


def test_a_run_without_a_trial_is_not_green(tmp_path: Path) -> None:
    assert outcomes(drawn(tmp_path, run(status="unknown", exit=2))) == {"exit code": "failure"}


def test_a_selftest_has_none(tmp_path: Path) -> None:
    assert junit(written(tmp_path, {"holdwater": 1, "kind": "selftest", "detections": []})) == []


# From outside

HOSTILE = ["a\x00b", "\x1b[31m", "]]>", "<testcase/>", "&amp;&#0;", "\"'", "\ufffe", "a\nb\tc", "\u202e", "\u200b"]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_text_from_outside_stays_in_its_place(tmp_path: Path, text: str) -> None:
    seen = {"experiment": text, "trial": 1, "kind": "two-holders", "key": text, "message": text}
    named: dict[str, Any] = dict.fromkeys(("id", "sentence", "said", "quote", "conditions"), text)
    results = verified(
        {**claim("c", "violated", 3, 4, expected=False, expect=["holds"], anomalies=[seen]), **named}, exit=1, failures={text: text}
    )
    assert len(list(drawn(tmp_path, results).iter("testcase"))) == 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(text=st.text(min_size=1), word=st.sampled_from(["violated", "holds", "inconclusive", "unavailable"]), expected=st.booleans())
def test_a_list_without_failure_and_error_is_exit_0(tmp_path: Path, text: str, word: str, expected: bool) -> None:
    code = 0 if expected else 2 if word in ("inconclusive", "unavailable") else 1
    expect = [word if expected else "finding"]
    root = drawn(tmp_path, verified(claim("c", word, said=text, sentence=text, expected=expected, expect=expect), exit=code))
    assert (code == 0) == (not {"failure", "error"} & set(outcomes(root).values()))


def test_claims_of_two_tables_are_in_two_suites_also_where_their_cells_have_one_name(tmp_path: Path) -> None:
    made = [claim(f"c{n}", "holds", table=table, cell=["get", "Memory"]) for n, table in enumerate((None, "Key Operations"))]
    suites = drawn(tmp_path, verified(*made)).iter("testsuite")
    assert [suite.attrib["name"] for suite in suites] == ["get, Memory", "Key Operations, get, Memory"]
