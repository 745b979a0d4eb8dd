"""The command line: garbage is answered with one line that names the value and what was expected, and nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from third_party import PACKAGE, installed

from harness.claims.results import Run
from harness.commands.cli import cli, guarded, main
from harness.commands.drawing import tell
from harness.deploy import install
from harness.deploy.ports import HOST, Ports
from harness.errors import Infrastructure
from harness.judging.trials import exit_code
from harness.judging.verdict import Status
from harness.record.format import load
from harness.record.history import BROKEN, Event, History, MalformedHistory
from harness.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "histories"
INVOKE = '{"index":0,"time":1,"process":0,"type":"invoke","f":"read","value":null}\n'
OK = '{"index":1,"time":2,"process":0,"type":"ok","f":"read","value":null}\n'
END = '{"end":true}\n'
CLOCK = '{"index":0,"time":1,"process":"nemesis","type":"info","f":"clock","value":{"monotonic":1,"wall":1}}\n'
INVALID = INVOKE + OK.replace("null", '"never written"')
DRY = "run lock --backend memory --dry-run"
CLAIMS = """\
format = 1

[experiment.quiet]
deployment = "memory"
variant = "default"
workloads = ["lock"]
timeline = { quiet_s = 0.2 }
trials = { quick = 1, nightly = 1 }
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

Said = tuple[int, str, str]
Call = Callable[..., Said]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HOLDWATER_REDIS_SERVER", "HOLDWATER_TOXIPROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def calling(command: str | list[str]) -> Said:
        code = guarded(shlex.split(command) if isinstance(command, str) else command)
        out, err = capsys.readouterr()
        return code, out, err

    return calling


@pytest.fixture
def broken() -> Iterator[Callable[[BaseException], None]]:
    """Give the command `broken`, which raises what it is told."""
    errors: list[BaseException] = []

    def callback() -> None:
        raise errors[0]

    cli.command("broken")(callback)
    yield errors.append
    del cli.commands["broken"]


def line_of(said: Said, code: int) -> str:
    """Give the one line that an error is, without the program's name."""
    assert said[0] == code
    assert said[1] == ""
    lines = [line for line in said[2].splitlines() if not re.fullmatch(r"holdwater: .+, \d+ s", line)]  # a busy machine is slow
    assert len(lines) == 1, said[2]
    assert lines[0].startswith("holdwater: ")
    assert "Traceback" not in said[2]
    return lines[0].removeprefix("holdwater: ")


# Names

UNKNOWN = {
    "verfy": "unknown command 'verfy', did you mean 'verify'?",
    "frob": "unknown command 'frob', there are: check,",
    "run lock --backend memory --conurrency 3": "unknown option '--conurrency', did you mean '--concurrency'?",
    "run": "Missing argument 'WORKLOAD'; see holdwater run --help",
    "run lock": "Missing option '--backend'",
    "run lok --backend memory": "unknown workload 'lok', did you mean 'lock'? There are: acquire, cas, counter, dedup, expiry, index, lock",
    "run , --backend memory": "no workload, expected at least one",
    "run lock --backend memry": "unknown backend 'memry', did you mean 'memory'?",
    "run lock --backend memory --fault kil": "unknown fault 'kil', did you mean 'kill'?",
    "run lock --backend redis --fault cut:nobody": "target 'nobody' of fault 'cut:nobody', expected primary or replica",
    "run lock --backend memory --fault cut": "memory has no network and cannot have cut; use --backend dynamodb or postgres",
    "run lock --backend redis --fault isolate-primary": "has no node that takes over and cannot have isolate-primary; use --backend",
    f"{DRY} --option variant=chld": "unknown variant 'chld' of memory, did you mean 'child'? There are: child, default",
    f"{DRY} --option variant=": "unknown variant '' of memory, there are: child, default",
    f"{DRY} --option mutant=stale-ca": "unknown mutant 'stale-ca' of memory, did you mean 'stale-cas'?",
    f"{DRY} --on moon": "--on: unknown 'moon', there are: compose, local",
    f"{DRY} extra": "Got unexpected extra argument (extra)",
    "verify --backend Rdis": "unknown row 'Rdis', did you mean 'redis'?",
    "verify --profile nighty": "--profile: unknown 'nighty', did you mean 'nightly'? There are: nightly, quick",
    "check x.jsonl --format edm": "--format: unknown 'edm', did you mean 'edn'?",
    "list faluts": "list: unknown 'faluts', did you mean 'faults'?",
    "install tocsyproxy": "unknown server 'tocsyproxy', did you mean 'toxiproxy'?",
    "selftest --mutant stale-ca --backend memory": "unknown mutant 'stale-ca', did you mean 'stale-cas'?",
}


@pytest.mark.parametrize(("words", "said"), [([""], "names no fault"), (["pause", "cut"], "--fault stands 2 times")])
def test_faults_that_would_be_lost_are_refused(words: list[str], said: str, call: Call) -> None:
    code, _, error = call(["run", "lock", "--backend", "redis", "--dry-run", *(part for word in words for part in ("--fault", word))])
    assert (code, said in error) == (64, True)


