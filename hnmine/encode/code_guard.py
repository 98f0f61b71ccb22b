"""Refuse models whose files name code to import, or pickles to run.

Loaders import the classes that configuration files name. hnmine reads all of these files first, for
every back end, and relies on no loader's own checks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from hnmine.encode.model_files import entries_of
from hnmine.errors import MissingModel

LARGEST_CONFIGURATION = 1 << 24
"""Most bytes of a configuration file; vocabularies are in other files."""

MODULE_ROOT = "sentence_transformers."
MODULE = re.compile(re.escape(MODULE_ROOT) + r"(\w+\.)*[A-Z]\w*", re.ASCII)
"""A class, and no module that sentence-transformers imports, such as pickle."""

ACTIVATION = re.compile(r"torch\.nn\.(\w+\.)*[A-Z]\w*", re.ASCII)
ACTIVATIONS = {"activation_fn", "activation_function", "sbert_ce_default_activation_function"}


def refuse_own_code(folder: Path) -> None:
    """Refuse a model folder that would make a loader run code of its own.

    Raises:
        MissingModel: a file names a class outside sentence-transformers, switches a safeguard off,
            or leads out of the folder.
    """
    for entry in entries_of(folder):
        inside, name = entry.inside, entry.inside.name.lower()
        if entry.same_as or not (name == "modules.json" or re.search(r"config.*\.json$", name)):
            continue
        content = _read(entry.path)
        modules = content if name == "modules.json" and isinstance(content, list) else []
        for module in modules:
            known = isinstance(module, dict) and isinstance(module.get("type"), str)
            if known and module["type"].startswith("pylate."):
                raise MissingModel(
                    f"The model {folder} cannot be used: it is a late-interaction model of PyLate.",
                    why="It has a vector for each token; hnmine compares one for each text.",
                    fix="Rank with it elsewhere, and pass the ranking to `hnmine mine --from-run`.",
                )
            if not known or not MODULE.fullmatch(module["type"]):
                _refuse(folder, inside, "type", module.get("type") if known else module)
            if not _stays_inside(module.get("path", "")):
                _refuse(folder, inside, "path", module["path"])
        for key, value in _settings(content):
            if not _is_harmless(key, value):
                _refuse(folder, inside, key, value)


def _read(file: Path) -> object:
    """Return the content of a configuration file; None where loaders cannot read it either."""
    try:
        if file.stat().st_size > LARGEST_CONFIGURATION:
            raise RecursionError
        return json.loads(file.read_text("utf-8"))
    except ValueError:
        return None
    except RecursionError as error:
        raise MissingModel(
            f"The model file {file} is damaged.",
            why="It is larger, or nested deeper, than the configuration of a model.",
            fix="Copy the model again.",
        ) from error
    except FileNotFoundError:  # A broken link.
        return None


def _settings(content: object) -> Iterator[tuple[str, object]]:
    """Yield every key with its value, at any depth."""
    rest = [content]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            yield from value.items()
            rest += value.values()
        elif isinstance(value, list):
            rest += value


def _is_harmless(key: str, value: object) -> bool:
    """Tell whether a setting keeps a loader to installed code, with its safeguards on."""
    if key in ("auto_map", "trust_remote_code", "use_kernels", "kernel_config"):
        return not value
    if key == "weights_only":
        return value is True
    if key == "types" and isinstance(value, dict):  # The routes of a Router, or of an Asym.
        named = [isinstance(kind, str) and MODULE.fullmatch(kind) for kind in value.values()]
        return all(named) and all(map(_stays_inside, value))
    if key == "parent_library":  # What an adapter's model is imported from.
        return isinstance(value, str) and value.startswith(("transformers.", MODULE_ROOT))
    if key.endswith("attn_implementation"):  # A name with a slash is code on the hub.
        return "/" not in json.dumps(value)
    if isinstance(value, str) and "." in value:
        if key in ACTIVATIONS:
            return ACTIVATION.fullmatch(value) is not None
        if key == "tokenizer_class":
            return MODULE.fullmatch(value) is not None
    return True


def _stays_inside(path: object) -> bool:
    """Tell whether a path leads to a folder inside the model's, and to no hidden one."""
    if not isinstance(path, str) or "\\" in path or ":" in path:
        return False
    inside = PurePosixPath(path)
    return not inside.is_absolute() and not any(part.startswith(".") for part in inside.parts)


def _refuse(folder: Path, inside: PurePosixPath, key: str, value: object) -> None:
    raise MissingModel(
        f"The model {folder} is refused: {inside} could make it run code of its own.",
        why=f"Its {key} is {ascii(value)[:200]}. hnmine never runs a model's own code: types begin "
        "with sentence_transformers., activations with torch.nn., and safeguards stay on.",
        fix="Name another model, or remove the setting if the model works without it.",
    )
