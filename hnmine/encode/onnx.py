"""Encoders and cross-encoders as ONNX graphs on onnxruntime, one text at a time on each thread.

Graphs quantised to int8 usually scale their activations by the largest in the whole batch, so a
score would change with its neighbours. One text at a time it does not, nothing is padded, and on a
CPU it costs no throughput: the threads work on different texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnmine.config import Pooling
from hnmine.encode.base import Kind, Tick, logits, unit_vectors
from hnmine.encode.cut import Cutter
from hnmine.encode.limits import own_limit
from hnmine.encode.models import read_json
from hnmine.encode.spec import ModelSpec
from hnmine.errors import MissingModel, missing_extra
from hnmine.tasks.partial import computed, key_of

TEXTS_AT_ONCE = 256
"""Texts that are tokenised at once."""

CHARACTERS_AT_ONCE = 1 << 22
"""Their characters, but for those of the last: a tokeniser takes 150 bytes for each."""

Reduce = Callable[[NDArray[Any]], NDArray[Any]]
"""Makes one array, shape (n,), of what the graph gives for a text."""


def _open(folder: Path, model: str) -> tuple[Any, Any]:
    """Return the session and the tokeniser of a folder."""
    try:
        import onnxruntime
        from tokenizers import Tokenizer
    except ImportError as error:
        raise missing_extra(error.name or "onnxruntime", "onnx") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return (
            onnxruntime.InferenceSession(
                str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            ),
            Tokenizer.from_file(str(folder / "tokenizer.json")),
        )
    except Exception as error:
        raise MissingModel(
            f"The ONNX model {model} cannot be loaded.",
            why=str(error).strip().splitlines()[0],
            fix="Check that its folder holds a whole model.onnx and tokenizer.json.",
        ) from error


class _Graph:
    """A tokeniser and the graph behind it."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        self.folder = folder = spec.folder()
        self.session, self.tokenizer = _open(folder, spec.model)
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        if limit := spec.max_length or own_limit(folder):
            self.tokenizer.enable_truncation(limit)
        self.cutter = Cutter(self.tokenizer)
        self.inputs = {node.name for node in self.session.get_inputs()}
        self.pool = ThreadPoolExecutor(threads)

    def run(
        self, items: Sequence[tuple[str, ...]], reduce: Reduce, kind: str, tick: Tick
    ) -> NDArray[np.float32]:
        """Return what is made of the graph's first output for each text, or pair of texts.

        What the task has kept is not run again.

        Args:
            items: texts or pairs.
            reduce: applied to each output.
            kind: of the texts, on which their prompt depends.
            tick: called with the items done.
        """
        found: list[bytes] = []
        for block in _blocks(self._cut(items)):
            found += self._block(block, reduce, kind, tick)
        return np.frombuffer(b"".join(found), np.float32).reshape(len(items), -1)

    def _cut(self, items: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
        how = self.tokenizer.truncation
        if how is None or how["direction"] != "right":
            return list(items)
        if items and len(items[0]) > 1:
            queries, documents = zip(*items, strict=True)
            return list(self.cutter.pairs(queries, documents, how["max_length"]))
        return [(self.cutter.cut(text, how["max_length"]),) for (text,) in items]

    def _block(
        self, items: Sequence[tuple[str, ...]], reduce: Reduce, kind: str, tick: Tick
    ) -> list[bytes]:
        encodings = self.tokenizer.encode_batch([it if len(it) > 1 else it[0] for it in items])

        def work(at: int) -> bytes:
            values = reduce(self._forward(encodings[at]))
            return np.ascontiguousarray(values, dtype=np.float32).tobytes()

        def key(at: int) -> bytes:
            return key_of((kind, *items[at]))

        return computed(self.pool, work, range(len(items)), key, lambda at: 1, tick)

    def _forward(self, encoding: Any) -> NDArray[Any]:
        everything = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        feed = {
            name: np.array([values], dtype=np.int64)
            for name, values in everything.items()
            if name in self.inputs
        }
        first: NDArray[Any] = self.session.run(None, feed)[0][0]
        return first


def _blocks(items: Sequence[tuple[str, ...]]) -> Iterator[list[tuple[str, ...]]]:
    """Yield items that are tokenised at once: so many, or with so many characters in all."""
    block: list[tuple[str, ...]] = []
    size = 0
    for item in items:
        block.append(item)
        size += sum(map(len, item))
        if len(block) == TEXTS_AT_ONCE or size > CHARACTERS_AT_ONCE:
            yield block
            block, size = [], 0
    if block:
        yield block


def pooling(spec: ModelSpec, folder: Path) -> Pooling:
    """Return how token vectors become one: as the user says, else the model's files, else mean."""
    if spec.pooling:
        return spec.pooling
    return (
        "cls"
        if read_json(folder / "1_Pooling", "config.json").get("pooling_mode_cls_token")
        else "mean"
    )


class OnnxEncoder:
    """A bi-encoder whose graph gives a vector for each token, or one for the text."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        self.spec, self.graph = spec, _Graph(spec, threads)
        self.pooling = pooling(spec, self.graph.folder)

    def encode(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        """Return unit vectors, shape (texts, dimension)."""
        prompt = self.spec.query_prompt if kind == "query" else self.spec.document_prompt
        whole = [((prompt or "") + text,) for text in texts]
        return unit_vectors(self.graph.run(whole, self._pool, kind, lambda done: None))

    def _pool(self, output: NDArray[Any]) -> NDArray[Any]:
        if output.ndim == 1:
            return output
        return output[0] if self.pooling == "cls" else output.mean(axis=0)


class OnnxCrossEncoder:
    """A cross-encoder whose graph gives the logits of a pair."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        self.spec, self.graph = spec, _Graph(spec, threads)

    def score(
        self, queries: Sequence[str], documents: Sequence[str], tick: Tick
    ) -> NDArray[np.float32]:
        """Return one raw logit for each pair, no activation applied, shape (pairs,)."""
        pairs = list(zip(queries, documents, strict=True))
        return logits(self.graph.run(pairs, np.atleast_1d, "pair", tick), self.spec.model)
