"""Printing without control characters and without credentials."""

from __future__ import annotations

import io
import json
import resource
import sys
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING

import typer

from hnmine.errors import HnmineError
from hnmine.printable import (
    line_width,
    one_line,
    printable,
    redacted,
    without_credentials,
    without_nan,
    wrapped,
)

if TYPE_CHECKING:
    from hnmine.results import Result

CURSOR_UP = "\x1b[A"
"""Written alone by tqdm, to move between bars."""


class Cleaned:
    """An output stream that escapes control characters of any writer.

    Progress bars may return to the start of their line.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text, with escapes for control characters, and without credentials."""
        inner = text.lstrip("\r")
        moves = inner and not inner.replace(CURSOR_UP, "")
        back = text[: len(text) - len(inner)]
        self.stream.write(back + (inner if moves else without_credentials(printable(inner))))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        if name == "buffer":  # Bytes written to the buffer would skip the escapes.
            raise AttributeError(name)
        return getattr(self.stream, name)


def clean_streams() -> None:
    """Clean everything that this process prints from now on."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
            setattr(sys, name, Cleaned(stream))


def say(line: str, *, err: bool = False) -> None:
    """Print a line of a result."""
    typer.echo(without_credentials(one_line(line)), err=err)


def say_error(error: HnmineError) -> None:
    """Print an error; only its three parts start at the left, so that no value can imitate one."""
    for part in (f"error: {error.what}", error.why, error.fix):
        for n, line in enumerate(part.split("\n") if part else ()):
            say(line if n == 0 else f"  {line.strip()}", err=True)


def _json(value: object) -> str:
    """Return JSON in ASCII without control characters, and with null for NaN."""
    text = json.dumps(without_nan(value), indent=2, allow_nan=False)
    return text.replace("\x7f", "\\u007f")


def say_cost(seconds: float) -> None:
    """Print on a terminal the time and memory of a run, which run.json holds for each directory."""
    if not sys.stderr.isatty():
        return
    own, children = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    peak = max(own, children) * (1 if sys.platform == "darwin" else 1024)
    minutes, rest = divmod(seconds, 60)
    took = f"{minutes:.0f} min {rest:.0f} s" if minutes else f"{rest:.1f} s"
    say(f"{took}, at most {peak / 1e9:.2f} GB of memory", err=True)


def print_result(result: Result, as_json: bool) -> None:
    """Print the result of a command, then fail if it found faults.

    Args:
        result: a `Result`; one that rich can print gets colours on a terminal with colours.
        as_json: print JSON instead.
    """
    if hasattr(result, "__rich_console__"):
        _print_styled(result, as_json)
    elif as_json:
        typer.echo(_json(redacted(result.as_json())))
    else:
        width = line_width() if sys.stdout.isatty() else None
        for line in result.lines():
            for part in wrapped(one_line(line), width) if width else [line]:
                say(part)
    result.check()


def _print_styled(found: Result, as_json: bool) -> None:
    """Print a result with colours.

    Its texts are cleaned before they are coloured; URLs in them are data and stay.
    """
    if as_json:
        _echo_as_it_is(_json(found.as_json()))
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    with console.capture() as styled:
        console.print(found)
    _echo_as_it_is("\n".join(line.rstrip() for line in styled.get().splitlines()))


def _echo_as_it_is(text: str) -> None:
    # Rich has already adapted it to the terminal.
    typer.echo(text, file=getattr(sys.stdout, "stream", sys.stdout), color=True)
