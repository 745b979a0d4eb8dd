"""PgBouncer comes from Debian's package, without rights; where that is not to be had, the remedy is said. All with scripts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.postgres.install import PGBOUNCER
from harness.deploy import install
from harness.errors import Infrastructure

TOOLS = ("cat", "chmod", "dirname", "env", "mkdir", "sh")
DEPENDS = "cat <<'X'\npgbouncer\n  Depends: libc6\n  Depends: libevent\n  Depends: postgresql-common\nX"
INSTALLED = '[ "$4" = libc6 ] && echo install ok installed || exit 1'
DOWNLOAD = 'shift; echo "$@" >> "$0.calls"; for name in "$@"; do : > "$name.deb"; done'
EXTRACT = """to=$3/usr/sbin/pgbouncer
mkdir -p "$3/usr/sbin"
printf '#!/bin/sh\\necho PgBouncer 1.18.0\\n' > "$to"
chmod +x "$to\""""

Program = Callable[[str, str], Path]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Put scripts on a PATH that has little else, with an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or tool)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOLDWATER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HOLDWATER_PGBOUNCER", raising=False)

    def write(name: str, body: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return write


def debian(program: Program) -> Path:
    program("apt-cache", DEPENDS)
    program("dpkg-query", INSTALLED)
    program("dpkg-deb", EXTRACT)
    return program("apt-get", DOWNLOAD)


def test_the_package_is_unpacked_into_the_cache_with_the_libraries_that_the_system_lacks(program: Program, tmp_path: Path) -> None:
    apt = debian(program)
    install.install([PGBOUNCER], lambda line: None)
    found = install.require(PGBOUNCER)
    assert (found.product, found.version, found.source) == ("PgBouncer", "1.18.0", "Debian's package, unpacked")
    assert apt.with_name("apt-get.calls").read_text() == "pgbouncer libevent\n"
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["lock", "pgbouncer"]


def test_one_on_path_is_taken(program: Program) -> None:
    debian(program)
    program("pgbouncer", "echo PgBouncer 1.23.1")
    assert (install.require(PGBOUNCER).version, install.require(PGBOUNCER).source) == ("1.23.1", "PATH")


def test_where_there_are_no_packages_of_debian_the_remedy_is_said(program: Program) -> None:
    with pytest.raises(Infrastructure, match=r"no apt-get on PATH to bring it with; install PgBouncer with the system's package manager"):
        install.install([PGBOUNCER], lambda line: None)


def test_a_download_that_fails_leaves_nothing(program: Program, tmp_path: Path) -> None:
    debian(program)
    program("apt-get", "echo E: Unable to locate package >&2; exit 100")
    with pytest.raises(Infrastructure, match="E: Unable to locate package"):
        install.install([PGBOUNCER], lambda line: None)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]
