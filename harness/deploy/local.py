"""A local deployment's ground: child processes, one toxiproxy, reserved ports, all ended together.

What every backend's `local` shape is made of; which servers and which links there are, the backend
decides. A node announces its peers' proxy, so that servers talk to each other through links too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.deploy.direct import DirectLink
from harness.deploy.install import require
from harness.deploy.ports import HOST, Ports
from harness.deploy.process import Processes
from harness.deploy.proxy import ProxyLink, ProxyServer
from harness.errors import Infrastructure
from harness.waiting import wait_for

START_S = 30.0


class Local:
    """The processes, ports and links of one run; no proxy stands in its links where no fault of the run meets one."""

    attached = False

    def __init__(self, processes: Processes, ports: Ports, *, proxied: bool = True) -> None:
        self.processes, self.ports, self.proxied = processes, ports, proxied
        self._proxy: ProxyServer | None = None
        self.links: list[ProxyLink | DirectLink] = []
        self.versions: dict[str, str] = {}

    def start_proxy(self) -> None:
        """Start toxiproxy and wait until it answers; nothing where the run does without."""
        if not self.proxied:
            return
        found = require("toxiproxy")
        port = self.ports.reserve()
        binary = self.processes.home("toxiproxy") / "toxiproxy-server"
        binary.symlink_to(found.path)  # its arguments then name this run's directory, by which a sweep finds it
        self.processes.start("toxiproxy", [str(binary), "-host", HOST, "-port", str(port)], {"LOG_LEVEL": "warn"})
        proxy = ProxyServer(port)
        wait_for(lambda: None if proxy.version() is not None else self.died("toxiproxy"), START_S, "toxiproxy starts")
        self._proxy = proxy
        self.versions["toxiproxy"] = found.version

    def link(self, source: str, target: str, upstream_port: int, *, reply_budget: int | None = None) -> ProxyLink | DirectLink:
        """Open a link into a port of a target node; for its reply budget in bytes see `harness.deploy.proxy`."""
        made = self._proxy_link(source, target, upstream_port, reply_budget) if self.proxied else DirectLink(source, target, upstream_port)
        self.links.append(made)
        return made

    def _proxy_link(self, source: str, target: str, upstream_port: int, reply_budget: int | None) -> ProxyLink:
        assert self._proxy is not None
        made = self._proxy.link(source, target, self.ports.reserve(), f"{HOST}:{upstream_port}")
        made.reply_budget = made.reply_budget if reply_budget is None else reply_budget
        return made

    def last_lines(self, name: str, count: int = 5) -> str:
        """Give the end of what a server wrote, for an error message."""
        return self.processes.last_lines(name, count)

    def died(self, name: str) -> str:
        """Say what is wrong with a server that does not answer; raise Infrastructure if it has ended."""
        if self.processes.state(name) == "dead":
            raise Infrastructure(f"{name} ended at its start: {self.processes.last_lines(name)}")
        return "no answer yet"


class LocalNode:
    """A harness.driving.system.Node: one child process, and the links into it that end with it.

    `answers` gives None once the server answers over its own port, else what is missing.
    """

    def __init__(
        self, local: Local, name: str, argv: Sequence[str], answers: Callable[[], str | None], env: Mapping[str, str] | None = None
    ) -> None:
        self._local, self._name, self._argv, self._answers, self._env = local, name, argv, answers, env

    @property
    def name(self) -> str:
        return self._name

    @property
    def _inbound(self) -> list[ProxyLink | DirectLink]:
        return [link for link in self._local.links if link.target == self._name]

    def launch(self) -> None:
        """Start the process without waiting for its answer; idempotent."""
        if self.state() == "dead":
            self._local.processes.start(self._name, self._argv, self._env)

    def await_answer(self) -> None:
        """Wait until the server answers, then accept connections on the links into it."""
        wait_for(self._answer, START_S, f"{self._name} answers")
        for link in self._inbound:
            link.accept()

    def start(self) -> None:
        self.launch()
        self.await_answer()

    def kill(self) -> None:
        self._local.processes.kill(self._name)
        for link in self._inbound:
            link.refuse()

    def pause(self) -> None:
        self._local.processes.pause(self._name)

    def resume(self) -> None:
        self._local.processes.resume(self._name)

    def state(self) -> str:
        return self._local.processes.state(self._name)

    def _answer(self) -> str | None:
        waiting = self._local.died(self._name)  # first: a stranger may answer on the port of a server that has ended
        missing = self._answers()
        return missing if missing is None else f"{waiting}; {missing}"


@contextmanager
def open_local(directory: Path, *, links: bool = True) -> Iterator[Local]:
    """Run a supervisor for this run directory; end all that it started on leaving."""
    with Ports() as ports, Processes(directory) as processes:
        yield Local(processes, ports, proxied=links)


def own_session_environment() -> dict[str, str]:
    """Give an environment in which this checkout's packages are found by a child."""
    return {"PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])}
