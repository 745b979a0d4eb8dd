"""How times, clients, faults and operations are said in English: the same words in pictures, anomalies and titles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness import registry
from harness.driving.nemesis import Words
from harness.judging.family import answered_here
from harness.record.history import History, Operation, RecordedFault
from reports.scene import NodeSeen

NS_PER_MS, NS_PER_S = 1_000_000, 1_000_000_000
LEAST_TIME_NS = 100_000  # no operation of a run ends sooner


def seconds(ns: int) -> str:
    """Say a time since the run began: three decimals."""
    return f"{ns / NS_PER_S:.3f}"


def moment(ns: int) -> str:
    """Say when: seconds since the run began; the event where a foreign history has no times of its own and counts its events."""
    return f"{seconds(ns)} s" if ns >= LEAST_TIME_NS or ns == 0 else f"event {ns}"


def duration(ns: int) -> str:
    """Say a duration: milliseconds up to a second, then seconds."""
    if ns < NS_PER_MS:
        return f"{ns / NS_PER_MS:.2g} ms" if ns else "0 ms"
    return f"{ns / NS_PER_MS:.0f} ms" if ns < NS_PER_S else f"{ns / NS_PER_S:.3f} s"


def lease(ttl_ms: int) -> str:
    """Say a TTL as it was given."""
    return f"{ttl_ms / 1000:g} s" if ttl_ms >= 1000 else f"{ttl_ms} ms"


def counted(n: int, one: str, many: str | None = None) -> str:
    """Say a number of things: 1 key, 1,204 keys."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """Join names: a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1] if names else ""]))


def times(n: int) -> str:
    """Say how often."""
    return {1: "once", 2: "twice"}.get(n, f"{n:,} times")


def slots(numbers: Iterable[int]) -> str:
    """Say which clients: client 3, clients 0–3, clients 0, 2 and 5."""
    found = sorted(set(numbers))
    if len(found) > 2 and found[-1] - found[0] == len(found) - 1:
        return f"clients {found[0]}–{found[-1]}"
    return f"client{'s' if len(found) > 1 else ''} {listed([str(n) for n in found])}"


def group(history: History, name: str) -> str:
    """Say a source group: clients of a side by their numbers, others by their name."""
    sides = history.header.sides if history.header else {}
    members = [int(slot) for slot, side in sides.items() if side == name]
    return slots(members) if members else name


def fault(history: History, seen: RecordedFault) -> str:
    """Say what a fault does to whom: what is cut from what."""
    words = _words(seen).does if seen.targets else Words().does
    return words.format_map(_places(history, seen)).strip()


def healed(history: History, seen: RecordedFault) -> str:
    """Say what the healing of a fault did: "redis-1 started again"."""
    return _words(seen).healed.format_map(_places(history, seen))


def _words(seen: RecordedFault) -> Words:
    """Give the words of a fault that is installed; one that is not is told by its name."""
    return registry.load("faults", seen.name).words if seen.name in registry.names("faults") else Words()


def _places(history: History, seen: RecordedFault) -> Mapping[str, str]:
    return {
        "name": seen.name,
        "targets": ", ".join(seen.targets),
        "node": seen.node,
        "primary": seen.node,
        "group": group(history, seen.node),
        "source": listed(list(dict.fromkeys(group(history, target.partition(" -> ")[0]) for target in seen.targets))),
        "inner": _inner(history, seen),
    }


def _inner(history: History, seen: RecordedFault) -> str:
    sides = sorted(set(history.header.sides.values())) if history.header else []
    return f"{seen.node} and {group(history, sides[0])}" if len(sides) > 1 else seen.node


def proof(seen: RecordedFault) -> str:
    """Say what the probe of a fault saw, in a few words; empty where it told nothing."""
    if seen.active is None:
        return f"not proved: {seen.reason}" if seen.reason is not None else "not proved"
    facts = _facts(seen.probe)
    return f"proved: {', '.join(facts)}" if facts else "proved"


def _facts(probe: Mapping[str, Any]) -> list[str]:
    facts: list[str] = []
    arrived, passed = probe.get("marker_arrived"), probe.get("client_links_pass")
    if isinstance(arrived, Mapping):
        facts.append(f"marker reached {sum(map(bool, arrived.values()))} of {counted(len(arrived), 'peer')}")
    if isinstance(passed, Mapping):
        facts.append(f"through {sum(map(bool, passed.values()))} of {counted(len(passed), 'client link')}")
    if "state" in probe:
        facts.append({"dead": "its process is gone", "paused": "its process is stopped"}.get(probe["state"], str(probe["state"])))
    elif "run_id" in probe:
        facts.append("a new run id")
    if isinstance(probe.get("slept"), list):
        facts.append(f"{counted(len(probe['slept']), 'holder')} slept longer than a lease lasts")
    links = [each for each in probe.values() if isinstance(each, Mapping) and {"arrived", "answered"} <= set(each)]
    if links:
        facts.append(_links(links))
    return facts


def _links(links: Sequence[Mapping[str, Any]]) -> str:
    arrived, answered = (sum(bool(link[name]) for link in links) for name in ("arrived", "answered"))
    late = [link["took_ms"] for link in links if link.get("took_ms") is not None]
    if answered == len(links) and late:
        return f"answered after {max(late):.0f} ms"
    return f"{arrived} of {counted(len(links), 'marker')} arrived, {answered} answered"


