"""Settings of `hnmine mine`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator

from hnmine.config.output import OutputSettings
from hnmine.config.reading_options import JudgedSettings
from hnmine.config.server_settings import ServerSettings
from hnmine.config.setting import MANY, path, seed, setting
from hnmine.config.shared import assignments, device
from hnmine.names import check_names
from hnmine.sources import SOURCES


class MineSettings(JudgedSettings, ServerSettings, OutputSettings):
    """Settings of `hnmine mine`."""

    command = "mine"

    index: Path = path("Directory that `hnmine build-index` wrote.", common=True)
    output: Path = path("Directory for the candidates.", group="Output", common=True)
    source: list[str] = setting(
        "Which are chosen",
        f"Source of candidates: {', '.join(SOURCES.own)}; NAME:K takes K instead of --top-k. "
        "[default: all that are indexed or given]",
        list,
        common=True,
    )
    from_run: list[str] = path(
        "Another system's results: a TREC run, a table of ids and scores, or another miner's "
        "negatives by text.",
        list,
        group="Which are chosen",
        common=True,
    )
    matching: str | None = setting(
        "Which are chosen",
        "Condition for random documents of the source matching, such as 'doc.topic = "
        "positive.topic'.",
        None,
    )
    constraint: list[str] = setting(
        "Which are kept",
        "Keep only documents for which this is true, such as 'doc.date < query.date'.",
        list,
        common=True,
    )
    attribute: dict[str, str] = setting(
        "Output",
        "Add a column, as NAME=EXPRESSION over query and doc, such as same_topic='doc.topic = "
        "query.topic'.",
        dict,
    )
    clusters: int | None = setting(
        "Which are kept",
        "Number of k-means clusters of documents, for conditions on doc.cluster.",
        None,
        ge=2,
        le=MANY,
    )
    query_encoder: str | None = setting(
        "Models",
        "Model that encodes the queries instead of the index's, such as a trained checkpoint "
        "(ADORE).",
        None,
        value="MODEL",
    )
    query_vectors: str | None = path(
        "Vectors of the queries instead of encoding them: .npy, safetensors, or Parquet with ids; "
        "a file or a folder.",
        None,
    )
    previous: Path | None = path(
        "Mined directory of an earlier round, for the columns previous_rank, previous_score and "
        "previous_selected.",
        None,
    )
    seed: int = seed("Random seed for random sources and clusters.")
    bm25_engine: Literal["hnmine", "rank-bm25"] = setting(
        "Advanced",
        "Engine that searches with BM25: hnmine's own, or rank-bm25, which is slow.",
        "hnmine",
    )
    device: str = device("the encoder and exact dense search")
    faiss_search: str | None = setting(
        "Advanced", "Search parameters of an approximate FAISS index, such as nprobe=32.", None
    )
    block_size: int = setting(
        "Scale-out",
        "Queries per task; an interrupted run loses at most one task of each worker.",
        512,
        ge=1,
        le=MANY,
    )

    @field_validator("source")
    @classmethod
    def _check_sources(cls, value: list[str]) -> list[str]:
        names = [item.partition(":")[0] for item in value]
        for item, name in zip(value, names, strict=True):
            _, colon, depth = item.partition(":")
            SOURCES.check(name)
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
        self.check_positives("queries", "qrels")
        if self.query_vectors and self.query_encoder:
            raise ValueError("query-vectors: cannot be combined with --query-encoder")
        for name, flag, given in (
            ("run", "from-run", self.from_run),
            ("matching", "matching", self.matching),
            ("judged", "qrels", self.qrels or self.pairs),
        ):
            if name in self.depths and not given:
                raise ValueError(f"source: {name} needs --{flag}")
        return self

    @property
    def has_query_vectors(self) -> bool:
        """Whether the queries get vectors otherwise than from the encoder of the index."""
        return bool(self.query_encoder or self.query_vectors)

    @property
    def depths(self) -> dict[str, int]:
        """The number of candidates from each source that is named."""
        parts = [item.partition(":") for item in self.source]
        return {name: int(depth or self.top_k) for name, _, depth in parts}
