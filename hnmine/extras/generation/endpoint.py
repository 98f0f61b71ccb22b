"""Texts of a language model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor

from hnmine.http_client import Refused
from hnmine.model_server import LanguageModel
from hnmine.runner.checkpoints import computed, key_of

PROMPT = """\
Query: {query}

A passage that answers it:
{positive}

Write another passage about the same subject, of the same length and in the same style, that does \
not answer the query, because one thing that the query requires is different in it. Be specific, \
do not mention the query, and reply with the passage alone.
"""
"""Asks for one violated requirement: generic text teaches a retriever to detect generated text
(arXiv 2606.01304)."""


def ask_all(
    model: LanguageModel,
    prompts: Iterable[tuple[str, int]],
    requests: int,
    tick: Callable[[int], None],
) -> list[str]:
    """Return the answers to prompts, in their order; answers of an interrupted task are reused.

    Args:
        model: whom to ask.
        prompts: with their seeds.
        requests: number of requests at a time.
        tick: called with 1 after each answer; no request starts after it raised.

    Raises:
        UsageError: the server refuses the request.
        MissingModel: the server refuses the key.
        InputError: the server's answer is not a chat completion.
        PartialRun: the server did not answer. No request starts after one has failed.
    """
    over = threading.Event()

    def ask(asked: tuple[str, int]) -> bytes:
        if over.is_set():
            raise CancelledError  # The first failed request is reported instead.
        prompt, seed = asked
        try:
            return model.complete(prompt, over, seed=seed).encode("utf-8", "surrogatepass")
        except Refused as refusal:
            over.set()
            raise model.server.refused(refusal) from None
        except BaseException:
            over.set()
            raise

    def key(asked: tuple[str, int]) -> bytes:
        return key_of(map(str, asked))

    given = list(prompts)
    with ThreadPoolExecutor(requests) as pool:
        answers = computed(pool, ask, given, key, lambda asked: 1, tick, over.set)
    return [answer.decode("utf-8", "surrogatepass") for answer in answers]
