"""One property a file: a checker is a function from a History to a Verdict."""

from __future__ import annotations

from collections.abc import Callable

from harness.history import History
from harness.verdict import Verdict

Checker = Callable[[History], Verdict]
