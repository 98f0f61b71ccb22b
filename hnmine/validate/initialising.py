"""`hnmine init`: a commented configuration for given inputs."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hnmine.config import (
    BuildIndexSettings,
    FilterSettings,
    InitSettings,
    MineSettings,
    Settings,
    ValidateSettings,
)
from hnmine.config.reading_options import InputSettings
from hnmine.errors import InputError, UsageError
from hnmine.printable import one_line, printable, shell
from hnmine.results import Json, Result
from hnmine.runner.atomic import write_text
from hnmine.validate.findings import Report
from hnmine.validate.opened_inputs import Given

WIDTH = 88
PLAIN = re.compile(r"[\w./][\w./: -]*[\w./]")
"""What YAML reads as the same text without quotes, unless it is one of its own words."""

FIRST: dict[type[Settings], tuple[str, ...]] = {
    BuildIndexSettings: ("encoder", "dtype", "max_length"),
    MineSettings: ("top_k", "source"),
    FilterSettings: (
        *("cross_encoder", "dtype", "num_negatives", "format", "margin", "judge", "seed"),
    ),
}
"""The settings that are shown, by command: those that are changed first."""


@dataclass(frozen=True, repr=False)
class Written(Result):
    """A configuration that was written.

    Attributes:
        file: where.
        inputs: by kind: path, columns and rows.
    """

    file: Path
    inputs: Mapping[str, Json]

    def as_json(self) -> Json:
        """Return everything as JSON values."""
        return {"file": str(self.file), "inputs": dict(self.inputs)}

    def lines(self) -> Iterator[str]:
        """Write what was found, and what to do next."""
        yield f"{self.file}"
        for kind, facts in self.inputs.items():
            yield f"  {kind:<8} {_found(facts)}: {facts['path']}"
        yield "Next:"
        yield from (f"  {line}" for line in _next(self.file))


def init(settings: InitSettings, paths: Sequence[str]) -> Written:
    """Write a configuration for inputs; what each is, its columns say.

    Raises:
        InputError: an input cannot be used, or they do not suffice.
        UsageError: the file already exists.
    """
    report = Report()
    known = {name: getattr(settings, name) for name in InputSettings.model_fields}
    found = Given(ValidateSettings.parse(known), paths, report)
    for fault in report.faults:
        raise InputError(fault["what"], why=fault["why"], fix=fault["fix"])
    inputs = {kind: report.inputs[kind] for kind in sorted(found.tables)}
    if "pairs" not in inputs and not {"queries", "qrels", "corpus"} <= inputs.keys():
        raise InputError(
            f"The inputs hold no positives to mine with: {', '.join(inputs)}.",
            fix="Give pairs (query, positive), or a corpus, queries and qrels together.",
        )
    if settings.file.exists() and not settings.overwrite:
        raise UsageError(
            f"{settings.file} already exists.",
            fix="Pass --overwrite to replace it, or --file to write another.",
        )
    write_text(settings.file, "\n".join(_text(settings, inputs)) + "\n")
    return Written(settings.file, inputs)


def _text(settings: InitSettings, inputs: Mapping[str, Json]) -> Iterator[str]:
    yield "# Settings of hnmine: keys are the flags of the commands. A top-level key goes to every"
    yield "# command that has it, a section to one command alone; flags win. What is commented out"
    yield "# is the default. `hnmine run --help-all` lists all settings."
    yield from (f"#   {line}" for line in _next(settings.file))
    yield f"output: {_value(str(settings.output))}   # gets index/, candidates/ and mined/"
    for kind, facts in inputs.items():
        yield ""
        yield from _comment(_found(facts))
        yield f"{kind}: {_value(facts['path'])}"
    if settings.column:
        yield "column:"
        yield from (f"  {_value(role)}: {_value(name)}" for role, name in settings.column.items())
    for name in ("on_bad_row", "quoting", "encoding", "split"):
        value = getattr(settings, name)
        if value != InputSettings.model_fields[name].default:
            yield f"{name.replace('_', '-')}: {_value(value)}"
    given = {"encoder": settings.encoder, "cross_encoder": settings.cross_encoder}
    for stage, names in FIRST.items():
        yield ""
        yield f"{stage.command}:"
        for name in names:
            yield from _setting(stage, name, given.get(name))


def _setting(stage: type[Settings], name: str, given: str | None) -> Iterator[str]:
    """Write a setting with what it does; one that is not given is commented out."""
    field = stage.model_fields[name]
    yield from _comment(field.description or "", "  ")
    key = name.replace("_", "-")
    if given is not None:
        yield f"  {key}: {_value(given)}"
        return
    default = field.get_default(call_default_factory=True)
    shown = "" if default is None else f" {_value(default)}"
    yield f"  # {key}:{shown}"


def _comment(text: str, indent: str = "") -> Iterator[str]:
    yield from textwrap.wrap(
        one_line(text),
        WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_on_hyphens=False,
    )


def _value(value: object) -> str:
    """Write a value as YAML; JSON is YAML, but for what ends a line there."""
    import yaml

    if isinstance(value, str) and PLAIN.fullmatch(value) and yaml.safe_load(value) == value:
        return value
    return printable(json.dumps(value, ensure_ascii=False))


def _found(facts: Json) -> str:
    columns = ", ".join(f"{role}={name}" for role, name in facts["columns"].items())
    return f"{facts['rows']:,} rows, {columns}"


def _next(file: Path) -> list[str]:
    return [shell(["hnmine", command, "--config", file]) for command in ("validate", "run")]
