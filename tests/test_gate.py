"""What a model is, how long a text it takes, and that its scores are those of its own library."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from checkpoints import plain, with_modules
from conftest import CROSS_ENCODER, ENCODER, ONNX_ENCODER, hnmine, mined_by_words, write
from zoo import (
    LONG,
    POSITIONS,
    SHORT,
    ZOO,
    as_onnx,
    bert,
    causal,
    decoder_tokenizer,
    llm_reranker,
    qwen_without_padding,
    roberta,
)

import hnmine as api
from hnmine.directories.candidates import Candidates
from hnmine.encode import load_cross_encoder, load_encoder
from hnmine.encode.gate import admit, use_of
from hnmine.encode.installed import installed
from hnmine.encode.limits import own_limit, positions_of
from hnmine.encode.locate import find_model
from hnmine.encode.roles import what_is
from hnmine.encode.spec import ModelSpec
from hnmine.errors import InputError, MissingModel, UsageError
from hnmine.judges.judge import place_of
from hnmine.runner.manifest import MANIFEST, PLAN
from hnmine.runner.plan import digest

PAIRS = SHORT + LONG
QUERIES, DOCUMENTS = (list(side) for side in zip(*PAIRS, strict=True))
LLM = ["llm-reranker", "llm-reranker-with-template"]


def ignore(done):
    pass


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the folder of a model of the zoo, made once."""
    root, there = tmp_path_factory.mktemp("zoo"), {}

    def find(name, backend="torch"):
        if name not in there:
            there[name] = ZOO[name](root / name)
        if backend != "onnx":
            return there[name]
        if (name, backend) not in there:
            there[name, backend] = as_onnx(there[name], root / f"{name}-onnx")
        return there[name, backend]

    return find


@pytest.fixture(scope="module")
def theirs(made):
    """Return what sentence-transformers itself makes of the pairs, one at a time."""
    known = {}

    def score(name):
        if name not in known:
            import torch
            from sentence_transformers import CrossEncoder

            model = CrossEncoder(str(made(name)), device="cpu", max_length=POSITIONS)
            model.tokenizer.pad_token = model.tokenizer.pad_token or model.tokenizer.eos_token
            model.model.config.pad_token_id = model.tokenizer.pad_token_id
            scores = model.predict(PAIRS, activation_fn=torch.nn.Identity(), batch_size=1)
            known[name] = scores[:, 1] - scores[:, 0] if scores.ndim == 2 else scores
        return known[name]

    return score


RUN_BY = [
    (name, backend)
    for name in ZOO
    for backend in ("torch", "openvino", "onnx")
    if backend == "torch" or name not in LLM
]
"""LLM rerankers run on PyTorch alone."""


@pytest.mark.parametrize(("name", "backend"), RUN_BY)
def test_scores_are_those_of_sentence_transformers(made, theirs, name, backend):
    """Long pairs are cut at the same token everywhere, and what shares a batch does not matter."""
    folder = str(made(name, backend))
    batch = None if backend == "onnx" else 256
    spec = ModelSpec.find(
        folder, device="cpu", backend=backend, dtype="fp32", use="cross-encoder", batch_tokens=batch
    )
    assert spec.max_length == POSITIONS
    model = load_cross_encoder(spec, 2)
    together = model.score(QUERIES, DOCUMENTS, ignore)
    np.testing.assert_allclose(together, theirs(name), atol=2e-5)
    alone = [model.score([q], [d], ignore)[0] for q, d in PAIRS]
    np.testing.assert_allclose(together, alone, atol=2e-5)


def test_no_other_back_end_runs_an_llm_reranker(made):
    with pytest.raises(UsageError, match="--backend openvino cannot run an LLM reranker"):
        ModelSpec.find(str(made(LLM[0])), device="cpu", backend="openvino")
    assert ModelSpec.find(str(made(LLM[0])), device="cpu").backend == "torch"
    with pytest.raises(MissingModel, match="ONNX graph cannot be run for that"):
        ModelSpec.find(str(made(LLM[0], "onnx")))


