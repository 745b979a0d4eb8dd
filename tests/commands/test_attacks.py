"""Input that attacks: what comes from another machine is read and copied as plain files inside its folder, and nothing else."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from verified import claim, run, trial, verified, written

from harness.claims import merging as merge
from harness.claims import nights
from harness.claims.results import Verify
from harness.commands.cli import guarded
from harness.deploy.compose import Composed
from harness.deploy.process import Processes
from harness.errors import UsageError
from harness.record import store
from reports.nightly import index

ROOT = Path(__file__).resolve().parents[2]
SECRET = "not for anybody's eyes"
EVIL = '<script>alert(1)</script>"\x1b]0;title\x07'


@pytest.fixture(autouse=True)
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a file that nobody may see or change, beside the working directory."""
    path = tmp_path / "outside" / "secret.txt"
    path.parent.mkdir()
    path.write_text(SECRET)
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    return path


@pytest.fixture
def shard() -> Path:
    """Give a verify directory with a text as its evidence."""
    results = verified(claim("a", "violated", 1, 4, evidence=["runs/1/experiments/quiet/anomalies/1.txt"]))
    folder = written(Path("shard"), results) / "experiments" / "quiet" / "anomalies"
    folder.mkdir(parents=True)
    (folder / "1.txt").write_text("both held k")
    return Path("shard")


def evidence(path: str) -> Path:
    return written(Path("shard"), verified(claim("a", "violated", 1, 4, evidence=[path])))


def published() -> str:
    """Give all that a CI would publish of a store."""
    return "".join(path.read_text() for path in Path("nights").rglob("*") if path.is_file())


# Nights


def test_evidence_is_copied_into_the_night(shard: Path) -> None:
    night = nights.append(Path("nights"), shard)
    assert (night / "evidence" / "0-0.txt").read_text() == "both held k"


