"""The report of `hnmine validate`, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from hnmine.errors import HnmineError, InputError
from hnmine.printable import aligned
from hnmine.results import Json, Result
from hnmine.validate.options import Option

AS_GIVEN = "as given"

LABELS = {
    "bm25": "BM25 on disk",
    "documents": "documents on disk",
    "vectors": "vectors on disk",
    "candidates": "candidates on disk",
    "disk": "disk in all",
    "peak_ram": "memory",
    "cross_encoder_pairs": "cross-encoder pairs",
    "encode": "time to encode",
    "cross_encoder": "time of the cross-encoder",
    "near_copies_looked_for": "  of a sample of",
}


@dataclass(repr=False)
class Report(Result):
    """What `hnmine validate` found.

    Attributes:
        inputs: by table: its path, columns and rows.
        measured: by subject, such as `documents`: counts, and shares from 0 to 1.
        estimates: what a run will need; names say the unit.
        options: the run as given, and faster ways to do it, with the time of each.
        faults: what stops a run.
        warnings: what does not, but may not be what was meant.
    """

    inputs: dict[str, Json] = field(default_factory=dict)
    measured: dict[str, Json] = field(default_factory=dict)
    estimates: Json = field(default_factory=dict)
    options: list[Option] = field(default_factory=list)
    faults: list[dict[str, str]] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)

    def fault(self, error: HnmineError) -> None:
        """Add a fault once."""
        found = {"what": error.what, "why": error.why, "fix": error.fix}
        if found not in self.faults:
            self.faults.append(found)

    def warn(self, what: str, *, why: str = "", fix: str = "") -> None:
        """Add a warning."""
        self.warnings.append({"what": what, "why": why, "fix": fix})

    def check(self) -> None:
        """Raise if there are faults.

        Raises:
            InputError: saying how many.
        """
        if self.faults:
            count = len(self.faults)
            raise InputError(
                f"{count} {'fault' if count == 1 else 'faults'} in what was given.",
                fix="The report above says how to fix each.",
            )

    def _times(self) -> Json:
        return {
            f"{option.flags or AS_GIVEN}_seconds": option.time_seconds for option in self.options
        }

    def lines(self) -> Iterator[str]:
        """Yield the lines of the table, then warnings and, last where they are seen, faults."""
        sections = {
            **{f"{kind}: {facts['path']}": facts for kind, facts in self.inputs.items()},
            **self.measured,
            "a run needs about": self.estimates,
            "the whole run takes about": self._times(),
        }
        yield from layout(sections)
        for kind, findings in (("warning", self.warnings), ("fault", self.faults)):
            for finding in findings:
                yield f"{kind}: {finding['what']}"
                for part in (finding["why"], finding["fix"]):
                    yield from (f"  {line.strip()}" for line in part.splitlines())
        if not self.faults:
            yield "No faults."


def layout(sections: Mapping[str, Json]) -> Iterator[str]:
    """Yield the lines of sections of facts, whose names say the unit."""
    tables = {title: list(_rows(facts)) for title, facts in sections.items() if facts}
    lines = aligned(
        ((f"  {label}", text) for rows in tables.values() for label, text in rows), "<<"
    )
    for title, rows in tables.items():
        yield title
        yield from islice(lines, len(rows))
        yield ""


def _rows(facts: Json) -> Iterator[tuple[str, str]]:
    """Yield label and text; a share stands beside the count that it is the share of."""
    for name, value in facts.items():
        base = name.removesuffix("_share")
        if name == "path" or (base != name and base in facts):
            continue
        text = _text(name, value)
        if f"{name}_share" in facts:
            text += f" ({facts[f'{name}_share']:.1%})"
        for unit in ("_bytes", "_seconds", "_share"):
            name = name.removesuffix(unit)
        yield LABELS.get(name, name.replace("_", " ")), text


def _text(name: str, value: Any) -> str:
    if name == "columns":
        return ", ".join(f"{role}={column}" for role, column in value.items())
    if name == "tokens":
        cut = f"; {value['cut_share']:.1%} above {value['limit']:,}" if "limit" in value else ""
        return (
            f"median {value['median']:,}, 90% up to {value['percentile_90']:,}, 99% up to "
            f"{value['percentile_99']:,}, longest {value['longest']:,}{cut} "
            f"({value['texts']:,} texts, {value['counted_by']})"
        )
    if isinstance(value, Mapping):
        shared = f"{value['tasks']:,} {'task' if value['tasks'] == 1 else 'tasks'}"
        return f"{shared}, {_text('cpu_seconds', value['cpu_seconds'])} of one CPU"
    if name.endswith("_bytes"):
        return _scaled(value, (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)), "bytes")
    if name.endswith("_seconds"):
        return _scaled(value, (("days", 86400), ("hours", 3600), ("minutes", 60)), "seconds")
    if name.endswith("_share"):
        return f"{value:.1%}"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def _scaled(value: float, units: tuple[tuple[str, float], ...], smallest: str) -> str:
    for unit, size in units:
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:,.0f} {smallest}"
