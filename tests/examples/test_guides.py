"""The guides show the packages of examples/plugins and the claims files of examples/tables as they are, and these do what the guides say.

The packages are built and installed into an environment of their own that has ours beside it, and driven by the command alone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from guides import ROOT, every_guide, included, shown

PLUGINS, TABLES = ROOT / "examples" / "plugins", ROOT / "examples" / "tables"
PACKAGES = ("blackout-fault", "overdue-check", "sqlite-backend", "timers")
CLASS, FINDING = "timer-lost", "timers that were acknowledged are gone"


# What the guides show


@pytest.mark.parametrize("path", every_guide(), ids=lambda path: path.stem)
def test_a_guide_shows_files_as_they_are(path: Path) -> None:
    """Else run `python docs/guides.py`."""
    text = path.read_text("utf-8")
    assert shown(text)
    assert included(text) == text


def test_every_file_of_the_examples_is_shown_by_a_guide() -> None:
    told = {name for path in every_guide() for name in shown(path.read_text("utf-8"))}
    known = subprocess.run(
        ["git", "ls-files", str(PLUGINS), str(TABLES)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert {name for name in known if not name.endswith("__init__.py")} == told


# What the packages do


class Holdwater:
    """The command of an environment that has the packages."""

    def __init__(self, python: Path, at: Path) -> None:
        self.python, self.at = python, at

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.python, "-m", "harness", *arguments], cwd=self.at, capture_output=True, text=True, check=False)

    def latest(self, out: str) -> Path:
        """Give the newest run directory of a folder."""
        return self.at / out / (self.at / out / "latest").readlink()

    def results(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Give the exit code, and the results that were printed as JSON."""
        done = self(*arguments, "--json")
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def holdwater(tmp_path_factory: pytest.TempPathFactory) -> Holdwater:
    made, copied = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("sources")
    shutil.copytree(PLUGINS, copied, dirs_exist_ok=True)  # a build leaves files beside what it builds
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True)
    python = made / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True, check=True
    )
    ours = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (Path(site.stdout.strip()) / "ours.pth").write_text(ours)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    packages = [str(copied / name) for name in PACKAGES]
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", *options, *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Holdwater(python, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def condemned(holdwater: Holdwater) -> tuple[int, dict[str, Any], Path]:
    """Drive the mutant of the workload: its exit code, its results, where they are."""
    code, results = holdwater.results(
        "run", "timers", "--backend", "memory", "--seed", "7", "--option", "mutant=forgetful", "--out", "mutant"
    )
    return code, results, holdwater.latest("mutant")


@pytest.fixture(scope="module")
def verified(holdwater: Holdwater) -> tuple[int, dict[str, Any], Path]:
    """Judge the claims of the example."""
    code, results = holdwater.results("verify", "--claims", str(PLUGINS / "timers" / "timers.toml"), "--out", "table")
    return code, results, holdwater.latest("table")


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("backends", "a rollback journal, as the library is shipped"),
        ("faults", "no client reaches the server; the servers reach each other"),
        ("workloads", "timers in the index of timeouts: set, listed once due, taken away"),
        ("checks", "nobody finds a key after its TTL must have ended"),
        ("checks", "every timer that is set and due is listed until it is taken away; none before, none again"),
        ("mutants", "a client that answers before it sends, and forgets every 8th timer"),
        ("reports", "timers.png: each timer of that trial, and where it was missing"),
    ],
)
def test_what_the_packages_bring_is_listed(holdwater: Holdwater, kind: str, sentence: str) -> None:
    assert sentence in " ".join(holdwater("list", kind).stdout.split())


def test_the_backend_is_driven_and_valid(holdwater: Holdwater) -> None:
    code, results = holdwater.results("run", "dedup", "--backend", "sqlite", "--seed", "7")
    assert (code, results["trials"][0]["checks"]["dedup"]["status"]) == (0, "valid")


def test_the_backend_keeps_the_contract_of_the_functions_that_it_has(holdwater: Holdwater) -> None:
    code, results = holdwater.results("contract", "--backend", "sqlite")
    kept = {each["rule"]: each["status"] for each in results["rules"]}
    assert (code, set(kept.values())) == (0, {"ok", "left out"})
    assert {name for name, status in kept.items() if status == "ok"} == {
        *("sequence", "colons", "reconnects", "expires", "longest-ttl", "one-winner", "fresh-stays"),
    }


