"""Negatives that another miner chose: lists, triplets or n-tuples, by text or by id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.errors import InputError
from hnmine.inputs.bad_rows import BadRows
from hnmine.inputs.columns import Passages, conventional, find_negatives, merged
from hnmine.inputs.data_files import ANYTHING, DataFile
from hnmine.inputs.formats.reader import Asked
from hnmine.inputs.labels import label_numbers
from hnmine.inputs.nested import at_path, inside_type, top_of
from hnmine.inputs.records import joined
from hnmine.inputs.table_reader import content_hash
from hnmine.inputs.values import as_string_lists, as_strings, is_list, is_text, last_values

OWN_SCORES, ALL_SCORES = "neg_scores", "scores"
"""One score for each negative (FlagEmbedding), or the positive's first (sentence-transformers)."""


@dataclass(frozen=True)
class Negatives:
    """A table of queries with columns of negatives, or with judged texts.

    Attributes:
        path: as the user gave it.
        files: in the order in which they are read.
        query: the column of the query, its text or else its id.
        passages: the columns of the negatives, the best first.
        label: the column of labels or scores of judged texts; None of negatives.
        queries_by_text: whether the query is a text, not an id.
        by_text: whether the negatives are texts, not ids.
    """

    path: str
    files: list[DataFile]
    query: str
    passages: list[Passages]
    label: str | None
    queries_by_text: bool
    by_text: bool

    @classmethod
    def open(cls, path: str, asked: Asked = ANYTHING) -> Negatives | None:
        """Open a table; None if it holds neither negatives nor labelled texts.

        Raises:
            InputError: nothing is there, or it cannot be read.
        """
        files = DataFile.open_all(path, asked, any_ending=True)
        types = merged(file.types for file in files)
        text = conventional("pairs", "query", types)
        query = text or conventional("pairs", "query_id", types)
        passages, label = find_negatives(types), None
        judged = conventional("pairs", "positive", types)
        if not passages and judged and not conventional("qrels", "corpus_id", types):
            label = conventional("pairs", "label", types)
            passages = [Passages(judged)] if label else []
        if not query or not passages:
            return None
        if text is None:  # Without the query's text, the negatives are ids, too.
            passages = [Passages(None, found.id or found.text) for found in passages]
        by_text = all(found.text for found in passages)
        return cls(path, files, query, passages, label, text is not None, by_text)

    def fingerprint(self) -> str:
        """Hash its content."""
        return content_hash(content for file in self.files for content in file.contents)

    def hits(
        self, bad: BadRows | None = None
    ) -> Iterator[tuple[list[str], list[str], NDArray[np.float64]]]:
        """Stream queries, negatives and scores, shape (hits,) each.

        Where the table has no scores, a negative's is minus its place in the table: the first is
        the best of its query.

        Raises:
            InputError: a row holds no text where text belongs, or another number of scores than of
                negatives.
        """
        start, place = 0, 0
        paths = [self.query, *(path for found in self.passages for path in found.paths)]
        paths += [self.label] if self.label else [OWN_SCORES, ALL_SCORES]
        for file in self.files:
            tops = dict.fromkeys(
                top for path in paths if (top := top_of(path, file.types)) is not None
            )
            for batch in file.batches(list(tops), bad):
                queries: list[str] = []
                texts: list[str] = []
                scores: list[float] = []
                asked = self._queries(batch, start)
                given = self._scores(batch)
                for number, found in enumerate(self._rows(batch, start)):
                    queries += [asked[number]] * len(found)
                    texts += found
                    own = given[number]
                    self._check(own, found, start + number)
                    scores += own or [-float(place + n) for n in range(len(found))]
                    place += len(found)
                start += batch.num_rows
                yield queries, texts, np.array(scores, dtype=np.float64)

    def _queries(self, batch: pa.RecordBatch, start: int) -> list[str]:
        column = at_path(batch, self.query)
        column = last_values(column) if is_list(column.type) else column
        if self.queries_by_text and not is_text(column.type):
            raise self._no_text(start, column[0])
        found: list[str | None] = as_strings(column, self.query, self.path).to_pylist()
        if None in found:
            raise self._no_text(start + found.index(None), None)
        return [query or "" for query in found]

    def _rows(self, batch: pa.RecordBatch, start: int) -> list[list[str]]:
        """Return the negatives of each row, the best first."""
        rows: list[list[str]] = [[] for _ in range(batch.num_rows)]
        for found in self.passages:
            path = (found.text if self.by_text else found.id) or ""
            column = at_path(batch, path)
            inner = inside_type(column.type)
            if self.by_text and not (is_text(inner) or pa.types.is_null(inner)):
                owner = next((n for n, row in enumerate(column.to_pylist()) if row), 0)
                value = column[owner].as_py()
                raise self._no_text(start + owner, value[0] if isinstance(value, list) else value)
            owners, values = as_string_lists(column, path, self.path)
            texts = values.to_pylist()
            if self.by_text and found.title:
                title = at_path(batch, found.title)
                _, titles = as_string_lists(title, found.title, self.path)
                texts = list(map(joined, titles.to_pylist(), texts))
            for row, text in zip(owners.to_pylist(), texts, strict=True):
                if text is not None:
                    rows[row].append(text)
        return rows

    def _scores(self, batch: pa.RecordBatch) -> Sequence[list[float] | None]:
        """Return the scores of each row's negatives; None where it has none."""
        if self.label:
            owners, numbers = label_numbers(at_path(batch, self.label), self.label, self.path)
            ends = np.searchsorted(owners, np.arange(batch.num_rows + 1))
            return [numbers[i:j].tolist() for i, j in pairwise(ends)]
        names = batch.schema.names
        own = batch[OWN_SCORES].to_pylist() if OWN_SCORES in names else [None] * batch.num_rows
        everything = batch[ALL_SCORES].to_pylist() if ALL_SCORES in names else own
        return [
            _numbers(mine if mine is not None else whole[1:] if isinstance(whole, list) else None)
            for mine, whole in zip(own, everything, strict=True)
        ]

    def _check(self, scores: list[float] | None, found: list[str], number: int) -> None:
        if scores is not None and len(scores) != len(found):
            raise InputError(
                f"{self.path}, row {number}: the numbers of scores and negatives differ.",
                why=f"It has {len(found)} negatives.",
                fix="Correct the row, or remove the scores: then the order of the rows counts.",
            )

    def _no_text(self, number: int, value: object) -> InputError:
        names = [found.text or found.id or "" for found in self.passages]
        return InputError(
            f"{self.path}, row {number}: {str(value)[:80]} is not text.",
            why=f"Its column is {self.query} or {' or '.join(names)}.",
            fix="Correct the row, or give a table with the columns query_id, doc_id, score.",
        )


def _numbers(scores: object) -> list[float] | None:
    if scores is None:
        return None
    if not isinstance(scores, list):
        return [np.nan]
    return [np.nan if score is None else float(score) for score in scores]
