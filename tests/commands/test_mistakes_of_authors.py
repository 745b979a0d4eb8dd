"""What the author of a plug-in does wrong ends in one line that names his package and what was expected, and is never a bug of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from third_party import MODULE, PACKAGE, installed

from harness.commands.cli import guarded

WORKLOAD = """
from dataclasses import dataclass
from typing import Any
from harness.driving.generator import Invocation
from harness.driving.workload import Attendant, Workload

@dataclass(frozen=True)
class Draws:
    found: Any = Invocation("get", "t1-k", {})
    fails_after: int = 10**9
    after: Any = None

    def next(self, context):
        if context.step >= self.fails_after:
            raise KeyError("next")
        return (self.found, self)

    def update(self, context, invocation, completion):
        return self.after or self

class Bare(Draws):
    def next(self, context):
        return self.found

class Later(Draws):
    def next(self, context):
        return (self.found, self) if context.slots == 8 and context.process == context.slot and context.now == 0 else None

class Forgets(Draws):
    def update(self, context, invocation, completion):
        return None

def fails(*given):
    raise KeyError("att")

def workload(generator=lambda options, functions: Draws(), **more):
    told = dict(name="mine", sentence="reads", functions=frozenset({"get"}), checks=("linearizable",), generator=generator)
    return Workload(**{**told, **more})

"""
FAULT = """
from harness.driving.nemesis import Fault, Probe
from harness.driving.system import Need

class Does:
    targets = ("memory",)
    def __init__(self, raising="", bites=Probe(True, {}), healed=Probe(True, {})):
        self._raising, self._bites, self._healed = raising, bites, healed
    def _do(self, what, found=None):
        if what == self._raising:
            raise KeyError(what)
        return found
    def inject(self):
        self._do("inject")
    def heal(self):
        self._do("heal")
    def bites(self):
        return self._do("bites", self._bites)
    def healed(self):
        return self._do("healed", self._healed)

def fails(*given):
    raise KeyError("on")

def fault(on=lambda system, node: Does(), **more):
    return Fault(**{**dict(name="mine", sentence="does", on=on, needs=frozenset({Need.HOLDERS})), **more})

"""
BACKEND = """
from contextlib import contextmanager, nullcontext
from harness.driving.backend import Backend

class Client:
    def __init__(self, answer):
        self.answer = answer
    def invoke(self, f, key, argument):
        return self.answer
    def close(self):
        pass

class System:
    name, versions = "mine", {}
    def __init__(self, answer=({"value": None, "set": True}, None)):
        self.answer = answer
    def client(self, side, deadline_s):
        return Client(self.answer)

def fails(*given):
    raise KeyError("open")

class Mine:
    name = "mine"
    variants = {"default": "the only one"}
    functions = frozenset({"get", "check_and_set"})
    def open(self, deployment):
        return nullcontext(System())

def backend(**more):
    return type("Its", (Mine,), {"__module__": __name__, **more})()

"""
CHECK = """
from harness.judging.check import Check, Kind
from harness.judging.verdict import valid

def kind(**more):
    return Kind(**{**dict(name="odd", rule="r", heading="{key}", one="o", many="{n}"), **more})

def check(**more):
    told = dict(name="mine", sentence="is odd", kinds=(kind(),), judge=lambda history, terms: valid("fine"), families=("counter",))
    return Check(**{**told, **more})

"""
REPORT = """
from pathlib import Path
from harness.report import Report

def fails(directory):
    raise KeyError("font")

def report(draw):
    return Report(name="mine", sentence="a picture", draw=draw)