@pytest.mark.parametrize(("command", "said"), UNKNOWN.items(), ids=list(UNKNOWN))
def test_an_unknown_name_is_answered_with_the_nearest(call: Call, command: str, said: str) -> None:
    assert said in line_of(call(command), 64)


def test_an_unknown_model_is_answered_with_the_nearest(call: Call) -> None:
    Path("h.jsonl").write_text(INVOKE + OK)
    assert "unknown model 'regster', did you mean 'register'?" in line_of(call("check h.jsonl --model regster"), 64)


# Numbers

OUT_OF_RANGE = {
    **{f"{DRY} --time-limit {x}": f"--time-limit '{x}', expected seconds from 0.2 to 3600" for x in ("-1", "0", "nan", "inf", "soon")},
    **{f"{DRY} --rate {x}": f"--rate '{x}', expected operations a second and slot above 0" for x in ("-1", "0", "nan", "inf", "fast")},
    **{f"{DRY} --concurrency {x}": f"--concurrency '{x}', expected a whole number from 1 to 256" for x in ("-1", "0", "257", "1.5", "x")},
    **{f"{DRY} --repeat {x}": f"--repeat '{x}', expected a whole number from 1 to 10000" for x in ("-1", "0", "1e9", "x")},
    **{f"{DRY} --seed {x}": f"--seed '{x}', expected a whole number from 0" for x in ("-1", "nan", "1.5", "9" * 30, "x")},
    **{f"verify --trials {x}": f"--trials '{x}', expected a whole number from 1" for x in ("-1", "0", "x")},
    **{f"check x --budget {x}": f"--budget '{x}', expected seconds above 0" for x in ("-1", "0", "nan", "inf", "x")},
}


@pytest.mark.parametrize(("command", "said"), OUT_OF_RANGE.items(), ids=list(OUT_OF_RANGE))
def test_a_number_out_of_range_is_answered_with_the_range(call: Call, command: str, said: str) -> None:
    assert said in line_of(call(command), 64)


def test_nothing_is_written_for_a_command_that_is_refused(call: Call, tmp_path: Path) -> None:
    for command in (*UNKNOWN, *OUT_OF_RANGE):
        call(command)
    assert list(tmp_path.iterdir()) == []


# Claims files

MISTAKES = {
    "format = 1\n[[row]\n": ":2: no TOML",
    "": ":1: format None, expected 1",
    CLAIMS.replace("conditions", "condition"): ":16: claim one: unknown field 'condition', did you mean 'conditions'?",
    CLAIMS.replace('"memory"', '"memry"'): ": experiment quiet: unknown backend 'memry', did you mean 'memory'?",
    CLAIMS.replace('["lock"]', '["lok"]'): ": experiment quiet: unknown workload 'lok', did you mean 'lock'?",
    CLAIMS.replace("rate = 50", "rte = 50"): ": experiment quiet: unknown option 'rte', did you mean 'rate'?",
    CLAIMS.replace("rate = 50", 'rate = "x"'): ": experiment quiet: option rate 'x', expected operations a second",
    CLAIMS.replace("rate = 50", "lock = 3"): ": experiment quiet: option lock is 3, expected a table",
    CLAIMS.replace("rate = 50", "lock = { anchors = -1 }"): ": experiment quiet: option anchors -1, expected a whole number from 0",
    CLAIMS.replace("rate = 50", "lock = { anchors = true }"): ": experiment quiet: option anchors True, expected a whole number",
    CLAIMS.replace("rate = 50", "lock = { anchor = 1 }"): "unknown option 'anchor' of lock, did you mean 'anchors'?",
    CLAIMS.replace("rate = 50", "dedup = { keys_per_s = 1 }"): "unknown option 'dedup'",
    CLAIMS.replace("quiet_s = 0.2", "quiet_s = nan"): "experiment quiet",
}


@pytest.mark.parametrize(("text", "said"), MISTAKES.items(), ids=list(MISTAKES.values()))
def test_a_mistake_in_a_claims_file_is_answered_with_its_place(call: Call, text: str, said: str) -> None:
    Path("mine.toml").write_text(text)
    line = line_of(call("verify --claims mine.toml"), 64)
    assert line.startswith("mine.toml")
    assert said in line
    assert not Path("runs").exists()


def test_a_claims_file_that_is_missing_is_named(call: Call) -> None:
    assert "none.toml: No such file" in line_of(call("verify --claims none.toml"), 64)


def test_a_claims_file_that_is_a_directory_is_named(call: Call) -> None:
    assert "Is a directory, expected a claims file" in line_of(call("verify --claims ."), 64)


def test_a_claims_file_that_is_not_utf8_is_named_with_the_byte(call: Call) -> None:
    Path("mine.toml").write_bytes(b"format = 1\n\xff")
    assert "mine.toml: not UTF-8 at byte 11" in line_of(call("verify --claims mine.toml"), 64)


# Histories

