"""Servers of embeddings and of rerankers: one request and one parser for each protocol."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from hnmine.model_server import ModelServer

LARGEST_ANSWER = 1 << 26
"""Bytes: 32 vectors of 16,384 dimensions, or 1,000 scores with their documents."""

NO_ANSWER = (LookupError, TypeError, AttributeError, RecursionError)
"""What an answer of another kind raises."""


def is_rerank(url: str) -> bool:
    """Tell whether an address is a rerank endpoint, by the end of its path."""
    return urlsplit(url).path.rstrip("/").endswith("/rerank")


@dataclass(frozen=True)
class _RankingServer:
    """A model on a server that compares texts.

    Attributes:
        url: that requests go to.
        model: its name on the server; None where the server has one.
        key: sent as a bearer token; empty for none.
        timeout: seconds for a whole answer.
        check: what to check where it refuses a request.
    """

    url: str
    model: str | None
    key: str = field(repr=False)
    timeout: float
    check: str

    kind: ClassVar[str] = ""
    example: ClassVar[str] = ""

    @cached_property
    def server(self) -> ModelServer:
        return ModelServer(
            self.url, self.key, self.timeout, self.kind, self.check, self.example, LARGEST_ANSWER
        )

    def _asked(self, body: dict[str, Any], over: threading.Event) -> tuple[bytes, Any]:
        """Return an answer, as it came and as JSON; see `ModelServer.ask`."""
        answer = self.server.ask(body, over)
        try:
            return answer, json.loads(answer)
        except (ValueError, RecursionError):
            raise self.server.not_an_answer(answer) from None


def _named(model: str | None) -> dict[str, str]:
    return {"model": model} if model else {}


def _in_order(items: list[Any], count: int) -> list[Any]:
    """Return items in the order of their indices.

    Raises:
        ValueError: they are not those of the request, each once.
    """
    places = [item.get("index", 0 if count == 1 else None) for item in items]
    whole = all(type(place) is int for place in places)
    if not whole or sorted(places) != list(range(count)):
        raise ValueError(f"The indices of its answer to {count:,} texts are not 0 to {count - 1}.")
    found: list[Any] = [None] * count
    for place, item in zip(places, items, strict=True):
        found[place] = item
    return found


class EmbeddingServer(_RankingServer):
    """Embeddings, by the protocol of OpenAI, or by TEI's own if the address ends in /embed."""

    kind: ClassVar[str] = "embeddings"
    example: ClassVar[str] = "a server of embeddings, such as http://localhost:8080/v1"

    def embed(
        self, texts: Sequence[str], over: threading.Event
    ) -> tuple[NDArray[np.float32], str | None]:
        """Return the vectors of texts, shape (texts, dimension), and the model's name if told.

        Args:
            texts: at least one.
            over: ends the request within a moment.

        Raises:
            Refused: see `ModelServer.ask`.
            HnmineError: the server does not answer, or with something else.
        """
        own = urlsplit(self.url).path.endswith("/embed")
        body: dict[str, Any] = {"input": list(texts), **_named(self.model)}
        if own:
            body = {"inputs": list(texts), "truncate": True, "normalize": False}
        answer, found = self._asked(body, over)
        try:
            name = None if own else found.get("model")
            listed = found if own else _in_order(found["data"], len(texts))
            vectors = [one if own else one["embedding"] for one in listed]
            if not isinstance(name, str | None):
                raise TypeError
            return _matrix(vectors, len(texts)), name
        except NO_ANSWER:
            raise self.server.not_an_answer(answer) from None
        except ValueError as error:
            raise self.server.not_an_answer(answer, str(error)) from None


def _matrix(vectors: list[Any], count: int) -> NDArray[np.float32]:
    """Return the vectors of so many texts as a matrix.

    Raises:
        ValueError: they are not so many, not of one length, or not finite numbers.
    """
    if len(vectors) != count:
        raise ValueError(f"These are {len(vectors):,} vectors of {count:,} texts.")
    try:
        found = np.array(vectors)
    except (ValueError, OverflowError):
        found = np.empty(0)
    if found.dtype.kind not in "fiu" or found.ndim != 2 or not found.size:
        raise ValueError("Its vectors are not of one length, or not of numbers.")
    with np.errstate(over="ignore"):
        numbers: NDArray[np.float32] = found.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError("A vector holds NaN or infinity.")
    return numbers


class RerankServer(_RankingServer):
    """A reranker: TEI, or the protocol of Cohere, Jina and vLLM.

    A server that is given a model's name, or whose path begins with a version, takes `documents`,
    as Cohere's does; another takes `texts`, as TEI does.
    """

    kind: ClassVar[str] = "scores of a reranker"
    example: ClassVar[str] = "a rerank endpoint, such as http://localhost:8080/rerank"

    @cached_property
    def _with_documents(self) -> bool:
        path = urlsplit(self.url).path
        return bool(self.model) or re.search(r"/v\d+/rerank/?$", path) is not None

    def scores(
        self,
        query: str,
        documents: Sequence[str],
        over: threading.Event,
        *,
        raw: bool = False,
    ) -> tuple[list[float], str | None]:
        """Return the score of each document, in their order, and the model's name if told.

        Args:
            query: of all documents.
            documents: at least one.
            over: ends the request within a moment.
            raw: ask for logits where the protocol can.

        Raises:
            Refused: see `ModelServer.ask`.
            HnmineError: the server does not answer, or with something else.
        """
        body: dict[str, Any] = {"query": query}
        if self._with_documents:
            body |= {"documents": list(documents), **_named(self.model)}
        else:
            body |= {"texts": list(documents), "truncate": True}
            body |= {"raw_scores": True} if raw else {}
        answer, found = self._asked(body, over)
        try:
            whole = isinstance(found, dict)
            name = found.get("model") if whole else None
            items = _in_order(found["results"] if whole else found, len(documents))
            scores = [one["score"] if "score" in one else one["relevance_score"] for one in items]
            if any(isinstance(one, bool) or not math.isfinite(one) for one in scores):
                raise ValueError("A score is not finite.")
            if not isinstance(name, str | None):
                name = None
        except (*NO_ANSWER, OverflowError):
            raise self.server.not_an_answer(answer) from None
        except ValueError as error:
            raise self.server.not_an_answer(answer, str(error)) from None
        return [float(score) for score in scores], name
