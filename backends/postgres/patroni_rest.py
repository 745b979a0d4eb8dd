"""What Patroni's REST API is asked: who the members are, to take other settings of the cluster, to switch over."""

from __future__ import annotations

import http
import http.client
import json
from collections.abc import Mapping
from typing import Any

from harness.deploy.ports import HOST
from harness.errors import Infrastructure

ANSWER_S = 0.5
CONFIGURE_S = 10.0
SWITCH_OVER_S = 30.0  # it answers once another member leads, or it has given up


def members(port: int) -> list[dict[str, Any]]:
    """Give the cluster's members as the Patroni at this port knows them; none where it does not answer."""
    try:
        found: list[dict[str, Any]] = _ask(port, "GET", "/cluster", ANSWER_S).get("members", [])
    except (OSError, http.client.HTTPException, ValueError):
        return []
    return found


def version(port: int) -> str:
    """Give Patroni's version, "unknown" where it does not answer."""
    try:
        return str(_ask(port, "GET", "/patroni", ANSWER_S)["patroni"]["version"])
    except (OSError, http.client.HTTPException, ValueError, LookupError):
        return "unknown"


def configure(port: int, settings: Mapping[str, Any]) -> None:
    """Change settings of the whole cluster; members take them within their loop_wait. Raises Infrastructure."""
    try:
        told = _ask(port, "PATCH", "/config", CONFIGURE_S, json.dumps(settings))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Infrastructure(f"Patroni did not take {dict(settings)}: {error}") from None
    lacking = {name for name, value in settings.items() if told.get(name) != value}
    if lacking:
        raise Infrastructure(f"Patroni did not take {', '.join(sorted(lacking))} of {dict(settings)}: it says {told}")


def switch_over(port: int, leader: str) -> None:
    """Ask for another leader than this one, whichever Patroni chooses; return once it leads. Raises Infrastructure."""
    try:
        status, text = _said(port, "POST", "/switchover", SWITCH_OVER_S, json.dumps({"leader": leader}))
    except (OSError, http.client.HTTPException) as error:
        raise Infrastructure(f"Patroni did not switch over from {leader}: {error}") from None
    if status != http.HTTPStatus.OK:
        raise Infrastructure(f"Patroni did not switch over from {leader}: {status} {text.strip()}")


def _ask(port: int, method: str, path: str, within_s: float, body: str | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(_said(port, method, path, within_s, body)[1])
    return answer


def _said(port: int, method: str, path: str, within_s: float, body: str | None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=within_s)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        with connection.getresponse() as response:
            return response.status, response.read().decode("utf-8")
    finally:
        connection.close()
