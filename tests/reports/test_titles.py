"""Every number of a title is recomputed from history.jsonl, by `retold`, which shares nothing with the harness.

A title of a shape that no pattern here knows fails: a new number needs its recount first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from retold import Told, both_answered, median_took, served, silences
from split_brain import split_brain

from harness.commands.cli import cli
from harness.judging.checkers.fencing import fencing
from harness.judging.checkers.lease import lease
from harness.judging.verdict import Status, Verdict, combine, of_each_kind_first, unknown
from harness.record.format import encode
from harness.record.history import History
from reports import files, latency, rate, timeline
from reports.explain import explain, finding
from reports.marks import Mark, Words
from reports.sheet import TITLE_PX, Title
from reports.terminal import outcome

MS, S = 1_000_000, 1_000_000_000
RUNS = (
    *(("lock", "release-unchecked"), ("lock", "ttl-early"), ("lock", None), ("resource", "ttl-early"), ("resource", None)),
    ("resource", "client-pause"),
    *(
        ("acquire", "grant-waits"),
        ("acquire", "ttl-early"),
        ("dedup", "get-then-set"),
        ("cas", "stale-cas"),
        ("counter", "increment-twice"),
    ),
)
TRIES = 5  # a busy machine may leave a verdict open, or keep a bug from showing


@dataclass(frozen=True)
class Shown:
    """A run with what was found, and its history told a second time."""

    history: History
    verdict: Verdict
    told: Told
    results: dict[str, Any] | None = None


def carried_out(workload: str, mutant: str | None, directory: Path) -> Shown:
    planted = ["--fault", mutant] if mutant == "client-pause" else ["--option", f"mutant={mutant}"] if mutant else []
    for seed in range(TRIES):
        planted = [*planted, "--option", "again=0"] if workload == "lock" else planted  # the second opinion knows a token once
        arguments = ["run", workload, "--backend", "memory", "--seed", str(seed), "--out", str(directory), *planted]
        assert CliRunner().invoke(cli, arguments, standalone_mode=False).exception is None
        drawn = files.drawn(directory / "latest")
        assert drawn is not None
        results, trial, verdict = drawn
        if verdict.status is (Status.INVALID if mutant else Status.VALID):
            return Shown(trial.history, verdict, Told(directory / "latest" / "history.jsonl"), results)
    raise AssertionError(f"{workload} with {mutant} was not decided in {TRIES} runs")


def failed_over(directory: Path) -> Shown:
    history = split_brain()
    path = directory / "history.jsonl"
    path.write_bytes(b"".join(encode(event) for event in history.events))
    return Shown(history, combine({"lease": lease(history), "fencing": fencing(history)}), Told(path))


@pytest.fixture(scope="module", params=[*RUNS, ("a split brain", None)], ids=lambda run: f"{run[0]}-{run[1]}")
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    workload, mutant = request.param
    directory = tmp_path_factory.mktemp("titles")
    return failed_over(directory) if workload == "a split brain" else carried_out(workload, mutant, directory)


# What a title may say, and how each number is counted again


NUMBER = {"One": 1, "once": 1, "twice": 2, "A": 1}
COUNTED = {  # what is said of one or many, the kind, and whether keys are counted
    r"Two (?:clients|owners) held the same lock (?P<n>once|twice|[\d,]+ times)": ("two-holders", False),
    r"(?P<n>One|[\d,]+) keys? had more than one winner": ("dedup-two-winners", True),
    r"(?P<n>One|[\d,]+) objects? (?:is|are) not linearizable": ("not-linearizable", True),
    r"(?P<n>One|[\d,]+) leases? (?:was|were) lost before (?:its|their) time": ("lost-early", False),
    r"(?P<n>One|[\d,]+) records? lost updates under (?:its lock|their locks)": ("lost-update", True),
    r"acquire returned late (?P<n>once|twice|[\d,]+ times)": ("acquire-late", False),
    r"(?P<n>One|[\d,]+) fencing tokens? did not rise": ("fencing", False),
}
WHEN = r", (?P<first>first )?at (?P<at>[\d.]+) s"
AFTER = r"(?:, (?P<after>[\d.]+) (?P<unit>ms|s) after (?:the primary was cut off|the pausing of holders began))?"
OTHERS = r"(?:; (?P<others>[\d,]+) other violations?, (?P<more>first )?at (?P<other>[\d.]+) s)?"


def number(text: str) -> int:
    return NUMBER[text] if text in NUMBER else int(text.removesuffix(" times").replace(",", ""))


def recount_of_violations(title: str, told: Told) -> bool:
    """Recompute a title that names violations; False where it is none."""
    for pattern, (kind, of_keys) in COUNTED.items():
        if match := re.fullmatch(pattern + WHEN + AFTER + OTHERS, title):
            found = told.anomalies()
            mine, others = [each for each in found if each[0] == kind], [each for each in found if each[0] != kind]
            assert number(match["n"]) == (len({each[1] for each in mine}) if of_keys else len(mine))
            assert match["at"] == f"{mine[0][2] / S:.3f}"
            assert (match["first"] is not None) == (len(mine) > 1)
            faults = [fault for fault in told.faults() if fault[1] is not None and fault[0] <= mine[0][2]]
            assert (match["after"] is not None) == bool(faults)
            if faults:
                assert said_as(mine[0][2] - faults[-1][0], match["after"], match["unit"])
            assert int((match["others"] or "0").replace(",", "")) == len(others)
            if others:
                assert match["other"] == f"{others[0][2] / S:.3f}"
                assert (match["more"] is not None) == (len(others) > 1)
            return True
    return False


def recount_of_nothing(title: str, told: Told) -> bool:
    """Recompute the title of a run in which nothing was found."""
    locks = {each.key for each in told.operations if each.f in ("try_acquire", "acquire_within", "extend", "is_held")}
    others = [each for each in told.operations if each.key not in locks]
    granted = [each for each in told.operations if each.status == "ok" and each.result.get("granted") is True]
    rest = f"{len(others)} operations on {len({each.key for each in others})} keys"
    of_locks = f"No violation by the lease rules: {len(granted)} grants on {len(locks)} locks"
    assert not told.anomalies()
    return title == (f"{of_locks}; none in {rest}" if locks and others else of_locks if locks else f"No violation: {rest}")


def said_as(ns: float, digits: str, unit: str) -> bool:
    """Say whether a duration is what was said, as exactly as it was said."""
    scale = {"s": S, "ms": MS, "µs": 1000}[unit]
    return abs(float(digits) * scale - ns) <= 0.5 * scale * 10 ** -len(digits.partition(".")[2]) + 1


def duration(match: re.Match[str], name: str) -> tuple[str, str]:
    digits, _, unit = match[name].partition(" ")
    return digits, unit


TOOK = r"[\d.]+ (?:µs|ms|s)"


def recount_of_latencies(title: str, told: Told) -> bool:
    answered, rest = served(told), [each for each in told.operations if each.status != "ok"]
    counts = [f"{sum(each.status == status for each in rest):,} {status}" for status in ("fail", "info")]
    left = " and ".join(each for each in counts if not each.startswith("0 ")) or "all were answered"
    if match := re.fullmatch(
        rf"(?P<n>[\d,]+) answers: median (?P<median>{TOOK}), (?P<what>p99|longest) (?P<high>{TOOK}); (?P<left>.*)", title
    ):
        ordered = sorted(each.took(0) for each in answered)
        assert int(match["n"].replace(",", "")) == len(ordered)
        assert said_as(median_took(answered), *duration(match, "median"))
        assert (match["what"] == "p99") == (len(ordered) >= 100)
        assert said_as(ordered[-(len(ordered) // 100) - 1] if match["what"] == "p99" else ordered[-1], *duration(match, "high"))
        return match["left"] == left
    if match := re.fullmatch(rf"Median (?P<before>{TOOK}) before .*, (?P<after>{TOOK}) from (?P<at>[\d.]+) s on; (?P<left>.*)", title):
        (begin, *_), first = (
            told.faults()[0],
            next(each[2] for kind in ("two-holders", "lost-update") for each in told.anomalies() if each[0] == kind),
        )
        assert match["at"] == f"{first / S:.3f}"
        before, after = [each for each in answered if each.end <= begin], [each for each in answered if each.start >= first]
        both = {each.f for each in before} & {each.f for each in after}
        assert said_as(median_took([each for each in before if each.f in both]), *duration(match, "before"))
        assert said_as(median_took([each for each in after if each.f in both]), *duration(match, "after"))
        return match["left"] == left
    return False


def recount_of_rates(title: str, told: Told) -> bool:
    start, end = told.window()
    per_s, nodes = f"{len(served(told)) * S / (end - start):,.0f}", {each.node for each in served(told)}
    if match := re.fullmatch(
        r"(?:No server answered for (?P<s>[\d.]+) s, from (?P<at>[\d.]+) s on; )?(?P<n>[\d,]+) answers a second, from (?P<who>\w+)", title
    ):
        assert (match["n"], {match["who"]}) == (per_s, nodes)
        longest = max(silences(told))
        assert match["s"] is None or (said_as(longest[0], match["s"], "s") and match["at"] == f"{longest[1] / S:.3f}")
        return True
    if match := re.fullmatch(r"(\S+) and (\S+) both answered for ([\d.]+) s: (\d+) and (\d+) answers a second", title):
        length, answers = both_answered(told, match[1], match[2])
        assert said_as(length, match[3], "s")
        assert [match[4], match[5]] == [f"{answers[node] * S / length:.0f}" for node in (match[1], match[2])]
        return {match[1], match[2]} <= nodes
    return False


# Titles


def title_of(marks: tuple[Mark, ...]) -> str:
    return " ".join(mark.text for mark in marks if isinstance(mark, Words) and mark.px == TITLE_PX)


def flags_of(marks: tuple[Mark, ...]) -> list[str]:
    return [
        mark.text
        for mark in marks
        if isinstance(mark, Words) and re.search(r", (first )?at [\d.]+ s$", mark.text) and mark.bold and mark.px < TITLE_PX
    ]


def test_every_number_of_the_timeline_s_title_is_that_of_the_history(shown: Shown) -> None:
    title = title_of(timeline.layout(shown.history, shown.verdict, Title(finding(shown.history, shown.verdict), "")).marks)
    assert recount_of_violations(title, shown.told) or recount_of_nothing(title, shown.told), f"nothing recomputes {title!r}"


def test_every_number_of_the_latency_s_title_is_that_of_the_history(shown: Shown) -> None:
    title = title_of(latency.layout(shown.history, shown.verdict, "").marks)
    assert recount_of_latencies(title, shown.told), f"nothing recomputes {title!r}"


def test_the_medians_around_a_fault_are_those_of_the_history(tmp_path: Path) -> None:
    shown = failed_over(tmp_path)
    title = title_of(latency.layout(shown.history, unknown("not judged"), "").marks)
    match = re.fullmatch(rf"Median (?P<before>{TOOK}) before the primary was cut off, (?P<after>{TOOK}) during the fault; .*", title)
    ((begin, active, healing, _),) = shown.told.faults()
    before = [each for each in served(shown.told) if each.end <= begin]
    during = [each for each in served(shown.told) if active <= each.start <= healing]
    both = {each.f for each in before} & {each.f for each in during}
    assert match is not None
    assert said_as(median_took([each for each in before if each.f in both]), *duration(match, "before"))
    assert said_as(median_took([each for each in during if each.f in both]), *duration(match, "after"))


def test_every_number_of_the_rate_s_title_is_that_of_the_history(shown: Shown) -> None:
    title = title_of(rate.layout(shown.history, shown.verdict, "").marks)
    assert recount_of_rates(title, shown.told), f"nothing recomputes {title!r}"


def test_all_flags_stand_where_the_title_says(shown: Shown) -> None:
    said = finding(shown.history, shown.verdict)
    figures: list[tuple[Mark, ...]] = [
        timeline.layout(shown.history, shown.verdict, Title(said, "")).marks,
        latency.layout(shown.history, shown.verdict, "").marks,
        rate.layout(shown.history, shown.verdict, "").marks,
    ]
    when = re.search(r", ((?:first )?at [\d.]+ s)", said)
    for marks in figures:
        flags = flags_of(marks)
        assert [flag.partition(", ")[2] for flag in flags] == ([when[1]] if when else [])


def test_every_duration_of_an_anomaly_s_heading_is_that_of_the_history(shown: Shown) -> None:
    pairs = [each for each in shown.told.anomalies() if each[0] == "two-holders"]
    for anomaly in shown.verdict.all_anomalies():
        heading = explain(shown.history, anomaly).splitlines()[0]
        if match := re.fullmatch(rf"{anomaly.key} had two owners for (?P<took>.*)", heading):
            same = [until - at for _, key, at, until in pairs if key == anomaly.key and at == anomaly.at and until is not None]
            assert any(said_as(took, *duration(match, "took")) for took in same)
        else:
            assert not re.search(r"\d", heading.replace(str(anomaly.key), ""))


def test_two_owners_end_by_what_is_told_of_them(shown: Shown) -> None:
    """No release or refusal of either of the two is told before the end of the time for which both are said to be entitled."""
    for anomaly in (each for each in shown.verdict.all_anomalies() if each.kind == "two-holders" and each.until is not None):
        asked = [
            each for each in shown.history.operations() if each.index in anomaly.operations and each.f in ("try_acquire", "acquire_within")
        ]
        owners = {each.argument["owner"] for each in asked}
        mine = [each for each in shown.history.operations() if each.key == anomaly.key and (each.argument or {}).get("owner") in owners]
        over = [each.end for each in mine if each.f == "release" and each.status == "ok" and each.end > anomaly.at]
        assert all(anomaly.until <= end for end in over)


def test_the_terminal_explains_the_anomaly_of_the_title_and_its_checks_name_it(shown: Shown) -> None:
    if shown.results is None or not shown.verdict.all_anomalies():
        return
    first = of_each_kind_first(shown.verdict.all_anomalies())[0]
    text = " ".join(outcome(shown.results, shown.history, colour=False).split())
    assert " ".join(finding(shown.history, shown.verdict).split()) in text
    assert " ".join(explain(shown.history, first).splitlines()[0].split()) in text
    assert " ".join(first.message.split()) in text.partition("CHECKS")[2]


def test_the_first_text_is_of_the_anomaly_of_the_title(tmp_path: Path) -> None:
    shown = carried_out("lock", "release-unchecked", tmp_path)
    first = of_each_kind_first(shown.verdict.all_anomalies())[0]
    assert (tmp_path / "latest" / "anomalies" / "1.txt").read_text("utf-8").rstrip() == explain(shown.history, first).rstrip()
