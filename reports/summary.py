"""summary.md of a run or of the main job: what a reader of a CI's page must see, in GitHub's Markdown.

The order of the terminal: the sentence, what is not as expected, contradictions, the documented tables, then
folded all claims. What came from outside is escaped, and stands in code where it is an id, a path or a command: a key must not
end a table, open a tag or call a colleague by @name. No picture: a step summary shows none of a file beside it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.claims.reading import read
from harness.claims.results import Cell, Judgement, Run, SelfTest, Shard, TableRow, TrialResult, Verify
from harness.claims.table import place
from harness.judging.gates import Gate
from harness.judging.statistics import Rate
from harness.judging.verdict import Anomaly, of_each_kind_first
from harness.record import store
from harness.report import Report
from reports.phrases import counted
from reports.terminal.documented import about, by_table, columns_of
from reports.terminal.lines import MARKS, clean, gate_words, lasting, little, versions_said
from reports.terminal.verify import left_out, meaning, seeds

MOST_TOLD = 20  # reasons or anomalies; all are in results.json


def summary(directory: Path) -> list[Path]:
    """Write summary.md of a run directory; give its path, nothing where it holds neither a run nor a verify."""
    results = read(directory)
    if isinstance(results, SelfTest):
        return []
    path = directory / "summary.md"
    made = _of_run(results) if isinstance(results, Run) else _of_verify(results)
    store.save(path, ("\n\n".join(filter(None, made)) + "\n").encode("utf-8", "backslashreplace"))
    return [path]


# The main job


def _of_verify(results: Verify) -> list[str]:
    claims = sorted(results.claims, key=lambda claim: list(MARKS).index(claim.verdict))
    words = Counter(str(claim.verdict) for claim in claims)
    tally = " · ".join(f"{MARKS[word][0]} {words[word]} {word}" for word in MARKS if words[word])
    return [
        f"## {'✗ ' if results.contradicts else ''}{_md(results.headline)}",
        f"**exit {results.exit}**: {_md(meaning(results))}  \n{tally}",
        _list("Left out on this machine", [_md(said) for said in left_out(claims)]),
        _section("Not as expected", [_claim(claim, results) for claim in claims if not claim.expected]),
        _list("The machine failed", [f"{_code(name)}: {_md(reason)}" for name, reason in results.failures.items()]),
        _list("Repeated alone, in doubt side by side", [f"{_code(name)}: {_md(why)}" for name, why in results.repeated.items()]),
        _section(
            "Contradicts the document, as expected",
            [_claim(claim, results) for claim in claims if claim.verdict == "violated" and claim.expected],
        ),
        *(_documented(name, rows, results) for name, rows in by_table(results).items()),
        _folded(f"All {counted(len(claims), 'claim')}", _claims(claims)),
        _folded("Findings, of which the document is silent", _each(claims, results, "finding")),
        _folded("In doubt or unavailable, as expected", _each(claims, results, "inconclusive", "unavailable")),
        _shards(results.shards),
        _end(results),
    ]


def _documented(name: str | None, rows: Sequence[TableRow], results: Verify) -> str:
    title = next((table.row for table in results.tables if table.name == name), "Backend")
    said, columns = about(rows), columns_of(rows)
    lines = []
    for row in rows:
        words = [f"“{_md(row.says[column])}”" if column in row.says else "" for column in said]
        cells = {cell.column: cell for cell in row.cells}
        verdicts = [_cell(cells[column], results.claims) if column in cells else "" for column in columns]
        lines.append([_md(row.name), *words, *verdicts])
    return f"### {_md(name) if name else 'The documented table'}\n\n{_table([*map(_md, [title, *said, *columns])], lines)}"


def _cell(cell: Cell, claims: Sequence[Judgement]) -> str:
    word = cell.verdict
    quote = f"“{_md(cell.quote)}”<br>" if cell.quote else ""
    mine = [claim for claim in claims if claim.id in cell.claims]
    beside = sum(claim.verdict == "unavailable" != word for claim in mine)
    return quote + _mark(word) + (f"<br>– unavailable {beside}" if beside else "")


def _mark(word: str) -> str:
    return f"{MARKS[word][0]} **{word}**" if word == "violated" else f"{MARKS[word][0]} {word}"


def _claims(claims: Sequence[Judgement]) -> str:
    lines = []
    for claim in claims:
        found = claim.rate
        of = f"{found} {_md(claim.unit)}" if found else "–"
        lines.append(
            [
                _mark(claim.verdict),
                _cell_code(claim.id),
                of,
                _interval(found),
                "" if claim.expected else "**not expected**",
            ]
        )
    return _table(["Verdict", "Claim", "Broken in", "95 % interval", ""], lines) if lines else ""


def _interval(found: Rate | None) -> str:
    return found.interval if found else ""


def _each(claims: Sequence[Judgement], results: Verify, *words: str) -> str:
    return "\n".join(_claim(claim, results) for claim in claims if claim.verdict in words and claim.expected)


def _claim(claim: Judgement, results: Verify) -> str:
    """Give a claim as an item of a list: verdict, cell, sentence, what was observed, evidence, what repeats it."""
    where = place(claim.cell, claim.table, results.tables)
    quote = f", “{_md(claim.quote)}”" if claim.quote else ""
    surprise = "" if claim.expected else f", expected {' or '.join(claim.expect)}"
    lines = [f"* {_mark(claim.verdict)}{surprise}: {_code(claim.id)} ({_md(where)}{quote})  "]
    lines += [f"  {_md(claim.sentence)}  ", f"  *under* {_md(claim.conditions)}  ", f"  *observed* {_md(claim.said)}"]
    more = [f"*first* {_md(each.kind)} in trial {each.trial}: {_md(each.message)}" for each in claim.anomalies[:1]]
    more += [f"*missing* {_md(reason)}" for reason in _some(claim.missing)]
    more += [f"*remedy* {_md(claim.remedy)}"] if claim.remedy else []
    more += [f"*evidence* {_code(_below(path, results.directory))}" for path in claim.evidence]
    lines += [f"  * {each}" for each in more]
    return "\n".join(lines) + (_fenced(claim.repeat, "  ") if claim.repeat else "")


def _below(path: str, directory: str) -> str:
    return str(Path(path).relative_to(directory)) if Path(path).is_relative_to(directory) else path


def _shards(shards: Sequence[Shard]) -> str:
    lines = [
        [
            _cell_code(each.directory),
            str(each.exit),
            str(each.seed),
            str(len(each.claims)),
            lasting(each.seconds),
        ]
        for each in shards
    ]
    return (
        f"**Joined from {counted(len(shards), 'shard')}**\n\n{_table(['Shard', 'Exit', 'Seed', 'Claims', 'Took'], lines)}" if lines else ""
    )


# A run


def _of_run(results: Run) -> list[str]:
    plan, trials = results.plan, results.trials
    what = f"{' + '.join(plan.workloads)} on {plan.backend}, variant {plan.variant}"
    what += f", mutant {plan.mutant}" if plan.mutant else ""
    found = [(trial.n, each) for trial in trials for each in of_each_kind_first(_anomalies(trial))]
    told = [f"trial {n}, {_md(each.kind)} on {_code(each.key or 'the object')}: {_md(each.message)}" for n, each in found]
    gates = [(trial.n, gate) for trial in trials for gate in trial.gates if not gate.met]
    unmet = [f"trial {n}, {_md(gate_words(gate.name))}: {gate.measured}, needed {gate.needed}{_detail(gate)}" for n, gate in gates]
    return [
        f"## {MARKS[results.status][0]} {results.status}{_md(little(results))}: {_md(what)}",
        f"**exit {results.exit}**: {counted(len(trials), 'trial')}, {_md(lasting(results.seconds))}",
        _list("The machine failed", [_md(results.broken)] if results.broken else []),
        _trials(trials),
        _list("Anomalies", _some(told)),
        _list("Gates that were not met", _some(unmet)),
        _list("Void trials, repeated", [_md(each) for each in _some(results.voids)]),
        _end(results),
    ]


def _anomalies(trial: TrialResult) -> list[Anomaly]:
    found = [each for check in trial.checks.values() for each in check.anomalies]
    return sorted(found, key=lambda each: (each.at, each.operations))


def _detail(gate: Gate) -> str:
    return f" ({_md(gate.detail)})" if gate.detail else ""


def _trials(trials: Sequence[TrialResult]) -> str:
    names = list(dict.fromkeys(name for trial in trials for name in trial.checks))
    lines = []
    for trial in trials:
        status = [_mark(trial.checks[name].status) if name in trial.checks else "" for name in names]
        lines.append([str(trial.n), _md(", ".join(trial.faults) or "none"), *status])
    return _table(["Trial", "Faults", *map(_md, names)], lines) if lines else ""


# Markdown


def _end(results: Run | Verify) -> str:
    facts = [f"took {lasting(results.seconds)}"]
    facts += [f"profile {results.profile}, {seeds(results)}"] if isinstance(results, Verify) else []
    facts += [_md(versions_said(results))] if results.versions else []
    return f"{' · '.join(facts)} · {_code(results.directory)}{_fenced(results.command)}"


def _section(title: str, items: Sequence[str]) -> str:
    return "\n\n".join([f"### {title}", "\n".join(items)]) if items else ""


def _list(title: str, items: Sequence[str]) -> str:
    return _section(title, [f"* {item}" for item in items])


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>" if body else ""


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _some(lines: Sequence[str]) -> list[str]:
    more = [f"and {len(lines) - MOST_TOLD} more, in results.json"] if len(lines) > MOST_TOLD else []
    return [*lines[:MOST_TOLD], *more]


def _md(text: object) -> str:
    """Give a text in which nothing is Markdown, HTML or a mention."""
    escaped = re.sub(r"([\\`*_\[\]<>|~#$])", r"\\\1", clean(text).replace("&", "&amp;"))
    return escaped.replace("@", "@<!-- -->").replace("://", ":<!-- -->//")


def _code(text: object) -> str:
    """Give a text in a code span that it cannot end."""
    plain = clean(text) or "–"
    fence = "`" * (max((len(run) for run in re.findall("`+", plain)), default=0) + 1)
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def _cell_code(text: object) -> str:
    return _code(text).replace("|", "\\|")  # a table is cut into cells before code is looked for


def _fenced(command: str, indent: str = "") -> str:
    plain = clean(command)
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", plain)), default=0) + 1)
    return f"\n\n{indent}{fence}sh\n{indent}{plain}\n{indent}{fence}"


SUMMARY = Report(name="summary", sentence="summary.md: the result in Markdown, for a CI's page", draw=summary, place=60)
