"""One private connection to a PostgreSQL server, with the phases of a call kept apart.

    resolve -> TCP -> startup -> "in recovery?" answered no     any failure here: NotApplied, nothing was sent
    send -> read                                                 any failure here: Indeterminate
    an error with an SQLSTATE                                    by the table in `errors`
    success beside a notice that takes it back                   Indeterminate

Over `psycopg.pq`, the documented layer of psycopg that is libpq itself, and a poll of our own: the deadline is kept
whatever the server does. A hung server reacts to nothing (statement_timeout is its own clock, tcp_user_timeout is
answered by its kernel), a cancel request makes a wait for replication answer success, and psycopg's own wait has no
deadline but a thread that shuts the socket down. libpq never retries and never reconnects by itself.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence

import psycopg
from psycopg import pq

from backends.deadline import Deadline
from backends.postgres.errors import DOUBT, classify, takes_back
from backends.target import Resolve, Target
from harness.driving.client import Indeterminate, NotApplied

Row = tuple[str | None, ...]

HANDSHAKE = b"SELECT pg_is_in_recovery()"
READ, WRITE = select.POLLIN, select.POLLOUT
DATABASE = USER = "postgres"


def conninfo(host: str, port: int) -> str:
    """Give libpq's parameters; `host` is an address, since resolving a name has no deadline."""
    options = f"host={host} port={port} dbname={DATABASE} user={USER} sslmode=disable gssencmode=disable"
    return f"{options} client_encoding=UTF8 application_name=holdwater"


class PostgresConnection:
    """Connects when first used, and anew after it was dropped. Not thread-safe.

    `believes_tag`: take the command tag for success, whatever notice stands beside it, as most programs do.
    `any_role`: a standby will do. `more` are further parameters of libpq.
    """

    def __init__(self, resolve: Resolve, deadline_s: float, *, believes_tag: bool = False, any_role: bool = False, more: str = "") -> None:
        self._resolve, self._deadline_s, self._believes_tag = resolve, deadline_s, believes_tag
        self._any_role, self._more = any_role, more
        self._open: tuple[_Wire, Target] | None = None
        self.node: str | None = None

    def call(self, statement: bytes, arguments: Sequence[str | int | None], within_s: float | None = None) -> list[Row]:
        """Run one statement and give its rows, all within the deadline (or `within_s`, if that is less).

        Raises NotApplied, Indeterminate or Unclassified.
        """
        budget_s = self._deadline_s if within_s is None else min(within_s, self._deadline_s)
        deadline = Deadline(time.monotonic() + budget_s)
        wire, target = self._connected(deadline)
        if time.monotonic() >= deadline.at:
            raise NotApplied("the deadline passed before the statement was sent", target.node)
        return self._exchange(wire, target, statement, arguments, deadline)

    def connect(self) -> None:
        """Connect and shake hands now, within the deadline. Raises NotApplied."""
        self._connected(Deadline(time.monotonic() + self._deadline_s))

    def close(self) -> None:
        """Drop the connection; idempotent."""
        opened, self._open = self._open, None
        if opened is not None:
            opened[0].close()

    def _connected(self, deadline: Deadline) -> tuple[_Wire, Target]:
        if self._open is not None:
            if self._open[0].idle():  # else closed by the server, or an answer that nobody waits for: nothing was sent yet
                return self._open
            self.close()
        target = self._resolve()
        wire = None
        try:
            wire = _Wire.connect(target, deadline, self._more)
            recovering = wire.exchange(HANDSHAKE, (), deadline).rows
        except (psycopg.Error, OSError) as error:
            _close(wire)
            raise NotApplied(f"not connected to {target.node}: {_reason(error)}", target.node) from error
        except BaseException:
            _close(wire)
            raise
        if recovering != [("f",)] and not (self._any_role and recovering == [("t",)]):
            _close(wire)
            what = "a standby" if recovering == [("t",)] else repr(recovering)
            raise NotApplied(f"not connected to {target.node}: node is {what}", target.node)
        self._open = wire, target
        return self._open

    def _exchange(
        self, wire: _Wire, target: Target, statement: bytes, arguments: Sequence[str | int | None], deadline: Deadline
    ) -> list[Row]:
        try:
            answer = wire.exchange(statement, arguments, deadline)
        except (psycopg.Error, OSError) as error:
            self.close()
            raise Indeterminate(f"sent, then {_reason(error)}", target.node) from error
        except BaseException:
            self.close()  # an answer may still arrive: it must not be taken for the next statement's
            raise
        self.node = target.node
        if answer.failed is not None:
            refusal = classify(answer.failed.sqlstate, answer.failed.message, target.node)
            if refusal.reconnect:
                self.close()
            raise refusal.error
        doubt = next((notice for notice in answer.notices if takes_back(notice.sqlstate, notice.message)), None)
        if doubt is not None and not self._believes_tag:
            raise Indeterminate(f"{doubt.sqlstate}: {DOUBT}", target.node)
        return answer.rows


