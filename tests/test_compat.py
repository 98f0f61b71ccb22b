"""`--compat sentence-transformers` against the real function, with real models on real text."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import CROSS_ENCODER, ENCODER, rows

import hnmine as api
from hnmine.encode import load_cross_encoder
from hnmine.encode.locate import find_model
from hnmine.encode.spec import ModelSpec
from hnmine.errors import UsageError

LENGTH = 48
LAYOUTS = ("triplet", "n-tuple", "labeled-pair", "labeled-list")
BI_ENCODER_RULES = {
    "no rule": {},
    "margin": {"margin": 0.05},
    "margin 0": {"margin": 0.0},
    "relative margin": {"relative_margin": 0.1},
    "max score": {"max_score": 0.4},
    "min score": {"min_score": 0.3},
    "window": {"range_min": 5, "range_max": 30},
    "window over survivors": {"range_min": 3, "range_max": 20, "relative_margin": 0.05},
    "all at once": {"range_min": 2, "range_max": 25, "margin": 0.02, "max_score": 0.6},
    "a window wider than the corpus": {"range_max": 5000, "relative_margin": 0.05},
}
CROSS_ENCODER_RULES = {
    "no rule": {},
    "margin": {"margin": 3.0},
    "relative margin": {"relative_margin": 0.5},
    "max score": {"max_score": 0.0},
    "min score": {"min_score": -9.0},
    "window over survivors": {"range_min": 2, "range_max": 12, "margin": 1.0},
}
THEIR_NAMES = {"margin": "absolute_margin"}


class Data:
    """Pairs and a corpus on disk, mined to its whole depth."""

    def __init__(self, folder: Path, pairs: list[tuple[str, str]], corpus: list[str]) -> None:
        self.folder, self.pairs, self.corpus = folder, pairs, corpus
        queries, positives = zip(*pairs, strict=True)
        pq.write_table(
            pa.table({"query": queries, "positive": positives}), folder / "pairs.parquet"
        )
        pq.write_table(
            pa.table({"id": [str(n) for n in range(len(corpus))], "text": corpus}),
            folder / "corpus.parquet",
        )
        common = {"pairs": str(folder / "pairs.parquet"), "index": folder / "index"}
        api.build_index(
            corpus=str(folder / "corpus.parquet"), encoder=ENCODER, max_length=LENGTH,
            dtype="fp32", **common,
        )  # fmt: skip
        api.mine(
            output=folder / "candidates", top_k=len(corpus) + len(pairs), source=["dense"], **common
        )

    def ours(self, output: Path, **settings: object) -> list[dict[str, object]]:
        api.filter(
            candidates=self.folder / "candidates",
            output=output,
            compat="sentence-transformers",
            **settings,
        )
        return rows(output / "train")

    def theirs(self, model, judge=None, **settings: object) -> list[dict[str, object]]:
        from datasets import Dataset
        from sentence_transformers.util import mine_hard_negatives

        queries, positives = zip(*self.pairs, strict=True)
        settings = {THEIR_NAMES.get(name, name): value for name, value in settings.items()}
        layout = settings.pop("format")
        try:
            return list(
                mine_hard_negatives(
                    Dataset.from_dict({"query": queries, "positive": positives}),
                    model,
                    corpus=self.corpus,
                    cross_encoder=judge,
                    output_format=layout,
                    verbose=False,
                    **settings,
                )
            )
        except ValueError as error:
            # It cannot make an empty data set.
            assert "empty" in str(error) or "Schema" in str(error), error
            return []


@pytest.fixture(scope="module")
def source(docstrings) -> tuple[list[tuple[str, str]], list[str]]:
    pairs = [(row["query"], row["positive"]) for row in rows(docstrings / "pairs.parquet")]
    return pairs[::16], [row["text"] for row in rows(docstrings / "corpus.parquet")][::14]


@pytest.fixture(scope="module")
def data(source, tmp_path_factory) -> Data:
    """Some 125 pairs and 380 passages; every fourth query has a second positive."""
    pairs, corpus = source
    twice = [(query, corpus[n]) for n, (query, _) in enumerate(pairs[::4])]
    return Data(tmp_path_factory.mktemp("data"), pairs + twice, corpus)


@pytest.fixture(scope="module")
def small(source, tmp_path_factory) -> Data:
    """Few enough for every pair to be judged."""
    pairs, corpus = source
    return Data(
        tmp_path_factory.mktemp("small"), [*pairs[:20], (pairs[0][0], corpus[0])], corpus[:40]
    )


@pytest.fixture(scope="module")
def model():
    """The encoder, which encodes each list of texts once for all cases."""
    from sentence_transformers import SentenceTransformer

    known: dict[tuple[str, ...], np.ndarray] = {}

    class Remembering(SentenceTransformer):
        def encode_document(self, texts, **options):
            return self._remember("document", texts, super().encode_document, options)

        def encode_query(self, texts, **options):
            return self._remember("query", texts, super().encode_query, options)

        def _remember(self, kind, texts, encode, options):
            key = (kind, *texts)
            if key not in known:
                known[key] = encode(texts, **options)
            return known[key]

    loaded = Remembering(str(find_model(ENCODER)), device="cpu")
    loaded.max_seq_length = LENGTH
    return loaded


@pytest.fixture(scope="module")
def judge():
    """The ONNX cross-encoder behind the one method that sentence-transformers calls."""
    loaded = load_cross_encoder(ModelSpec.find(CROSS_ENCODER, max_length=LENGTH), 2)
    known: dict[tuple[str, str], float] = {}

    class Judge:
        def predict(self, pairs, **options):
            new = list({tuple(pair) for pair in pairs} - known.keys())
            if new:
                scores = loaded.score(*zip(*new, strict=True), lambda done: None)
                known.update(zip(new, scores.tolist(), strict=True))
            scores = np.array([known[tuple(pair)] for pair in pairs], dtype=np.float32)
            if options.get("convert_to_tensor"):
                import torch

                return torch.from_numpy(scores)
            return scores

    return Judge()


def comparable(table: list[dict[str, object]]) -> dict[tuple[str, ...], list[float]]:
    """The texts of each row, in order, with its numbers."""
    result = {}
    for row in table:
        values = [
            value for cell in row.values() for value in (cell if isinstance(cell, list) else [cell])
        ]
        texts = tuple(value for value in values if isinstance(value, str))
        result[texts] = [value for value in values if not isinstance(value, str)]
    assert len(result) == len(table)
    return result


def assert_equal(ours: list[dict[str, object]], theirs: list[dict[str, object]]) -> None:
    mine, reference = comparable(ours), comparable(theirs)
    assert mine.keys() == reference.keys()
    for key, numbers in mine.items():
        np.testing.assert_allclose(numbers, reference[key], atol=2e-5)


FORMS = list(product(LAYOUTS, (False, True)))
BI_ENCODER_CASES = [
    (rule, *form)
    for (n, rule), (m, form) in product(enumerate(BI_ENCODER_RULES), enumerate(FORMS))
    if rule in ("no rule", "all at once") or (n + m) % 4 == 0
]
"""Two rules in every form, and every rule in two forms: the form does not change the choice."""


@pytest.mark.parametrize(("rule", "layout", "scores"), BI_ENCODER_CASES)
def test_bi_encoder(data, model, tmp_path, rule, layout, scores):
    settings = {
        **BI_ENCODER_RULES[rule],
        "num_negatives": 3,
        "format": layout,
        "output_scores": scores,
    }
    ours = data.ours(tmp_path / "mined", **settings)
    assert ours
    assert_equal(ours, data.theirs(model, **settings))


@pytest.mark.parametrize("rule", CROSS_ENCODER_RULES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_cross_encoder(small, model, judge, tmp_path, rule, layout):
    settings = {
        **CROSS_ENCODER_RULES[rule],
        "num_negatives": 2,
        "format": layout,
        "output_scores": True,
    }
    ours = small.ours(
        tmp_path / "mined", cross_encoder=CROSS_ENCODER, max_length=LENGTH, **settings
    )
    assert ours
    assert_equal(ours, small.theirs(model, judge, **settings))


def test_candidates_that_are_too_few_are_refused(data, tmp_path):
    api.mine(
        index=data.folder / "index",
        pairs=str(data.folder / "pairs.parquet"),
        output=tmp_path / "candidates",
        top_k=10,
        source=["dense"],
    )
    with pytest.raises(UsageError, match="Mine again with top_k"):
        api.filter(
            candidates=tmp_path / "candidates",
            output=tmp_path / "mined",
            compat="sentence-transformers",
            relative_margin=0.05,
        )
