"""`python -m hnmine.compile_ahead`: compile all functions now, as in a container image.

It mines a few texts, so that each function is compiled for the types that it gets.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from hnmine import build_index, mine
from hnmine.array_files import save_array
from hnmine.choose import first
from hnmine.compiled import folder_of_cache
from hnmine.index.bf16_search import _Best
from hnmine.index.bm25.search import search_queries
from hnmine.index.stored import StoredVectors
from hnmine.printable import one_line
from hnmine.progress import duration, say
from hnmine.ragged import offsets_of
from hnmine.validate.copies import NearCopies

TEXTS = [
    *(f"The lantern {n} of the harbour keeps turning" for n in range(300)),
    "Grüße aus München, 東京都は日本の首都である",
    "İzmir'de bir fener",
]


def compile_all(folder: Path) -> None:
    """Call all compiled functions, in a folder."""
    # No word more than 255 times in a document, as in nearly all corpora: counts are of one byte.
    texts = [*TEXTS, " ".join(TEXTS[:20])]
    corpus = pa.table({"id": [str(n) for n in range(len(texts))], "text": texts})
    queries = [f"which lantern turns {n} 首都" for n in range(3)]
    pairs = pa.table({"query": queries, "positive": TEXTS[:3]})
    build_index(corpus=corpus, pairs=pairs, dense=False, index=folder / "index", progress=False)
    mine(
        index=folder / "index",
        pairs=pairs,
        source=["bm25"],
        output=folder / "candidates",
        progress=False,
    )
    NearCopies([0, 1], texts[:2]).compare(np.arange(2), texts[:2])
    _vectors(folder / "dense")
    lists = offsets_of(np.array([2]))
    for numbers in (np.zeros(2), np.zeros(2, np.float32), np.zeros(2, np.int64)):
        first(lists, numbers, np.array([1]))


def _vectors(folder: Path) -> None:
    (folder / "vectors").mkdir(parents=True)
    vectors = np.eye(16, dtype=np.float32)
    with (folder / "vectors" / "00000.npy").open("wb") as file:
        save_array(file, vectors)
    stored = StoredVectors(folder, 1, None, "cosine")
    stored.score(vectors, np.arange(17), np.arange(16))
    _Best(16, 2).take(np.zeros((16, 16), np.int16), 0)


def main() -> None:
    """Compile, and say where the code is kept."""
    begun = time.perf_counter()
    with TemporaryDirectory() as folder:
        compile_all(Path(folder))
    kept = folder_of_cache(search_queries)
    where = f"It is kept in {kept}." if kept else "It is kept nowhere: set NUMBA_CACHE_DIR."
    say(one_line(f"Compiled in {duration(time.perf_counter() - begun)}. {where}"))


if __name__ == "__main__":
    main()
