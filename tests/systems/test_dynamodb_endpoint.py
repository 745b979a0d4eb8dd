"""A DynamoDB server that the user started, and a DynamoDBLocal.jar: judged by one variable, left as they were.

The server is ministack; DynamoDB Local itself was not run. A script in the place of `java` starts ministack with the port that it is given.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import Running, dynamodb

from backends.dynamodb.emulators import VARIABLE, emulator
from backends.dynamodb.system import DYNAMODB
from backends.dynamodb.table import Table, key
from backends.dynamodb.transport import Transport
from harness.commands.cli import guarded
from harness.driving.backend import Deployment

JAVA = """#!/bin/sh
while [ "$1" != -port ]; do shift; done
export {settings}
export GATEWAY_PORT=$2
exec {program}
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "server").mkdir()
    with dynamodb(tmp_path / "server", "in-memory") as running:
        monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:{running.port}")
        yield running


@pytest.fixture
def theirs(server: Running) -> Iterator[Table]:
    """A table of the user's own, which the server has beside ours."""
    table = Table(Transport(server.target, 20.0), "theirs")
    table.begin()
    table.create()
    table.write("put_item", Item=key("a", "b"))
    yield table
    table.close()


def run(tmp_path: Path, *words: str) -> int:
    return guarded(["run", "lock,dedup", "--backend", "dynamodb", "--seed", "5", "--out", str(tmp_path / "runs"), *words])


def results(tmp_path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((tmp_path / "runs" / "latest" / "results.json").read_text("utf-8"))
    return found


@pytest.mark.parametrize("fault", ["cut", "lost-reply", "client-clock"])
def test_an_endpoint_is_judged_with_faults_of_its_links_and_left_as_it_was(
    tmp_path: Path, server: Running, theirs: Table, fault: str
) -> None:
    assert run(tmp_path, "--fault", fault, "--option", "fault_s=1.5") == 0
    assert results(tmp_path)["versions"]["DynamoDB (an endpoint)"] == f"http://127.0.0.1:{server.port}"  # type: ignore[index]
    theirs.begin()
    assert theirs.read("a", "b") == key("a", "b")
    assert sorted(theirs._answered("list_tables")["TableNames"]) == ["holdwater", "theirs"]  # the first is the fixture's


@pytest.mark.parametrize("fault", ["kill", "pause", "restart"])
def test_a_fault_of_its_process_is_refused_with_the_reason_before_anything_starts(
    tmp_path: Path, server: Running, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    assert run(tmp_path, "--fault", fault) == 64
    assert "names a server that Holdwater did not start" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_an_endpoint_that_has_lost_our_table_is_not_steady_and_the_table_is_not_made_again(tmp_path: Path, server: Running) -> None:
    with DYNAMODB.open(Deployment("in-memory", tmp_path / "run")) as system:
        assert system.steady() is None
        ours = next(name for name in listed(server) if name.startswith("holdwater-"))
        table = Table(Transport(server.target, 20.0), ours)
        table.begin()
        table.drop()
        table.close()
        assert "ResourceNotFoundException" in (system.steady() or "")
        assert {role.role for role in system.roles().values()} == {"silent"}
    assert listed(server) == ["holdwater"]


def listed(server: Running) -> list[str]:
    table = Table(Transport(server.target, 20.0))
    table.begin()
    names: list[str] = table._answered("list_tables")["TableNames"]
    table.close()
    return names


def test_a_jar_is_started_killed_and_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    ministack = emulator("in-memory")
    assert ministack is not None
    (tmp_path / "home").mkdir()
    settings = " ".join(f"{name}='{value}'" for name, value in ministack.environment(0, tmp_path / "home").items())
    for name, text in (("java", JAVA.format(settings=settings, program=ministack.program)), ("DynamoDBLocal.jar", "")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "DynamoDBLocal.jar"))
    assert run(tmp_path, "--fault", "restart", "--option", "fault_s=0.3", "--option", "after_s=2") == 1  # in memory: all is gone
    assert results(tmp_path)["versions"]["DynamoDB Local (an emulator)"] == "DynamoDBLocal.jar"  # type: ignore[index]
