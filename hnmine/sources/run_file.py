"""Runs of other systems, read from files and opened as sources."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hnmine.array_files import load_array, load_offsets, save_array
from hnmine.config.reading_options import AS_IT_IS, Reading
from hnmine.directories.queries import Queries
from hnmine.errors import InputError
from hnmine.index.topk import Ranking
from hnmine.inputs.columns import asked_for
from hnmine.inputs.layouts import find_layout
from hnmine.inputs.nearest import near
from hnmine.inputs.negatives import Negatives
from hnmine.inputs.table_reader import BadRows, Table
from hnmine.inputs.texts import Texts
from hnmine.inputs.values import as_strings
from hnmine.ragged import Ints, offsets_of, position_in_list, ragged
from hnmine.runner.safe_paths import safe_join
from hnmine.sources.source import Asked, Mining, Score, Search, Source

Hits = tuple[list[str], list[str], NDArray[np.float64]]
"""Query ids, document ids and scores; texts instead of ids for negatives by text."""


class RunFile:
    """A run on disk.

    Args:
        path: a TREC run (`query Q0 document rank score tag` on each line), a table with the
            columns of judgements and a score or a rank, or another miner's negatives (see
            `negatives`).
        columns: names of its columns that the user gave, by role.
        reading: options for reading its files.

    Attributes:
        column: the prefix of its columns.

    Raises:
        InputError: it is missing or lacks these columns.
    """

    def __init__(
        self, path: str, columns: Mapping[str, str] | None = None, reading: Reading = AS_IT_IS
    ) -> None:
        self.path = path
        self.column = "run_" + re.sub(r"\W+", "_", Path(path).stem).strip("_").lower()
        layout = find_layout(path)
        part = layout.run if layout and layout.run else path
        asked = asked_for("run", columns, reading)
        self.negatives = Negatives.open(part, asked) if isinstance(part, str) else None
        self._table = self.negatives or Table.open("run", part, columns, reading=reading)
        if isinstance(self._table, Table) and not {"score", "rank"} & self._table.columns.keys():
            raise InputError(
                f"{path} holds no run.",
                why="It has no column named score or rank.",
                fix="Add the score or the rank of each document, or name its column with --column "
                "run.score=NAME or --column run.rank=NAME.",
            )

    def fingerprint(self) -> str:
        """Return a hash of its content."""
        return self._table.fingerprint()

    def hits(self, bad: BadRows | None = None) -> Iterator[Hits]:
        """Stream queries, documents and scores, shape (hits,) each.

        In a run with ranks only, the score is minus the rank.

        Args:
            bad: records invalid lines of JSON files, if they may be skipped.

        Raises:
            InputError: a row is invalid, or the file changed.
        """
        if isinstance(self._table, Negatives):
            yield from self._table.hits(bad)
            return
        names = self._table.columns
        for start, batch in self._table.batches(bad):
            queries, documents = (
                as_strings(batch[names[role]], names[role], self.path).to_pylist()
                for role in ("query_id", "corpus_id")
            )
            if "score" in names:
                yield queries, documents, self._numbers(batch, names["score"], start)
            else:
                yield queries, documents, -self._numbers(batch, names["rank"], start)

    def _numbers(self, batch: pa.RecordBatch, name: str, start: int) -> NDArray[np.float64]:
        """Return a column as float64, NaN for null.

        Raises:
            InputError: a value is not a number.
        """
        try:
            numbers = batch[name].cast(pa.float64())
        except pa.ArrowException as error:
            raise InputError(
                f"Column {name!r} of {self.path} does not hold numbers.",
                why=f"From row {start} on: {str(error).splitlines()[0]}",
                fix="Fix the row, or name another column with --column run.score=NAME or --column "
                "run.rank=NAME.",
            ) from error
        return np.asarray(pc.fill_null(numbers, np.nan).to_numpy(zero_copy_only=False))


def _rows(texts: Texts, found: list[str], by_text: bool) -> Ints:
    return texts.find_texts(found) if by_text else texts.find_ids(found)


def write_run(
    run: RunFile, folder: Path, queries: Queries, documents: Texts, bad: BadRows
) -> dict[str, int]:
    """Write a run by query and document slot, best first, and return counts.

    Hits of unknown queries are left out. Copies of one text get the best of their scores.

    Args:
        run: to read.
        folder: to create.
        queries: of the candidates directory.
        documents: of the index.
        bad: records hits with an unknown document or without a score.
    """
    parts = []
    line = 0
    by_text = run.negatives is not None and run.negatives.by_text
    queries_by_text = run.negatives is not None and run.negatives.queries_by_text
    for query_ids, doc_ids, scores in run.hits(bad):
        query = _rows(queries.texts, query_ids, queries_by_text)
        document = _rows(documents, doc_ids, by_text)
        for what, wrong in (
            ("whose document is not in the index", (query >= 0) & (document < 0)),
            ("whose score is no number", ~np.isfinite(scores)),
        ):
            for hit in np.flatnonzero(wrong):
                similar = ""
                if document[hit] < 0 and not by_text and bad.shows_more:
                    similar = near(doc_ids[hit], documents)
                where = f"{run.path}, hit {line + int(hit)}: {doc_ids[hit][:80]}"
                bad.add(what, where + similar)
        line += len(scores)
        use = (query >= 0) & (document >= 0) & np.isfinite(scores)
        parts.append((queries.texts.identity[query[use]], document[use], scores[use]))
    bad.settle()
    query, document, score = (np.concatenate(column) for column in zip(*parts, strict=True))
    slots = documents.slots(document)
    order = np.lexsort((-score, slots, query))
    query, slots, score = query[order], slots[order], score[order]
    first = np.ones(len(query), dtype=bool)
    first[1:] = (query[1:] != query[:-1]) | (slots[1:] != slots[:-1])
    order = np.flatnonzero(first)
    order = order[np.lexsort((slots[order], -score[order], query[order]))]
    folder.mkdir()
    offsets = offsets_of(np.bincount(query[order], minlength=len(queries.texts)))
    save_array(folder / "offsets.npy", offsets)
    save_array(folder / "slots.npy", slots[order])
    save_array(folder / "scores.npy", score[order])
    longest = int(position_in_list(offsets).max(initial=-1)) + 1
    return {"run_hits": len(order), "run_longest_list": longest}


def open_run(folder: str, mining: Mining) -> Source:
    """Open a run that `write_run` wrote."""
    return _Run(safe_join(mining.paths.runs, folder), mining).source


class _Run:
    def __init__(self, folder: Path, mining: Mining) -> None:
        self.width = len(mining.index.documents.canonical)
        self.slots = load_array(folder / "slots.npy", np.int64, low=0, below=self.width)
        self.scores = load_array(folder / "scores.npy", np.float64, self.slots.shape, finite=True)
        queries = len(mining.queries.texts)
        self.offsets = load_offsets(folder / "offsets.npy", queries, len(self.slots))

    @property
    def source(self) -> Source:
        return Source(self._search, self._score)

    def _lists(self, asked: Asked) -> tuple[Ints, Ints]:
        rows = asked.queries.texts.identity[asked.rows]
        return self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]

    def _search(self, asked: Asked) -> Search:
        return partial(self._best, *self._lists(asked))

    def _best(self, starts: Ints, counts: Ints, k: Ints) -> Ranking:
        counts = np.minimum(counts, k)
        places = ragged(starts, counts)
        return Ranking(offsets_of(counts), self.slots[places], self.scores[places])

    def _score(self, asked: Asked) -> Score:
        starts, counts = self._lists(asked)
        places = ragged(starts, counts)
        keys = np.repeat(np.arange(len(starts)), counts) * self.width + self.slots[places]
        order = np.argsort(keys)
        keys, values = keys[order], self.scores[places][order]

        def score(offsets: Ints, slots: Ints) -> NDArray[np.float64]:
            query = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
            wanted = query * self.width + slots
            found = np.full(len(wanted), np.nan)
            at = np.searchsorted(keys, wanted)
            known = at < len(keys)
            known[known] = keys[at[known]] == wanted[known]
            found[known] = values[at[known]]
            return found

        return score
