"""Not a workload. A resource that locks protect: numbers in the harness' own memory, each read and written by who holds its lock.

In memory, so that it never fails and only the lock is under test. Clients present their fencing token
with every access, reads included. Kleppmann's storage learns tokens from writes alone, which protects what
is overwritten whole; of a read-modify-write an older holder could then write between the read and the
write of a newer one, be overwritten, and lose its update.

Source: Kleppmann, How to do distributed locking, 2016 (the paused client, fencing at the storage).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from harness.driving.client import Client
from harness.judging.family import Family

FUNCTIONS = frozenset({"resource_read", "resource_write"})

RECORDS = Family(
    name="resource",
    sentence="a record that a lock protects, presented with fencing tokens; answered by the workload itself",
    functions=FUNCTIONS,
    marks=FUNCTIONS,
    rank=20,
    node="resource",
    fields={
        "resource_read": (("lock", "fencing_token"), ("value", "token")),
        "resource_write": (("lock", "value", "fencing_token", "checked"), ("written",)),
    },
)


@dataclass(slots=True)
class _Record:
    value: int = 0
    token: int | None = None  # the highest that was presented


class Resource:
    """The records of a run by name; thread-safe. A record that was never written is 0."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, _Record] = {}

    def read(self, name: str, token: int | None) -> tuple[int, int | None]:
        """Give the value and the highest token presented so far, this one included; None presents none."""
        with self._lock:
            record = self._present(name, token)
            return record.value, record.token

    def write(self, name: str, value: int, token: int, *, checked: bool) -> bool:
        """Take a write and say so; where it is `checked`, refuse one whose token is below the highest presented."""
        with self._lock:
            record = self._present(name, token)
            if checked and record.token is not None and token < record.token:
                return False
            record.value = value
            return True

    def _present(self, name: str, token: int | None) -> _Record:
        record = self._records.setdefault(name, _Record())
        if token is not None and (record.token is None or token > record.token):
            record.token = token
        return record


class ResourceClient:
    """A client in front of a backend's: it answers FUNCTIONS, everything else goes on."""

    def __init__(self, client: Client, resource: Resource) -> None:
        self._client, self._resource = client, resource

    def invoke(self, f: str, key: str, argument: Any) -> tuple[Any, str | None]:
        """Do one operation; see `harness.driving.client.Client`."""
        if f == "resource_read":
            value, token = self._resource.read(key, argument["fencing_token"])
            return {"value": value, "token": token}, RECORDS.node
        if f == "resource_write":
            written = self._resource.write(key, argument["value"], argument["fencing_token"], checked=argument["checked"])
            return {"written": written}, RECORDS.node
        return self._client.invoke(f, key, argument)

    def close(self) -> None:
        """Drop the backend's connection."""
        self._client.close()