def test_the_backend_refuses_a_workload_as_its_guide_says(holdwater: Holdwater) -> None:
    said = "workload lock needs release, try_acquire, which sqlite does not offer"
    done = holdwater("run", "lock", "--backend", "sqlite", "--dry-run")
    assert (done.returncode, done.stderr.strip()) == (64, f"holdwater: {said}")
    assert said in (ROOT / "docs" / "adding-a-backend.md").read_text("utf-8")


def test_the_fault_bites_and_heals(holdwater: Holdwater) -> None:
    crowd = ["--concurrency", "24", "--option", "deadline_s=0.3"]
    code, results = holdwater.results("run", "lock,dedup", "--backend", "redis", "--fault", "blackout", "--seed", "7", *crowd)
    gates = {gate["name"]: gate["met"] for gate in results["trials"][0]["gates"]}
    assert (code, gates["faults_proved"], gates["faults_felt"]) == (0, True, True)


@pytest.mark.parametrize(("planted", "code", "status"), [([], 0, "valid"), (["--option", "mutant=set-endless"], 1, "invalid")])
def test_the_check_over_time_judges_a_workload_of_ours(holdwater: Holdwater, planted: list[str], code: int, status: str) -> None:
    found, results = holdwater.results("run", "mixed", "--backend", "memory", "--option", "kept=0", "--seed", "7", *planted)
    assert (found, results["trials"][0]["checks"]["overdue"]["status"]) == (code, status)


def test_the_workload_is_judged_by_its_own_check_and_drawn_by_its_own_picture(holdwater: Holdwater) -> None:
    code, results = holdwater.results("run", "timers", "--backend", "memory", "--seed", "7", "--out", "reference")
    assert (code, {name: check["status"] for name, check in results["trials"][0]["checks"].items()}) == (
        0,
        {"index": "valid", "punctual": "valid"},
    )
    assert (holdwater.latest("reference") / "timers.png").read_bytes().startswith(b"\x89PNG")


def test_the_workloads_mutant_is_condemned_with_the_class_of_the_package(condemned: tuple[int, dict[str, Any], Path]) -> None:
    code, results, directory = condemned
    assert (code, {anomaly["kind"] for anomaly in results["trials"][0]["checks"]["punctual"]["anomalies"]}) == (1, {CLASS})
    assert "A timer that is set and due is listed until somebody takes it away." in (directory / "anomalies" / "1.txt").read_text("utf-8")
    assert CLASS in (directory / "summary.md").read_text("utf-8")


def test_a_stored_run_is_judged_again_by_the_packages_check(holdwater: Holdwater, condemned: tuple[int, dict[str, Any], Path]) -> None:
    code, results = holdwater.results("judge", str(condemned[2]))
    assert (code, results["trials"]) == (1, condemned[1]["trials"])
    assert FINDING in " ".join(holdwater("judge", str(condemned[2])).stdout.split())


def test_a_field_that_the_packages_family_does_not_know_is_refused(
    holdwater: Holdwater, condemned: tuple[int, dict[str, Any], Path]
) -> None:
    misspelt = (condemned[2] / "history.jsonl").read_text("utf-8").replace("time_ms", "at_ms", 1)
    (holdwater.at / "misspelt.jsonl").write_text(misspelt, "utf-8")
    done = holdwater("check", "misspelt.jsonl")
    assert (done.returncode, "unknown field 'at_ms' of its argument" in done.stderr) == (64, True)


def test_an_option_out_of_its_bounds_is_refused(holdwater: Holdwater) -> None:
    done = holdwater("run", "timers", "--backend", "memory", "--option", "kept=0", "--dry-run")
    assert (done.returncode, done.stderr.count("\n"), "kept" in done.stderr) == (64, 1, True)


def test_a_stored_run_is_drawn_again_by_the_packages_picture(holdwater: Holdwater, condemned: tuple[int, dict[str, Any], Path]) -> None:
    picture = condemned[2] / "timers.png"
    picture.unlink()
    assert holdwater("report", str(condemned[2])).returncode == 0
    assert picture.exists()


def test_a_claim_about_the_packages_classes_holds_its_control_condemned_the_mutant(
    verified: tuple[int, dict[str, Any], Path],
) -> None:
    code, results, directory = verified
    assert (code, [claim["verdict"] for claim in results["claims"]]) == (0, ["holds"])
    assert (directory / "experiments" / "timers-memory" / "timers.png").exists()


def test_a_stored_table_is_judged_again_with_the_same_words(holdwater: Holdwater, verified: tuple[int, dict[str, Any], Path]) -> None:
    code, results = holdwater.results("judge", str(verified[2].relative_to(holdwater.at)))
    assert (code, results["claims"]) == (0, verified[1]["claims"])
