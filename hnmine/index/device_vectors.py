"""Vectors on a GPU in float16: they stay there if they fit, else each pass reads their files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

GROUP = 64
"""Scores of which a search first takes the largest; a block holds whole groups."""
ROWS = 1 << 18
"""Vectors of a block at most."""
MOST_QUERIES = 4096
"""Queries multiplied at once at most: their scores for a block have fewer than 2^31 elements."""
STAGED = 64 << 20
"""Bytes of float32 copied to the device at once at most, in each of two buffers."""
WORK = 6 << 30
"""Bytes at most for all but the vectors that stay."""
LEAST = 4 << 20
"""Bytes with which a search is not worth trying."""
PADDED = 8
"""Tensor cores want rows of so many numbers, or a multiple."""
OF_FREE = 0.8
"""Share of the free memory that a search takes, for other programs allocate too."""

PROBE = 16
"""Rows and columns of a product that shows what PyTorch can do."""

Vectors = NDArray[np.float32]
Read = Callable[[int, Vectors], None]
"""Copies the vectors from a slot on into an array of float32."""
Multiply = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True)
class Block:
    """Vectors of consecutive slots.

    Attributes:
        start: the slot of the first.
        vectors: float16, shape (rows, padded dimension); zeros after the last slot.
        real: which of them are vectors other than zeros, shape (rows,).
    """

    start: int
    vectors: torch.Tensor
    real: torch.Tensor


class DeviceVectors:
    """The vectors of an index, rounded to float16 on a device.

    Attributes:
        residual: the largest length of what rounding took from a vector, a float32 on the device.
        longest: the largest length of a vector. Both are known after the first pass.
        work: bytes for all but the vectors that stay.
    """

    def __init__(self, count: int, dimension: int, scale: float, device: str, budget: int) -> None:
        """Plan how to spend the memory of a device.

        Args:
            count: vectors.
            dimension: of them.
            scale: a power of two, which brings their lengths near 1.
            device: of PyTorch.
            budget: bytes of the device.
        """
        import torch

        self.count, self.dimension, self.scale = count, dimension, scale
        self.device = torch.device(device)
        self.width = -(-dimension // PADDED) * PADDED
        row = 2 * self.width + 1
        self.work = min(budget // 2, WORK)
        fit = self.work // 4 // max(row, 4 * PADDED)
        self.rows = max(1, min(ROWS, fit, count + GROUP - 1) // GROUP) * GROUP
        self.blocks_in_all = -(-count // self.rows)
        self._may_stay = max(0, budget - self.work) // (row * self.rows)
        self._stay: list[Block] = []
        self._passing: Block | None = None
        zero = torch.zeros(2, device=self.device)
        self.residual, self.longest = zero[0], zero[1]
        staged = min(STAGED, self.work // 16) // (4 * dimension)
        self._staging = _Staging(max(1, min(staged, self.rows)), dimension, self.device)

    @property
    def all_stay(self) -> bool:
        """Whether all of them are on the device."""
        return len(self._stay) == self.blocks_in_all

    @property
    def fit(self) -> bool:
        """Whether all of them may stay there."""
        return self._may_stay >= self.blocks_in_all

    def queries_at_once(self, m: int) -> int:
        """Return for how many queries, each with m slots, a block is searched at once."""
        a_query = 5 * self.rows + 16 * GROUP * min(m, self.rows // GROUP) + 64 * m
        return int(max(1, min(MOST_QUERIES, self.work // 2 // a_query)))

    def blocks(self, read: Read) -> Iterator[Block]:
        """Yield all vectors; a block that does not stay is valid until the next."""
        for number in range(self.blocks_in_all):
            if number == len(self._stay) and number < self._may_stay:
                block = self._empty(number)
                self._load(block, read)
                self._stay.append(block)
            if number < len(self._stay):
                yield self._stay[number]
                continue
            kept = self._passing or self._empty(number)
            self._passing = Block(number * self.rows, kept.vectors, kept.real)
            self._load(self._passing, read)
            yield self._passing

    def _empty(self, number: int) -> Block:
        import torch

        shape = self.rows, self.width
        vectors = torch.zeros(shape, dtype=torch.float16, device=self.device)
        real = torch.zeros(self.rows, dtype=torch.bool, device=self.device)
        return Block(number * self.rows, vectors, real)

    def _load(self, block: Block, read: Read) -> None:
        """Round vectors to float16, and measure what that takes from them."""
        import torch

        norm = torch.linalg.vector_norm
        held = min(self.rows, self.count - block.start)
        block.real[held:] = False
        block.vectors[held:] = 0
        for first in range(0, held, self._staging.rows):
            rows = slice(first, min(first + self._staging.rows, held))

            def fill(target: Vectors, at: int = block.start + first) -> None:
                read(at, target)

            with self._staging.copied(fill, rows.stop - first) as exact:
                block.real[rows] = (exact != 0).any(1)
                scaled = exact * self.scale
                half = scaled.half()
            block.vectors[rows, : self.dimension] = half
            # A float32 less the nearest float16 is a float32; what is not finite gives NaN.
            lost = norm(scaled - half.float(), dim=1).max()
            self.residual = torch.maximum(self.residual, lost)
            self.longest = torch.maximum(self.longest, norm(scaled, dim=1).max())


class _Staging:
    """Two buffers through which vectors reach a device: one is filled while the other is copied.

    On the CPU they are one array, and nothing is copied.
    """

    def __init__(self, rows: int, dimension: int, device: torch.device) -> None:
        import torch

        self.rows, self._device, self._turn = rows, device, 0
        self._cuda = device.type == "cuda"
        many, shape = (2 if self._cuda else 1), (rows, dimension)
        self._hosts = [torch.empty(shape, pin_memory=self._cuda) for _ in range(many)]
        if self._cuda:
            self._there = [torch.empty(shape, device=device) for _ in range(many)]
            self._stream = torch.cuda.Stream(device)
            self._arrived, self._used = ([torch.cuda.Event() for _ in range(2)] for _ in range(2))

    @contextmanager
    def copied(self, fill: Callable[[Vectors], None], rows: int) -> Iterator[torch.Tensor]:
        """Yield so many rows on the device, valid inside the context.

        The host waits only for the copy that still reads the buffer which it fills.
        """
        import torch

        turn, self._turn = self._turn, (self._turn + 1) % len(self._hosts)
        host = self._hosts[turn][:rows]
        if not self._cuda:
            fill(host.numpy())
            yield host
            return
        self._arrived[turn].synchronize()
        fill(host.numpy())
        there = self._there[turn][:rows]
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(self._used[turn])
            there.copy_(host, non_blocking=True)
            self._arrived[turn].record(self._stream)
        torch.cuda.current_stream().wait_event(self._arrived[turn])
        yield there
        self._used[turn].record()


def multiplication(device: torch.device) -> Multiply:
    """Return a product of float16 matrices that is summed and stored in float32."""
    import torch

    def by_tensor_cores(queries: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        return torch.mm(queries, vectors, out_dtype=torch.float32)

    def in_float32(queries: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        # TensorFloat-32 holds a float16, so that no setting of PyTorch changes the bound.
        return queries.float() @ vectors.float()

    some = torch.ones((PROBE, PROBE), dtype=torch.float16, device=device)
    settings = torch.backends.cuda.matmul
    if not getattr(settings, "allow_fp16_accumulation", False):
        try:
            by_tensor_cores(some, some)
        except (RuntimeError, TypeError):  # The CPU, old GPUs, and PyTorch before 2.8.
            return in_float32
        return by_tensor_cores
    return in_float32


def free_memory(device: str) -> int:
    """Return the bytes of a device that a search may take."""
    import torch

    if torch.device(device).type != "cuda":
        return WORK
    free, _ = torch.cuda.mem_get_info(device)
    # PyTorch keeps what it has released.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(OF_FREE * (free + kept))
