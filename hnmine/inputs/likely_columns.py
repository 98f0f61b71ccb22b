"""The column that a role may mean, by its values: for errors about columns with unusual names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pyarrow as pa

from hnmine.inputs.bad_rows import BadRows
from hnmine.inputs.data_files import DataFile
from hnmine.inputs.nested import at_path, text_paths, top_of
from hnmine.inputs.values import as_string_lists
from hnmine.printable import shortened

SAMPLED, LONGEST_ID, SHOWN = 1000, 64, 80
"""Rows that are looked at, and the characters of an id and of a text that is shown."""


@dataclass(frozen=True)
class Seen:
    """A column, or a path below one, by the first rows.

    Attributes:
        name: of the column.
        value: the first that is not empty.
        mean: characters of a value.
        distinct: whether no value is repeated.
        spaced: whether most values have a space, as texts have.
        whole: whether the values are texts or whole numbers.
        text: whether they are texts.
    """

    name: str
    value: str
    mean: float
    distinct: bool
    spaced: bool
    whole: bool
    text: bool

    @property
    def as_id(self) -> bool:
        """Whether its values look like ids."""
        return self.whole and not self.spaced and self.mean <= LONGEST_ID


def seen(file: DataFile) -> list[Seen]:
    """Return the columns of texts and numbers of a file, and the texts inside lists and structs."""
    texts = text_paths(file.types)
    numbers = [n for n, kinds in file.types.items() if kinds and all(map(_is_number, kinds))]
    tops = dict.fromkeys(top_of(path, file.types) for path in [*texts, *numbers])
    names = [name for name in tops if name is not None]
    batch = next(iter(file.batches(names, BadRows("skip"))), None) if names else None
    if batch is None:
        return []
    batch, found = batch.slice(0, SAMPLED), []
    for path in [name for name in file.types if name in numbers] + texts:
        column = at_path(batch, path)
        if path in texts:
            column = as_string_lists(column, path, str(file.path))[1]
        values = [str(value) for value in column.to_pylist() if value not in (None, "")]
        if values:
            mean = sum(map(len, values)) / len(values)
            spaced = sum(" " in value.strip() for value in values) > len(values) / 2
            whole = path in texts or not any(map(pa.types.is_floating, file.types[path]))
            distinct = len(set(values)) == len(values)
            found.append(Seen(path, values[0], mean, distinct, spaced, whole, path in texts))
    order = list(file.types)
    return sorted(found, key=lambda one: order.index(top_of(one.name, file.types) or one.name))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def likely(kind: str, role: str, columns: Sequence[Seen], taken: Collection[str]) -> Seen | None:
    """Return the column that looks most like a role; None if none does.

    Args:
        kind: of the table.
        role: in it.
        columns: of the table.
        taken: those that have another role.
    """
    free = [one for one in columns if one.name not in taken]
    if role.endswith("id"):
        ids = [one for one in free if one.as_id]
        if role == "id":
            ids = [one for one in ids if one.distinct]
        return ids[0] if ids else None
    texts = sorted((one for one in free if one.spaced), key=lambda one: -one.mean)
    texts = texts or [one for one in free if one.text]
    # The question is shorter than its answer.
    second = (kind, role) == ("pairs", "query") and len(texts) > 1 and not _positive(columns, taken)
    return texts[1 if second else 0] if texts else None


def _positive(columns: Sequence[Seen], taken: Collection[str]) -> bool:
    """Tell whether a column of texts has a role already, which is that of the positive."""
    return any(one.spaced for one in columns if one.name in taken)


def shown(value: str) -> str:
    """Return a value, or its beginning."""
    return repr(shortened(value, SHOWN))
