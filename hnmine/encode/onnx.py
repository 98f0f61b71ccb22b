"""Encoders and cross-encoders as ONNX graphs on onnxruntime, one text at a time on each thread.

Graphs quantised to int8 usually scale their activations by the largest in the whole batch, so a
score would change with its neighbours. One text at a time it does not, nothing is padded, and on a
CPU it costs no throughput: the threads work on different texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hnmine.encode.cut import Cutter
from hnmine.encode.interface import Kind, Tick, as_compared, logits
from hnmine.encode.limits import own_limit
from hnmine.encode.locate import read_json
from hnmine.encode.pooling import Layer, Pipeline, pooled_before
from hnmine.encode.spec import ModelSpec
from hnmine.encode.weights import cannot_load, graph_of, open_session
from hnmine.errors import MissingModel
from hnmine.ragged import grouped
from hnmine.runner.checkpoints import computed, key_of

if TYPE_CHECKING:
    from tokenizers import Encoding

TEXTS_AT_ONCE = 256
"""Texts in one call of the tokeniser."""

CHARACTERS_AT_ONCE = 1 << 22
"""Their characters, except the last text's: a tokeniser takes 150 bytes for each."""

Reduce = Callable[[NDArray[np.floating]], NDArray[np.floating]]
"""Turns the output of the graph for a text into one array, shape (n,)."""


class _Graph:
    """A tokeniser and its graph."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        self.folder = folder = spec.folder()
        self.session = open_session(folder)
        from tokenizers import Tokenizer

        try:
            self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:
            raise cannot_load(folder, error) from error
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        if limit := spec.max_length or own_limit(folder):
            side = read_json(folder, "tokenizer_config.json").get("truncation_side")
            side = "left" if side == "left" else "right"
            self.tokenizer.enable_truncation(limit, direction=side)
        self.ends = graph_of(folder)
        self.cutter = Cutter(self.tokenizer)
        self.pool = ThreadPoolExecutor(threads)

    def run(
        self, items: Sequence[tuple[str, ...]], reduce: Reduce, kind: str, tick: Tick
    ) -> NDArray[np.float32]:
        """Return the reduced output of the graph for each text, or pair of texts."""
        found: list[bytes] = []
        cut = self._cut(items)
        for block in grouped(cut, _characters, TEXTS_AT_ONCE, CHARACTERS_AT_ONCE):
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

    def tokens_of_prompt(self, prompt: str) -> int:
        """Count the tokens of a prompt before a text, including the special ones at the front."""
        if not prompt:
            return 0
        ids = self.tokenizer.encode(prompt).ids
        added = self.tokenizer.get_added_tokens_decoder()
        return len(ids) - int(ids[-1] in added and added[ids[-1]].special)

    def _forward(self, encoding: Encoding) -> NDArray[np.floating]:
        everything = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
            "position_ids": range(len(encoding.ids)),
        }
        feed = {
            name: np.array([values], dtype=np.int64)
            for name, values in everything.items()
            if name in self.ends.inputs
        }
        output: NDArray[np.floating] = self.session.run([self.ends.output], feed)[0][0]
        return output


def _characters(item: tuple[str, ...]) -> int:
    return sum(map(len, item))


WHOLE = "sentence_embedding"
"""The output of a graph that contains all modules of a model."""


class OnnxEncoder:
    """A bi-encoder whose graph gives a vector for each token, or one for the text.

    Attributes:
        pooling: how token vectors become one.
    """

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        self.spec, self.graph = spec, _Graph(spec, threads)
        folder = self.graph.folder
        pooling = spec.pooling or pooled_before(folder)
        self._pipeline = Pipeline((pooling,))
        self._layers: list[Layer] = []
        if spec.own_modules:
            self._pipeline = Pipeline.read(folder, spec.pooling)
            self._layers = self._pipeline.layers()
        elif "+" in pooling:
            self._pipeline = Pipeline(tuple(pooling.split("+")))
        output = self.graph.ends
        self.pooling = self._pipeline.pooling
        if len(output.shape) == 2:
            self.pooling = "in the graph"
            if output.output != WHOLE and self._pipeline.has_more:
                raise MissingModel(
                    f"The ONNX model {spec.model} pools in its graph.",
                    why=f"Its folder lists more modules, and the output {output.output!r} may lack "
                    "them.",
                    fix=f"Export the graph with token vectors, or with all modules as {WHOLE}.",
                )

    def encode(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        """Return vectors to compare, shape (texts, dimension)."""
        prompt = (self.spec.query_prompt if kind == "query" else self.spec.document_prompt) or ""
        tokens = 0 if self._pipeline.prompt else self.graph.tokens_of_prompt(prompt)

        def pool(output: NDArray[np.floating]) -> NDArray[np.floating]:
            if output.ndim == 1:
                return output
            vector = self._pipeline.pool(output, tokens)
            for layer in self._layers:
                vector = layer(vector)
            return vector

        whole = [(prompt + text,) for text in texts]
        return as_compared(self.graph.run(whole, pool, kind, lambda done: None), self.spec)


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
