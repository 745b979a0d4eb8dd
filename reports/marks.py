"""Marks of a picture, as data, and the one place that turns them into a PNG.

A figure is laid out in pixels, y down, as a list of marks; drawing comes last. So a test can ask what
no test of a picture can: is any text too small, clipped, or on top of another? Rejected: matplotlib's
own axes and layout, where a lane's height and a label's place follow from the data and the font.

matplotlib is imported inside functions (half a second), without pyplot: no global figure, no backend.
"""

from __future__ import annotations

import io
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from harness.record import store

WIDTH_PX = 1600
SMALLEST_PX = 17
DPI = 100
FONT = "DejaVu Sans"  # comes with matplotlib: the same picture on every machine

# VISUAL 2, the light theme: colour is for what is wrong, calm blue-grey is normal.
PAPER, RULE, INK, INK2, INK3 = "#ffffff", "#dce0e5", "#15181c", "#535b66", "#7b848f"
MUST, MAY, OVERLAP, FLAG = "#3b6ea5", "#5c84ad", "#c93d0c", "#b5310a"
COUNT = "#8fadce"
TINT, EDGE, BAR, BAR_TEXT = "#f6edd9", "#8a6a1f", "#efdcb0", "#5c4508"
OK, INFO, PRIMARY = "#7b848f", "#a1246f", "#3d4650"


Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle, with an outline where `edge` is given."""

    x0: float
    y0: float
    x1: float
    y1: float
    colour: str
    z: int = 2
    edge: str | None = None


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through points; `dash` is lengths of ink and gap in pixels."""

    points: tuple[Point, ...]
    colour: str
    px: float = 1
    z: int = 3
    dash: tuple[float, ...] | None = None
    opacity: float = 1


@dataclass(frozen=True, slots=True)
class Shape:
    """A filled polygon with a halo of the paper's colour."""

    points: tuple[Point, ...]
    colour: str
    z: int = 6


@dataclass(frozen=True, slots=True)
class Points:
    """Many equal marks, drawn as one: dots, × or ? of `px` pixels, each around its point."""

    points: tuple[Point, ...]
    shape: Literal["dot", "cross", "question"]
    colour: str
    px: float
    z: int = 5
    opacity: float = 1
    halo: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """A text on a baseline; (x, y) is its left end, middle or right end as `align` says."""

    x: float
    y: float
    text: str
    px: float = SMALLEST_PX
    colour: str = INK
    bold: bool = False
    align: Literal["left", "center", "right"] = "left"
    halo: bool = False
    z: int = 8

    @property
    def left(self) -> float:
        """Give where the text begins."""
        width = text_width(self.text, self.px, bold=self.bold)
        return self.x - {"left": 0.0, "center": width / 2, "right": width}[self.align]

    @property
    def right(self) -> float:
        """Give where the text ends."""
        return self.left + text_width(self.text, self.px, bold=self.bold)


Mark = Box | Stroke | Shape | Points | Words


def line(start: Point, end: Point, colour: str, px: float = 1, z: int = 3) -> Stroke:
    """Give a straight stroke."""
    return Stroke((start, end), colour, px, z)


def middle(y0: float, y1: float, px: float = SMALLEST_PX) -> float:
    """Give the baseline of a text in the middle of a row."""
    return (y0 + y1) / 2 + 0.36 * px


def hatch(x0: float, y0: float, x1: float, y1: float, z: int = 3) -> list[Mark]:
    """Give the may-hold bar: outlined, 45 degree lines, 6 px apart and fixed to the paper."""
    marks: list[Mark] = [Box(x0, y0, x1, y1, PAPER, z, edge=MAY)]
    step, first = 6, int((x0 + y0) // 6 + 1) * 6
    for total in range(first, int(x1 + y1) + 1, step):  # along each line x + y is the same
        low, high = max(x0, total - y1), min(x1, total - y0)
        if high - low > 0.5:
            marks.append(line((low, total - low), (high, total - high), MAY, 1.3, z))
    return marks


def cross(x: float, y: float, half: float = 5.5, z: int = 7, colour: str = INK) -> list[Mark]:
    """Give a × with a halo."""
    arms = ((-half, -half, half, half), (-half, half, half, -half))
    halo: list[Mark] = [line((x + a, y + b), (x + c, y + d), PAPER, 6.5, z - 1) for a, b, c, d in arms]
    return halo + [line((x + a, y + b), (x + c, y + d), colour, 2.8, z) for a, b, c, d in arms]


def triangle(x: float, bottom: float, colour: str = INK, half: float = 8, z: int = 7) -> Shape:
    """Give a ▲ that stands on `bottom`."""
    return Shape(((x - half, bottom), (x + half, bottom), (x, bottom - 1.8 * half)), colour, z)


def diamond(x: float, y: float, colour: str = FLAG, half: float = 7, z: int = 7) -> Shape:
    """Give a diamond around a point: where a violation that is no overlap was seen."""
    return Shape(((x - half, y), (x, y - half), (x + half, y), (x, y + half)), colour, z)


def shorten(text: str, room: float, px: float = SMALLEST_PX, *, bold: bool = False) -> str:
    """Give the text, cut in its middle to the room in pixels."""
    text = printable(text)
    if text_width(text, px, bold=bold) <= room:
        return text

    def cut(kept: int) -> str:
        return f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}" if kept > 1 else "…"

    # By halves: a name of 1,000 letters, measured once for each letter less, took half a minute.
    too_many = bisect_left(range(2, len(text)), True, key=lambda kept: text_width(cut(kept), px, bold=bold) > room)
    return cut(too_many + 1)