REFUSED = {
    "middle": (INVOKE + '{"index":1,"time":\n' + OK, 'h.jsonl:2: Input data was truncated: {"index":1'),
    "no object": ("[]\n" + INVOKE, "h.jsonl:1: Expected `object`, got `array`"),
    "a wrong type": (INVOKE.replace('"time":1', '"time":"now"') + OK, "h.jsonl:1: Expected `int`, got `str`"),
    "no invocation": (OK, "h.jsonl:1: process 0 completes read without an invocation"),
    "unknown f": ((INVOKE + OK).replace("read", "raed"), "h.jsonl:1: unknown f 'raed' (event 0, key None), did you mean 'read'?"),
    "nested": (INVOKE.replace("null", "[" * 5000) + OK, "h.jsonl:1: nested deeper than 100"),
    "control characters": ("\x1b[2J\x07\n" + INVOKE, "\\x1b[2J\\x07"),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=list(REFUSED))
def test_a_malformed_history_is_answered_with_line_and_reason(call: Call, text: str, said: str) -> None:
    Path("h.jsonl").write_text(text)
    assert said in line_of(call("check h.jsonl"), 64)


@pytest.mark.parametrize("name", ["h.jsonl", "h.edn", "h.log"])
def test_a_binary_file_is_no_history(call: Call, name: str) -> None:
    Path(name).write_bytes(bytes(range(256)) * 16)
    assert name in line_of(call(f"check {name}"), 64)


@pytest.mark.parametrize("name", ["none.jsonl", "none.edn", "none.log"])
def test_a_history_that_is_missing_is_named(call: Call, name: str) -> None:
    assert f"{name}: No such file or directory, expected the file of a history" in line_of(call(f"check {name}"), 64)


@pytest.mark.parametrize("form", ["jsonl", "edn", "porcupine"])
def test_a_history_that_is_a_directory_is_named(call: Call, form: str) -> None:
    assert "Is a directory, expected the file of a history" in line_of(call(f"check . --format {form}"), 64)


def test_a_torn_last_line_is_dropped_the_rest_judged_and_never_called_valid(call: Call) -> None:
    Path("h.jsonl").write_text(INVOKE + OK + '{"index":2,"ti')
    code, out, _ = call("check h.jsonl --json")
    assert (code, json.loads(out)["status"]) == (2, "unknown")
    assert "its last line is cut off" in json.loads(out)["summary"]


@pytest.mark.parametrize("text", ["", CLOCK, INVOKE], ids=["empty", "nemesis only", "nothing answered"])
def test_a_history_that_shows_nothing_is_unknown(call: Call, text: str) -> None:
    Path("h.jsonl").write_text(text)
    assert call("check h.jsonl")[0] == 2


@pytest.mark.parametrize(("text", "code"), [(INVOKE + OK + END, 0), (INVOKE + OK, 2), (INVALID, 1)])
def test_the_exit_code_of_check_is_the_verdict(call: Call, text: str, code: int) -> None:
    Path("h.jsonl").write_text(text)
    assert call("check h.jsonl")[0] == code


def test_the_format_follows_from_the_name(call: Call) -> None:
    Path("h.log").write_text("INFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 0\t:ok\t:read\tnil\n")
    Path("h.edn").write_text("{:process 0, :type :invoke, :f :read, :value nil}\n{:process 0, :type :ok, :f :read, :value nil}\n")
    assert [call(f"check {name}")[0] for name in ("h.log", "h.edn")] == [0, 0]


LINES = {
    "h.jsonl": INVOKE
    + "\n"
    + OK
    + INVOKE.replace('"index":0,"time":1', '"index":4,"time":5').replace("null", "[1,2,3]").replace("read", "cas"),
    "h.edn": "; a history\n{:process 0 :type :invoke :f :read :value nil}\n\n{:process 1 :type :invoke :f :cas :value [1 2 3]}\n",
    "h.log": "a line\n\n\n0 :invoke :cas [1 2]\n",
}


@pytest.mark.parametrize(("name", "said"), [("h.jsonl", "argument [1,2,3], expected [expected, new]"), ("h.edn", "argument [1,2,3]")])
def test_a_value_that_does_not_fit_is_named_with_its_line(call: Call, name: str, said: str) -> None:
    Path(name).write_text(LINES[name])
    assert f"{name}:4: cas (event " in line_of(call(f"check {name}"), 64)
    assert said in line_of(call(f"check {name} --model register"), 64)


@pytest.mark.parametrize("name", LINES)
def test_a_function_that_the_model_lacks_is_named_with_its_line(call: Call, name: str) -> None:
    Path(name).write_text(LINES[name])
    line = {"h.jsonl": 1, "h.edn": 2, "h.log": 4}[name]
    assert f"{name}:{line}: f " in line_of(call(f"check {name} --model mutex"), 64)


