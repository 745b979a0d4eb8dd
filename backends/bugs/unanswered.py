"""What a client must not make of no answer. Made of right commands; they come up where answers are lost."""

from __future__ import annotations

import time
from collections.abc import Mapping

from backends.mutant import Mutant, Right
from backends.session import Commands
from harness.driving.client import Indeterminate
from harness.record.event import Effect

R = Right[Commands]
RESENT_S, PAUSE_S = 3.0, 0.1
LAST = "the last token"
ANSWERS_LOST = frozenset({Effect.LOSES_ANSWERS.value})


def _granted_unanswered(right: R, name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    try:
        token = right.commands.grant(name, owner, ttl_ms, within_s)
    except Indeterminate:
        token = int(right.kept.get(LAST, 0)) + 1
    if token is not None:
        right.kept[LAST] = token
    return token


def _lost_unanswered(right: R, key: str, value: str, ttl_ms: int | None) -> bool:
    try:
        return right.commands.check_and_set(key, value, ttl_ms)
    except Indeterminate:
        return False


def _increment_resent(right: R, key: str, delta: int, ttl_ms: int | None) -> int | None:
    end = time.monotonic() + RESENT_S
    while True:
        try:
            return right.commands.increment(key, delta, ttl_ms)
        except Indeterminate:
            if time.monotonic() > end:
                raise
            time.sleep(PAUSE_S)


MUTANTS: Mapping[str, Mutant] = {
    "unanswered-is-granted": Mutant(
        "a grant that was not answered in time counts as granted",
        {"grant": _granted_unanswered},
        needs=frozenset({Effect.SILENCES_A_NODE.value}),
    ),
    "unanswered-is-false": Mutant(
        "a check_and_set that was not answered counts as lost, whether or not it was applied",
        {"check_and_set": _lost_unanswered},
        needs=ANSWERS_LOST,
    ),
    "unanswered-is-sent-again": Mutant(
        "an increment that was not answered is sent again, whether or not it was applied",
        {"increment": _increment_resent},
        needs=ANSWERS_LOST,
    ),
}
