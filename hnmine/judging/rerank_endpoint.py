"""A reranker behind a server as a judge."""

from __future__ import annotations

from urllib.parse import urlsplit

from hnmine.judging.machine_judge import Answer, Item
from hnmine.judging.server_judge import ServerJudge
from hnmine.printable import one_line
from hnmine.ranking_servers import RerankServer


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
