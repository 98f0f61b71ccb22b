"""Lists with a teacher's scores, for distillation: all scored candidates of each query.

One directory serves three trainers. train, queries and documents are PyLate's tables, by id.
lists.parquet has texts for sentence-transformers' DistillKLDivLoss, in lists of one length.
flagembedding/train.jsonl has all texts for FlagEmbedding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hnmine.exports.examples import Material
from hnmine.exports.format import Format
from hnmine.exports.teacher_scores import TEACHER_TEMPERATURE, TeacherScale, pin_positives
from hnmine.exports.training_rows import lists
from hnmine.keyed_noise import keyed_noise
from hnmine.ragged import Bools, Floats, Ints, offsets_of, ragged

LONGEST = 20
"""Documents of a list in lists.parquet: its positive and 19 others."""

SHARE_OF_QUERIES = 0.9
"""Share of the queries that must have enough candidates for the lists' length."""

SEED = 13

DEEP = 5.0
"""Typical rank of a known positive, from 0, above which lists are doubtful. A pin lifts the
positive over what the teacher finds nearer, and the student learns to avoid what is near. On six
collections, students became worse on two of the three where it was 8.6 to 32, and on none where it
was at most 2.2: see docs/downstream.md."""

FEWEST = 10
"""Queries with a scored positive; with fewer, their ranks say little."""

QUERIES_AT_ONCE = 256
"""Queries whose texts are in memory at once: each has far more than in other formats."""


@dataclass(frozen=True)
class Part:
    """The lists of one part of scored/: a list for each positive of a query with candidates.

    Attributes:
        table: of scored/.
        query: of each list, ascending, shape (lists,).
        rows: of the documents in `table`, list by list: a positive, then the query's candidates in
            an order by chance, so that a list that is cut still covers the range of scores.
        counts: documents of each list, shape (lists,).
        raw: the teacher's scores of `table`'s rows; NaN for none.
        scores: scaled, positives pinned.
        threshold: in the units of `scores`, for each list; NaN for none.
    """

    table: pa.Table
    query: Ints
    rows: Ints
    counts: Ints
    raw: Floats
    scores: Floats
    threshold: Floats

    @property
    def first(self) -> Ints:
        """The position in `rows` of each list's positive."""
        return offsets_of(self.counts)[:-1]

    @property
    def query_ids(self) -> pa.ChunkedArray:
        """The query of each list."""
        return self.table["query_id"].take(pa.array(self.rows[self.first]))

    @property
    def starts(self) -> Ints:
        """The first list of each query, shape (queries,)."""
        return np.unique(self.query, return_index=True)[1]

    def blocks(self) -> Iterator[Part]:
        """Yield the lists of some queries at a time; at least one block."""
        rows = offsets_of(self.counts)
        starts = self.starts[::QUERIES_AT_ONCE] if len(self.query) else [0]
        for start, stop in pairwise([*starts, len(self.query)]):
            lists = slice(start, stop)
            yield replace(
                self,
                query=self.query[lists],
                rows=self.rows[rows[start] : rows[stop]],
                counts=self.counts[lists],
                threshold=self.threshold[lists],
            )


