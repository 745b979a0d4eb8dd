"""How far a run is, on stderr: a few lines redrawn in place on a terminal, plain lines elsewhere.

    [317/500] ━━━━━━━━━━━━━━━━╸──────────   63 %   26 min 03 s   15 min left
    now  postgres-async (6 of 11): trial 4: waiting for the steady state (1.9 s)
    so far  ✗ violated 1   △ as-documented 3   ✓ holds 7

A log gets one entry as an experiment begins and one as a claim ends, what is done now where nothing else was said for some
seconds, and no cursor movement. The bar counts
planned trials: controls and repeated void trials take time and fill nothing. What is left is told from the
trials done, and not before one is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live as Redrawn
from rich.text import Text

from harness.heartbeat import EVERY_S, Heartbeat
from reports.terminal.lines import MARKS, QUIET, clean, lasting, mark, packed, wrapped

WIDTH = 80
BAR = 28
REDRAWN_A_SECOND = 4
STAMP = len("00:00:00  ")


class Judged(Protocol):
    """A judgement, as far as progress tells it."""

    @property
    def id(self) -> str: ...

    @property
    def verdict(self) -> str: ...

    @property
    def said(self) -> str: ...


class Live:
    """Tell how far a run is; used by one thread, drawn by rich's. A stream that breaks is told nothing more: no run ends by it."""

    def __init__(
        self, total_trials: int, stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic, every_s: float = EVERY_S
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock, self._began, self._step_began = clock, clock(), clock()
        self._total, self._before, self._here, self._planned_here = total_trials, 0, 0, 0
        self._experiment, self._step = "", "starting"
        # Every word from the start: the dict is read by rich's thread and never grows.
        self._counts = dict.fromkeys(MARKS, 0)
        self._redrawn = self._prepared() if self._stream.isatty() else None
        self._heartbeat = (
            Heartbeat(lambda _: self._print(Text.assemble("  ", self._step_said())), every_s, every_s) if self._redrawn is None else None
        )

    def _prepared(self) -> Redrawn | None:
        console = Console(file=self._stream, force_terminal=True)
        if console.is_dumb_terminal:
            return None
        return Redrawn(
            get_renderable=lambda: Text("\n").join(self.lines(min(console.width, WIDTH))),
            console=console,
            refresh_per_second=REDRAWN_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=self._stream is sys.stderr,
        )

    def __enter__(self) -> Self:
        if self._redrawn is not None:
            self._redrawn.start()
        if self._heartbeat is not None:
            self._heartbeat.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._heartbeat is not None:
            self._heartbeat.__exit__(kind, error, trace)
        self.close()

    def close(self) -> None:
        """Draw no more, and leave the terminal as it was; idempotent."""
        if self._redrawn is not None:
            self._redrawn.stop()

    def experiment(self, name: str, number: int, of: int, trials: int) -> None:
        """Say that an experiment begins, the number-th, with so many planned trials."""
        self._before = min(self._before + self._planned_here, self._total)
        self._here, self._planned_here = 0, trials
        self._experiment = f"{name} ({number} of {of})"
        self.step("starting")
        self._print(Text(clean(f"{name}, {trials} {'trial' if trials == 1 else 'trials'} ({number} of {of})")))

    def step(self, text: str) -> None:
        """Say what is being done now."""
        self._step, self._step_began = text, self._clock()

    def trial_done(self) -> None:
        """Say that a trial is over."""
        self._here = min(self._here + 1, self._planned_here)

    def judged(self, judgement: Judged) -> None:
        """Say what was concluded of a claim."""
        word = str(judgement.verdict)
        self._counts[word] += 1
        self._print(Text.assemble(mark(word), f"  {clean(judgement.id)}  {clean(judgement.said)}"))

    # Elsewhere

    def _print(self, text: Text) -> None:
        if self._heartbeat is None:
            return
        self._heartbeat.said()
        whole = int(self._elapsed())
        stamp = f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}  "
        lines = wrapped(Text.assemble(stamp, text), WIDTH, STAMP)
        try:
            print("\n".join(line.plain for line in lines), file=self._stream, flush=True)
        except (OSError, ValueError):  # closed, full, or gone: the run goes on, its result is not told here
            return

    # On a terminal

    def lines(self, width: int) -> list[Text]:
        """Give what a terminal shows now."""
        counts = [Text.assemble(mark(word), f" {count}   ") for word, count in self._counts.items() if count]
        so_far = packed([Text("so far  "), *counts], width, len("so far  ")) if counts else []
        lines = [self._bar(), self._now(), *so_far]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return lines

    def _bar(self) -> Text:
        done = min(self._before + self._here, self._total)
        share = done / self._total if self._total else 0.0
        full = int(share * BAR)
        bar = "━" * full + ("╸" if full < BAR else "") + "─" * (BAR - full - 1)
        left = f"   {lasting(self._elapsed() * (self._total - done) / done)} left" if 0 < done < self._total else ""
        return Text.assemble((f"[{done}/{self._total}]", "bold"), f" {bar}  {int(share * 100):3d} %   {lasting(self._elapsed())}{left}")

    def _now(self) -> Text:
        before = f"now  {clean(self._experiment)}: " if self._experiment else "now  "
        return Text.assemble(before, self._step_said())

    def _step_said(self) -> Text:
        took = self._clock() - self._step_began
        return Text.assemble(clean(self._step), (f" ({took:.1f} s)" if took < 100 else f" ({lasting(took)})", QUIET))

    def _elapsed(self) -> float:
        return self._clock() - self._began