"""
RUN = "--time-limit 0.2 --seed 1 --json"
OF_WORKLOAD = f"run mine --backend memory {RUN}"
OF_FAULT = f"run resource --backend memory --fault mine {RUN}"
OF_BACKEND = f"run dedup --backend mine {RUN}"

AT_LOAD = [
    ("workloads", "class MINE:\n    name = 'mine'", "it is <class 'third_party_plugins.MINE'>, expected harness.driving.workload.Workload"),
    ("workloads", "MINE = workload(functions=['get'])", "functions is ['get'], expected frozenset[str]"),
    ("workloads", "MINE = workload(generator=None)", "generator is None, expected a function of 2 arguments"),
    ("workloads", "MINE = workload(generator=lambda options: Draws())", "expected a function of 2 arguments"),
    ("workloads", "MINE = workload(chekcs=())", "cannot be loaded: TypeError: "),
    ("workloads", "MINE = workload(options={'rate': 3})", "option 'rate' is one of every run, expected a name of its own"),
    ("workloads", "MINE = workload(options={'n': 3}, most={'n': 2})", "the default of option 'n' is 3, expected one within its bounds"),
    ("workloads", "MINE = workload(options={'parts': 3}, least={'part': 2})", "'part' of least or most is no option, did you mean 'parts'"),
    ("workloads", "MINE = workload(options={'n': 'x'})", "the default of option 'n' is 'x', expected a number"),
    ("faults", "class MINE:\n    name = 'mine'", "expected harness.driving.nemesis.Fault"),
    (
        "faults",
        "MINE = fault(needs=Need.LINKS)",
        "expected frozenset[harness.driving.system.Need]",
    ),
    ("faults", "MINE = fault(effects=frozenset({'none'}))", "one of effects is 'none', expected harness.record.event.Effect"),
    ("faults", "MINE = fault(follow=(fault(),))", "one of follow is Fault("),
    ("backends", "class MINE:\n    name = 'mine'", "has no variants, expected harness.driving.backend.Backend"),
    ("backends", "MINE = backend(variants={})", "variants of it is empty, expected at least one"),
    ("backends", "MINE = backend(functions=['get'])", "functions of it is ['get'], expected frozenset[str]"),
    ("backends", "MINE = backend(mutants=['m'])", "mutants of it is ['m'], expected Mapping[str, str]"),
    ("backends", "MINE = backend(offers=frozenset())", "offers of it is frozenset(), expected a function of 1 argument"),
    ("checks", "class MINE:\n    name = 'mine'", "expected harness.judging.check.Check"),
    ("checks", "MINE = check(kinds=kind())", "expected tuple[harness.judging.kind.Kind, ...]"),
    ("checks", "MINE = check(kinds=(kind(rank='10'),))", "rank is '10', expected int"),
    (
        "checks",
        "MINE = check(kinds=(kind(heading='{kye}'),))",
        "heading of class odd is '{kye}' (KeyError: 'kye'), expected no places but {key}",
    ),
    ("checks", "MINE = check(kinds=(kind(many='{kye}'),))", "many of class odd is '{kye}' (KeyError: 'kye')"),
    ("models", "class MINE:\n    name = 'mine'", "expected harness.judging.family.Family"),
    ("reports", "class MINE:\n    name = 'mine'", "expected harness.report.Report"),
    ("servers", "class MINE:\n    name = 'mine'", "expected harness.deploy.install.Server"),
]
SOURCES = {"workloads": WORKLOAD, "faults": FAULT, "backends": BACKEND, "checks": CHECK, "reports": REPORT}

BEFORE_A_RUN = [
    ("workloads", "MINE = workload(lambda options, functions: None)", OF_WORKLOAD, "what the generator of workload mine gave is None"),
    ("workloads", "MINE = workload(lambda options, functions: Bare(None))", OF_WORKLOAD, "next of Bare gave None, expected a pair"),
    ("workloads", "MINE = workload(lambda options, functions: Draws('get'))", OF_WORKLOAD, "gave 'get', expected an Invocation or None"),
    (
        "workloads",
        "MINE = workload(lambda options, functions: Bare((Invocation('get', 'k', {}), None)))",
        OF_WORKLOAD,
        "gave None as what follows",
    ),
    (
        "workloads",
        "MINE = workload(lambda options, functions: Draws(Invocation('get', 7, {})))",
        OF_WORKLOAD,
        "expected texts as f and key",
    ),
    (
        "backends",
        "MINE = backend(offers=lambda self, variant: None)",
        OF_BACKEND,
        "what offers of backend mine gave is None, expected frozenset",
    ),
    (
        "backends",
        "MINE = backend(offers=lambda self, variant: [])",
        OF_BACKEND,
        "what offers of backend mine gave is [], expected frozenset",
    ),
]

IN_A_RUN = [
    ("workloads", "MINE = workload(lambda options, functions: fails())", OF_WORKLOAD, "KeyError: 'att'"),
    (
        "workloads",
        "MINE = workload(lambda options, functions: Draws(**options), options={'n': 1})",
        OF_WORKLOAD,
        "unexpected keyword argument 'n'",
    ),
    ("workloads", "MINE = workload(lambda options, functions: Draws(fails_after=1))", OF_WORKLOAD, "KeyError: 'next'"),
    ("workloads", "MINE = workload(lambda options, functions: Later())", OF_WORKLOAD, "Misfit: next of Later gave None, expected a pair"),
    (
        "workloads",
        "MINE = workload(lambda options, functions: Forgets())",
        OF_WORKLOAD,
        "Misfit: update of Forgets gave None as what follows",
    ),
    ("workloads", "MINE = workload(attend=fails)", OF_WORKLOAD, "KeyError: 'att'"),
    ("workloads", "MINE = workload(attend=lambda run: None)", OF_WORKLOAD, "Misfit: what attend of workload mine gave is None, expected"),
    (
        "workloads",
        "MINE = workload(attend=lambda run: Attendant(client=lambda client: None))",
        OF_WORKLOAD,
        "Misfit: what client of an attendant gave",
    ),
    *(
        ("workloads", f"MINE = workload(attend=lambda run: Attendant({part}=fails))", OF_WORKLOAD, "KeyError: 'att'")
        for part in ("start", "stop", "steady", "client", "before", "after")
    ),
    ("faults", "MINE = fault(fails)", OF_FAULT, "KeyError: 'on'"),
    ("faults", "MINE = fault(lambda system, node: None)", OF_FAULT, "Misfit: what on of fault mine gave is None and has no targets"),
    *(
        ("faults", f"MINE = fault(lambda system, node: Does('{part}'))", OF_FAULT, f"KeyError: '{part}'")
        for part in ("inject", "bites", "heal")
    ),
    (
        "faults",
        "MINE = fault(lambda system, node: Does(bites=True))",
        OF_FAULT,
        "Misfit: what fault mine gave when asked whether it is active is True",
    ),
    ("backends", "MINE = backend(open=fails)", OF_BACKEND, "KeyError: 'open'"),
    ("backends", "MINE = backend(open=lambda self, deployment: None)", OF_BACKEND, "Misfit: what open of backend mine gave is None"),
    (
        "backends",
        "MINE = backend(open=lambda self, deployment: nullcontext(None))",
        OF_BACKEND,
        "Misfit: the system of backend mine is None",
    ),
    ("backends", "System.versions = None\nMINE = backend()", OF_BACKEND, "Misfit: versions of the system of backend mine is None"),
    (
        "backends",
        "System.client = lambda self, side, deadline_s: None\nMINE = backend()",
        OF_BACKEND,
        "Misfit: a client of system mine is None",
    ),
    ("reports", "MINE = report(fails)", f"run lock --backend memory {RUN}", "KeyError: 'font'"),
    ("reports", "MINE = report(lambda directory: None)", f"run lock --backend memory {RUN}", "Misfit: what draw gave is None, expected"),
    ("reports", "MINE = report(lambda directory: 'g')", f"run lock --backend memory {RUN}", "Misfit: what draw gave is 'g', expected"),
    (
        "reports",
        "MINE = report(lambda directory: [directory / 'ghost.png'])",
        f"run lock --backend memory {RUN}",
        "expected only files that are there",
    ),
]

BROKEN_ANSWERS = ["'text'", "({'value': None}, 7)", "None", "(1, 2, 3)"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.mark.parametrize(("kind", "source", "said"), AT_LOAD)
def test_a_plug_in_of_the_wrong_shape_is_refused_when_it_is_loaded(
    kind: str, source: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with installed(tmp_path / "site", SOURCES.get(kind, "") + source, {kind: "mine = MINE"}):
        code = guarded(["install", "mine"] if kind == "servers" else ["list", kind])
    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (64, 1)
    assert f"{kind} 'mine' of package {PACKAGE} ({MODULE}:MINE)" in err
    assert said in err


@pytest.mark.parametrize(("kind", "source", "command", "said"), BEFORE_A_RUN)
def test_what_a_plug_in_gives_before_a_run_and_is_of_no_use_is_refused(
    kind: str, source: str, command: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with installed(tmp_path / "site", SOURCES[kind] + source, {kind: "mine = MINE"}):
        code = guarded(command.split())
    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (64, 1)
    assert said in err
    assert f"package {PACKAGE}" in err


@pytest.mark.parametrize(("kind", "source", "command", "said"), IN_A_RUN)
def test_what_a_plug_in_raises_or_gives_in_a_run_is_a_bug_of_its_package(
    kind: str, source: str, command: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with installed(tmp_path / "site", SOURCES[kind] + source, {kind: "mine = MINE"}):
        code = guarded(command.split())
    line = capsys.readouterr().err.splitlines()[-1]
    assert code == 70
    assert line.startswith(f"holdwater: a bug of {PACKAGE}, ")
    assert said in line


@pytest.mark.parametrize("answer", BROKEN_ANSWERS)
def test_an_answer_that_is_no_pair_is_told_as_a_bug_of_the_backends_package(
    answer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = f"{BACKEND}\nMINE = backend(open=lambda self, deployment: nullcontext(System({answer})))"
    with installed(tmp_path / "site", source, {"backends": "mine = MINE"}):
        code = guarded(f"run dedup --backend mine {RUN}".split())
    assert code == 70
    assert "expected a pair of a value and the name of a node, or None" in (found := Path("runs/latest/history.jsonl").read_text())
    assert f"(a bug of {PACKAGE})" in found
    assert "a bug of ours" not in "".join(capsys.readouterr())


def test_a_run_whose_picture_failed_is_not_told_as_cut_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with installed(tmp_path / "site", f"{REPORT}MINE = report(fails)", {"reports": "mine = MINE"}):
        guarded(["run", "lock", "--backend", "memory", "--time-limit", "0.2", "--seed", "1"])
    out = capsys.readouterr().out
    assert "cut off" not in out
    assert "exit 70: a bug of Holdwater or of a plug-in" in out


CLAIMS = """\
format = 1

