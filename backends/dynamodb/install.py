"""Where the emulators of the DynamoDB row come from: ministack, a wheel, and Dynoxide on PATH or built once for a user.

Not Amazon's DynamoDB Local: its terms forbid to pass it on, so that a tool cannot bring it to its users; who has it names
it in HOLDWATER_DYNAMODB (`emulators`). ministack needs Python alone and keeps all in memory. Dynoxide is of one file on
SQLite, so that it judges what survives kill -9, and needs Rust; cargo checks what it fetches against the sums in the
crate's own lock file.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from harness.deploy.install import Say, Server, alone, build_folder, cache_folder, find, output, pip_install, run
from harness.errors import Infrastructure

MINISTACK_WHEEL = "ministack==1.5.33"
ITS_BOTO3 = "boto3==1.43.106"  # it pins botocore exactly: installed alone it would leave us a boto3 that does not fit
ASK_MINISTACK = "import importlib.metadata; print('ministack', importlib.metadata.version('ministack'))"
VERSION = "3.2.0"
CRATE = "dynoxide-rs"
FEATURES = "native-sqlite,http-server,cli"
REMEDY = "install Rust 1.88 or later and a C compiler"


def _ministack() -> Path | None:
    importlib.invalidate_caches()  # the wheel may have come a moment ago
    beside = Path(sys.executable).parent / "ministack"
    return beside if find_spec("ministack") is not None and beside.exists() else None


def _bring_ministack(say: Say) -> None:
    pip_install(MINISTACK_WHEEL, say, ITS_BOTO3)


def _ask_ministack(program: Path) -> list[str]:
    """Ask the Python beside it: the program tells no version until it serves."""
    return [str(program.resolve().parent / "python"), "-c", ASK_MINISTACK]


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
    with build_folder(target, say) as folder:
        words = ["cargo", "install", CRATE, "--version", VERSION, "--locked", "--root", folder]
        environment = {**os.environ, "CARGO_TARGET_DIR": f"{folder}/target"}
        run([*words, "--no-default-features", "--features", FEATURES], "building dynoxide", say, environment)
        (Path(folder) / "bin" / "dynoxide").replace(target)


MINISTACK = Server(
    name="ministack",
    product="ministack",
    purpose="the DynamoDB row: an emulator in memory, which says nothing of AWS",
    licence="MIT",
    programs=("ministack",),
    ask=_ask_ministack,
    answer=r"^ministack (?P<version>\d\S*)",
    oldest=1,
    pinned=MINISTACK_WHEEL,
    source="the ministack wheel",
    brought=_ministack,
    bring=_bring_ministack,
)

DYNOXIDE = Server(
    name="dynoxide",
    product="Dynoxide",
    purpose="the DynamoDB row, variant durable: an emulator with a database file, which says nothing of AWS",
    licence="MIT or Apache-2.0",
    programs=("dynoxide",),
    ask="--version",
    answer=r"^dynoxide\S* (?P<version>\d\S*)",
    oldest=1,
    pinned=f"{CRATE}@{VERSION}",
    source="built from its crate",
    brought=_built,
    bring=_bring,
    built=True,
    optional=True,
    tools=REMEDY,
)
