"""Settings of `hnmine generate` and `hnmine mix`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from hnmine.config.output import OutputSettings
from hnmine.config.reading_options import InputSettings
from hnmine.config.shared import MANY, NOT_IN_PLAN, path, seed

Edit = Literal["number", "unit", "entity", "negation", "comparison", "date"]
EDITS: tuple[Edit, ...] = get_args(Edit)

MIXTURES = ("mochi", "mochi-query", "m2-mix", "smote")


class GenerateSettings(InputSettings, OutputSettings):
    """Settings of `hnmine generate`."""

    command = "generate"

    output: Path = path("Directory to write the texts to.")
    corpus: list[str] = path(
        "Corpus: none of its documents is generated again. May be repeated.", []
    )
    pairs: str | None = path("(query, positive) pairs as text: file, directory or glob.", None)
    queries: str | None = path("Queries with ids; needs --qrels and --corpus.", None)
    qrels: str | None = path("Judgements: query id, corpus id and, if graded, score.", None)
    min_grade: float = Field(1.0, description="Judgements below this grade are not positives.")
    edit: list[Edit] = Field(
        default_factory=list,
        description=f"Edit positives by rule: {', '.join(EDITS)}. May be repeated. [default: all, "
        "unless --written or --endpoint is given]",
    )
    per_positive: int = Field(
        4, ge=1, le=MANY, description="Edits, and texts of the model, for each positive at most."
    )
    written: str | None = path(
        "Texts that were written elsewhere: query id, or query, and text: file, directory or glob.",
        None,
    )
    endpoint: str | None = path(
        "Let a language model write: the address of an OpenAI-compatible server, such as "
        "http://localhost:8000/v1.",
        None,
    )
    llm: str | None = Field(None, description="The model's name, as the server knows it.")
    prompt: Path | None = path(
        "File with the prompt, in which {query} and {positive} are filled in. [default: asks for "
        "a passage that differs from the positive in one thing that the query requires]",
        None,
    )
    temperature: float = Field(0.7, ge=0, description="Of the language model's sampling.")
    max_tokens: int = Field(512, ge=1, le=MANY, description="Of a text that the model writes.")
    timeout: float = Field(
        120.0,
        gt=0,
        le=86_400,
        description="Seconds that the server has for a whole answer.",
        json_schema_extra=NOT_IN_PLAN,
    )
    requests: int = Field(
        4,
        ge=1,
        le=1024,
        description="Requests to the server at a time.",
        json_schema_extra=NOT_IN_PLAN,
    )
    api_key_env: str = path(
        "Environment variable that holds the server's key, if it wants one.", "OPENAI_API_KEY"
    )
    seed: int = seed("Seed of every random choice.")
    block_size: int = Field(
        64, ge=1, le=MANY, description="Queries in one task: the most that a kill can lose."
    )

    @model_validator(mode="after")
    def _check(self) -> GenerateSettings:
        if self.pairs is None and not (self.queries and self.qrels and self.corpus):
            raise ValueError("pairs: give --pairs, or --corpus, --queries and --qrels")
        if self.pairs is not None and (self.queries or self.qrels):
            raise ValueError("pairs: give --pairs or --queries and --qrels, not both")
        if bool(self.endpoint) != bool(self.llm):
            raise ValueError("endpoint: --endpoint and --llm go together")
        if self.endpoint:
            _check_endpoint(self.endpoint)
        if self.prompt and not self.endpoint:
            raise ValueError("prompt: needs --endpoint")
        return self

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The kinds of edits to make."""
        if self.edit:
            return tuple(kind for kind in EDITS if kind in self.edit)
        return () if self.written or self.endpoint else EDITS


def _check_endpoint(url: str) -> None:
    if not re.match(r"https?://.", url):
        raise ValueError("endpoint: must begin with http:// or https://")
    if re.search(r"[@?#]", url):  # It is stored and printed.
        raise ValueError(
            "endpoint: holds a user, a query or a fragment; a key goes in the environment variable "
            "that --api-key-env names"
        )
    try:
        parts = urlsplit(url)
        valid = bool(parts.hostname and parts.hostname.encode("idna")) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or not url.isprintable() or " " in url:
        raise ValueError("endpoint: is not the address of a server")


class MixSettings(OutputSettings):
    """Settings of `hnmine mix`."""

    command = "mix"

    mined: Path = path("Directory that `hnmine filter` wrote.")
    output: Path = path("Directory to write the mixtures to.")
    candidates: Path | None = path(
        "The candidates, where they have moved since `hnmine filter`. [default: where they were]",
        None,
    )
    index: Path | None = path(
        "The index, where it has moved since `hnmine mine`. [default: where it was]", None
    )
    by: list[str] = Field(
        default_factory=lambda: ["mochi:4", "mochi-query:1"],
        description="What is mixed, as NAME:N for N mixtures of each query: mochi, two negatives; "
        "mochi-query, the query and a negative; m2-mix, the query and a positive on the sphere; "
        "smote, a negative and one of its nearest. May be repeated. [default: mochi:4 and "
        "mochi-query:1]",
    )
    neighbours: int = Field(
        5, ge=1, le=MANY, description="Nearest negatives of a negative that smote draws from."
    )
    vectors: bool = Field(
        False, description="Write the mixed vectors too, not only their parents and weights."
    )
    seed: int = seed("Seed of every random choice.")

    @field_validator("by")
    @classmethod
    def _check_by(cls, value: list[str]) -> list[str]:
        for item in value:
            name, _, n = item.partition(":")
            if name not in MIXTURES:
                raise ValueError(f"{name!r} is none of {', '.join(MIXTURES)}")
            if not (n.isascii() and n.isdigit() and 0 < int(n) <= MANY):
                raise ValueError(f"{item!r} is not of the form NAME:N, with N from 1 on")
        names = [item.partition(":")[0] for item in value]
        if not names or len(set(names)) < len(names):
            raise ValueError("each of the ways to mix may come once, and one must")
        return value

    @property
    def mixtures(self) -> dict[str, int]:
        """How many mixtures of each kind a query gets."""
        parts = [item.partition(":") for item in self.by]
        return {name: int(n) for name, _, n in parts}
