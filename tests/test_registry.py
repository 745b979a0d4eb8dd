"""Plug-ins by name: what there is, what it is called, and what is said where there is none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import third_party

from harness import registry
from harness.commands.cli import guarded
from harness.errors import UsageError

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("backends", "faults", "workloads")


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_plug_in_can_be_loaded(kind: str) -> None:
    assert registry.names(kind)
    for name in registry.names(kind):
        registry.load(kind, name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plug_in_is_called_what_its_entry_point_is(kind: str) -> None:
    assert {name: registry.load(kind, name).name for name in registry.names(kind)} == {name: name for name in registry.names(kind)}


@pytest.mark.parametrize("kind", ["faults", "workloads"])
def test_every_file_that_makes_a_plug_in_is_an_entry_point(kind: str) -> None:
    named = {point.value.partition(":")[0] for point in registry._points(kind).values()}
    files = {path.parent if path.stem == "__init__" else path for path in (ROOT / kind).rglob("*.py")} - {ROOT / kind}
    text = {file: (file / "__init__.py" if file.is_dir() else file).read_text("utf-8") for file in files}
    there = {f"{kind}.{file.stem}" for file in files if re.search(rf"^{file.stem.upper()} = (Fault|Workload)\(", text[file], re.M)}
    assert there == named


@pytest.mark.parametrize("kind", registry.KINDS)
def test_an_unknown_plug_in_is_refused_with_what_there_is(kind: str) -> None:
    with pytest.raises(UsageError) as error:
        registry.load(kind, "zzz")
    assert str(error.value) == f"unknown {kind[:-1]} 'zzz', there are: {', '.join(registry.names(kind))}"


def test_the_nearest_name_comes_first() -> None:
    assert registry.nearest("lok", ["cas", "lock"]) == "did you mean 'lock'? There are: cas, lock"


def test_nothing_near_is_not_guessed() -> None:
    assert registry.nearest("zzz", ["cas", "lock"]) == "there are: cas, lock"


def test_nothing_there_is_said() -> None:
    assert registry.nearest("zzz", []) == "there are: none"


BROKEN = {
    "import nothing\nBROKEN = None\n": (
        "cannot be loaded: ModuleNotFoundError: No module named 'nothing'; repair the package, or uninstall it"
    ),
    "class BROKEN:\n    name = 'other'\n": "is named 'other', expected an object with the name of its entry point",
    "BROKEN = 3\n": "is named None, expected an object with the name of its entry point",
}


@pytest.mark.parametrize("source", BROKEN)
@pytest.mark.parametrize("kind", [kind for kind in registry.KINDS if kind not in ("checks", "models")])
def test_a_broken_plug_in_of_another_package_is_told_with_its_package(kind: str, source: str, tmp_path: Path) -> None:
    with third_party.installed(tmp_path / "site", source, {kind: "broken = BROKEN"}), pytest.raises(UsageError) as error:
        registry.load(kind, "broken")
    whose = f"{kind} 'broken' of package {third_party.PACKAGE} ({third_party.MODULE}:BROKEN)"
    assert str(error.value) == f"{whose} {BROKEN[source]}"


@pytest.mark.parametrize("kind", ["checks", "models"])
def test_a_broken_check_or_model_of_another_package_ends_a_command_in_one_line(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Judging asks every one of them: without one nobody knows what is not seen."""
    history = tmp_path / "history.jsonl"
    history.write_text('{"index":0,"time":0,"process":0,"type":"invoke","f":"acquire","key":"a","value":null}\n{"end":true}\n')
    with third_party.installed(tmp_path / "site", "raise ValueError('no')\n", {kind: "broken = BROKEN"}):
        code = guarded(["check", str(history)])
    said = f"{kind} 'broken' of package third-party (third_party_plugins:BROKEN) cannot be loaded: ValueError: no"
    assert code == 64
    assert capsys.readouterr().err == f"holdwater: {said}; repair the package, or uninstall it\n"
