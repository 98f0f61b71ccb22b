"""Requests to a model's server: repeated where that may help, with errors that a user can act on.

Shared by all that ask servers; `http_client` bounds each request.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hnmine.errors import HnmineError, InputError, MissingModel, PartialRun, UsageError
from hnmine.http_client import LARGEST_ANSWER, BadAnswer, Client, Refused

ATTEMPTS = 6
FIRST_WAIT = 1.0
"""Seconds before the second attempt; doubled before each further one, 31 in all."""

LONGEST_WAIT = 60.0
PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 529}
"""Status codes worth another attempt."""

SLOW_ATTEMPTS = 2
"""Attempts after a timeout: a slow request mostly stays slow."""


@dataclass(frozen=True)
class ModelServer:
    """A server that answers JSON with JSON.

    Attributes:
        url: where requests go.
        key: sent as a bearer token; empty for none.
        timeout: seconds for a whole answer.
        kind: what its answers are, such as `chat completion`.
        check: what to check where it refuses a request.
        example: of such a server.
        largest: bytes of an answer, at most.
    """

    url: str
    key: str = field(repr=False)
    timeout: float
    kind: str
    check: str
    example: str
    largest: int = LARGEST_ANSWER

    def ask(self, body: Mapping[str, Any], over: threading.Event) -> bytes:
        """Return the answer to a JSON object.

        Args:
            body: the object.
            over: ends the request within a moment.

        Raises:
            Refused: the server refuses the request, and would again.
            InputError: the answer is too large or compressed, or sends the request elsewhere.
            PartialRun: it does not answer.
            UsageError: the key cannot be sent.
        """
        wait, why, slow = FIRST_WAIT, "", 0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._client.post(body, over)
            except Refused as refusal:
                why = str(refusal)
                if refusal.code not in PASSING:
                    raise
                wait = max(wait, refusal.retry_after)
            except BadAnswer as error:
                raise self.unusable(str(error)) from None
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
        return Client(self.url, key, self.timeout, self.largest)

    def refused(self, refusal: Refused) -> HnmineError:
        """Return the error for a refused request."""
        if refusal.code in (401, 403):
            return MissingModel(
                f"{self.url} refuses the key.",
                why=str(refusal),
                fix="Put the key in the environment variable that --api-key-env names.",
            )
        return UsageError(
            f"{self.url} refuses the request.", why=str(refusal), fix=f"Check {self.check}."
        )

    def not_an_answer(self, answer: bytes, fault: str = "") -> InputError:
        """Return the error for an answer of another kind, or with a fault."""
        return self.unusable(f"{fault} It answered {self._client.shown(answer)!r}.".strip())

    def unusable(self, why: str) -> InputError:
        """Return the error for a server of another kind."""
        return InputError(
            f"{self.url} gave no {self.kind}.",
            why=why,
            fix=f"Pass the URL of {self.example}.",
        )


@dataclass(frozen=True)
class LanguageModel:
    """A language model on an OpenAI-compatible server.

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

    @cached_property
    def server(self) -> ModelServer:
        """The server that it is behind."""
        return ModelServer(
            self.url.rstrip("/") + "/chat/completions",
            self.key,
            self.timeout,
            "chat completion",
            "--endpoint (it ends before /chat/completions), --llm and --max-tokens",
            "an OpenAI-compatible server, such as http://localhost:8000/v1",
        )

    def complete(self, prompt: str, over: threading.Event, **more: Any) -> str:
        """Return the model's answer, stripped; empty if it gave none.

        Args:
            prompt: of the user.
            over: ends the request within a moment.
            more: fields of the request, such as `seed`.

        Raises:
            Refused: see `ModelServer.ask`.
            HnmineError: the server does not answer, or with something else.
        """
        messages = [{"role": "user", "content": prompt}]
        limits = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        answer = self.server.ask(
            {"model": self.model, "messages": messages, **limits, **more}, over
        )
        try:
            content = json.loads(answer)["choices"][0]["message"]["content"]
            if content is not None and not isinstance(content, str):
                raise TypeError
        except (ValueError, LookupError, TypeError, RecursionError):
            raise self.server.not_an_answer(answer) from None
        # A file of UTF-8 cannot hold half of a surrogate pair.
        text = (content or "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text.strip()


def key_in(variable: str) -> str:
    """Return the key in an environment variable; empty without one."""
    return os.environ.get(variable, "")


def read_prompt(file: Path) -> str:
    """Return the prompt in a file.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read {file}.", why=str(error), fix="Check --prompt.") from error


def filled(template: str, **texts: str) -> str:
    """Return a template with texts for its {placeholders}; those inside the texts stay."""
    names = "|".join(map(re.escape, texts))
    return re.sub(f"{{({names})}}", lambda found: texts[found[1]], template)
