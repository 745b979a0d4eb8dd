"""Plug-ins by name: what there is, what it is called, and what is said where there is none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import registry
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
