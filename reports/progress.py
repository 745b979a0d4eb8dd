"""How far a run is, on stderr: a few lines redrawn in place on a terminal, plain lines elsewhere.

    [317/500] ━━━━━━━━━━━━━━━━╸──────────   63 %   26 min 03 s   15 min left
    now  postgres-async (6 of 11): trial 4: waiting for the steady state (1.9 s)
    now  redis-faults (7 of 11): trial 1: clients at work (0.4 s)
    so far  ✗ violated 1   △ as-documented 3   ✓ holds 7

A log gets one entry as an experiment begins and one as a claim ends, what is done now where nothing else was said for some
seconds (of several experiments that run side by side in turn), and no cursor movement. The bar counts
planned trials: controls and repeated void trials take time and fill nothing. What is left is told from the
trials done, and not before one is.
"""

from __future__ import annotations

import sys
import threading
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


class Doing:
    """What is done now, since when, and when it was told last. Of an experiment: a context manager until its end."""

    def __init__(self, live: Live, name: str = "", trials: int = 0) -> None:
        self._live, self.name, self.trials, self.trials_done = live, name, trials, 0
        self.text, self.since, self.told = "", 0.0, 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.ended(self)

    def step(self, text: str) -> None:
        """Say what is being done now."""
        self.text, self.since = text, self._live.clock()

    def trial_done(self) -> None:
        """Say that a trial is over."""
        self.trials_done = min(self.trials_done + 1, self.trials)

    def said(self) -> Text:
        """Give it in words, with how long it takes already."""
        took = self._live.clock() - self.since
        return Text.assemble(clean(self.text), (f" ({took:.1f} s)" if took < 100 else f" ({lasting(took)})", QUIET))


class Live:
    """Tell how far a run is; drawn by rich's thread. A stream that breaks is told nothing more: no run ends by it.

    May be used by several threads, each with an experiment of its own. `step` tells of what is done beside experiments.
    """

    def __init__(
        self, total_trials: int, stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic, every_s: float = EVERY_S
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self.clock, self._began = clock, clock()
        self._total, self._before = total_trials, 0
        self._lock = threading.Lock()
        self._beside = Doing(self)
        self._running: tuple[Doing, ...] = ()
        self.step("starting")
        # Every word from the start: the dict is read by rich's thread and never grows.
        self._counts = dict.fromkeys(MARKS, 0)
        self._redrawn = self._prepared() if self._stream.isatty() else None
        self._heartbeat = Heartbeat(lambda _: self._tell_one(), every_s, every_s) if self._redrawn is None else None

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

    def experiment(self, name: str, number: int, of: int, trials: int) -> Doing:
        """Say that an experiment begins, the number-th, with so many planned trials; give what tells of it until its end."""
        begun = Doing(self, f"{name} ({number} of {of})", trials)
        begun.step("starting")
        with self._lock:
            if not self._running:
                self._beside.step("")
            self._running = (*self._running, begun)
        self._print(Text(clean(f"{name}, {trials} {'trial' if trials == 1 else 'trials'} ({number} of {of})")))
        return begun

    def ended(self, experiment: Doing) -> None:
        """Count an experiment that has ended, also one that was cut short, as done."""
        with self._lock:
            self._running = tuple(each for each in self._running if each is not experiment)
            self._before = min(self._before + experiment.trials, self._total)

    def step(self, text: str) -> None:
        """Say what is being done beside the experiments; nothing where the text is empty."""
        self._beside.step(text)

    def trial_done(self) -> None:
        """Count nothing: a trial belongs to an experiment."""

    def judged(self, judgement: Judged) -> None:
        """Say what was concluded of a claim."""
        word = str(judgement.verdict)
        self._counts[word] += 1
        self._print(Text.assemble(mark(word), f"  {clean(judgement.id)}  {clean(judgement.said)}"))

    # Elsewhere

    def _doing(self) -> list[Doing]:
        return [*self._running, *([self._beside] if self._beside.text else [])]

    def _tell_one(self) -> None:
        """Say what is done now, of several the one that was told longest ago."""
        doing = self._doing()
        if not doing:
            return
        told = min(doing, key=lambda each: each.told)
        told.told = self.clock()
        name = f"{clean(told.name)}: " if told.name and len(doing) > 1 else ""
        self._print(Text.assemble("  ", name, told.said()))

    def _print(self, text: Text) -> None:
        if self._heartbeat is None:
            return
        self._heartbeat.said()
        whole = int(self._elapsed())
        stamp = f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}  "
        lines = wrapped(Text.assemble(stamp, text), WIDTH, STAMP)
        try:
            with self._lock:
                print("\n".join(line.plain for line in lines), file=self._stream, flush=True)
        except (OSError, ValueError):  # closed, full, or gone: the run goes on, its result is not told here
            return

    # On a terminal

    def lines(self, width: int) -> list[Text]:
        """Give what a terminal shows now."""
        counts = [Text.assemble(mark(word), f" {count}   ") for word, count in self._counts.items() if count]
        so_far = packed([Text("so far  "), *counts], width, len("so far  ")) if counts else []
        lines = [self._bar(), *map(_now, self._doing()), *so_far]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return lines

    def _bar(self) -> Text:
        done = min(self._before + sum(each.trials_done for each in self._running), self._total)
        share = done / self._total if self._total else 0.0
        full = int(share * BAR)
        bar = "━" * full + ("╸" if full < BAR else "") + "─" * (BAR - full - 1)
        left = f"   {lasting(self._elapsed() * (self._total - done) / done)} left" if 0 < done < self._total else ""
        return Text.assemble((f"[{done}/{self._total}]", "bold"), f" {bar}  {int(share * 100):3d} %   {lasting(self._elapsed())}{left}")

    def _elapsed(self) -> float:
        return self.clock() - self._began


def _now(doing: Doing) -> Text:
    return Text.assemble("now  ", f"{clean(doing.name)}: " if doing.name else "", doing.said())
