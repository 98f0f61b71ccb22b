"""Settings of `hnmine mine`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from hnmine.config.base import MANY, JudgedSettings, OutputSettings, path


class MineSettings(JudgedSettings, OutputSettings):
    """Settings of `hnmine mine`."""

    command = "mine"

    index: Path = path("Directory that `hnmine build-index` wrote.")
    output: Path = path("Directory to write the candidates to.")
    pairs: str | None = path("(query, positive) pairs as text: file, directory or glob.", None)
    queries: str | None = path("Queries with ids; needs --qrels.", None)
    source: list[Literal["bm25", "dense"]] = Field(
        default_factory=list,
        description="Where candidates come from; may be repeated. [default: all in the index]",
    )
    bm25_engine: Literal["hnmine", "rank-bm25"] = Field(
        "hnmine", description="What searches: hnmine's index, or the package rank-bm25 (slow)."
    )
    device: str = Field("auto", description="Of the encoder: auto, cpu, cuda, cuda:1 or mps.")
    faiss_search: str | None = Field(
        None, description="FAISS search parameters of an approximate index, such as nprobe=32."
    )
    block_size: int = Field(
        512, ge=1, le=MANY, description="Queries in one task: the most that a kill can lose."
    )

    @model_validator(mode="after")
    def _check(self) -> MineSettings:
        if self.pairs is None and (self.queries is None or self.qrels is None):
            raise ValueError("pairs: give --pairs, or --queries and --qrels")
        if self.pairs is not None and (self.queries or self.qrels):
            raise ValueError("pairs: give --pairs or --queries and --qrels, not both")
        return self
