"""What the DynamoDB row runs on: the variable of the user's, what an endpoint is not asked to do, what an emulator is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.dynamodb.emulators import DURABLE, IN_MEMORY, VARIABLE, emulator, endpoint, options_inside, refused, servers
from harness.deploy import install
from harness.driving.system import Need
from harness.errors import UsageError

NONE: frozenset[Need] = frozenset()
ADDRESS = "http://127.0.0.1:8000"


@pytest.mark.parametrize("given", [ADDRESS, "http://localhost:8000", "http://127.0.0.1:8000/"])
def test_an_endpoint_is_a_port_of_this_machine(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(VARIABLE, given)
    found = endpoint()
    assert found is not None
    assert found.port == 8000


@pytest.mark.parametrize("given", [None, ""])
def test_without_the_variable_there_is_no_endpoint(monkeypatch: pytest.MonkeyPatch, given: str | None) -> None:
    if given is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, given)
    assert endpoint() is None


ELSEWHERE = [
    "http://dynamodb.us-east-1.amazonaws.com",
    "https://dynamodb.eu-west-1.amazonaws.com:443",
    "http://10.0.0.1:8000",
    "http://[::1]:8000",
]
NO_ADDRESS = [
    "127.0.0.1:8000",
    "http://127.0.0.1",
    "https://127.0.0.1:8000",
    f"{ADDRESS}/table",
    f"{ADDRESS}?a",
    "http://u@127.0.0.1:80",
    "http://[::1",
    "http://127.0.0.1:99999",
    "/usr/bin/dynamodb",
]


@pytest.mark.parametrize("given", [*ELSEWHERE, *NO_ADDRESS])
def test_what_is_no_endpoint_of_this_machine_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(VARIABLE, given)
    with pytest.raises(UsageError) as said:
        refused(IN_MEMORY, NONE)
    assert str(said.value).startswith(f"{VARIABLE}={given}: expected http://127.0.0.1:PORT or the path of a DynamoDBLocal.jar")
    assert ("forward a port" in str(said.value)) == (given in ELSEWHERE)


def test_an_endpoint_is_not_killed_paused_or_restarted_and_its_links_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, ADDRESS)
    assert (refused(IN_MEMORY, frozenset({Need.LINKS, Need.REPLIES, Need.CLIENT_CLOCKS})), servers(IN_MEMORY)) == (None, ())
    assert "did not start: it does not kill, pause or restart it; unset HOLDWATER_DYNAMODB" in str(
        refused(IN_MEMORY, frozenset({Need.PROCESS}))
    )


def test_an_endpoint_promises_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, ADDRESS)
    assert "of whose files nothing is known" in str(refused(DURABLE, NONE))


def test_a_jar_that_is_not_there_is_the_users_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "java").write_text("#!/bin/sh\n")
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "DynamoDBLocal.jar"))
    with pytest.raises(UsageError, match="expected a file"):
        refused(IN_MEMORY, NONE)


def test_a_jar_without_java_is_told_what_runs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "DynamoDBLocal.jar"))
    with pytest.raises(UsageError, match="expected java on PATH"):
        refused(DURABLE, NONE)


def test_where_rust_is_missing_the_durable_variant_names_what_brings_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (VARIABLE, "HOLDWATER_DYNOXIDE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOLDWATER_CACHE", str(tmp_path))
    lacking = "no dynoxide 1 or later on this machine; install Rust 1.88 or later and a C compiler, then run: holdwater install dynoxide"
    assert install.missing(*servers(DURABLE)) == lacking
    assert install.missing(*servers(IN_MEMORY)) is None


def test_ministack_serves_this_machine_alone_and_touches_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    chosen = emulator(IN_MEMORY)
    assert chosen is not None
    assert chosen.product == "ministack"
    told = chosen.environment(8000, tmp_path)
    assert (told["SERVICES"], told["BIND_HOST"], told["GATEWAY_PORT"]) == ("dynamodb", "127.0.0.1", "8000")
    assert told["DOCKER_HOST"].startswith(f"unix://{tmp_path}/")
    assert not Path(told["DOCKER_HOST"].removeprefix("unix://")).exists()
    assert (told["IOT_MTLS_ENABLED"], told["SFTP_ENABLED"], told["TMPDIR"]) == ("0", "0", str(tmp_path))


def test_a_container_is_told_its_variant_as_its_image_understands_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DYNAMODB_DURABLE", "DYNAMODB_IN_MEMORY"):
        monkeypatch.delenv(name, raising=False)
    assert (options_inside(DURABLE), options_inside(IN_MEMORY)) == ("-dbPath /data", "-inMemory")
    monkeypatch.setenv("DYNAMODB_DURABLE", "--db-path /data/table.db")
    monkeypatch.setenv("DYNAMODB_IN_MEMORY", "")
    assert (options_inside(DURABLE), options_inside(IN_MEMORY)) == ("--db-path /data/table.db", "")
