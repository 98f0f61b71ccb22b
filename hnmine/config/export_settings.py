"""Settings of `hnmine export` and `hnmine push`."""

from __future__ import annotations

import difflib
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from hnmine.config.output import OutputSettings
from hnmine.config.shared import Settings, path

FORMATS = {
    "triplet": "sentence-transformers, PyLate: query, positive, negative",
    "n-tuple": "sentence-transformers, PyLate: query, positive, negative_1 … negative_n",
    "labeled-pair": "sentence-transformers cross-encoders: query, passage, label",
    "labeled-list": "sentence-transformers cross-encoders: query, passages, labels",
    "flagembedding": "FlagEmbedding: query, pos, neg, pos_scores, neg_scores, prompt",
    "tevatron": "Tevatron, texts in the rows: query, positive_passages, negative_passages",
    "tevatron-ids": "Tevatron, ids and a corpus: positive_document_ids, negative_document_ids",
    "pylate-kd": "PyLate distillation: query_id, document_ids, scores; queries; documents",
    "colbert": "ColBERT: numbered triples, with --scores n-way lists; queries; collection",
    "dpr": "DPR: question, positive_ctxs, hard_negative_ctxs",
    "beir": "BEIR: corpus.jsonl, queries.jsonl, qrels/train.tsv",
    "mteb": "MTEB: the configurations corpus, queries, default and top_ranked",
    "msmarco": "MS MARCO: collection, queries, qrels and qidpidtriples as TSV",
    "trec": "TREC: a run of all candidates, and qrels",
    "ms-swift-embedding": "ms-swift, embedding: messages, positive_messages, negative_messages",
    "ms-swift-reranker": "ms-swift, reranker: the same keys",
}
"""Who reads each format, and what it holds."""

WITH_PROMPT = ("flagembedding",)
"""The formats that have a field for the query's prompt."""


class ExportSettings(OutputSettings):
    """Settings of `hnmine export`."""

    command = "export"

    mined: Path = path("Directory that `hnmine filter` wrote.")
    to: str = Field(description="The format; all are listed above.")
    output: Path = path("Directory to write the files to.")
    scores: str | None = Field(
        None,
        description="The scores to write: ce, dense, bm25, or an expression over the columns of "
        "scored/. [default: those that `hnmine filter` compared; with the layouts of "
        "sentence-transformers and with colbert none]",
    )
    prompt: str | None = Field(
        None, description=f"Instruction of the queries, for {', '.join(WITH_PROMPT)}."
    )
    candidates: Path | None = path(
        "The candidates, where they have moved since `hnmine filter`. [default: where they were]",
        None,
    )
    index: Path | None = path(
        "The index, where it has moved since `hnmine mine`. [default: where it was]", None
    )

    @field_validator("to")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in FORMATS:
            close = difflib.get_close_matches(value, FORMATS, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise ValueError(f"{value!r} is none of {', '.join(FORMATS)}.{hint}")
        return value

    @model_validator(mode="after")
    def _check(self) -> ExportSettings:
        if self.prompt is not None and self.to not in WITH_PROMPT:
            raise ValueError(
                f"prompt: {self.to} has no field for it; give it to the trainer, or export to "
                f"{' or '.join(WITH_PROMPT)}"
            )
        return self


class PushSettings(Settings):
    """Settings of `hnmine push`."""

    command = "push"

    data: Path = path("Directory that `hnmine filter` or `hnmine export` wrote.")
    repo: str = Field(description="Dataset repository, as OWNER/NAME; made if it is not there.")
    private: bool = Field(
        True, description="Make a new repository private; one that is there stays as it is."
    )
