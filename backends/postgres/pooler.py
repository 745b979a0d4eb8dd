"""PgBouncer before a server, in transaction mode: each transaction of a client may run in another session of the server.

Whatever stands in a session (an advisory lock of its own, a SET, a LISTEN) is then left with whoever comes next. The pool is smaller
than the number of clients, as in use.
"""

from __future__ import annotations

from backends.postgres.binaries import prefix
from backends.postgres.connection import DATABASE, HANDSHAKE, USER, PostgresConnection
from backends.target import Target
from harness.deploy.install import require
from harness.deploy.local import Local, LocalNode
from harness.deploy.ports import HOST
from harness.driving.client import Indeterminate, NotApplied

NAME = "pgbouncer"
SESSIONS = 4
ANSWER_S = 0.5


class Pooler(LocalNode):
    """The pooler's process; `port` is where clients reach it."""

    def __init__(self, local: Local, server_port: int) -> None:
        self.port = local.ports.reserve()
        home = local.processes.home(NAME)
        lines = [
            "[databases]",
            f"{DATABASE} = host={HOST} port={server_port} dbname={DATABASE} user={USER}",
            "[pgbouncer]",
            f"listen_addr = {HOST}",
            f"listen_port = {self.port}",
            "unix_socket_dir =",
            "auth_type = any",
            "pool_mode = transaction",
            f"default_pool_size = {SESSIONS}",
            "max_client_conn = 200",
            "server_login_retry = 1",
            "ignore_startup_parameters = options",  # of a probe, which waits for no standby; there is none
        ]
        file = home / "pgbouncer.ini"
        file.write_text("\n".join(lines) + "\n", "utf-8")
        target = Target(HOST, self.port, NAME)
        self._connection = PostgresConnection(lambda: target, ANSWER_S)
        super().__init__(local, NAME, [*prefix(), str(require(NAME).path), str(file)], self._missing)

    def _missing(self) -> str | None:
        try:
            self._connection.call(HANDSHAKE, ())
        except (NotApplied, Indeterminate) as error:
            return str(error)
        finally:
            self._connection.close()
        return None
