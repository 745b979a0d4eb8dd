"""results.json as a type: its schema is the one that is shipped, and what is written by hand keeps it."""

from __future__ import annotations

import importlib.resources
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from verified import claim, run, trial, verified

from harness.claims import results
from harness.claims.claim import Word

SHIPPED = json.loads((importlib.resources.files("harness.claims") / "results.schema.json").read_text("utf-8"))
MADE = {
    "run": run(trial(1, "invalid"), trial(2, "unknown")),
    "verify": dict(json.loads(json.dumps(verified(*(claim(f"c{n}", word) for n, word in enumerate(Word)))))),
    "selftest": {
        "holdwater": 1,
        "kind": "selftest",
        "detections": [{"backend": "b", "mutant": None, "trials": 3, "detected": 0, "checks": [], "first_s": None}],
    },
}
REMAKE = """.venv/bin/python -c "import json; from harness.claims import results; print(json.dumps(results.schema(), indent=2))\""""


def test_the_schema_that_is_shipped_is_made_of_the_types() -> None:
    assert json.loads(json.dumps(results.schema())) == SHIPPED, f"write it anew: {REMAKE} > docs/results.schema.json"


def test_the_documents_schema_is_the_shipped_one() -> None:
    assert json.loads((Path(__file__).parents[2] / "docs" / "results.schema.json").read_text("utf-8")) == SHIPPED


@pytest.mark.parametrize("kind", MADE)
def test_results_keep_the_schema_before_and_after_they_are_read(kind: str) -> None:
    read = results.convert(MADE[kind])
    assert results.kind(read) == kind
    for value in (MADE[kind], json.loads(msgspec.json.encode(read))):
        jsonschema.validate(value, SHIPPED)


@pytest.mark.parametrize("kind", MADE)
def test_results_are_read_as_they_were_written(kind: str) -> None:
    read = results.convert(MADE[kind])
    assert results.convert(json.loads(msgspec.json.encode(read))) == read


@pytest.mark.parametrize("field", ["claims", "exit", "kind"])
def test_the_schema_wants_what_a_reader_wants(field: str) -> None:
    lacking: dict[str, Any] = {name: value for name, value in MADE["verify"].items() if name != field}
    with pytest.raises(msgspec.ValidationError):
        results.convert(lacking)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(lacking, SHIPPED)
