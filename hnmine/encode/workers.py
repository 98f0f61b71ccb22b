"""Run batches by the methods of sentence-transformers, which tokenise and compute in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from hnmine.encode.batching import halved_where_memory_is_short
from hnmine.encode.interface import Tick
from hnmine.encode.spec import ModelSpec
from hnmine.ragged import Ints
from hnmine.runner.checkpoints import computed, key_of

Run = Callable[[Ints], NDArray[np.floating]]
"""Computes the vectors or logits of texts, given by position."""


class Workers:
    """Runs batches: on a CPU one on each thread, on a GPU one after the other."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads if spec.device == "cpu" else 1)
        self._warming, self._warm = Lock(), False

    def run(
        self,
        run: Run,
        batches: Sequence[Ints],
        texts: Callable[[int], Iterable[str]],
        tick: Tick,
    ) -> list[NDArray[np.float32]]:
        """Return the result of each batch, in order; stored results are reused.

        `batches` are positions of texts, and `texts` returns what the result of one depends on.
        """

        def work(batch: Ints) -> bytes:
            found = np.asarray(self._first_alone(run, batch), dtype=np.float32)
            return np.ascontiguousarray(found).tobytes()

        def key(batch: Ints) -> bytes:
            return key_of(text for place in batch for text in texts(int(place)))

        found = computed(self._pool, work, batches, key, len, tick)
        results = [np.frombuffer(result, np.float32) for result in found]
        return [
            result.reshape(len(batch), -1) for batch, result in zip(batches, results, strict=True)
        ]

    def _first_alone(self, run: Run, batch: Ints) -> NDArray[np.floating]:
        """Run a batch; the first one sets the tokeniser up while the others wait."""
        if not self._warm:
            with self._warming:
                # Threads that waited here run together.
                if not self._warm:
                    found = np.concatenate(halved_where_memory_is_short(run, batch))
                    self._warm = True
                    return found
        return np.concatenate(halved_where_memory_is_short(run, batch))
