"""Texts from a language model behind an OpenAI-compatible endpoint, over plain HTTP."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from hnmine.errors import InputError, MissingModel, PartialRun, UsageError
from hnmine.tasks.partial import computed, key_of

ATTEMPTS = 6
FIRST_WAIT = 1.0
"""Seconds before the second attempt; doubled before each further one, 31 in all."""

LONGEST_WAIT = 60.0
PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 529}
"""Status codes that another attempt may not get."""

LONGEST_ANSWER = 1 << 24
"""Bytes of an answer that are read."""

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
        timeout: seconds for an answer.
    """

    url: str
    model: str
    key: str
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
        wait, why = FIRST_WAIT, ""
        for attempt in range(ATTEMPTS):
            try:
                return _content(self._post(body), self.url)
            except urllib.error.HTTPError as error:
                why = f"{error.code} {error.reason}: {_said(error)}"
                if error.code not in PASSING:
                    raise self._refused(error.code, why) from error
                asked = error.headers.get("Retry-After", "")
                wait = max(wait, float(asked)) if asked.isdigit() else wait
            except (OSError, http.client.HTTPException) as error:
                why = str(error) or type(error).__name__
            if attempt + 1 == ATTEMPTS or over.wait(min(wait, LONGEST_WAIT)):
                break
            wait *= 2
        raise PartialRun(
            f"{self.url} does not answer.",
            why=f"{why} ({ATTEMPTS} attempts)",
            fix="See that the server runs, then run the same command: what was finished is kept.",
        )

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

    def _post(self, body: Mapping[str, Any]) -> bytes:
        headers = {"Content-Type": "application/json", "User-Agent": "hnmine"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(
            self.url.rstrip("/") + "/chat/completions", json.dumps(body).encode(), headers
        )
        with urllib.request.urlopen(request, timeout=self.timeout) as answer:
            content: bytes = answer.read(LONGEST_ANSWER)
        return content

    def _refused(self, code: int, why: str) -> Exception:
        if code in (401, 403):
            return MissingModel(
                f"{self.url} asks for another key.",
                why=why,
                fix="Put the key in the environment variable that --api-key-env names.",
            )
        return UsageError(
            f"{self.url} refuses the request.",
            why=why,
            fix="Check --endpoint (it ends before /chat/completions), --llm and --max-tokens.",
        )


def _said(error: urllib.error.HTTPError) -> str:
    """Return the beginning of what the server says about an error."""
    try:
        return " ".join(error.read(500).decode("utf-8", "replace").split())
    except (OSError, http.client.HTTPException):
        return ""


def _content(answer: bytes, url: str) -> str:
    try:
        content = json.loads(answer)["choices"][0]["message"]["content"]
        return (content or "").strip()
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{url} gave no chat completion.",
            why=f"It answered {answer[:200]!r}.",
            fix="Give the address of an OpenAI-compatible server, such as http://localhost:8000/v1.",
        ) from error


def filled(template: str, query: str, positive: str) -> str:
    """Put a query and its positive into a prompt; nothing that they hold is taken for a place."""
    parts = [part.replace("{positive}", positive) for part in template.split("{query}")]
    return query.join(parts)
