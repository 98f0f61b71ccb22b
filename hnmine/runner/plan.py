"""What a stage will do, as data: a plan that can be hashed and compared, and a list of tasks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from typing import Any

import xxhash

Plan = Mapping[str, Any]
"""Everything that the result depends on: settings, inputs by content, models, versions, seed."""

ALWAYS = ("hnmine", "numpy", "pyarrow")
"""Libraries whose version can change whatever is written."""

_TORCH = ("sentence-transformers", "tokenizers", "torch", "transformers")
LIBRARIES = {
    "bm25": ("numba", "PyStemmer"),
    "compiled": ("numba",),
    "expressions": ("duckdb",),
    "faiss": ("faiss-cpu",),
    "learning": ("scipy",),
    "onnx": ("onnxruntime", "tokenizers"),
    "openvino": (*_TORCH, "openvino"),
    "rank-bm25": ("rank-bm25",),
    "torch": _TORCH,
}
"""Further ones, by what a stage does or by the back end of its model."""

QUERIES_PER_TASK, PAIRS_PER_TASK = 16384, 4096
"""Queries that are encoded, and pairs that a cross-encoder judges, in one task."""


@dataclass(frozen=True)
class Task:
    """One unit of work: it reads named inputs and writes its outputs, all or nothing.

    Attributes:
        name: unique in its directory, such as `vectors-00003`.
        outputs: paths that it writes, relative to the directory of the run.
        size: how much work it is, in the unit of its stage's progress bar.
        index: its place in its stage.
    """

    name: str
    outputs: tuple[str, ...]
    size: int
    index: int = 0


def blocks(total: int, size: int) -> list[range]:
    """Cut `total` items into consecutive blocks of `size`; the last may be smaller."""
    return [range(start, min(start + size, total)) for start in range(0, total, size)]


def canonical_json(value: object) -> str:
    """Write JSON with sorted keys, so that equal values are equal text."""
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    # Half a surrogate pair, which JSON can hold and UTF-8 cannot, stays as JSON escapes it.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def digest(value: object) -> str:
    """Hash a JSON value."""
    return xxhash.xxh3_128_hexdigest(canonical_json(value).encode())


def library_versions(uses: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of the installed libraries that a result depends on.

    Args:
        uses: keys of `LIBRARIES`.
    """
    return versions_of({*ALWAYS, *(library for use in uses for library in LIBRARIES[use])})


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