@pytest.mark.parametrize("name", ["summary.md", "junit.xml"])
def test_a_link_in_a_shard_is_refused_and_nothing_is_appended(
    secret: Path, shard: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (shard / name).symlink_to(secret)
    assert guarded(["nightly", "--store", "nights", "--from", "shard"]) == 64
    assert f"shard/{name} is a link, expected a plain file in shard" in capsys.readouterr().err
    assert published() == ""


def test_a_report_of_a_shard_is_not_published(secret: Path, shard: Path) -> None:
    (shard / "report.html").symlink_to(secret)
    nights.append(Path("nights"), shard)
    assert SECRET not in published()


def test_results_that_are_a_link_are_refused(secret: Path) -> None:
    written(Path("elsewhere"), verified(claim("a", "holds", 0, 4)))
    Path("shard").mkdir()
    Path("shard/results.json").symlink_to(Path("elsewhere/results.json").absolute())
    with pytest.raises(UsageError, match=r"shard/results.json is a link"):
        nights.append(Path("nights"), Path("shard"))


@pytest.mark.parametrize("place", ["experiments", "experiments/quiet", "experiments/quiet/anomalies", "experiments/quiet/anomalies/1.txt"])
def test_evidence_behind_a_link_is_refused(secret: Path, shard: Path, place: str) -> None:
    target = secret.parent / "moved"
    (shard / place).rename(target)
    (shard / place).symlink_to(target)
    with pytest.raises(UsageError, match=f"{place} is a link"):
        nights.append(Path("nights"), shard)


@pytest.mark.parametrize("path", ["runs/1/../../outside/secret.txt", "../outside/secret.txt", "{absolute}", "runs/1/anomalies/1.txt\0"])
def test_evidence_outside_of_its_folder_is_not_copied(secret: Path, path: str) -> None:
    evidence(path.format(absolute=secret))
    nights.append(Path("nights"), Path("shard"))
    assert SECRET not in published()


def test_what_is_no_file_is_not_copied(shard: Path) -> None:
    text = shard / "experiments/quiet/anomalies/1.txt"
    text.unlink()
    os.mkfifo(text)
    night = nights.append(Path("nights"), shard)
    assert not (night / "evidence").exists()


def test_a_page_is_written_in_place_of_a_link_and_not_through_it(secret: Path, shard: Path) -> None:
    nights.append(Path("nights"), shard)
    Path("nights/index.html").symlink_to(secret)
    index(Path("nights"))
    assert secret.read_text() == SECRET
    assert not Path("nights/index.html").is_symlink()


def test_a_night_that_is_a_link_is_none_and_is_not_removed(secret: Path, shard: Path) -> None:
    Path("nights/nights").mkdir(parents=True)
    Path("nights/nights/20200101-000000").symlink_to(secret.parent)
    nights.append(Path("nights"), shard)
    assert nights.retain(Path("nights"), keep=1) == []
    assert secret.exists()


def test_a_folder_of_nights_that_is_a_link_is_refused(secret: Path) -> None:
    Path("nights").mkdir()
    Path("nights/nights").symlink_to(secret.parent)
    with pytest.raises(UsageError, match="nights/nights is a link"):
        nights.prepare(Path("nights"))


@pytest.mark.parametrize("finished", ["0001-01-01T00:00:00Z", None])
def test_a_night_of_an_impossible_time_is_named_by_its_file(finished: str | None) -> None:
    night = nights.append(Path("nights"), written(Path("shard"), verified(claim("a", "holds", 0, 4), finished=finished)))
    assert nights.nights(Path("nights"))[0][0].directory == night


# Merge


def merged(*shards: Path) -> Verify:
    found = [merge.read(shard) for shard in shards]
    Path("merged").mkdir()
    results = merge.merge(found, directory=Path("merged"), command="")
    return merge.gather(results, merge.texts(found, results), Path("merged"))


def test_what_was_joined_has_its_evidence_with_it(shard: Path) -> None:
    results = merged(shard)
    assert results.claims[0].evidence == ("merged/evidence/0-0.txt",)
    night = nights.append(Path("nights"), written(Path("merged"), store.plain(results)))
    assert (night / "evidence" / "0-0.txt").read_text() == "both held k"


@pytest.mark.parametrize("path", ["runs/1/../../outside/secret.txt", "{absolute}", "/etc/passwd"])
def test_evidence_outside_of_its_shard_is_not_joined(secret: Path, path: str) -> None:
    merged(evidence(path.format(absolute=secret)))
    assert not Path("merged/evidence").exists()


def test_a_link_among_the_evidence_of_a_shard_is_refused(secret: Path, shard: Path) -> None:
    text = shard / "experiments/quiet/anomalies/1.txt"
    text.unlink()
    text.symlink_to(secret)
    with pytest.raises(UsageError, match="is a link"):
        merged(shard)
    assert guarded(["merge", "shard", "--out", "joined"]) == 64
    assert not Path("joined").exists()


def test_shards_of_two_claims_files_are_refused_with_both_files() -> None:
    one = written(Path("one"), verified(claim("a", "holds", 0, 4), seed=1, claims_file="a.toml", claims_sha256="1" * 64))
    two = written(Path("two"), verified(claim("b", "holds", 0, 4), seed=2, claims_file="b.toml", claims_sha256="2" * 64))
    expected = (
        r"two/results.json: judged b.toml \(SHA-256 2222.*\), expected a.toml \(SHA-256 1111.*\) as in one/results.json: one document"
    )
    with pytest.raises(UsageError, match=expected):
        merged(one, two)


def test_a_shard_that_names_its_claims_file_is_not_joined_with_one_that_does_not() -> None:
    one = written(Path("one"), verified(claim("a", "holds", 0, 4), seed=1, claims_file="a.toml", claims_sha256="1" * 64))
    with pytest.raises(UsageError, match=r"judged a claims file that it does not name, expected a\.toml"):
        merged(one, written(Path("two"), verified(claim("b", "holds", 0, 4), seed=2)))


# Report


@pytest.mark.parametrize("name", ["timeline.png", "summary.md", "junit.xml", "anomalies", "experiments", "results.json", "history.jsonl"])
def test_nothing_is_drawn_into_a_directory_with_a_link(secret: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    directory = written(Path("old"), run(trial(1, "valid")))
    (directory / name).unlink(missing_ok=True)
    (directory / name).symlink_to(secret if "." in name else secret.parent)
    assert guarded(["report", "old"]) == 64
    assert f"old/{name} is a link, expected plain files and folders" in capsys.readouterr().err
    assert [path.read_text() for path in secret.parent.iterdir()] == [SECRET]


def test_a_name_of_a_folder_reaches_no_terminal_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    written(Path("old"), verified())
    written(Path("old/experiments/\x1b[2J"), run(trial(1, "valid")))
    assert guarded(["report", "old"]) == 0
    assert "\x1b" not in capsys.readouterr().out


# What is shown


def test_no_text_of_results_is_part_of_the_page(shard: Path) -> None:
    texts = ("sentence", "conditions", "unit", "quote", "said", "remedy", "repeat")
    wrong = claim("a", "violated", 1, 4, evidence=[], **dict.fromkeys(texts, EVIL), cell=[EVIL, EVIL], missing=[EVIL], experiments=[EVIL])
    written(shard, verified(wrong, headline=EVIL, command=EVIL, versions={EVIL: EVIL}, failures={EVIL: EVIL}, profile=EVIL, on=EVIL))
    nights.append(Path("nights"), shard)
    index(Path("nights"))
    page = Path("nights/index.html").read_text()
    assert "<script>alert" not in page
    assert "\x1b" not in page


def test_no_text_of_results_is_a_command_for_the_terminal(shard: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = claim("a", "violated", 1, 4, sentence=EVIL, quote=EVIL, said=EVIL, cell=[EVIL, EVIL], repeat=EVIL, evidence=[EVIL])
    written(shard, verified(wrong, headline=EVIL, failures={EVIL: EVIL}, versions={EVIL: EVIL}))
    assert guarded(["merge", "shard"]) == 3
    shown = capsys.readouterr()
    assert not {"\x1b", "\x07"} & set(shown.out + shown.err)


# Folders of servers, logs of containers


def test_what_servers_store_is_for_nobody_else(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Processes(tmp_path) as processes:
            home = processes.home("redis-1")
            assert stat.S_IMODE(home.parent.stat().st_mode) == 0o700
    finally:
        os.umask(before)


class _Container:
    labels = {"holdwater.node": "../../outside/secret.txt"}
    name = "mine-redis-1"

    def logs(self, *, timestamps: bool) -> bytes:
        return b"hello"


class _Engine:
    @property
    def containers(self) -> _Engine:
        return self

    def list(self, **_: Any) -> list[_Container]:
        return [_Container()]


def test_a_label_of_a_container_is_no_path(tmp_path: Path) -> None:
    Composed("mine", tmp_path, (), {}, _Engine(), [], [], {}).save_logs()
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["mine-redis-1.log"]


# Disks


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """Let no file grow beyond some bytes: what a full disk does, without one. Only around the write: pytest writes a log, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing() -> None:
    with pytest.raises(OSError) as error, small_files(1000):
        store.save(Path("timeline.png"), b"x" * 5000)
    assert (error.value.errno, error.value.filename) == (errno.EFBIG, "timeline.png")
    assert list(Path().iterdir()) == []


def test_a_run_whose_history_cannot_be_written_ends_and_names_it(tmp_path: Path) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000)); from harness.commands.cli import main; main()"
    command = [sys.executable, "-c", limited, *["run", "lock", "--backend", "memory", "--rate", "1000", "--time-limit", "3600"]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 3
    assert "/history.jsonl: File too large" in done.stderr


def test_a_text_that_comes_from_elsewhere_commands_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "1.txt"
    path.write_bytes("first\n\x1b[31mred\x00\u202e\n".encode() + b"\xff")
    assert store.read_text(path) == b"first\n\\x1b[31mred\\x00\\u202e\n\\xff"


def test_a_text_that_is_larger_than_any_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "1.txt"
    with path.open("wb") as file:
        file.truncate(store.MOST_OF_A_TEXT + 1)
    with pytest.raises(UsageError, match="more than 1,048,576 bytes"):
        store.read_text(path)


def test_results_that_are_larger_than_any_of_ours_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    with path.open("wb") as file:
        file.truncate(store.MOST_BYTES + 1)
    with pytest.raises(UsageError, match="more than 268,435,456 bytes"):
        store.read(path)