class TeacherLists:
    """The lists of a mined directory, part by part.

    Args:
        material: with the teacher's scores.
    """

    def __init__(self, material: Material) -> None:
        self.material = material

    @cached_property
    def _scale_and_length(self) -> tuple[TeacherScale, int]:
        """The scale of all listed scores, and the length of lists for trainers that need one."""
        counts: list[Ints] = []

        def scores() -> Iterator[Floats]:
            for table, query, raw in self.material.parts(counted=False):
                positive, candidate = _listed(table, query, raw)
                found = np.bincount(query[candidate], minlength=int(query.max(initial=-1)) + 1)
                counts.append(found[found > 0])
                yield raw[positive | candidate]

        scale = TeacherScale.of(scores())
        each = np.concatenate([np.zeros(0, np.int64), *counts])
        usual = np.quantile(each, 1 - SHARE_OF_QUERIES, method="lower") if len(each) else 1
        return scale, min(LONGEST, 1 + int(usual))

    @property
    def length(self) -> int:
        """Documents of a list, for trainers that need lists of one length."""
        return self._scale_and_length[1]

    @cached_property
    def used(self) -> Ints:
        """The rows of all listed documents, ascending."""
        documents = self.material.documents
        seen = np.zeros(len(documents), dtype=bool)
        for table, query, raw in self.material.parts(counted=False):
            rows = np.flatnonzero(np.any(_listed(table, query, raw), axis=0))
            seen[documents.find_ids(table["doc_id"].take(pa.array(rows)).to_pylist())] = True
        return np.flatnonzero(seen)

    def parts(self) -> Iterator[Part]:
        """Yield the lists, in the order of scored/."""
        scale = self._scale_and_length[0]
        for table, query, raw in self.material.parts():
            positive, candidate = _listed(table, query, raw)
            scaled = np.where(positive | candidate, scale.apply(raw), np.nan)
            rows = np.flatnonzero(candidate)
            ids = (table[name].take(pa.array(rows)).to_pylist() for name in ("query_id", "doc_id"))
            rows = rows[np.lexsort((keyed_noise(SEED, *ids), query[rows]))]
            offsets = offsets_of(np.bincount(query[rows], minlength=int(query.max(initial=-1)) + 1))
            first = np.flatnonzero(positive)
            counts = 1 + np.diff(offsets)[query[first]]
            listed = np.concatenate([[0], rows])[ragged(offsets[query[first]], counts)]
            listed[offsets_of(counts)[:-1]] = first
            yield Part(
                table,
                query[first],
                listed,
                counts,
                raw,
                pin_positives(scaled, query, positive),
                scale.apply(self._threshold(table)[first]),
            )

    def blocks(self) -> Iterator[Part]:
        """Yield the lists in blocks whose texts fit in memory."""
        for part in self.parts():
            yield from part.blocks()

    def _threshold(self, table: pa.Table) -> Floats:
        """Return the teacher's score from which a rule drops each row; NaN without such a rule."""
        settings = self.material.mined.manifest.settings
        cuts = []
        if self.material.scores in ("score", settings.score):
            anchor = _numbers(table, "positive_score")
            if settings.max_score is not None:
                cuts.append(np.full(len(table), settings.max_score))
            if settings.margin is not None:
                cuts.append(anchor - settings.margin)
            if settings.relative_margin is not None:
                cuts.append(anchor - np.abs(anchor) * settings.relative_margin)
        lowest: Floats = np.min(cuts, axis=0) if cuts else np.full(len(table), np.nan)
        return lowest


def _listed(table: pa.Table, query: Ints, raw: Floats) -> tuple[Bools, Bools]:
    """Mark the positives and the scored candidates of the queries that have both."""
    positive = pc.fill_null(pc.equal(table["label"], 1), False).to_numpy()
    never = positive | table["is_positive"].to_numpy() | table["is_query"].to_numpy()
    candidate = ~never & np.isfinite(raw)
    queries = int(query.max(initial=-1)) + 1
    both = [np.bincount(query[rows], minlength=queries) > 0 for rows in (positive, candidate)]
    complete = np.all(both, axis=0)[query]
    return positive & complete, candidate & complete


def _numbers(table: pa.Table, column: str) -> Floats:
    values: Floats = pc.fill_null(table[column].cast(pa.float64()), np.nan).to_numpy()
    return values


def _nullable(values: Floats) -> pa.Array:
    return pa.array(values, from_pandas=True)  # NaN becomes null.


def train(material: Material) -> Iterator[pa.Table]:
    """Yield `query_id, document_ids, scores, raw_scores, keep, threshold`, positives first."""
    for part in TeacherLists(material).parts():
        rows = pa.array(part.rows)
        columns = {
            "document_ids": part.table["doc_id"].take(rows).combine_chunks(),
            "scores": pa.array(part.scores[part.rows]),
            "raw_scores": _nullable(part.raw[part.rows]),
            "keep": part.table["keep"].take(rows).combine_chunks(),
        }
        listed = {name: lists(values, part.counts) for name, values in columns.items()}
        yield pa.table(
            {"query_id": part.query_ids, **listed, "threshold": _nullable(part.threshold)}
        )


