"""Write docs/api.md from the docstrings, the settings and the schemas.

python docs/make_api.py
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa

import hnmine
from hnmine import errors, schema
from hnmine.commands import COMMANDS
from hnmine.config.shared import CommonSettings
from hnmine.exports.pushing import Pushed
from hnmine.results import StageResult

PAGE = Path(__file__).parent / "api.md"
HEAD = """# Python functions, settings, columns

Made from the docstrings by `python docs/make_api.py`; a test keeps it in step.

Each function takes the settings of the command of that name as keywords, with underscores: the flag
`--num-negatives 3` is `num_negatives=3`, `--no-dense` is `dense=False`, and a flag that may be
repeated takes a list. What is wrong with them is a `UsageError` that names every fault at once.

```python
from hnmine import filter
from hnmine.errors import HnmineError

try:
    result = filter(candidates="runs/candidates", output="runs/mined", margin=3.0)
except HnmineError as error:
    print(error.what, error.why, error.fix, error.exit_code)
```
"""
COLUMNS = {
    "Candidates": schema.CANDIDATES,
    "What judges and the default choice add": schema.ESTIMATES,
    "What `filter` adds": schema.VERDICTS,
    "`shortfall.parquet`": schema.SHORTFALL,
    "What `batch` adds to `train/`": schema.BATCHES,
    "`generated.parquet`": schema.MADE,
    "`mixtures/`": schema.MIXED,
}


def page() -> str:
    """Return the whole page."""
    parts = [HEAD, "## Functions", *map(_function, hnmine.__all__)]
    parts += ["## What they return", *map(_class, (StageResult, Pushed))]
    parts += ["## Errors", _errors()]
    parts += [
        "## Settings of all commands but `init` and `models`",
        _settings(CommonSettings.model_fields, CommonSettings.model_fields),
    ]
    others = [name for name in COMMANDS if name.replace("-", "_") not in (*hnmine.__all__, "run")]
    parts += ["## Settings of commands without a function"]
    parts += [f"### hnmine {name}\n\n{_settings_of(name)}" for name in others]
    parts += ["## Columns of the files", *(_columns(*item) for item in COLUMNS.items())]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _function(name: str) -> str:
    found = getattr(hnmine, name)
    signature = str(inspect.signature(found)).replace("'", "").replace("hnmine.results.", "")
    text = inspect.getdoc(found) or ""
    command = name.replace("_", "-")
    return f"### hnmine.{name}\n\n`{name}{signature}`\n\n{_doc(text)}\n\n{_settings_of(command)}"


def _class(kind: type) -> str:
    return f"### {kind.__name__}\n\n{_doc(inspect.getdoc(kind) or '')}"


def _doc(text: str) -> str:
    """Turn the sections of a docstring into lists."""
    parts = []
    for block in text.split("\n\n"):
        head, *lines = block.splitlines()
        if not head.endswith(":"):
            parts.append(block)
            continue
        items = [
            re.sub(r"^(\w+): ", r"`\1`: ", line.strip()) for line in _joined(lines) if line.strip()
        ]
        parts.append(f"{head.rstrip(':')}:\n\n" + "\n".join(f"- {item}" for item in items))
    return "\n\n".join(parts)


def _joined(lines: Iterable[str]) -> list[str]:
    """Join the lines that go on with an item, which are indented further."""
    items: list[str] = []
    for line in lines:
        if line.startswith(" " * 5) and items:
            items[-1] += " " + line.strip()
        else:
            items.append(line)
    return items


def _errors() -> str:
    kinds = [errors.HnmineError, *errors.HnmineError.__subclasses__()]
    rows = [
        f"| `{kind.__name__}` | {int(kind.exit_code)} | {_cell(inspect.getdoc(kind) or '')} |"
        for kind in kinds
    ]
    return "\n".join(["| error | exit code | when |", "|---|---|---|", *rows])


def _settings_of(command: str) -> str:
    settings, arguments = COMMANDS[command].settings, COMMANDS[command].arguments
    fields = [name for name in settings.model_fields if name not in CommonSettings.model_fields]
    # Arguments first, then its own, then those that it shares with others.
    fields.sort(key=lambda name: (name not in arguments, name not in settings.__annotations__))
    return _settings(fields, settings.model_fields)


def _settings(names: Iterable[str], fields: Any) -> str:
    rows = []
    for name in names:
        field = fields[name]
        default = field.get_default(call_default_factory=True)
        shown = "required" if field.is_required() else _default(default, field.description)
        kind = _type(field.annotation)
        rows.append(
            f"| `{name}` | {kind} | {shown} | {_cell(_without_default(field.description))} |"
        )
    return "\n".join(["| setting | type | default | meaning |", "|---|---|---|---|", *rows])


def _default(value: Any, text: str) -> str:
    said = re.search(r"\[default: (.*?)\]", text)
    if said:
        return _cell(said[1])
    return "" if value in (None, [], {}) else f"`{_cell(str(value))}`"


def _without_default(text: str) -> str:
    return re.sub(r" \[default: .*?\]", "", text)


def _type(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type(inner[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        return _type(next(part for part in inner if part is not type(None)))
    if origin is list:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"{_type(inner[0])} to {_type(inner[1])}"
    names = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path"}
    return names[kind]


def _columns(title: str, fields: pa.Schema) -> str:
    rows = [
        f"| `{field.name}` | {field.type} | {_cell(field.metadata[b'meaning'].decode())} |"
        for field in fields
    ]
    return "\n".join([f"### {title}\n", "| column | type | meaning |", "|---|---|---|", *rows])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
