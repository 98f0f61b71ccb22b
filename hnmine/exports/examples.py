"""Stream queries with their positives, negatives and scores from a mined directory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hnmine.directories.mined import Mined
from hnmine.directories.never_negatives import check_negatives
from hnmine.errors import InputError
from hnmine.exports.training_rows import Chosen, training_weight
from hnmine.expressions.evaluation import evaluate, read_by
from hnmine.expressions.syntax import bracketed
from hnmine.inputs.texts import Texts
from hnmine.ragged import Floats, Ints, offsets_of
from hnmine.schema import SCORES

TEXTS_AT_ONCE = 1024

SPLIT_COLUMN, NAME = "split", r"[\w-][\w.-]*"
"""The column that divides the queries into splits, and what may name one."""


@dataclass(frozen=True)
class Passage:
    """A document chosen for a query.

    Attributes:
        id: its id.
        text: its text, with the title before it.
        score: one of the export's scores; NaN if it has none.
        row: in the index.
    """

    id: str
    text: str
    score: float
    row: int


@dataclass(frozen=True)
class Example:
    """A query with at least one positive and one negative.

    Attributes:
        id: the query's id.
        query: its text.
        positives: known or relabelled.
        negatives: the best first.
        number: its position among the examples.
    """

    id: str
    query: str
    positives: list[Passage]
    negatives: list[Passage]
    number: int


@dataclass(frozen=True)
class Block:
    """The queries of one part of scored/.

    Attributes:
        query_ids: shape (queries,).
        rows: index rows of the documents in `chosen`, shape (documents,).
        chosen: texts and scores; queries without negatives are among them.
    """

    query_ids: pa.Array
    rows: Ints
    chosen: Chosen


class Material:
    """Streams a mined directory; one part of scored/ is in memory at a time.

    Args:
        mined: what `hnmine filter` wrote.
        scores: ce, dense, bm25, or an expression; None for no scores.
        prompt: instruction for the queries.
        tick: called with the number of rows of scored/ just read.
    """

    def __init__(
        self,
        mined: Mined,
        scores: str | None,
        prompt: str | None = None,
        tick: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self.mined, self.scores, self.prompt, self.tick = mined, scores, prompt, tick
        self.split: str | None = None
        self._found: dict[str, Ints] = {}  # Shared by the copies for splits.
        self.num_negatives = mined.manifest.settings.num_negatives
        self.queries: Texts = mined.candidates.queries.texts
        self.documents: Texts = mined.candidates.index.documents

    @property
    def _score(self) -> str:
        """The expression of the scores; empty for none."""
        return SCORES.get(self.scores or "", self.scores or "")

    def _read(self, names: Sequence[str]) -> list[str]:
        """Return the columns of scored/ that the split, the scores and further columns need."""
        texts = [self._score, *self.mined.manifest.settings.train_column.values()]
        columns = read_by(filter(None, texts), [*names, "query_row"])  # It is added here.
        return [name for name in (SPLIT_COLUMN, *columns) if name in names]

    @cached_property
    def splits(self) -> list[str]:
        """The values of the column `split` of the queries; without it there is one, train.

        Raises:
            InputError: a query has none or several, or one is no name for a file.
        """
        found: dict[str, str] = {}
        for table in self.mined.scored(self._read):
            if SPLIT_COLUMN not in table.column_names:
                return ["train"]
            ids, values = table["query_id"].to_pylist(), _splits(table).to_pylist()
            for query_id, split in dict.fromkeys(zip(ids, values, strict=True)):
                if split is None or not re.fullmatch(NAME, split):
                    what = f"Query {query_id} has the split {split!r}, which names no file."
                elif found.setdefault(query_id, split) != split:
                    what = f"Query {query_id} is in the splits {found[query_id]} and {split}."
                else:
                    continue
                raise InputError(
                    what,
                    why=f"The column {SPLIT_COLUMN} of scored/ names the file of its judgements.",
                    fix="Derive it from columns of the query alone, such as "
                    "--attribute split=\"if(query.date < '2024-06-01', 'train', 'test')\".",
                )
        return sorted(set(found.values())) or ["train"]

    def of_split(self, split: str | None, tick: Callable[[int], None]) -> Material:
        """Return the queries of one split alone, or all, with another callback."""
        other = copy(self)
        other.tick, other.split = tick, split
        return other

    def parts(self, counted: bool = True) -> Iterator[tuple[pa.Table, Ints, Floats]]:
        """Yield each part, the query of each row, numbered from 0, and the scores of the rows.

        Args:
            counted: whether the rows count as progress; not in a first of two passes.
        """
        for table in self.mined.scored(self._read):
            if self.split is not None and SPLIT_COLUMN in table.column_names:
                table = table.filter(pc.equal(_splits(table), self.split))
            query = table["query_id"].combine_chunks().dictionary_encode().indices.to_numpy()
            scores = np.full(len(table), np.nan)
            if self.scores is not None:
                numbered = table.append_column("query_row", pa.array(query))
                wanted = {"scores": f"{bracketed(self._score)}::double"}
                found = evaluate(numbered, wanted, table["keep"].to_numpy())["scores"]
                scores = pc.fill_null(found.cast(pa.float64()), np.nan).to_numpy()
            yield table, query.astype(np.int64), scores
            self.tick(len(table) if counted else 0)

    def blocks(self) -> Iterator[Block]:
        """Yield the queries part by part, in the order of scored/."""
        for table, query, scores in self.parts():
            first = np.unique(query, return_index=True)[1]
            label = pc.fill_null(table["label"], -1).to_numpy()
            positives, negatives = np.flatnonzero(label == 1), np.flatnonzero(label == 0)
            place = pc.fill_null(table["place"], 0).to_numpy()
            negatives = negatives[np.lexsort((place[negatives], query[negatives]))]
            rows = np.concatenate([positives, negatives])
            documents = table["doc_id"].take(pa.array(rows))
            self._check(table, query, scores, rows, negatives)
            at = self.documents.find_ids(documents.to_pylist())
            query_ids = table["query_id"].take(pa.array(first)).combine_chunks()
            query_rows = self.queries.find_ids(query_ids.to_pylist())
            of_row, split = query_rows[query[rows]], len(positives)
            check_negatives(
                self.mined.candidates,
                self.mined.path,
                (of_row[split:], at[split:]),
                (of_row[:split], at[:split]),
            )
            counts = [
                np.bincount(query[part], minlength=len(first)) for part in (positives, negatives)
            ]
            chosen = Chosen(
                self.queries.text_array(query_rows),
                self.documents.text_array(at),
                scores[rows],
                np.arange(len(positives)),
                offsets_of(counts[0]),
                np.arange(len(negatives)) + len(positives),
                offsets_of(counts[1]),
                self._more(table, query_rows[query], rows),
            )
            yield Block(query_ids, at, chosen)

    def _more(self, table: pa.Table, queries: Ints, rows: Ints) -> dict[str, pa.ChunkedArray]:
        """Return the further columns that the directory's train/ has, of some rows."""
        wanted = self.mined.manifest.settings.train_column
        if not wanted:
            return {}
        weight = training_weight(pc.equal(table["label"], 1), table["weight"])
        table = table.set_column(table.column_names.index("weight"), "weight", weight)
        table = table.append_column("query_row", pa.array(queries))
        found = evaluate(table, wanted, table["selected"].to_numpy())
        return {name: found[name].take(pa.array(rows)) for name in wanted}

    def _check(
        self, table: pa.Table, query: Ints, scores: Floats, rows: Ints, negatives: Ints
    ) -> None:
        if self.scores is None:
            return
        wanted = rows[np.isin(query[rows], query[negatives])]
        missing = wanted[~np.isfinite(scores[wanted])]
        if len(missing):
            query_id, document = (table[name][int(missing[0])] for name in ("query_id", "doc_id"))
            raise InputError(
                f"{len(missing):,} of {len(wanted):,} documents to export have no score "
                f"{self.scores!r}.",
                why=f"The first is document {document} of query {query_id}.",
                fix="Choose other scores with --scores: any numeric column of scored/.",
            )

    def examples(self) -> Iterator[Example]:
        """Yield every query that has a positive and a negative, in the order of scored/."""
        number = 0
        for block in self.blocks():
            chosen = block.chosen
            ids = self.documents.id_array(block.rows).to_pylist()
            texts, scores = chosen.documents.to_pylist(), chosen.scores.tolist()
            passages = list(map(Passage, ids, texts, scores, block.rows.tolist()))
            split = len(chosen.positives)
            named = zip(block.query_ids.to_pylist(), chosen.queries.to_pylist(), strict=True)
            for n, (query_id, query) in enumerate(named):
                positives = passages[slice(*chosen.positive_offsets[n : n + 2])]
                negatives = passages[slice(*(chosen.negative_offsets[n : n + 2] + split))]
                if positives and negatives:
                    yield Example(query_id, query, positives, negatives, number)
                    number += 1

    def full_examples(self) -> Iterator[Example]:
        """Yield the examples with the full number of negatives, for trainers that need it."""
        for example in self.examples():
            if len(example.negatives) == self.num_negatives:
                yield example

    @property
    def positive_slots(self) -> Ints:
        """The slots of the positives of all queries, ascending."""
        return self._once("positives", self._find_positives)

    def _find_positives(self) -> Ints:
        found = [np.empty(0, np.int64)]
        for table in self.mined.scored():
            ids = table["doc_id"].filter(pc.fill_null(pc.equal(table["label"], 1), False))
            found.append(self.documents.slots(self.documents.find_ids(ids.to_pylist())))
            self.tick(0)
        return np.unique(np.concatenate(found))

    @property
    def used(self) -> Ints:
        """The rows of the documents that the examples use, ascending."""
        return self._once("used", self._find_used)

    def _find_used(self) -> Ints:
        seen = np.zeros(len(self.documents), dtype=bool)
        for table in self.mined.scored():
            labelled = table.filter(pc.is_valid(table["label"]))
            query, label = labelled["query_id"], labelled["label"]
            complete = [pc.is_in(query, query.filter(pc.equal(label, one))) for one in (0, 1)]
            ids = labelled["doc_id"].filter(pc.and_(*complete))
            seen[self.documents.find_ids(ids.to_pylist())] = True
            self.tick(0)
        return np.flatnonzero(seen)

    def _once(self, name: str, find: Callable[[], Ints]) -> Ints:
        """Return what is found in a pass over scored/, made once for all files and splits."""
        if name not in self._found:
            self._found[name] = find()
        return self._found[name]

    def used_documents(self) -> Iterator[tuple[str, str]]:
        """Yield id and text of the documents that the examples use, in the order of the index."""
        return self.texts_of(self.used)

    def texts_of(self, rows: Ints) -> Iterator[tuple[str, str]]:
        """Yield id and text of documents, given by row."""
        for first in range(0, len(rows), TEXTS_AT_ONCE):
            block = rows[first : first + TEXTS_AT_ONCE]
            yield from zip(
                self.documents.id_array(block).to_pylist(), self.documents.texts(block), strict=True
            )
            self.tick(0)

    def text_tables(self, rows: Ints, id_name: str) -> Iterator[pa.Table]:
        """Yield id and text of documents, given by row; an empty table if there are none."""
        for first in range(0, max(1, len(rows)), TEXTS_AT_ONCE):
            block = rows[first : first + TEXTS_AT_ONCE]
            ids, texts = self.documents.id_array(block), self.documents.text_array(block)
            yield pa.table({id_name: ids, "text": texts})
            self.tick(0)

    def ranked(self) -> Iterator[tuple[str, list[tuple[str, float]]]]:
        """Yield each query's id and all documents that have a score, the highest first."""
        for table, query, scores in self.parts():
            use = np.flatnonzero(np.isfinite(scores) & ~table["is_query"].to_numpy())
            use = use[np.lexsort((use, -scores[use], query[use]))]
            ids, values = table["doc_id"].take(pa.array(use)).to_pylist(), scores[use].tolist()
            hits = list(zip(ids, values, strict=True))
            bounds = np.searchsorted(query[use], np.arange(query.max(initial=-1) + 2))
            first = np.unique(query, return_index=True)[1]
            names = table["query_id"].take(pa.array(first)).to_pylist()
            for n, name in enumerate(names):
                yield name, hits[bounds[n] : bounds[n + 1]]


def _splits(table: pa.Table) -> pa.ChunkedArray:
    return table[SPLIT_COLUMN].cast(pa.string())