@pytest.mark.parametrize(
    ("f", "argument", "result", "line"),
    [
        ("increment", '{"delta":1}', '{"value":"2"}', 2),
        ("increment", '{"delta":null}', '{"value":2}', 1),
        ("check_and_set", "7", '{"set":true}', 1),
        ("check_and_set", '{"value":"a"}', '{"set":1}', 2),
        ("try_acquire", '{"owner":"a"}', '{"granted":true}', 1),
        ("try_acquire", '{"owner":"a","ttl_ms":5}', '{"granted":"yes"}', 2),
        ("try_acquire", '{"owner":"a","ttl_ms":5}', '{"granted":true,"fencing_token":"7"}', 2),
        ("acquire_within", '{"owner":"a","ttl_ms":5}', '{"granted":true}', 1),
        ("resource_read", '{"fencing_token":null}', '{"value":null}', 2),
        ("resource_write", '{"fencing_token":1,"value":"1"}', '{"written":true}', 1),
        ("compare_and_swap", '{"expected":1,"value":"x"}', '{"swapped":true}', 2),
    ],
)
def test_the_line_is_that_of_the_argument_or_of_the_answer(call: Call, f: str, argument: str, result: str, line: int) -> None:
    text = (INVOKE.replace("null", argument) + OK.replace("null", result)).replace("read", f)
    Path("h.jsonl").write_text(text)
    assert f"h.jsonl:{line}: {f} (event {line - 1}, process 0): " in line_of(call("check h.jsonl"), 64)


BEGAN = {
    "h.jsonl": (INVOKE + OK.replace("null", '"full"') + END, '"full"'),
    "h.edn": ("{:process 0 :type :invoke :f :read :value nil}{:process 0 :type :ok :f :read :value :full}", ":full"),
    "h.log": ("0 :invoke :read nil\n0 :ok :read 7\n", "7"),
}


@pytest.mark.parametrize("name", BEGAN)
def test_a_register_begins_with_what_the_user_says(call: Call, name: str) -> None:
    text, initial = BEGAN[name]
    Path(name).write_text(text)
    code, out, _ = call(["check", name])
    assert (code, "say so with --initial" in " ".join(out.split())) == (1, True)
    for more in ([], ["--model", "register"]):
        assert call(["check", name, "--initial", initial, *more])[0] == 0
        assert call(["check", name, "--initial", "3", *more])[0] == 1


def test_initial_is_not_named_where_it_would_not_help(call: Call) -> None:
    written = (INVOKE + OK).replace("read", "write").replace('"index":', '"index":1').replace("null", "4")
    Path("h.jsonl").write_text(written + (INVOKE + OK.replace("null", "5")).replace('"index":', '"index":2').replace('"time":', '"time":5'))
    code, out, _ = call("check h.jsonl")
    assert (code, "--initial" in out) == (1, False)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("check h.jsonl --initial x", "--initial 'x': JSON is malformed"),
        ("check h.jsonl --initial [", "--initial '['"),
        ("check h.jsonl --format edn --initial 1/2", "--initial '1/2': 1/2 cannot be compared"),
        ("check h.jsonl --initial 1 --model counter", "--initial is of the model register"),
        ("check counter.jsonl --initial 1", "--initial is of the model register"),
        (f"check h.jsonl --initial {'[' * 200}{']' * 200}", "nested deeper than 100"),
        ("check h.jsonl --independent", "--independent is of the format edn, h.jsonl is read as jsonl"),
        ("check h.log --no-independent", "--independent is of the format edn, h.log is read as porcupine"),
        ("check pairs.edn", "pairs.edn:1: the values of :write and all others may be [key value], or pairs; say --independent"),
    ],
)
def test_what_a_history_is_told_of_must_fit(call: Call, command: str, said: str) -> None:
    Path("h.jsonl").write_text(INVOKE + OK)
    Path("counter.jsonl").write_text(INVOKE.replace("read", "increment").replace("null", '{"delta":1}'))
    Path("pairs.edn").write_text("{:process 0 :type :invoke :f :write :value [1 2]}")
    assert said in line_of(call(command), 64)


def test_who_says_what_pairs_are_gets_a_verdict(call: Call) -> None:
    asked = "{:process 0 :type :invoke :f :write :value [1 2]} {:process 0 :type :ok :f :write :value [1 2]}"
    Path("h.edn").write_text(asked + "{:process 0 :type :invoke :f :write :value [2 1]} {:process 0 :type :ok :f :write :value [2 1]}")
    keys = [
        json.loads(call(f"check h.edn --json {told}")[1])["parts"]["linearizable"]["numbers"]["keys"]
        for told in ("--independent", "--no-independent")
    ]
    assert keys == [2, 1]


LATER = CLOCK.replace('"index":0,"time":1', '"index":5,"time":8')
SEEDS = {
    "h.jsonl": f'{{"holdwater":1,"concurrency":2,"sides":{{"0":"a"}}}}\n{INVALID}{LATER}{{"end":true}}\n',
    "h.edn": LINES["h.edn"].replace(" 3]", "]")
    + BEGAN["h.edn"][0].replace("process 0", "process 3")
    + ' #_ {} {:process 2 :type :invoke :f :write :value [#{1} "a" {:b 1.5}]}',
    "h.log": "INFO a - 0 :invoke :cas [1 2]\nINFO a - 0 :fail :cas [1 2]\nINFO a - 1 :invoke :write 5\nINFO a - 1 :info :write :x\n",
}
PIECES = [
    b"null",
    b"nil",
    b"-1",
    b"[1 2]",
    b'"',
    b"{",
    b"]",
    b"#_",
    b":key 1",
    b"##NaN",
    b"\xff",
    b"\x00",
    b"\r\n",
    b"9" * 400,
    b"\x1f\x8b",
    b":invoke",
]


