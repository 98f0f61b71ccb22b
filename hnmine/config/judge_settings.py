"""Settings of `hnmine judge`."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from hnmine.config.mined_settings import moved_index
from hnmine.config.server_settings import ServerSettings, check_address
from hnmine.config.setting import MANY, path, seed, setting
from hnmine.config.shared import CommonSettings, ModelSettings


class JudgeSettings(ServerSettings, ModelSettings, CommonSettings):
    """Settings of `hnmine judge`."""

    command = "judge"

    target: Path = path(
        "Directory that `hnmine filter` or `hnmine mine` wrote, a sheet to fill, or the word "
        "acceptance for hnmine's own test of judges.",
        common=True,
    )
    sheet: Path | None = path(
        "Sheet to write, or to continue: .csv or .parquet. [default: TARGET-verdicts.parquet]",
        None,
        group="Output",
        common=True,
    )
    candidates: Path | None = path(
        "Candidates directory, if it has moved since `hnmine filter`. [default: as recorded]", None
    )
    index: Path | None = moved_index()
    endpoint: str | None = path(
        "Address of an OpenAI-compatible server with a language model, such as "
        "http://localhost:8000/v1, or of a reranker, which ends in /rerank.",
        None,
        group="Models",
        value="URL",
        common=True,
    )
    llm: str | None = setting(
        "Models", "Name of the language model or reranker on the server.", None, common=True
    )
    model: str | None = setting(
        "Models",
        "Cross-encoder, LLM reranker or bi-encoder on this machine: a hub name, a folder, or "
        "pkg:package/folder.",
        None,
        value="MODEL",
        common=True,
    )
    prompt: Path | None = path(
        "File with the language model's prompt, which holds {query} and {document}. It asks for "
        "JSON: a reason and a grade from 0 to 3. [default: hnmine's own]",
        None,
        group="Models",
        common=True,
    )
    sample: int | None = setting(
        "Which are chosen",
        "Number of negatives to draw evenly; of a candidates directory, of candidates. [default: "
        "three quarters of --budget, else 300; none with --doubtful]",
        None,
        common=True,
        ge=0,
        le=MANY,
    )
    doubtful: int = setting(
        "Which are chosen",
        "Number of doubtful candidates to judge, chosen as `hnmine review` does.",
        0,
        common=True,
        ge=0,
        le=MANY,
    )
    budget: int | None = setting(
        "Which are chosen",
        "Maximum number of pairs to ask the judge about; earlier answers are free. [default: all]",
        None,
        common=True,
        ge=1,
        le=MANY,
    )
    max_tokens: int = setting(
        "Models",
        "Maximum tokens of an answer; a model that thinks first needs more.",
        1024,
        ge=1,
        le=MANY,
    )
    seed: int = seed("Random seed for the sample and the rows of known truth.")

    @model_validator(mode="after")
    def _check(self) -> JudgeSettings:
        if bool(self.endpoint) == bool(self.model):
            raise ValueError("endpoint: give --endpoint or --model, to say who judges")
        if self.endpoint:
            check_address(self.endpoint)
        if self.model and (self.llm or self.prompt):
            raise ValueError("llm: --llm and --prompt need --endpoint")
        return self

    @property
    def drawn_evenly(self) -> int:
        """The number of rows to draw evenly."""
        if self.sample is not None:
            return self.sample
        if self.doubtful:
            return 0
        return 300 if self.budget is None else self.budget - self.budget // 4