def wrap(text: str, room: float, px: float, *, bold: bool = False) -> list[str]:
    """Break a text into lines at its spaces."""
    lines: list[str] = []
    for word in printable(text).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, px, bold=bold) <= room:
            lines[-1] = longer
        else:
            lines.append(shorten(word, room, px, bold=bold))
    return lines


@cache
def text_width(text: str, px: float, *, bold: bool = False) -> float:
    """Measure a text in pixels, as it will be drawn."""
    width, _, _ = _renderer().get_text_width_height_descent(text, _font(px, bold), False)
    return float(width)


def printable(text: str) -> str:
    """Replace what the font has no glyph for: keys may hold any character."""
    known = _glyphs()
    return "".join(each if ord(each) in known and each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


@cache
def _renderer() -> Any:
    from matplotlib.backends import backend_agg

    agg: Any = backend_agg
    return agg.RendererAgg(1, 1, DPI)


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib import font_manager

    return frozenset(font_manager.get_font(font_manager.findfont(_font(SMALLEST_PX, False))).get_charmap())


@cache
def _font(px: float, bold: bool) -> Any:
    from matplotlib.font_manager import FontProperties

    return FontProperties(family=FONT, size=px * 72 / DPI, weight="bold" if bold else "normal")


def render(marks: Iterable[Mark], height_px: int, path: Path) -> None:
    """Write marks as a PNG of `WIDTH_PX` by `height_px`, on white; O(n) in marks, one collection per look."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_PX / DPI, height_px / DPI), dpi=DPI, facecolor=PAPER)
    canvas: Any = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, WIDTH_PX)
    axes.set_ylim(height_px, 0)
    axes.axis("off")
    kinds: dict[type, list[Any]] = defaultdict(list)
    for mark in marks:
        kinds[type(mark)].append(mark)
    _boxes(axes, kinds[Box])
    _strokes(axes, kinds[Stroke])
    _shapes(axes, kinds[Shape])
    _points(axes, kinds[Points])
    _words(axes, kinds[Words])
    picture = io.BytesIO()
    canvas.print_png(picture, metadata={"Software": "holdwater"})
    store.save(path, picture.getvalue())


def _boxes(axes: Any, boxes: Sequence[Box]) -> None:
    from matplotlib.collections import PolyCollection

    looks: dict[tuple[int, str, str | None], list[Any]] = defaultdict(list)
    for each in boxes:
        looks[each.z, each.colour, each.edge].append([(each.x0, each.y0), (each.x1, each.y0), (each.x1, each.y1), (each.x0, each.y1)])
    for (z, colour, edge), corners in looks.items():
        look: dict[str, Any] = {
            "facecolors": colour,
            "edgecolors": edge or "none",
            "linewidths": 0.9 if edge else 0,
            "antialiaseds": edge is not None,
        }
        axes.add_collection(PolyCollection(corners, zorder=z, snap=True, **look), autolim=False)


def _strokes(axes: Any, strokes: Sequence[Stroke]) -> None:
    from matplotlib.collections import LineCollection

    looks: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for each in strokes:
        looks[each.z, each.colour, each.px, each.dash, each.opacity].append(each.points)
    for (z, colour, px, dash, opacity), points in looks.items():
        width = px * 72 / DPI
        style = (0, tuple(length / px for length in dash)) if dash else "solid"  # dashes scale with the width
        look: dict[str, Any] = {"colors": colour, "linewidths": width, "linestyles": [style], "alpha": opacity, "capstyle": "butt"}
        axes.add_collection(LineCollection(points, zorder=z, **look), autolim=False)


def _shapes(axes: Any, shapes: Sequence[Shape]) -> None:
    from matplotlib.collections import PolyCollection

    looks: dict[tuple[int, str], list[Any]] = defaultdict(list)
    for each in shapes:
        looks[each.z, each.colour].append(each.points)
    for (z, colour), points in looks.items():
        axes.add_collection(PolyCollection(points, zorder=z, facecolors=colour, edgecolors=PAPER, linewidths=1.4), autolim=False)


def _points(axes: Any, points: Sequence[Points]) -> None:
    from matplotlib.lines import Line2D

    for each in points:
        x, y = zip(*each.points, strict=True) if each.points else ((), ())
        stroke_px = 2.8 if each.shape == "cross" else 0.0
        layers = [(PAPER, stroke_px + 3.7, each.z - 0.5)] if each.halo else []
        for colour, width_px, z in [*layers, (each.colour, stroke_px, each.z)]:
            look: dict[str, Any] = {
                "markerfacecolor": colour,
                "markeredgecolor": colour,
                "markeredgewidth": width_px * 72 / DPI,
                "alpha": each.opacity,
            }
            marker = {"dot": "o", "cross": "x", "question": _question()}[each.shape]
            axes.add_line(Line2D(x, y, linestyle="none", marker=marker, markersize=each.px * 72 / DPI, zorder=z, **look))


@cache
def _question() -> Any:
    """Give the outline of a bold ?, its middle at the origin: a thousand of them as texts take seconds."""
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    outline = TextPath((0, 0), "?", prop=_font(SMALLEST_PX, True))
    box = outline.get_extents()
    return Affine2D().translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2).transform_path(outline)


def _words(axes: Any, words: Sequence[Words]) -> None:
    from matplotlib.patheffects import withStroke

    for each in words:
        text = axes.text(
            each.x,
            each.y,
            each.text,
            color=each.colour,
            fontproperties=_font(each.px, each.bold),
            ha=each.align,
            va="baseline",
            zorder=each.z,
            parse_math=False,
            usetex=False,
        )
        if each.halo:
            text.set_path_effects([withStroke(linewidth=3.2, foreground=PAPER)])
