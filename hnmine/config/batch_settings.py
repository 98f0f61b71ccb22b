"""Settings of `hnmine batch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hnmine.config.mined_settings import MinedSettings
from hnmine.config.output import OutputSettings
from hnmine.config.setting import MANY, flag_of, key_of, path, seed, setting
from hnmine.config.shared import device

NEIGHBOURS = 64


class BatchSettings(MinedSettings, OutputSettings):
    """Settings of `hnmine batch`."""

    command = "batch"

    output: Path = path("Directory for the batches.", group="Output", common=True)
    by: Literal["cluster", "balanced-cluster", "greedy", "random"] = setting(
        "Which are chosen",
        "How a batch is filled: from one k-means cluster, from small equal clusters, with a query "
        "and its nearest, or randomly.",
        "greedy",
        common=True,
    )
    batch_size: int = setting(
        "Which are chosen", "Number of rows in a batch.", 64, common=True, ge=2, le=MANY
    )
    epochs: int | None = setting(
        "Which are chosen",
        "Number of epochs to write batches for. [default: 1, or one for each --cluster-size]",
        None,
        common=True,
        ge=1,
        le=MANY,
    )
    clusters: int | None = setting(
        "Which are chosen",
        "Number of k-means clusters for --by cluster. [default: one for every 200 queries]",
        None,
        common=True,
        ge=1,
        le=MANY,
    )
    cluster_size: list[Annotated[int, Field(ge=1, le=MANY)]] = setting(
        "Which are chosen",
        "Maximum number of queries in a cluster for --by balanced-cluster, one value for each "
        "epoch.",
        list,
        common=True,
    )
    neighbours: int | None = setting(
        "Which are chosen",
        f"Number of nearest queries that --by greedy considers. [default: {NEIGHBOURS}]",
        None,
        ge=1,
        le=MANY,
    )
    guard: str | None = setting(
        "Which are kept",
        "Expression over dense_score, positive_score and keep that every document in a batch must "
        "pass for every other row. [default: 'dense_score < positive_score and coalesce(keep, "
        "true)']",
        None,
        common=True,
    )
    seed: int = seed("Random seed for clusters and batches.")
    device: str = device()

    @model_validator(mode="after")
    def _check(self) -> BatchSettings:
        owners = {
            "clusters": "cluster",
            "cluster_size": "balanced-cluster",
            "neighbours": "greedy",
        }
        for name, by in owners.items():
            if getattr(self, name) and self.by != by:
                raise ValueError(f"{key_of(name)}: applies only to --by {by}")
        if self.by == "balanced-cluster" and not self.cluster_size:
            raise ValueError(f"Missing {flag_of('cluster_size')}: --by balanced-cluster needs it.")
        if self.epochs is not None and self.epochs < len(self.cluster_size):
            raise ValueError(
                f"epochs: {self.epochs} are too few for {len(self.cluster_size)} cluster sizes"
            )
        return self

    @property
    def passes(self) -> int:
        """Number of epochs."""
        return self.epochs or len(self.cluster_size) or 1