[experiment.quiet]
deployment = "memory"
variant = "default"
workloads = ["lock"]
timeline = { quiet_s = 0.2 }
trials = { quick = 1, nightly = 1 }

[[claim]]
id = "one"
cell = ["Memory", "Mutual exclusion"]
document = "promises"
sentence = "A lock has one owner."
conditions = "none"
experiments = ["quiet"]
anomalies = ["odd"]
expect = ["inconclusive"]
"""


def test_a_verify_whose_plug_in_is_gone_is_judged_with_a_hint_that_it_may_be_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Path("verify")
    Path("mine.toml").write_text(CLAIMS.replace('"odd"', '"two-holders"'))
    assert guarded(["verify", "--claims", "mine.toml", "--seed", "1", "--json", "--out", "runs"]) in (0, 2)
    Path("runs/latest").resolve().rename(kept)
    (kept / "claims.toml").write_text(CLAIMS)
    code = guarded(["judge", str(kept)])
    err = capsys.readouterr().err
    assert code == 64
    assert "'odd'" in err
    assert "perhaps a plug-in that it needs is not installed now" in err


def test_a_mutant_of_a_backend_and_of_a_workload_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = f"{WORKLOAD}MINE = workload(mutants={{'ttl-early': 'a lease ends early'}})"
    with installed(tmp_path / "site", source, {"workloads": "mine = MINE"}):
        code = guarded(f"{OF_WORKLOAD} --option mutant=ttl-early".split())
    assert code == 64
    assert "mutant 'ttl-early' is of backend memory and of workload mine, expected a name of its own" in capsys.readouterr().err


def test_a_selftest_of_a_mutant_that_no_chosen_backend_can_have_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = f"{WORKLOAD}MINE = workload(functions=frozenset({{'pop'}}), checks=(), mutants={{'pops-twice': 'pops twice'}})"
    with installed(tmp_path / "site", source, {"workloads": "mine = MINE"}):
        code = guarded(["selftest", "--mutant", "pops-twice", "--backend", "memory", "--trials", "1"])
    assert code == 64
    assert "no workload shows mutant 'pops-twice' on memory; no backend here can" in capsys.readouterr().err
