"""What a rule asks with: clients of the backend, keys of its own, patience; and what it says where an answer is another one.

Operations are those of docs/history.md, so that a client of any backend can be asked, ours or a third party's.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from harness.driving.client import Client, NotApplied
from harness.errors import Misfit

LONG_MS = 600_000
PATIENCE_S = 20.0
POLL_S = 0.005
SLACK_S = 0.002  # by which a server's clock and ours may round differently
LATE_S = 0.1  # by which an end may be late
T = TypeVar("T")


class Broken(Exception):
    """A rule is broken: what was seen, and what was expected."""

    def __init__(self, seen: str, expected: str) -> None:
        super().__init__(f"{seen}, expected {expected}")
        self.seen, self.expected = seen, expected


class Ask:
    """One client, as a process has it; call it with a function, a key and the fields of the argument.

    May be called by any thread: the client is made, used and closed by one of its own, as it may expect.
    """

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._client = self._thread.submit(connect).result()

    def __call__(self, f: str, key: str, /, **argument: Any) -> Any:
        """Do one operation and give its value; one that certainly had no effect is asked again. Raises what the client raises else."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._thread.submit(self._once, f, key, argument).result()
            except NotApplied:
                if time.monotonic() > end:
                    raise

    def _once(self, f: str, key: str, argument: dict[str, Any]) -> Any:
        answer = self._client.invoke(f, key, argument)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise Misfit(self._client, f"invoke gave {answer!r:.100}, expected a pair of a value and the name of a node, or None")
        return answer[0]

    def close(self) -> None:
        """Drop the connection; the next call connects anew."""
        self._thread.submit(self._client.close).result()

    def end(self) -> None:
        """Close it for good."""
        self.close()
        self._thread.shutdown()


class Asking:
    """A backend that is asked: `functions` are those that it has."""

    def __init__(self, connect: Callable[[], Client], functions: frozenset[str]) -> None:
        self._connect, self.functions = connect, functions
        self._open: list[Ask] = []
        self.ask = self.another()

    def another(self) -> Ask:
        """Connect another client, which is closed at the end."""
        ask = Ask(self._connect)
        self._open.append(ask)
        return ask

    def close(self) -> None:
        """Close all clients."""
        for ask in self._open:
            ask.end()

    def value(self, key: str, ask: Ask | None = None) -> Any:
        """Read a key's value by what the backend has for it; None = missing."""
        return (ask or self.ask)("get" if "get" in self.functions else "get_versioned", key)["value"]

    def missing(self, key: str) -> bool:
        """Say whether a key is missing."""
        return self.value(key) is None


def fresh(id_: str = "x") -> str:
    """Give a key that nobody has used, with this id: its name in full (namespace, tenant, kind and id)."""
    return f"contract:{uuid.uuid4().hex}:state:{id_}"


def same(what: str, seen: object, expected: object) -> None:
    """Raise Broken where an answer is another one; true is no 1."""
    if _exact(seen) != _exact(expected):
        raise Broken(f"{what}: {_short(seen)}", _short(expected))


def holds(what: str, condition: object, expected: str) -> None:
    """Raise Broken where something is not so."""
    if not condition:
        raise Broken(what, expected)


def until(what: str, condition: Callable[[], object], expected: str) -> None:
    """Poll until something is so; raise Broken at the end of our patience."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise Broken(f"{what} for {PATIENCE_S:g} s", expected)
        time.sleep(POLL_S)


def together(*tasks: Callable[[], T]) -> Sequence[T]:
    """Do the tasks in threads that start at once; give what each gave."""
    barrier = threading.Barrier(len(tasks))

    def begin(task: Callable[[], T]) -> T:
        barrier.wait(PATIENCE_S)
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(begin, tasks, timeout=3 * PATIENCE_S))


def _exact(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:150]}... ({len(text):,} characters)"
