"""Settings of `hnmine batch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hnmine.config.output import OutputSettings
from hnmine.config.shared import MANY, path, seed

NEIGHBOURS = 64


class BatchSettings(OutputSettings):
    """Settings of `hnmine batch`."""

    command = "batch"

    mined: Path = path("Directory that `hnmine filter` wrote.")
    output: Path = path("Directory to write the batches to.")
    candidates: Path | None = path(
        "The candidates, where they have moved since `hnmine filter`. [default: where they were]",
        None,
    )
    index: Path | None = path(
        "The index, where it has moved since `hnmine mine`. [default: where it was]", None
    )
    by: Literal["cluster", "balanced-cluster", "greedy", "random"] = Field(
        "greedy",
        description="What a batch is made of: queries of one k-means cluster; small clusters of "
        "equal size, drawn at random; a query and its nearest; or queries drawn at random.",
    )
    batch_size: int = Field(64, ge=2, le=MANY, description="Rows in a batch.")
    epochs: int | None = Field(
        None,
        ge=1,
        le=MANY,
        description="Times that every row comes. [default: 1, or one for each --cluster-size]",
    )
    clusters: int | None = Field(
        None,
        ge=1,
        le=MANY,
        description="Clusters of --by cluster. [default: one for every 200 queries]",
    )
    cluster_size: list[Annotated[int, Field(ge=1, le=MANY)]] = Field(
        default_factory=list,
        description="Queries in a cluster of --by balanced-cluster, at most. Given several times, "
        "one for each epoch; the last stays.",
    )
    neighbours: int | None = Field(
        None,
        ge=1,
        le=MANY,
        description=f"Nearest queries that --by greedy goes through. [default: {NEIGHBOURS}]",
    )
    guard: str | None = Field(
        None,
        description="Expression that must be true of a query and each document of the other rows "
        "of its batch, over dense_score and keep, false where `hnmine filter` dropped it, else "
        "null. [default: 'dense_score < pos(dense_score) and coalesce(keep, true)']",
    )
    seed: int = seed("Seed of every random choice.")
    device: str = Field("auto", description="Of the encoder: auto, cpu, cuda, cuda:1 or mps.")

    @model_validator(mode="after")
    def _check(self) -> BatchSettings:
        owners = {
            "clusters": "cluster",
            "cluster_size": "balanced-cluster",
            "neighbours": "greedy",
        }
        for name, by in owners.items():
            if getattr(self, name) and self.by != by:
                raise ValueError(f"{name.replace('_', '-')}: applies to --by {by} alone")
        if self.by == "balanced-cluster" and not self.cluster_size:
            raise ValueError("cluster-size: must be given for --by balanced-cluster")
        if self.epochs is not None and self.epochs < len(self.cluster_size):
            raise ValueError(
                f"epochs: {self.epochs} are too few for {len(self.cluster_size)} sizes of clusters"
            )
        return self

    @property
    def passes(self) -> int:
        """How often every row comes."""
        return self.epochs or len(self.cluster_size) or 1
