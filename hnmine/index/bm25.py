"""BM25 search: an inverted index on disk, and the package rank-bm25 behind the same methods."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hnmine.errors import UsageError
from hnmine.index import bm25_kernels as kernels
from hnmine.index.tokenise import TermCounts, Tokeniser
from hnmine.index.topk import Ranking, offsets_of, position_in_list, top_k


@dataclass(frozen=True)
class BM25Settings:
    """What decides the scores of an index; `bm25_kernels` has the formulas.

    Attributes:
        variant: "lucene", "okapi", "plus" or "l".
        k1: how late the term frequency saturates, at least 0.
        b: how much the document's length counts, 0 to 1.
        delta: the lower bound of variants plus and l, at least 0; None takes the default of
            rank-bm25 (1 and 0.5). The other variants have none.
        tokeniser: splits documents and queries alike.

    Raises:
        UsageError: for an unknown variant, a number out of range, or a delta that has no effect.
    """

    variant: str = "lucene"
    k1: float = 1.5
    b: float = 0.75
    delta: float | None = None
    tokeniser: Tokeniser = field(default_factory=Tokeniser)

    def __post_init__(self) -> None:
        if self.variant not in kernels.VARIANTS:
            raise UsageError(
                f"Unknown BM25 variant: {self.variant!r}.",
                why="The variants differ in their formulas for idf and term frequency.",
                fix=f"Choose one of: {', '.join(kernels.VARIANTS)}.",
            )
        if not (0 <= self.k1 < np.inf and 0 <= self.b <= 1 and 0 <= (self.delta or 0) < np.inf):
            raise UsageError(
                f"BM25 setting out of range: k1={self.k1}, b={self.b}, delta={self.delta}.",
                why="Scores are defined for k1 and delta of at least 0 and b from 0 to 1.",
                fix="The usual values are k1=1.5 and b=0.75, and no delta.",
            )
        if self.delta is not None and self.variant not in kernels.DEFAULT_DELTA:
            raise UsageError(
                f"BM25 variant {self.variant!r} has no delta.",
                why="Only the variants plus and l bound a term's contribution from below.",
                fix="Remove delta, or choose variant plus or l.",
            )

    @property
    def delta_in_use(self) -> float:
        """The delta that the formulas get: the given one, else the variant's default, else 0."""
        if self.delta is not None:
            return self.delta
        return kernels.DEFAULT_DELTA.get(self.variant, 0.0)


def count_documents(texts: Iterable[str], tokeniser: Tokeniser, path: Path) -> dict[str, int]:
    """Count the terms of one shard of documents into one `.npz` file; a task for a worker.

    The bytes depend on the texts and the tokeniser alone: NumPy dates the members 1980-01-01.

    Args:
        texts: the documents, in the order of the corpus.
        tokeniser: splits them.
        path: the file to write.
    """
    counts = tokeniser.count(texts)
    with path.open("wb") as file:
        np.savez(
            file,
            # No term holds a line break: every tokeniser splits there.
            vocabulary=_letters([term + "\n" for term in counts.vocabulary]),
            offsets=counts.offsets,
            terms=counts.terms,
            frequencies=counts.frequencies,
            lengths=counts.lengths,
        )
    return {"documents": len(counts.lengths), "tokens": int(counts.lengths.sum(dtype=np.int64))}


def merge_counts(paths: Sequence[Path], settings: BM25Settings, directory: Path) -> dict[str, int]:
    """Merge counted shards into an index; the result does not depend on how they were cut.

    Holds the vocabulary and one shard at a time; everything as long as the postings or the
    documents is written through a memory map.

    Args:
        paths: files of `count_documents`, in the order of the corpus; at most 2 ** 31 - 1
            documents in all.
        settings: of the index.
        directory: an existing empty directory, which gets `settings.json` and, as `.npy` files:
            vocabulary (UTF-8 bytes, terms sorted by code point), vocabulary_offsets (int64), indptr
            (int64), documents (int32, ascending in each posting list), frequencies (the smallest
            unsigned type that holds them), impacts (float32), peaks (float32, the largest impact of
            each term), lengths (int32), idf (float64).
    """
    frequency: Counter[str] = Counter()
    documents = tokens = largest = 0
    for path in paths:
        shard = _read_counts(path)
        counts = np.bincount(shard.terms, minlength=len(shard.vocabulary))
        frequency.update(dict(zip(shard.vocabulary, counts.tolist(), strict=True)))
        documents += len(shard.lengths)
        tokens += int(shard.lengths.sum(dtype=np.int64))
        largest = max(largest, int(shard.frequencies.max(initial=0)))
    vocabulary = sorted(frequency)
    frequencies = np.array([frequency[term] for term in vocabulary], dtype=np.int64)
    indptr = offsets_of(frequencies)
    words = [term.encode() for term in vocabulary]
    small: dict[str, NDArray[Any]] = {
        "vocabulary": _letters(vocabulary),
        "vocabulary_offsets": offsets_of(np.array([len(word) for word in words], dtype=np.int64)),
        "indptr": indptr,
        "idf": kernels.idf_of(settings.variant, documents, frequencies),
    }
    for name, values in small.items():
        np.save(directory / f"{name}.npy", values)
    _write_postings(paths, vocabulary, indptr, documents, np.min_scalar_type(largest), directory)
    numbers = {
        "documents": documents,
        "tokens": tokens,
        "terms": len(vocabulary),
        "postings": int(indptr[-1]),
    }
    text = json.dumps({"settings": asdict(settings), **numbers}, indent=2, ensure_ascii=False)
    (directory / "settings.json").write_text(text + "\n", encoding="utf-8")
    _write_impacts(directory)
    return numbers


