"""Judges behind a server: how they stop, which refusals they bear; and a reranker as one."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Sequence
from urllib.parse import urlsplit

from hnmine.http_client import Refused
from hnmine.judging.machine_judge import Answer, Item, MachineJudge
from hnmine.model_server import ModelServer
from hnmine.printable import one_line
from hnmine.ranking_servers import RerankServer

TOO_MUCH = {400, 413, 422}
"""Codes by which servers refuse a text that is too long."""

MOST_REFUSED = 8
"""Refusals without any answer after which the request is at fault, not the texts."""


class ServerJudge(MachineJudge):
    """Asks a server about one pair at a time."""

    def __init__(self, server: ModelServer, requests: int) -> None:
        self.requests = requests
        self._server, self._over = server, threading.Event()
        self._lock, self._answered, self._refused = threading.Lock(), 0, 0

    @abstractmethod
    def ask(self, item: Item) -> Answer:
        """Return the answer to a pair.

        Raises:
            Refused: the server refuses it.
            HnmineError: the server does not answer, or with something else.
        """

    def judge(self, items: Sequence[Item]) -> list[Answer]:
        """Ask about one pair after the other; a refused pair is left without an answer.

        Raises:
            HnmineError: the server refuses everything, or does not answer.
        """
        return [self._bearing(item) for item in items]

    def stop(self) -> None:
        """End the requests that are running."""
        self._over.set()

    def _bearing(self, item: Item) -> Answer:
        try:
            answer = self.ask(item)
        except Refused as refusal:
            with self._lock:
                self._refused += 1
                every = not self._answered and self._refused >= MOST_REFUSED
            if refusal.code not in TOO_MUCH or every:
                raise self._server.refused(refusal) from None
            return Answer()
        with self._lock:
            self._answered += 1
        return answer


class RerankEndpointJudge(ServerJudge):
    """Asks a server for the score of each pair."""

    def __init__(
        self, url: str, model: str | None, key: str, timeout: float, requests: int
    ) -> None:
        check = "--endpoint, and --llm, the name of the reranker on the server"
        self._reranker = RerankServer(url, model, key, timeout, check)
        super().__init__(self._reranker.server, requests)
        parts = urlsplit(url)
        self.name = one_line((model or "").strip() or parts.hostname or "reranker")
        self.identity = {"kind": "rerank endpoint", "model": model or f"{parts.netloc}{parts.path}"}
        self.reached_by = {"host": parts.hostname}

    def ask(self, item: Item) -> Answer:
        """Ask for the score of a pair; see `ServerJudge`."""
        (score,), _ = self._reranker.scores(item.query, [item.document], self._over)
        return Answer(score=score)
