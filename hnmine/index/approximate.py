"""Open, check and search a FAISS index, whose file may come from someone else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hnmine.array_files import check_values
from hnmine.errors import UsageError, damage_explained
from hnmine.ragged import Ints

if TYPE_CHECKING:
    import faiss

Vectors = NDArray[np.float32]


class Approximate:
    """A FAISS index, which proposes documents."""

    def __init__(self, path: Path, dimension: int, count: int, parameters: str | None) -> None:
        """Open the index of so many vectors.

        Args:
            path: its file.
            dimension: of the vectors.
            count: how many it must hold.
            parameters: how it searches, such as `nprobe=32`.

        Raises:
            InputError: it is damaged, or an index of other vectors.
            UsageError: it does not take the parameters.
        """
        import faiss

        self.path, self.count = path, count
        self._index = read_faiss(path, dimension, count)
        # A graph keeps its vectors in an inner index.
        kept = getattr(self._index, "storage", self._index)
        self.compressed = False
        # Not every index can tell; none of those compresses.
        with suppress(RuntimeError):
            self.compressed = bool(kept.sa_code_size() < 4 * dimension)
        if parameters:
            try:
                faiss.ParameterSpace().set_index_parameters(self._index, parameters)
            except RuntimeError as error:
                raise UsageError(
                    f"FAISS does not take --faiss-search {parameters!r}.",
                    why=str(error).strip().splitlines()[-1],
                    fix="Give NAME=NUMBER, such as nprobe=32 or efSearch=64.",
                ) from error

    def search(self, queries: Vectors, m: int) -> tuple[Vectors, Ints]:
        """Return scores and slots of m documents a query, both of shape (queries, m).

        FAISS pads with -1 where the lists that it searched, or the part of the graph that it
        reached, hold fewer than m documents.
        """
        scores, slots = self._ask(queries, m)
        short = np.flatnonzero((slots < 0).any(axis=1))
        for _ in self._wider_searches():
            if not len(short):
                break
            scores[short], slots[short] = self._ask(queries[short], m)
            short = short[(slots[short] < 0).any(axis=1)]
        return scores, slots

    def _ask(self, queries: Vectors, m: int) -> tuple[Vectors, Ints]:
        with damage_explained(self.path):
            scores, slots = self._index.search(queries, m)
            check_values(slots, low=-1, below=self.count)
            return scores, slots

    def _wider_searches(self) -> Iterator[None]:
        """Let an inverted file search more and more lists, then restore its setting."""
        import faiss

        inverted_file = faiss.try_extract_index_ivf(self._index)
        if inverted_file is None:
            return
        usual = inverted_file.nprobe
        try:
            while inverted_file.nprobe < inverted_file.nlist:
                inverted_file.nprobe = min(inverted_file.nprobe * 4, inverted_file.nlist)
                yield
        finally:
            inverted_file.nprobe = usual


def read_faiss(path: Path, dimension: int, count: int) -> faiss.Index:
    """Open an index of so many vectors, memory-mapped where FAISS can.

    FAISS trusts the positions in a file, so they are checked here.

    Raises:
        InputError: it is damaged, or an index of other vectors.
    """
    import faiss

    with damage_explained(path):
        # No vector in the file is longer than the file, whatever its header says.
        faiss.set_deserialization_vector_byte_limit(path.stat().st_size)
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
        if (index.d, index.ntotal, index.metric_type) != (
            dimension,
            count,
            faiss.METRIC_INNER_PRODUCT,
        ):
            raise ValueError(
                f"It is an index of {index.ntotal:,} vectors of {index.d:,} dimensions, not of "
                f"{count:,} of {dimension:,} by inner product."
            )
        for part in parts_of(index):
            _check(part)
        return index


def parts_of(index: faiss.Index) -> Iterator[faiss.Index]:
    """Yield an index and its inner indexes."""
    import faiss

    index = faiss.downcast_index(index)
    yield index
    for name in ("index", "base_index", "refine_index", "quantizer", "storage"):
        inner = getattr(index, name, None)
        if isinstance(inner, faiss.Index):
            yield from parts_of(inner)


def _check(index: faiss.Index) -> None:
    """Check the positions that a search follows.

    Raises:
        ValueError: one leads out of the index.
    """
    import faiss

    if isinstance(index, faiss.IndexIVF):
        _check_lists(index)
    if isinstance(index, faiss.IndexHNSW):
        _check_graph(index.hnsw, index.ntotal)
    if getattr(index, "storage", None) is not None and index.storage.ntotal != index.ntotal:
        raise ValueError("Its graph and its vectors differ in number.")


def _check_lists(index: faiss.IndexIVF) -> None:
    import faiss

    lists = faiss.downcast_InvertedLists(index.invlists)
    if index.quantizer.ntotal != index.nlist or lists.nlist != index.nlist:
        raise ValueError("It has another number of lists than of centroids.")
    total = 0
    for number in range(index.nlist):
        size = lists.list_size(number)
        total += size
        if size > index.ntotal:
            raise ValueError("A list is longer than the index.")
        if size:
            ids = faiss.rev_swig_ptr(lists.get_ids(number), size)
            check_values(ids, low=0, below=index.ntotal)
    if total != index.ntotal:
        raise ValueError("Its lists hold another number of vectors than its header.")


def _check_graph(graph: faiss.HNSW, count: int) -> None:
    import faiss

    neighbours, levels, offsets, widths = (
        faiss.vector_to_array(getattr(graph, name))
        for name in ("neighbors", "levels", "offsets", "cum_nneighbor_per_level")
    )
    check_values(neighbours, low=-1, below=count)
    check_values(levels, low=1, below=len(widths))
    if len(levels) != count or len(offsets) != count + 1 or offsets[0] != 0:
        raise ValueError("Its graph has another number of vectors than its header.")
    if offsets[-1] != len(neighbours) or (np.diff(offsets) != widths[levels]).any():
        raise ValueError("The lists of its graph have wrong offsets.")
    if not (0 <= graph.entry_point < count and graph.max_level == levels.max() - 1):
        raise ValueError("Its graph has no valid entry point.")
