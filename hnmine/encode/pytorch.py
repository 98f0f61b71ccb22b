"""Encoders and cross-encoders run by sentence-transformers on PyTorch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hnmine.encode.ahead import Ahead
from hnmine.encode.batching import (
    CHARACTERS,
    TokenCounter,
    batches,
    halved_where_memory_is_short,
)
from hnmine.encode.cut import cutter_of, is_plain, lead_of
from hnmine.encode.declared import OF_DOCUMENTS, OF_QUERIES
from hnmine.encode.feed import Feed, OtherInputs
from hnmine.encode.interface import Kind, Tick, as_compared, logits
from hnmine.encode.limits import output_of, own_limit
from hnmine.encode.loading import how, keep_no_keys, let_it_pad, loading, quiet_torch
from hnmine.encode.spec import ModelSpec
from hnmine.ragged import Ints
from hnmine.runner.checkpoints import computed, key_of

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from torch import Tensor

log = logging.getLogger("hnmine")
POOLED = "pooler_output"
CPU_BLOCK, GPU_BLOCK = 1024, 1 << 14
NO_LIMIT = 1 << 20
"""The length limit of a model without one."""

SPECIAL_TOKENS = 3
"""Most models put 2 around a text and 3 around a pair; some have none."""

Run = Callable[[Ints], NDArray[np.floating]]
"""Computes the vectors or logits of texts, given by position."""


class _Workers:
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


class _TorchModel:
    model: CrossEncoder | SentenceTransformer
    _ahead: Ahead | None = None

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        self.spec, self._workers, self._threads = spec, _Workers(spec, threads), threads

    def _prepare(self) -> None:
        let_it_pad(self.spec.model, self.model.tokenizer, self.model.transformers_model)
        keep_no_keys(self.model.transformers_model)
        self._counter = TokenCounter(self.model.tokenizer)
        self._cutter = cutter_of(self.model)
        if self.spec.device != "cpu":
            self.run_ahead()

    def run_ahead(self) -> None:
        """Run the model as on a GPU: threads tokenise texts before it needs them."""
        self._feeds: dict[str, Feed | None] = {}
        self._ahead = Ahead(self.model, self.spec.batch_tokens or 1, self._threads)

    @property
    def at_once(self) -> int:
        """How many texts one call should hold: on a GPU as many as keep it busy for a while."""
        return GPU_BLOCK if self._ahead else CPU_BLOCK

    def _feed(self, limit: int, prompt: str | None, kind: Kind | None = None) -> Feed | None:
        """Return what tokenises for the model on a GPU; None: sentence-transformers does."""
        if not self._ahead or prompt is None or not is_plain(self.model):
            return None
        key = f"{kind} {prompt}"
        if key not in self._feeds:
            task = {"task": kind} if kind else {}
            try:
                self._feeds[key] = Feed(self.model, limit, prompt, **task)
            except OtherInputs as error:
                log.info(f"{self.spec.model} is run by sentence-transformers alone: {error}")
                self._feeds[key] = None
        return self._feeds[key]


class TorchEncoder(_TorchModel):
    """A bi-encoder run by sentence-transformers on PyTorch."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        torch = quiet_torch(spec)
        from sentence_transformers import SentenceTransformer

        super().__init__(spec, threads)
        with loading(spec.model, output_of(spec.folder()) == POOLED):
            self.model = SentenceTransformer(**how(torch, spec))
        if limit := _own_or_wanted(spec):
            self.model.max_seq_length = limit
        self._prepare()

    @property
    def pooling(self) -> str | None:
        """How token vectors become one; None where no module of the model says so."""
        modes = [module.pooling_mode for module in self.model if hasattr(module, "pooling_mode")]
        return "+".join([modes[0]] if isinstance(modes[0], str) else modes[0]) if modes else None

    def encode(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        """Return vectors to compare, shape (texts, dimension)."""
        encode = self.model.encode_query if kind == "query" else self.model.encode_document
        prompt = self.spec.query_prompt if kind == "query" else self.spec.document_prompt
        limit = _limit(self.model.max_seq_length)
        names = OF_QUERIES if kind == "query" else OF_DOCUMENTS
        lead = lead_of(self.model, prompt, names)
        if feed := self._feed(limit, lead, kind):
            return as_compared(self._vectors(feed, texts, kind, limit), self.spec)
        texts = [self._cutter.cut(text, limit, lead) for text in texts]

        def run(batch: Ints) -> NDArray[np.floating]:
            vectors: NDArray[np.floating] = encode(
                [texts[row] for row in batch],
                prompt=prompt,
                truncate_dim=self.spec.truncate_dim,
                batch_size=len(batch),
                convert_to_numpy=True,
                show_progress_bar=False,
            )
            return vectors

        tokens = np.minimum(self._counter.count(texts, limit) + SPECIAL_TOKENS, limit)
        groups = batches(tokens, self.spec.batch_tokens or 1)
        parts = self._workers.run(
            run, groups, lambda place: (kind, texts[place]), lambda done: None
        )
        sorted_vectors = np.concatenate(parts)
        vectors = np.empty(sorted_vectors.shape, dtype=np.float32)
        vectors[np.concatenate(groups)] = sorted_vectors
        return as_compared(vectors, self.spec)

    def _vectors(
        self, feed: Feed, texts: Sequence[str], kind: Kind, limit: int
    ) -> NDArray[np.float32]:
        def forward(inputs: dict[str, Tensor]) -> Tensor:
            vectors: Tensor = self.model(inputs, task=kind)["sentence_embedding"]
            return vectors[:, : self.model.truncate_dim]

        def cut(some: Sequence[str]) -> Sequence[str]:
            return [self._cutter.cut(text, limit, feed.prompt) for text in some]

        assert self._ahead
        return self._ahead.run(feed, texts, cut, CHARACTERS * limit, forward, kind)


class TorchCrossEncoder(_TorchModel):
    """A cross-encoder run by sentence-transformers on PyTorch."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        torch = quiet_torch(spec)
        from sentence_transformers import CrossEncoder as Model

        super().__init__(spec, threads)
        self.identity = torch.nn.Identity()
        limit = _own_or_wanted(spec)
        with loading(spec.model):
            # With an activation given, the model's own is never imported.
            self.model = Model(**how(torch, spec), max_length=limit, activation_fn=self.identity)
        self._prepare()

    def score(
        self, queries: Sequence[str], documents: Sequence[str], tick: Tick
    ) -> NDArray[np.float32]:
        """Return one raw logit for each pair, no activation applied, shape (pairs,)."""
        limit = _limit(self.model.max_length)
        lead = lead_of(self.model, None)
        if feed := self._feed(limit, lead):
            return self._logits(feed, list(zip(queries, documents, strict=True)), limit, tick)
        pairs = self._cutter.pairs(queries, documents, limit, lead)
        queries, documents = [query for query, _ in pairs], [text for _, text in pairs]
        different = list(dict.fromkeys([*queries, *documents]))
        counts = self._counter.count(different, limit).tolist()
        of_text = dict(zip(different, counts, strict=True))
        both = np.array([of_text[query] + of_text[text] for query, text in pairs], dtype=np.int64)

        def run(batch: Ints) -> NDArray[np.float32]:
            outputs = self.model.predict(
                [(queries[pair], documents[pair]) for pair in batch],
                batch_size=len(batch),
                activation_fn=self.identity,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
            return logits(outputs, self.spec.model)

        scores = np.empty(len(queries), dtype=np.float32)
        tokens = np.minimum(both + SPECIAL_TOKENS, limit)
        groups = batches(tokens, self.spec.batch_tokens or 1)
        parts = self._workers.run(
            run, groups, lambda place: (queries[place], documents[place]), tick
        )
        for batch, part in zip(groups, parts, strict=True):
            scores[batch] = part[:, 0]
        return scores

    def _logits(
        self, feed: Feed, pairs: Sequence[tuple[str, str]], limit: int, tick: Tick
    ) -> NDArray[np.float32]:
        def forward(inputs: dict[str, Tensor]) -> Tensor:
            scores: Tensor = self.model(inputs)["scores"]
            return scores

        def cut(some: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
            queries, documents = zip(*some, strict=True)
            return self._cutter.pairs(queries, documents, limit, feed.prompt)

        assert self._ahead
        outputs = self._ahead.run(feed, pairs, cut, 2 * CHARACTERS * limit, forward, "", tick)
        return logits(outputs, self.spec.model)


def _own_or_wanted(spec: ModelSpec) -> int | None:
    """Return the tokens after which texts are cut; None: never."""
    return spec.max_length or own_limit(spec.folder())


def _limit(tokens: float | None) -> int:
    """Return the length limit of a model, which may be missing or infinite."""
    return int(min(tokens or NO_LIMIT, NO_LIMIT))
