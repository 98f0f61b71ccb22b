"""Show how far a step is: a bar on a terminal or in a notebook, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import NoReturn, Protocol

from tqdm import tqdm

from hnmine.printable import one_line, without_credentials

LINE_EVERY = 30.0
"""Seconds between two lines where stderr is no terminal."""

TICK_EVERY = 1.0
"""Seconds between two looks at the clock of a bar, which no finished batch moves yet."""

COMPILING = "compiling, once per machine (about 15 s)"

Clock = Callable[[], float]
Wait = Callable[[float], bool]
"""Waits so many seconds; returns whether the step is over."""


class Display(Protocol):
    """What shows the progress of a step."""

    every: float

    def update(self, amount: int) -> None:
        """Count finished work."""

    def tick(self) -> None:
        """Show the time that has passed."""

    def note(self, text: str) -> None:
        """Say what the step is doing until its next update."""

    def close(self) -> None:
        """Show the end."""


class Bar:
    """A bar of tqdm, on a terminal or in a notebook."""

    every = TICK_EVERY

    def __init__(self, bar: tqdm[NoReturn]) -> None:
        self._bar, self._noted = bar, False

    def update(self, amount: int) -> None:
        """Count finished work."""
        if self._noted:
            self._bar.set_postfix_str("", refresh=False)
            self._noted = False
        self._bar.update(amount)

    def tick(self) -> None:
        """Show the time that has passed."""
        self._bar.refresh()

    def note(self, text: str) -> None:
        """Say what the step is doing until its next update."""
        self._noted = True
        self._bar.set_postfix_str(text)

    def close(self) -> None:
        """Leave the bar as it is now."""
        self._bar.close()


class Lines:
    """Lines in a log: the first after `LINE_EVERY` seconds, so short steps write none.

    Args:
        label: name of the step.
        unit: of its work.
        total: amount of work.
        initial: work that an earlier run did.
        clock: seconds from any start.
        write: takes a line.
    """

    every = LINE_EVERY

    def __init__(
        self,
        label: str,
        unit: str,
        total: int,
        initial: int = 0,
        clock: Clock = time.monotonic,
        write: Callable[[str], None] | None = None,
    ) -> None:
        self._label, self._unit, self._total = label, unit, total
        self._initial, self._done, self._written = initial, initial, 0
        self._clock, self._write = clock, write or say
        self._started = clock()

    def update(self, amount: int) -> None:
        """Count finished work."""
        self._done += amount

    def tick(self) -> None:
        """Write how far the step is, how fast, and how long the rest will take."""
        seconds = self._clock() - self._started
        total = max(self._total, self._done)  # The amount may have been estimated.
        done = f"{self._done:,} of {total:,} {self._unit}"
        made = self._done - self._initial
        if made > 0 and self._done >= total:
            done += f", finishing after {duration(seconds)}"
        elif made > 0 and seconds > 0:
            rate = made / seconds
            left = duration((total - self._done) / rate)
            share = f"{self._done / total:.0%}".replace("%", " %")
            shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
            done += f" ({share}), {shown} {self._unit}/s, about {left} left"
        else:
            done += f" after {duration(seconds)}"
        self._line(done)

    def note(self, text: str) -> None:
        """Write what the step is doing."""
        self._line(text)

    def close(self) -> None:
        """Write the end of a step that wrote lines before."""
        if self._written and self._done >= self._total:
            took = duration(self._clock() - self._started)
            self._line(f"{self._total:,} {self._unit}, finished in {took}")

    def _line(self, text: str) -> None:
        self._written += 1
        self._write(f"{self._label}: {text}")


class Progress:
    """The progress of one step, as a context; a thread moves its clock.

    Args:
        display: None shows nothing.
        wait: for tests.
    """

    def __init__(self, display: Display | None, wait: Wait | None = None) -> None:
        self._display, self._over = display, Event()
        self._wait = wait or self._over.wait
        self._thread = Thread(target=self._tick, name="hnmine-progress", daemon=True)

    def __enter__(self) -> Progress:
        if self._display:
            _shown.append(self._display)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._display:
            self._over.set()
            self._thread.join()
            _shown.remove(self._display)
            if self._display in _compiling:
                _compiling.remove(self._display)
            self._display.close()

    def update(self, amount: int) -> None:
        """Count finished work."""
        if self._display:
            self._display.update(amount)

    def _tick(self) -> None:
        assert self._display
        while not self._wait(self._display.every):
            self._display.tick()


_shown: list[Display] = []
"""The displays of the steps that run now, the innermost last."""

_compiling: list[Display] = []
"""Those of them that have said that they compile."""


def progress_bar(
    stage: str, unit: str, total: int, initial: int, wanted: bool, *, leave: bool = True
) -> Progress:
    """Return the progress of a step, shown if asked for and work is left.

    Args:
        stage: name of the step.
        unit: of its work.
        total: amount of work.
        initial: work that an earlier run did.
        wanted: whether to show it.
        leave: keep the bar when the step is over.
    """
    if not wanted or initial >= total:
        return Progress(None)
    notebook = in_notebook()
    if not notebook and not sys.stderr.isatty():
        return Progress(Lines(stage, unit, total, initial))
    kind: type[tqdm[NoReturn]] = tqdm
    if notebook:
        from tqdm.auto import tqdm as of_notebook

        kind = of_notebook  # type: ignore[assignment]
    bar = kind(
        total=total,
        initial=initial,
        desc=stage,
        unit=f" {unit}",
        unit_scale=True,
        smoothing=0.1,
        file=sys.stderr,
        leave=leave,
    )
    return Progress(Bar(bar))


def in_notebook() -> bool:
    """Tell whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def note_compiling() -> None:
    """Say, once a step, that the step that runs now compiles its functions first."""
    if _shown and _shown[-1] not in _compiling:
        _compiling.append(_shown[-1])
        _shown[-1].note(COMPILING)


def say(line: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(without_credentials(one_line(line)) + "\n")
    sys.stderr.flush()


def duration(seconds: float) -> str:
    """Return a time in its two largest units."""
    whole = round(seconds)
    for size, unit, smaller, below in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {below}"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"
