"""Client of a language model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

from hnmine.errors import InputError, MissingModel, PartialRun, UsageError
from hnmine.http_client import BadAnswer, Client, Refused
from hnmine.runner.checkpoints import computed, key_of

ATTEMPTS = 6
FIRST_WAIT = 1.0
"""Seconds before the second attempt; doubled before each further one, 31 in all."""

LONGEST_WAIT = 60.0
PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 529}
"""Status codes worth another attempt."""

SLOW_ATTEMPTS = 2
"""Attempts after a timeout: a slow request mostly stays slow."""

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


@dataclass(frozen=True)
class Endpoint:
    """A language model's endpoint and sampling settings.

    Attributes:
        url: before `/chat/completions`, such as `http://localhost:8000/v1`.
        model: its name on the server.
        key: sent as a bearer token; empty for none.
        temperature: of its sampling.
        max_tokens: of an answer, at most.
        timeout: seconds for a whole answer.
    """

    url: str
    model: str
    key: str = field(repr=False)
    temperature: float
    max_tokens: int
    timeout: float

    def _ask(self, prompt: str, seed: int, over: threading.Event) -> str:
        """Return the model's answer, stripped; empty if it gave none."""
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": seed,
        }
        wait, why, slow = FIRST_WAIT, "", 0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._content(self._client.post(body, over))
            except Refused as refusal:
                why = str(refusal)
                if refusal.code not in PASSING:
                    raise self._refused(refusal) from None
                wait = max(wait, refusal.retry_after)
            except BadAnswer as error:
                raise self._unusable(str(error)) from None
            except (OSError, http.client.HTTPException) as error:
                why = self._client.shown(str(error).encode("utf-8", "replace"))
                why = why or type(error).__name__
                slow += isinstance(error, TimeoutError)
            last = attempt == ATTEMPTS or slow == SLOW_ATTEMPTS
            if last or over.wait(min(wait, LONGEST_WAIT)):
                break
            wait *= 2
        raise PartialRun(
            f"{self.url} does not answer.",
            why=f"{why} ({attempt} attempts)",
            fix="Check that the server runs, then rerun; finished work is kept. A slow server "
            "needs a longer --timeout or fewer --requests.",
        )

    @cached_property
    def _client(self) -> Client:
        key = self.key.strip()
        if not (key.isascii() and key.isprintable()):
            # The standard library would show the key in its error.
            raise UsageError(
                "The API key contains characters that HTTP does not allow.",
                fix="Check the environment variable that --api-key-env names.",
            )
        return Client(self.url.rstrip("/") + "/chat/completions", key, self.timeout)

    def ask_all(
        self, prompts: Iterable[tuple[str, int]], requests: int, tick: Callable[[int], None]
    ) -> list[str]:
        """Return the answers to prompts, in their order; answers of an interrupted task are reused.

        Args:
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
            try:
                return self._ask(*asked, over).encode("utf-8", "surrogatepass")
            except BaseException:
                over.set()
                raise

        def key(asked: tuple[str, int]) -> bytes:
            return key_of(map(str, asked))

        given = list(prompts)
        with ThreadPoolExecutor(requests) as pool:
            answers = computed(pool, ask, given, key, lambda asked: 1, tick, over.set)
        return [answer.decode("utf-8", "surrogatepass") for answer in answers]

    def _refused(self, refusal: Refused) -> Exception:
        if refusal.code in (401, 403):
            return MissingModel(
                f"{self.url} refuses the key.",
                why=str(refusal),
                fix="Put the key in the environment variable that --api-key-env names.",
            )
        return UsageError(
            f"{self.url} refuses the request.",
            why=str(refusal),
            fix="Check --endpoint (it ends before /chat/completions), --llm and --max-tokens.",
        )

    def _content(self, answer: bytes) -> str:
        try:
            content = json.loads(answer)["choices"][0]["message"]["content"]
            if content is not None and not isinstance(content, str):
                raise TypeError
        except (ValueError, LookupError, TypeError, RecursionError):
            raise self._unusable(f"It answered {self._client.shown(answer)!r}.") from None
        # A file of UTF-8 cannot hold half of a surrogate pair.
        text = (content or "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text.strip()

    def _unusable(self, why: str) -> InputError:
        return InputError(
            f"{self.url} gave no chat completion.",
            why=why,
            fix="Pass the URL of an OpenAI-compatible server, such as http://localhost:8000/v1.",
        )


def filled(template: str, query: str, positive: str) -> str:
    """Return a prompt with a query and its positive; placeholders inside these stay as they are."""
    parts = [part.replace("{positive}", positive) for part in template.split("{query}")]
    return query.join(parts)
