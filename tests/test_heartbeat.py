"""What takes long says so; what a command did is kept, and it is ended whole."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness import heartbeat
from harness.heartbeat import Child, Heartbeat
from harness.waiting import wait_for

DEADLINE_S = 20.0


def test_silence_is_broken_again_and_again() -> None:
    beats = threading.Semaphore(0)
    with Heartbeat(lambda _: beats.release(), first_s=0.01, every_s=0.01):
        assert all(beats.acquire(timeout=DEADLINE_S) for _ in range(3))


def test_nothing_is_said_after_the_end() -> None:
    told: list[float] = []
    with Heartbeat(told.append, first_s=0, every_s=0.001):
        pass
    count = len(told)
    assert [thread for thread in threading.enumerate() if thread.name == "heartbeat"] == []
    assert len(told) == count


def test_what_else_is_said_counts() -> None:
    told: list[float] = []
    beating = Heartbeat(told.append, first_s=0, every_s=3600)
    beating.said()
    with beating:
        pass
    assert told == []


def test_a_command_is_told_with_its_last_line() -> None:
    said: list[str] = []
    script = "import sys; print('Compiling one', flush=True); sys.stdin.read()"
    child = Child([sys.executable, "-c", script], stdin=subprocess.PIPE)
    wait_for(lambda: None if child.last else "no line", DEADLINE_S, "the command says something")
    with Heartbeat(lambda seconds: said.append(heartbeat.told("building", seconds, child)), first_s=0, every_s=3600):
        wait_for(lambda: None if said else "nothing said", DEADLINE_S, "a beat")
    child.end()
    assert said == ["building, 0 s: Compiling one"]


def test_output_and_errors_of_a_command_are_kept_apart() -> None:
    child = heartbeat.run([sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(4)"], "it", print)
    assert (child.process.returncode, child.stdout, child.stderr) == (4, ["out\n"], ["err\n"])


def test_a_command_is_ended_with_what_it_has_started(tmp_path: Path) -> None:
    inner = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
    outer = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {inner!r}], cwd={str(tmp_path)!r}).wait()"
    child = Child([sys.executable, "-c", outer])
    pid = tmp_path / "pid"
    wait_for(lambda: None if pid.exists() and pid.read_text() else "no pid yet", DEADLINE_S, "the command's own command starts")
    child.end()
    status = Path(f"/proc/{pid.read_text()}/stat")
    wait_for(lambda: None if not status.exists() or ") Z " in status.read_text() else "it runs", DEADLINE_S, "it ends")


def test_a_command_that_hangs_is_ended_at_its_deadline() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        heartbeat.run([sys.executable, "-c", "import time; time.sleep(600)"], "it", print, timeout_s=0.2)


# As a program


def program(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "harness.heartbeat", *words], capture_output=True, text=True, check=False)


def test_as_a_program_it_passes_stdout_on_and_says_what_it_does_on_stderr() -> None:
    done = program("making a thing", "echo", "a=b")
    assert (done.returncode, done.stdout, done.stderr.splitlines()[0]) == (0, "a=b\n", "holdwater: making a thing")


def test_as_a_program_a_failure_is_shown_with_its_code() -> None:
    done = program("making a thing", "sh", "-c", "echo why >&2; exit 3")
    assert (done.returncode, done.stderr.splitlines()[-2:]) == (3, ["why", "holdwater: making a thing: exit 3"])


def test_as_a_program_what_cannot_be_run_is_one_line_and_exit_3() -> None:
    done = program("making a thing", "/nowhere/tool")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        3,
        "holdwater: making a thing: cannot run /nowhere/tool: No such file or directory",
    )


def test_it_needs_nothing_but_the_standard_library() -> None:
    script = "import sys, harness.heartbeat; print([name for name in sys.modules if name.split('.')[0] in ('click', 'msgspec', 'rich')])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
