"""Wrong words, files and folders: each is one line with what was wrong, and the code that says whose it is. No server is started."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from verified import claim, run, trial, verified

from harness.commands.cli import guarded

CLAIMS = """\
format = 1

[[row]]
name = "Memory"
mutual_exclusion = "Safe"

[experiment.quiet]
deployment = "memory"
variant = "default"
workloads = ["lock"]
timeline = { quiet_s = 0.2 }
trials = { quick = 1 }
options = { rate = 50 }

[[claim]]
id = "one"
cell = ["Memory", "Mutual exclusion"]
document = "promises"
sentence = "A lock has one owner."
conditions = "none"
experiments = ["quiet"]
anomalies = ["two-holders"]
expect = ["inconclusive"]
"""
WINDOW, RATE, TRIALS = "window", "options = { rate = 50 }", "trials = { quick = 1 }"
TEXT, LONG = '"A lock has one owner."', "x" * 300
FILES = ("mine.toml", "file", "h.jsonl", "dir")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HOLDWATER_")]:
        monkeypatch.delenv(name)
    Path("file").write_text("x")
    Path("dir").mkdir()
    Path("mine.toml").write_text(CLAIMS)
    Path("h.jsonl").write_text('{"index":0,"time":1,"process":0,"type":"invoke","f":"read","value":null}\n')


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[int, str, str]]:
    def calling(command: str) -> tuple[int, str, str]:
        code = guarded(shlex.split(command))
        return code, *capsys.readouterr()

    return calling


def is_one_line(said: tuple[int, str, str], code: int, word: str) -> None:
    """Ask that a command ended with a code, and said this in one printable line and nothing else."""
    assert (said[0], said[1]) == (code, ""), said
    (line,) = said[2].splitlines()
    assert line.startswith("holdwater: ")
    assert line.isprintable()
    assert word in line


# Command lines

COMMANDS = [
    ("verfiy", 64, "did you mean 'verify'?"),
    ("--backend redis", 64, "unknown option '--backend'"),
    ("vérifier", 64, "unknown command 'vérifier'"),
    ("'run lock'", 64, "unknown command 'run lock'"),
    ("run", 64, "Missing argument 'WORKLOAD'"),
    ("run lock", 64, "Missing option '--backend'"),
    ("run '' --backend memory", 64, "no workload, expected at least one"),
    ("run lock,lok --backend memory", 64, "unknown workload 'lok', did you mean 'lock'?"),
    ("run lock dedup --backend memory", 64, "unexpected extra argument (dedup)"),
    ("run lock --backend", 64, "'--backend' requires an argument"),
    ("run lock --backend ''", 64, "unknown backend ''"),
    ("run lock --backend REDIS2", 64, "unknown backend 'REDIS2'"),
    ("run lock --backend ../../etc", 64, "unknown backend '../../etc'"),
    ("run lock --backend redis --fault kill:replica", 64, "redis has no replica for fault kill:replica to meet; use --backend postgres-"),
    ("run lock --backend postgres --fault cut:replica", 64, "postgres has no replica for fault cut:replica to meet"),
    ("run lock --backend dynamodb --fault pause:replica", 64, "dynamodb has no replica"),
    ("run lock --backend memory --fault kill:replica", 64, "memory has no replica"),
    ("run lock --backend redis-sentinel --fault isolate-primary:replica", 64, "meets the primary and no other node"),
    ("run lock --backend redis-sentinel --fault restart-empty:replica", 64, "meets the primary and no other node"),
    ("run lock --backend redis-sentinel --fault planned-failover:replica", 64, "meets the primary and no other node"),
    ("run lock --backend redis --option variant=settable-clock --fault server-clock:replica", 64, "to meet; expected server-clock"),
    (
        "run lock --backend redis --fault fill-memory",
        64,
        "has no limit to its memory and cannot have fill-memory; use --option variant=maxmemory-allkeys-lru",
    ),
    ("run lock --backend redis --on compose --option variant=settable-clock --fault server-clock", 64, "does not run on compose"),
    ("run lock --backend dynamodb --fault client-clock:replica", 64, "meets clients and no node; expected client-clock"),
    ("run resource --backend memory --fault client-pause:replica", 64, "meets clients and no node; expected client-pause"),
    ("run lock --backend memory --fault client-pause", 64, "expected workload resource"),
    ("run lock --backend redis --fault kill:", 64, "target '' of fault 'kill:', expected primary or replica"),
    ("run lock --backend redis --fault kill:redis-1", 64, "target 'redis-1'"),
    ("run lock --backend redis --fault :primary", 64, "unknown fault ''"),
    ("run lock --backend redis --fault cut,cutt", 64, "unknown fault 'cutt', did you mean 'cut'?"),
    ("run lock --backend memory --rate 0.0001", 64, "rate 0.0001 sends 0.0016 operations of 8 slots in the 2 s of a trial"),
    ("run lock --backend memory --option quiet_s=0", 64, "sends 0 operations"),
    ("run lock --backend memory --rate 1e400", 64, "--rate '1e400', expected operations a second"),
    ("run lock --backend memory --rate 0x10", 64, "--rate '0x10'"),
    ("run lock --backend memory --time-limit 1s", 64, "--time-limit '1s', expected seconds from 0.2 to 3600"),
    ("run lock --backend memory --time-limit 3601", 64, "--time-limit '3601'"),
    ("run lock --backend memory --concurrency 10000", 64, "--concurrency '10000', expected a whole number from 1 to 256"),
    (f"run lock --backend memory --repeat {'9' * 6000}", 64, "--repeat '999"),
    ("run lock --backend memory --seed -1", 64, "--seed '-1'"),
    ("run lock --backend memory --option anchors", 64, "option 'anchors', expected NAME=VALUE"),
    ("run lock --backend memory --option anchors=1 --option anchors=2", 64, "option anchors stands twice"),
    ("run lock --backend memory --option keys=3", 64, "unknown option 'keys'"),
    ("run resource --backend memory --option left_percent=101", 64, "expected a whole number from 0 to 100"),
    ("run resource --backend memory --option fenced=2", 64, "expected a whole number from 0 to 1"),
    ("run acquire --backend memory --option names=0", 64, "expected a whole number from 1"),
    ("run lock --backend memory --option variant=shipped-default", 64, "unknown variant 'shipped-default' of memory"),
    ("run lock --backend memory --option mutant=none", 64, "unknown mutant 'none' of memory"),
    ("run lock --backend memory --attach mine", 64, "expected --on compose with it"),
    ("run lock --backend redis --on compose --attach ../x", 64, "project '../x', expected at most 100 letters"),
    ("run lock --backend memory --on cloud", 64, "--on: unknown 'cloud'"),
    ("run lock --backend memory --out file", 64, "cannot write runs to file: "),
    ("run lock --backend memory --out file/below", 64, "Not a directory"),
    (f"run lock --backend memory --out {LONG}", 64, "File name too long"),
    ("run lock --backend memory --out /proc/none", 64, "cannot write runs to /proc/none"),
    ("verify --backend postgre", 64, "unknown row 'postgre', did you mean 'postgres'?"),
    ("verify --backend ''", 64, "unknown row ''"),
    ("verify --profile weekly", 64, "--profile: unknown 'weekly'"),
    ("verify --trials 0", 64, "--trials '0', expected a whole number from 1 to 10000"),
    ("verify --trials 10001", 64, "--trials '10001'"),
    ("judge none", 64, "none/run.json: No such file or directory, expected a file of a run directory"),
    ("judge none --claims none.toml", 64, "none is no verify, expected no claims file with it"),
    ("verify --claims none.toml", 64, "none.toml: No such file or directory, expected a claims file"),
    ("verify --claims /dev/zero", 64, "/dev/zero: more than 10000000 bytes, expected a claims file"),
    ("verify --claims dir", 64, "dir: Is a directory"),
    ("verify --claims file", 64, "file:1: no TOML"),
    (f"verify --claims {LONG}", 64, "File name too long"),
    ("verify mine.toml", 64, "unexpected extra argument (mine.toml)"),
    ("check", 64, "Missing argument 'HISTORY'"),
    ("check none.jsonl", 64, "none.jsonl: No such file or directory"),
    ("check dir", 64, "Is a directory"),
    (f"check {LONG}", 64, "File name too long"),
    ("check h.jsonl --model locks", 64, "unknown model 'locks'"),
    ("check h.jsonl --format json", 64, "--format: unknown 'json', did you mean 'jsonl'?"),
    ("check h.jsonl --budget -1", 64, "--budget '-1'"),
    ("merge", 64, "Missing argument 'DIR...'"),
    ("merge none", 64, "no shard has results: none/results.json is not there"),
    ("merge dir file", 64, "no shard has results"),
    (f"merge {LONG}", 64, "File name too long"),
    ("nightly", 64, "Missing option '--store'"),
    ("nightly --store file", 64, "cannot write nights to file"),
    ("nightly --store s --keep 0", 64, "--keep '0', expected a whole number from 1"),
    ("nightly --store s --from none", 64, "none/results.json is not there"),
    ("nightly --store s --from dir --backend redis", 64, "--from dir runs nothing, expected no --backend"),
    ("report", 64, "Missing argument 'DIRECTORIES...'"),
    ("report none", 64, "none has no results.json, expected a run directory"),
    ("report file", 64, "file has no results.json"),
    (f"report {LONG}", 64, "File name too long"),
    ("list", 64, "Missing argument 'backends|tables|rows|workloads|options|faults|checks|models|claims|mutants|reports'"),
    ("list row", 64, "list: unknown 'row', did you mean 'rows'?"),
    ("list rows options", 64, "unexpected extra argument (options)"),
    ("doctor --fix", 64, "unknown option '--fix'"),
    ("doctor all", 64, "unexpected extra argument (all)"),
    ("install redis", 64, "unknown server 'redis', did you mean 'redis-server'?"),
    ("install ''", 64, "unknown server ''"),
    ("selftest --backend memry", 64, "unknown backend 'memry', did you mean 'memory'?"),
    ("selftest --backend memory --mutant ttl", 64, "unknown mutant 'ttl'"),
    ("selftest --backend memory --references --mutant stale-cas", 64, "--mutant stale-cas beside --references"),
    ("selftest --backend memory --trials 0", 64, "--trials '0'"),
    ("selftest --backend memory --out file", 64, "cannot write runs to file"),
]


@pytest.mark.parametrize(("command", "code", "word"), COMMANDS, ids=lambda value: str(value)[:60])
def test_a_wrong_command_line_is_one_line(call: Callable[[str], Any], command: str, code: int, word: str) -> None:
    is_one_line(call(command), code, word)
    assert {path.name for path in Path().iterdir()} <= {*FILES, "s"}


def test_a_word_that_is_no_text_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code = guarded(["run", "lock", "--backend", "memory", "--out", "\udcff"])
    is_one_line((code, *capsys.readouterr()), 64, "is not UTF-8")


# Variables

VARIABLES = [
    ("HOLDWATER_REDIS_SERVER", "/nowhere", "run lock --backend redis", 3, "HOLDWATER_REDIS_SERVER=/nowhere is no redis-server"),
    ("HOLDWATER_REDIS_SERVER", "\x1b[2J", "run lock --backend redis", 3, "HOLDWATER_REDIS_SERVER=\\x1b[2J"),
    ("HOLDWATER_TOXIPROXY", "file", "run lock --backend redis --fault cut", 3, "HOLDWATER_TOXIPROXY=file is no toxiproxy"),
    ("HOLDWATER_POSTGRES", "/bin/true", "run lock --backend postgres", 3, "HOLDWATER_POSTGRES=/bin/true is no postgres"),
    ("HOLDWATER_ETCD", "/bin/true", "run lock --backend postgres-patroni", 3, "HOLDWATER_ETCD=/bin/true is no etcd"),
    ("DOCKER_HOST", "unix:///nowhere", "run lock --backend redis --on compose", 3, "no Docker engine answers"),
    ("DOCKER_HOST", "nonsense://", "run lock --backend redis --on compose", 3, "no Docker engine answers"),
]


@pytest.mark.parametrize(("name", "value", "command", "code", "word"), VARIABLES)
def test_a_wrong_variable_is_one_line(
    call: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, name: str, value: str, command: str, code: int, word: str
) -> None:
    monkeypatch.setenv(name, value)
    is_one_line(call(command), code, word)
    assert not Path("runs").exists()


# Claims files


def claims(old: str, new: str) -> str:
    assert old in CLAIMS
    return CLAIMS.replace(old, new, 1)


def more(text: str) -> str:
    return f"{CLAIMS}{text}\n"


def option(text: str) -> str:
    return claims(RATE, text)


CLAIMS_FILES = {
    "no TOML": ("format = ", "mine.toml:1: no TOML"),
    "a tag": ("<html>", "mine.toml:1: no TOML"),
    "another format": (claims("format = 1", 'format = "1"'), ":1: format '1', expected 1"),
    "claim is a number": ("claim = 3\nformat = 1", ":1: claim is no list of tables, expected [[claim]]"),
    "claims are numbers": ("format = 1\nclaim = [3]", "claim is a list of values, expected [[claim]]"),
    "row is a table": ("format = 1\n[row]\n[[claim]]", "row is no list of tables, expected [[row]]"),
    "experiment is a number": ("experiment = 3\nformat = 1\n[[claim]]", "expected a table [experiment.NAME]"),
    "trials is a number": (claims(TRIALS, "trials = 4"), ":12: experiment quiet: trials is 4, expected a table of whole numbers"),
    "trials of a profile are 0": (claims(TRIALS, "trials = { quick = 0 }"), "quick of trials is 0, expected a table of whole numbers"),
    "trials are a fraction": (claims(TRIALS, "trials = { quick = 1.5 }"), "quick of trials is 1.5"),
    "trials are true": (claims(TRIALS, "trials = { quick = true }"), "quick of trials is True"),
    "trials without end": (claims(TRIALS, f"trials = {{ quick = {'9' * 24} }}"), "quick of trials is 999999999999999999999999, expected"),
    "trials of many": (claims(TRIALS, "trials = { quick = 10001 }"), "whole numbers from 1 to 10000"),
    "trials of nothing": (claims(TRIALS, "trials = {}"), "no number of trials, expected one for quick or nightly"),
    "trials of a stranger": (claims(TRIALS, "trials = { quik = 1 }"), "unknown profile 'quik', did you mean 'quick'?"),
    "a number of 5000 digits": (option(f"options = {{ rate = {'9' * 5000} }}"), "a whole number of thousands of digits"),
    "a number of 5000 hex digits": (option(f"options = {{ rate = 0x{'f' * 5000} }}"), ":13: rate is a whole number beyond 64 bits"),
    "seconds below 0": (claims("0.2", "-1"), "quiet_s of timeline is -1, expected a table of seconds from 0 to 3600"),
    "seconds that are none": (claims("0.2", "nan"), "quiet_s of timeline is nan"),
    "seconds without end": (claims("0.2", "inf"), "quiet_s of timeline is inf"),
    "seconds of a year": (claims("0.2", "31536000"), "quiet_s of timeline is 31536000"),
    "grants of a half": (claims("quiet_s = 0.2", "grants = 1.5"), "grants 1.5 of timeline, expected a whole number from 0 to 1000"),
    "a stranger in the timeline": (claims("quiet_s", "quite_s"), "unknown field 'quite_s' of timeline, did you mean 'quiet_s'?"),
    "expect misspelt": (
        claims('["inconclusive"]', '["holdz"]'),
        ":23: claim one: unknown word 'holdz' of expect, did you mean 'holds'? There",
    ),
    "expect is a word": (claims('["inconclusive"]', '"holds"'), "expect is 'holds', expected a list of at least one of: violated,"),
    "expect of nothing": (claims('["inconclusive"]', "[]"), "expect is [], expected a list of at least one of"),
    "document misspelt": (claims('"promises"', '"promisses"'), "unknown word 'promisses' of document, did you mean 'promises'? There are:"),
    "document is a number": (claims('"promises"', "3"), "document is 3, expected one of: promises, warns, silent"),
    "workloads is a word": (claims('["lock"]', '"lock"'), "workloads is 'lock', expected a list of at least one name"),
    "workloads of nothing": (claims('["lock"]', "[]"), "workloads is [], expected a list"),
    "a sentence of nothing": (claims(TEXT, '""'), "sentence is '', expected a text that is not empty"),
    "a sentence of a number": (claims(TEXT, "3"), "sentence is 3, expected a text"),
    "a cell of one": (claims('["Memory", "Mutual exclusion"]', '["Memory"]'), "cell is ['Memory'], expected a row and a column"),
    "a stranger's row": (claims('["Memory", ', '["Memry", '), "unknown row 'Memry', did you mean 'Memory'?"),
    "a class misspelt": (claims("two-holders", "two-holder"), "unknown class 'two-holder' of anomalies, did you mean 'two-holders'?"),
    "an experiment misspelt": (claims('["quiet"]', '["quite"]'), "unknown experiment 'quite', did you mean 'quiet'?"),
    "a field missing": (claims("conditions = ", "remedy = "), "field 'conditions' is missing"),
    "a field misspelt": (more('sentense = "x"'), ":24: claim one: unknown field 'sentense', did you mean 'sentence'?"),
    "a field of a window": (
        more('window = { form = "begin" }'),
        "unknown field 'form' of window, did you mean 'from'? There are: from, to",
    ),
    "a word of a window": (more('window = { from = "strat" }'), "unknown word 'strat' of window.from"),
    "a window of a number": (more("window = 3"), "window is 3, expected a table, such as { from"),
    "a bound of nothing": (more("bound = {}"), "field 'seconds' of bound is missing"),
    "a bound of 0": (more("bound = { seconds = 0 }"), "bound is {'seconds': 0}, expected a table with seconds above 0 and at most 3600"),
    "a bound of a year": (more("bound = { seconds = 1e9 }"), "and at most 3600"),
    "a gate below 0": (more("gates = { held_across = -1 }"), "held_across of gates is -1, expected a table of whole numbers from 0"),
    "a gate without end": (more("gates = { held_across = 99999999999 }"), "held_across of gates is 99999999999"),
    "a gate misspelt": (more("gates = { hold_across = 1 }"), "unknown gate 'hold_across', did you mean 'held_across'?"),
    "a control of a number": (option("controls = 3"), "controls is 3, expected a list of tables"),
    "a control's field": (option('controls = [{ chek = "lease" }]'), "unknown field 'chek' of controls, did you mean 'check'?"),
    "a control's check": (option('controls = [{ check = "leas", mutant = "x" }]'), "unknown check 'leas' of a control"),
    "a control's mutant": (option('controls = [{ check = "lease", mutant = "ttl-erly" }]'), "did you mean 'ttl-early'?"),
    "faults is a word": (option('faults = "cut"'), "faults is 'cut', expected a list of names, such as [\"cut\""),
    "a fault misspelt": (option('faults = ["kil"]'), "experiment quiet: unknown fault 'kil', did you mean 'kill'?"),
    "a fault's target": (option('faults = ["kill:replica"]'), "memory has no replica for fault kill:replica to meet"),
    "options is a number": (option("options = 3"), "options is 3, expected a table, such as"),
    "a rate that sends nothing": (option("options = { rate = 0.0001 }"), "rate 0.0001 sends"),
    "a rate of nothing": (option("options = { rate = nan }"), "option rate nan, expected operations a second"),
    "an option out of range": (option("options = { lock = { anchors = 1000001 } }"), "option anchors 1000001, expected a whole number"),
    "nested without end": (option("options = " + "[" * 3000), "mine.toml: values are nested too deep"),
    "nested deep": (option("options." + "a." * 2000 + "b = 1"), "mine.toml: values are nested more than 40 deep"),
    "like a number": (option("like = 3"), "experiment quiet is like 3, there are: quiet"),
    "like a list": (option("like = []"), "experiment quiet is like [], there are: quiet"),
    "like itself": (option('like = "quiet"'), "experiment quiet is like quiet, which is like quiet"),
    "an experiment outside": (
        claims("experiment.quiet", 'experiment."../../../esc"'),
        ":7: experiment '../../../esc', expected at most 100",
    ),
    "a hidden experiment": (claims("experiment.quiet", 'experiment.".hidden"'), "experiment '.hidden', expected"),
    "an experiment without a name": (claims("experiment.quiet", 'experiment.""'), "experiment '', expected"),
    "a long experiment": (claims("experiment.quiet", f"experiment.{'x' * 101}"), "expected at most 100 letters, digits"),
    "a claim outside": (claims('"one"', '"../one"'), "claim '../one', expected at most 100"),
    "a claim that clears the screen": (claims('"one"', '"\\u001b[2J"'), "claim '\\x1b[2J', expected"),
    "a claim twice": (CLAIMS + CLAIMS[CLAIMS.index("[[claim]]") :], ":24: claim one stands twice"),
}


@pytest.mark.parametrize(("text", "word"), CLAIMS_FILES.values(), ids=list(CLAIMS_FILES))
def test_a_wrong_claims_file_is_one_line_with_its_place(call: Callable[[str], Any], text: str, word: str) -> None:
    Path("mine.toml").write_text(text)
    said = call("verify --claims mine.toml --out out")
    is_one_line(said, 64, word)
    assert said[2].startswith("holdwater: mine.toml:")
    assert {path.name for path in Path().iterdir()} == set(FILES)


def test_a_chain_of_experiments_without_end_is_refused(call: Callable[[str], Any]) -> None:
    links = "".join(f'[experiment.e{n}]\nlike = "e{n + 1}"\n' for n in range(2000))
    Path("mine.toml").write_text(claims("[experiment.quiet]", f"{links}[experiment.e2000]\nlike = 'quiet'\n[experiment.quiet]"))
    is_one_line(call("verify --claims mine.toml"), 64, "the end of a chain of more than 20")


# results.json

SEEN = claim("a", "violated", 1, 4)
SHARD = verified(SEEN)
RUN = run(trial(1, "invalid"))


def changed(results: Any, *path: Any, to: Any) -> Any:
    """Give results with another value at a path."""
    if not path:
        return to
    copy = list(results) if isinstance(results, list) else dict(results)
    copy[path[0]] = changed(copy[path[0]], *path[1:], to=to) if len(path) > 1 else to
    return copy


RESULTS = {
    "no JSON": ("{", "shard/results.json: Input data was truncated"),
    "a list": ([], "Expected `object`, got `array`"),
    "nested without end": ("[" * 100_000, "nested too deep"),
    "nested deep": (changed(SHARD, "environment", to=json.loads("[" * 50 + "]" * 50)), "nested more than 40 deep"),
    "another kind": (changed(SHARD, "kind", to="selftest"), "Invalid value 'selftest' - at `$.kind`"),
    "k below 0": (changed(SHARD, "claims", 0, "rate", "k", to=-5), "`int` >= 0 - at `$.claims[0].rate.k`"),
    "k above n": (changed(SHARD, "claims", 0, "rate", "k", to=5), "k 5 of n 4, expected at most n"),
    "n without end": (changed(SHARD, "claims", 0, "rate", "n", to=10**18), "at `$.claims[0].rate.n`"),
    "an interval above 1": (changed(SHARD, "claims", 0, "rate", "high", to=1.5), "`float` <= 1.0 - at `$.claims[0].rate.high`"),
    "seconds below 0": (changed(SHARD, "seconds", to=-1), "at `$.seconds`"),
    "an exit code of nobody": (changed(SHARD, "exit", to=7), "Invalid enum value 7 - at `$.exit`"),
    "a verdict of nobody": (changed(SHARD, "claims", 0, "verdict", to="holdz"), "Invalid enum value 'holdz'"),
    "a claim twice": (changed(SHARD, "claims", to=[SEEN, SEEN]), "claim a stands twice"),
    "a seed that is a list": (changed(SHARD, "seed", to=[1]), "at `$.seed`"),
    "an environment of lists": (changed(SHARD, "environment", to={"python": []}), "at `$.environment"),
    "numbers of texts": (changed(SHARD, "claims", 0, "numbers", to={"x": "y"}), "at `$.claims[0].numbers"),
    "a gate of texts": (changed(SHARD, "claims", 0, "gates", 0, "measured", to="many"), "at `$.claims[0].gates[0].measured`"),
    "a control of texts": (changed(SHARD, "claims", 0, "controls", to=["x"]), "at `$.claims[0].controls[0]`"),
    "an id of nothing": (changed(SHARD, "claims", 0, "id", to=""), "at `$.claims[0].id`"),
    "a shard of texts": ({**SHARD, "shards": ["x"]}, "at `$.shards[0]`"),
}


@pytest.mark.parametrize("command", ["merge shard --out out", "nightly --store s --from shard"])
@pytest.mark.parametrize(("results", "word"), RESULTS.values(), ids=list(RESULTS))
def test_wrong_results_of_a_verify_are_one_line(call: Callable[[str], Any], command: str, results: Any, word: str) -> None:
    written(results)
    is_one_line(call(command), 64, word)
    assert not Path("out").exists()


RUNS = {
    "a seed below 0": (changed(RUN, "plan", "seed", to=-1), "`int` >= 0 - at `$.plan.seed`"),
    "a trial below 0": (changed(RUN, "trials", 0, "n", to=-1), "at `$.trials[0].n`"),
    "a status of nobody": (changed(RUN, "trials", 0, "status", to="fine"), "Invalid enum value 'fine'"),
    "an anomaly without a time": (changed(RUN, "trials", 0, "checks", "lease", "anomalies", 0, "at", to="now"), "anomalies[0].at`"),
    "voids of numbers": (changed(RUN, "voids", to=[1]), "at `$.voids[0]`"),
}


@pytest.mark.parametrize(("results", "word"), RUNS.values(), ids=list(RUNS))
def test_wrong_results_of_a_run_are_one_line(call: Callable[[str], Any], results: Any, word: str) -> None:
    written(results)
    is_one_line(call("report shard"), 64, word)


def written(results: Any) -> None:
    Path("shard").mkdir()
    Path("shard/results.json").write_text(results if isinstance(results, str) else json.dumps(results))


# No error


@pytest.mark.parametrize("command", ["", "--help", "-h", "run --help", "list rows", "list options", "--version"])
def test_to_ask_is_no_error(call: Callable[[str], Any], command: str) -> None:
    code, out, err = call(command)
    assert (code, err) == (0, "")
    assert out


def test_without_a_word_there_is_help(call: Callable[[str], Any]) -> None:
    assert "verify" in call("")[1]
