"""Write docs/api.md and hnmine/__init__.pyi from the docstrings, the settings and the schemas.

python docs/make_api.py
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import textwrap
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa

import hnmine
from hnmine import errors, python_api, schema
from hnmine.commands import COMMANDS
from hnmine.commands.command import Command
from hnmine.config.shared import CommonSettings
from hnmine.drop_in.hard_negatives import mine_hard_negatives
from hnmine.exports.pushing import Pushed
from hnmine.in_memory import Tables, Tabular
from hnmine.results import StageResult

PAGE = Path(__file__).parent / "api.md"
STUB = Path(hnmine.__file__).with_suffix(".pyi")
HEAD = """# Python functions, settings, columns

Made from the docstrings by `python docs/make_api.py`; a test keeps it in step.

Each command has a function, which takes its settings as keywords, with underscores: the flag
`--num-negatives 3` is `num_negatives=3`, `--no-dense` is `dense=False`, and a flag that may be
repeated takes a value or a list of them. `config` takes what `--config` takes, or a mapping. Wrong
settings are a `UsageError` that names every fault at once. `hnmine filter` is `filter_negatives`: a
function named `filter` would hide Python's own. The old name still works in this release.

Where a setting names a table, a function also takes one in memory: a `datasets.Dataset`, a data
frame of pandas or polars, an Arrow table, a dict of columns, or a list of dicts. Where it names a
model, it takes a loaded `SentenceTransformer` or `CrossEncoder`. Such runs resume too: tables and
models are compared by content. A loaded model is kept in `~/.cache/hnmine/models`, as the index
names it. `result.train` is a `Dataset`, `result.scored` an Arrow table, and a result is a path
itself: `mine(index=build_index(…), …)`.

```python
from hnmine import filter_negatives
from hnmine.errors import HnmineError

try:
    result = filter_negatives(candidates="runs/candidates", output="runs/mined", margin=3.0)
    print(result.counts["negatives"], result.train[:5])
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
    parts = [HEAD, "## mine_hard_negatives", _doc(inspect.getdoc(mine_hard_negatives) or "")]
    parts += ["## Functions", *map(_function, COMMANDS)]
    parts += ["## What they return", *map(_class, (StageResult, Pushed))]
    parts += ["## Errors", _errors()]
    parts += [
        "## Settings of all commands but `init` and `models`",
        _settings(CommonSettings.model_fields, CommonSettings.model_fields),
    ]
    parts += ["## Columns of the files", *(_columns(*item) for item in COLUMNS.items())]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _function(name: str) -> str:
    command, function = COMMANDS[name], python_api.NAMES[name]
    shape = python_api.signature(command)
    first = [*["*paths"] * command.takes_paths, *command.arguments]
    call = f"`{function}({', '.join([*first, '…'])}) -> {shape.return_annotation}`"
    # Those of `run` are listed with the commands that it runs.
    settings = "" if name == "run" else _settings_of(name)
    return f"### hnmine.{function}\n\n{call}\n\n{command.summary}\n\n{settings}"


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


def stub() -> str:
    """Return what type checkers and editors read of the package."""
    results = {name: _results(command) for name, command in COMMANDS.items()}
    distinct = {result for found in results.values() for result in found}
    kinds = [kind for _, kind in distinct]
    drop_in = "from hnmine.drop_in.hard_negatives import mine_hard_negatives as mine_hard_negatives"
    imports, functions = {drop_in, "from hnmine.in_memory import LoadedModel, Tables, Tabular"}, []
    for name, function in python_api.NAMES.items():
        command, aliases = COMMANDS[name], []
        for module, kind in results[name]:
            # Two commands may each return a `Report` of their own.
            alias = kind if kinds.count(kind) == 1 else f"{kind}Of{name.title()}"
            imports.add(f"from {module} import {kind}" + f" as {alias}" * (alias != kind))
            aliases.append(alias)
        alias = " | ".join(aliases)
        functions.append(_declaration(function, command, alias))
        if name == "filter":
            functions.append(f'@deprecated("use {function}")\n{_declaration(name, command, alias)}')
    head = [
        "from collections.abc import Mapping, Sequence",
        "from os import PathLike",
        "from typing import Any, Literal",
        "",
        "from typing_extensions import deprecated",
        "",
        *sorted(imports),
    ]
    parts = [
        "# Made by `python docs/make_api.py`; a test keeps it in step.",
        "\n".join(head),
        f"__version__: str\n__all__ = {json.dumps(hnmine.__all__)}",
        *functions,
    ]
    return "\n\n".join(parts) + "\n"


def _results(command: Command) -> list[tuple[str, str]]:
    """Return the module and the name of each type that a command returns."""
    source = inspect.getsource(sys.modules[command.run.__module__])
    found = []
    for kind in command.run.__annotations__["return"].split(" | "):
        module = re.search(rf"from (\S+) import .*\b{kind}\b", source)
        assert module, f"{command.run.__module__} does not import {kind}"
        found.append((module[1], kind))
    return found


def _declaration(name: str, command: Command, result: str) -> str:
    parameters, keywords_only = [], False
    for one in python_api.signature(command).parameters.values():
        if one.kind is one.KEYWORD_ONLY and not keywords_only:
            parameters.append("*")
        keywords_only |= one.kind in (one.KEYWORD_ONLY, one.VAR_POSITIONAL)
        star = "*" if one.kind is one.VAR_POSITIONAL else ""
        default = "" if one.default is one.empty else f" = {_literal(one.default)}"
        parameters.append(f"{star}{one.name}: {_typed(one.annotation)}{default}")
    taken = "".join(f"    {parameter},\n" for parameter in parameters)
    text = textwrap.indent(python_api.docstring(command), "    ").strip().replace("\\", "\\\\")
    return f'def {name}(\n{taken}) -> {result}:\n    """{text}\n    """'


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _typed(kind: Any) -> str:
    """Write a type as a stub has it, the same with every version of Python."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is types.NoneType:
        return "None"
    if origin in (Union, types.UnionType):
        for name, table in (("Tables", Tables), ("Tabular", Tabular)):
            if set(get_args(table)) <= set(inner):
                inner = tuple(one for one in inner if one not in get_args(table))
                return " | ".join([*map(_typed, inner), name])
        return " | ".join(map(_typed, inner))
    if origin is Literal:
        return f"Literal[{', '.join(map(_literal, inner))}]"
    if origin:
        return f"{origin.__name__}[{', '.join(map(_typed, inner))}]"
    return str(kind.__name__)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    STUB.write_text(stub(), encoding="utf-8")
