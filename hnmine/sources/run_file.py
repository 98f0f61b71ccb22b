"""What another system found: a TREC run, a table with ids and scores, or negatives by text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hnmine.array_files import save_array
from hnmine.config.reading_options import AS_IT_IS, Reading
from hnmine.directories.queries import Queries
from hnmine.errors import InputError
from hnmine.inputs.columns import asked_for
from hnmine.inputs.layouts import find_layout
from hnmine.inputs.nearest import near
from hnmine.inputs.negatives import Negatives
from hnmine.inputs.table_reader import BadRows, Table
from hnmine.inputs.texts import Texts
from hnmine.inputs.values import as_strings
from hnmine.ragged import offsets_of, position_in_list

Hits = tuple[list[str], list[str], NDArray[np.float64]]


class RunFile:
    """A run on disk.

    Args:
        path: a TREC run (`query Q0 document rank score tag` on each line), a table with the
            columns of judgements and a score or a rank, or another miner's negatives (see
            `negatives`).
        columns: names of its columns that the user gave, by role.
        reading: how to read its files.

    Attributes:
        column: the beginning of the names of its columns.

    Raises:
        InputError: it is not there or has not these columns.
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
        self._found = self.negatives or Table.open("run", part, columns, reading=reading)
        if isinstance(self._found, Table) and not {"score", "rank"} & self._found.columns.keys():
            raise InputError(
                f"{path} holds no run.",
                why="It has no column named score or rank.",
                fix="Add the score or the rank of each document, or name its column with --column "
                "run.score=NAME or --column run.rank=NAME.",
            )

    def fingerprint(self) -> str:
        """Hash its content."""
        return self._found.fingerprint()

    def hits(self, bad: BadRows | None = None) -> Iterator[Hits]:
        """Stream queries, documents and scores, shape (hits,) each.

        The score of a run that has only ranks is minus the rank.

        Args:
            bad: records lines of JSON files that are no rows, if they may be skipped.

        Raises:
            InputError: a row is none of a run, or the file changed.
        """
        if isinstance(self._found, Negatives):
            yield from self._found.hits(bad)
            return
        names = self._found.columns
        for start, batch in self._found.batches(bad):
            queries, documents = (
                as_strings(batch[names[role]], names[role], self.path).to_pylist()
                for role in ("query_id", "corpus_id")
            )
            if "score" in names:
                yield queries, documents, self._numbers(batch, names["score"], start)
            else:
                yield queries, documents, -self._numbers(batch, names["rank"], start)

    def _numbers(self, batch: pa.RecordBatch, name: str, start: int) -> NDArray[np.float64]:
        """Return a column as numbers; NaN where it is null.

        Raises:
            InputError: names the first row that holds none.
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


def _rows(texts: Texts, found: list[str], by_text: bool) -> NDArray[np.int64]:
    return texts.find_texts(found) if by_text else texts.find_ids(found)


def write_run(
    run: RunFile, folder: Path, queries: Queries, documents: Texts, bad: BadRows
) -> dict[str, int]:
    """Write a run by query and slot, best first, into a new folder.

    Hits of queries that are not mined for are left out. Of copies of one text the best counts.

    Args:
        run: what to read.
        folder: must not exist.
        queries: that are mined for.
        documents: of the index.
        bad: where hits are recorded whose document is unknown or whose score is no number.
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
                near_it = ""
                if document[hit] < 0 and not by_text and bad.shows_more:
                    near_it = near(doc_ids[hit], documents)
                where = f"{run.path}, hit {line + int(hit)}: {doc_ids[hit][:80]}"
                bad.add(what, where + near_it)
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
