"""Servers that are brought beside the judging: in order, told why one does not come, and ended whole."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from harness.deploy import toxiproxy
from harness.deploy.bringing import NICE, Bringing
from harness.waiting import wait_for

DEADLINE_S = 30.0
BUILT = f"toxiproxy-server version {toxiproxy.TOXIPROXY_VERSION}"
GO = f"""#!/bin/sh
PATH=/usr/bin:/bin
case $1 in
version) echo go version go1.23.4 linux/amd64 ;;
install) nice > "$0.nice"; printf '#!/bin/sh\\necho {BUILT}\\n' > "$GOBIN/server"; chmod +x "$GOBIN/server" ;;
esac"""
SLOW_GO = GO.replace("install)", 'install) echo $$ > "$0.pid"; echo compiling; sleep 600;').replace('nice > "$0.nice";', "")
FAILING_GO = "#!/bin/sh\n[ $1 = version ] && echo go version go1.26.8 linux/amd64 || { echo no such host >&2; exit 1; }"


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Go on a PATH that has nothing else, with an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOLDWATER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HOLDWATER_TOXIPROXY", raising=False)
    return folder / "go"


def write(go: Path, body: str) -> None:
    go.write_text(body.replace("install) ", 'install) mkdir -p "$GOBIN"; '))
    go.chmod(0o755)


def test_a_server_is_there_after_the_wait(go: Path, tmp_path: Path) -> None:
    write(go, GO)
    with Bringing(["toxiproxy"]) as bringing:
        bringing.wait(["toxiproxy"], lambda _: None)
        assert (bringing.pending(["toxiproxy"]), bringing.failures) == ([], {})
    assert (tmp_path / "cache" / f"toxiproxy-server-{toxiproxy.TOXIPROXY_VERSION}").exists()


def test_it_gives_way_to_what_is_judged_meanwhile(go: Path) -> None:
    write(go, GO)
    with Bringing(["toxiproxy"]) as bringing:
        bringing.wait(["toxiproxy"], lambda _: None)
    assert int(Path(f"{go}.nice").read_text()) == min(19, os.nice(0) + NICE)


def test_the_reason_of_a_server_that_does_not_come_is_kept(go: Path) -> None:
    write(go, FAILING_GO)
    with Bringing(["toxiproxy"]) as bringing:
        bringing.wait(["toxiproxy"], lambda _: None)
    reason, remedy = bringing.failures["toxiproxy"].split("; ", 1)
    assert reason.startswith("toxiproxy: `")
    assert reason.endswith("no such host")
    assert remedy.startswith("try again, or put toxiproxy-server (2 or later) on PATH")


def test_a_server_that_does_not_come_keeps_none_behind_it_waiting(go: Path) -> None:
    write(go, FAILING_GO)
    with Bringing(["toxiproxy", "nonesuch"]) as bringing:
        bringing.wait(["toxiproxy", "nonesuch"], lambda _: None)
    assert list(bringing.failures) == ["toxiproxy", "nonesuch"]


def test_what_is_waited_for_is_said(go: Path) -> None:
    write(go, GO)
    said: list[str] = []
    with Bringing(["toxiproxy"]) as bringing:
        bringing.wait(["toxiproxy"], said.append)
    assert said[0].startswith("waiting for toxiproxy")


def test_a_server_that_nobody_brings_is_not_waited_for() -> None:
    with Bringing([]) as bringing:
        bringing.wait(["toxiproxy"], lambda _: None)
        assert bringing.pending(["toxiproxy"]) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, None])
def test_leaving_ends_a_build_and_removes_what_it_has_made(go: Path, tmp_path: Path, error: type[BaseException] | None) -> None:
    write(go, SLOW_GO)
    pid = Path(f"{go}.pid")
    try:
        with Bringing(["toxiproxy"]):
            wait_for(lambda: None if pid.exists() and pid.read_text() else "no build", DEADLINE_S, "the build begins")
            if error is not None:
                raise error
    except KeyboardInterrupt:
        pass
    status = Path(f"/proc/{pid.read_text().strip()}/stat")
    wait_for(lambda: None if not status.exists() or ") Z " in status.read_text() else "it runs", DEADLINE_S, "the build ends")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]


def test_being_interrupted_twice_still_removes_what_was_made(go: Path, tmp_path: Path) -> None:
    write(go, SLOW_GO)
    pid = Path(f"{go}.pid")
    with Bringing(["toxiproxy"]) as bringing:
        wait_for(lambda: None if pid.exists() and pid.read_text() else "no build", DEADLINE_S, "the build begins")
        child = bringing._child
        assert child is not None
        child.send(signal.SIGINT)
        child.send(signal.SIGINT)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]
