"""The protected record: what a fencing check refuses, and that everything else goes on to the backend."""

from __future__ import annotations

from typing import Any

import pytest

from harness.driving.client import Completion, outcome
from workloads.resource.record import RECORDS, Resource, ResourceClient

KEY = "record"


class Backend:
    """Remembers what reached it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.closed = 0

    def invoke(self, f: str, key: str, argument: Any) -> tuple[Any, str | None]:
        self.asked.append((f, key, argument))
        return {"granted": True, "fencing_token": 1}, "node-1"

    def close(self) -> None:
        self.closed += 1


def write(resource: Resource, value: int, token: int, *, checked: bool = True) -> bool:
    return resource.write(KEY, value, token, checked=checked)


def test_a_record_begins_at_nothing() -> None:
    assert Resource().read(KEY, None) == (0, None)


def test_what_was_written_is_read() -> None:
    resource = Resource()
    assert write(resource, 1, 5)
    assert resource.read(KEY, None) == (1, 5)


@pytest.mark.parametrize(("token", "taken"), [(4, False), (5, True), (6, True)])
def test_a_checked_write_is_refused_below_the_highest_token_that_wrote(token: int, taken: bool) -> None:
    resource = Resource()
    write(resource, 1, 5)
    assert write(resource, 2, token) is taken
    assert resource.read(KEY, None)[0] == (2 if taken else 1)


def test_a_checked_write_is_refused_below_the_highest_token_that_read() -> None:
    resource = Resource()
    assert resource.read(KEY, 6) == (0, 6)
    assert not write(resource, 1, 5)


def test_who_only_looks_presents_no_token() -> None:
    resource = Resource()
    resource.read(KEY, None)
    assert write(resource, 1, 1)


def test_an_older_read_does_not_lower_the_highest_token() -> None:
    resource = Resource()
    resource.read(KEY, 6)
    assert resource.read(KEY, 5) == (0, 6)


def test_a_write_that_is_not_checked_is_always_taken_and_does_not_lower_the_highest_token() -> None:
    resource = Resource()
    write(resource, 1, 6)
    assert write(resource, 9, 5, checked=False)
    assert resource.read(KEY, None) == (9, 6)


def test_records_are_told_apart() -> None:
    resource = Resource()
    write(resource, 1, 5)
    assert resource.read("other", None) == (0, None)


def test_the_client_answers_for_the_resource() -> None:
    backend = Backend()
    client = ResourceClient(backend, Resource())
    written = outcome(client, "resource_write", KEY, {"lock": "l", "value": 3, "fencing_token": 2, "checked": True})
    assert written == Completion("ok", {"written": True}, RECORDS.node)
    assert outcome(client, "resource_read", KEY, {"lock": "l", "fencing_token": 2}) == Completion(
        "ok", {"value": 3, "token": 2}, RECORDS.node
    )
    assert backend.asked == []


def test_everything_else_goes_on_to_the_backend() -> None:
    backend = Backend()
    client = ResourceClient(backend, Resource())
    assert outcome(client, "try_acquire", "lock", {"owner": "a", "ttl_ms": 1}).node == "node-1"
    client.close()
    assert (backend.asked, backend.closed) == ([("try_acquire", "lock", {"owner": "a", "ttl_ms": 1})], 1)
