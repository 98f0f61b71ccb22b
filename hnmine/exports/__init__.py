"""Formats of training data: one line for each."""

from __future__ import annotations

from hnmine.registry import Entry, Registry

EXPORTS = Registry(
    "hnmine.exports",
    {
        "triplet": Entry(
            "sentence-transformers, PyLate: query, positive, negative",
            "hnmine.exports.tuples:TRIPLET",
        ),
        "n-tuple": Entry(
            "sentence-transformers, PyLate: query, positive, negative_1 … negative_n",
            "hnmine.exports.tuples:N_TUPLE",
        ),
        "labeled-pair": Entry(
            "sentence-transformers cross-encoders: query, passage, label",
            "hnmine.exports.labeled:LABELED_PAIR",
        ),
        "labeled-list": Entry(
            "sentence-transformers cross-encoders: query, passages, labels",
            "hnmine.exports.labeled:LABELED_LIST",
        ),
        "flagembedding": Entry(
            "FlagEmbedding: query, pos, neg, pos_scores, neg_scores, prompt",
            "hnmine.exports.flagembedding:FLAGEMBEDDING",
        ),
        "tevatron": Entry(
            "Tevatron, texts in the rows: query, positive_passages, negative_passages",
            "hnmine.exports.tevatron:TEVATRON",
        ),
        "tevatron-ids": Entry(
            "Tevatron, ids and a corpus: positive_document_ids, negative_document_ids",
            "hnmine.exports.tevatron:TEVATRON_IDS",
        ),
        "kd": Entry(
            "distillation by scores: PyLate, sentence-transformers, FlagEmbedding",
            "hnmine.exports.kd:KD",
        ),
        "embed-distill": Entry(
            "distillation by vectors, sentence-transformers: text, label",
            "hnmine.exports.embed_distill:EMBED_DISTILL",
        ),
        "colbert": Entry(
            "ColBERT: numbered triples, with --scores n-way lists; queries; collection",
            "hnmine.exports.colbert:COLBERT",
        ),
        "dpr": Entry("DPR: question, positive_ctxs, hard_negative_ctxs", "hnmine.exports.dpr:DPR"),
        "beir": Entry(
            "BEIR: corpus.jsonl, queries.jsonl, qrels/train.tsv, or one for each split",
            "hnmine.exports.beir:BEIR",
        ),
        "beir-unanswered": Entry(
            "BEIR with a corpus that answers no query: a test of when to return nothing",
            "hnmine.exports.beir:UNANSWERED",
        ),
        "mteb": Entry(
            "MTEB: the configurations corpus, queries, default and top_ranked",
            "hnmine.exports.beir:MTEB",
        ),
        "msmarco": Entry(
            "MS MARCO: collection, queries, qrels and qidpidtriples as TSV",
            "hnmine.exports.trec:MSMARCO",
        ),
        "trec": Entry("TREC: a run of all candidates, and qrels", "hnmine.exports.trec:TREC"),
        "arctic": Entry(
            "ArcticTraining: numbered queries, documents, and labels (1, -1)",
            "hnmine.exports.arctic:ARCTIC",
        ),
        "nemo": Entry(
            "NeMo Automodel: question_id, question, corpus_id, pos_doc, neg_doc; corpus",
            "hnmine.exports.nemo:NEMO",
        ),
        "ms-swift-embedding": Entry(
            "ms-swift, embedding: messages, positive_messages, negative_messages",
            "hnmine.exports.swift:EMBEDDING",
        ),
        "ms-swift-reranker": Entry(
            "ms-swift, reranker: the same keys", "hnmine.exports.swift:RERANKER"
        ),
    },
    retired={"pylate-kd": "`kd` writes PyLate's tables, with the teacher's scores as raw_scores."},
)
"""By the name that `export --to` has for it; each is a `Format`."""

LAYOUTS = ("triplet", "n-tuple", "labeled-pair", "labeled-list")
"""Those in which `filter` can write train/; formats of other packages may have a layout too."""


def check_layout(name: str) -> None:
    """Raise ValueError unless train/ can be written in a format.

    Raises:
        MissingModel: the package that adds it cannot be imported.
    """
    if name in LAYOUTS:
        return
    EXPORTS.check(name)
    if EXPORTS[name].load().layout is None:
        raise ValueError(f"{name!r} is no layout of train/; write it with `hnmine export`")
