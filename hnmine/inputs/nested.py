"""Columns inside structs, by their path: `document.text`, `positive_passages.text`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hnmine.inputs.values import is_list, is_text

DEEPEST = 3
"""Structs in structs that are looked into."""

LEAVES = {
    "text": ("text", "contents", "content", "passage", "body"),
    "id": ("docid", "doc_id", "_id", "id", "passage_id", "psg_id", "document_id"),
    "title": ("title",),
}
"""What a struct calls the text, the id and the title of a passage; the first that is there."""

Types = Mapping[str, Sequence[pa.DataType]]


def inside_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of what lists hold, or the type itself."""
    while is_list(kind):
        kind = kind.value_type
    return kind


def is_struct(kinds: Iterable[pa.DataType]) -> bool:
    """Tell whether one of a column's types is a struct or a list of structs."""
    return any(pa.types.is_struct(inside_type(kind)) for kind in kinds)


def paths_below(name: str, kinds: Iterable[pa.DataType], depth: int = DEEPEST) -> Iterator[str]:
    """Yield the paths of what is no struct below a column."""
    for kind in map(inside_type, kinds):
        if not pa.types.is_struct(kind) or not depth:
            continue
        for field in kind:
            path = f"{name}.{field.name}"
            if is_struct([field.type]):
                yield from paths_below(path, [field.type], depth - 1)
            else:
                yield path


def all_paths(types: Types) -> list[str]:
    """List the paths below all columns, each once."""
    found = (path for name, kinds in types.items() for path in paths_below(name, kinds))
    return [path for path in dict.fromkeys(found) if path not in types]


def leaf(name: str, role: str, paths: Collection[str]) -> str | None:
    """Find the text, the id or the title in a struct, by its usual names."""
    wanted = (f"{name}.{last}" for last in LEAVES[role])
    return next((path for path in wanted if path in paths), None)


def top_of(path: str, names: Collection[str]) -> str | None:
    """Return the column that a path begins in: the longest name, as names may hold dots."""
    if path in names:
        return path
    starts = [path[:at] for at, sign in enumerate(path) if sign == "."]
    return next((start for start in reversed(starts) if start in names), None)


def type_at(path: str, types: Types) -> list[pa.DataType]:
    """Return the types at a path, lists around structs included; none for an unknown path."""
    top = top_of(path, types)
    if top is None:
        return []
    kinds = list(types[top])
    for name in path[len(top) + 1 :].split(".") if path != top else []:
        kinds = [
            _around(kind, inside.field(name).type)
            for kind in kinds
            if pa.types.is_struct(inside := inside_type(kind)) and inside.get_field_index(name) >= 0
        ]
    return kinds


def _around(kind: pa.DataType, inner: pa.DataType) -> pa.DataType:
    return pa.large_list(_around(kind.value_type, inner)) if is_list(kind) else inner


def at_path(batch: pa.RecordBatch, path: str) -> pa.Array:
    """Return what is at a path, in the lists that its structs are in; null where it is missing."""
    top = top_of(path, batch.schema.names)
    if top is None:
        return pa.nulls(batch.num_rows)
    column = batch[top]
    for name in path[len(top) + 1 :].split(".") if path != top else []:
        column = _field(column, name)
    return column


def _field(column: pa.Array, name: str) -> pa.Array:
    if is_list(column.type):
        lengths = pc.list_value_length(column)
        counts = pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False)
        values = _field(pc.list_flatten(column), name)
        missing = pc.is_null(lengths) if lengths.null_count else None
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]))
        return pa.LargeListArray.from_arrays(offsets, values, mask=missing)
    if pa.types.is_struct(column.type) and column.type.get_field_index(name) >= 0:
        return pc.struct_field(column, name)
    return pa.nulls(len(column))


def text_paths(types: Types) -> list[str]:
    """List the columns, and paths below columns, that hold text."""
    return [path for path in [*types, *all_paths(types)] if any(map(is_text, type_at(path, types)))]
