"""A report: the files that are drawn or written from a run directory, an entry point of the group `holdwater.reports`.

Every report that is installed is drawn of every run, those of other packages too. What was recorded and judged is on disk by
then: a report changes no verdict, and one that fails takes none of the others away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

LAST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A kind of files of a run directory.

    `draw` takes a directory with a results.json, of a run or a verify, writes its files there, and gives their paths: none where it
    has nothing to show of this directory. `place` orders the reports, the least first; ours have 10, 20, ..., equal ones go by name.
    """

    name: str
    sentence: str
    draw: Callable[[Path], Sequence[Path]]
    place: int = LAST


class NotDrawn(Exception):
    """A report failed, by the error that is the cause; the others were drawn all the same.

    `also` names the others that failed, `paths` are the files that were drawn.
    """

    def __init__(self, name: str, also: Sequence[str], paths: Sequence[Path]) -> None:
        self.name, self.also, self.paths = name, also, paths
        super().__init__(f"report {', '.join([name, *also])}")
