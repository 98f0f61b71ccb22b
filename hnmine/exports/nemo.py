"""NeMo Automodel: training data that names documents by id, and the corpus beside it.

Its loader resolves the corpus' path from the training file's folder, reads the split `train` there
with `load_dataset`, and refuses two corpora with one id: so the id is made from the mined
directory's hash.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from hnmine.exports.examples import Material, Passage
from hnmine.exports.format import Format
from hnmine.exports.row_files import JsonObject

CORPUS = "corpus"
CORPUS_SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])


def corpus_id(material: Material) -> str:
    """Return the id of the corpus: equal for exports of one mined directory alone."""
    return f"hnmine-{material.mined.hash[:16]}"


def train(material: Material) -> JsonObject:
    """Return the rows `question_id, question, corpus_id, pos_doc, neg_doc`, and the corpus' path.

    Documents are in order, best first: the trainer takes the first negatives.
    """
    corpus = corpus_id(material)
    rows = (
        {
            "question_id": example.id,
            "question": example.query,
            "corpus_id": corpus,
            "pos_doc": _named(example.positives),
            "neg_doc": _named(example.negatives),
        }
        for example in material.examples()
    )
    return JsonObject({"corpus": {"path": CORPUS}}, "data", rows)


def _named(passages: list[Passage]) -> list[dict[str, str]]:
    return [{"id": passage.id} for passage in passages]


def metadata(material: Material) -> JsonObject:
    """Return which class reads the corpus, and its id."""
    return JsonObject({"class": "TextQADataset", "corpus_id": corpus_id(material)})


def documents(material: Material) -> Iterator[pa.Table]:
    """Yield `id, text` of the documents that the queries name."""
    for table in material.text_tables(material.used, "id"):
        yield table.cast(CORPUS_SCHEMA)


NEMO = Format(
    {
        "train.json": train,
        f"{CORPUS}/train.parquet": documents,
        f"{CORPUS}/merlin_metadata.json": metadata,
    }
)
