"""Jobs side by side: each in a process of its own, told of as if it were here, and none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.deploy.jobs import Job, SideBySide
from harness.driving.run import Progress, Unheard
from harness.errors import Infrastructure, Misfit, UsageError
from harness.waiting import wait_for


class Told:
    """Who is told: what, in order, and how many jobs were under way at once."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.now = self.most = 0
        self._lock = threading.Lock()

    @contextmanager
    def begin(self, job: Job[Any]) -> Any:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        yield self
        with self._lock:
            self.now -= 1

    def step(self, text: str) -> None:
        self.said.append(text)

    def trial_done(self) -> None:
        self.said.append("trial done")


def carried_out(at_once: int, *work: Callable[[Progress], Any], told: Told | None = None) -> dict[str, Any]:
    told = told or Told()
    with SideBySide(at_once, told.begin) as lanes:
        return {job.name: gave for job, gave in lanes.carry_out(Job(str(n), each) for n, each in enumerate(work))}


# What jobs do: functions of a module, since they are pickled


def pid(progress: Progress) -> int:
    return os.getpid()


def meet(mine: Path, other: Path, progress: Progress) -> bool:
    """Come to a meeting: both must be there at once."""
    mine.touch()
    wait_for(lambda: None if other.exists() else "not there", 60, "the other one comes")
    return True


def speak(progress: Progress) -> None:
    print("to stdout")
    progress.step("one")
    progress.trial_done()
    progress.step("two")


def refuse(error: BaseException, progress: Progress) -> None:
    raise error


def vanish(progress: Progress) -> None:
    os._exit(5)


def plugin_fails(progress: Progress) -> None:
    exec(compile("raise RuntimeError('theirs')", "theirs.py", "exec"), {"__name__": "blackout.inner"})


def stay(begun: Path, left: Path, progress: Progress) -> None:
    """Stay until interrupted, and leave in order."""
    begun.touch()
    try:
        wait_for(lambda: "not interrupted", 60, "an interrupt")
    except KeyboardInterrupt:
        left.touch()
        raise


# Facts


def test_one_at_once_is_done_in_this_process() -> None:
    assert carried_out(1, pid, pid) == {"0": os.getpid(), "1": os.getpid()}


def test_each_of_several_has_a_process_of_its_own() -> None:
    found = carried_out(2, pid, pid, pid)
    assert len({os.getpid(), *found.values()}) == 4


def test_two_jobs_are_under_way_together(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert carried_out(2, partial(meet, one, two), partial(meet, two, one)) == {"0": True, "1": True}


def test_no_more_jobs_are_under_way_than_were_asked_for() -> None:
    told = Told()
    carried_out(2, *[pid] * 5, told=told)
    assert told.most <= 2


def test_what_a_job_says_of_itself_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    told = Told()
    carried_out(2, speak, told=told)
    assert told.said == ["one", "trial done", "two"]
    assert capfd.readouterr().out == ""  # stdout is the command's


def test_a_job_that_takes_no_time_is_done_here() -> None:
    with SideBySide(2, Told().begin) as lanes:
        assert [gave for _, gave in lanes.carry_out([Job("here", pid, apart=False)])] == [os.getpid()]


@pytest.mark.parametrize("error", [UsageError("a mistake"), Infrastructure("a full disk"), OSError(28, "No space left on device", "/x")])
def test_what_a_job_raises_is_raised_here_as_it_was(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        carried_out(2, partial(refuse, error))
    assert (caught.value.args, str(caught.value)) == (error.args, str(error))


def test_a_bug_in_a_job_keeps_its_trace_and_its_author(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="theirs") as caught:
        carried_out(2, plugin_fails)
    assert "in plugin_fails" in str(caught.value.__cause__)
    assert "blackout.inner" in list(registry.modules_of(caught.value))


def test_an_error_that_cannot_be_sent_keeps_its_words_and_its_author() -> None:
    with pytest.raises(RuntimeError, match="Misfit: of no use") as caught:
        carried_out(2, misfit)
    assert "threading" in list(registry.modules_of(caught.value))


def misfit(progress: Progress) -> None:
    raise Misfit(threading.Thread, "of no use")


def test_a_process_that_ends_without_a_word_is_a_failure_of_the_machine() -> None:
    with pytest.raises(Infrastructure, match="0: its process ended without a word, exit 5"):
        carried_out(2, vanish)


def test_whoever_leaves_interrupts_what_is_under_way(tmp_path: Path) -> None:
    begun, left = tmp_path / "begun", tmp_path / "left"
    jobs = [Job("short", pid), Job("long", partial(stay, begun, left)), Job("never", pid)]
    with SideBySide(2, Told().begin) as lanes:
        next(iter(lanes.carry_out(jobs)))
        wait_for(lambda: None if begun.exists() else "not begun", 60, "the job begins")
    assert left.exists()


KILLED = """
import sys
from functools import partial
from pathlib import Path
from harness.deploy.jobs import Job, SideBySide
from test_jobs import Told, stay
begun, left = map(Path, sys.argv[1:])
with SideBySide(2, Told().begin) as lanes:
    list(lanes.carry_out([Job("long", partial(stay, begun, left))]))
"""


def test_a_job_of_somebody_who_was_killed_leaves_in_order(tmp_path: Path) -> None:
    begun, left = tmp_path / "begun", tmp_path / "left"
    path = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(begun), str(left)], env={**os.environ, "PYTHONPATH": path})
    wait_for(lambda: None if begun.exists() else "not begun", 60, "the job begins")
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: None if left.exists() else "still there", 60, "the job leaves")


def test_jobs_are_asked_for_only_when_there_is_room() -> None:
    asked: list[float] = []

    def jobs() -> Any:
        for n in range(4):
            asked.append(time.monotonic())
            yield Job(str(n), pid)

    with SideBySide(1, Told().begin) as lanes:
        next(iter(lanes.carry_out(jobs())))
    assert len(asked) == 1


def test_nobody_needs_to_listen() -> None:
    assert speak(Unheard()) is None
