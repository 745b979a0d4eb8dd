"""Where a time lies on the paper: the plot's left and right edge, and the axis below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reports.marks import INK2, INK3, RULE, SMALLEST_PX, WIDTH_PX, Mark, Words, line, text_width

MARGIN = 20
RIGHT = WIDTH_PX - 30  # the last number of the axis stands half beyond the plot
GAP = 8
SECONDS = (1_000_000_000, "seconds")
FOREIGN = (1, "events")  # a foreign history without real times counts its events


@dataclass(frozen=True, slots=True)
class Frame:
    """The window in time and the plot's left edge in pixels."""

    start: int
    end: int
    left: float

    def x(self, at: int) -> float:
        """Give the place of an instant, at the edge where it is outside."""
        inside = min(max(at, self.start), self.end)
        return self.left + (inside - self.start) * (RIGHT - self.left) / (self.end - self.start)

    def label(self, y0: float, y1: float, text: str, colour: str = INK2) -> Words:
        """Give the name of a row, beside the plot."""
        return Words(self.left - GAP, (y0 + y1) / 2 + 0.36 * SMALLEST_PX, text, colour=colour, align="right")


def ticks(start: int, end: int, room: float) -> tuple[list[int], int, str, int]:
    """Give round times inside the window, the unit in ns, its name, and the decimals that tell them apart."""
    unit, name = SECONDS if end >= 100_000 else FOREIGN
    for step in _round_numbers():
        decimals = 0
        while step % (unit // 10**decimals):
            decimals += 1
        letters = len(f"{end / unit:.{decimals}f}")
        if (end - start) / step * (11 * letters + 36) <= room:
            break
    first = -(-start // step) * step
    return list(range(first, end + 1, step)), unit, name, decimals


def _round_numbers() -> Iterator[int]:
    size = 1
    while True:
        yield from (size, 2 * size, 5 * size)
        size *= 10


def grid(frame: Frame, top: float, bottom: float) -> list[Mark]:
    """Give the axis without its numbers: the line at `bottom` with its ticks, and the faint lines up to `top`."""
    marks: list[Mark] = [line((frame.left, bottom), (RIGHT, bottom), INK3, 1.4)]
    for time in ticks(frame.start, frame.end, RIGHT - frame.left)[0]:
        x = frame.x(time)
        marks += [line((x, top), (x, bottom), RULE, 1, 1), line((x, bottom), (x, bottom + 5), INK3, 1.4)]
    return marks


def axis(frame: Frame, top: float, bottom: float) -> list[Mark]:
    """Give the axis with its numbers below `bottom`, 34 px high, and the faint lines up to `top`."""
    at, unit, name, decimals = ticks(frame.start, frame.end, RIGHT - frame.left)
    marks = grid(frame, top, bottom)
    for time in at:
        text = f"{time / unit:.{decimals}f}"
        inside = min(frame.x(time), WIDTH_PX - 6 - text_width(text, SMALLEST_PX) / 2)
        marks.append(Words(inside, bottom + 24, text, colour=INK2, align="center"))
    first = text_width(f"{at[0] / unit:.{decimals}f}", SMALLEST_PX) / 2 - (frame.x(at[0]) - frame.left) if at else 0
    marks.append(Words(frame.left - max(first, 0) - 12, bottom + 24, name, colour=INK2, align="right"))
    return marks