class _Said:
    """An error or a notice of the server."""

    __slots__ = ("message", "sqlstate")

    def __init__(self, result: pq.abc.PGresult) -> None:
        field = result.error_field
        state, message = field(pq.DiagnosticField.SQLSTATE), field(pq.DiagnosticField.MESSAGE_PRIMARY)
        self.sqlstate = state.decode("ascii") if state else None
        self.message = (message or result.error_message).decode("utf-8", "replace").strip()


class _Answer:
    """What came back: rows, or why there are none, and the notices on the way."""

    __slots__ = ("failed", "notices", "rows")

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.failed: _Said | None = None
        self.notices: list[_Said] = []


class _Wire:
    """A libpq connection that never blocks; raises psycopg.Error or TimeoutError."""

    def __init__(self, connection: pq.abc.PGconn) -> None:
        self._connection = connection
        self._poller = select.poll()
        self._notices: list[_Said] = []
        connection.notice_handler = self._note

    @classmethod
    def connect(cls, target: Target, deadline: Deadline, more: str) -> _Wire:
        """Connect and start up, within the deadline."""
        wire = cls(pq.PGconn.connect_start(f"{conninfo(target.host, target.port)} {more}".encode()))
        try:
            wire._start_up(deadline)
        except BaseException:
            wire.close()
            raise
        return wire

    def close(self) -> None:
        self._connection.finish()

    def idle(self) -> bool:
        """Say whether nothing waits to be read; closed by the other end counts as something."""
        self._poller.register(self._connection.socket, READ)
        return not self._poller.poll(0)

    def exchange(self, statement: bytes, arguments: Sequence[str | int | None], deadline: Deadline) -> _Answer:
        """Send a statement and read its whole answer."""
        connection, answer = self._connection, _Answer()
        self._notices = answer.notices
        values = [None if each is None else str(each).encode("utf-8") for each in arguments]
        connection.send_query_params(statement, values)
        while connection.flush():
            if self._wait(READ | WRITE, deadline) & READ:
                connection.consume_input()
        while (result := self._result(deadline)) is not None:
            if result.status == pq.ExecStatus.TUPLES_OK:
                answer.rows = [_row(result, number) for number in range(result.ntuples)]
            elif result.status != pq.ExecStatus.COMMAND_OK:
                answer.failed = answer.failed or _Said(result)
        return answer

    def _start_up(self, deadline: Deadline) -> None:
        connection = self._connection
        while True:
            status = connection.connect_poll()
            if status == pq.PollingStatus.OK:
                connection.nonblocking = 1
                return
            if status == pq.PollingStatus.FAILED:
                raise psycopg.OperationalError(connection.get_error_message())
            self._wait(READ if status == pq.PollingStatus.READING else WRITE, deadline)

    def _result(self, deadline: Deadline) -> pq.abc.PGresult | None:
        while self._connection.is_busy():
            self._wait(READ, deadline)
            self._connection.consume_input()
        return self._connection.get_result()

    def _wait(self, what: int, deadline: Deadline) -> int:
        # The socket may be another one at each step of connecting; registering it again is no system call.
        self._poller = select.poll()
        self._poller.register(self._connection.socket, what)
        ready = self._poller.poll(deadline.left_s() * 1000)
        if not ready:
            raise TimeoutError("deadline passed")
        return ready[0][1]

    def _note(self, result: pq.abc.PGresult) -> None:
        self._notices.append(_Said(result))


def _row(result: pq.abc.PGresult, number: int) -> Row:
    return tuple(None if (value := result.get_value(number, column)) is None else value.decode("utf-8") for column in range(result.nfields))


def _close(wire: _Wire | None) -> None:
    if wire is not None:
        wire.close()


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
