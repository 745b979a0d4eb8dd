"""A server that does not start, and a standby that does not follow: said with the log's last lines, never a verdict, never a hang."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backends.postgres.operator import NODES, OPERATOR, PostgresOperator
from harness.deploy.install import find
from harness.driving.backend import Deployment

DYING = """#!/bin/sh
case $1 in
--version) echo {version} ;;
*) echo the planted reason >&2; exit 1 ;;
esac
"""
SERVERS = [  # backend, its variant, its server, what that one says of its version
    ("dynamodb", "durable", "dynoxide", "dynoxide 3.2.0"),
    ("postgres-patroni", "async", "etcd", "etcd Version: 3.5.1"),
]


@pytest.mark.parametrize(("backend", "variant", "server", "version"), SERVERS)
def test_a_server_that_does_not_start_is_exit_3_and_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, variant: str, server: str, version: str
) -> None:
    if find(server) is None:
        pytest.skip(f"no {server} on this machine")
    dying = tmp_path / "dying"
    dying.write_text(DYING.format(version=version))
    dying.chmod(0o755)
    monkeypatch.setenv(f"HOLDWATER_{server.upper()}", str(dying))
    words = [sys.executable, "-m", "harness", "run", "lock", "--backend", backend, "--option", f"variant={variant}"]
    words += ["--seed", "5", "--out", str(tmp_path / "runs")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "the planted reason" in done.stdout + done.stderr


def test_a_standby_that_does_not_follow_is_what_is_missing_with_its_last_log_lines(tmp_path: Path) -> None:
    with OPERATOR.open(Deployment("async", tmp_path)) as system:
        assert isinstance(system, PostgresOperator)
        system.nodes[NODES[1]].kill()
        missing = ""
        for _ in range(500):
            if (missing := system.steady() or "") != "":
                break
        assert missing.startswith(f"{NODES[1]} does not stream from {NODES[0]} (")
        assert "LOG:" in missing
        system.heal_all()
