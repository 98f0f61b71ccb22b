"""Conditions on a query and a document by columns of the inputs: `doc.date < query.date`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hnmine.directories.queries import Queries
from hnmine.errors import UsageError, did_you_mean
from hnmine.expressions.evaluation import evaluate, join, references, truth
from hnmine.inputs.texts import Texts
from hnmine.names import repeated
from hnmine.ragged import Bools, Ints, offsets_of, ragged

SIDES = ("query", "doc", "positive", "positives")
"""What expressions are about; `positives` has a list in each field."""

OWN = ("id", "text")

Column = Callable[[Ints], pa.Array]
"""Takes rows and returns their values."""

OF_CLUSTERS = ("cluster", "cluster_hardness")
"""Columns that --clusters adds to queries and documents."""


class Facts:
    """Columns of queries and documents, for expressions over `SIDES`.

    Each has the fields `id`, `text`, every column of its input without a role, and those that
    hnmine computes; a column of the input goes before a computed one.

    Args:
        queries: with their positives.
        documents: of the index.
        computed: by side and name; see `computed_columns`.
    """

    def __init__(
        self,
        queries: Queries,
        documents: Texts,
        computed: Mapping[str, Mapping[str, Column]] = MappingProxyType({}),
    ) -> None:
        self.queries, self.documents, self._computed = queries, documents, computed
        for side, given in (("doc", "corpus"), ("query", "input of queries")):
            of_clusters = [name for name in computed.get(side, ()) if name in OF_CLUSTERS]
            if name := repeated(self._named(side), of_clusters):
                raise UsageError(
                    f"The {given} has a column {name}, and --clusters makes {side}.{name}.",
                    why="An expression could mean either.",
                    fix="Rename the column and read it again, or leave --clusters out.",
                )

    def check(self, text: str, one_value: bool = False) -> None:
        """Check an expression.

        Args:
            text: the expression.
            one_value: whether it has one value for a query and a document, not one per positive.

        Raises:
            UsageError: it is invalid, or names an unknown column.
        """
        if one_value and "positive" in self._fields(text):
            raise UsageError(
                f"{text!r} has a value for each positive, and a column holds one.",
                why="A query may have several positives.",
                fix="Use positives, a list: list_contains(positives.NAME, doc.NAME).",
            )
        none = np.empty(0, dtype=np.int64)
        self.values(text, none, none, none)

    def values(
        self, text: str, query_rows: Ints, doc_rows: Ints, positive_rows: Ints | None = None
    ) -> pa.ChunkedArray:
        """Evaluate an expression for pairs, shape (pairs,)."""
        wanted = self._fields(text)
        if positive_rows is None:
            positive_rows = np.empty(0, dtype=np.int64)
        rows = {"query": query_rows, "doc": doc_rows, "positive": positive_rows}
        columns = {
            side: self._struct(side, fields, rows[side])
            if side in rows
            else self._lists(fields, query_rows)
            for side, fields in wanted.items()
        }
        # A constant needs rows too.
        table = pa.table({**columns, "row": pa.array(query_rows)})
        return evaluate(table, {"value": text})["value"]

    def holds(self, text: str, query_rows: Ints, doc_rows: Ints) -> Bools:
        """Return for which pairs a condition is true: for all positives, and for all copies.

        A document that is not meant to be a candidate must not pass because another positive, or a
        copy under another id, has other columns.
        """
        wanted = self._fields(text)
        pair, documents = np.arange(len(doc_rows)), doc_rows
        if "doc" in wanted:
            pair, documents = self._with_copies(pair, documents)
        if "positive" not in wanted:
            met = truth(self.values(text, query_rows[pair], documents), text)
            return np.bincount(pair[~met], minlength=len(query_rows)) == 0
        distinct, query = np.unique(query_rows, return_inverse=True)
        owner, positives = self._positives(distinct)
        offsets = offsets_of(np.bincount(owner, minlength=len(distinct)))
        of_pair = query[pair]
        counts = np.diff(offsets)[of_pair]
        each = np.repeat(np.arange(len(pair)), counts)
        rows = positives[ragged(offsets[of_pair], counts)]
        met = truth(self.values(text, query_rows[pair[each]], documents[each], rows), text)
        return np.bincount(pair[each[~met]], minlength=len(query_rows)) == 0

    def _positives(self, query_rows: Ints) -> tuple[Ints, Ints]:
        """Return the positives of queries and all copies: position in query_rows, document row."""
        offsets, positives = self.queries.positives(query_rows)
        return self._with_copies(np.repeat(np.arange(len(query_rows)), np.diff(offsets)), positives)

    def _with_copies(self, owner: Ints, rows: Ints) -> tuple[Ints, Ints]:
        """Return owners and rows of documents, with all copies of each."""
        offsets, copies = self.documents.copies(rows)
        return np.repeat(owner, np.diff(offsets)), copies

    def matches(self, text: str, query_rows: Ints) -> tuple[Ints, Ints]:
        """Return the pairs that meet a condition: (position in query_rows, canonical document row).

        It is enough that any positive meets it, and any copy of a document.
        """
        wanted = self._fields(text)
        owner = np.arange(len(query_rows))
        asked: dict[str, pa.Array] = {}
        if "positive" in wanted:
            owner, positives = self._positives(query_rows)
            asked["positive"] = self._struct("positive", wanted["positive"], positives)
        if "query" in wanted:
            asked["query"] = self._struct("query", wanted["query"], query_rows[owner])
        if "positives" in wanted:
            asked["positives"] = self._lists(wanted["positives"], query_rows[owner])
        documents = np.arange(len(self.documents))
        known = {"right": pa.array(np.asarray(self.documents.identity))}
        if "doc" in wanted:
            known["doc"] = self._struct("doc", wanted["doc"], documents)
        joined = join(pa.table({"left": pa.array(owner), **asked}), pa.table(known), text)
        pairs = np.unique(
            np.stack([joined["left"].to_numpy(), joined["right"].to_numpy()], axis=1), axis=0
        )
        return pairs[:, 0], pairs[:, 1]

    def _fields(self, text: str) -> Mapping[str, list[str]]:
        """Return the fields that an expression uses, by side."""
        wanted: dict[str, list[str]] = {}
        for side, *path in references(text):
            if side not in SIDES or not path:
                raise UsageError(
                    f"{'.'.join([side, *path])!r} in {text!r} is not known here.",
                    why=f"Expressions of mine use columns of {', '.join(SIDES)} only.",
                    fix="Write doc.NAME or query.NAME, such as doc.date < query.date.",
                )
            known = self._known(side)
            if path[0] not in known:
                near = did_you_mean(path[0], known, shown=f"{side}.{{}}".format)
                raise UsageError(
                    f"{side}.{path[0]} in {text!r} is not known.{near}",
                    why=f"A {side} has these columns: {', '.join(known)}.",
                    fix="Use one of them, or add the column to the input.",
                )
            fields = wanted.setdefault(side, [])
            if path[0] not in fields:
                fields.append(path[0])
        return wanted

    def _known(self, side: str) -> list[str]:
        return list(dict.fromkeys([*OWN, *self._named(side), *self._computed.get(side, ())]))

    def _named(self, side: str) -> list[str]:
        """Return the columns of the input without a role."""
        texts = self.queries.texts if side == "query" else self.documents
        return [field.name for field in texts.metadata_type]

    def _lists(self, fields: list[str], query_rows: Ints) -> pa.Array:
        """Return for each query the columns of its positives and their copies, as lists."""
        distinct, query = np.unique(query_rows, return_inverse=True)
        owner, positives = self._positives(distinct)
        bounds = pa.array(offsets_of(np.bincount(owner, minlength=len(distinct))))
        columns = self._columns("positive", fields, positives)
        lists = [pa.LargeListArray.from_arrays(bounds, values) for values in columns]
        return pa.StructArray.from_arrays(lists, names=fields).take(pa.array(query))

    def _struct(self, side: str, fields: list[str], rows: Ints) -> pa.Array:
        return pa.StructArray.from_arrays(list(self._columns(side, fields, rows)), names=fields)

    def _columns(self, side: str, fields: list[str], rows: Ints) -> Iterator[pa.Array]:
        texts = self.queries.texts if side == "query" else self.documents
        named = self._named(side)
        for name in fields:
            if name == "id":
                yield texts.id_array(rows)
            elif name == "text":
                yield texts.text_array(rows)
            elif name in named:
                yield pc.struct_field(texts.metadata(rows), name)
            else:
                yield self._computed[side][name](rows)
