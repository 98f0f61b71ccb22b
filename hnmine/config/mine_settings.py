"""Settings of `hnmine mine`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from hnmine.config.output import OutputSettings
from hnmine.config.reading_options import JudgedSettings
from hnmine.config.shared import MANY, assignments, path, seed
from hnmine.names import check_names
from hnmine.sources import SOURCES


class MineSettings(JudgedSettings, OutputSettings):
    """Settings of `hnmine mine`."""

    command = "mine"

    index: Path = path("Directory that `hnmine build-index` wrote.")
    output: Path = path("Directory to write the candidates to.")
    pairs: str | None = path("(query, positive) pairs as text: file, directory or glob.", None)
    queries: str | None = path("Queries with ids; needs --qrels.", None)
    source: list[str] = Field(
        default_factory=list,
        description=f"Where candidates come from: {', '.join(SOURCES.own)}; NAME:K takes K of them "
        "instead of --top-k. May be repeated. [default: bm25 and dense, where the index has them; "
        "run with --from-run, matching with --matching]",
    )
    from_run: list[str] = path(
        "What another system found: a TREC run, a table of query id, document id and score or "
        "rank, or another miner's output by text (FlagEmbedding's query and neg; "
        "sentence-transformers' triplets and n-tuples). May be repeated.",
        [],
    )
    matching: str | None = Field(
        None,
        description="The source matching takes documents for which this is true, at random, such "
        "as 'doc.topic = positive.topic'.",
    )
    constraint: list[str] = Field(
        default_factory=list,
        description="Candidates must be documents for which this is true, such as "
        "'doc.date < query.date'. May be repeated.",
    )
    attribute: dict[str, str] = Field(
        default_factory=dict,
        description="Add a column, as NAME=EXPRESSION over query and doc, such as "
        "same_topic='doc.topic = query.topic'. May be repeated.",
    )
    clusters: int | None = Field(
        None,
        ge=2,
        le=MANY,
        description="Cluster the documents' vectors by k-means, for conditions on doc.cluster.",
    )
    query_encoder: str | None = Field(
        None,
        description="Encode the queries with this model instead of the index's, such as the "
        "checkpoint of a student whose documents were encoded before (ADORE).",
    )
    previous: Path | None = path(
        "What `hnmine filter` wrote in an earlier round: adds previous_rank, previous_score and "
        "previous_selected.",
        None,
    )
    seed: int = seed("Seed of every random choice.")
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

    @field_validator("source")
    @classmethod
    def _check_sources(cls, value: list[str]) -> list[str]:
        names = [item.partition(":")[0] for item in value]
        for item, name in zip(value, names, strict=True):
            _, colon, depth = item.partition(":")
            if name not in SOURCES:
                raise ValueError(f"{name!r} is none of {', '.join(SOURCES)}.{SOURCES.near(name)}")
            if colon and not (depth.isascii() and depth.isdigit() and 0 < int(depth) <= MANY):
                raise ValueError(f"{item!r} is not of the form NAME:K, with K from 1 on")
            if names.count(name) > 1:
                raise ValueError(f"{name} comes twice")
        return value

    @field_validator("attribute", mode="before")
    @classmethod
    def _parse_attributes(cls, value: object) -> object:
        return assignments(value)

    @field_validator("attribute")
    @classmethod
    def _check_names(cls, value: dict[str, str]) -> dict[str, str]:
        check_names(value)
        return value

    @model_validator(mode="after")
    def _check(self) -> MineSettings:
        if self.pairs is None and (self.queries is None or self.qrels is None):
            raise ValueError("pairs: give --pairs, or --queries and --qrels")
        if self.pairs is not None and (self.queries or self.qrels):
            raise ValueError("pairs: give --pairs or --queries and --qrels, not both")
        for name, flag, given in (
            ("run", "from-run", self.from_run),
            ("matching", "matching", self.matching),
            ("judged", "qrels", self.qrels or self.pairs),
        ):
            if name in self.depths and not given:
                raise ValueError(f"source: {name} needs --{flag}")
        return self

    @property
    def depths(self) -> dict[str, int]:
        """The sources that were asked for by name, and how many candidates from each."""
        parts = [item.partition(":") for item in self.source]
        return {name: int(depth or self.top_k) for name, _, depth in parts}
