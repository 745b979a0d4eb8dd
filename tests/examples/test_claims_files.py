"""The claims files of examples/tables, which docs/claims.md shows: each can be read, and the one of two tables does what the page says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.claims.file import load

TABLES = Path(__file__).resolve().parents[2] / "examples" / "tables"


@pytest.mark.parametrize("path", sorted(TABLES.glob("*.toml")), ids=lambda path: path.stem)
def test_a_table_can_be_read(path: Path) -> None:
    assert load(path).claims


def test_the_file_of_two_tables_has_three_claims_that_hold_and_two_findings_on_request(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness", "verify", "--claims", str(TABLES / "two-tables.toml"), "--seed", "7", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {claim["id"]: claim["verdict"] for claim in json.loads(done.stdout)["claims"]} == {
        "locks": "holds",
        "throttle": "holds",
        "throttle-steady": "finding",
        "swaps": "holds",
        "swaps-of-an-earlier-life": "finding",
    }
