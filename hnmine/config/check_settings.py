"""Settings of `hnmine validate` and `hnmine audit`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from hnmine.config.reading_options import JudgedSettings, SplitSettings
from hnmine.config.shared import ModelSettings, path, seed


class ValidateSettings(JudgedSettings, ModelSettings):
    """Settings of `hnmine validate`."""

    command = "validate"

    corpus: list[str] = path("Corpus: a file, a directory or a glob. May be repeated.", [])
    pairs: str | None = path("(query, positive) pairs as text.", None)
    queries: str | None = path("Queries with ids.", None)
    encoder: str | None = Field(
        None, description="Bi-encoder whose length limit, vectors and time are estimated."
    )
    faiss: str = Field(
        "Flat", description="FAISS index-factory string, to check for these documents."
    )
    cross_encoder: str | None = Field(
        None, description="Cross-encoder whose time is estimated, at its own length limit."
    )
    calibrate: bool = Field(
        True, description="Run the models on a few texts, to estimate the time that they need."
    )
    seed: int = seed("Seed of the samples that lengths and near copies are from.")


class AuditSettings(SplitSettings):
    """Settings of `hnmine audit`."""

    command = "audit"

    mined: Path = path("Directory that `hnmine filter` wrote.")
    qrels: str | None = path("Fuller judgements than those that were mined with.", None)
    min_grade: float = Field(1.0, description="Judgements from this grade on are relevant.")
    verdicts: str | None = path("A sheet that --sample wrote, with verdicts filled in.", None)
    sample: int | None = Field(
        None, ge=1, description="Draw this many negatives for a person, or a model, to judge."
    )
    sheet: Path | None = path("File to write the sample to: .csv or .parquet.", None)
    shortcuts: bool = Field(
        True,
        description="Say how well length, BM25, shared words or wording alone tell the positives "
        "from the negatives.",
    )
    seed: int = seed("Seed of the sample.")
