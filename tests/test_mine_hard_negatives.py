"""`hnmine.mine_hard_negatives` beside the real function of sentence-transformers."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import ENCODER, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine import mine_hard_negatives
from hnmine.encode.locate import find_model
from hnmine.errors import HnmineError, InputError, UsageError

LENGTH = 32
FORMATS = ("triplet", "n-tuple", "labeled-pair", "labeled-list")


@pytest.fixture(scope="module")
def texts(docstrings) -> tuple[dict[str, list[str]], list[str]]:
    """Pairs, one with two positives and one given twice, and a corpus."""
    pairs = [(row["query"], row["positive"]) for row in rows(docstrings / "pairs.parquet")][::80]
    corpus = [row["text"] for row in rows(docstrings / "corpus.parquet")][::90]
    pairs += [(pairs[3][0], corpus[5]), pairs[1]]
    questions, answers = zip(*pairs, strict=True)
    return {"question": list(questions), "answer": list(answers)}, corpus


@pytest.fixture(scope="module")
def dataset(texts):
    from datasets import Dataset

    return Dataset.from_dict(texts[0])


@pytest.fixture(scope="module")
def corpus(texts) -> list[str]:
    return texts[1]


@pytest.fixture(scope="module")
def model():
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(find_model(ENCODER)), device="cpu")
    loaded.max_seq_length = LENGTH
    return loaded


@pytest.fixture(scope="module")
def cross_encoder(model, tmp_path_factory):
    """A small cross-encoder with weights drawn at random, and the sigmoid on top."""
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(3)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(
        vocab_size=len(model.tokenizer), intermediate_size=32, num_labels=1, **sizes
    )
    folder = tmp_path_factory.mktemp("judge")
    network = BertForSequenceClassification(config)
    with torch.no_grad():
        network.classifier.weight *= 100
    network.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return CrossEncoder(str(folder), device="cpu", max_length=64)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


def real(dataset, model, **options):
    from sentence_transformers.util import mine_hard_negatives as theirs

    return theirs(dataset, model, verbose=False, **options)


def assert_same(ours, theirs) -> None:
    """The same columns, rows and order; scores up to rounding."""
    assert ours.column_names == theirs.column_names
    assert ours.features == theirs.features
    assert len(ours) == len(theirs)
    for name in ours.column_names:
        mine, reference = list(ours[name]), list(theirs[name])
        if "score" in name:
            np.testing.assert_allclose(
                np.concatenate([np.atleast_1d(one) for one in mine]),
                np.concatenate([np.atleast_1d(one) for one in reference]),
                atol=2e-5,
            )
        else:
            assert mine == reference


DOCUMENTED = {
    "NV-Retriever": {"relative_margin": 0.05, "num_negatives": 5, "sampling_strategy": "top"},
    "natural questions": {
        "range_min": 10,
        "range_max": 50,
        "max_score": 0.8,
        "relative_margin": 0.05,
        "num_negatives": 5,
        "batch_size": 128,
    },
    "scores": {"output_scores": True},
    "reranking": {"include_positives": True, "output_format": "n-tuple", "num_negatives": 8},
    "reranking with limits": {
        "include_positives": True,
        "output_format": "n-tuple",
        "output_scores": True,
        "max_score": 0.7,
        "num_negatives": 4,
    },
}
"""The examples in the documentation of sentence-transformers, without random sampling."""


@pytest.mark.parametrize("example", DOCUMENTED)
def test_documented_examples(dataset, model, corpus, cache, example):
    options = DOCUMENTED[example]
    ours = mine_hard_negatives(
        dataset, model, corpus=corpus, compat=True, cache_dir=cache, **options
    )
    assert len(ours)
    assert_same(ours, real(dataset, model, corpus=corpus, **options))


def limits(low: float, high: float):
    return st.none() | st.floats(low, high).map(lambda number: round(number, 3))


SETTINGS = {
    "range_min": st.integers(0, 4),
    "num_negatives": st.integers(1, 4),
    "max_score": limits(0.2, 0.9),
    "min_score": limits(0.0, 0.4),
    "absolute_margin": limits(-0.05, 0.3),
    "relative_margin": limits(0.0, 0.5),
    "output_format": st.sampled_from(FORMATS),
    "output_scores": st.booleans(),
    "range_max": st.none() | st.integers(10, 30),
}
OF_COSINES = st.fixed_dictionaries(SETTINGS)
OF_PROBABILITIES = st.fixed_dictionaries(
    SETTINGS | {"absolute_margin": limits(-0.3, 0.05), "relative_margin": limits(-0.5, 0.1)}
)


def compared(dataset, model, cache, **options) -> None:
    """Compare both functions on PyTorch, which starts sooner than OpenVINO."""
    ours = mine_hard_negatives(
        dataset,
        model,
        compat=True,
        cache_dir=cache,
        verbose=False,
        backend="torch",
        **options,
    )
    try:
        theirs = real(dataset, model, **options)
    except (ValueError, TypeError, IndexError) as error:
        # It cannot make an empty data set.
        assert len(ours) == 0, error
        return
    if len(theirs) == 0:  # Its columns have no type.
        assert len(ours) == 0 and ours.column_names == theirs.column_names
        return
    assert_same(ours, theirs)


@settings(max_examples=20)
@given(options=OF_COSINES)
def test_random_settings(dataset, model, corpus, cache, options):
    compared(dataset, model, cache, corpus=corpus, **options)


@settings(max_examples=8)
@given(options=OF_COSINES)
def test_random_settings_without_a_corpus(dataset, model, cache, options):
    compared(dataset, model, cache, **options)


@settings(max_examples=12)
@given(options=OF_PROBABILITIES)
def test_random_settings_with_a_cross_encoder_and_its_sigmoid(
    dataset, model, corpus, cache, cross_encoder, options
):
    compared(dataset, model, cache, corpus=corpus, cross_encoder=cross_encoder, **options)


def test_logits_are_compared_where_the_activation_is_the_identity(
    dataset, model, corpus, cache, cross_encoder
):
    import torch

    before, cross_encoder.activation_fn = cross_encoder.activation_fn, torch.nn.Identity()
    try:
        compared(
            dataset,
            model,
            cache,
            corpus=corpus,
            cross_encoder=cross_encoder,
            absolute_margin=0.05,
            output_scores=True,
        )
        cross_encoder.activation_fn = torch.nn.Tanh()
        with pytest.raises(UsageError, match="activation is Tanh"):
            mine_hard_negatives(
                dataset, model, cross_encoder=cross_encoder, max_score=0.0, verbose=False
            )
    finally:
        cross_encoder.activation_fn = before


def test_prompts_by_name_and_by_text(dataset, model, corpus, tmp_path):
    before = model.prompts
    model.prompts = {"query": "asks: ", "document": "", "other": "or else: "}
    try:
        for options in (
            {},
            {"query_prompt_name": "other"},
            {"query_prompt": "is it ", "corpus_prompt": "it is "},
        ):
            compared(dataset, model, tmp_path, corpus=corpus, output_scores=True, **options)
        with pytest.raises(UsageError, match="no prompt named 'none'"):
            mine_hard_negatives(dataset, model, query_prompt_name="none")
    finally:
        model.prompts = before


def test_a_model_that_was_changed_in_memory_gives_its_own_vectors(dataset, corpus, tmp_path):
    import torch
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(find_model(ENCODER)), device="cpu", truncate_dim=64)
    loaded.max_seq_length = LENGTH
    torch.manual_seed(0)
    found = []
    for _ in range(2):
        compared(dataset, loaded, tmp_path, corpus=corpus, output_scores=True)
        found.append(
            mine_hard_negatives(dataset, loaded, corpus=corpus, compat=True, cache_dir=tmp_path)
        )
        with torch.no_grad():  # As fine-tuning changes it.
            for weight in loaded.parameters():
                weight += 0.02 * torch.randn_like(weight)
    assert list(found[0]["negative"]) != list(found[1]["negative"])


def test_dot_products_become_cosines_and_distances_are_refused(dataset, model, corpus, tmp_path):
    before = model.similarity_fn_name
    try:
        model.similarity_fn_name = "dot"
        compared(dataset, model, tmp_path, corpus=corpus, output_scores=True)
        model.similarity_fn_name = "euclidean"
        with pytest.raises(UsageError, match="similarity_fn_name = 'cosine'"):
            mine_hard_negatives(dataset, model, compat=True)
    finally:
        model.similarity_fn_name = before


def test_random_sampling_chooses_among_the_same_negatives(dataset, model, corpus, cache):
    options = {"corpus": corpus, "range_min": 2, "range_max": 6, "absolute_margin": 0.05}
    allowed = real(dataset, model, num_negatives=4, **options)
    known = set(zip(allowed["question"], allowed["negative"], strict=True))
    ours = mine_hard_negatives(
        dataset,
        model,
        num_negatives=2,
        sampling_strategy="random",
        compat=True,
        cache_dir=cache,
        **options,
    )
    assert {*zip(ours["question"], ours["negative"], strict=True)} <= known


class TestByDefault:
    def test_it_chooses_as_hnmine_does_and_takes_its_settings(self, dataset, model, corpus):
        ours = mine_hard_negatives(dataset, model, corpus=corpus, depth=5, verbose=False)
        assert ours.column_names == ["question", "answer", "negative"]
        assert len(ours) > len(dataset)
        positives = set(zip(dataset["question"], dataset["answer"], strict=True))
        assert not positives & {*zip(ours["question"], ours["negative"], strict=True)}
        with pytest.raises(UsageError, match=r"no such setting\. Did you mean depth"):
            mine_hard_negatives(dataset, model, dept=5)

    def test_limits_are_those_of_the_cross_encoder_as_it_predicts(
        self, dataset, model, corpus, cross_encoder, cache
    ):
        ours = mine_hard_negatives(
            dataset,
            model,
            corpus=corpus,
            cross_encoder=cross_encoder,
            max_score=0.5,
            output_scores=True,
            cache_dir=cache,
        )
        assert len(ours)
        scores = np.array(ours["scores"])
        pairs = list(zip(ours["question"], ours["negative"], strict=True))
        expected = cross_encoder.predict(pairs)
        np.testing.assert_allclose(scores[:, 1], expected, atol=2e-5)
        assert (scores[:, 1] <= 0.5).all()

    @pytest.mark.parametrize("kind", ["pandas", "arrow", "columns", "rows", "generator"])
    def test_pairs_in_any_form(self, texts, cache, kind):
        import pandas as pd

        columns, corpus = texts
        table = pa.table(columns)
        dataset = {
            "pandas": lambda: pd.DataFrame(columns)[lambda frame: frame.question != ""],
            "arrow": lambda: table,
            "columns": lambda: columns,
            "rows": table.to_pylist,
            "generator": lambda: (row for row in table.to_pylist()),
        }[kind]()
        expected = mine_hard_negatives(
            table, ENCODER, corpus=corpus, cache_dir=cache, max_length=LENGTH
        )
        found = mine_hard_negatives(
            dataset, ENCODER, corpus=corpus, cache_dir=cache, max_length=LENGTH
        )
        assert found.to_dict() == expected.to_dict()


class TestOnDisk:
    @pytest.fixture
    def temporary(self, tmp_path, monkeypatch) -> Path:
        folder, home = tmp_path / "temporary", tmp_path / "home"
        folder.mkdir()
        home.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        monkeypatch.setenv("HNMINE_CACHE", str(home / "hnmine"))
        monkeypatch.setenv("HF_HOME", str(home / "hf"))
        monkeypatch.chdir(home)
        return tmp_path

    def test_nothing_stays(self, dataset, model, corpus, temporary):
        found = mine_hard_negatives(dataset, model, corpus=corpus, verbose=False)
        assert len(found)
        assert [path for path in temporary.rglob("*") if path.is_file()] == []

    @pytest.mark.parametrize("error", [KeyboardInterrupt, InputError("x")])
    def test_nothing_stays_after_an_error(self, dataset, model, temporary, monkeypatch, error):
        import hnmine.sources.mining

        def stopped(*_: object) -> None:
            raise error

        monkeypatch.setattr(hnmine.sources.mining, "mine", stopped)
        with pytest.raises((KeyboardInterrupt, InputError)):
            mine_hard_negatives(dataset, model, verbose=False)
        assert [path for path in temporary.rglob("*") if path.is_file()] == []

    def test_a_cache_is_used_again(self, dataset, model, corpus, tmp_path):
        options = {"corpus": corpus, "cache_folder": tmp_path, "verbose": False}
        first = mine_hard_negatives(dataset, model, **options)
        index = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("index/dense/**/*.npy")}
        assert index
        again = mine_hard_negatives(dataset, model, **options)
        other = mine_hard_negatives(dataset, model, num_negatives=2, **options)
        assert again.to_dict() == first.to_dict()
        assert len(other) < len(first)
        assert {path: path.stat().st_mtime_ns for path in index} == index
        # Other pairs leave the first directory as it is.
        mine_hard_negatives(dataset.select(range(5)), model, **options)
        assert {path: path.stat().st_mtime_ns for path in index} == index

    def test_torch_gets_its_threads_back(self, dataset, model, cache):
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            mine_hard_negatives(dataset, model, cache_dir=cache)
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(before)


class TestRefusals:
    def test_the_signature_is_theirs(self):
        from sentence_transformers.util import mine_hard_negatives as theirs

        ours = inspect.signature(mine_hard_negatives).parameters
        for name, parameter in inspect.signature(theirs).parameters.items():
            assert ours[name].default == parameter.default, name
            assert ours[name].kind == parameter.kind, name
        positional = [name for name, one in ours.items() if one.kind is one.POSITIONAL_OR_KEYWORD]
        assert positional == list(inspect.signature(theirs).parameters)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"include_positives": True}, "include_positives: needs compat=True"),
            ({"dtype": "fp8"}, "dtype: "),
            ({"use_multi_process": ["cuda:0", "cuda:1"]}, "engine='ray'"),
            ({"sampling_strategy": "best"}, "neither 'top' nor 'random'"),
            ({"anchor_column_name": "query"}, "Its columns are: question, answer"),
            ({"output_format": "pairs"}, "format: "),
            ({"num_negatives": 0}, "num_negatives: "),
            ({"range_min": 5, "range_max": 5}, "range_max: must be greater"),
            ({"num_negatives": 5, "range_max": 3}, "leave 3 candidates"),
            ({"faiss_batch_size": 0}, "block_size"),
        ],
    )
    def test_what_cannot_be_done_is_an_error(self, dataset, options, said):
        with pytest.raises(HnmineError, match=said.replace("(", r"\(")):
            mine_hard_negatives(dataset, ENCODER, verbose=False, **options)

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ("me/pairs", "load_dataset"),
            ([], "is no table"),
            ([{"question": "a"}], "one column"),
            (3, "is no table"),
        ],
    )
    def test_what_is_no_data_set(self, wrong, said):
        with pytest.raises(UsageError, match=said):
            mine_hard_negatives(wrong, ENCODER)

    def test_several_splits(self, dataset):
        from datasets import DatasetDict

        with pytest.raises(UsageError, match=r"several tables: train, test\."):
            mine_hard_negatives(DatasetDict(train=dataset, test=dataset), ENCODER)

    def test_an_object_that_is_no_model(self, dataset):
        class Other:
            def save_pretrained(self) -> None:
                pass

        with pytest.raises(UsageError, match="Other is no model"):
            mine_hard_negatives(dataset, Other())

    def test_old_names_warn(self, dataset, model, cache):
        with pytest.warns(DeprecationWarning, match="absolute_margin") as caught:
            found = mine_hard_negatives(
                dataset, model, margin=0.0, as_triplets=False, cache_dir=cache
            )
        assert caught[0].filename == __file__
        assert "negative_3" in found.column_names

    def test_without_the_package_datasets(self, dataset, monkeypatch):
        import sys

        monkeypatch.setitem(sys.modules, "datasets", None)
        with pytest.raises(HnmineError, match=r"pip install 'hnmine\[datasets\]'"):
            mine_hard_negatives(dataset, ENCODER)


def test_processes_on_the_cpu_give_the_same(dataset, model, corpus, cache, tmp_path):
    options = {"corpus": corpus, "compat": True, "verbose": False, "backend": "torch"}
    expected = mine_hard_negatives(dataset, model, cache_dir=cache, **options)
    found = mine_hard_negatives(
        dataset, model, use_multi_process=["cpu", "cpu"], batch_size=8, **options
    )
    assert list(found["negative"]) == list(expected["negative"])
    assert len(found)
