"""What there is and what this machine lacks: everything that a command takes is listed, and only what is needed makes doctor fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness import registry
from harness.claims import file as claims
from harness.claims.claim import choose
from harness.commands import inventory, request
from harness.deploy import install

OPTIONAL = [name for name in registry.names("servers") if registry.load("servers", name).optional]
NEEDED = [name for name in registry.names("servers") if name not in OPTIONAL]
FOUND = install.Found("x", Path("/bin/true"), "Product", "1", "PATH")


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> int:
    """Give doctor's exit code on a machine that has all servers but these."""
    monkeypatch.setattr(install, "find", lambda name: None if name in names else replace(FOUND, name=name))
    return int(inventory.machine(Path("/nowhere"))["exit"])


def test_a_machine_with_all_servers_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert without(monkeypatch) == 0


def test_a_machine_without_what_is_optional_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert without(monkeypatch, *OPTIONAL) == 0


@pytest.mark.parametrize("name", NEEDED)
def test_a_machine_without_a_server_that_is_needed_is_not(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert without(monkeypatch, name) == 3


def test_every_row_is_listed_with_words_that_verify_takes() -> None:
    shipped = claims.shipped()
    for row, words in inventory.rows("rows"):
        for word in words.split(", "):
            assert row in {name for claim in choose(shipped, [word]) for name in (claim.cell[0], shipped.backend(claim))}


BACKENDS = {claims.shipped().backend(claim) for claim in claims.shipped().claims}


@pytest.mark.parametrize("word", [word for row, words in inventory.rows("rows") if row in BACKENDS for word in words.split(", ")])
def test_every_word_of_a_row_of_backends_names_one_of_run_too(word: str) -> None:
    assert request.backend_of(word) in registry.names("backends")


@pytest.mark.parametrize("name", registry.names("backends"))
def test_every_backend_that_a_claim_needs_names_its_row(name: str) -> None:
    shipped = claims.shipped()
    assert choose(shipped, [name])


def test_every_table_is_listed_with_a_word_that_verify_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "shipped", lambda: claims.parse(TWO))
    assert inventory.rows("tables") == [("Key Operations", "key-operations", "Operation by Memory")]
    assert [claim.id for claim in choose(claims.shipped(), [], ["key-operations"])] == ["c"]


def test_a_claim_is_listed_with_its_sentence_and_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "shipped", lambda: claims.parse(TWO))
    assert inventory.rows("claims") == [("c", "Increments add up.", "increment on Memory")]


TWO = """\
format = 1

[[table]]
name = "Key Operations"
row = "Operation"
columns = ["Memory"]
backends = "columns"

[[row]]
table = "Key Operations"
name = "increment"

[[claim]]
id = "c"
cell = ["increment", "Memory"]
document = "silent"
sentence = "Increments add up."
conditions = "a second machine"
requires = "a second machine"
remedy = "buy one"
expect = ["unavailable"]
"""


def test_every_option_of_a_workload_is_listed_with_bounds_that_hold_its_default() -> None:
    listed = dict(inventory.rows("options"))
    for name in registry.names("workloads"):
        workload = registry.load("workloads", name)
        for option, default in workload.options.items():
            assert listed[f"{name}, {option}"].endswith(f"; default {default}")
            request.bounds(workload, option).check(option, default)
