"""Settings of `hnmine export` and `hnmine push`."""

from __future__ import annotations

from pathlib import Path

from pydantic import field_validator, model_validator

from hnmine.config.mined_settings import MinedSettings
from hnmine.config.output import OutputSettings
from hnmine.config.setting import did_you_mean, path, setting
from hnmine.config.shared import CommonSettings

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


class ExportSettings(MinedSettings, OutputSettings):
    """Settings of `hnmine export`."""

    command = "export"

    to: str = setting("Output", "Format to write, one of those listed above.", common=True)
    output: Path = path("Directory for the exported files.", group="Output", common=True)
    scores: str | None = setting(
        "Output",
        "Scores to write: ce, dense, bm25, or an expression over the columns of scored/. "
        "[default: those that `hnmine filter` compared; none for sentence-transformers and "
        "colbert]",
        None,
        common=True,
    )
    prompt: str | None = setting(
        "Output",
        f"Instruction to write for every query, for {', '.join(WITH_PROMPT)}.",
        None,
        common=True,
    )

    @field_validator("to")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in FORMATS:
            hint = did_you_mean(value, FORMATS)
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


class PushSettings(CommonSettings):
    """Settings of `hnmine push`."""

    command = "push"

    data: Path = path("Directory that `hnmine filter` or `hnmine export` wrote.", common=True)
    repo: str = setting(
        "Output", "Dataset repository, as OWNER/NAME; created if it doesn't exist.", common=True
    )
    private: bool = setting(
        "Output",
        "Make a new repository private; an existing one keeps its visibility.",
        True,
        common=True,
    )
