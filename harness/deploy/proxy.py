"""Links through toxiproxy: one listener for each (source group, target node).

The real server does the work; the client is toxiproxy-python, wrapped thinly, because it (0.1.1)
has no time-outs, takes an HTTP 500 for success, and keeps host and port as class attributes. Here
its calls go through a consumer that bounds and checks each of them, one server at a time under a
lock. That a toxic was accepted still proves nothing: the fault's probe does (harness.driving.nemesis).

A cut is `timeout` 0 in both directions: bytes vanish, connections stay open, as in a partition.
A dead node is `enabled: false`: connections end and new ones are refused. A lost reply is
`limit_data` downstream: a connection ends in the middle of an answer. `toxicity` is never used: it
is drawn per connection and unseeded. Measured on toxiproxy 2.12.
"""

from __future__ import annotations

import threading
from typing import Any

import requests
import toxiproxy.proxy
import toxiproxy.server
from toxiproxy.api import APIConsumer, validate_response
from toxiproxy.exceptions import NotFound, ProxyExists

from harness.deploy.ports import HOST
from harness.errors import Infrastructure

TIMEOUT_S = 5.0
# A connection passes this many bytes of answers before the rest is cut: enough for the handshake
# (ROLE of a lone primary: 27 bytes) and a few replies, then one reply is lost, often in its middle. A link into a server
# that says more when a client connects has a number of its own.
REPLY_BUDGET_BYTES = 96


class _CheckedConsumer(APIConsumer):  # type: ignore[misc]  # the library is untyped
    """The library's HTTP calls with a time-out and with every status checked."""

    session = requests.Session()

    @classmethod
    def _send(cls, method: str, url: str, **options: Any) -> Any:
        try:
            answer = cls.session.request(method, f"http://{cls.host}:{cls.port}{url}", timeout=TIMEOUT_S, **options)
        except requests.RequestException as error:
            raise Infrastructure(f"toxiproxy on port {cls.port}: {method} {url}: {error}") from None
        validate_response(answer)  # raises the library's own errors on 400, 404, 409
        if not answer.ok:
            raise Infrastructure(f"toxiproxy on port {cls.port}: {method} {url}: HTTP {answer.status_code} {answer.text.strip()}")
        return answer

    @classmethod
    def get(cls, url: str, params: Any = None, **options: Any) -> Any:
        return cls._send("GET", url, params=params, **options)

    @classmethod
    def delete(cls, url: str, **options: Any) -> Any:
        return cls._send("DELETE", url, **options)

    @classmethod
    def post(cls, url: str, data: Any = None, json: Any = None, **options: Any) -> Any:
        return cls._send("POST", url, data=data, json=json, **options)


class ProxyServer:
    """One toxiproxy server on 127.0.0.1; thread-safe."""

    _library = threading.Lock()  # the library's host and port are class attributes

    def __init__(self, port: int) -> None:
        self.port = port
        _CheckedConsumer.session.trust_env = False  # no HTTP_PROXY between us and 127.0.0.1
        # The library looks its consumer up in these two modules at every call.
        toxiproxy.server.APIConsumer = _CheckedConsumer
        toxiproxy.proxy.APIConsumer = _CheckedConsumer

    def __enter__(self) -> toxiproxy.server.Toxiproxy:
        self._library.acquire()
        server = toxiproxy.server.Toxiproxy()
        _CheckedConsumer.host, _CheckedConsumer.port = HOST, self.port
        return server

    def __exit__(self, *_: object) -> None:
        self._library.release()

    def version(self) -> str | None:
        """Give the server's version, None while it does not answer."""
        try:
            with self:
                return str(_CheckedConsumer.get("/version").json()["version"])
        except Infrastructure:
            return None

    def link(self, source: str, target: str, port: int, upstream: str, listen_host: str = HOST) -> ProxyLink:
        """Open a listener on a port for this link into HOST:PORT `upstream`; in a container it listens on other addresses than HOST."""
        name = f"{source}.{target}"
        with self as server:
            if (left := server.get_proxy(name)) is not None:
                left.destroy()  # by a run that was killed
            proxy = server.create(upstream=upstream, name=name, listen=f"{listen_host}:{port}", enabled=True)
        return ProxyLink(self, proxy, source, target, port)


class ProxyLink:
    """A harness.driving.system.Link; `port` is where the source group reaches the target."""

    def __init__(self, server: ProxyServer, proxy: toxiproxy.proxy.Proxy, source: str, target: str, port: int) -> None:
        self._server, self._proxy = server, proxy
        self.source, self.target, self.port = source, target, port
        self.reply_budget = REPLY_BUDGET_BYTES

    @property
    def name(self) -> str:
        """Name the link, as in reports."""
        return f"{self.source} -> {self.target}"

    def cut(self) -> None:
        """Swallow every byte in both directions; connections stay open."""
        self._add("timeout", "upstream", timeout=0)
        self._add("timeout", "downstream", timeout=0)

    def delay(self, latency_ms: int) -> None:
        """Delay each chunk by half of this in each direction."""
        self._add("latency", "upstream", latency=latency_ms // 2, jitter=latency_ms // 8)
        self._add("latency", "downstream", latency=latency_ms - latency_ms // 2, jitter=latency_ms // 8)

    def drop_replies(self) -> None:
        """Let requests pass; end each connection in the middle of an answer, soon."""
        self._add("limit_data", "downstream", bytes=self.reply_budget)

    def refuse(self) -> None:
        """End all connections and refuse new ones, as a dead node does."""
        with self._server:
            self._proxy.disable()

    def accept(self) -> None:
        """Accept connections again, toxics left as they are."""
        with self._server:
            self._proxy.enable()

    def heal(self) -> None:
        """Remove every toxic and accept connections; verified by asking the server."""
        with self._server:
            for name in list(self._proxy.toxics()):
                try:
                    self._proxy.destroy_toxic(name)
                except NotFound:
                    pass
            # Asked for by name: the list of all would wait for another link whose receiver does not read.
            if not _CheckedConsumer.get(f"/proxies/{self._proxy.name}").json()["enabled"]:
                self._proxy.enable()
            left = list(self._proxy.toxics())
        if left:
            raise Infrastructure(f"link {self.name}: toxics {left} are still there after healing")

    def close(self) -> None:
        """Remove the listener."""
        with self._server:
            self._proxy.destroy()

    def _add(self, kind: str, stream: str, **attributes: int) -> None:
        toxic = {"type": kind, "stream": stream, "name": f"{kind}_{stream}", "attributes": attributes}
        with self._server:
            try:
                self._proxy.add_toxic(**toxic)
            except ProxyExists:
                there = self._proxy.get_toxic(toxic["name"])
                if there is not None and attributes.items() <= there.attributes.items():
                    return  # already so: idempotent
                self._proxy.destroy_toxic(toxic["name"])
                self._proxy.add_toxic(**toxic)
