"""Run a model on a GPU, while other threads tokenise what comes next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from hnmine.encode.batching import batches, halved_where_memory_is_short
from hnmine.encode.feed import Feed, Text
from hnmine.encode.forward import Forward
from hnmine.ragged import Ints
from hnmine.runner.checkpoints import computed, key_of
from hnmine.runner.device_use import DeviceUse

if TYPE_CHECKING:
    import torch
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from tokenizers import Encoding
    from torch import Tensor

CHUNK = 2
"""Batches of a chunk, about: the more, the less padding; the fewer, the sooner the first begins."""

CHARACTERS_PER_TOKEN = 4
"""Estimates the batches of a chunk."""

CHUNKS = 4
"""Chunks in work: one is tokenised, one computed, one brought back, and one waits."""

PIECE = 64
"""Texts that one thread tokenises at once."""

Item = TypeVar("Item", str, tuple[str, str])


class Ahead:
    """Runs batches of a model one after the other, on inputs that are ready before it needs them.

    Texts are sorted by characters and divided into chunks. Threads tokenise them, chunk by chunk; a
    chunk is sorted by tokens and computed batch by batch. Its results are gathered on the device,
    and brought back once, while the next chunk is computed.
    """

    def __init__(
        self, model: CrossEncoder | SentenceTransformer, budget: int, threads: int
    ) -> None:
        """Take a model, the tokens of a batch, and the threads that tokenise."""
        self._model, self._budget = model.eval(), budget
        self._chunks, self._pieces = ThreadPoolExecutor(CHUNKS), ThreadPoolExecutor(threads)
        self._turn = Lock()

    def run(
        self,
        feed: Feed,
        items: Sequence[Item],
        cut: Callable[[Sequence[Item]], Sequence[Item]],
        longest: int,
        forward: Forward,
        kind: str,
        use: DeviceUse,
        tick: Callable[[int], None] = lambda done: None,
    ) -> NDArray[np.float32]:
        """Return the outputs of the model, shape (items, outputs); stored results are reused.

        Args:
            feed: tokenises the items.
            items: texts or pairs.
            cut: shortens a text that the tokeniser would cut anyway.
            longest: characters from which a text counts as this long.
            forward: computes the outputs of a batch from its inputs.
            kind: of the items; the outputs depend on it.
            use: counts the tokens, and the seconds of a GPU.
            tick: called with the number of items done.
        """
        characters = np.array([min(_size(item), longest) for item in items])

        def work(chunk: Ints) -> bytes:
            pieces = [chunk[at : at + PIECE] for at in range(0, len(chunk), PIECE)]
            tokenised = self._pieces.map(
                lambda piece: feed.tokenise(cut([items[row] for row in piece])), pieces
            )
            encodings = [one for some in tokenised for one in some]
            return self._compute(feed, encodings, forward, use).tobytes()

        def key(chunk: Ints) -> bytes:
            return key_of([kind, *(text for row in chunk for text in _texts(items[row]))])

        chunks = self._divide(characters)
        found = computed(self._chunks, work, chunks, key, len, tick)
        if not chunks:
            return np.empty((0, 1), dtype=np.float32)
        rows = [
            np.frombuffer(result, np.float32).reshape(len(chunk), -1)
            for chunk, result in zip(chunks, found, strict=True)
        ]
        outputs = np.empty((len(items), rows[0].shape[1]), dtype=np.float32)
        outputs[np.concatenate(chunks)] = np.concatenate(rows)
        return outputs

    def _divide(self, characters: Ints) -> list[Ints]:
        """Sort items by their characters, and divide them into chunks of some batches."""
        order = np.argsort(-characters, kind="stable")
        tokens = np.cumsum(characters[order] // CHARACTERS_PER_TOKEN + 1)
        ends = np.flatnonzero(np.diff(tokens // (CHUNK * self._budget))) + 1
        return [chunk for chunk in np.split(order, ends) if len(chunk)]

    def _compute(
        self,
        feed: Feed,
        encodings: Sequence[Encoding],
        forward: Forward,
        use: DeviceUse,
    ) -> NDArray[np.float32]:
        import torch

        device = self._model.device

        def run(batch: Ints) -> Tensor:
            # The device computes the batch before, while this one is padded.
            inputs = feed.features([encodings[row] for row in batch])
            return forward({name: _moved(value, device) for name, value in inputs.items()}).float()

        tokens = np.array([max(1, len(one)) for one in encodings])
        groups = batches(tokens, self._budget)
        with torch.inference_mode():
            with self._turn:
                clock = _Clock(device)
                parts = [
                    part for batch in groups for part in halved_where_memory_is_short(run, batch)
                ]
                outputs = torch.cat(parts)
                clock.stop()
                use.count(tokens, groups)
            found: NDArray[np.float32] = outputs.cpu().numpy()
        with self._turn:
            clock.add_to(use)
        outputs_of_rows = np.empty_like(found)
        outputs_of_rows[np.concatenate(groups)] = found
        return outputs_of_rows


class _Clock:
    """Measures for how long a GPU works on a chunk, from when it is done with the one before."""

    def __init__(self, device: torch.device) -> None:
        import torch

        self._events = []
        if device.type == "cuda":
            self._stream = torch.cuda.current_stream(device)
            self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
            self._events[0].record(self._stream)

    def stop(self) -> None:
        if self._events:
            self._events[1].record(self._stream)

    def add_to(self, use: DeviceUse) -> None:
        """Add the seconds to a record, once the device is done."""
        if self._events:
            self._events[1].synchronize()
            seconds = self._events[0].elapsed_time(self._events[1]) / 1000
            use.busy_seconds = (use.busy_seconds or 0.0) + seconds


def _moved(value: Tensor, device: torch.device) -> Tensor:
    """Move an input to a device, without waiting for the copy where the device can copy so."""
    if not hasattr(value, "shape"):
        return value
    if device.type == "cuda":
        return value.pin_memory().to(device, non_blocking=True)
    return value.to(device)


def _texts(item: Text) -> Iterable[str]:
    return (item,) if isinstance(item, str) else item


def _size(item: Text) -> int:
    return len(item) if isinstance(item, str) else len(item[0]) + len(item[1])
