"""Texts from a language model behind an OpenAI-compatible endpoint."""

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
"""Status codes that another attempt may not get."""

SLOW_ATTEMPTS = 2
"""What takes too long once, mostly takes as long again."""

PROMPT = """\
Query: {query}

A passage that answers it:
{positive}

Write another passage about the same subject, of the same length and in the same style, that does \
not answer the query, because one thing that the query requires is different in it. Be specific, \
do not mention the query, and reply with the passage alone.
"""
"""Violates one requirement, as generic text teaches a retriever what is generated and not what is
irrelevant (arXiv 2606.01304)."""


@dataclass(frozen=True)
class Endpoint:
    """Where a language model answers, and how it is asked.

    Attributes:
        url: before `/chat/completions`, such as `http://localhost:8000/v1`.
        model: the name that the server knows it by.
        key: sent as a bearer token; empty for none.
        temperature: of its sampling.
        max_tokens: of an answer.
        timeout: seconds for a whole answer.
    """

    url: str
    model: str
    key: str = field(repr=False)
    temperature: float
    max_tokens: int
    timeout: float

    def _ask(self, prompt: str, seed: int, over: threading.Event) -> str:
        """Return the model's answer, without white space around it; empty if it gave none."""
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
            fix="See that the server runs, then run the same command: what was finished is kept. A "
            "slow server needs a longer --timeout, or fewer --requests.",
        )

    @cached_property
    def _client(self) -> Client:
        key = self.key.strip()
        if not (key.isascii() and key.isprintable()):
            # The standard library would refuse it too, and show it.
            raise UsageError(
                "The key of the server holds characters that no key has.",
                fix="Check the environment variable that --api-key-env names.",
            )
        return Client(self.url.rstrip("/") + "/chat/completions", key, self.timeout)

    def ask_all(
        self, prompts: Iterable[tuple[str, int]], requests: int, tick: Callable[[int], None]
    ) -> list[str]:
        """Return the answers to prompts with their seeds, in their order.

        Those that the task has kept are not asked for again.

        Args:
            prompts: with seeds.
            requests: how many are under way at a time.
            tick: called with 1 after each answer; where it raises, nothing more is asked.

        Raises:
            UsageError: the server refuses such requests.
            MissingModel: it wants another key.
            InputError: it does not speak this protocol.
            PartialRun: it did not answer, whatever was tried. Once a request has failed, no other
                is begun.
        """
        over = threading.Event()

        def ask(asked: tuple[str, int]) -> bytes:
            if over.is_set():
                raise CancelledError  # Seen by nobody: the first request that failed is.
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
                f"{self.url} asks for another key.",
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
        # Half of a surrogate pair is no character, and no file of texts could hold it.
        text = (content or "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text.strip()

    def _unusable(self, why: str) -> InputError:
        return InputError(
            f"{self.url} gave no chat completion.",
            why=why,
            fix="Give the address of an OpenAI-compatible server, such as http://localhost:8000/v1.",
        )


def filled(template: str, query: str, positive: str) -> str:
    """Put a query and its positive into a prompt; nothing that they hold is taken for a place."""
    parts = [part.replace("{positive}", positive) for part in template.split("{query}")]
    return query.join(parts)