def queries(material: Material) -> Iterator[pa.Table]:
    """Yield `query_id, text` of the queries with a list."""
    for part in TeacherLists(material).parts():
        ids = pc.unique(part.query_ids)
        rows = material.queries.find_ids(ids.to_pylist())
        yield pa.table({"query_id": ids, "text": material.queries.text_array(rows)})


def documents(material: Material) -> Iterator[pa.Table]:
    """Yield `document_id, text` of the listed documents."""
    return material.text_tables(TeacherLists(material).used, "document_id")


def text_lists(material: Material) -> Iterator[pa.Table]:
    """Yield `query, positive, negative_1 … negative_n, label`: lists of one length.

    n is 19, or the number of candidates that nine of ten queries have. Shorter lists are left out.
    """
    found = TeacherLists(material)
    for part in found.blocks():
        full = part.counts >= found.length
        places = part.first[full][:, None] + np.arange(found.length)
        rows = part.rows[places]
        query_ids = part.query_ids.filter(pa.array(full)).to_pylist()
        columns = {"query": material.queries.text_array(material.queries.find_ids(query_ids))}
        for n, name in enumerate(["positive", *(f"negative_{n}" for n in range(1, found.length))]):
            ids = part.table["doc_id"].take(pa.array(rows[:, n])).to_pylist()
            columns[name] = material.documents.text_array(material.documents.find_ids(ids))
        labels = pa.array(part.scores[rows].ravel())
        columns["label"] = pa.FixedSizeListArray.from_arrays(labels, found.length)
        yield pa.table(columns)


def flagembedding(material: Material) -> Iterator[dict[str, object]]:
    """Yield `query, pos, neg, pos_scores, neg_scores` of each query.

    Its trainer has no temperature for the teacher, so scores are divided by ours.
    """
    for part in TeacherLists(material).blocks():
        ids = part.table["doc_id"].take(pa.array(part.rows)).to_pylist()
        texts = material.documents.text_array(material.documents.find_ids(ids)).to_pylist()
        scores = (part.scores[part.rows] / TEACHER_TEMPERATURE).tolist()
        bounds, names = offsets_of(part.counts), part.query_ids.to_pylist()
        asked = material.queries.texts(material.queries.find_ids(names))
        for n, after in pairwise([*part.starts, len(names)]):
            positives, negatives = bounds[n:after].tolist(), slice(bounds[n] + 1, bounds[n + 1])
            yield {
                "query": asked[n],
                "pos": [texts[place] for place in positives],
                "neg": texts[negatives],
                "pos_scores": [scores[place] for place in positives],
                "neg_scores": scores[negatives],
            }


def doubts(material: Material) -> Iterator[str]:
    """Yield a warning where the teacher typically puts the known positives deep."""
    logs, pools = [np.zeros(0)], [np.zeros(0)]
    for table, query, raw in material.parts(counted=False):
        positive, candidate = _listed(table, query, raw)
        best = np.full(int(query.max(initial=-1)) + 1, -np.inf)
        known = positive & np.isfinite(raw)
        np.maximum.at(best, query[known], raw[known])
        rows = np.flatnonzero(candidate & np.isfinite(best[query]))
        counts = np.bincount(query[rows], minlength=len(best))
        above = np.bincount(query[rows], raw[rows] > best[query[rows]], len(best))
        logs.append(np.log1p(above[counts > 0]))
        pools.append(counts[counts > 0].astype(float))
    ranks, pool = np.concatenate(logs), np.concatenate(pools)
    if len(ranks) >= FEWEST and (rank := float(np.expm1(ranks.mean()))) > DEEP:
        yield (
            f"Distilling may do harm: the teacher puts {rank:.0f} of {pool.mean():.0f} candidates "
            "above a known positive (typical). Train with a contrastive loss, or take a teacher "
            "that ranks positives higher."
        )


KD = Format(
    {
        "lists.parquet": text_lists,
        "train.parquet": train,
        "queries.parquet": queries,
        "documents.parquet": documents,
        "flagembedding/train.jsonl": flagembedding,
    },
    "always",
    {name: f"{name}.parquet" for name in ("lists", "train", "queries", "documents")},
    full="own",
    notes=doubts,
)
