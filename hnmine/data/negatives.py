"""Negatives that another miner chose, by text: lists, triplets or n-tuples."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnmine.data.files import ANYTHING, DataFile, find_files
from hnmine.data.formats.base import Asked
from hnmine.data.tables import CONVENTIONS, content_hash
from hnmine.errors import InputError

NEGATIVES = re.compile(r"neg|negatives?|negative_(\d+)")
OWN_SCORES, ALL_SCORES = "neg_scores", "scores"
"""One score for each negative (FlagEmbedding), or the positive's first (sentence-transformers)."""


@dataclass(frozen=True)
class Negatives:
    """A table with the columns of FlagEmbedding or of sentence-transformers.

    Attributes:
        path: as the user gave it.
        files: in the order in which they are read.
        query: the column of the query.
        columns: those of the negatives, the best first.
    """

    path: str
    files: list[DataFile]
    query: str
    columns: list[str]

    @classmethod
    def open(cls, path: str, asked: Asked = ANYTHING) -> Negatives | None:
        """Open a table; None if it holds no negatives by text.

        Args:
            path: a file, a directory or a glob.
            asked: how to read text files, and what else they may hold.

        Raises:
            InputError: nothing is there, or it cannot be read.
        """
        files = [DataFile.open(file, asked) for file in find_files(path, any_ending=True)]
        names = list(dict.fromkeys(name for file in files for name in file.types))
        query = next((name for name in CONVENTIONS["pairs"]["query"] if name in names), None)
        found = {name: match for name in names if (match := NEGATIVES.fullmatch(name))}
        columns = sorted(found, key=lambda name: int(found[name].group(1) or 0))
        return cls(path, files, query, columns) if query and columns else None

    def fingerprint(self) -> str:
        """Hash its content."""
        return content_hash(file.content for file in self.files)

    def hits(self) -> Iterator[tuple[list[str], list[str], NDArray[np.float64]]]:
        """Stream queries, negatives and scores, shape (hits,) each.

        Where the table has no scores, a negative's is minus its place in the table: whoever comes
        first is the best of its query.

        Raises:
            InputError: a row holds no text where text belongs, or another number of scores than of
                negatives.
        """
        start, place = 0, 0
        for file in self.files:
            for batch in file.batches([self.query, *self.columns, OWN_SCORES, ALL_SCORES]):
                queries: list[str] = []
                texts: list[str] = []
                scores: list[float] = []
                for number, row in enumerate(batch.to_pylist(), start):
                    found = self._texts(row, number)
                    given = self._scores(row, number, len(found))
                    queries += [row[self.query]] * len(found)
                    texts += found
                    scores += given or [-float(place + n) for n in range(len(found))]
                    place += len(found)
                start += batch.num_rows
                yield queries, texts, np.array(scores, dtype=np.float64)

    def _texts(self, row: Mapping[str, Any], number: int) -> list[str]:
        values = [row.get(name) for name in self.columns]
        lists = [value if isinstance(value, list) else [value] for value in values]
        found = [text for texts in lists for text in texts if text is not None]
        for value in (row.get(self.query), *found):
            if not isinstance(value, str):
                raise InputError(
                    f"{self.path}, row {number}: {str(value)[:80]} is no text.",
                    why=f"It stands in {self.query} or {' or '.join(self.columns)}.",
                    fix="Mend the row, or give a table with the columns query_id, doc_id, score.",
                )
        return found

    def _scores(self, row: Mapping[str, Any], number: int, count: int) -> list[float]:
        scores = row.get(OWN_SCORES)
        if scores is None and isinstance(row.get(ALL_SCORES), list):
            scores = row[ALL_SCORES][1:]
        if scores is not None and (not isinstance(scores, list) or len(scores) != count):
            raise InputError(
                f"{self.path}, row {number}: its scores are not one for each negative.",
                why=f"It has {count} negatives.",
                fix="Mend the row, or leave the scores out: the order of the rows counts then.",
            )
        return [np.nan if score is None else float(score) for score in scores or []]
