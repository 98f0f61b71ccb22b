"""Encoders and cross-encoders run by sentence-transformers on PyTorch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hnmine.encode.ahead import Ahead
from hnmine.encode.batching import CHARACTERS, TokenCounter, batches
from hnmine.encode.cut import cutter_of, is_plain, lead_of
from hnmine.encode.declared import OF_DOCUMENTS, OF_QUERIES
from hnmine.encode.feed import Feed
from hnmine.encode.fidelity import PAYS_FROM, of_logits, of_vectors, sampled
from hnmine.encode.forward import Forward
from hnmine.encode.interface import Kind, Tick, as_compared, logits
from hnmine.encode.limits import output_of, own_limit
from hnmine.encode.loading import (
    how,
    keep_no_keys,
    let_it_pad,
    loading,
    name_of_device,
    quiet_torch,
    running,
)
from hnmine.encode.spec import ModelSpec
from hnmine.encode.workers import Workers
from hnmine.errors import is_out_of_memory
from hnmine.ragged import Ints
from hnmine.runner import incidents
from hnmine.runner.checkpoints import no_checkpoint
from hnmine.runner.device_use import DeviceUse, begin
from hnmine.runner.plan import Json

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from typing_extensions import Self

log = logging.getLogger("hnmine")
POOLED = "pooler_output"
CPU_BLOCK, GPU_BLOCK = 1024, 1 << 14
NO_LIMIT = 1 << 20
"""The length limit of a model without one."""

SPECIAL_TOKENS = 3
"""Most models put 2 around a text and 3 around a pair; some have none."""


class _TorchModel:
    model: CrossEncoder | SentenceTransformer
    _ahead: Ahead | None = None
    _output: str
    _begin: Callable[[str, str, str], DeviceUse] = staticmethod(begin)

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        self.spec, self._workers, self._threads = spec, Workers(spec, threads), threads
        self._begun, self._spent = time.perf_counter(), 0.0
        self._fidelity: Json | None = None

    def _prepare(self) -> None:
        let_it_pad(self.spec.model, self.model.tokenizer, self.model.transformers_model)
        keep_no_keys(self.model.transformers_model)
        self._counter = TokenCounter(self.model.tokenizer)
        self._cutter = cutter_of(self.model)
        self._device = name_of_device(self.spec.device)
        self._loading_seconds = time.perf_counter() - self._begun
        if self.spec.device != "cpu":
            self.run_ahead()

    @contextmanager
    def _recorded(self) -> Iterator[DeviceUse]:
        """Record the work of the model on its device."""
        use = self._begin(self.spec.model, self._device, self.spec.dtype)
        use.fidelity, start = self._fidelity, time.perf_counter()
        with running(self.spec):
            yield use
        took = time.perf_counter() - start
        use.seconds, self._spent = use.seconds + took, self._spent + took

    def _compare(self, use: DeviceUse, compared: Callable[[Self], Json]) -> None:
        """Compare the model with itself in fp32, once that takes a small part of its time."""
        pays = self._spent >= PAYS_FROM * self._loading_seconds
        if self.spec.dtype == "fp32" or self._fidelity or not pays:
            return
        try:
            exact = type(self)(self.spec.model_copy(update={"dtype": "fp32"}), self._threads)
            exact._begin = DeviceUse  # The run does not use the copy: nothing records it.
            with no_checkpoint():
                found = compared(exact)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            found = {"not_measured": "Memory does not suffice for the model in fp32."}
        self._fidelity = use.fidelity = found
        shown = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found.items())
        incidents.note(f"{self.spec.model} in {self.spec.dtype}, compared with fp32: {shown}")

    def run_ahead(self) -> None:
        """Run the model as on a GPU: threads tokenise texts before it needs them."""
        self._feeds: dict[str, Feed | None] = {}
        self._forward = Forward(self.model, self._output)
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
                feed = Feed(self.model, limit, prompt, **task)
                feed.side = "right" if self._forward.unmasked else feed.side
                self._feeds[key] = feed
            except ValueError as error:
                log.info(f"{self.spec.model} is run by sentence-transformers alone: {error}")
                self._feeds[key] = None
        return self._feeds[key]


class TorchEncoder(_TorchModel):
    """A bi-encoder run by sentence-transformers on PyTorch."""

    model: SentenceTransformer
    _output = "sentence_embedding"

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
        limit = _limit(self.model.max_seq_length)
        names = OF_QUERIES if kind == "query" else OF_DOCUMENTS
        lead = lead_of(self.model, self._prompt(kind), names)
        with self._recorded() as use:
            if feed := self._feed(limit, lead, kind):
                outputs = self._ahead_of_it(feed, texts, kind, limit, use)
            else:
                cut = [self._cutter.cut(text, limit, lead) for text in texts]
                outputs = self._by_library(cut, kind, limit, use)
        vectors = as_compared(outputs, self.spec)
        some = sampled(len(texts))

        def compared(exact: TorchEncoder) -> Json:
            return of_vectors(exact.encode([texts[row] for row in some], kind), vectors[some])

        self._compare(use, compared)
        return vectors

    def _prompt(self, kind: Kind) -> str | None:
        return self.spec.query_prompt if kind == "query" else self.spec.document_prompt

    def _by_library(
        self, texts: Sequence[str], kind: Kind, limit: int, use: DeviceUse
    ) -> NDArray[np.float32]:
        encode = self.model.encode_query if kind == "query" else self.model.encode_document

        def run(batch: Ints) -> NDArray[np.floating]:
            vectors: NDArray[np.floating] = encode(
                [texts[row] for row in batch],
                prompt=self._prompt(kind),
                truncate_dim=self.spec.truncate_dim,
                batch_size=len(batch),
                convert_to_numpy=True,
                show_progress_bar=False,
            )
            return vectors

        tokens = np.minimum(self._counter.count(texts, limit) + SPECIAL_TOKENS, limit)
        groups = batches(tokens, self.spec.batch_tokens or 1)
        use.count(tokens, groups)
        parts = self._workers.run(
            run, groups, lambda place: (kind, texts[place]), lambda done: None
        )
        sorted_vectors = np.concatenate(parts)
        vectors = np.empty(sorted_vectors.shape, dtype=np.float32)
        vectors[np.concatenate(groups)] = sorted_vectors
        return vectors

    def _ahead_of_it(
        self, feed: Feed, texts: Sequence[str], kind: Kind, limit: int, use: DeviceUse
    ) -> NDArray[np.float32]:
        def cut(some: Sequence[str]) -> Sequence[str]:
            return [self._cutter.cut(text, limit, feed.prompt) for text in some]

        assert self._ahead
        vectors = self._ahead.run(feed, texts, cut, CHARACTERS * limit, self._forward, kind, use)
        return vectors[:, : self.model.truncate_dim]


class TorchCrossEncoder(_TorchModel):
    """A cross-encoder run by sentence-transformers on PyTorch."""

    _output = "scores"

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
        with self._recorded() as use:
            if feed := self._feed(limit, lead):
                pairs = list(zip(queries, documents, strict=True))
                scores = self._ahead_of_it(feed, pairs, limit, use, tick)
            else:
                pairs = self._cutter.pairs(queries, documents, limit, lead)
                scores = self._by_library(pairs, limit, use, tick)
        some = sampled(len(queries))

        def compared(exact: TorchCrossEncoder) -> Json:
            asked, found = ([texts[pair] for pair in some] for texts in (queries, documents))
            return of_logits(exact.score(asked, found, lambda done: None), scores[some])

        self._compare(use, compared)
        return scores

    def _by_library(
        self, pairs: Sequence[tuple[str, str]], limit: int, use: DeviceUse, tick: Tick
    ) -> NDArray[np.float32]:
        different = list(dict.fromkeys(text for side in zip(*pairs, strict=True) for text in side))
        counts = self._counter.count(different, limit).tolist()
        of_text = dict(zip(different, counts, strict=True))
        both = np.array([of_text[query] + of_text[text] for query, text in pairs], dtype=np.int64)

        def run(batch: Ints) -> NDArray[np.float32]:
            outputs = self.model.predict(
                [pairs[pair] for pair in batch],
                batch_size=len(batch),
                activation_fn=self.identity,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
            return logits(outputs, self.spec.model)

        scores = np.empty(len(pairs), dtype=np.float32)
        tokens = np.minimum(both + SPECIAL_TOKENS, limit)
        groups = batches(tokens, self.spec.batch_tokens or 1)
        use.count(tokens, groups)
        parts = self._workers.run(run, groups, lambda place: pairs[place], tick)
        for batch, part in zip(groups, parts, strict=True):
            scores[batch] = part[:, 0]
        return scores

    def _ahead_of_it(
        self,
        feed: Feed,
        pairs: Sequence[tuple[str, str]],
        limit: int,
        use: DeviceUse,
        tick: Tick,
    ) -> NDArray[np.float32]:
        def cut(some: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
            queries, documents = zip(*some, strict=True)
            return self._cutter.pairs(queries, documents, limit, feed.prompt)

        assert self._ahead
        longest = 2 * CHARACTERS * limit
        outputs = self._ahead.run(feed, pairs, cut, longest, self._forward, "", use, tick)
        return logits(outputs, self.spec.model)


def _own_or_wanted(spec: ModelSpec) -> int | None:
    """Return the tokens after which texts are cut; None: never."""
    return spec.max_length or own_limit(spec.folder())


def _limit(tokens: float | None) -> int:
    """Return the length limit of a model, which may be missing or infinite."""
    return int(min(tokens or NO_LIMIT, NO_LIMIT))
