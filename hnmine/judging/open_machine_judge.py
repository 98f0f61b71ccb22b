"""Open the machine judge that a name or an address means."""

from __future__ import annotations

from pathlib import Path

from hnmine.config.shared import ModelUse
from hnmine.judging.machine_judge import MachineJudge


def open_machine_judge(
    judge: str,
    llm: str | None = None,
    *,
    prompt: Path | None = None,
    api_key_env: str = "OPENAI_API_KEY",
    max_tokens: int = 1024,
    timeout: float = 120.0,
    requests: int = 8,
    model_use: ModelUse | None = None,
    threads: int = 1,
) -> MachineJudge:
    """Return a machine judge; no model is loaded and no server is asked yet.

    Args:
        judge: the address of an OpenAI-compatible server, that of a rerank endpoint, which ends in
            /rerank, or a local cross-encoder or bi-encoder: a hub name, a folder, or
            pkg:package/folder.
        llm: name of the language model, or of the reranker, on the server.
        prompt: file with a prompt that replaces the default one; it contains {query} and
            {document}.
        api_key_env: environment variable with the server's key.
        max_tokens: of an answer of a language model.
        timeout: seconds for a whole answer of the server.
        requests: to the server at the same time.
        model_use: how a local model runs. [default: as the machine decides]
        threads: CPU threads for a local model.

    Raises:
        UsageError: the address, the model or the prompt cannot be used.
        MissingModel: the local model is missing.
    """
    raise NotImplementedError
