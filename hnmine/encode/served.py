"""Encoders and cross-encoders on a server: bounded requests, and answers that stay consistent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hnmine.config.shared import Reach
from hnmine.encode import probe
from hnmine.encode.address import split_address
from hnmine.encode.interface import Kind, Tick, as_compared
from hnmine.encode.spec import ModelSpec
from hnmine.errors import HnmineError, InputError
from hnmine.http_client import Refused
from hnmine.model_server import ModelServer, key_in
from hnmine.ranking_servers import EmbeddingServer, RerankServer
from hnmine.runner.checkpoints import computed, key_of

MOST_TEXTS, MOST_CHARACTERS = 32, 100_000
"""Of one request; TEI takes 32 texts unless its settings say more."""

TOO_MUCH = {400, 413, 422}
"""Codes by which servers refuse too many texts, or one that is too long."""

SHOWN = 60
"""Characters of a text that an error shows."""

Batch = list[int]
"""Positions of texts."""

Found = TypeVar("Found")

Asked = tuple[str, bool]
"""A model on a server, and whether it reranks."""

Identity = tuple[str, str | None]
"""What identifies a model on a server, and its name there."""

_FOUND: ContextVar[Mapping[Asked, Identity] | None] = ContextVar("identified", default=None)


def embedding_server(model: str, reach: Reach) -> EmbeddingServer:
    """Return the server of embeddings that a name means."""
    url, name = split_address(model, "encoder")
    check = "--encoder: the address ends before /embeddings, and the model's name follows a #"
    return EmbeddingServer(url, name, key_in(reach.api_key_env), reach.timeout, check)


def rerank_server(model: str, reach: Reach) -> RerankServer:
    """Return the reranker that a name means."""
    url, name = split_address(model, "cross-encoder")
    check = "--cross-encoder: the address ends in /rerank, and the model's name follows a #"
    return RerankServer(url, name, key_in(reach.api_key_env), reach.timeout, check)


class _Steady:
    """Checks that the answers of a server are those of one model.

    Args:
        spec: of the model, as it answered first.
        server: that is asked.
    """

    def __init__(self, spec: ModelSpec, server: ModelServer) -> None:
        self.spec, self.server = spec, server

    def check(self, name: str | None, content: str) -> None:
        """Refuse a model that answers the fixed text as another one does.

        Raises:
            InputError: it does.
        """
        self.check_name(name)
        if not probe.same(self.spec.content, content):
            raise self._changed("It answers a fixed text with other numbers.")

    def check_name(self, name: str | None) -> None:
        """Refuse an answer of a model with another name."""
        if name and self.spec.served_as and name != self.spec.served_as:
            raise self._changed(f"It was {self.spec.served_as!r}, and is {name!r}.")

    def check_dimension(self, dimension: int, expected: int) -> None:
        """Refuse vectors of another dimension."""
        if dimension != expected:
            raise self._changed(f"Its vectors had {expected:,} dimensions, and have {dimension:,}.")

    def _changed(self, why: str) -> InputError:
        return InputError(
            f"The model behind {self.server.url} is not the one that was used before.",
            why=why,
            fix="Serve the old model again, or start with another directory.",
        )

    def in_parts(
        self, ask: Callable[[Batch], Found], texts: Sequence[str], at: Batch
    ) -> list[Found]:
        """Ask for texts at once, or in halves where the server refuses so many.

        Raises:
            InputError: it refuses a single text.
        """
        try:
            return [ask(at)]
        except Refused as refusal:
            if refusal.code not in TOO_MUCH:
                raise self.server.refused(refusal) from None
            if len(at) == 1:
                raise self._too_long(refusal, texts[at[0]]) from None
        half = len(at) // 2
        return [*self.in_parts(ask, texts, at[:half]), *self.in_parts(ask, texts, at[half:])]

    def _too_long(self, refusal: Refused, text: str) -> HnmineError:
        return InputError(
            f"{self.server.url} refuses a text of {len(text):,} characters: {text[:SHOWN]!r}.",
            why=str(refusal),
            fix="Start the server so that it truncates long texts (auto-truncate of TEI), or "
            "shorten the text. Finished work is kept.",
        )


def _batches(
    sizes: Sequence[int], order: Sequence[int], groups: Sequence[object]
) -> Iterator[Batch]:
    """Group positions in an order, within the limits of a request and one group each."""
    batch: Batch = []
    characters = 0
    for at in order:
        full = len(batch) == MOST_TEXTS or characters + sizes[at] > MOST_CHARACTERS
        if batch and (full or groups[at] != groups[batch[0]]):
            yield batch
            batch, characters = [], 0
        batch.append(at)
        characters += sizes[at]
    if batch:
        yield batch


class ServedEncoder:
    """An encoder behind a server of embeddings; prompts are put before texts here."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        self.spec, reach = spec, spec.reach or Reach()
        self._server = embedding_server(spec.model, reach)
        self._steady = _Steady(spec, self._server.server)
        self._pool = ThreadPoolExecutor(reach.requests)
        vectors, name = _probed(self._server)
        self._steady.check(name, probe.of_vector(vectors[0]))
        self._dimension = vectors.shape[1]

    def encode(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        """Return vectors to compare, shape (texts, dimension)."""
        prompt = (self.spec.query_prompt if kind == "query" else self.spec.document_prompt) or ""
        whole, over = [prompt + text for text in texts], threading.Event()

        def ask(at: Batch) -> bytes:
            vectors, name = self._server.embed([whole[row] for row in at], over)
            self._steady.check_name(name)
            self._steady.check_dimension(vectors.shape[1], self._dimension)
            return vectors.tobytes()

        def work(at: Batch) -> bytes:
            return b"".join(self._steady.in_parts(ask, whole, at))

        # Texts of one length together: a server pads its batches.
        sizes = [len(text) for text in whole]
        order = sorted(range(len(whole)), key=lambda row: -sizes[row])
        batches = list(_batches(sizes, order, [""] * len(sizes)))
        answers = computed(
            self._pool,
            work,
            batches,
            lambda at: key_of(whole[row] for row in at),
            len,
            lambda done: None,
            over.set,
        )
        vectors = np.empty((len(whole), self._dimension), np.float32)
        for at, answer in zip(batches, answers, strict=True):
            vectors[at] = np.frombuffer(answer, np.float32).reshape(len(at), self._dimension)
        return as_compared(vectors, self.spec)


class ServedCrossEncoder:
    """A cross-encoder behind a rerank endpoint; its scores are used as they come."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        self.spec, reach = spec, spec.reach or Reach()
        self._server = rerank_server(spec.model, reach)
        self._steady = _Steady(spec, self._server.server)
        self._pool = ThreadPoolExecutor(reach.requests)
        scores, name = _probed_pairs(self._server)
        self._steady.check(name, probe.of_scores(scores))

    def score(
        self, queries: Sequence[str], documents: Sequence[str], tick: Tick
    ) -> NDArray[np.float32]:
        """Return one score for each pair, shape (pairs,)."""
        over = threading.Event()

        def ask(at: Batch) -> bytes:
            asked = [documents[row] for row in at]
            scores, name = self._server.scores(queries[at[0]], asked, over, raw=True)
            self._steady.check_name(name)
            return np.array(scores, np.float32).tobytes()

        def work(at: Batch) -> bytes:
            return b"".join(self._steady.in_parts(ask, documents, at))

        sizes = [len(text) for text in documents]
        batches = list(_batches(sizes, range(len(sizes)), queries))
        answers = computed(
            self._pool,
            work,
            batches,
            lambda at: key_of([queries[at[0]], *(documents[row] for row in at)]),
            len,
            tick,
            over.set,
        )
        return np.frombuffer(b"".join(answers), np.float32)


def _probed(server: EmbeddingServer) -> tuple[NDArray[np.float32], str | None]:
    try:
        return server.embed([probe.TEXT], threading.Event())
    except Refused as refusal:
        raise server.server.refused(refusal) from None


def _probed_pairs(server: RerankServer) -> tuple[NDArray[np.float32], str | None]:
    try:
        scores, name = server.scores(probe.QUERY, probe.DOCUMENTS, threading.Event(), raw=True)
    except Refused as refusal:
        raise server.server.refused(refusal) from None
    return np.array(scores, np.float32), name


@contextmanager
def identified(found: Mapping[Asked, Identity]) -> Iterator[None]:
    """Let `identify` return what another process found, as answers differ in the last digits."""
    before = _FOUND.set(found)
    try:
        yield
    finally:
        _FOUND.reset(before)


def identify(model: str, reach: Reach, *, reranks: bool) -> Identity:
    """Ask a server for what identifies its model: answers to a fixed text, and its name.

    Raises:
        HnmineError: it refuses the request, does not answer, or with something else.
    """
    if known := (_FOUND.get() or {}).get((model, reranks)):
        return known
    if reranks:
        reranker = rerank_server(model, reach)
        scores, name = _probed_pairs(reranker)
        return probe.of_scores(scores), name or reranker.model
    server = embedding_server(model, reach)
    vectors, name = _probed(server)
    return probe.of_vector(vectors[0]), name or server.model
