"""The manifests for Kubernetes: topologies by its own schemas, faults of Chaos Mesh by their form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[1] / "compose" / "kubernetes"
TOPOLOGIES = [
    (path.name, number, each)
    for path in sorted(ROOT.glob("*.yaml"))
    for number, each in enumerate(yaml.safe_load_all(path.read_text("utf-8")))
]
FAULTS = [
    (path.name, number, each)
    for path in sorted(ROOT.glob("chaos/*.yaml"))
    for number, each in enumerate(yaml.safe_load_all(path.read_text("utf-8")))
]
ACTIONS: Mapping[str, set[str]] = {"NetworkChaos": {"partition", "delay", "loss"}, "PodChaos": {"container-kill", "pod-failure"}}


@pytest.mark.parametrize(("file", "number", "manifest"), TOPOLOGIES)
def test_a_manifest_is_valid_by_the_schemas_of_kubernetes(file: str, number: int, manifest: Mapping[str, Any]) -> None:
    kubernetes_validate.validate(manifest, "1.31", strict=True)


def test_every_topology_of_compose_has_its_manifest() -> None:
    composed = {path.name for path in (ROOT.parents[1] / "compose").glob("*.yaml")} - {"toxiproxy.yaml"}
    assert {path.name for path in ROOT.glob("*.yaml")} == composed


def chaos(manifest: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if manifest["kind"] != "Workflow":
        yield manifest["kind"], manifest["spec"]
        return
    templates = {template["name"]: template for template in manifest["spec"]["templates"]}
    assert manifest["spec"]["entry"] in templates
    for template in templates.values():
        assert set(template.get("children", ())) <= set(templates)
        for kind in ACTIONS:
            if template["templateType"] == kind:
                yield kind, template[kind[0].lower() + kind[1:]]


@pytest.mark.parametrize(("file", "number", "manifest"), FAULTS)
def test_a_fault_has_the_form_of_chaos_mesh(file: str, number: int, manifest: Mapping[str, Any]) -> None:
    assert manifest["apiVersion"] == "chaos-mesh.org/v1alpha1"
    found = list(chaos(manifest))
    assert found
    for kind, spec in found:
        assert spec["action"] in ACTIONS[kind]
        assert spec["mode"] in ("one", "all")
        assert set(spec["selector"]) <= {"labelSelectors", "expressionSelectors"}
        if kind == "NetworkChaos":
            assert spec["direction"] in ("to", "from", "both")
            assert spec["target"]["selector"]


def test_every_fault_of_the_registry_is_in_the_mapping() -> None:
    from harness import registry

    text = (ROOT.parents[1] / "docs" / "scaling.md").read_text("utf-8")
    assert [name for name in registry.names("faults") if name.removesuffix("-beyond") not in text] == []
