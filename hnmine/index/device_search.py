"""Find the best vectors by products on a GPU, with a bound on their rounding errors.

The products only propose vectors: the caller scores them exactly on the CPU. What is proposed
suffices for the exact lists, whichever way the device rounds.

The bound: queries q and vectors v are rounded to float16 as q' and v'. By Cauchy and Schwarz,
|q v - q' v'| <= |q - q'| |v'| + |q| |v - v'|, with measured lengths. A product of two float16 is
exact in float32. Tensor cores cut off where they add (Fasi, Higham, Mikaitis and Pranesh, PeerJ
Computer Science 7:e330, 2021): each of at most 2 d cuts takes less than one unit in the last place
of a number up to |q'| |v'|. This holds for any order of the sum, and for sums of parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hnmine.index.device_vectors import GROUP, Block, DeviceVectors, Read, multiplication
from hnmine.ragged import Bools, Ints

if TYPE_CHECKING:
    import torch

STEP = float(np.finfo(np.float32).eps)
ROUNDINGS = 8
"""Further roundings of a score: when it is stored, compared, and scored exactly."""
LOST = 1e-16
"""More than a length loses by underflow."""
OUTSIDE = 1 << 62
"""A slot that sorts behind all others."""
TOGETHER = 1 << 22
"""Pairs of a query and a document that are collected at once, and at most for one query."""

Vectors = NDArray[np.float32]


class Unfit(Exception):
    """Some vectors are not finite, or too long for float16."""


@dataclass(frozen=True)
class Proposed:
    """Pairs of a query and a document to be scored, ordered by slot.

    Attributes:
        query: position among the queries of the pass, shape (pairs,).
        column: position among the documents of the query, which ascend by slot, shape (pairs,).
        slots: shape (pairs,).
        certain: the queries whose best are among the pairs, shape (queries,).
        least: of the other queries, the product below which no vector is one of the best.
    """

    query: Ints
    column: Ints
    slots: Ints
    certain: Bools
    least: Vectors


class DeviceSearch:
    """Searches vectors that are on a device, or streamed to it."""

    def __init__(self, vectors: DeviceVectors) -> None:
        self.vectors = vectors
        self._multiply = multiplication(vectors.device)

    def propose(self, queries: Vectors, k: Ints, read: Read) -> Iterator[tuple[slice, Proposed]]:
        """Yield the documents among which the `k[q]` best of each query are, part by part.

        While the caller works on a part, the device works on the next.

        Args:
            queries: shape (queries, dimension), none of them zeros.
            k: from 1 to the number of vectors, of about the same size, shape (queries,).
            read: copies vectors from their files.

        Raises:
            Unfit: float16 cannot hold the vectors.
        """
        # What rounding takes from random vectors moves as many documents past the k-th.
        m = min((int(k.max()) * 5 // 4 + 56) // 32 * 32, self._slots)
        step = self.vectors.queries_at_once(m)
        before: tuple[slice, _Pass] | None = None
        for part in self._parts(len(queries), step, m):
            begun = _Pass(self, queries[part], k[part], m, step)
            begun.run(read)
            if before:
                yield before[0], before[1].result()
            before = part, begun
        if before:
            yield before[0], before[1].result()

    def collect(
        self, queries: Vectors, least: Vectors, read: Read
    ) -> Iterator[tuple[Ints, Ints, Ints]]:
        """Yield all documents whose product reaches a bound, as queries, (queries, slots).

        Queries with too many are left out.

        Args:
            queries: shape (queries, dimension).
            least: the bound of each, shape (queries,), as in `Proposed`.
            read: copies vectors from their files.
        """
        counts = self._count(queries, least, read)
        few = np.flatnonzero(counts <= TOGETHER)
        ends = np.cumsum(counts[few])
        start = 0
        while start < len(few):
            before = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + TOGETHER, "right")))
            some = few[start:stop]
            query, slots = self._above(queries[some], least[some], read)
            yield some, query, slots
            start = stop

    @property
    def _slots(self) -> int:
        return self.vectors.rows * self.vectors.blocks_in_all

    def _parts(self, queries: int, step: int, m: int) -> Iterator[slice]:
        """Cut queries in parts: large ones where each reads the files."""
        if not self.vectors.all_stay:
            step *= max(1, self.vectors.work // 8 // (16 * m * step))
        for start in range(0, queries, step):
            yield slice(start, min(start + step, queries))

    def _count(self, queries: Vectors, least: Vectors, read: Read) -> Ints:
        import torch

        counts = torch.zeros(len(queries), dtype=torch.int64, device=self.vectors.device)
        for query, _, reached in self._reached(queries, least, read):
            counts[query : query + len(reached)] += reached.sum(1)
        found: Ints = counts.cpu().numpy()
        return found

    def _above(self, queries: Vectors, least: Vectors, read: Read) -> tuple[Ints, Ints]:
        parts = []
        for query, slot, reached in self._reached(queries, least, read):
            row, column = reached.nonzero(as_tuple=True)
            parts.append(((row + query).cpu().numpy(), (column + slot).cpu().numpy()))
        query_of_pair, slots = (np.concatenate(column) for column in zip(*parts, strict=True))
        return query_of_pair, slots

    def _reached(
        self, queries: Vectors, least: Vectors, read: Read
    ) -> Iterator[tuple[int, int, torch.Tensor]]:
        """Yield first query, first slot and which products reach the bound, part by part."""
        import torch

        step = max(1, self.vectors.queries_at_once(0) // 2)
        bounds = torch.from_numpy(least[:, None]).to(self.vectors.device)
        chunks = [
            (start, _Queries.of(queries[start : start + step], self.vectors))
            for start in range(0, len(queries), step)
        ]
        for block in self.vectors.blocks(read):
            for start, asked in chunks:
                reached = self.products(asked, block) >= bounds[start : start + step]
                yield start, block.start, reached & block.real

    def products(self, asked: _Queries, block: Block) -> torch.Tensor:
        """Multiply queries with a block, float32, shape (queries, rows)."""
        return self._multiply(asked.half, block.vectors.T)


@dataclass(frozen=True)
class _Queries:
    """Queries on a device.

    Attributes:
        half: scaled to lengths from 0.5 to 1 by powers of two and rounded, shape (queries, width).
        lost: the length of what rounding took from each, float64, shape (queries,).
        length: of each, float64, shape (queries,).
    """

    half: torch.Tensor
    lost: torch.Tensor
    length: torch.Tensor

    @classmethod
    def of(cls, queries: Vectors, vectors: DeviceVectors) -> _Queries:
        import torch

        norm = torch.linalg.vector_norm
        lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64))
        with np.errstate(over="ignore", invalid="ignore"):
            factor = np.ldexp(1.0, -np.frexp(lengths)[1]).astype(np.float32)
            exact = torch.from_numpy(queries * factor[:, None]).to(vectors.device)
        half = exact.new_zeros(len(queries), vectors.width, dtype=torch.float16)
        half[:, : vectors.dimension] = exact
        lost = exact - half[:, : vectors.dimension].float()
        return cls(half, norm(lost, dim=1).double(), norm(exact, dim=1).double())

    def error(self, vectors: DeviceVectors) -> torch.Tensor:
        """Return the largest error of a product of each, float64, shape (queries,)."""
        many = vectors.dimension
        # A length in float32 is a sum of squares, each rounded up to `dimension` times.
        over = 1 + many * STEP
        lost, length = self.lost * over + LOST, self.length * over + LOST
        residual, longest = (
            value.double() * over + LOST for value in (vectors.residual, vectors.longest)
        )
        roundings = (2 * many + ROUNDINGS) * STEP
        return (lost + roundings * (length + lost)) * (longest + residual) + length * residual


class _Pass:
    """A search of all vectors for a part of the queries, which runs on the device."""

    def __init__(self, search: DeviceSearch, queries: Vectors, k: Ints, m: int, step: int) -> None:
        import torch

        self.search, self.m = search, m
        device = search.vectors.device
        self.chunks = []
        for start in range(0, len(queries), step):
            asked = _Queries.of(queries[start : start + step], search.vectors)
            wanted = torch.from_numpy(k[start : start + step, None]).to(device)
            self.chunks.append(_Chunk(asked, wanted, m))

    def run(self, read: Read) -> None:
        """Let the device search; nothing here waits for it."""
        import torch

        vectors = self.search.vectors
        for block in vectors.blocks(read):
            for chunk in self.chunks:
                chunk.take(self.search.products(chunk.asked, block), block)
        found = [chunk.close(vectors) for chunk in self.chunks]
        self.found = [[_to_host(tensor) for tensor in one] for one in found]
        self.residual = _to_host(vectors.residual)
        self.done = torch.cuda.Event() if vectors.device.type == "cuda" else None
        if self.done:
            self.done.record()

    def result(self) -> Proposed:
        """Wait for the device, and return what it found."""
        if self.done:
            self.done.synchronize()
        if not np.isfinite(self.residual.numpy()):
            raise Unfit
        parts, first = [], 0
        for chunk in self.found:
            slots, order, certain, least = (tensor.numpy() for tensor in chunk)
            many = int(np.searchsorted(slots, OUTSIDE))
            query, column = np.divmod(order[:many], len(order) // len(certain))
            parts.append((query + first, column, slots[:many], certain, least))
            first += len(certain)
        return Proposed(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class _Chunk:
    """The best of the queries that are multiplied at once."""

    def __init__(self, asked: _Queries, k: torch.Tensor, m: int) -> None:
        self.asked, self.k, self.m = asked, k, m
        many = len(k)
        self.scores = k.new_zeros((many, 0)).float()
        self.slots = k.new_zeros((many, 0))
        self.bound = k.new_full((many,), -np.inf, dtype=self.scores.dtype)

    def take(self, scores: torch.Tensor, block: Block) -> None:
        """Keep the m best so far, and a bound on the products of the others."""
        import torch

        best, at = _largest(scores, min(self.m, scores.shape[1]))
        if best.shape[1] < scores.shape[1]:
            self.bound = torch.maximum(self.bound, best.amin(1))
        best = best.where(block.real[at], -np.inf)
        both = torch.cat([self.scores, best], 1)
        slots = torch.cat([self.slots, at + block.start], 1)
        if both.shape[1] > self.m:
            both, kept = both.topk(self.m, 1, sorted=False)
            slots = slots.gather(1, kept)
            self.bound = torch.maximum(self.bound, both.amin(1))
        self.scores, self.slots = both, slots

    def close(self, vectors: DeviceVectors) -> list[torch.Tensor]:
        """Return the slots to score, with `OUTSIDE` last, their places, and what `Proposed` has."""
        import torch

        scores, order = self.scores.sort(1, descending=True)
        slots = self.slots.gather(1, order)
        # k documents have exact scores above this one less the error, so others need as much.
        error = self.asked.error(vectors)
        least = scores.gather(1, self.k - 1)[:, 0].double() - 2 * error
        certain = (self.bound < least) | (self.bound == -np.inf)
        kept = (scores >= least[:, None]) & (scores > -np.inf) & certain[:, None]
        slots = slots.where(kept, OUTSIDE).sort(1)[0]
        flat, places = slots.flatten().sort()
        down = torch.nextafter(least.float(), torch.full_like(self.bound, -np.inf))
        return [flat, places, certain, down]


def _largest(scores: torch.Tensor, m: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the m largest scores of each query, and where they are, in no order.

    The groups with the m largest maxima hold them. A group is every n-th column.
    """
    queries, rows = scores.shape
    if 2 * m * GROUP > rows:
        best, at = scores.topk(m, 1, sorted=False)
        return best, at
    grouped = scores.view(queries, GROUP, rows // GROUP)
    groups = grouped.amax(1).topk(m, 1, sorted=False)[1]
    among = grouped.gather(2, groups[:, None].expand(-1, GROUP, -1)).flatten(1)
    best, place = among.topk(m, 1, sorted=False)
    return best, place // m * (rows // GROUP) + groups.gather(1, place % m)


def _to_host(tensor: torch.Tensor) -> torch.Tensor:
    """Copy a tensor to the host, without waiting for the device."""
    import torch

    if tensor.device.type == "cpu":
        return tensor
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)
