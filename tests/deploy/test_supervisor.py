"""Real child processes: what is started is known by name, and nothing of it outlives the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.deploy import supervisor
from harness.deploy.process import Processes, sweep
from harness.errors import Infrastructure
from harness.waiting import wait_for

DEADLINE_S = 20.0
SLEEP = ["sleep", "1000"]
WAIT = [sys.executable, "-S", "-c", "import signal; signal.pause()"]  # takes the run's directory as an argument, as servers do
# A process with a child in a session of its own, as Patroni has its postgres: neither its group nor its terminal finds it.
FAMILY = [
    sys.executable,
    "-S",
    "-c",
    "import subprocess; p = subprocess.Popen(['sleep', '1000'], start_new_session=True); print(p.pid, flush=True); p.wait()",
]
# The same with the parent gone: an orphan, found by the run's directory in its arguments alone where there is no subreaper.
ORPHAN = [
    sys.executable,
    "-S",
    "-c",
    "import subprocess; print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid, flush=True)",
]
# A harness that starts one server, says so, and waits to be killed.
HARNESS = """
import sys
from pathlib import Path
from harness.deploy.process import Processes
with Processes(Path(sys.argv[1])) as processes:
    print(processes.start("server", ["sleep", "1000"]), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as processes:
        yield processes


def lives(pid: int) -> bool:
    return any(row[0] == pid and not row[2].startswith("Z") for row in supervisor.processes())


def wait_until_gone(pid: int) -> None:
    wait_for(lambda: "it lives" if lives(pid) else None, DEADLINE_S, f"process {pid} ends")


def wait_for_state(processes: Processes, name: str, wanted: str) -> None:
    wait_for(lambda: None if processes.state(name) == wanted else processes.state(name), DEADLINE_S, f"{name} is {wanted}")


def first_pid(processes: Processes, name: str) -> int:
    """Read the pid that a process printed."""
    wait_for(lambda: None if processes.log(name).read_text().endswith("\n") else "no pid", DEADLINE_S, f"{name} prints a pid")
    return int(processes.log(name).read_text())


def supervisor_of(directory: Path) -> int:
    return int((directory / "nodes" / "lock").read_text())


def test_a_started_server_runs(processes: Processes) -> None:
    pid = processes.start("server", SLEEP)
    assert (processes.state("server"), processes.pid("server")) == ("running", pid)


def test_a_name_never_started_is_dead(processes: Processes) -> None:
    assert (processes.state("nobody"), processes.pid("nobody")) == ("dead", None)


def test_what_a_server_prints_is_in_its_log_across_restarts(processes: Processes) -> None:
    for word in ("one", "two"):
        processes.start("server", ["echo", word])
        wait_for_state(processes, "server", "dead")
    assert processes.last_lines("server") == "one | two"


def test_a_server_gets_its_environment(processes: Processes) -> None:
    processes.start("server", ["sh", "-c", "echo $GREETING"], {"GREETING": "hello"})
    wait_for_state(processes, "server", "dead")
    assert processes.last_lines("server") == "hello"


def test_a_second_start_under_a_living_name_is_refused(processes: Processes) -> None:
    processes.start("server", SLEEP)
    with pytest.raises(Infrastructure, match="server is running already"):
        processes.start("server", SLEEP)


def test_a_program_that_cannot_be_executed_is_named_and_nothing_else_ends(processes: Processes) -> None:
    processes.start("server", SLEEP)
    with pytest.raises(Infrastructure, match="no-such-program"):
        processes.start("other", ["no-such-program"])
    assert processes.state("server") == "running"


def test_a_log_that_cannot_be_written_is_named_and_nothing_else_ends(processes: Processes) -> None:
    processes.start("server", SLEEP)
    processes.log("other").mkdir()
    with pytest.raises(Infrastructure, match="other"):
        processes.start("other", SLEEP)
    assert processes.state("server") == "running"


def test_a_server_that_ends_by_itself_is_dead(processes: Processes) -> None:
    processes.start("server", ["true"])
    wait_for_state(processes, "server", "dead")


def test_stop_lets_a_server_end_itself(processes: Processes) -> None:
    processes.start("server", SLEEP)
    processes.stop("server")
    wait_for_state(processes, "server", "dead")


def test_pause_and_resume_are_seen_by_the_operating_system(processes: Processes) -> None:
    processes.start("server", SLEEP)
    for _ in range(2):
        processes.pause("server")
        wait_for_state(processes, "server", "paused")
    for _ in range(2):
        processes.resume("server")
        wait_for_state(processes, "server", "running")


def test_kill_ends_a_paused_server(processes: Processes) -> None:
    pid = processes.start("server", SLEEP)
    processes.pause("server")
    processes.kill("server")
    assert not lives(pid)


def test_kill_is_idempotent_and_the_name_can_start_again(processes: Processes) -> None:
    first = processes.start("server", SLEEP)
    processes.kill("server")
    processes.kill("server")
    assert processes.start("server", SLEEP) != first
    assert processes.state("server") == "running"


def test_kill_reaches_a_descendant_in_a_session_of_its_own(processes: Processes) -> None:
    processes.start("family", FAMILY)
    child = first_pid(processes, "family")
    processes.kill("family")
    wait_until_gone(child)


def test_pause_reaches_a_descendant_in_a_session_of_its_own(processes: Processes) -> None:
    processes.start("family", FAMILY)
    child = first_pid(processes, "family")
    processes.pause("family")
    wait_for(lambda: None if any(r[0] == child and r[2].startswith("T") for r in supervisor.processes()) else "runs", DEADLINE_S, "paused")


def test_leaving_ends_servers_paused_ones_and_orphans(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        pids = [processes.start("server", SLEEP), processes.start("paused", SLEEP)]
        processes.pause("paused")
        processes.start("orphan", ORPHAN)
        pids.append(first_pid(processes, "orphan"))
    assert not [pid for pid in pids if lives(pid)]


def test_leaving_by_an_exception_ends_servers(tmp_path: Path) -> None:
    pids = []

    def body() -> None:
        with Processes(tmp_path) as processes:
            pids.append(processes.start("server", SLEEP))
            raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        body()
    assert not lives(pids[0])


def test_kill_9_of_the_harness_ends_servers(tmp_path: Path) -> None:
    harness = subprocess.Popen([sys.executable, "-c", HARNESS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with harness:
        assert harness.stdout is not None
        server = int(harness.stdout.readline())
        harness.kill()
    wait_until_gone(server)
    wait_until_gone(supervisor_of(tmp_path))


def test_an_interrupt_of_the_supervisor_changes_nothing(processes: Processes, tmp_path: Path) -> None:
    os.kill(supervisor_of(tmp_path), signal.SIGINT)
    processes.start("server", SLEEP)
    assert processes.state("server") == "running"


def test_a_terminated_supervisor_ends_servers_and_the_harness_is_told(processes: Processes, tmp_path: Path) -> None:
    server = processes.start("server", SLEEP)
    os.kill(supervisor_of(tmp_path), signal.SIGTERM)
    wait_until_gone(server)
    wait_until_gone(supervisor_of(tmp_path))
    with pytest.raises(Infrastructure, match="the supervisor"):
        processes.state("server")


@contextmanager
def crashed_run(directory: Path) -> Iterator[int]:
    """Leave a server behind, as where harness and supervisor were killed both; give its pid."""
    home = directory / "nodes" / "server"
    home.mkdir(parents=True)
    (directory / "nodes" / "lock").write_text("1")
    server = subprocess.Popen([*WAIT, f"{home}"], start_new_session=True)
    try:
        yield server.pid
    finally:
        server.kill()
        server.wait(20)


def test_sweep_ends_what_a_crashed_run_left(tmp_path: Path) -> None:
    with crashed_run(tmp_path / "run") as left:
        assert lives(left)
        wait_for(lambda: None if sweep(tmp_path) == 1 else "nothing found", DEADLINE_S, "the sweep finds it")
        wait_until_gone(left)


def test_what_a_killed_supervisor_leaves_ends_with_the_run(tmp_path: Path) -> None:
    with Processes(tmp_path / "run") as processes:
        left = processes.start("server", [*WAIT, str(processes.home("server"))])
        os.kill(supervisor_of(tmp_path / "run"), signal.SIGKILL)
    wait_until_gone(left)


def test_sweep_leaves_a_run_that_goes_on_alone(tmp_path: Path) -> None:
    with Processes(tmp_path / "run") as processes:
        processes.start("server", [*WAIT, str(processes.home("server"))])
        assert sweep(tmp_path) == 0
        assert processes.state("server") == "running"


def test_last_lines_of_no_log_says_so(processes: Processes) -> None:
    assert processes.last_lines("nobody") == "no log"


def test_wait_for_gives_the_last_reason_at_its_deadline() -> None:
    with pytest.raises(Infrastructure, match=r"the moon: not yet full \(waited 0 s\)"):
        wait_for(lambda: "not yet full", 0, "the moon", 0)


def test_wait_for_at_a_past_deadline_still_asks_once() -> None:
    asked = []
    wait_for(lambda: asked.append(1), -1, "nothing")
    assert asked == [1]
