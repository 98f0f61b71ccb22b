"""What a command prints when it is done."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

import typer

from hnmine.tasks.places import mirrored


def _place(result: Any) -> str:
    return mirrored(Path(result.path)) or str(result.path)


def print_counts(result: Any, as_json: bool) -> None:
    """Print where each stage wrote, and its counts."""
    results = result if isinstance(result, list) else [result]
    if as_json:
        documents = [
            {"path": _place(r), "counts": dict(r.counts), "notes": list(r.notes)} for r in results
        ]
        typer.echo(json.dumps(documents if len(documents) > 1 else documents[0], indent=2))
        return
    for result in results:
        typer.echo(_place(result))
        width = max(len(name) for name in result.counts)
        for name, count in result.counts.items():
            shown = name if "." in name else name.replace("_", " ")  # A file keeps its name.
            typer.echo(f"  {shown:<{width}}  {count:>14,}")
        for note in result.notes:
            typer.echo(note)


def say_cost(seconds: float) -> None:
    """Say on a terminal what a run took; the same stands in its run.json, for each directory."""
    if not sys.stderr.isatty():
        return
    own, children = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    peak = max(own, children) * (1 if sys.platform == "darwin" else 1024)
    minutes, rest = divmod(seconds, 60)
    took = f"{minutes:.0f} min {rest:.0f} s" if minutes else f"{rest:.1f} s"
    typer.echo(f"{took}, at most {peak / 1e9:.2f} GB of memory", err=True)


def print_lines(found: Any, as_json: bool) -> None:
    """Print what a result says of itself."""
    typer.echo(json.dumps(found.as_json(), indent=2) if as_json else "\n".join(found.lines()))


def print_report(report: Any, as_json: bool) -> None:
    """Print a report, and fail if it found what is wrong."""
    print_lines(report, as_json)
    report.check()


def print_styled(found: Any, as_json: bool) -> None:
    """Print a result in colours where the terminal has them."""
    if as_json:
        print_lines(found, as_json)
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    with console.capture() as styled:
        console.print(found)
    lines = (line.rstrip() for line in styled.get().splitlines())
    typer.echo("\n".join(lines), color=True)  # What the terminal can show, rich knows.
