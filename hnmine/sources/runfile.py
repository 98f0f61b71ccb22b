"""What another system found: a TREC run, a table with ids and scores, or negatives by text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hnmine.data.files import explained
from hnmine.data.layouts import find_layout
from hnmine.data.nearest import near
from hnmine.data.negatives import Negatives
from hnmine.data.tables import BadRows, Table, content_hash
from hnmine.data.texts import Texts
from hnmine.data.unchanged import Unchanged
from hnmine.data.values import as_strings
from hnmine.errors import InputError
from hnmine.index.topk import offsets_of, position_in_list
from hnmine.sources.positives import Queries
from hnmine.tasks.arrays import save_array
from hnmine.tasks.storage import fetch_input

TREC_FIELDS = 6
LINES_AT_ONCE = 1 << 17
TABLES = {".parquet", ".jsonl", ".csv", ".json", ".arrow"}

Hits = tuple[list[str], list[str], NDArray[np.float64]]


class RunFile:
    """A run on disk.

    Args:
        path: a TREC run (`query Q0 document rank score tag` on each line), a table with the
            columns of judgements and a score, or another miner's negatives (see `negatives`).

    Attributes:
        column: the beginning of the names of its columns.

    Raises:
        InputError: it is not there or has not these columns.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.column = "run_" + re.sub(r"\W+", "_", Path(path).stem).strip("_").lower()
        layout = find_layout(path)
        part = layout.run if layout and layout.run else path
        inside = self.file = fetch_input(part) if isinstance(part, str) else part.path
        is_table = (
            not isinstance(part, str)
            or inside.is_dir()
            or bool(TABLES & {suffix.lower() for suffix in inside.suffixes})
        )
        self.negatives = Negatives.open(part) if is_table and isinstance(part, str) else None
        self.table = Table.open("qrels", part) if is_table and not self.negatives else None
        if self.table and "score" not in self.table.columns:
            raise InputError(
                f"{path} holds no run.",
                why="It has no column named score.",
                fix="Add the score by which the documents were ranked.",
            )
        if not is_table and not inside.is_file():
            raise InputError(f"There is no file {path}.", fix="Check --from-run.")
        self._content = Unchanged(inside)

    def fingerprint(self) -> str:
        """Hash its content."""
        if found := self.negatives or self.table:
            return found.fingerprint()
        return content_hash([self._content])

    def hits(self) -> Iterator[Hits]:
        """Stream queries, documents and scores, shape (hits,) each.

        Raises:
            InputError: a line is none of a run, or the file changed.
        """
        if self.negatives:
            yield from self.negatives.hits()
            return
        if self.table is None:
            with self._content.reading():
                yield from _trec(self.file)
            return
        for _, batch in self.table.batches():
            names = self.table.columns
            queries, documents = (
                as_strings(batch[names[role]], names[role], self.path).to_pylist()
                for role in ("query_id", "corpus_id")
            )
            scores = pc.fill_null(batch[names["score"]].cast(pa.float64()), np.nan)
            yield queries, documents, scores.to_numpy(zero_copy_only=False)


def _trec(path: Path) -> Iterator[Hits]:
    queries: list[str] = []
    documents: list[str] = []
    scores: list[float] = []
    with explained(path), path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            fields = line.split()
            if not fields:
                continue
            try:
                if len(fields) != TREC_FIELDS:
                    raise ValueError(f"It has {len(fields)} fields.")
                score = float(fields[4])
            except ValueError as error:
                raise InputError(
                    f"{path}, line {number} is no line of a TREC run: {line.strip()[:80]}",
                    why=str(error),
                    fix="Each must be: query Q0 document rank score tag.",
                ) from error
            queries.append(fields[0])
            documents.append(fields[2])
            scores.append(score)
            if len(scores) == LINES_AT_ONCE:
                yield queries, documents, np.array(scores)
                queries, documents, scores = [], [], []
    yield queries, documents, np.array(scores)


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
    for query_ids, doc_ids, scores in run.hits():
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