def _letters(terms: list[str]) -> NDArray[np.uint8]:
    return np.frombuffer(bytearray("".join(terms), "utf-8"), dtype=np.uint8)


def _read_counts(path: Path) -> TermCounts:
    with np.load(path) as arrays:
        vocabulary = arrays["vocabulary"].tobytes().decode().split("\n")[:-1]
        return TermCounts(
            vocabulary,
            *(arrays[name] for name in ("offsets", "terms", "frequencies", "lengths")),
        )


def _create(directory: Path, name: str, dtype: DTypeLike, length: int) -> NDArray[Any]:
    return np.lib.format.open_memmap(
        directory / f"{name}.npy", mode="w+", dtype=dtype, shape=(length,)
    )


def _write_postings(
    paths: Sequence[Path],
    vocabulary: list[str],
    indptr: NDArray[np.int64],
    total: int,
    frequency_type: DTypeLike,
    directory: Path,
) -> None:
    """Append every shard's postings to the lists, whose lengths are known beforehand."""
    documents = _create(directory, "documents", np.int32, int(indptr[-1]))
    frequencies = _create(directory, "frequencies", frequency_type, int(indptr[-1]))
    lengths = _create(directory, "lengths", np.int32, total)
    place = {term: number for number, term in enumerate(vocabulary)}
    ends = indptr[:-1].copy()
    first = 0
    for path in paths:
        shard = _read_counts(path)
        terms = np.array([place[term] for term in shard.vocabulary], dtype=np.int64)
        counts = np.bincount(shard.terms, minlength=len(terms))
        # Stable, so that the documents of a term stay in their order.
        order = np.argsort(shard.terms, kind="stable")
        target = np.repeat(ends[terms], counts) + position_in_list(offsets_of(counts))
        owner = np.repeat(np.arange(len(shard.lengths)), np.diff(shard.offsets))
        documents[target] = first + owner[order]
        frequencies[target] = shard.frequencies[order]
        lengths[first : first + len(shard.lengths)] = shard.lengths
        ends[terms] += counts
        first += len(shard.lengths)


def _write_impacts(directory: Path) -> None:
    files = _Files(directory)
    impacts = _create(directory, "impacts", np.float32, len(files.postings[1]))
    peaks = _create(directory, "peaks", np.float32, len(files.postings[0]) - 1)
    kernels.fill_impacts(files.postings, files.statistics, np.asarray(impacts), np.asarray(peaks))


