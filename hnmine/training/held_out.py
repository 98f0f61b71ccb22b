"""Queries that students are measured on, and the documents that they search."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hnmine.directories.candidates import Candidates
from hnmine.directories.mined import Mined
from hnmine.encode.declared import OF_DOCUMENTS, OF_QUERIES
from hnmine.errors import InputError
from hnmine.inputs.bad_rows import BadRows
from hnmine.inputs.identity import normalise
from hnmine.inputs.records import qrel_records, text_records
from hnmine.inputs.table_reader import Table
from hnmine.inputs.texts import Texts
from hnmine.keyed_noise import keyed_noise
from hnmine.ragged import Ints
from hnmine.runner.plan import digest
from hnmine.training.retrieval_measures import Values, measure
from hnmine.training.student_rows import Rows
from hnmine.training.students import encode

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SHARE, MOST, LEAST = 0.2, 1000, 20
"""Of the training queries that are held out, where no others are given."""

DOCUMENTS = 5000
"""Documents to search, beyond those that must be there."""

READ_AT_ONCE = 1 << 14
"""Documents that are read between two draws of those to search."""

SHARE_ASIDE, MOST_ASIDE, DOCUMENTS_ASIDE = 0.1, 200, 2000
"""Of the training queries that are set aside to choose by; and the documents that they search."""

SEED = 9
"""Of every draw here: all students of all seeds are measured alike."""


@dataclass(frozen=True)
class HeldOut:
    """What students are measured on.

    Attributes:
        queries: texts that no student trains on.
        documents: texts to search, each once.
        relevant: for each query the rows of its relevant documents, at least one.
        of: documents in the corpus that `documents` was taken from.
        drawn: whether the queries were drawn from those of the directories.
        unusable: judgements left out, because their query or document has no text.
    """

    queries: Sequence[str]
    documents: Sequence[str]
    relevant: Sequence[Ints]
    of: int = 0
    drawn: bool = False
    unusable: int = 0

    def measure(self, model: SentenceTransformer) -> dict[str, Values]:
        """Return each measure of a student for each query."""
        queries = encode(model, self.queries, OF_QUERIES)
        return measure(queries, encode(model, self.documents, OF_DOCUMENTS), self.relevant)

    def check_enough(self) -> None:
        """Refuse so few queries that no difference could be seen.

        Raises:
            InputError: there are fewer than `LEAST`.
        """
        if len(self.queries) < LEAST:
            share = f", {SHARE:.0%} of those that all directories train on" if self.drawn else ""
            raise InputError(
                f"Only {len(self.queries):,} queries can be held out{share}.",
                why=f"Fewer than {LEAST} tell no difference between models.",
                fix="Mine more queries, or pass --held-out FOLDER with more that have a relevant "
                "document.",
            )

    @property
    def fingerprint(self) -> str:
        """A hash of everything that a measure depends on."""
        relevant = [rows.tolist() for rows in self.relevant]
        return digest([list(self.queries), list(self.documents), relevant])

    @property
    def said(self) -> str:
        """What is searched, and what could not be, in sentences."""
        queries = f"{len(self.queries):,} held-out queries"
        if len(self.documents) >= self.of:
            said = f"{queries} search all {len(self.documents):,} documents."
        else:
            mined = ", their mined candidates" if self.drawn else ""
            said = (
                f"{queries} search {len(self.documents):,} of {self.of:,} documents: the relevant "
                f"ones{mined}, and a random sample. A search of the whole corpus gives lower "
                "figures, and other gains over the untrained model."
            )
        if self.unusable:
            said += (
                f" {self.unusable:,} relevance judgements were left out: their query or document "
                "has no text here."
            )
        return said

    @cached_property
    def _known(self) -> tuple[set[str], set[str]]:
        rows = np.unique(np.concatenate(self.relevant))
        positives = {normalise(self.documents[row]) for row in rows}
        return {normalise(query) for query in self.queries}, positives

    def without_leaks(self, rows: Rows) -> Rows:
        """Leave out rows of which a held-out query has the query or the positive.

        Texts that normalise to the same string are the same.
        """
        queries, positives = self._known
        same_query = {text for text in set(rows.queries) if normalise(text) in queries}
        first = [own[0] for own in rows.documents]
        same_positive = {text for text in set(first) if normalise(text) in positives}
        pairs = enumerate(zip(rows.queries, first, strict=True))
        return rows.only(
            [n for n, (q, p) in pairs if q not in same_query and p not in same_positive]
        )

    def without_queries(self, rows: Rows) -> Rows:
        """Leave out rows of a held-out query; their positives may stay in other rows."""
        queries, _ = self._known
        return rows.only(
            [n for n, text in enumerate(rows.queries) if normalise(text) not in queries]
        )

    @classmethod
    def read(cls, folder: Path, corpus: Texts | None = None, most: int = DOCUMENTS) -> HeldOut:
        """Read queries and qrels, in BEIR's layout; queries come in the order of their ids.

        Args:
            folder: with queries, qrels and perhaps a corpus, each a file of any format.
            corpus: where the documents are if the folder has none.
            most: documents to search, beyond the relevant ones.

        Raises:
            InputError: a file is missing or damaged.
        """
        judged = [
            pair
            for batch in qrel_records(_open(folder, "qrels"), 1.0, BadRows())
            for pair in zip(batch.query_ids, batch.positive_ids or (), strict=True)
        ]
        queries, _, _ = _texts(_open(folder, "queries"), {query for query, _ in judged}, 0)
        ids = list(dict.fromkeys(document for _, document in judged))
        if corpus is None or _files(folder, "corpus"):
            texts, others, of = _texts(_open(folder, "corpus"), set(ids), most)
        else:
            rows = corpus.find_ids(ids)
            found = corpus.texts(rows[rows >= 0])
            texts = dict(zip(np.array(ids, object)[rows >= 0], found, strict=True))
            others, of = drawn_documents(corpus, most), len(corpus.canonical)
        relevant: dict[str, list[str]] = {}
        unusable = 0
        for query, document in judged:
            if query in queries and document in texts:
                relevant.setdefault(query, []).append(texts[document])
            else:
                unusable += 1
        order = sorted(relevant)
        pool = _pool(texts.values(), others, most)
        return cls(
            [queries[query] for query in order],
            *_placed([relevant[query] for query in order], pool),
            of=of,
            unusable=unusable,
        )

    @classmethod
    def draw(cls, directories: Sequence[Mined], rows: Sequence[Rows]) -> HeldOut:
        """Draw queries that all directories train on, by their texts alone.

        They search their positives, the candidates that any directory was filtered from, and
        documents drawn from the corpus: no directory's candidates are searched alone.

        Args:
            directories: the first one has the corpus.
            rows: of each directory.
        """
        common = set.intersection(*({normalise(text) for text in set(r.queries)} for r in rows))
        by_normal = {normalise(text): text for text in set(rows[0].queries)}
        queries = _lowest(sorted(common), min(MOST, round(len(common) * SHARE)))
        queries = [by_normal[query] for query in queries]
        own: list[list[str]] = [[] for _ in queries]
        found: list[str] = []
        for candidates in {one.manifest.candidates: one.candidates for one in directories}.values():
            texts, documents = candidates.queries.texts, candidates.index.documents
            asked = texts.find_texts(queries)
            known = np.flatnonzero(asked >= 0)
            offsets, positives = candidates.queries.positives(asked[known])
            for place, (start, stop) in zip(known, pairwise(offsets.tolist()), strict=True):
                own[place] += documents.texts(positives[start:stop])
            found += documents.each_text(_candidates_of(candidates, asked[known]))
        answered = [place for place, texts in enumerate(own) if texts]
        documents = directories[0].candidates.index.documents
        pool = _pool(
            [*(text for texts in own for text in texts), *found],
            drawn_documents(documents, DOCUMENTS),
            DOCUMENTS,
        )
        return cls(
            [queries[place] for place in answered],
            *_placed([own[place] for place in answered], pool),
            of=len(documents.canonical),
            drawn=True,
        )

    @classmethod
    def set_aside(cls, rows: Rows) -> HeldOut:
        """Set some training queries aside, to choose by.

        They search their positives and negatives, and positives of other queries.
        """
        of_query: dict[str, list[int]] = {}
        for row, query in enumerate(rows.queries):
            of_query.setdefault(normalise(query), []).append(row)
        asked = _lowest(sorted(of_query), min(MOST_ASIDE, round(len(of_query) * SHARE_ASIDE)))
        own = [[rows.documents[row][0] for row in of_query[query]] for query in asked]
        needed = (text for q in asked for row in of_query[q] for text in rows.documents[row])
        pool = _pool(needed, (documents[0] for documents in rows.documents), DOCUMENTS_ASIDE)
        queries = [rows.queries[of_query[query][0]] for query in asked]
        return cls(queries, *_placed(own, pool), of=len(pool))


def _files(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"{kind}.*"))


def _open(folder: Path, kind: str) -> Table:
    """Open a table of a folder.

    Raises:
        InputError: the file is missing or damaged, or lacks a column.
    """
    if files := _files(folder, kind):
        return Table.open(kind, str(files[0]))
    raise InputError(
        f"{folder} has no file of {kind}.",
        why="--held-out takes a folder with the files queries and qrels, such as queries.jsonl.",
        fix="Check the path.",
    )


def _texts(table: Table, needed: set[str], most: int) -> tuple[dict[str, str], list[str], int]:
    """Return the texts of some ids, some of the others drawn by chance, and how many there are.

    Args:
        table: of documents or queries; blank texts do not count.
        needed: ids.
        most: texts of other ids to draw; memory holds few more.
    """
    by_id: dict[str, str] = {}
    others: list[str] = []
    rows = 0
    for batch in text_records(table, BadRows()):
        rows += len(batch.ids)
        for name, text in zip(batch.ids, batch.texts, strict=True):
            if name in needed:
                by_id[name] = text
            elif most:
                others.append(text)
        if len(others) > most + READ_AT_ONCE:
            others = _drawn(others, most)
    return by_id, _drawn(others, most), rows


def _drawn(texts: list[str], most: int) -> list[str]:
    """Draw some texts by chance; they stay in their order."""
    if len(texts) <= most:
        return texts
    noise = keyed_noise(SEED, [""] * len(texts), texts)
    return [texts[place] for place in np.sort(np.argpartition(noise, most)[:most])]


def drawn_documents(documents: Texts, most: int) -> list[str]:
    """Draw so many documents of a corpus, by chance."""
    rows = documents.canonical
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(SEED).choice(rows, most, replace=False))
    return documents.texts(rows)


def _candidates_of(candidates: Candidates, queries: Ints) -> Ints:
    """Return the documents that were mined for some queries, ascending."""
    wanted = pa.array(candidates.queries.texts.identity[queries])
    found = [np.zeros(0, np.int64)]
    for part in range(len(candidates.parts)):
        table = candidates.read(part, ["query_row", "doc_row"])
        table = table.filter(pc.is_in(table["query_row"], wanted))
        found.append(table["doc_row"].to_numpy())
    return np.unique(np.concatenate(found))


def _pool(needed: Iterable[str], others: Iterable[str], most: int) -> dict[str, str]:
    """Return the texts to search by their normal forms: all that are needed, and some others."""
    pool = {normalise(text): text for text in needed}
    size = max(most, len(pool))
    for text in _shuffled(others):
        if len(pool) >= size:
            break
        pool.setdefault(normalise(text), text)
    return pool


def _lowest(texts: Sequence[str], number: int) -> list[str]:
    order = np.argsort(keyed_noise(SEED, texts, [""] * len(texts)), kind="stable")
    return [texts[place] for place in np.sort(order[:number])]


def _shuffled(texts: Iterable[str]) -> list[str]:
    every = list(texts)
    order = np.argsort(keyed_noise(SEED, [""] * len(every), every), kind="stable")
    return [every[place] for place in order]


def _placed(
    relevant: Sequence[Collection[str]], pool: Mapping[str, str]
) -> tuple[list[str], list[Ints]]:
    """Return the documents to search, and the rows of each query's relevant ones.

    Documents come in an order by chance: of those with equal scores, the first one is ranked first.
    """
    order = _shuffled(pool)
    place = {text: row for row, text in enumerate(order)}
    rows = [np.unique([place[normalise(text)] for text in own]) for own in relevant]
    return [pool[text] for text in order], rows
