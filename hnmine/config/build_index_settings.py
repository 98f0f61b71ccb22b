"""Settings of `hnmine build-index`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from hnmine.config.output import OutputSettings
from hnmine.config.reading_options import InputSettings
from hnmine.config.shared import MANY, NOT_IN_PLAN, ModelSettings, Pooling, path


class BuildIndexSettings(InputSettings, ModelSettings, OutputSettings):
    """Settings of `hnmine build-index`."""

    command = "build-index"

    corpus: list[str] = path(
        "Corpus: a Parquet, JSONL or CSV file, a directory or a glob. May be repeated.", []
    )
    pairs: str | None = path(
        "Pairs whose positives are added to the corpus; without --corpus they are the corpus.", None
    )
    index: Path = path("Directory to write the index to.")
    bm25: bool = Field(True, description="Build the BM25 index.")
    dense: bool = Field(True, description="Build the dense index.")
    encoder: str | None = Field(
        None,
        description="Bi-encoder: a hub name, a folder, or pkg:package/folder. Needed for --dense.",
    )
    query_prompt: str | None = Field(
        None, description="Put before every query. [default: the model's own]"
    )
    document_prompt: str | None = Field(
        None, description="Put before every document. [default: the model's own]"
    )
    pooling: Pooling | None = Field(
        None, description="Pooling of an ONNX encoder. [default: the model's own, else mean]"
    )
    truncate_dim: int | None = Field(
        None,
        ge=1,
        le=MANY,
        description="Keep this many dimensions of each vector, for Matryoshka models. "
        "[default: the model's own, else all]",
        json_schema_extra=NOT_IN_PLAN,
    )
    faiss: str = Field("Flat", description="FAISS index-factory string; Flat is exact.")
    bm25_variant: Literal["lucene", "okapi", "plus", "l"] = Field(
        "lucene", description="BM25 formula; okapi, plus and l are those of rank-bm25."
    )
    k1: float = Field(1.5, ge=0, description="BM25 term frequency saturation.")
    b: float = Field(0.75, ge=0, le=1, description="BM25 length normalisation.")
    tokenizer: Literal["auto", "word", "whitespace"] = Field(
        "auto",
        description="BM25 tokens: auto takes lower-cased words, and pairs of characters in scripts "
        "without spaces and in Korean; word takes words only; whitespace splits at white space.",
    )
    stemmer: str = Field(
        "english",
        description="Snowball stemmer of the BM25 tokens: a language of PyStemmer such as hindi or "
        "arabic, or none.",
    )
    shard_size: int = Field(
        16384, ge=1, le=MANY, description="Documents in one shard: the most that a kill can lose."
    )

    @model_validator(mode="after")
    def _check(self) -> BuildIndexSettings:
        if not self.corpus and self.pairs is None:
            raise ValueError("corpus: give --corpus, or --pairs whose positives are the corpus")
        if not (self.bm25 or self.dense):
            raise ValueError("dense: --no-bm25 and --no-dense leave nothing to build")
        if self.dense and not self.encoder:
            raise ValueError(
                "encoder: must be given for the dense index; --no-dense builds BM25 alone"
            )
        return self
