"""Write the files that the guides show into them: a code block under a comment that names a file of the repository is that file.

Run by hand after a change (`python docs/guides.py`); a test says when it was forgotten.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHOWN = re.compile(r"^<!-- (?P<path>\S+) -->\n```(?P<language>\w+)\n.*?^```$", re.MULTILINE | re.DOTALL)


def every_guide() -> list[Path]:
    """Give every guide, and what else shows files."""
    return sorted([*(ROOT / "docs").glob("adding-a-*.md"), ROOT / "docs" / "claims.md"])


def shown(guide: str) -> list[str]:
    """Name the files that a guide's text shows."""
    return [each["path"] for each in SHOWN.finditer(guide)]


def included(guide: str) -> str:
    """Give a guide's text with every file that it shows as the file is."""
    return SHOWN.sub(lambda each: f"<!-- {each['path']} -->\n```{each['language']}\n{(ROOT / each['path']).read_text('utf-8')}```", guide)


if __name__ == "__main__":
    for path in every_guide():
        path.write_text(included(path.read_text("utf-8")), "utf-8")
