"""How an operation reaches the system, and the one place that decides ok, fail or info.

Returned = `ok`. `NotApplied` = `fail`: certainly no effect, ever. Everything else = `info`, which
is always sound: a checker lets an info operation take effect late or never. Three kinds of info
are told apart by the first word of `error`, so that the gates can read them from the history:

    Indeterminate                        info   the backend's own table says: may have happened
    └── Unclassified                     info   "unclassified: ...": a driver error that is not in the table;
                                                in the way of `valid` and `holds`, and of no counterexample
    any other exception                  info   "broken: ...": a bug, of ours or of the plug-in that is named; exit 70

Source: Jepsen's client contract; Maelstrom's table of definite errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from harness import registry
from harness.errors import Misfit
from harness.record.history import BROKEN, UNCLASSIFIED


class NotApplied(Exception):
    """The operation certainly had no effect and never will."""

    def __init__(self, reason: str, node: str | None = None) -> None:
        super().__init__(reason)
        self.node = node


class Indeterminate(Exception):
    """The operation may have taken effect, may yet do so, or not."""

    def __init__(self, reason: str, node: str | None = None) -> None:
        super().__init__(reason)
        self.node = node


class Unclassified(Indeterminate):
    """A driver error that the backend's table does not name."""


@dataclass(frozen=True, slots=True)
class Completion:
    """How an operation ended, as it will be recorded."""

    type: Literal["ok", "fail", "info"]
    value: Any = None
    node: str | None = None
    error: str | None = None


class Client(Protocol):
    """One process' private way to the system; not thread-safe; connects when first used."""

    def invoke(self, f: str, key: str, argument: Any) -> tuple[Any, str | None]:
        """Do one operation; give its value (docs/history.md) and the node that answered.

        Raise NotApplied, Indeterminate or Unclassified. Ends within its deadline.
        """
        ...

    def close(self) -> None:
        """Drop the connection; idempotent, never raises, sends nothing."""
        ...


def outcome(client: Client, f: str, key: str, argument: Any) -> Completion:
    """Do one operation and name its outcome; never raises (KeyboardInterrupt and exit excepted)."""
    try:
        value, node = _pair(client, client.invoke(f, key, argument))
    except NotApplied as error:
        return Completion("fail", node=error.node, error=str(error))
    except Unclassified as error:
        return Completion("info", node=error.node, error=UNCLASSIFIED + str(error))
    except Indeterminate as error:
        return Completion("info", node=error.node, error=str(error))
    except Exception as error:  # noqa: BLE001 - the one net under all backends: in doubt it may have happened
        whose = f" (a bug of {package})" if (package := registry.author(error)) != registry.OURS else ""
        return Completion("info", error=f"{BROKEN}{type(error).__name__}: {error}{whose}")
    return Completion("ok", value, node)


def _pair(client: Client, answer: Any) -> tuple[Any, str | None]:
    """Give value and node of an answer; raise Misfit where it is no such pair."""
    if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[1], str | None):
        raise Misfit(client, f"invoke gave {answer!r:.100}, expected a pair of a value and the name of a node, or None")
    return answer
