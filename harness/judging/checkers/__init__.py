"""One property a file: a checker is a function from a History to a Verdict."""

from __future__ import annotations

from collections.abc import Callable

from harness.judging.verdict import Verdict
from harness.record.history import History

Checker = Callable[[History], Verdict]
