"""Where the emulator of the DynamoDB row comes from: Dynoxide on PATH, else built once for a user from its crate.

Not Amazon's DynamoDB Local: its terms forbid to pass it on and ask for an account, so that a tool cannot bring it to
its users. Dynoxide is open, of one file on SQLite, and tested against AWS by its authors. cargo checks what it fetches
against the sums in the crate's own lock file.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from harness.deploy.install import Say, Server, alone, cache_folder, find, output, run
from harness.system import Infrastructure

VERSION = "3.2.0"
CRATE = "dynoxide-rs"
FEATURES = "native-sqlite,http-server,cli"
REMEDY = "install Rust 1.88 or later and a C compiler"


def _built() -> Path:
    return cache_folder() / f"dynoxide-{VERSION}"


def _bring(say: Say) -> None:
    """Build it, one process at a time; whoever waited finds it there."""
    for tool in ("cargo", "cc"):
        if shutil.which(tool) is None or output([tool, "--version"]) is None:
            raise Infrastructure(f"no {tool} on PATH to build it with; {REMEDY}")
    target = _built()
    target.parent.mkdir(parents=True, exist_ok=True)
    with alone(target.parent / "lock", say):
        if find("dynoxide") is None:
            _build(target, say)


def _build(target: Path, say: Say) -> None:
    """Build in a folder of its own below the cache, and move the program into place whole; about 2 minutes on two cores."""
    say("dynoxide: building with cargo, about two minutes")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="build-") as folder:
        words = ["cargo", "install", CRATE, "--version", VERSION, "--locked", "--root", folder]
        environment = {**os.environ, "CARGO_TARGET_DIR": f"{folder}/target"}
        run([*words, "--no-default-features", "--features", FEATURES], "building dynoxide", say, environment)
        (Path(folder) / "bin" / "dynoxide").replace(target)


DYNOXIDE = Server(
    name="dynoxide",
    product="Dynoxide",
    purpose="the DynamoDB row: an emulator, which says nothing of AWS",
    licence="MIT or Apache-2.0",
    programs=("dynoxide",),
    ask="--version",
    answer=r"^dynoxide\S* (?P<version>\d\S*)",
    oldest=1,
    pinned=f"{CRATE}@{VERSION}",
    source="built from its crate",
    brought=_built,
    bring=_bring,
    optional=True,
)
