"""BM25 against its peers: search, build, tokenise; same tokens, results compared.

The engines in turn, `ROUNDS` rounds: CPU seconds of this process with one thread, the clock's with
more. Only the search takes more.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import bm25s
import numpy as np
import Stemmer
from bm25s.stopwords import STOPWORDS_EN
from numpy.typing import NDArray

from benchmarks.common import passages, report, spread
from hnmine.index.bm25.build import count_documents, merge_counts
from hnmine.index.bm25.reference import RankBM25
from hnmine.index.bm25.search import BM25Index
from hnmine.index.bm25.settings import BM25Settings
from hnmine.index.tokenise import Tokeniser
from hnmine.index.topk import Ranking

K = 100
ROUNDS = 5
TOKENISED = 75_000
"""Of the longest passages, and where there are a million of the shortest."""
SPLIT = Tokeniser("whitespace", "none")
LENGTHS = {"7 words": (7, False), "7 words, none a stop word": (7, True), "57 words": (57, False)}
"""Kinds of queries: how many words, and whether the stop words of bm25s's default are left out."""
# As many queries as each engine answers in a few seconds a round.
QUERIES = {"rank-bm25": 300_000, "bm25s NumPy": 4_000_000, "bm25s Numba": 100_000_000}


@dataclass(frozen=True)
class Corpus:
    """Tokens, where each document ends among them, and the terms that the tokens number."""

    tokens: NDArray[np.int32]
    ends: NDArray[np.int64]
    terms: list[str]

    def documents(self) -> list[str]:
        """Return the texts, terms separated by spaces."""
        words = np.array(self.terms, dtype=object)[self.tokens]
        bounds = zip([0, *self.ends[:-1].tolist()], self.ends.tolist(), strict=True)
        return [" ".join(words[first:last]) for first, last in bounds]

    def lists(self) -> list[list[int]]:
        """Return the token numbers of each document."""
        return [part.tolist() for part in np.split(self.tokens, self.ends[:-1])]


def seconds(act: Callable[[], Any], threads: int = 1) -> tuple[float, Any]:
    """Time one call: in CPU seconds of this process, with more threads by the clock."""
    clock = time.process_time if threads == 1 else time.perf_counter
    gc.collect()
    start = clock()
    result = act()
    return clock() - start, result


def corpus_of(documents: list[str], size: int) -> Corpus:
    """Tokenise the first documents."""
    terms, tokens, lengths = Tokeniser().number(documents[:size])
    return Corpus(tokens, np.cumsum(lengths, dtype=np.int64), terms)


def queries_of(corpus: Corpus, words: int, sparing: bool) -> list[list[int]]:
    """Cut queries of so many words out of documents that are long enough."""
    tokens, ends = corpus.tokens, corpus.ends
    if sparing:
        stem = Stemmer.Stemmer("english").stemWord
        barred = {stem(word) for word in STOPWORDS_EN}
        kept = np.array([term not in barred for term in corpus.terms])[tokens]
        tokens, ends = tokens[kept], np.cumsum(kept)[ends - 1]
    random = np.random.default_rng(1)
    lengths = np.diff(ends, prepend=0)
    rows = random.choice(np.flatnonzero(lengths >= words), 1000)
    starts = ends[rows] - lengths[rows] + random.integers(lengths[rows] - words + 1)
    return [tokens[start : start + words].tolist() for start in starts]


def build(corpus: Corpus, documents: list[str], variant: str, folder: Path) -> float:
    """Build our index on disk, tokens given, and return the seconds without those of splitting."""
    settings = BM25Settings(variant, tokeniser=SPLIT)
    folder.mkdir()
    (folder / "index").mkdir()

    def act() -> None:
        count_documents(documents, SPLIT, folder / "counts")
        merge_counts([folder / "counts"], settings, folder / "index")

    return seconds(act)[0] - seconds(lambda: SPLIT.number(documents))[0]


def agree(found: Ranking, scores: NDArray[np.float32]) -> bool:
    """Whether the scores of two lists of every query are the same to the precision of float32."""
    own = np.zeros(scores.shape)
    counts = np.diff(found.offsets)
    own[np.arange(scores.shape[1]) < counts[:, None]] = found.scores
    return np.allclose(own, -np.sort(-scores, axis=1), rtol=2e-6, atol=1e-6)


