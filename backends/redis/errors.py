"""What an error reply of a Redis server says about the operation: the table, and how it is read.

Every operation is one EVAL of a script that begins with `#!lua`. The server checks such a script's
flags before it runs, so that the refusals marked definite below come before any effect. An error
raised inside a running script leaves what the script did before it; the server marks it with
" script: " (Valkey: " script: on @user_script:2.", Redis 7: " script: <sha>, on @user_script:2.")
and such an error is never definite, whatever its code.

Sources: `scriptPrepareForRun` and `processCommand` of Redis 7 and Valkey 9; texts seen on Valkey 9.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from redis.exceptions import RedisError, ResponseError

from harness.driving.client import Indeterminate, NotApplied, Unclassified

INSIDE_SCRIPT = ("script: ", "on @user_script")


@dataclass(frozen=True, slots=True)
class Code:
    """What an error code means. `reconnect`: this connection leads to the wrong node, or to none."""

    definite: bool
    sentence: str
    reconnect: bool = False


CODES = {
    "READONLY": Code(True, "the node is a replica and refuses writes before it runs them", reconnect=True),
    "LOADING": Code(True, "the node reads its data set from disk and runs no command yet", reconnect=True),
    "MASTERDOWN": Code(True, "the node is a replica without its primary and may not serve stale data", reconnect=True),
    "NOREPLICAS": Code(True, "the primary has fewer replicas in sync than min-replicas-to-write asks for"),
    "OOM": Code(True, "memory is above maxmemory, and the script may write"),
    "MISCONF": Code(True, "the last save to disk failed, and the server is set to refuse writes then"),
    "BUSY": Code(True, "another client's script runs for too long, and the server refuses everything else"),
    "NOAUTH": Code(True, "the connection has not authenticated", reconnect=True),
    "NOPERM": Code(True, "this user may not run EVAL, or not on this key"),
    "CLUSTERDOWN": Code(True, "the cluster serves no keys now", reconnect=True),
    "MOVED": Code(True, "another node of the cluster owns the key", reconnect=True),
    "ASK": Code(True, "the key is on its way to another node of the cluster", reconnect=True),
    "TRYAGAIN": Code(True, "the keys are on their way to another node of the cluster"),
    "CROSSSLOT": Code(True, "the keys belong to different slots of the cluster"),
    "WRONGTYPE": Code(False, "a foreign key stands where ours should; commands before this one have run"),
    "UNKILLABLE": Code(False, "a script that has written was asked to stop, and goes on"),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error reply, classified."""

    error: NotApplied | Indeterminate
    reconnect: bool


def classify(error: RedisError, node: str) -> Refusal:
    """Classify an error reply; an unknown code is Unclassified, an error inside a script never definite."""
    text = reply_text(error)
    name = text.partition(" ")[0]
    code = CODES.get(name)
    if code is None:
        return Refusal(Unclassified(f"error reply {text!r}", node), reconnect=True)
    if code.definite and not any(mark in text for mark in INSIDE_SCRIPT):
        return Refusal(NotApplied(f"{name}: {code.sentence}", node), code.reconnect)
    return Refusal(Indeterminate(f"error inside a script: {text}", node), reconnect=True)


def is_reply(error: RedisError) -> bool:
    """Say whether the server sent this error, or the driver made it.

    By its code and not by its class: BusyLoadingError and AuthenticationError are replies, though
    they derive from ConnectionError.
    """
    return isinstance(error, ResponseError) or getattr(error, "status_code", None) is not None


def reply_text(error: RedisError) -> str:
    """Give the reply as the server sent it: redis-py cuts off the codes that it knows."""
    status = getattr(error, "status_code", None)
    return f"{status} {error}" if status else str(error)
