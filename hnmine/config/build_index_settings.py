"""Settings of `hnmine build-index`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from hnmine.config.output import OutputSettings
from hnmine.config.reading_options import InputSettings
from hnmine.config.server_settings import ServerSettings
from hnmine.config.setting import MANY, flag_of, path, setting
from hnmine.config.shared import ModelSettings, Pooling


class BuildIndexSettings(InputSettings, ServerSettings, ModelSettings, OutputSettings):
    """Settings of `hnmine build-index`."""

    command = "build-index"

    corpus: list[str] = path(
        "Corpus: a Parquet, JSONL or CSV file, directory or glob.", list, common=True
    )
    pairs: str | None = path(
        "Pairs whose positives join the corpus, or are all of it.",
        None,
        common=True,
    )
    index: Path = path("Directory for the index.", group="Output", common=True)
    bm25: bool = setting("Output", "Build the BM25 index.", True, common=True)
    dense: bool = setting(
        "Output", "Build the dense index, which needs --encoder.", True, common=True
    )
    encoder: str | None = setting(
        "Models",
        "Bi-encoder: hub name, folder, pkg:package/folder or http://HOST#NAME.",
        None,
        value="MODEL",
        common=True,
    )
    vectors: str | None = path(
        "Vectors of the documents instead of --encoder: .npy, safetensors, or Parquet with ids; a "
        "file or a folder.",
        None,
    )
    similarity: Literal["cosine", "dot"] | None = setting(
        "Models",
        "How vectors are compared. [default: as the model's own files say, else cosine]",
        None,
        in_plan=False,
    )
    query_prompt: str | None = setting(
        "Models",
        "Text to put before every query. [default: the model's own]",
        None,
        common=True,
    )
    document_prompt: str | None = setting(
        "Models",
        "Text to put before every document. [default: the model's own]",
        None,
        common=True,
    )
    pooling: Pooling | None = setting(
        "Models", "Pooling of an ONNX encoder. [default: the model's own, else mean]", None
    )
    truncate_dim: int | None = setting(
        "Models",
        "Number of dimensions to keep of each vector, for Matryoshka models. [default: the "
        "model's own, else all]",
        None,
        in_plan=False,
        ge=1,
        le=MANY,
    )
    faiss: str = setting(
        "Output",
        "FAISS index-factory string; Flat is exact, IVF4096,Flat suits millions of documents.",
        "Flat",
    )
    bm25_variant: Literal["lucene", "okapi", "plus", "l"] = setting(
        "Advanced",
        "Formula for BM25 scores; okapi, plus and l are those of rank-bm25.",
        "lucene",
    )
    k1: float = setting("Advanced", "Term-frequency saturation of BM25.", 1.5, ge=0)
    b: float = setting("Advanced", "Document-length normalisation of BM25.", 0.75, ge=0, le=1)
    tokenizer: Literal["auto", "word", "whitespace"] = setting(
        "Output",
        "Tokens for BM25: words, also character pairs in scripts without spaces and Korean "
        "(auto), words only, or text between spaces.",
        "auto",
    )
    stemmer: str = setting(
        "Output",
        "Snowball stemmer for BM25: a language such as german, or none.",
        "english",
        common=True,
    )
    shard_size: int = setting(
        "Scale-out",
        "Documents per shard; an interrupted run loses at most one shard of work.",
        16384,
        ge=1,
        le=MANY,
    )

    @model_validator(mode="after")
    def _check(self) -> BuildIndexSettings:
        if not self.corpus and self.pairs is None:
            raise ValueError(
                "Missing required option --corpus, or --pairs whose positives are the corpus."
            )
        if not (self.bm25 or self.dense):
            raise ValueError("dense: --no-bm25 and --no-dense leave nothing to build")
        if self.dense and not (self.encoder or self.vectors):
            raise ValueError(
                "Missing required option --encoder; pass --no-dense to build BM25 alone."
            )
        if self.vectors and not self.dense:
            raise ValueError("vectors: --no-dense leaves no use for them")
        for name in ("encoder", "query_prompt", "document_prompt") if self.vectors else ():
            if getattr(self, name) is not None:
                raise ValueError(f"vectors: no text is encoded, so leave {flag_of(name)} out")
        return self
