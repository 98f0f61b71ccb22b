"""The layout of help pages: sections of names and what they mean, in panels on a terminal."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Rows = Sequence[tuple[str, str]]
"""Names, such as a flag and its value, and what each means."""

WIDEST = 120
"""Columns of a help page on a wide terminal."""

WIDEST_NAME = 24
"""Columns for a flag and its value."""


def write_page(
    ctx: Any, formatter: Any, text: str, sections: Mapping[str, Rows], widest: int = WIDEST_NAME
) -> None:
    """Write a help page: into the formatter, or on a terminal at once, with panels and colours.

    Args:
        ctx: of the command.
        formatter: as wide as the terminal.
        text: above the sections.
        sections: rows by heading.
        widest: columns for a name; what a longer one means begins on the next line.
    """
    names = [name for rows in sections.values() for name, _ in rows]
    left = max(len(name) for name in names if len(name) <= widest) + 2
    if sys.stdout.isatty():
        _print_panels(ctx.get_usage(), formatter.width + 2, text, sections, left)
        return
    formatter.write(f"{ctx.get_usage()}\n\n{textwrap.indent(text, '  ')}\n\n")
    for heading, rows in sections.items():
        formatter.write(f"{heading}:\n")
        for name, lines in _laid_out(rows, left, formatter.width - 2):
            both = "\n".join([name + lines[0], *lines[1:]])
            formatter.write("".join(f"  {line.rstrip()}\n" for line in both.split("\n")))


def _print_panels(
    usage: str, width: int, text: str, sections: Mapping[str, Rows], left: int
) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    stream = getattr(sys.stdout, "stream", sys.stdout)  # Colours are control characters.
    console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
    console.print(Text.assemble(("Usage:", "bold"), usage.removeprefix("Usage:")))
    console.print(f"\n{text}\n")
    for heading, rows in sections.items():
        body = Text("\n").join(
            Text.assemble((name, "bold cyan"), "\n".join(line.rstrip() for line in lines))
            for name, lines in _laid_out(rows, left, width - 4)
        )
        console.print(Panel(body, title=heading, title_align="left", border_style="dim"))


def _laid_out(rows: Rows, left: int, room: int) -> Iterator[tuple[str, list[str]]]:
    """Yield names, padded, and the lines of what they mean; the first stands beside the name.

    Args:
        rows: of a section.
        left: columns of the names.
        room: columns of a line.
    """
    for name, text in rows:
        lines = textwrap.wrap(text, max(room - left, 10), break_on_hyphens=False) or [""]
        indented = [" " * left + line for line in lines]
        if len(name) + 2 <= left:
            yield name.ljust(left), [lines[0], *indented[1:]]
        else:
            parts = textwrap.wrap(name.replace("|", "| "), room, subsequent_indent="    ")
            yield "\n".join(part.replace("| ", "|") for part in parts), ["", *indented]


def paragraph(text: str, width: int) -> str:
    """Return a text in lines."""
    return textwrap.fill(text, width, break_on_hyphens=False)


def command_line(line: str, width: int) -> str:
    """Return a command in lines that a shell joins; they break before flags."""
    lines: list[str] = []
    for part in re.split(r" (?=--)", line):
        if lines and len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f" {part}"
        else:
            lines.append(f"    {part}" if lines else part)
    return " \\\n".join(lines)


def flags_of(option: Any) -> str:
    """Return an option's flags, the short one first; Typer holds them in any order."""
    return ", ".join(sorted(option.opts, key=len))
