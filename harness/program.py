"""How this program was called, so that a command that it prints works where it is pasted.

`.venv/bin/holdwater` is not on PATH after `make verify`, and `python -m harness` may be another one than PATH finds.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

NAME = "holdwater"


def words() -> list[str]:
    """Give the words that call this program again: its plain name only where PATH finds this very one."""
    called = Path(sys.argv[0])
    if called.resolve() == Path(__file__).resolve().with_name("__main__.py"):
        return [sys.orig_argv[0], "-m", "harness"]
    found = shutil.which(NAME)
    if called.name != NAME or (found is not None and Path(found).resolve() == called.resolve()):
        return [NAME]
    return [str(called)]


def command(*arguments: str) -> str:
    """Give a command line of this program, quoted for a shell."""
    return shlex.join([*words(), *arguments])