class _Files:
    """The files of an index but the impacts and their peaks, memory-mapped."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        header = json.loads((directory / "settings.json").read_text(encoding="utf-8"))
        tokeniser = Tokeniser(**header["settings"].pop("tokeniser"))
        self.settings = BM25Settings(**header["settings"], tokeniser=tokeniser)
        # Without a token there is no posting, and nothing is divided by the average length.
        average = header["tokens"] / header["documents"] if header["tokens"] else 1.0
        number = kernels.VARIANTS.index(self.settings.variant)
        k1, b, delta = self.settings.k1, self.settings.b, self.settings.delta_in_use
        self.vocabulary = (self.load("vocabulary_offsets"), self.load("vocabulary"))
        self.postings: kernels.Postings = (self.load("indptr"), self.load("documents"))
        self.statistics: kernels.Statistics = (
            self.load("frequencies"),
            self.load("lengths"),
            self.load("idf"),
            (number, float(k1), float(b), float(delta), average),
        )

    def load(self, name: str) -> NDArray[Any]:
        return np.asarray(np.load(self._directory / f"{name}.npy", mmap_mode="r"))


class BM25Index:
    """Exact BM25 search in an index of `merge_counts`.

    A document matches a query if it holds a term of the query and its score, less the constants
    that every document has, is above 0. Scores are float64, and so is their order: the float32
    impacts only narrow down which documents are scored.
    """

    def __init__(self, directory: Path, threads: int = 1) -> None:
        """Open the index in `directory`, memory-mapped, to search with so many threads."""
        self._files = _Files(directory)
        self._impacts: NDArray[np.float32] = self._files.load("impacts")
        self._peaks: NDArray[np.float32] = self._files.load("peaks")
        self._threads = threads
        self.settings = self._files.settings

    def search(self, queries: Sequence[str], k: NDArray[np.int64]) -> Ranking:
        """Find the `k[q]` best matches of every query, fewer where fewer match.

        Args:
            queries: texts.
            k: how many documents each query wants, at least 0, shape (queries,).
        """
        files = self._files
        parsed, absent = self._parse(queries)
        offsets, terms, _ = parsed
        # No query has more matches than postings, so a huge k costs no memory.
        postings = offsets_of(np.diff(files.postings[0])[terms])
        k = np.minimum(np.minimum(k, np.diff(postings[offsets])), len(files.statistics[1]))
        starts = offsets_of(k)
        slots, scores = np.empty(starts[-1], np.int64), np.empty(starts[-1], np.float64)
        counts = np.zeros(len(queries), np.int64)

        def search_part(part: tuple[int, int]) -> None:
            kernels.search_queries(
                *part, parsed, k, absent, files.postings, files.statistics, self._impacts,
                self._peaks, starts, (slots, scores, counts),
            )  # fmt: skip

        if self._threads == 1:
            search_part((0, len(queries)))
        else:
            # Four parts a thread: queries differ in cost, and every part clears its own sums.
            cuts = np.linspace(0, len(queries), 4 * self._threads + 1).astype(np.int64).tolist()
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(search_part, pairwise(cuts)))
        filled = position_in_list(starts) < np.repeat(counts, k)
        return Ranking(offsets_of(counts), slots[filled], scores[filled])

    def score(
        self, queries: Sequence[str], offsets: NDArray[np.int64], slots: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Score given documents, whether they match or not.

        Args:
            queries: texts.
            offsets: query `q` owns the positions `offsets[q]:offsets[q + 1]` of `slots`.
            slots: documents, in any order, shape (pairs,).

        Returns:
            float64, shape (pairs,), the same numbers as `search` reports.
        """
        parsed, absent = self._parse(queries)
        scores = np.empty(len(slots), np.float64)
        kernels.score_pairs(
            parsed,
            np.asarray(offsets, dtype=np.int64),
            np.asarray(slots, dtype=np.int32),
            self._files.postings,
            self._files.statistics,
            scores,
        )
        return scores + np.repeat(absent, np.diff(offsets))

    def _parse(self, queries: Sequence[str]) -> tuple[kernels.Queries, NDArray[np.float64]]:
        """Turn queries into known terms, and sum the absent constants of each query."""
        counts = self.settings.tokeniser.count(queries)
        sizes = np.array([len(term.encode()) for term in counts.vocabulary], dtype=np.int64)
        numbers = kernels.find_terms(
            *self._files.vocabulary, offsets_of(sizes), _letters(counts.vocabulary)
        )
        # Both vocabularies are sorted, so the numbers of a query's terms ascend too.
        terms = numbers[counts.terms]
        known = terms >= 0
        offsets = offsets_of(known.astype(np.int64))[counts.offsets]
        terms, weights = terms[known], counts.frequencies[known].astype(np.int64)
        absent = np.zeros(len(queries))
        if self.settings.variant == "plus":
            query = np.repeat(np.arange(len(queries)), np.diff(offsets))
            idf = self._files.statistics[2]
            np.add.at(absent, query, weights * idf[terms] * self.settings.delta_in_use)
        return (offsets, terms, weights), absent


class RankBM25:
    """The methods of `BM25Index` through the package rank-bm25, which holds all texts in memory."""

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
        if settings.variant in kernels.DEFAULT_DELTA:
            options["delta"] = settings.delta_in_use
        models = {
            "okapi": rank_bm25.BM25Okapi,
            "plus": rank_bm25.BM25Plus,
            "l": rank_bm25.BM25L,
        }
        # rank-bm25 divides by the number of documents and of terms.
        self._model: Any = models[settings.variant](tokens, **options) if any(tokens) else None

    def search(self, queries: Sequence[str], k: NDArray[np.int64]) -> Ranking:
        """Find the `k[q]` best matches of every query; see `BM25Index.search`."""
        owners, slots, scores = [], [], []
        for number, query in enumerate(queries if self._model is not None else []):
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

    def score(
        self, queries: Sequence[str], offsets: NDArray[np.int64], slots: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Score given documents, whether they match or not; see `BM25Index.score`."""
        result = np.zeros(len(slots))
        for number, query in enumerate(queries if self._model is not None else []):
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
