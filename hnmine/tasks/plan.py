"""What a stage will do, as data: a plan that can be hashed and compared, and a list of tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from typing import Any

import xxhash

Plan = Mapping[str, Any]
"""Everything that the result depends on: settings, inputs by content, models, versions, seed."""

RESULT_LIBRARIES = (
    "hnmine",
    "faiss-cpu",
    "numba",
    "numpy",
    "onnxruntime",
    "openvino",
    "pyarrow",
    "PyStemmer",
    "sentence-transformers",
    "tokenizers",
    "torch",
    "transformers",
)
"""Libraries whose version can change what is written."""


QUERIES_PER_TASK, PAIRS_PER_TASK = 16384, 4096
"""Queries that are encoded, and pairs that a cross-encoder judges, in one task: that is what a kill
can lose, a minute on a CPU, seconds on a GPU."""


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
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def digest(value: object) -> str:
    """Hash a JSON value."""
    return xxhash.xxh3_128_hexdigest(canonical_json(value).encode())


def library_versions() -> dict[str, str]:
    """Return the versions of the installed libraries that the result depends on."""
    installed = {
        library: next(iter(distributions(name=library)), None) for library in RESULT_LIBRARIES
    }
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
