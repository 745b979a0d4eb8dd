"""Run directories: no two runs share one, `latest` is the newest, files are whole or not there."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from verified import claim, verified, written

from harness.claims import reading
from harness.errors import NotWritable, UsageError
from harness.record import store


@pytest.fixture
def _one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda form: "20261125-020911")


@pytest.mark.usefixtures("_one_second")
def test_two_runs_of_the_same_second_have_different_directories(tmp_path: Path) -> None:
    names = [store.create(tmp_path, "lock").name for _ in range(3)]
    assert names == ["20261125-020911-lock", "20261125-020911-lock-2", "20261125-020911-lock-3"]


def test_latest_is_the_newest_run(tmp_path: Path) -> None:
    for label in ("first", "second"):
        newest = store.create(tmp_path, label)
        assert (tmp_path / "latest").resolve() == newest.resolve()


def test_latest_is_replaced_and_never_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.create(tmp_path, "first")
    seen = []
    replace = Path.replace

    def watching(self: Path, target: Path) -> Path:
        seen.append((tmp_path / "latest").is_symlink())
        done = replace(self, target)
        seen.append((tmp_path / "latest").is_symlink())
        return done

    monkeypatch.setattr(Path, "replace", watching)
    store.create(tmp_path, "second")
    assert seen == [True, True]


def test_nothing_but_runs_and_latest_is_left_behind(tmp_path: Path) -> None:
    directory = store.create(tmp_path, "one")
    assert {path.name for path in tmp_path.iterdir()} == {directory.name, "latest"}


def test_latest_is_relative_so_that_the_folder_can_be_moved(tmp_path: Path) -> None:
    directory = store.create(tmp_path, "one")
    assert os.readlink(tmp_path / "latest") == directory.name


def test_a_folder_of_the_users_called_latest_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "mine").write_text("x")
    with pytest.raises(NotWritable, match="latest is not a link of ours"):
        store.create(tmp_path, "one")
    assert [path.name for path in tmp_path.rglob("*")] == ["latest", "mine"]


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("x")
    with pytest.raises(NotWritable, match=r"cannot write runs to .*runs: File exists; choose another folder with --out"):
        store.create(tmp_path / "runs", "one")


def test_a_value_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    store.write(tmp_path / "results.json", {"path": tmp_path, "numbers": [1, 2.5, None]})
    assert store.read(tmp_path / "results.json") == {"path": str(tmp_path), "numbers": [1, 2.5, None]}


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    store.write(tmp_path / "results.json", 1)
    with pytest.raises(RecursionError):
        store.write(tmp_path / "results.json", _nested(100_000))
    assert json.loads((tmp_path / "results.json").read_text()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def _nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", bytes(range(256))])
def test_a_file_that_is_no_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"results\.json: "):
        store.read(tmp_path / "results.json")


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"results\.json: No such file or directory, expected a file of a run directory"):
        store.read(tmp_path / "results.json")


def test_the_results_of_the_experiments_are_asked_too(tmp_path: Path) -> None:
    written(tmp_path, verified(claim("c", "holds")))
    (tmp_path / "experiments" / "quiet").mkdir(parents=True)
    (tmp_path / "experiments" / "quiet" / "results.json").write_text("{}")
    with pytest.raises(UsageError, match=r"experiments/quiet/results\.json: .*missing required field"):
        reading.check_results(tmp_path)


def test_data_directories_go_and_logs_stay(tmp_path: Path) -> None:
    for name in ("nodes/redis-1", "logs"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("x")
    store.tidy(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "logs"]
