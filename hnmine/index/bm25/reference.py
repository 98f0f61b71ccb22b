"""The package rank-bm25 behind the methods of our index: slow, and the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hnmine.errors import UsageError
from hnmine.index.bm25.formula import DEFAULT_DELTA
from hnmine.index.bm25.settings import BM25Settings
from hnmine.index.topk import Ranking, top_k
from hnmine.ragged import Floats, Ints

if TYPE_CHECKING:
    from rank_bm25 import BM25


class RankBM25:
    """The methods of `search.BM25Index` through the package rank-bm25, all texts in memory."""

    def __init__(self, texts: Sequence[str], settings: BM25Settings) -> None:
        """Count all documents.

        Raises:
            UsageError: for variant lucene, which rank-bm25 has not, and for k1 = 0, where it
                divides 0 by 0 for every document without the term.
        """
        if settings.variant == "lucene":
            raise UsageError(
                "rank-bm25 has no BM25 variant 'lucene'.",
                why="The package offers the variants okapi, plus and l only.",
                fix="Choose variant okapi, plus or l, or hnmine's own BM25 index.",
            )
        if settings.k1 == 0:
            raise UsageError(
                "rank-bm25 cannot score with k1=0.",
                why="It divides 0 by 0 for every document that lacks a term of the query.",
                fix="Set k1 above 0, or choose hnmine's own BM25 index.",
            )
        import rank_bm25

        self.settings = settings
        tokens = [settings.tokeniser(text) for text in texts]
        options: dict[str, float] = {"k1": settings.k1, "b": settings.b}
        if settings.variant in DEFAULT_DELTA:
            options["delta"] = settings.delta_in_use
        models = {
            "okapi": rank_bm25.BM25Okapi,
            "plus": rank_bm25.BM25Plus,
            "l": rank_bm25.BM25L,
        }
        # rank-bm25 divides by the number of documents and of terms.
        self._model: BM25 | None = (
            models[settings.variant](tokens, **options) if any(tokens) else None
        )

    def search(self, queries: Sequence[str], k: Ints) -> Ranking:
        """Find the `k[q]` best matches of every query; see `search.BM25Index.search`."""
        owners, slots, scores = [], [], []
        for number, query in enumerate(queries if self._model is not None else []):
            assert self._model is not None
            terms = self.settings.tokeniser(query)
            with np.errstate(invalid="ignore"):
                found = self._model.get_scores(terms)
            matches = np.flatnonzero(found > self._absent(terms))
            owners.append(np.full(len(matches), number))
            slots.append(matches)
            scores.append(found[matches])
        empty = np.zeros(0, dtype=np.int64)
        return top_k(
            np.concatenate([empty, *owners]),
            np.concatenate([empty, *slots]),
            np.concatenate([empty.astype(np.float64), *scores]),
            k,
        )

    def score(self, queries: Sequence[str], offsets: Ints, slots: Ints) -> Floats:
        """Score given documents, whether they match or not; see `search.BM25Index.score`."""
        result = np.zeros(len(slots))
        if self._model is None:
            return result
        for number, query in enumerate(queries):
            mine = slice(offsets[number], offsets[number + 1])
            terms = self.settings.tokeniser(query)
            with np.errstate(invalid="ignore"):
                found = np.array(self._model.get_batch_scores(terms, slots[mine].tolist()))
            # With b = 1, an empty document is scored 0 / 0.
            result[mine] = np.where(np.isnan(found), self._absent(terms), found)
        return result

    def _absent(self, terms: list[str]) -> float:
        """Sum the absent constants in the order of rank-bm25, so that they are equal to the bit."""
        total = 0.0
        if self._model is not None and self.settings.variant == "plus":
            for term in terms:
                total += (self._model.idf.get(term) or 0) * self.settings.delta_in_use
        return total
