"""What each function asks and answers (docs/history.md), of histories that others recorded: what would be passed over is an error.

A misspelt field would be a missing one, a refused lock that is recorded as done a grant. Models do not look at these: they see
operations that the search has simplified.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.judging.family import Fields, every_family
from harness.record.fields import canonical, malformed, shown
from harness.record.history import NEMESIS, History, MalformedHistory, Operation
from harness.registry import nearest

FIELDS: Mapping[str, Fields] = {
    "try_acquire": (("owner", "ttl_ms"), ("granted", "fencing_token")),
    "acquire_within": (("owner", "ttl_ms", "timeout_ms"), ("granted", "fencing_token")),
    "extend": (("owner", "duration_ms"), ("held",)),
    "is_held": (("owner",), ("held",)),
    "release": (("owner",), ("released",)),
    "check_and_set": (("value", "ttl_ms"), ("set",)),
    "set": (("value", "ttl_ms"), ()),
    "delete": ((), ("deleted",)),
    "get": ((), ("value",)),
    "get_versioned": ((), ("value", "version")),
    "compare_and_swap": (("expected", "value", "ttl_ms"), ("swapped", "version", "value")),
    "increment": (("delta", "ttl_ms"), ("value",)),
}
"""By function: the fields of its invocation, and of its answer. What neither this nor a family says has values that are no objects."""


def refuse_unfit(history: History) -> None:
    """Raise MalformedHistory, with the event, where a value says what no model looks at: a field that nobody knows, another answer."""
    _refuse_misspelt(history)
    for operation in history.operations():
        if operation.status != "fail":
            _refuse_other_answer(operation)


def _refuse_other_answer(operation: Operation) -> None:
    asked, answered = operation.argument, operation.result
    if operation.f == "acquire" or (operation.f == "release" and not isinstance(asked, Mapping)):
        for part, value in (("argument", asked), ("result", answered)):
            if value is not None:
                raise malformed(operation, f"{part} {shown(value)}, expected null; a lock is named by key, and a refusal is fail", part)
    if operation.f == "write" and answered is not None and canonical(answered) != canonical(asked):
        raise malformed(operation, f"result {shown(answered)} of a write of {shown(asked)}, expected the same, or null", "result")
    if operation.f == "read" and asked is not None and operation.status == "ok" and canonical(answered) != canonical(asked):
        raise malformed(operation, f"a read asked with {shown(asked)} is answered {shown(answered)}, expected null", "result")


def _refuse_misspelt(history: History) -> None:
    fields = {**FIELDS, **{f: told for family in every_family().values() for f, told in family.fields.items()}}
    for event in history.events:
        if event.process == NEMESIS or event.f not in fields or not isinstance(event.value, Mapping):
            continue
        asked, answered = fields[event.f]
        known, part = (asked, "argument") if event.type == "invoke" else (answered, "result")
        for name in event.value:
            if name not in known:
                instead = nearest(str(name), known) if known else "expected {}"
                reason = f"{event.f} (event {event.index}): unknown field {str(name)!r} of its {part}, {instead}"
                raise MalformedHistory(reason, event=event.index)
