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
import pyarrow.parquet as pq

from hnmine.directories.candidates import Candidates
from hnmine.directories.mined import Mined
from hnmine.errors import InputError, damage_explained
from hnmine.inputs.identity import normalise
from hnmine.inputs.texts import Texts
from hnmine.keyed_noise import keyed_noise
from hnmine.ragged import Ints
from hnmine.runner.plan import digest
from hnmine.training.retrieval_measures import Values, measure
from hnmine.training.student_rows import Rows
from hnmine.training.students import DOCUMENT, QUERY, encode

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SHARE, MOST, LEAST = 0.2, 1000, 20
"""Of the training queries that are held out, where no others are given."""

DOCUMENTS = 5000
"""Documents to search, beyond those that must be there."""

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
    """

    queries: Sequence[str]
    documents: Sequence[str]
    relevant: Sequence[Ints]
    of: int = 0
    drawn: bool = False

    def measure(self, model: SentenceTransformer) -> dict[str, Values]:
        """Return each measure of a student for each query."""
        queries = encode(model, self.queries, QUERY)
        return measure(queries, encode(model, self.documents, DOCUMENT), self.relevant)

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
        """What is searched, in a sentence."""
        queries = f"{len(self.queries):,} held-out queries"
        if len(self.documents) >= self.of:
            return f"{queries} search all {len(self.documents):,} documents."
        mined = ", their mined candidates" if self.drawn else ""
        return (
            f"{queries} search {len(self.documents):,} of {self.of:,} documents: the relevant "
            f"ones{mined}, and a random sample. Figures compare the rows of this table alone; a "
            "search of the whole corpus gives lower ones."
        )

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

    @classmethod
    def read(cls, folder: Path, corpus: Texts | None = None, most: int = DOCUMENTS) -> HeldOut:
        """Read queries and qrels, in BEIR's layout; queries come in the order of their ids.

        Args:
            folder: with queries.parquet, qrels.parquet and perhaps corpus.parquet.
            corpus: where the documents are if the folder has none.
            most: documents to search, beyond the relevant ones.

        Raises:
            InputError: a file is missing or damaged.
        """
        queries = _texts(folder / "queries.parquet", ("text",))
        judged = _judged(folder / "qrels.parquet")
        own = folder / "corpus.parquet"
        ids = list(dict.fromkeys(document for _, document, _ in judged))
        if own.exists() or corpus is None:
            every: Mapping[str, str] = _texts(own, ("title", "text"))
            texts = {name: every[name] for name in ids if name in every}
            others: Iterable[str] = every.values()
            of = len(every)
        else:
            rows = corpus.find_ids(ids)
            found = corpus.texts(rows[rows >= 0])
            texts = dict(zip(np.array(ids, object)[rows >= 0], found, strict=True))
            others, of = drawn_documents(corpus, most), len(corpus.canonical)
        relevant: dict[str, list[str]] = {}
        for query, document, grade in judged:
            if grade >= 1 and query in queries and document in texts:
                relevant.setdefault(query, []).append(texts[document])
        asked = sorted(relevant)
        pool = _pool(texts.values(), others, most)
        return cls(
            [queries[query] for query in asked],
            *_placed([relevant[query] for query in asked], pool),
            of=of,
        )

    @classmethod
    def draw(cls, directories: Sequence[Mined], rows: Sequence[Rows]) -> HeldOut:
        """Draw queries that all directories train on, by their ids alone.

        They search their positives, the candidates that were mined for them, and documents drawn
        from the corpus.

        Args:
            directories: the first one's candidates have the queries and the corpus.
            rows: of each directory.
        """
        candidates = directories[0].candidates
        common = set.intersection(*({normalise(text) for text in set(r.queries)} for r in rows))
        texts = candidates.queries.texts
        mined = candidates.mined
        normal = [normalise(text) for text in texts.texts(mined)]
        there = np.array([text in common for text in normal], dtype=bool)
        mined = mined[there]
        ids = texts.id_array(mined).to_pylist()
        order = np.argsort(keyed_noise(SEED, ids, [""] * len(ids)), kind="stable")
        chosen = np.sort(mined[order[: min(MOST, round(len(mined) * SHARE))]])
        offsets, positives = candidates.queries.positives(chosen)
        documents = candidates.index.documents
        own = [documents.texts(positives[start:stop]) for start, stop in pairwise(offsets.tolist())]
        found = documents.each_text(_candidates_of(candidates, chosen))
        pool = _pool(
            [*(text for one in own for text in one), *found],
            drawn_documents(documents, DOCUMENTS),
            DOCUMENTS,
        )
        return cls(
            texts.texts(chosen), *_placed(own, pool), of=len(documents.canonical), drawn=True
        )


def drawn_documents(documents: Texts, most: int) -> list[str]:
    """Draw so many documents of a corpus, by chance."""
    rows = documents.canonical
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(SEED).choice(rows, most, replace=False))
    return documents.texts(rows)


def _candidates_of(candidates: Candidates, queries: Ints) -> Ints:
    """Return the documents that were mined for some queries, ascending."""
    wanted = pa.array(queries)
    found = []
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


def _shuffled(texts: Iterable[str]) -> list[str]:
    every = list(texts)
    order = np.argsort(keyed_noise(SEED, [""] * len(every), every), kind="stable")
    return [every[place] for place in order]


def _placed(
    relevant: Sequence[Collection[str]], pool: Mapping[str, str]
) -> tuple[list[str], list[Ints]]:
    """Return the documents to search, and the rows of each query's relevant ones."""
    place = {text: row for row, text in enumerate(pool)}
    rows = [np.unique([place[normalise(text)] for text in own]) for own in relevant]
    return list(pool.values()), rows


def _table(path: Path, columns: Collection[str]) -> pa.Table:
    if not path.exists():
        raise InputError(
            f"There is no file {path}.",
            why="--held-out takes a folder with queries.parquet and qrels.parquet.",
            fix="Check the path.",
        )
    with damage_explained(path):
        table = pq.read_table(path)
    table = table.rename_columns([name.replace("-", "_") for name in table.column_names])
    if missing := [name for name in columns if name not in table.column_names]:
        raise InputError(
            f"{path} has no column {missing[0]!r}.",
            why=f"It has {', '.join(table.column_names)}.",
            fix="Rename its columns as BEIR does.",
        )
    return table


def _texts(path: Path, columns: Sequence[str]) -> dict[str, str]:
    """Read texts by id, those that are not blank."""
    table = _table(path, ["_id", "text"])
    parts = [table[name].to_pylist() for name in columns if name in table.column_names]
    ids = [str(one) for one in table["_id"].to_pylist()]
    joined = (" ".join(part for part in own if part) for own in zip(*parts, strict=True))
    return {name: text for name, text in zip(ids, joined, strict=True) if text.strip()}


def _judged(path: Path) -> list[tuple[str, str, float]]:
    """Read queries, documents and grades; without grades all are relevant."""
    table = _table(path, ["query_id", "corpus_id"])
    grades = table["score"].to_pylist() if "score" in table.column_names else [1] * len(table)
    ids = (map(str, table[name].to_pylist()) for name in ("query_id", "corpus_id"))
    return [(q, d, float(g or 0)) for q, d, g in zip(*ids, grades, strict=True)]
