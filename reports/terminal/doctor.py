"""What `doctor` shows: the machine, its servers, each fault on each backend, and what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from harness import program
from reports import phrases
from reports.terminal.lines import (
    GAP,
    INDENT,
    MARKS,
    QUIET,
    STRONG,
    Lines,
    clean,
    cleaned,
    padded,
    rendered,
    spaced,
    stripped,
    wrapped,
)

Found = Mapping[str, Any]


def doctor(results: Found, *, colour: bool, width: int = 80) -> str:
    """Show what this machine can run, each fault on each backend, and the remedy where something is missing."""
    remedies = _remedies(results)
    sections = [
        _machine(results, width),
        _servers(results["servers"], remedies, width),
        _matrix(results["backends"], remedies, width),
        _numbered(results, remedies, width),
        _impossible(results["backends"], width),
        _doctor_end(results, width),
    ]
    return rendered(spaced(sections), colour=colour)


def _remedies(results: Found) -> dict[str, list[str]]:
    """Give each remedy with whom it helps, in order of their numbers."""
    found: dict[str, list[str]] = {}
    for backend in results["backends"]:
        if backend["missing"] is not None:
            found.setdefault(clean(backend["missing"]), []).append(backend["name"])
    for server in results["servers"]:
        if server["version"] is None and not any(server["name"] in remedy for remedy in found):
            first = f"{server['tools']}, then " if server.get("tools") else ""
            found[f"no {server['name']} on this machine; {first}run: {program.command('install', server['name'])}"] = [server["name"]]
    return found


def _number_of(remedies: Mapping[str, list[str]], name: str) -> str:
    return next((str(n) for n, (text, helped) in enumerate(remedies.items(), 1) if name in helped or name in text.split()), "")


def _machine(results: Found, width: int) -> Lines:
    cores = phrases.counted(results["cores"] or 0, "core")
    said = f"Python {results['python']}, {results['system']}, {cores}; run as root: {'yes' if results['root'] else 'no'}"
    ended = results.get("ended") or 0
    more = (
        wrapped(
            Text(f"ended here: {phrases.counted(ended, 'process or container', 'processes or containers')} that crashed runs had left"),
            width,
            2,
        )
        if ended
        else []
    )
    return [*wrapped(cleaned(said), width, 2), *more]


def _servers(servers: Sequence[Found], remedies: Mapping[str, list[str]], width: int) -> Lines:
    lines: Lines = [Text("SERVERS", STRONG)]
    names = max((cell_len(server["name"]) for server in servers), default=0)
    for server in servers:
        head = Text.assemble("  ", padded(cleaned(server["name"]), names + GAP))
        if server["version"] is None:
            lines += wrapped(Text.assemble(head, "not found, remedy ", _number_of(remedies, server["name"])), width, head.cell_len)
            continue
        said = f"{server['product']} {server['version']}, {server['source']}"
        lines += wrapped(Text.assemble(head, cleaned(said)), width, head.cell_len)
        lines += wrapped(Text.assemble(" " * INDENT, cleaned(server["path"], QUIET)), width, INDENT)
    return lines if servers else []


def _matrix(backends: Sequence[Found], remedies: Mapping[str, list[str]], width: int) -> Lines:
    """Give fault x backend; backends stand side by side, as many as fit, since their number is small and their names are short."""
    names = list(dict.fromkeys(fault for backend in backends for fault in backend["faults"]))
    first = min(max([cell_len(name) for name in names], default=0) + 2 + GAP, width // 2)
    lines: Lines = []
    for block in _blocks(backends, width - first):
        wide = [cell_len(clean(backend["name"])) for backend in block]
        columns = [cleaned(backend["name"], STRONG) for backend in block]
        lines += [Text("")] if lines else []
        lines.append(_row(Text("LOCAL" if block[0] is backends[0] else "", STRONG), first, columns, wide))
        for name in names:
            cells = [_feasible(backend, name, remedies) for backend in block]
            lines += [_row(Text.assemble("  ", cleaned(name)), first, cells, wide)]
    return lines


def _blocks(backends: Sequence[Found], room: int) -> Iterator[list[Found]]:
    block: list[Found] = []
    for backend in backends:
        if block and sum(cell_len(clean(each["name"])) + GAP for each in [*block, backend]) > room + GAP:
            yield block
            block = []
        block.append(backend)
    if block:
        yield block


def _row(head: Text, first: int, cells: Sequence[Text], widths: Sequence[int]) -> Text:
    parts = [padded(head, first)]
    for cell, wide in zip(cells, widths, strict=True):
        left = (wide - cell.cell_len) // 2
        parts.append(padded(Text.assemble(" " * left, cell), wide + GAP))
    return stripped(Text.assemble(*parts))


def _feasible(backend: Found, fault: str, remedies: Mapping[str, list[str]]) -> Text:
    if fault not in backend["faults"] or backend["faults"][fault] is not None:
        return Text(*MARKS["unavailable"])
    if backend["missing"] is not None:
        return Text(_number_of(remedies, backend["name"]), STRONG)
    return Text(*MARKS["holds"])


def _numbered(results: Found, remedies: Mapping[str, list[str]], width: int) -> Lines:
    lines: Lines = []
    for number, (text, helped) in enumerate(remedies.items(), 1):
        lines += wrapped(Text.assemble(f"  {number}  ", cleaned(f"{', '.join(helped)}: {text}")), width, 5)
    return [Text("REMEDIES", STRONG), *lines] if lines else []


def _impossible(backends: Sequence[Found], width: int) -> Lines:
    """Tell why faults are refused; what differs by the fault's name only is told once."""
    told: dict[tuple[str, str], list[str]] = {}
    for backend in backends:
        for fault, reason in backend["faults"].items():
            if reason is not None:
                told.setdefault((backend["name"], re.sub(rf"(?<![\w-]){re.escape(fault)}(?![\w-])", "\0", reason)), []).append(fault)
    lines: Lines = []
    for (_, reason), refused in told.items():
        words = reason.replace("\0", refused[0] if len(refused) == 1 else phrases.listed(refused))
        lines += wrapped(Text.assemble("  ", ("–", QUIET), "  ", cleaned(words)), width, 5)
    return [Text("WHAT IS NOT POSSIBLE AT ALL", STRONG), *lines] if lines else []


def _doctor_end(results: Found, width: int) -> Lines:
    claims = results["claims"]
    said = f"{claims['runnable']} of {phrases.counted(claims['total'], 'claim')} can run here"
    lacking = claims["unavailable"]
    said += f"; {len(lacking)} would be unavailable: {', '.join(lacking)}." if lacking else "."
    lacks = any(backend["missing"] is not None for backend in results["backends"])
    meaning = "every backend can be started here"
    if lacks:
        meaning = "part of the table cannot be judged on this machine"
    if lacks and results["exit"] == 0:
        meaning = "all that is not optional can be started here"
    return [*wrapped(cleaned(said), width, 2), *wrapped(cleaned(f"exit {results['exit']}: {meaning}"), width, 2)]