@pytest.mark.parametrize("name", SEEDS)
def test_any_change_to_a_history_gives_a_verdict_or_one_line(call: Call, name: str) -> None:
    draw = random.Random(name)
    for _ in range(400):
        data = SEEDS[name].encode()
        for _ in range(draw.choice([1, 1, 2, 4])):
            start = draw.randrange(len(data) + 1)
            data = data[:start] + draw.choice([b"", *PIECES]) + data[start + draw.choice([0, 1, 5]) :]
        Path(name).write_bytes(data)
        code, out, err = call(f"check {name} --budget 0.5")
        assert (code in (0, 1, 2) and err == "") or (code == 64 and err.count("\n") == 1), data
        assert " raised " not in out, data


# Where it writes


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/none"])
@pytest.mark.parametrize("command", ["run lock --backend memory --time-limit 0.2", "verify --claims mine.toml"])
def test_a_folder_that_cannot_be_written_is_named(call: Call, command: str, out: str) -> None:
    Path("file").write_text("x")
    Path("mine.toml").write_text(CLAIMS)
    assert f"cannot write runs to {out}: " in line_of(call(f"{command} --out {out}"), 64)


# The machine


@pytest.mark.parametrize("variable", ["HOLDWATER_REDIS_SERVER", "HOLDWATER_TOXIPROXY"])
@pytest.mark.parametrize("program", ["/nowhere/server", "/bin/true"])
@pytest.mark.parametrize("command", ["run lock --backend redis --fault cut --dry-run", "verify --backend redis"])
def test_a_variable_that_names_no_server_is_the_machines(
    call: Call, monkeypatch: pytest.MonkeyPatch, command: str, variable: str, program: str
) -> None:
    monkeypatch.setenv(variable, program)
    line = line_of(call(command), 3)
    assert f"{variable}={program}" in line
    assert not Path("runs").exists()


@pytest.fixture
def without_toxiproxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, no Go, and no package index to have one from."""
    monkeypatch.setenv("HOLDWATER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.delenv("HOLDWATER_TOXIPROXY", raising=False)


@pytest.mark.usefixtures("without_toxiproxy")
def test_run_brings_a_server_that_is_missing_and_says_why_it_cannot(call: Call) -> None:
    code, out, err = call("run lock --backend redis --fault cut")
    said = err.splitlines()
    assert (code, out) == (3, "")
    assert said[0].startswith("holdwater: toxiproxy: none found, bringing github.com/Shopify/toxiproxy")
    assert said[-1].startswith("holdwater: the machine: toxiproxy: ")
    assert "try again, or put toxiproxy-server (2 or later) on PATH, or name one in HOLDWATER_TOXIPROXY" in said[-1]
    assert not Path("runs").exists()


@pytest.mark.usefixtures("without_toxiproxy")
def test_a_run_whose_faults_meet_no_link_needs_no_proxy(call: Call) -> None:
    code, out, _ = call("run dedup --backend redis --fault restart --option variant=appendfsync-always --json")
    assert code == 0
    assert set(json.loads(out)["versions"]) <= {"Redis", "Valkey"}


def test_a_port_that_is_taken_is_the_machines_and_the_run_is_kept(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as held:
        held.bind((HOST, 0))
        taken = held.getsockname()[1]
        monkeypatch.setattr(Ports, "reserve", lambda self: taken)
        code, out, _ = call("run lock --backend memory --option variant=child --time-limit 0.2 --json")
    results = json.loads(out)
    assert (code, results["exit"]) == (3, 3)
    assert "memory-1" in results["broken"]
    assert json.loads(Path("runs/latest/results.json").read_text())["broken"] == results["broken"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.EIO])
def test_an_operating_system_without_room_is_the_machines(call: Call, broken: Callable[[BaseException], None], number: int) -> None:
    broken(OSError(number, os.strerror(number), "results.json"))
    assert os.strerror(number) in line_of(call("broken"), 3)


@pytest.mark.parametrize(
    "error",
    [BrokenPipeError(errno.EPIPE, "Broken pipe"), MemoryError(), RuntimeError("can't start new thread"), Infrastructure("gone")],
)
def test_a_failure_of_the_machine_is_never_the_exit_code_of_a_verdict(
    call: Call, broken: Callable[[BaseException], None], error: Exception
) -> None:
    broken(error)
    assert line_of(call("broken"), 3).startswith("the machine: ")


# Reports


def written(results: Any) -> None:
    Path("old").mkdir()
    Path("old/results.json").write_text(results if isinstance(results, str) else json.dumps(results))


def test_a_directory_without_results_is_named(call: Call) -> None:
    assert "none has no results.json, expected a run directory" in line_of(call("report none"), 64)


PLAN = {"backend": "b", "variant": "v", "workloads": ["lock"], "episodes": [{}], "concurrency": 1, "seed": 1}
RUN = {
    "holdwater": 1,
    "kind": "run",
    "status": "unknown",
    "exit": 2,
    "command": "",
    "directory": "old",
    "seconds": 0,
    "plan": PLAN,
    "trials": [],
}
UNFIT = {
    "{": "old/results.json: Input data was truncated",
    "[]": "old/results.json: Expected `object`, got `array`",
    "{}": "missing required field `kind`",
    json.dumps({**RUN, "kind": "walk"}): "Invalid value 'walk' - at `$.kind`",
    json.dumps({**RUN, "plan": None}): "Expected `object`, got `null` - at `$.plan`",
    json.dumps({**RUN, "trials": [{"n": 1}]}): "missing required field `checks` - at `$.trials[0]`",
    json.dumps({**RUN, "kind": "verify"}): "missing required field `profile`",
    json.dumps({"holdwater": 1, "kind": "selftest", "detections": []}): "old: nothing to draw, expected a run or a verify",
}


@pytest.mark.parametrize(("text", "said"), UNFIT.items(), ids=list(UNFIT))
def test_results_that_cannot_be_drawn_are_named(call: Call, text: str, said: str) -> None:
    written(text)
    assert said in line_of(call("report old"), 64)


def test_a_recorded_history_that_was_damaged_is_named_with_its_line(call: Call) -> None:
    written(RUN)
    Path("old/history.jsonl").write_text(OK)
    assert "old/history.jsonl:1: process 0 completes read without an invocation" in line_of(call("report old"), 64)


def test_a_run_is_drawn_again(call: Call) -> None:
    assert call("run lock --backend memory --time-limit 0.3 --seed 1 --json")[0] in (0, 2)
    picture = Path("runs/latest/timeline.png")
    picture.unlink()
    code, out, _ = call("report runs/latest")
    assert (code, out.splitlines()) == (
        0,
        [str(picture), *(f"runs/latest/{name}" for name in ("latency.png", "rate.png", "junit.xml", "summary.md"))],
    )
    assert picture.exists()


REPORTS = """
import errno
from harness.report import Report

