"""Folders, entry points and names agree: what is written is registered, what is registered exists, and all of it says what it is for."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import backends
import faults
import harness
import reports
import workloads
from backends.client import FUNCTIONS
from harness.claims.file import shipped
from harness.driving.backend import mutants_of
from harness.driving.nemesis import Fault
from harness.driving.plan import FaultSpec
from harness.driving.workload import Workload
from harness.judging.check import Check, every_check, workloads_of
from harness.judging.checks import unjudged
from harness.judging.family import Family

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PACKAGES = (harness, backends, workloads, faults, reports)
KINDS = ("backends", "workloads", "faults", "checks", "models", "reports")
SAY = ("workloads", "faults", "checks", "models", "reports")
SCREENS = ("progress", "terminal", "nights")
POINTS = [(kind, name, value) for kind in (*KINDS, *SCREENS) for name, value in PROJECT["entry-points"][f"holdwater.{kind}"].items()]
EXPERIMENTS = list(shipped().experiments.values())


def modules(package: ModuleType) -> Iterator[str]:
    yield package.__name__
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield found.name


SOURCES = [name for package in PACKAGES for name in modules(package)]
TESTS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py"))


def source(name: str) -> Path:
    folder = ROOT / name.replace(".", "/")
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def load(value: str) -> Any:
    module, _, attribute = value.partition(":")
    loaded = importlib.import_module(module)
    return getattr(loaded, attribute) if attribute else loaded


def registered(kind: str) -> dict[str, Any]:
    return {name: load(value) for each, name, value in POINTS if each == kind}


def is_workload(candidate: object) -> bool:
    return isinstance(candidate, Workload)


def is_fault(candidate: object) -> bool:
    return isinstance(candidate, Fault)


def is_backend(candidate: object) -> bool:
    return not isinstance(candidate, type) and all(hasattr(candidate, name) for name in ("variants", "mutants", "open", "offers"))


# Folders and entry points


@pytest.mark.parametrize(("kind", "name", "value"), POINTS, ids=lambda each: str(each))
def test_every_entry_point_exists(kind: str, name: str, value: str) -> None:
    assert load(value) is not None
    assert value.split(".")[0] == ("reports" if kind in SCREENS else kind) or kind in ("checks", "models")


@pytest.mark.parametrize(
    ("package", "is_one"), [(workloads, is_workload), (faults, is_fault), (backends, is_backend)], ids=lambda each: each.__name__
)
def test_every_plugin_in_a_folder_is_registered_once_under_its_own_name(package: ModuleType, is_one: Any) -> None:
    defined: dict[str, Any] = {}
    for module in (importlib.import_module(name) for name in modules(package)):
        for attribute, value in vars(module).items():
            if is_one(value) and attribute.isupper():
                defined[value.name] = value
    points = registered(package.__name__)
    assert set(defined) == set(points)
    assert all(points[name] is value for name, value in defined.items())


@pytest.mark.parametrize("package", [workloads, faults], ids=lambda each: each.__name__)
def test_every_file_is_one_plugin_or_says_that_it_is_none(package: ModuleType) -> None:
    files = {value.partition(":")[0] for kind, _, value in POINTS if kind == package.__name__}
    for name in modules(package):
        if name not in files and name != package.__name__:
            assert "Not a" in (ast.get_docstring(ast.parse(source(name).read_text("utf-8"))) or "")


def test_what_is_installed_is_what_is_written() -> None:
    from harness import registry

    for kind in (*KINDS, *SCREENS):
        assert registry.names(kind) == sorted(name for each, name, _ in POINTS if each == kind), "install again: pip install -e ."


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name, _ in POINTS if kind in SAY])
def test_every_plugin_says_in_one_sentence_what_it_is(kind: str, name: str) -> None:
    sentence = registered(kind)[name].sentence
    assert sentence
    assert "\n" not in sentence


# Names that meet


@pytest.mark.parametrize("name", list(registered("workloads")))
def test_every_function_of_a_workload_is_in_the_clients_vocabulary(name: str) -> None:
    workload = registered("workloads")[name]
    assert workload.functions | workload.optional <= FUNCTIONS | workload.answers


@pytest.mark.parametrize("name", list(registered("backends")))
def test_every_backend_speaks_only_the_vocabulary_and_offers_every_workload_what_it_needs(name: str) -> None:
    offered = registered("backends")[name].functions
    assert offered <= FUNCTIONS
    assert all(workload.functions | workload.optional <= offered | workload.answers for workload in registered("workloads").values())


@pytest.mark.parametrize("name", list(registered("workloads")))
def test_every_check_that_a_workload_names_exists_and_together_they_take_all_that_it_drives(name: str) -> None:
    workload = registered("workloads")[name]
    assert set(workload.checks) <= set(registered("checks"))
    assert not unjudged(workload.functions | workload.optional, workload.checks)


def test_every_check_has_workloads_that_it_judges() -> None:
    assert all(workloads_of(name) for name in every_check())


@pytest.mark.parametrize("kind", ["checks", "models"])
def test_every_check_and_model_is_a_value_under_its_own_name(kind: str) -> None:
    for name, value in registered(kind).items():
        assert isinstance(value, Check if kind == "checks" else Family)
        assert value.name == name


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_every_name_in_the_shipped_claims_exists(experiment: Any) -> None:
    backend = registered("backends")[experiment.deployment]
    assert experiment.variant in backend.variants
    assert set(experiment.workloads) <= set(registered("workloads"))
    faults = [spec for turn in experiment.faults for spec in turn.split(",")]
    assert {FaultSpec.parse(fault).name for fault in faults} <= set(registered("faults"))
    assert {control.mutant for control in experiment.controls} - {None} <= set(mutants_of(backend))
    assert {control.check for control in experiment.controls} <= set(every_check())


@pytest.mark.parametrize("name", list(registered("backends")))
def test_every_variant_and_mutant_says_in_one_sentence_what_it_is(name: str) -> None:
    backend = registered("backends")[name]
    for sentence in (*backend.variants.values(), *mutants_of(backend).values()):
        assert sentence
        assert "\n" not in sentence


# What every file must have


@pytest.mark.parametrize("name", SOURCES)
def test_every_module_says_what_it_is_for(name: str) -> None:
    assert ast.get_docstring(ast.parse(source(name).read_text("utf-8")))


@pytest.mark.parametrize("path", TESTS)
def test_every_test_module_says_what_it_is_for(path: str) -> None:
    assert ast.get_docstring(ast.parse((ROOT / path).read_text("utf-8")))


def test_no_two_test_modules_have_one_name() -> None:
    """They are imported by their bare names, so that the second of two would not be run."""
    names = [Path(path).name for path in TESTS if not path.endswith("conftest.py")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", SOURCES)
def test_no_file_has_more_than_400_lines(name: str) -> None:
    assert len(source(name).read_text("utf-8").splitlines()) <= 400


@pytest.mark.parametrize("name", SOURCES)
def test_no_module_is_named_after_nothing(name: str) -> None:
    assert not set(name.split(".")) & {"util", "utils", "common", "helpers", "base", "manager", "misc"}


HYPHENATED = sorted(name for name in registered("faults") if "-" in name)


@pytest.mark.parametrize("name", HYPHENATED)
def test_a_fault_is_named_by_no_module_but_its_own(name: str) -> None:
    own = registered("faults")[name].on.__module__
    others = [each for each in SOURCES if re.search(rf"(?<![\w-]){name}(?![\w-])", source(each).read_text("utf-8"))]
    assert set(others) <= {own}


def test_no_module_outside_record_reads_the_events_of_a_nemesis() -> None:
    readers = [
        name
        for name in SOURCES
        if not name.startswith("harness.record")
        for each in ast.walk(ast.parse(source(name).read_text("utf-8")))
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr == "nemesis" and not each.args
    ]
    assert readers == []
