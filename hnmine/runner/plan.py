"""Plans, which are hashed and compared, and tasks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from typing import Any

import xxhash

Json = dict[str, Any]
"""A JSON object."""

Plan = Mapping[str, Any]
"""All that the result depends on: settings, inputs by content, models, versions, seed."""


@dataclass(frozen=True)
class Task:
    """One unit of work, which writes all of its outputs or none.

    Attributes:
        name: unique in its directory, such as `vectors-00003`.
        outputs: paths relative to the directory of the run.
        size: amount of work, in the unit of the progress bar.
        index: place among the tasks of its step.
    """

    name: str
    outputs: tuple[str, ...]
    size: int
    index: int = 0


def blocks(total: int, size: int) -> list[range]:
    """Cut `total` items into consecutive blocks of `size`; the last may be smaller."""
    return [range(start, min(start + size, total)) for start in range(0, total, size)]


def canonical_json(value: object) -> str:
    """Return JSON with sorted keys, so that equal values are equal text."""
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    # Half a surrogate pair, which JSON can hold and UTF-8 cannot, stays as JSON escapes it.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def digest(value: object) -> str:
    """Hash a JSON value."""
    return xxhash.xxh3_128_hexdigest(canonical_json(value).encode())


def versions_of(libraries: Iterable[str]) -> dict[str, str]:
    """Return the version of each of the libraries that is installed."""
    installed = {library: next(iter(distributions(name=library)), None) for library in libraries}
    return {library: found.version for library, found in installed.items() if found}


def differences(old: Plan, new: Plan) -> list[str]:
    """List what differs between two plans, one `key: old -> new` for each."""
    before, after = dict(_flatten(old)), dict(_flatten(new))
    return [
        f"{key}: {before.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _flatten(value: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, json.dumps(value)
