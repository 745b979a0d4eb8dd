"""What an error of a PostgreSQL server says about the operation: the table of SQLSTATEs, and what a notice can take back.

Every operation is one call of a function, a transaction of its own. An error that the server reports before it has
committed rolls all of it back: *definite*. Not so where it may come after the commit, or says nothing of it: the server
was told to stop, the connection failed, an internal error.

Sources: PostgreSQL 18, appendix A and `syncrep.c`; seen on 18.6 where the comments say so.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.driving.client import Indeterminate, NotApplied, Unclassified


@dataclass(frozen=True, slots=True)
class State:
    """What an SQLSTATE, or a class of them, means. `reconnect`: this connection leads to the wrong node, or to none."""

    definite: bool
    sentence: str
    reconnect: bool = False


STATES = {
    "25006": State(True, "the node is a standby, or read-only, and refuses writes before it makes them", reconnect=True),
    "25P02": State(True, "the transaction had failed already"),
    "40001": State(True, "the transaction could not be put in order with others, and was rolled back"),
    "40P01": State(True, "the transaction was chosen to end a deadlock, and rolled back"),
    "40003": State(False, "the server does not know whether the statement completed", reconnect=True),
    "55P03": State(True, "a lock was not available in time"),
    "57014": State(True, "the statement was cancelled before it committed"),
    "57P01": State(False, "an administrator ended the connection, perhaps after the commit", reconnect=True),
    "57P02": State(False, "another server process crashed, and this one was ended", reconnect=True),
    "57P03": State(True, "the server is starting up or shutting down, and runs nothing", reconnect=True),
    "57P04": State(True, "the database was dropped", reconnect=True),
    "57P05": State(True, "the idle connection was ended before the statement came", reconnect=True),
}
CLASSES = {
    "08": State(False, "the connection failed", reconnect=True),
    "22": State(True, "the server refused a value"),
    "23": State(True, "a constraint does not allow it"),
    "28": State(True, "the server does not let this user in", reconnect=True),
    "42": State(True, "the statement is not valid here: is the schema installed?"),
    "53": State(True, "the server has run out of a resource, and rolled back"),
    "54": State(True, "a limit of the server was exceeded"),
    "58": State(False, "the server's disk or operating system failed", reconnect=True),
    "F0": State(False, "the server's configuration file is broken", reconnect=True),
    "XX": State(False, "an internal error of the server", reconnect=True),
}

CANCELLED_WAIT = "01000"
ENDED_WHILE_WAITING = frozenset({"57P01", "57P02"})
DOUBT = "the wait for synchronous replication was ended: committed here, and perhaps nowhere else"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error, classified."""

    error: NotApplied | Indeterminate
    reconnect: bool


def classify(sqlstate: str | None, message: str, node: str) -> Refusal:
    """Classify an error that the server reported; without a state nothing is known, an unknown state is Unclassified."""
    if sqlstate is None:
        return Refusal(Indeterminate(f"sent, then {message}", node), reconnect=True)
    state = STATES.get(sqlstate) or CLASSES.get(sqlstate[:2])
    if state is None:
        return Refusal(Unclassified(f"SQLSTATE {sqlstate}: {message}", node), reconnect=True)
    error = NotApplied if state.definite else Indeterminate
    return Refusal(error(f"{sqlstate}: {state.sentence} ({message})", node), state.reconnect)


def takes_back(sqlstate: str | None, message: str) -> bool:
    """Say whether a notice takes back the success that its statement reports.

    A cancelled wait for synchronous replication answers with the usual command tag, beside a WARNING 01000; an ended one
    with a WARNING 57P01. 01000 is also the state of harmless warnings, hence the text, which is translated on servers
    that are set so: with another one a warning of that state is believed to be this one.
    """
    if sqlstate in ENDED_WHILE_WAITING:
        return True
    return sqlstate == CANCELLED_WAIT and ("synchronous" in message or not message.isascii())
