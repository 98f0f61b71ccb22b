"""A reranker behind a server as a judge: TEI, or the protocol of Cohere, Jina and vLLM."""

from __future__ import annotations

import json
import math
import re
from typing import Any
from urllib.parse import urlsplit

from hnmine.judging.machine_judge import Answer, Item
from hnmine.judging.server_judge import ServerJudge
from hnmine.model_server import ModelServer
from hnmine.printable import one_line


def is_rerank(url: str) -> bool:
    """Tell whether an address is a rerank endpoint, by the end of its path."""
    return urlsplit(url).path.rstrip("/").endswith("/rerank")


class RerankEndpointJudge(ServerJudge):
    """Asks a server for the score of each pair.

    A server that is given a model's name, or whose path begins with a version, takes `documents`,
    as Cohere's does; another takes `texts`, as TEI does.
    """

    def __init__(
        self, url: str, model: str | None, key: str, timeout: float, requests: int
    ) -> None:
        server = ModelServer(
            url,
            key,
            timeout,
            "scores of a reranker",
            "--endpoint, and --llm, the name of the reranker on the server",
            "a rerank endpoint, such as http://localhost:8080/rerank",
        )
        super().__init__(server, requests)
        parts = urlsplit(url)
        self.name = one_line((model or "").strip() or parts.hostname or "reranker")
        self._model = model
        self._with_documents = bool(model) or re.search(r"/v\d+/rerank/?$", parts.path) is not None
        self.identity = {"kind": "rerank endpoint", "model": model or f"{parts.netloc}{parts.path}"}
        self.reached_by = {"host": parts.hostname}

    def ask(self, item: Item) -> Answer:
        """Ask for the score of a pair; see `ServerJudge`."""
        body: dict[str, Any] = {"query": item.query}
        if self._with_documents:
            body |= {"documents": [item.document]} | ({"model": self._model} if self._model else {})
        else:
            body |= {"texts": [item.document], "truncate": True}
        answer = self._server.ask(body, self._over)
        try:
            found = json.loads(answer)
            (one,) = found["results"] if isinstance(found, dict) else found
            score = one["score"] if "score" in one else one["relevance_score"]
            if one.get("index", 0) != 0 or isinstance(score, bool) or not math.isfinite(score):
                raise ValueError
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
            raise self._server.not_an_answer(answer) from None
        return Answer(score=float(score))
