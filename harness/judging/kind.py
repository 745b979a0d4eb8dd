"""A class of anomalies: its name, and all that is said of it, beside the check that finds it.

What is told of a history begins with the first anomaly of its worst kind. The order is a number of each kind, so that one
of a third party's check finds its place between ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from harness import registry
from harness.errors import UsageError

LAST = 1000
OF_ONE, OF_MANY = ("key",), ("n", "times", "who")
"""What is filled into a heading, and into a finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A class of anomalies. `rank` orders kinds, the worst first: ours are 10, 20, 30 ...

    `rule` is what the anomaly contradicts, a sentence. `heading` names one anomaly by its {key}. `one` and `many` are findings
    of a whole run, with the places {n}, {times} and {who}. `brief` is for where there is room for a few letters (default: the name).
    `of_a_key`: findings count keys, however many anomalies each of them has. `strip`: one is told with a strip of who held the lock.
    `caused`: also with all that took effect on its lock meanwhile. `each_operation`: pictures mark each of its operations, not one.
    """

    name: str
    rule: str
    heading: str
    one: str
    many: str
    rank: int = LAST
    brief: str = ""
    of_a_key: bool = False
    strip: bool = False
    caused: bool = False
    each_operation: bool = False

    @property
    def words(self) -> str:
        """Say it in a few letters."""
        return self.brief or self.name.replace("-", " ")

    @property
    def flaw(self) -> str | None:
        """Say which of its texts cannot be filled in, None if all can."""
        for name, text, places in (("heading", self.heading, OF_ONE), ("one", self.one, OF_MANY), ("many", self.many, OF_MANY)):
            try:
                text.format(**dict.fromkeys(places, ""))
            except (LookupError, ValueError, AttributeError) as error:
                expected = " and ".join(f"{{{place}}}" for place in places)
                return f"{name} of class {self.name} is {text!r} ({type(error).__name__}: {error}), expected no places but {expected}"
        return None


def unheard(name: str) -> Kind:
    """Give the kind of an anomaly whose check is not installed here: known by its name alone."""
    return Kind(name=name, rule="", heading=f"{{key}}: {name}", one=f"One anomaly: {name}", many=f"{{n}} anomalies: {name}")


def kind_of(name: str) -> Kind:
    """Give the kind of a name, also of one that no installed check has."""
    return every_kind().get(name) or unheard(name)


@cache
def every_kind() -> Mapping[str, Kind]:
    """Give the kinds of all installed checks by name, the worst first; raise UsageError where two checks have one name for theirs."""
    found: dict[str, tuple[Kind, str]] = {}
    for check in registry.names("checks"):
        for kind in registry.load("checks", check).kinds:
            if kind.name in found:
                raise UsageError(f"class {kind.name} of check {check} is also of check {found[kind.name][1]}, expected a name of its own")
            found[kind.name] = kind, check
    return {kind.name: kind for kind, _ in sorted(found.values(), key=lambda each: each[0].rank)}