def writes(directory):
    (directory / "mine.txt").write_text("drawn")
    return [directory / "mine.txt"]

def fails(directory):
    raise LookupError("no font")

def fills(directory):
    raise OSError(errno.ENOSPC, "No space left on device", str(directory / "mine.png"))

MINE = Report(name="mine", sentence="a text", draw=writes)
BROKEN = Report(name="broken", sentence="nothing", draw=fails, place=0)
FULL = Report(name="full", sentence="a large picture", draw=fills)
"""


@pytest.fixture
def others_report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], None]]:
    """Give what installs one of these reports, as a package of somebody else's."""
    with ExitStack() as stack:
        yield lambda point: stack.enter_context(installed(tmp_path_factory.mktemp("site"), REPORTS, {"reports": point}))


def test_a_report_of_another_package_is_drawn_of_every_run_after_ours(call: Call, others_report: Callable[[str], None]) -> None:
    others_report("mine = MINE")
    assert call("run lock --backend memory --time-limit 0.3 --seed 1 --json")[0] in (0, 2)
    assert Path("runs/latest/mine.txt").read_text() == "drawn"
    assert call("report runs/latest")[1].splitlines()[-1] == "runs/latest/mine.txt"


def test_a_report_of_another_package_is_listed_with_its_sentence(call: Call, others_report: Callable[[str], None]) -> None:
    others_report("mine = MINE")
    assert ["mine", "a text"] in json.loads(call("list reports --json")[1])


def test_a_result_is_told_also_where_drawing_it_failed(call: Call, others_report: Callable[[str], None]) -> None:
    others_report("broken = BROKEN")
    code, out, err = call("run lock --backend memory --time-limit 0.2 --seed 1 --json")
    assert code == 70
    assert f"a bug of {PACKAGE}, LookupError: no font" in err
    assert err.splitlines()[-1].endswith("(report broken)")
    assert json.loads(out)["trials"] == json.loads(Path("runs/latest/results.json").read_text())["trials"]


def test_a_report_that_fails_takes_no_other_away(call: Call, others_report: Callable[[str], None]) -> None:
    others_report("broken = BROKEN")
    call("run lock --backend memory --time-limit 0.2 --seed 1 --json")
    Path("runs/latest/summary.md").unlink()
    code, out, _ = call("report runs/latest")
    assert (code, out.splitlines()[-1]) == (70, "runs/latest/summary.md")
    assert Path("runs/latest/summary.md").exists()


