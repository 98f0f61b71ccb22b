"""Settings of `hnmine generate` and `hnmine mix`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from pydantic import field_validator, model_validator

from hnmine.config.mined_settings import MinedSettings
from hnmine.config.output import OutputSettings
from hnmine.config.reading_options import PairSettings
from hnmine.config.server_settings import ServerSettings, check_address
from hnmine.config.setting import MANY, path, seed, setting

Edit = Literal["number", "unit", "entity", "negation", "comparison", "date"]
EDITS: tuple[Edit, ...] = get_args(Edit)

MIXTURES = ("mochi", "mochi-query", "m2-mix", "smote")


class GenerateSettings(ServerSettings, PairSettings, OutputSettings):
    """Settings of `hnmine generate`."""

    command = "generate"

    output: Path = path("Directory for the generated texts.", group="Output", common=True)
    corpus: list[str] = path("Corpus, whose documents are not generated again.", list, common=True)
    edit: list[Edit] = setting(
        "Which are chosen",
        "Kind of edit to make to positives. [default: all, unless --written or --endpoint is "
        "given]",
        list,
        common=True,
    )
    per_positive: int = setting(
        "Which are chosen",
        "Maximum number of edits, and of the model's texts, for each positive.",
        4,
        common=True,
        ge=1,
        le=MANY,
    )
    written: str | None = path(
        "Texts written elsewhere, with query id or query: a file, a directory or a glob.",
        None,
        common=True,
    )
    endpoint: str | None = path(
        "Address of an OpenAI-compatible server that writes texts, such as "
        "http://localhost:8000/v1.",
        None,
        group="Models",
        value="URL",
        common=True,
    )
    llm: str | None = setting(
        "Models", "Name of the language model on the server.", None, common=True
    )
    prompt: list[str] = path(
        "File with a prompt, with {query} and {positive} to fill in; its name becomes the kind of "
        "the texts. [default: asks for a passage that fails one requirement of the query]",
        list,
        group="Models",
        common=True,
    )
    temperature: float = setting("Models", "Sampling temperature of the language model.", 0.7, ge=0)
    max_tokens: int = setting("Models", "Maximum tokens per generated text.", 512, ge=1, le=MANY)
    seed: int = seed("Random seed for edits and sampling.")
    block_size: int = setting(
        "Scale-out",
        "Queries per task; an interrupted run loses at most one task of each worker.",
        64,
        ge=1,
        le=MANY,
    )

    @model_validator(mode="after")
    def _check(self) -> GenerateSettings:
        self.check_positives("corpus", "queries", "qrels")
        if bool(self.endpoint) != bool(self.llm):
            raise ValueError("endpoint: --endpoint and --llm go together")
        if self.endpoint:
            check_address(self.endpoint)
        if self.prompt and not self.endpoint:
            raise ValueError("prompt: needs --endpoint")
        return self

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The kinds of edits to make."""
        if self.edit:
            return tuple(kind for kind in EDITS if kind in self.edit)
        return () if self.written or self.endpoint else EDITS


class MixSettings(MinedSettings, OutputSettings):
    """Settings of `hnmine mix`."""

    command = "mix"

    output: Path = path("Directory for the mixtures.", group="Output", common=True)
    by: list[str] = setting(
        "Which are chosen",
        "What to mix, as NAME:N for N mixtures per query: mochi (two negatives), mochi-query, "
        "m2-mix (query and positive), or smote. [default: mochi:4 and mochi-query:1]",
        lambda: ["mochi:4", "mochi-query:1"],
        common=True,
    )
    neighbours: int = setting(
        "Which are chosen",
        "Number of nearest negatives that smote draws from.",
        5,
        ge=1,
        le=MANY,
    )
    vectors: bool = setting(
        "Output",
        "Write the mixed vectors, not only their parents and weights.",
        False,
        common=True,
    )
    seed: int = seed("Random seed for pairs and weights.")

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
            raise ValueError("name each kind of mixture once, and at least one")
        return value

    @property
    def mixtures(self) -> dict[str, int]:
        """Number of mixtures per query, by kind."""
        parts = [item.partition(":") for item in self.by]
        return {name: int(n) for name, _, n in parts}
