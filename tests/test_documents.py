"""The pages name what there is: classes, gates, options, fields of plug-ins, commands; and their links lead somewhere."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.commands.cli import cli
from harness.driving.generator import Context
from harness.driving.nemesis import Fault
from harness.driving.workload import Workload
from harness.judging import gates
from harness.judging.check import Check, Kind, every_check, workloads_of
from harness.judging.family import Family
from harness.judging.kind import every_kind
from harness.record.history import Effect
from harness.report import Report

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def section(text: str, title: str) -> str:
    """Give what stands below a heading, up to the next one."""
    return re.split(r"^#+ ", text.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> Iterator[list[str]]:
    """Give the cells of each row of the tables of a text, without their heads."""
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("|---"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


# What there is


def test_the_claims_page_has_the_classes_of_every_check_and_its_workloads() -> None:
    listed = page("docs/claims.md").split("Classes by check", 1)[1].split("###", 1)[0]
    told = {code(check)[0]: (set(code(classes)), set(code(need))) for check, classes, need in list(rows(listed))[1:]}
    assert told.keys() == every_check().keys()
    for name, check in every_check().items():
        classes, need = told[name]
        assert classes == {kind.name for kind in check.kinds}
        assert need - {*registry.names("faults")} == set(workloads_of(name))


def test_the_glossary_has_every_class_of_anomalies() -> None:
    told = [row[0] for row in rows(section(page("docs/glossary.md"), "Anomalies"))]
    assert told[0] == "Class"
    assert sorted(told[1:]) == sorted(every_kind())


@pytest.mark.parametrize("gate", gates.names())
def test_the_claims_page_has_every_gate(gate: str) -> None:
    assert f"`{gate}`" in page("docs/claims.md").split("## Gates", 1)[1]


def test_the_claims_page_has_the_options_of_every_workload_with_their_defaults() -> None:
    text = page("docs/claims.md").split("Options of workloads", 1)[1].split("## Controls", 1)[0]
    told = {code(name)[0]: tomllib.loads(f"options = {code(options)[0]}")["options"] for name, options in list(rows(text))[1:]}
    assert told == {name: dict(registry.load("workloads", name).options) for name in registry.names("workloads")}


@pytest.mark.parametrize("effect", list(Effect))
def test_the_guide_for_faults_has_every_effect(effect: Effect) -> None:
    assert effect.name in {code(row[0])[0] for row in rows(section(page("docs/adding-a-fault.md"), "What clients feel")) if code(row[0])}


@pytest.mark.parametrize(
    ("guide", "kind"),
    [
        ("check", Check),
        ("check", Family),
        ("check", Kind),
        ("fault", Fault),
        ("workload", Workload),
        ("workload", Context),
        ("picture", Report),
    ],
)
def test_a_guide_has_every_field_of_its_plug_in(guide: str, kind: Any) -> None:
    fields = {each.name for each in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set(kind.__struct_fields__)
    told = {name for row in rows(page(f"docs/adding-a-{guide}.md")) for name in code(row[0])}
    assert fields <= told


def test_the_readme_has_every_command() -> None:
    told = {name.split()[1] for row in rows(section(page("README.md"), "Commands")) for name in code(row[0])}
    assert told == set(cli.commands)


# Links


def anchors(path: Path) -> set[str]:
    """Give the anchors of a page's headings, as forges make them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(re.sub(r"`[^`\n]+`", "", path.read_text("utf-8"))):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        to = (path.parent / file).resolve() if file else path
        assert to.exists(), target
        assert not anchor or anchor in anchors(to), target