def compare_search(
    corpus: Corpus, documents: list[str], folder: Path, threads: int
) -> list[dict[str, object]]:
    """Measure the search of our index against each peer, short queries and long ones."""
    indexes = {}
    for variant in ("okapi", "lucene"):
        build(corpus, documents, variant, folder / variant)
        indexes[variant] = BM25Index(folder / variant / "index", threads)
    numbered = (corpus.lists(), {term: n for n, term in enumerate(corpus.terms)})
    peers: dict[str, Any] = {}
    if len(documents) <= 100_000 and threads == 1:
        peers["rank-bm25"] = RankBM25(documents, BM25Settings("okapi", tokeniser=SPLIT))
        peers["bm25s NumPy"] = bm25s.BM25(method="lucene", k1=1.5, b=0.75, backend="numpy")
    peers["bm25s Numba"] = bm25s.BM25(method="lucene", k1=1.5, b=0.75, backend="numba")
    for name in peers.keys() - {"rank-bm25"}:
        peers[name].index(numbered, show_progress=False)
    del numbered
    rows = []
    for kind, (words, sparing) in LENGTHS.items():
        asked = queries_of(corpus, words, sparing)
        as_texts = [" ".join(corpus.terms[term] for term in query) for query in asked]
        for name, peer in peers.items():
            index = indexes["okapi" if name == "rank-bm25" else "lucene"]
            few = min(len(asked), max(3, QUERIES[name] // (len(documents) * words // 7)))
            ratios, speeds = [], []
            for number in range(ROUNDS + 1):
                k = np.full(len(asked), K)
                fast, _ = seconds(lambda i=index, k=k, a=as_texts: i.search(a, k), threads)
                slow, expected = seconds(
                    lambda p=peer, a=asked, t=as_texts, n=few: search(p, a, t, n, threads), threads
                )
                # The first round compiles.
                if number:
                    ratios.append((slow / few) / (fast / len(asked)))
                    speeds.append(len(asked) / fast)
            first = index.search(as_texts[:few], np.full(few, K))
            if isinstance(expected, Ranking):
                np.testing.assert_allclose(first.scores, expected.scores, rtol=1e-6)
            else:
                assert agree(first, expected.scores)
            rows.append(
                {
                    "stage": f"search, {kind}, top {K}",
                    "documents": len(documents),
                    "threads": threads,
                    "against": name,
                    "times as fast": spread(ratios),
                    "a second": f"{spread(speeds)} queries",
                }
            )
    return rows


def search(peer: Any, asked: list[list[int]], as_texts: list[str], few: int, threads: int) -> Any:
    """Search with a peer; bm25s gets the numbers of the terms."""
    if isinstance(peer, RankBM25):
        return peer.search(as_texts[:few], np.full(few, K))
    # Its other back end takes one thread for none.
    many = threads if peer.backend == "numba" else 0
    return peer.retrieve(asked[:few], k=K, n_threads=many, show_progress=False)


def compare_build(corpus: Corpus, documents: list[str], folder: Path) -> list[dict[str, object]]:
    """Measure the build of our index, on disk, against that of bm25s, in memory; tokens given."""
    numbered = (corpus.lists(), {term: n for n, term in enumerate(corpus.terms)})
    ratios, speeds = [], []
    for number in range(ROUNDS + 1):
        fast = build(corpus, documents, "lucene", folder / f"round-{number}")
        slow, _ = seconds(lambda: bm25s.BM25().index(numbered, show_progress=False))
        # The first round compiles.
        if number:
            ratios.append(slow / fast)
            speeds.append(len(documents) / fast)
    return [
        {
            "stage": "build, tokens given",
            "documents": len(documents),
            "threads": 1,
            "against": "bm25s",
            "times as fast": spread(ratios),
            "a second": f"{spread(speeds)} documents",
        }
    ]


def compare_tokenise(documents: list[str]) -> list[dict[str, object]]:
    """Measure splitting and stemming against bm25s with PyStemmer."""
    ratios, speeds = [], []
    stemmer = Stemmer.Stemmer("english")
    for _ in range(ROUNDS):
        fast, _ = seconds(lambda: Tokeniser().number(documents))
        slow, _ = seconds(
            lambda: bm25s.tokenize(documents, stopwords=None, stemmer=stemmer, show_progress=False)
        )
        ratios.append(slow / fast)
        speeds.append(len(documents) / fast)
    return [
        {
            "stage": "tokenise and stem",
            "documents": len(documents),
            "threads": 1,
            "against": "bm25s with PyStemmer",
            "times as fast": spread(ratios),
            "a second": f"{spread(speeds)} documents",
        }
    ]


def main() -> None:
    """Measure on the standard library's docstrings or, where given, on real passages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder of collections")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--threads", type=int, default=1, help="more: the search alone")
    arguments = parser.parse_args()
    threads = arguments.threads
    texts = passages(arguments.data)
    Tokeniser().number(texts[:10])
    rows = compare_tokenise(texts[:TOKENISED]) if threads == 1 else []
    if len(texts) > 3 * TOKENISED and threads == 1:
        rows += compare_tokenise(texts[-TOKENISED:])
    for size in arguments.sizes:
        corpus = corpus_of(texts, size)
        documents = corpus.documents()
        with tempfile.TemporaryDirectory() as folder:
            rows += compare_search(corpus, documents, Path(folder), threads)
            rows += compare_build(corpus, documents, Path(folder)) if threads == 1 else []
    report(
        f"bm25_{max(arguments.sizes)}_{threads}", rows, ["numba", "rank-bm25", "bm25s", "PyStemmer"]
    )


if __name__ == "__main__":
    main()