def test_a_night_is_kept_also_where_a_report_of_its_verify_failed(call: Call, others_report: Callable[[str], None]) -> None:
    others_report("broken = BROKEN")
    Path("mine.toml").write_text(CLAIMS)
    code, _, err = call("nightly --store nights --claims mine.toml --seed 1")
    assert (code, err.splitlines()[-1].endswith("(report broken)")) == (70, True)
    assert len(list(Path("nights/nights").iterdir())) == 1
    assert Path("nights/index.html").exists()


def test_an_entry_point_that_is_no_report_is_named(call: Call, others_report: Callable[[str], None]) -> None:
    others_report("mine = writes")
    code, _, err = call("run lock --backend memory --time-limit 0.2 --seed 1 --json")
    assert code == 64
    assert f"reports 'mine' of package {PACKAGE} (third_party_plugins:writes) is named None, expected an object with the name" in err


def test_a_name_that_holdwater_has_taken_is_refused(call: Call, others_report: Callable[[str], None]) -> None:
    others_report("timeline = MINE")
    said = f"reports 'timeline' of package {PACKAGE} has a name that Holdwater has taken; rename it, or uninstall the package"
    assert line_of(call("list reports"), 64) == said


@pytest.fixture
def full_disk(others_report: Callable[[str], None]) -> None:
    others_report("full = FULL")


@pytest.mark.usefixtures("full_disk")
def test_the_word_that_is_printed_is_the_exit_code_where_the_disk_is_full(call: Call) -> None:
    code, out, err = call("run lock --backend memory --time-limit 1.5 --seed 1")
    assert code == 3
    assert "exit 3: the machine or a server failed" in out
    assert "exit 0" not in out
    assert "/mine.png: No space left on device" in err


def test_a_counterexample_stands_though_its_picture_is_missing() -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "timeline.png")

    assert tell(full, msgspec.convert({**RUN, "exit": 1}, Run), None) == 1


def test_a_command_that_is_called_with_arguments_records_these(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["holdwater", "list", "backends"])
    with pytest.raises(SystemExit):
        main(["run", "lock", "--backend", "memory", "--time-limit", "0.2", "--seed", "1", "--json"])
    assert json.loads(Path("runs/latest/results.json").read_text())["command"].endswith(
        "run lock --backend memory --time-limit 0.2 --seed 1 --json"
    )


def test_verify_says_which_claims_are_as_expected(call: Call) -> None:
    Path("mine.toml").write_text(CLAIMS)
    code, out, _ = call("verify --claims mine.toml --seed 1 --json")
    assert (code, [claim["verdict"] for claim in json.loads(out)["claims"]]) == (0, ["inconclusive"])


def test_verify_is_2_where_a_claim_is_in_doubt(call: Call) -> None:
    Path("mine.toml").write_text(CLAIMS.replace('["inconclusive"]', '["holds"]'))
    assert call("verify --claims mine.toml --seed 1 --json")[0] == 2


