"""Pairs and corpus of `mine_hard_negatives` as Arrow tables, and its rows as a Dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from hnmine.errors import UsageError
from hnmine.in_memory import is_table, record_batches
from hnmine.inputs.identity import normalise
from hnmine.inputs.table_reader import content_id

if TYPE_CHECKING:
    from datasets import Dataset

QUERY, POSITIVE = "query", "positive"
LAST = 2**62
"""The place of documents that are no positives, behind all that are."""


@dataclass(frozen=True)
class Pairs:
    """The pairs, with the names that their columns had.

    Attributes:
        anchor: name of the column of queries.
        positive: name of the column of positives.
        table: with the columns `query` and `positive`.
    """

    anchor: str
    positive: str
    table: pa.Table

    @classmethod
    def of(cls, dataset: object, anchor: str | None, positive: str | None) -> Pairs:
        """Read the pairs; without names, the first column and the second.

        Raises:
            UsageError: the data set is none, is empty, or lacks a column.
        """
        if not is_table(dataset):
            raise UsageError(
                f"dataset: {dataset!r} is no table.",
                fix="Pass a datasets.Dataset, such as load_dataset(NAME, split='train').",
            )
        try:
            table = pa.Table.from_batches(record_batches(dataset))
        except (ValueError, TypeError, AttributeError) as error:
            raise UsageError(
                "dataset: it is empty, or no table.", why=str(error), fix="Pass pairs."
            ) from error
        names = table.column_names
        if len(names) < 2 and not (anchor and positive):
            raise UsageError(
                f"dataset: it has one column, {', '.join(names)}.",
                fix="Pass a column of queries and a column of positives.",
            )
        anchor, positive = anchor or names[0], positive or names[1]
        for setting, name in (("anchor_column_name", anchor), ("positive_column_name", positive)):
            if name not in names:
                raise UsageError(
                    f"{setting}: the data set has no column {name!r}.",
                    why=f"Its columns are: {', '.join(names)}.",
                    fix="Name one of them.",
                )
        columns = {QUERY: table[anchor], POSITIVE: table[positive]}
        return cls(anchor, positive, pa.table(columns))

    @cached_property
    def texts(self) -> list[tuple[str, str]]:
        """Query and positive of each pair; a list of positives is a pair each."""
        rows = zip(*(self.table[name].to_pylist() for name in (QUERY, POSITIVE)), strict=True)
        return [
            (query, text)
            for query, found in rows
            for text in (found if isinstance(found, list) else [found])
        ]

    @cached_property
    def most_rows(self) -> int:
        """The largest number of rows of a query."""
        return max(Counter(query for query, _ in self.texts).values())

    @cached_property
    def most_positives(self) -> int:
        """The largest number of different positives of a query, as hnmine tells them apart."""
        different = {(normalise(query), normalise(text)) for query, text in self.texts}
        return max(Counter(query for query, _ in different).values())

    def dataset(self, rows: pa.Table) -> Dataset:
        """Return training rows in the order of the pairs, under the names of their columns."""
        from datasets import Dataset

        queries, pairs = _places(query for query, _ in self.texts), _places(self.texts)
        asked, documents = (rows.column(n).to_pylist() for n in (0, 1))
        first = [text[0] if isinstance(text, list) else text for text in documents]
        keys = [
            (queries.get(query, LAST), pairs.get((query, text), LAST))
            for query, text in zip(asked, first, strict=True)
        ]
        by_query, by_pair = np.array(keys, np.int64).reshape(-1, 2).T
        rows = rows.take(pa.array(np.lexsort((by_pair, by_query))))
        names = [self.anchor, self.positive, *rows.column_names[2:]]
        plain = pa.schema([pa.field(n, _plain(kind)) for n, kind in zip(names, rows.schema.types)])  # noqa: B905
        return Dataset(rows.rename_columns(names).cast(plain))


def _places(items: Iterable[object]) -> dict[object, int]:
    return {item: place for place, item in enumerate(dict.fromkeys(items))}


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type that `Dataset.from_dict` gives to such values."""
    if pa.types.is_large_list(kind) or pa.types.is_list(kind):
        return pa.list_(_plain(kind.value_type))
    if pa.types.is_large_string(kind):
        return pa.string()
    return pa.int64() if pa.types.is_integer(kind) else kind


def corpus_of(corpus: object) -> object:
    """Return texts as a table with ids by content, and any other corpus unchanged.

    Args:
        corpus: a list or a column of texts; a table with ids; a path or the name of a data set.
    """
    if isinstance(corpus, str | Mapping) or not isinstance(corpus, Iterable):
        return corpus
    if hasattr(corpus, "column_names") or hasattr(corpus, "columns"):
        return corpus
    texts = list(corpus)
    if not all(isinstance(text, str) for text in texts):
        return texts
    texts = list(dict.fromkeys(texts))
    return pa.table({"id": list(map(content_id, texts)), "text": texts})