def since(history: History, seen: RecordedFault, around: Iterable[NodeSeen]) -> str:
    """Say a fault as what something came after: "the primary was cut off"."""
    was = {node.name: node.role(seen.first.time) for node in around}
    led = was.get(seen.node) == "primary" and len(was) > 1
    return _words(seen).since.format_map({**_places(history, seen), **({"primary": "the primary"} if led else {})})


def after(history: History, seen: RecordedFault, around: Iterable[NodeSeen], at: int) -> str:
    """Say how long an instant came after the begin of a fault: "2.75 s after the primary was cut off"."""
    took = at - seen.first.time
    return f"{f'{took / NS_PER_S:.2f} s' if took >= NS_PER_S else duration(took)} after {since(history, seen, around)}"


def client(history: History, process: int) -> str:
    """Say a client by its slot, as pictures do."""
    return f"client {history.slot(process)}"


def by(operation: Operation) -> str:
    """Say who answered: a server by its name, and that the record which a lock protects is ours."""
    return "the record, ours" if operation.f in answered_here() else str(operation.node)


def asked(operation: Operation) -> str:
    """Say what a client asks: "acquires t1-anchor-0, TTL 12 s"."""
    argument = operation.argument if isinstance(operation.argument, Mapping) else {}
    key = operation.key if operation.key is not None else "the object"
    f = operation.f
    if f in ("try_acquire", "acquire_within"):
        return f"asks for {key}, TTL {lease(argument.get('ttl_ms') or 0)}"
    if f == "extend":
        return f"extends {key} to {lease(argument.get('duration_ms') or 0)} from now"
    if f == "release" and argument:
        return f"releases {key}"
    if f == "is_held":
        return f"asks whether it holds {key}"
    if f == "check_and_set":
        return f"tries to be the first to set {key} to {argument.get('value')!r}"
    if f in ("get", "get_versioned", "read"):
        return f"reads {key}"
    if f in ("set", "write"):
        return f"sets {key} to {argument.get('value') if argument else operation.argument!r}"
    if f == "resource_read":
        return f"reads {key}{_presented(argument)}"
    if f == "resource_write":
        return f"sets {key} to {argument.get('value')}{_presented(argument)}"
    if f == "compare_and_swap":
        return f"swaps {key} from version {argument.get('expected')} to {argument.get('value')!r}"
    if f == "increment":
        return f"adds {argument.get('delta')} to {key}"
    if "time_ms" in argument:
        return f"enters {argument.get('key')} at {argument['time_ms']} into {key}"
    if f.startswith("remove_") and "key" in argument:
        return f"takes {argument['key']} out of {key}"
    if "now_ms" in argument:
        return f"lists {key} up to {argument['now_ms']}"
    if f == "scan_keys":
        return f"scans {':'.join(str(argument.get(name)) for name in ('namespace', 'tenant', 'kind', 'prefix'))}"
    if f == "scan_keys_by_kind":
        return f"scans the kind {argument.get('kind')}"
    if f == "cas" and isinstance(operation.argument, Sequence) and len(operation.argument) == 2:
        return f"swaps {key} from {operation.argument[0]!r} to {operation.argument[1]!r}"
    told = ", ".join(f"{name} {value}" for name, value in argument.items())
    return f"{f.replace('_', ' ')} {key}" + (f" ({told})" if told else "")


def _presented(argument: Mapping[str, Any]) -> str:
    token = argument.get("fencing_token")
    return "" if token is None else f" with token {token}"


def answered(operation: Operation) -> str:
    """Say how it ended: "granted, token 4"; "refused"; "fail: no effect (READONLY)"."""
    why = f" ({operation.error})" if operation.error else ""
    if operation.status == "fail":
        return f"fail, certainly no effect{why}"
    if operation.status == "info":
        return f"no answer, it may have happened{why}"
    return _result(operation)


def _result(operation: Operation) -> str:
    result = operation.result
    if not isinstance(result, Mapping):
        return "done" if result is None and operation.f not in ("read", "get") else f"answer {result!r}"
    words = {
        "granted": ("granted", "refused"),
        "held": ("it does", "it does not") if operation.f == "is_held" else ("extended", "refused: not its lease"),
        "released": ("released", "refused: not its lease"),
        "set": ("it is the first", "somebody was before"),
        "deleted": ("deleted", "nothing there"),
        "swapped": ("swapped", "refused"),
        "written": ("taken", "refused: a later holder has come"),
    }
    told = [words[name][0 if result[name] else 1] for name in words if name in result]
    if result.get("fencing_token") is not None:
        told.append(f"token {result['fencing_token']}")
    for name, noun in (("keys", ("entry", "entries")), ("items", ("key", "keys"))):
        if isinstance(result.get(name), list | tuple):
            told.append(f"gives {counted(len(result[name]), *noun)}")
    if "value" in result:
        told.append("nothing" if result["value"] is None else f"value {result['value']!r}")
    if "version" in result:
        told.append(f"version {result['version']}")
    return ", ".join(told) or "done"