# Exit codes


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*/*.*")), ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_check_condemns_the_bad_examples_and_no_good_one(call: Call, path: Path) -> None:
    assert call(["check", str(path), "--json"])[0] == {"good": 0, "bad": 1, "unknown": 2}[path.parent.name]


def test_a_bug_of_ours_is_one_line_with_its_trace_in_a_file(call: Call, broken: Callable[[BaseException], None]) -> None:
    broken(LookupError("two\nlines"))
    line = line_of(call("broken"), 70)
    assert line == "a bug of ours, LookupError: two lines; its trace is in holdwater-bug.txt"
    assert "Traceback" in Path("holdwater-bug.txt").read_text()


def test_the_trace_goes_to_the_systems_folder_where_this_one_is_unwritable(
    call: Call, broken: Callable[[BaseException], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/proc")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    broken(LookupError("no"))
    path = line_of(call("broken"), 70).partition("its trace is in ")[2]
    assert Path(path).parent == tmp_path
    assert "Traceback" in Path(path).read_text()


def test_a_malformed_history_that_the_user_did_not_name_is_our_bug(call: Call, broken: Callable[[BaseException], None]) -> None:
    broken(MalformedHistory("index 1 after 1", 3))
    assert "a bug of ours, MalformedHistory" in line_of(call("broken"), 70)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_is_130(call: Call, broken: Callable[[BaseException], None], error: BaseException) -> None:
    broken(error)
    code, out, err = call("broken")
    assert (code, out, err.split()[:2]) == (130, "", ["holdwater:", "interrupted;"])


def history(error: str | None = None) -> History:
    return History((Event(index=0, time=0, process="nemesis", type="info", f="clock", value=None, error=error),))


def test_the_exit_codes_of_a_run_take_precedence_70_1_3_2_0() -> None:
    bug = history(f"{BROKEN}: TypeError")
    assert exit_code(Status.INVALID, "broken", bug) == 70
    assert exit_code(Status.INVALID, "broken", history()) == 1
    assert exit_code(Status.UNKNOWN, "broken", history()) == 3
    assert exit_code(Status.UNKNOWN, None, history()) == 2
    assert exit_code(Status.VALID, None, history()) == 0


def test_usage_comes_before_the_machine(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "find", lambda name: None)
    assert "unknown option 'anchor'" in line_of(call("run lock --backend redis --option anchor=1"), 64)


# As a process of its own


def start(*arguments: str, **more: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-m", "harness", *arguments], env=environment, text=True, stderr=subprocess.PIPE, **more)


def test_a_reader_that_goes_away_changes_no_exit_code() -> None:
    Path("h.jsonl").write_text(INVALID)
    with start("check", "h.jsonl", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait()) == ("", 1)


@pytest.mark.parametrize("closed", [[1], [0, 1, 2]], ids=str)
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("check h.jsonl", 1),
        ("check none.jsonl", 64),
        ("--help", 0),
        (DRY, 0),
    ],
)
def test_streams_that_are_closed_change_no_exit_code(arguments: str, code: int, closed: list[int]) -> None:
    Path("h.jsonl").write_text(INVALID)
    redirected = " ".join(f"{number}>&-" for number in closed)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = f"{shlex.join([sys.executable, '-m', 'harness', *arguments.split()])} {redirected}"
    assert subprocess.run(["sh", "-c", command], env=environment, capture_output=True, check=False).returncode == code


def test_no_file_of_ours_becomes_the_stdout_that_was_closed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = shlex.join([sys.executable, "-m", "harness", *["run", "lock", "--backend", "memory", "--time-limit", "1", "--seed", "1"]])
    assert subprocess.run(["sh", "-c", f"{run} >&- 2>&- <&-"], env=environment, check=False).returncode in (0, 2)
    assert load(tmp_path / "runs" / "latest" / "history.jsonl").complete


def test_help_that_nobody_reads_is_no_error() -> None:
    with start("--help", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait()) == ("", 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux'")
def test_a_result_that_cannot_be_written_is_the_machines() -> None:
    with open("/dev/full", "w") as full, start("list", "faults", stdout=full) as process:
        assert process.stderr is not None
        assert "cannot write the result to stdout: No space left" in process.stderr.read()
        assert process.wait() == 3


def test_a_terminal_that_lacks_our_letters_gets_others() -> None:
    Path("h.jsonl").write_text(INVALID)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-m", "harness", "check", "h.jsonl"], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"invalid" in done.stdout


def test_control_c_while_reading_is_130() -> None:
    os.mkfifo("pipe.jsonl")
    with start("check", "pipe.jsonl", stdout=subprocess.PIPE) as process:
        with open("pipe.jsonl", "w"):  # opens once the command reads
            process.send_signal(signal.SIGINT)
            _, err = process.communicate()
        assert process.returncode == 130
        assert err.strip() == "holdwater: interrupted; what was recorded is kept"


def test_control_c_during_a_run_is_130_and_the_history_is_kept(tmp_path: Path) -> None:
    with start("run", "lock", "--backend", "memory", "--time-limit", "3600", "--seed", "1", stdout=subprocess.PIPE) as process:
        begun = lambda: any(path.stat().st_size for path in tmp_path.glob("runs/*/history.jsonl"))  # noqa: E731
        wait_for(lambda: None if begun() else "no history yet", 20.0, "the run begins")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    directory = (tmp_path / "runs" / "latest").resolve()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == f"holdwater: interrupted; what was recorded is kept in runs/{directory.name}"
    assert load(directory / "history.jsonl").header is not None
    assert json.loads((directory / "run.json").read_text())["plan"]["seed"] == 1


def test_a_folder_of_the_users_called_reports_is_named(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "__init__.py").write_text("")
    with start("list", "models", stdout=subprocess.PIPE) as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (64, "")
    assert err.startswith(f"holdwater: package 'reports' is {tmp_path / 'reports'}, expected {ROOT / 'reports'}; ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(("redirected", "code"), [(">/dev/full", 3), ("2>/dev/full", 0), (">/dev/full 2>/dev/full", 3)])
def test_a_full_device_behind_a_stream_is_the_machines_and_no_code_of_pythons(redirected: str, code: int) -> None:
    Path("h.jsonl").write_text(INVOKE + OK + END)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = f"{shlex.join([sys.executable, '-m', 'harness', 'check', 'h.jsonl'])} {redirected}"
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "Exception ignored" in done.stderr) == (code, False)


def test_a_history_is_read_from_standard_input() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "harness", "check", "-"]
    done = subprocess.run(command, env=environment, input=INVOKE + OK + END, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_run_that_did_not_end_is_named_as_one_with_the_command_that_judges_it(call: Call) -> None:
    Path("killed").mkdir()
    Path("killed/history.jsonl").write_text(INVOKE)
    code, _, err = call("report killed")
    assert (code, "its run did not end; judge what it recorded with: holdwater check killed/history.jsonl" in " ".join(err.split())) == (
        64,
        True,
    )


def test_an_end_of_the_process_from_within_is_no_verdict(call: Call, broken: Callable[[BaseException], None]) -> None:
    broken(SystemExit(0))
    assert line_of(call("broken"), 70).startswith("a bug of ours, RuntimeError: a command ended by SystemExit(0); its trace is in ")
