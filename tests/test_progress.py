"""Bars, lines in a log, and the clock that ticks, with clocks of the tests' own."""

from __future__ import annotations

import io
import sys
import types

import pytest

from hnmine.progress import COMPILING, Bar, Lines, Progress, duration, note_compiling, progress_bar


class Clock:
    """Time that passes when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def after(ticks: int):
    """What a step waits for: it is over after so many ticks."""
    left = [ticks]

    def wait(seconds: float) -> bool:
        left[0] -= 1
        return left[0] < 0

    return wait


@pytest.fixture
def log():
    clock, lines = Clock(), []
    return clock, lines, Lines("filter: score", "pairs", 1000, 200, clock, lines.append)


def test_a_line_has_the_count_the_rate_and_what_is_left(log):
    clock, lines, shown = log
    shown.update(400)
    clock.now = 40.0
    shown.tick()
    assert lines == ["filter: score: 600 of 1,000 pairs (60 %), 10 pairs/s, about 40 s left"]


def test_more_work_than_was_estimated_is_not_more_than_all(log):
    clock, lines, shown = log
    shown.update(1800)
    clock.now = 90.0
    shown.tick()
    assert lines == ["filter: score: 2,000 of 2,000 pairs, finishing after 1 min 30 s"]


def test_work_of_an_earlier_run_is_no_speed(log):
    clock, lines, shown = log
    clock.now = 30.0
    shown.tick()
    assert lines == ["filter: score: 200 of 1,000 pairs after 30 s"]


def test_a_short_step_writes_nothing_and_a_long_one_its_end(log):
    clock, lines, shown = log
    shown.update(800)
    shown.close()
    assert lines == []
    clock.now = 70.0
    shown.tick()
    shown.close()
    assert lines[-1] == "filter: score: 1,000 pairs, finished in 1 min 10 s"


def test_a_step_that_stops_early_is_not_called_finished(log):
    clock, lines, shown = log
    clock.now = 30.0
    shown.tick()
    shown.close()
    assert len(lines) == 1


def test_the_clock_ticks_before_the_first_batch_is_done(log):
    _, lines, shown = log
    running = Progress(shown, wait=after(3))
    with running:
        running._thread.join()
    assert len(lines) == 3


def test_a_bar_is_drawn_again_at_each_tick():
    from tqdm import tqdm

    screen = io.StringIO()
    bar = tqdm(total=10, file=screen, desc="dense: encode", mininterval=1e9)
    bar._time = lambda: bar.start_t + 3
    running = Progress(Bar(bar), wait=after(1))
    with running:
        running._thread.join()
        assert screen.getvalue().count("\r") == 2
    assert "00:03<" in screen.getvalue()


def test_nothing_is_shown_where_it_is_not_wanted_or_nothing_is_left(monkeypatch):
    for total, done, wanted in ((5, 5, True), (5, 0, False)):
        with progress_bar("step", "rows", total, done, wanted) as shown:
            assert shown._display is None
            shown.update(1)


def test_where_stderr_is_no_terminal_there_are_lines(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_bar("step", "rows", 5, 0, True) as shown:
        assert isinstance(shown._display, Lines)
    assert sys.stderr.getvalue() == ""


def test_in_a_notebook_there_is_a_bar(monkeypatch):
    shell = types.SimpleNamespace(kernel=object(), config={"IPKernelApp": {}})
    ipython = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_bar("step", "rows", 5, 0, True) as shown:
        assert isinstance(shown._display, Bar)
        shown.update(5)


def test_compiling_is_said_once_by_each_step_that_compiles(log):
    _, lines, shown = log
    note_compiling()  # No step runs.
    for steps in (1, 2):
        with Progress(shown, wait=after(0)):
            note_compiling()
            note_compiling()
        assert lines == [f"filter: score: {COMPILING}"] * steps


def test_numba_says_it_before_it_compiles_and_not_from_its_cache(log, monkeypatch, tmp_path):
    import numba

    from hnmine.compiled import compiled

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    _, lines, shown = log
    for expected in (1, 1):

        @compiled()
        def double(number):
            return 2 * number

        with Progress(shown, wait=after(0)):
            assert double(4) == 8
        assert len(lines) == expected


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (3661, "1 h 1 min"), (90061, "1 d 1 h")],
)
def test_durations(seconds, shown):
    assert duration(seconds) == shown
