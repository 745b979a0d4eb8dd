"""Histories of steps: (process, f, key, argument) asks, (process, "ok" or "info" or "fail", value) ends what that process asked."""

from __future__ import annotations

from typing import Any

from harness.record.history import NEMESIS, Event, Header, History

ENDS = ("ok", "info", "fail")
NS_PER_MS = 1_000_000


def history(*steps: Any, trial: int | None = None, apart_ms: int = 1, header: Header | None = None) -> History:
    """Give a history of steps, so many milliseconds apart; of a trial, if one is named."""
    events: list[Event] = []
    if trial is not None:
        events.append(Event(index=0, time=0, process=NEMESIS, type="info", f="trial", value={"n": trial, "phase": "begin"}))
    open_: dict[int, tuple[str, str]] = {}
    for process, what, *more in steps:
        common: dict[str, Any] = {"index": len(events), "time": len(events) * apart_ms * NS_PER_MS, "process": process}
        if what in ENDS:
            f, key = open_.pop(process)
            events.append(Event(type=what, f=f, key=key, value=more[0] if more else None, **common))
        else:
            open_[process] = what, more[0]
            events.append(Event(type="invoke", f=what, key=more[0], value=more[1], **common))
    return History(tuple(events), header=header, complete=True)


def whole(process: int, f: str, key: str, argument: Any, answer: Any) -> list[Any]:
    """Give an operation that is answered before another begins."""
    return [(process, f, key, argument), (process, "ok", answer)]
