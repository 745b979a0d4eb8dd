"""The families of errors that a command ends with; everything else is a bug (exit 70), of the package whose code raised it."""

from __future__ import annotations


class UsageError(ValueError):
    """A user's mistake: one line that names the value and what was expected. Exit 64."""


class NotWritable(UsageError):
    """A folder that the user chose and that cannot be written: another one can. Exit 64."""


class Infrastructure(Exception):
    """The machine or a server failed us: exit 3, worth a retry, never a verdict."""


class Misfit(Exception):
    """What a plug-in gave is of no use: a bug of the package of `culprit`, a function or an object of it. Exit 70."""

    def __init__(self, culprit: object, said: str) -> None:
        super().__init__(said)
        self.module = str(getattr(getattr(culprit, "func", culprit), "__module__", ""))


class Elsewhere(Exception):
    """Where in another process an error was raised, as its cause: its trace, and the modules of the code that it came through."""

    def __init__(self, trace: str, modules: tuple[str, ...]) -> None:
        super().__init__(trace, modules)
        self.trace, self.modules = trace, modules

    def __str__(self) -> str:
        return f"in another process:\n{self.trace}"
