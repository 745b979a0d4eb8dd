"""The nightly store and its page: what is kept, what changed first, one file that needs nothing from outside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from verified import claim, verified, written

from harness.claims import nights
from harness.commands.cli import guarded
from harness.errors import UsageError
from harness.judging.statistics import rate
from reports.nightly import index

START = datetime(2026, 11, 1, 4, 12, 7, tzinfo=UTC)


def store_of(root: Path, *every: dict[str, Any], days: int = 1) -> Path:
    """Make a store of these nights, one every so many days."""
    for n, results in enumerate(every):
        ended = (START + timedelta(days=n * days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        nights.append(root, written(root.parent / "verify", {**results, "finished": ended, "seed": n}), START + timedelta(days=10_000))
    return root


def test_a_night_that_has_not_been_yet_is_refused(tmp_path: Path) -> None:
    source = written(tmp_path / "verify", verified(holds(), finished="2026-11-24T04:12:07Z"))
    with pytest.raises(UsageError, match="finished 2026-11-24T04:12:07Z, expected a time that has passed"):
        nights.append(tmp_path / "store", source, datetime(2026, 11, 23, tzinfo=UTC))
    assert nights.append(tmp_path / "store", source, datetime(2026, 11, 24, tzinfo=UTC)).name == "20261124-041207"


def test_an_exit_code_that_its_claims_do_not_allow_is_refused(tmp_path: Path) -> None:
    source = written(tmp_path / "verify", verified(violated(), exit=0))
    with pytest.raises(UsageError, match=r"results\.json: exit is 0, must be 1 by its claims: claim c is violated, not expected"):
        nights.append(tmp_path / "store", source)


def test_a_verdict_is_expected_only_where_its_claim_says_so(tmp_path: Path) -> None:
    source = written(tmp_path / "verify", verified({**violated(), "expected": True}))
    with pytest.raises(UsageError, match=r"results\.json: claim c is violated, expected True, must be False: it expects holds"):
        nights.append(tmp_path / "store", source)


def page(root: Path, *every: dict[str, Any], days: int = 1) -> str:
    (path,) = index(store_of(root / "store", *every, days=days))
    return path.read_text("utf-8")


def holds(**more: Any) -> dict[str, Any]:
    return claim("c", "holds", 0, 4, **more)


def violated(**more: Any) -> dict[str, Any]:
    return claim("c", "violated", 1, 4, expected=False, expect=["holds"], **more)


def section(text: str, name: str) -> str:
    """Give the text of a section of the page, without tags."""
    found = re.search(rf'<h2 id="{name}">(.*?)(?=<h2|<footer)', text, re.DOTALL)
    assert found is not None
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[1]))


def labels(text: str) -> list[str]:
    return re.findall(r'role="gridcell" class="[^"]*" title="[^"]*" aria-label="([^"]*)"', text)


# The store


def test_a_night_keeps_results_summary_junit_and_the_texts_of_its_anomalies(tmp_path: Path) -> None:
    source = written(tmp_path / "verify", verified(violated()))
    for name in ("summary.md", "junit.xml", "history.jsonl", "experiments/split-brain/anomalies/1.txt"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    night = nights.append(tmp_path / "store", source)
    assert night.name == "20261124-041207"
    assert {str(path.relative_to(night)) for path in night.rglob("*") if path.is_file()} == {
        "results.json",
        "summary.md",
        "junit.xml",
        "evidence/0-0.txt",
    }


def test_evidence_outside_of_the_verify_is_not_taken(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("not ours")
    night = nights.append(tmp_path / "store", written(tmp_path / "verify", verified(violated(evidence=[str(secret)]))))
    assert [path.name for path in night.iterdir()] == ["results.json"]


def test_a_night_that_is_there_is_not_put_in_twice(tmp_path: Path) -> None:
    source = written(tmp_path / "verify", verified(holds()))
    assert nights.append(tmp_path / "store", source) == nights.append(tmp_path / "store", source)
    assert len(nights.nights(tmp_path / "store")[0]) == 1


def test_two_nights_that_ended_in_one_second_are_both_kept(tmp_path: Path) -> None:
    names = [nights.append(tmp_path / "store", written(tmp_path / "verify", verified(holds(), seed=n))).name for n in range(11)]
    assert [night.directory.name for night in nights.nights(tmp_path / "store")[0]] == names
    assert names[-1] == "20261124-041207-11"


def test_results_without_a_time_are_a_night_of_the_time_of_their_file(tmp_path: Path) -> None:
    results = {name: value for name, value in verified(holds()).items() if name != "finished"}
    nights.append(tmp_path / "store", written(tmp_path / "verify", results))
    (night,) = nights.nights(tmp_path / "store")[0]
    assert abs(datetime.now(UTC) - night.ended) < timedelta(days=1)


def test_a_directory_without_results_is_no_night(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected the results of a verify"):
        nights.append(tmp_path / "store", tmp_path)


def test_the_newest_nights_are_kept(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", *(verified(holds()) for _ in range(5)))
    assert [path.name[:8] for path in nights.retain(store, 2)] == ["20261101", "20261102", "20261103"]
    assert len(nights.nights(store)[0]) == 2


def test_the_newest_contradiction_that_was_not_expected_is_never_removed(tmp_path: Path) -> None:
    known = claim("known", "violated", 4, 4)
    every = [violated(), violated(), holds(), known, holds(), holds()]
    store = store_of(tmp_path / "store", *(verified(each) for each in every))
    nights.retain(store, 1)
    assert [night.directory.name[:8] for night in nights.nights(store)[0]] == ["20261102", "20261106"]


def test_other_folders_in_a_store_are_left_alone(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", verified(holds()), verified(holds()))
    (store / "nights" / "mine").mkdir()
    nights.retain(store, 1)
    assert (store / "nights" / "mine").is_dir()


# What changed


def test_the_first_night_says_so(tmp_path: Path) -> None:
    assert "<h1>The first night.</h1>" in page(tmp_path, verified(holds()))


def test_a_contradiction_of_the_first_night_that_was_not_expected_stands_on_top(tmp_path: Path) -> None:
    assert "violated not expected c false in 1 of 4 failovers" in section(page(tmp_path, verified(violated())), "changed")


def test_what_was_judged_last_night_and_is_left_out_tonight_is_a_change(tmp_path: Path) -> None:
    reason = "cannot be tested here: no Dynoxide on this machine"
    left_out = claim("c", "unavailable", expect=["holds"], expected=True, absent=True, said=reason)
    text = page(tmp_path, verified(holds()), verified(left_out))
    assert "<h1>One verdict changed since last night, none to violated.</h1>" in text
    assert reason in section(text, "changed")


def test_a_quiet_night_says_that_nothing_changed(tmp_path: Path) -> None:
    text = page(tmp_path, verified(holds()), verified(holds()))
    assert "<h1>No verdict changed since last night.</h1>" in text
    assert "1 verdict is the same." in section(text, "changed")


def test_the_headline_says_how_many_changed_and_who_contradicts(tmp_path: Path) -> None:
    old = claim("old", "violated", 4, 4)
    text = page(tmp_path, verified(holds(), old), verified(violated(), old))
    assert "<h1>One verdict changed since last night, to violated. <em>Redis (Sentinel) still contradicts the document.</em></h1>" in text


def test_a_new_contradiction_does_not_stand_still(tmp_path: Path) -> None:
    assert "<em>Redis (Sentinel) contradicts the document.</em>" in page(tmp_path, verified(holds()), verified(violated()))


def test_the_worst_new_verdict_stands_first(tmp_path: Path) -> None:
    words = ("holds", "finding", "violated", "inconclusive")
    before = [claim(f"to-{word}", "not-seen", 0, 4) for word in words]
    text = page(tmp_path, verified(*before), verified(*(claim(f"to-{word}", word, 0, 4) for word in words)))
    order = ["to-violated", "to-inconclusive", "to-finding", "to-holds"]
    assert sorted(order, key=section(text, "changed").index) == order


def test_a_counterexample_is_never_called_chance(tmp_path: Path) -> None:
    text = section(page(tmp_path, verified(holds()), verified(violated())), "changed")
    assert "0 of 4 last night, 1 of 4 failovers tonight: one counterexample is enough" in text


def test_what_is_not_seen_any_more_may_still_be_there(tmp_path: Path) -> None:
    text = section(page(tmp_path, verified(violated()), verified(holds(document="promises"))), "changed")
    assert "the intervals overlap, it may still be there" in text


def test_a_rate_that_left_its_interval_is_a_change_though_the_verdict_is_the_same(tmp_path: Path) -> None:
    nightly = [verified(claim("c", "as-documented", k, 20)) for k in (1, 2, 1, 19)]
    assert "19 of 20 failovers tonight, 4 of 60 in all nights before" in section(page(tmp_path, *nightly), "changed")


def test_what_is_not_as_expected_stays_on_top_until_it_is(tmp_path: Path) -> None:
    assert "violated not expected c as last night. false in 1 of 4 failovers" in section(
        page(tmp_path, verified(violated()), verified(violated())), "changed"
    )


def test_a_claim_is_compared_with_the_last_night_that_judged_it(tmp_path: Path) -> None:
    other = claim("other", "holds", 0, 4)
    text = section(page(tmp_path, verified(holds(), other), verified(other), verified(violated(), other)), "changed")
    assert "holds → violated not expected c 0 of 4 on 1 Nov" in text


def test_what_was_not_judged_tonight_is_named(tmp_path: Path) -> None:
    text = page(tmp_path, verified(holds(), claim("gone", "holds", 0, 4)), verified(holds()))
    assert "Judged last night and not tonight: gone." in section(text, "changed")


def test_a_new_version_of_a_server_is_told(tmp_path: Path) -> None:
    text = page(tmp_path, verified(holds()), verified(holds(), versions={"Valkey": "9.1.3"}))
    assert "Servers: Valkey 9.1.3; last night Valkey 9.1.2." in section(text, "changed")


def test_the_last_surprise_is_told_however_long_ago(tmp_path: Path) -> None:
    text = page(tmp_path, verified(violated()), *(verified(holds()) for _ in range(40)))
    assert "The last contradiction that was not expected was on 1 Nov: c." in section(text, "changed")


def test_a_night_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", verified(holds()), verified(holds()))
    (store / "nights" / "20261101-041207" / "results.json").write_text("{")
    (path,) = index(store)
    assert "Night 20261101-041207 cannot be read and is left out" in section(path.read_text("utf-8"), "changed")


def test_an_empty_store_has_no_page(tmp_path: Path) -> None:
    assert index(tmp_path) == []


# Claims by night


def test_a_cell_says_claim_day_verdict_and_count(tmp_path: Path) -> None:
    assert labels(page(tmp_path, verified(holds()), verified(violated()))) == [
        "c · 1 Nov · holds · 0 of 4 failovers",
        "c · 2 Nov · violated · 1 of 4 failovers · not expected: holds",
    ]


def test_a_day_without_a_night_is_an_empty_cell(tmp_path: Path) -> None:
    assert labels(page(tmp_path, verified(holds()), verified(holds()), days=2))[1] == "c · 2 Nov · no night"


def test_a_month_without_nights_does_not_push_the_others_out(tmp_path: Path) -> None:
    assert len(labels(page(tmp_path, verified(holds()), verified(holds()), days=31))) == 5


def test_thirty_nights_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    text = page(tmp_path, *(verified(holds()) for _ in range(33)))
    assert len(labels(text)) == 30
    assert f"0 of 132 {rate(0, 132).interval}" in section(text, "matrix")


def test_only_twenty_of_them_are_shown_where_there_is_little_room(tmp_path: Path) -> None:
    text = page(tmp_path, *(verified(holds()) for _ in range(33)))
    assert len(re.findall(r'role="gridcell" class="holds o"', text)) == 10


def test_trials_of_a_claim_that_was_reworded_are_not_counted_together(tmp_path: Path) -> None:
    text = page(tmp_path, verified(violated(conditions="other ones")), verified(holds()))
    assert labels(text)[0].endswith("worded otherwise, not counted")
    assert "0 of 4" in section(text, "matrix")


def test_one_cell_can_be_reached_by_keyboard_and_the_others_by_arrows(tmp_path: Path) -> None:
    text = page(tmp_path, verified(holds(), claim("d", "holds", 0, 4)), verified(holds(), claim("d", "holds", 0, 4)))
    assert re.findall(r'aria-label="([^"]*)" tabindex="0"', text) == ["c · 2 Nov · holds · 0 of 4 failovers"]


# Rates, bounds, details


def test_what_was_seen_has_a_picture_and_what_was_not_a_bound(tmp_path: Path) -> None:
    text = page(tmp_path, verified(claim("seen", "as-documented", 3, 4), claim("never", "holds", 0, 4)))
    trend = section(text, "trend")
    assert "seen tonight 3 of 4; all nights 3 of 4, 19–100 %" in trend
    assert f"never 0 of 4 at most {rate(0, 4).interval.removeprefix('≤ ')}" in trend


def test_a_night_without_a_number_is_a_tick_and_not_a_zero(tmp_path: Path) -> None:
    broken = claim("c", "inconclusive", document="warns")
    text = page(tmp_path, verified(claim("c", "as-documented", 3, 4)), verified(broken))
    assert text.count('class="gap"') == 1
    assert len(re.findall(r'<circle [^>]*class="(?:d|last) ', text)) == 1


def test_evidence_of_tonight_is_linked(tmp_path: Path) -> None:
    text = tmp_path / "verify/experiments/split-brain/anomalies/1.txt"
    text.parent.mkdir(parents=True)
    text.write_text("both held k")
    link = re.search(r'<a href="(nights/[^"]*/evidence/0-0.txt)"', page(tmp_path, verified(violated())))
    assert link is not None
    assert (tmp_path / "store" / link[1]).read_text() == "both held k"


# The file


class _Outline(HTMLParser):
    """Collect what a page refers to, and that its elements are closed."""

    VOID = ("meta", "br", "use", "path", "circle", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


HOSTILE = ["<script>alert(1)</script>", '"><b>', "</style>", "{{ 7 * 7 }}", "\x1b[31m", "' onload='x", "\u202egnp"]


@pytest.mark.parametrize("text", ["plain", *HOSTILE], ids=ascii)
def test_the_page_is_whole_and_refers_only_to_itself_and_its_store(tmp_path: Path, text: str) -> None:
    seen = {"experiment": text, "trial": 2, "kind": "two-holders", "key": text, "message": text}
    named = {**dict.fromkeys(("id", "sentence", "said", "quote", "conditions", "unit", "repeat"), text), "cell": [text, text]}
    made = {**violated(anomalies=[seen], missing=[text], remedy=text), **named}
    quiet = {"verdict": "inconclusive", "document": "warns", "expected": False}
    drawn = page(tmp_path, verified(made), verified({**made, **quiet}, command=text, failures={text: text}))
    outline = _Outline()
    outline.feed(drawn)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert {each.removeprefix("#") for each in outline.addresses if each.startswith("#")} <= set(outline.ids)
    assert all(each.startswith(("#", "nights/")) for each in outline.addresses)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", drawn)
    assert drawn.count("<script>") == 1
    assert "\x1b" not in drawn
    assert "\u202e" not in drawn


def test_the_page_is_drawn_before_any_script_runs(tmp_path: Path) -> None:
    drawn = page(tmp_path, verified(holds()), verified(violated()))
    script = drawn[drawn.index("<script>") :]
    assert "innerHTML" not in script
    assert "createElement" not in script


def test_the_page_has_both_themes(tmp_path: Path) -> None:
    drawn = page(tmp_path, verified(holds()))
    assert "prefers-color-scheme:dark" in drawn
    assert "@media print" in drawn


# The command


def test_nightly_from_a_verify_appends_it_and_has_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, store = written(tmp_path / "verify", verified(violated(), exit=1)), tmp_path / "store"
    assert guarded(["nightly", "--store", str(store), "--from", str(source)]) == 1
    assert f"night 20261124-041207, 0 older ones removed: {store / 'index.html'}" in capsys.readouterr().err
    assert (store / "index.html").is_file()


def test_nightly_keeps_as_many_as_were_asked_for(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", *(verified(holds()) for _ in range(4)))
    assert guarded(["nightly", "--store", str(store), "--keep", "2", "--from", str(written(tmp_path / "v", verified(holds())))]) == 0
    assert len(nights.nights(store)[0]) == 2


def test_options_of_verify_are_refused_where_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = written(tmp_path / "verify", verified(holds()))
    assert guarded(["nightly", "--store", str(tmp_path / "s"), "--from", str(source), "--backend", "memory"]) == 64
    assert "runs nothing, expected no --backend" in capsys.readouterr().err


def test_a_store_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert guarded(["nightly", "--store", str(tmp_path / "file"), "--backend", "memory", "--trials", "1"]) == 64
    assert "choose another folder with --store" in capsys.readouterr().err


# Several tables


def operation(name: str, word: str) -> dict[str, Any]:
    return claim(f"{name}-{word}", word, table="Key Operations", cell=[name, "PostgreSQL"], expected=True)


def test_the_claims_of_a_night_stand_by_table_that_without_a_name_first(tmp_path: Path) -> None:
    told = section(page(tmp_path, verified(operation("increment", "holds"), holds(), operation("get", "holds"))), "matrix")
    order = ["Redis (Sentinel)", "Key Operations", " increment ", " get "]
    assert sorted(order, key=told.index) == order
    assert told.count("Key Operations") == 1


def test_a_contradiction_of_an_operation_names_its_backend(tmp_path: Path) -> None:
    text = page(tmp_path, verified(operation("increment", "violated"), claim("c", "violated")))
    assert "increment on PostgreSQL and Redis (Sentinel) contradict the document." in text
    assert "<small>increment on PostgreSQL</small>" in text
