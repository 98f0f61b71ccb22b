"""What `hnmine validate` found, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hnmine.errors import HnmineError, InputError


@dataclass
class Report:
    """What `hnmine validate` found.

    Attributes:
        inputs: by table: its path, columns and rows.
        measured: by subject, such as `documents`: counts, and shares from 0 to 1.
        estimates: what a run will need; names say the unit.
        faults: what stops a run.
        warnings: what does not, but may not be what was meant.
    """

    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    measured: dict[str, dict[str, Any]] = field(default_factory=dict)
    estimates: dict[str, Any] = field(default_factory=dict)
    faults: list[dict[str, str]] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)

    def fault(self, error: HnmineError) -> None:
        """Add a fault, unless it is there already."""
        found = {"what": error.what, "why": error.why, "fix": error.fix}
        if found not in self.faults:
            self.faults.append(found)

    def warn(self, what: str, *, why: str = "", fix: str = "") -> None:
        """Add a warning."""
        self.warnings.append({"what": what, "why": why, "fix": fix})

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return asdict(self)

    def check(self) -> None:
        """Raise if there are faults.

        Raises:
            InputError: saying how many.
        """
        if self.faults:
            count = len(self.faults)
            raise InputError(
                f"{count} {'fault' if count == 1 else 'faults'} in what was given.",
                fix="Each is named on the standard output, with how to mend it.",
            )

    def lines(self) -> Iterator[str]:
        """Yield the lines of the table, then faults and warnings."""
        sections = {**self.inputs, **self.measured}
        if self.estimates:
            sections["estimates"] = self.estimates
        labels = [_label(name) for facts in sections.values() for name in facts]
        width = max(map(len, labels), default=0)
        for title, facts in sections.items():
            yield title.replace("_", " ")
            for name, value in facts.items():
                yield f"  {_label(name):<{width}}  {_text(name, value)}"
        for kind, findings in (("fault", self.faults), ("warning", self.warnings)):
            for finding in findings:
                yield ""
                yield f"{kind}: {finding['what']}"
                for part in (finding["why"], finding["fix"]):
                    yield from (f"  {line.strip()}" for line in part.splitlines())
        if not self.faults:
            yield ""
            yield "No faults."


def _label(name: str) -> str:
    for unit in ("_bytes", "_seconds", "_share"):
        name = name.removesuffix(unit)
    return name.replace("_", " ")


def _text(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {inner}" for key, inner in value.items()) or "none"
    if name.endswith("_bytes"):
        return _scaled(value, (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)), "bytes")
    if name.endswith("_seconds"):
        return _scaled(value, (("days", 86400), ("hours", 3600), ("minutes", 60)), "seconds")
    if name.endswith("_share"):
        return f"{value:.1%}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _scaled(value: float, units: tuple[tuple[str, float], ...], smallest: str) -> str:
    for unit, size in units:
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:,.0f} {smallest}"
