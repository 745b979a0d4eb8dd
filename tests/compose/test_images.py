"""The images of the topologies: what anybody can pull where no variable names another."""

from __future__ import annotations

import re

import yaml

from harness.deploy import compose

PUBLIC = re.compile(r"(ghcr\.io/shopify/|quay\.io/coreos/|amazon/)?[a-z-]+:v?\d[\w.-]*")


def images() -> dict[str, dict[str, str]]:
    """Give the image of each service by file, as it is where no variable is set."""
    read = {path.name: yaml.safe_load(path.read_text("utf-8")) for path in sorted(compose.FILES.glob("*.yaml"))}
    return {
        file: {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", service["image"]) for name, service in content["services"].items()}
        for file, content in read.items()
    }


def test_every_image_is_public_and_pinned_but_patronis_which_compose_builds() -> None:
    ours = {image for services in images().values() for image in services.values() if not PUBLIC.fullmatch(image)}
    assert ours == {"holdwater/patroni:local"}
    patroni = yaml.safe_load((compose.FILES / "postgres-patroni.yaml").read_text("utf-8"))
    assert all("build" in service for name, service in patroni["services"].items() if name.startswith("pg-"))
