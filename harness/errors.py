"""The families of errors that a command ends with; everything else is a bug of ours (exit 70)."""

from __future__ import annotations


class UsageError(ValueError):
    """A user's mistake: one line that names the value and what was expected. Exit 64."""


class NotWritable(UsageError):
    """A folder that the user chose and that cannot be written: another one can. Exit 64."""


class Infrastructure(Exception):
    """The machine or a server failed us: exit 3, worth a retry, never a verdict."""
