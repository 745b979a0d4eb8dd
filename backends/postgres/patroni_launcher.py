"""Patroni with shorter timing than it allows: `python patroni_launcher.py FILE`.

Patroni raises ttl to 20 and retry_timeout to 3 seconds in one function that it calls of itself; here that function's floors
are 5 and 1. A failover then takes 5 seconds instead of 20, by the same code. A deployment that runs this says so.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

LEAST = {"ttl": 5}
SHIPPED = {"ttl": 30}


def _adjusted(self: Any, config: MutableMapping[str, Any], parameter: str, least: int) -> int:
    value = max(int(config.get(parameter, SHIPPED.get(parameter, 10))), LEAST.get(parameter, 1))
    config[parameter] = value
    return value


if __name__ == "__main__":  # Patroni starts processes of its own, which import this file again
    import patroni.config
    from patroni.__main__ import main

    patroni.config.Config._Config__get_and_maybe_adjust_int_value = _adjusted
    main()
