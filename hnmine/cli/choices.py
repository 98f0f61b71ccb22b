"""The values that the shell completes for a setting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Literal, get_args, get_origin

from hnmine.commands.command import Command
from hnmine.errors import HnmineError
from hnmine.exports import EXPORTS, LAYOUTS
from hnmine.recipes import RECIPES

Names = Callable[[], Iterable[str]]


def _layouts() -> Iterable[str]:
    return [*LAYOUTS, *(name for name, entry in EXPORTS.items() if entry.package)]


def _stemmers() -> Iterable[str]:
    from Stemmer import algorithms

    return ["none", *algorithms()]


BY_NAME: Mapping[str, Names] = {
    "device": lambda: ("auto", "cpu", "cuda", "mps"),
    "faiss": lambda: ("Flat", "IVF4096,Flat", "HNSW32"),
    "format": _layouts,
    "recipe": lambda: RECIPES,
    "sampling": lambda: ("top", "random"),
    "score": lambda: ("ce", "dense", "bm25"),
    "stemmer": _stemmers,
}
"""The values of settings whose type does not list them."""


def choices(command: Command, name: str) -> Names | None:
    """Return what gives the values of a setting; None where any value may be meant."""
    registry = command.registries.get(name)
    if registry is not None:  # Its length would load other packages.
        return lambda: registry
    if command.name == "recipes" and name == "name":
        return BY_NAME["recipe"]
    listed = _listed(command.settings.model_fields[name].annotation)
    return (lambda: listed) if listed else BY_NAME.get(name)


def _listed(annotation: object) -> list[str]:
    """Return the values that a type lists, or the types inside it."""
    if get_origin(annotation) is Literal:
        return [value for value in get_args(annotation) if isinstance(value, str)]
    return [value for part in get_args(annotation) for value in _listed(part)]


def completion(names: Names | None) -> Callable[[str], list[str]] | None:
    """Return what Typer asks for the values that begin with what is typed."""
    if names is None:
        return None

    def complete(incomplete: str) -> list[str]:
        with suppress(HnmineError, ImportError):  # A package with a fault must not break a shell.
            return [name for name in names() if name.startswith(incomplete)]
        return []

    return complete