def test_an_llm_reranker_may_score_by_one_token(tmp_path):
    from sentence_transformers import CrossEncoder
    from torch.nn import Identity

    folder = str(llm_reranker(tmp_path / "m", true_token_id=3))
    found = load_cross_encoder(ModelSpec.find(folder, device="cpu", dtype="fp32"), 1).score(
        QUERIES, DOCUMENTS, ignore
    )
    model = CrossEncoder(folder, device="cpu", max_length=POSITIONS)
    expected = model.predict(PAIRS, activation_fn=Identity(), batch_size=1)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def described(folder, *, tensors=None, **files):
    """Write files of a model as JSON, and tensors of given shapes."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    if tensors is not None:
        arrays = {name: np.zeros(shape, np.float32) for name, shape in tensors.items()}
        save_file(arrays, folder / "model.safetensors")
    return folder


def of(name, **more):
    return {"architectures": [name], "model_type": "bert", **more}


def modules(*types):
    paths = ["", *(f"{n}_M" for n in range(1, len(types)))]
    return [
        {"type": f"sentence_transformers.{kind}", "path": path}
        for kind, path in zip(types, paths, strict=True)
    ]


BASE = {"bert.encoder.layer.0.output.dense.weight": (4, 4)}
HEADED = BASE | {"classifier.weight": (1, 4)}
POOLED = modules("models.Transformer", "models.Pooling")
ROLES = {
    "BERT": ("bi-encoder", {"config": of("BertModel"), "tensors": BASE}),
    "a masked language model": ("bi-encoder", {"config": of("BertForMaskedLM")}),
    "sentence-transformers": ("bi-encoder", {"config": of("BertModel"), "modules": POOLED}),
    "a classifier with pooling": (
        "bi-encoder", {"config": of("BertForSequenceClassification"), "modules": POOLED},
    ),
    "an embedder on a decoder": (
        "bi-encoder", {"config": of("Qwen3ForCausalLM"), "modules": POOLED},
    ),
    "static": ("static model", {"modules": modules("models.StaticEmbedding")}),
    "a classifier": (
        "cross-encoder", {"config": of("BertForSequenceClassification"), "tensors": HEADED},
    ),
    "a classifier without tensors to look at": (
        "cross-encoder",
        {"config": of("BertForSequenceClassification", id2label={"0": "LABEL_0"})},
    ),
    "a CrossEncoder": (
        "cross-encoder",
        {
            "config": of("BertForSequenceClassification"),
            "tensors": HEADED,
            "modules": modules("base.modules.transformer.Transformer"),
            "config_sentence_transformers": {"model_type": "CrossEncoder"},
        },
    ),
    "a head that no class names": (
        "cross-encoder", {"config": {"model_type": "bert"}, "tensors": HEADED},
    ),
    "no class": ("bi-encoder", {"config": {"model_type": "bert"}, "tensors": BASE}),
    "a reranker on a decoder": (
        "LLM reranker",
        {
            "config": of("Qwen3ForCausalLM"),
            "modules": modules("models.Transformer", "cross_encoder.modules.LogitScore"),
        },
    ),
    "a bare decoder": ("text generator", {"config": of("Qwen3ForCausalLM")}),
    "a decoder that was saved as a CrossEncoder without a score": (
        "text generator",
        {
            "config": of("Qwen3ForCausalLM"),
            "modules": modules("models.Transformer"),
            "config_sentence_transformers": {"model_type": "CrossEncoder"},
        },
    ),
    "GPT-2": ("text generator", {"config": of("GPT2LMHeadModel")}),
    "a decoder that no class names": (
        "text generator", {"config": {"model_type": "x"}, "tensors": {"lm_head.weight": (9, 4)}},
    ),
    "ColBERT": ("late-interaction model", {"config": of("HF_ColBERT")}),
    "ColBERT by its projection": (
        "late-interaction model",
        {"config": of("BertModel"), "tensors": BASE | {"linear.weight": (2, 4)}},
    ),
    "PyLate": (
        "late-interaction model",
        {
            "config": of("BertModel"),
            "modules": modules("models.Transformer", "models.Dense"),
            "config_sentence_transformers": {"query_prefix": "[Q] ", "document_prefix": "[D] "},
        },
    ),
    "MultiVectorEncoder": (
        "late-interaction model",
        {
            "config": of("BertModel"),
            "modules": modules("models.Transformer"),
            "config_sentence_transformers": {"model_type": "MultiVectorEncoder"},
        },
    ),
    "SPLADE": (
        "sparse encoder",
        {
            "config": of("BertForMaskedLM"),
            "modules": modules("sparse_encoder.models.MLMTransformer", "models.SpladePooling"),
        },
    ),
    "SPLADE by its origin": (
        "sparse encoder", {"config": of("BertForMaskedLM", _name_or_path="naver/splade-v3")},
    ),
    "an adapter": ("adapter", {"adapter_config": {"base_model_name_or_path": "some/base"}}),
    "an adapter beside weights": (
        "adapter", {"config": of("BertModel"), "adapter_config": {}, "tensors": BASE},
    ),
    "a tagger": ("model of another kind", {"config": of("BertForTokenClassification")}),
    "token vectors alone": (
        "model of another kind",
        {"config": of("BertModel"), "modules": modules("models.Transformer")},
    ),
}  # fmt: skip
USED_AS = {
    "bi-encoder": "encoder",
    "static model": "encoder",
    "cross-encoder": "cross-encoder",
    "LLM reranker": "cross-encoder",
}


@pytest.mark.parametrize("name", ROLES)
def test_the_files_say_what_a_model_is_and_every_flag_asks_them(tmp_path, name):
    role, files = ROLES[name]
    folder = described(tmp_path / "m", **files)
    assert what_is(folder).role == role
    for wanted in ("encoder", "cross-encoder"):
        if USED_AS.get(role) == wanted:
            assert admit("m", folder, wanted).role == role
            assert use_of(str(folder)) == wanted
            continue
        with pytest.raises((UsageError, MissingModel), match=role) as error:
            ModelSpec.find(str(folder), device="cpu", use=wanted)
        flag = {"encoder": "--encoder", "cross-encoder": "--cross-encoder"}
        if role in USED_AS:
            assert error.value.fix.startswith(f"Pass it as {flag[USED_AS[role]]}")
    if "tensors" in files:
        (shown,) = installed([tmp_path / "m"]).models[:1]
        assert shown.name == str(folder)
        expected = {"encoder": "bi-encoder", "cross-encoder": "cross-encoder", None: "other"}
        assert shown.kind == expected[USED_AS.get(role)]
        assert bool(shown.note) == (role not in USED_AS)


@pytest.mark.parametrize(
    ("files", "match"),
    [
        (
            {"config": of("BertForSequenceClassification"), "tensors": BASE},
            "no classification head",
        ),
        (
            {
                "config": of("BertForSequenceClassification"),
                "tensors": BASE | {"classifier.weight": (3, 4)},
            },
            "3 outputs",
        ),
        (
            {"config": of("BertForSequenceClassification", id2label=dict.fromkeys("0123", "x"))},
            "4 outputs",
        ),
        ({"modules": POOLED}, "config.json is missing"),
        ({"config": of("BertModel"), "modules": {"type": "x"}}, "modules.json is damaged"),
        (
            {
                "config": of("BertModel"),
                "model.safetensors.index": {"weight_map": {"x": "model-1-of-2.safetensors"}},
            },
            "model-1-of-2.safetensors is damaged",
        ),
    ],
)
def test_a_model_that_is_not_whole_is_refused_by_its_files(tmp_path, files, match):
    folder = described(tmp_path / "m", **files)
    with pytest.raises(MissingModel, match=match):
        ModelSpec.find(str(folder), device="cpu")


@pytest.mark.parametrize("content", [b"version https://git-lfs.github.com/spec/v1\n", b"\0" * 99])
def test_weights_that_are_none_are_refused_by_their_header(tmp_path, content):
    folder = described(tmp_path / "m", config=of("BertModel"))
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(MissingModel, match="safetensors is damaged"):
        ModelSpec.find(str(folder), device="cpu")


def test_sharded_weights_are_looked_at_as_one(tmp_path):
    folder = described(tmp_path / "m", config=of("BertForSequenceClassification"), tensors=BASE)
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    described(folder, tensors={"classifier.weight": (1, 4)})
    (folder / "model.safetensors").rename(folder / "b.safetensors")
    index = {"weight_map": {"classifier.weight": "b.safetensors", "x": "a.safetensors"}}
    described(folder, **{"model.safetensors.index": index})
    assert (what_is(folder).use, what_is(folder).outputs) == ("cross-encoder", 1)


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("lost", ["classifier.weight", "bert.encoder.layer.0.output.dense.bias"])
def test_weights_are_never_drawn_at_random(tmp_path, weights, lost):
    import torch
    from safetensors.torch import load_file, save_file

    folder = plain(tmp_path / "m", judges=True)
    tensors = load_file(folder / "model.safetensors")
    del tensors[lost]
    tensors["score_of_another"] = torch.zeros(1)  # The header alone does not tell.
    (folder / "model.safetensors").unlink()
    save = torch.save if weights.endswith(".bin") else save_file
    save(tensors, folder / weights)
    with pytest.raises(MissingModel, match=f"lacks weights: {lost.replace('.', '[.]')}"):
        load_cross_encoder(ModelSpec.find(str(folder), device="cpu"), 1)


def test_a_masked_language_model_is_an_encoder_with_a_note(tmp_path, caplog):
    from transformers import BertConfig, BertForMaskedLM

    folder = bert(tmp_path / "m")
    BertForMaskedLM(BertConfig.from_pretrained(str(folder))).save_pretrained(folder)
    assert load_encoder(ModelSpec.find(str(folder), device="cpu"), 1).encode(["a"], "query").any()
    assert "was trained to fill in words" in caplog.text


def test_token_vectors_do_not_need_a_pooler(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = plain(tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    kept = {name: one for name, one in tensors.items() if "pooler" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_encoder(ModelSpec.find(str(folder), device="cpu"), 1).encode(["a"], "query").any()
    kept.pop("encoder.layer.0.output.dense.bias")
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MissingModel, match=r"lacks weights: encoder\.layer\.0"):
        load_encoder(ModelSpec.find(str(folder), device="cpu"), 1)


@pytest.mark.parametrize("model", [ENCODER, ONNX_ENCODER, CROSS_ENCODER])
def test_a_loader_asks_too(model):
    """A spec says nothing of the use."""
    spec = ModelSpec.find(model, device="cpu")
    load = load_encoder if model == CROSS_ENCODER else load_cross_encoder
    with pytest.raises(UsageError, match="is needed here"):
        load(spec, 1)


def test_what_sentence_transformers_saves_is_told_apart(tmp_path):
    assert what_is(with_modules(tmp_path / "e")).role == "bi-encoder"
    assert what_is(with_modules(tmp_path / "c", judges=True)).role == "cross-encoder"
    assert what_is(bert(tmp_path / "three", num_labels=3)).outputs == 3


def test_pylates_own_modules_are_named_for_what_they_are(tmp_path):
    kinds = [*modules("models.Transformer"), {"type": "pylate.models.Dense.Dense", "path": "1_D"}]
    folder = described(tmp_path / "m", config=of("BertModel"), modules=kinds)
    with pytest.raises(MissingModel, match="it is a late-interaction model"):
        ModelSpec.find(str(folder), device="cpu")


LIMITS = {
    "BERT": (512, of("BertModel", max_position_embeddings=512)),
    "RoBERTa": (
        512, of("RModel", model_type="roberta", max_position_embeddings=514, pad_token_id=1),
    ),
    "RoBERTa that says nothing": (
        512, of("RModel", model_type="xlm-roberta", max_position_embeddings=514),
    ),
    "padding at 0": (
        513, of("RModel", model_type="roberta", max_position_embeddings=514, pad_token_id=0),
    ),
    "MPNet": (512, of("MModel", model_type="mpnet", max_position_embeddings=514, pad_token_id=0)),
    "GPT-2": (1024, of("GModel", model_type="gpt2", n_positions=1024)),
    "T5": (None, of("TModel", model_type="t5", n_positions=512)),
    "XLNet": (None, of("XModel", model_type="xlnet", max_position_embeddings=-1)),
    "of text and pictures": (77, of("CModel", text_config={"max_position_embeddings": 77})),
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
def test_the_positions_of_a_model(tmp_path, name):
    expected, config = LIMITS[name]
    assert positions_of(described(tmp_path, config=config)) == expected


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"sentence_bert_config": {"max_seq_length": 256}}, 256),
        ({"sentence_bert_config": {"max_seq_length": 1024}}, 512),
        ({"tokenizer_config": {"model_max_length": 128}}, 128),
        ({"tokenizer_config": {"model_max_length": int(1e30)}}, 512),
        ({}, 512),
    ],
)
def test_a_models_own_limit_is_never_more_than_its_positions(tmp_path, files, limit):
    folder = described(tmp_path / "m", config=LIMITS["RoBERTa"][1], tensors=BASE, **files)
    assert own_limit(folder) == limit
    assert ModelSpec.find(str(folder), device="cpu").max_length == limit
    shown = {model.name: model.max_length for model in installed([tmp_path]).models}
    assert shown[str(folder)] == limit


def test_an_older_model_has_its_transformer_in_a_folder_of_its_own(tmp_path):
    kinds = [
        {"type": "sentence_transformers.models.Transformer", "path": "0_Transformer"},
        {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
    ]
    folder = described(tmp_path, modules=kinds, **{"0_Transformer__config": LIMITS["RoBERTa"][1]})
    assert (what_is(folder).role, own_limit(folder)) == ("bi-encoder", 512)


def test_more_tokens_than_positions_are_refused_before_anything_is_read(tmp_path):
    """By a run, by its forecast and by validate; by a judge, too."""
    corpus = write(tmp_path / "c.parquet", id=["a", "b"], text=["one text", "another"])
    pairs = write(tmp_path / "p.parquet", query=["q"], positive=["one text"])
    said = "max_length=1024: the model .* has 512 positions"
    with pytest.raises(UsageError, match=said):
        api.build_index(corpus=str(corpus), encoder=ENCODER, max_length=1024, index=tmp_path / "i")
    assert not (tmp_path / "i").exists()
    data = ["--corpus", corpus, "--pairs", pairs, "--max-length", 1024]
    run = ["run", *data, "--encoder", ENCODER, "--output", tmp_path / "o"]
    done = [
        hnmine(*run, "--cross-encoder", CROSS_ENCODER, "--dry-run"),
        hnmine(*run, "--cross-encoder", CROSS_ENCODER),
        hnmine("validate", *data, "--encoder", ENCODER, "--no-calibrate"),
    ]
    assert [one.returncode for one in done] == [2, 2, 3], [one.stderr for one in done]
    assert all("has 512 positions" in one.stdout + one.stderr for one in done)
    assert not (tmp_path / "o").exists()


def test_a_wrong_role_stops_a_run_before_its_first_stage(tmp_path):
    corpus = write(tmp_path / "c.parquet", id=["a", "b"], text=["one text", "another"])
    pairs = write(tmp_path / "p.parquet", query=["q"], positive=["one text"])
    data = ["--corpus", corpus, "--pairs", pairs]
    generator = causal(tmp_path / "generator")
    out = ["--output", tmp_path / "o"]
    done = [
        hnmine("run", *data, "--encoder", CROSS_ENCODER, "--cross-encoder", CROSS_ENCODER, *out),
        hnmine("run", *data, "--encoder", ENCODER, "--cross-encoder", ENCODER, *out),
        hnmine("run", *data, "--no-dense", "--judge", generator, *out, "--dry-run"),
        hnmine("validate", *data, "--cross-encoder", ENCODER, "--no-calibrate"),
    ]
    assert [one.returncode for one in done] == [2, 2, 5, 3], [one.stderr for one in done]
    assert "is a cross-encoder, and an encoder is needed here" in done[0].stderr
    assert "classification head" in done[1].stderr
    assert "text generator" in done[2].stderr
    assert "classification head" in done[3].stdout + done[3].stderr
    assert not (tmp_path / "o").exists()


def test_every_back_end_cuts_an_encoders_text_at_its_positions(tmp_path):
    from transformers import RobertaModel

    folder = roberta(tmp_path / "m")
    RobertaModel.from_pretrained(str(folder)).save_pretrained(folder)
    texts = [text for pair in PAIRS for text in pair]
    specs = [
        ModelSpec.find(str(folder), device="cpu", dtype="fp32", backend=name)
        for name in ("torch", "openvino")
    ]
    one, other = (load_encoder(spec, 2).encode(texts, "document") for spec in specs)
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_end_of_a_text_pads_where_no_token_is_for_that(tmp_path, caplog):
    folder = qwen_without_padding(tmp_path / "m")
    model = load_cross_encoder(ModelSpec.find(str(folder), device="cpu", batch_tokens=256), 1)
    assert "has no padding token: its end-of-text token </s> is used" in caplog.text
    assert (model.model.tokenizer.pad_token, model.model.model.config.pad_token_id) == ("</s>", 2)
    tokenizer = decoder_tokenizer(pads=False)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(folder)
    for backend in ("torch", "openvino"):
        with pytest.raises(MissingModel, match="cannot pad") as error:
            load_cross_encoder(ModelSpec.find(str(folder), device="cpu", backend=backend), 1)
        assert "end-of-text" in error.value.why


@pytest.fixture(scope="module")
def mined(stdlib, tmp_path_factory):
    return mined_by_words(stdlib, tmp_path_factory.mktemp("gate"), top_k=8)


def with_weights(folder, change):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def all_nan(tensors):
    tensors["classifier.weight"][:] = float("nan")


@pytest.mark.parametrize("more", [{}, {"lazy": True, "margin": 2.0}], ids=["all", "lazy"])
@pytest.mark.parametrize("backend", ["torch", "openvino", "onnx"])
def test_a_model_without_a_finite_score_stops_the_run(mined, tmp_path, backend, more):
    model = with_weights(bert(tmp_path / "m"), all_nan)
    if backend == "onnx":
        model = as_onnx(model, tmp_path / "onnx")
    settings = {"cross_encoder": str(model), "backend": backend, "progress": False, **more}
    candidates = shutil.copytree(mined, tmp_path / "c")
    with pytest.raises(InputError, match=r"no finite score .* such as query \S+ \('.*document"):
        api.filter(candidates=candidates, output=tmp_path / "o", **settings)
    assert not (tmp_path / "o" / MANIFEST).exists()


def test_half_precision_is_named_as_the_likely_cause(mined, tmp_path):
    model = with_weights(bert(tmp_path / "m"), all_nan)
    candidates = shutil.copytree(mined, tmp_path / "c")
    with pytest.raises(InputError) as error:
        api.filter(
            candidates=candidates, output=tmp_path / "o", cross_encoder=str(model), dtype="bf16",
            progress=False,
        )  # fmt: skip
    assert error.value.fix == "Pass dtype='fp32'."


def test_some_scores_that_are_not_finite_are_counted(mined, tmp_path):
    from zoo import bert_tokenizer

    model = bert(tmp_path / "m")
    word = bert_tokenizer().convert_tokens_to_ids("the")

    def one_nan(tensors):
        tensors["bert.embeddings.word_embeddings.weight"][word] = float("nan")

    candidates = shutil.copytree(mined, tmp_path / "c")
    found = api.filter(
        candidates=candidates, output=tmp_path / "o", progress=False,
        cross_encoder=str(with_weights(model, one_nan)),
    )  # fmt: skip
    dropped = {name: n for name, n in found.counts.items() if "finite" in name}
    assert 0 < sum(dropped.values()) < found.counts["candidates"]


def test_a_model_in_two_roles_has_two_folders_of_scores(mined, tmp_path):
    """Earlier versions took one for both, and had one folder: its plan says whose it is."""
    candidates = shutil.copytree(mined, tmp_path / "c")
    settings = {"candidates": candidates, "progress": False, "cross_encoder": CROSS_ENCODER}
    api.filter(output=tmp_path / "o", **settings)
    (folder,) = (candidates / "scores").iterdir()
    spec = ModelSpec.find(CROSS_ENCODER)

    opened = Candidates(candidates)
    assert place_of(opened, spec, "cross-encoder") == folder
    assert place_of(opened, spec, "encoder") != folder
    old = spec.model_copy(update={"max_length": None})
    earlier = folder.rename(
        folder.with_name(f"reranker_en-{digest(old.model_dump(exclude={'model'}))[:12]}")
    )
    for name in (PLAN, MANIFEST):
        content = json.loads((earlier / name).read_text())
        content["model"]["max_length"] = None
        (earlier / name).write_text(json.dumps(content))
    written = {file: file.stat().st_mtime_ns for file in earlier.rglob("*.npy")}
    assert place_of(opened, old, "cross-encoder") == earlier
    assert place_of(opened, old, "encoder") != earlier
    api.filter(output=tmp_path / "again", **settings)
    assert [*(candidates / "scores").iterdir()] == [earlier]
    assert {file: file.stat().st_mtime_ns for file in earlier.rglob("*.npy")} == written


def test_an_index_that_recorded_no_limit_is_used_as_it_is(tmp_path):
    corpus = write(tmp_path / "c.parquet", id=["a", "b"], text=["one text", "another"])
    settings = {"corpus": str(corpus), "encoder": ENCODER, "index": tmp_path / "i"}
    made = api.build_index(**settings, progress=False)
    assert made.manifest["encoder"]["max_length"] == 256 == own_limit(find_model(ENCODER))
    for name in (PLAN, MANIFEST):
        content = json.loads((tmp_path / "i" / name).read_text())
        content["encoder"]["max_length"] = None
        (tmp_path / "i" / name).write_text(json.dumps(content))
    again = api.build_index(**settings, progress=False)
    assert again.manifest["encoder"]["max_length"] is None
