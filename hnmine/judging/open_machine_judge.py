"""Open the machine judge that a name or an address means."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hnmine.config.server_settings import check_address
from hnmine.config.shared import ModelUse
from hnmine.encode.gate import use_of
from hnmine.encode.spec import ModelSpec
from hnmine.errors import UsageError
from hnmine.judging.language_model import PROMPT, LanguageModelJudge, judging_prompt
from hnmine.judging.local_models import LocalModelJudge
from hnmine.judging.machine_judge import MachineJudge
from hnmine.judging.server_judge import RerankEndpointJudge
from hnmine.model_server import LanguageModel, key_in
from hnmine.ranking_servers import is_rerank


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
    if not re.match(r"https?://", judge):
        use = use_of(judge)
        runs: Any = model_use or {}
        return LocalModelJudge(ModelSpec.find(judge, use=use, **runs), use, threads)
    try:
        check_address(judge)
    except ValueError as error:
        raise UsageError(str(error), fix="Check the address of the server.") from None
    key = key_in(api_key_env)
    if is_rerank(judge):
        return RerankEndpointJudge(judge, llm, key, timeout, requests)
    if not llm:
        raise UsageError(
            "Missing option --llm: the name of the language model on the server.",
            fix="Add --llm NAME, or pass an address that ends in /rerank for a reranker.",
        )
    model = LanguageModel(judge, llm, key, 0.0, max_tokens, timeout)
    return LanguageModelJudge(model, judging_prompt(prompt) if prompt else PROMPT, requests)
