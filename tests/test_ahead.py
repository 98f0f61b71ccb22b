"""Models run as on a GPU, but on the CPU, against sentence-transformers with single texts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from conftest import ENCODER, content, hnmine, write
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import CrossEncoder, SentenceTransformer
from zoo import LONG, SHORT
from zoo import ZOO as JUDGES
from zoo_encoders import TEXTS, ZOO, make

from hnmine import build_index
from hnmine.config import BuildIndexSettings
from hnmine.encode import devices
from hnmine.encode import spec as spec_module
from hnmine.encode.devices import dtype_for
from hnmine.encode.loading import let_it_pad
from hnmine.encode.locate import find_model
from hnmine.encode.pytorch import TorchCrossEncoder, TorchEncoder
from hnmine.encode.spec import ModelSpec, usual_batch
from hnmine.errors import InputError
from hnmine.index.building import _encoder_of
from hnmine.index.stored import write_vectors
from hnmine.runner import device_use, incidents
from hnmine.runner.checkpoints import Partial
from hnmine.runner.manifest import MANIFEST, PLAN, markers_of
from hnmine.runner.plan import canonical_json, digest
from hnmine.schema import STATE

GIVEN = [*TEXTS, "", "a teapot", " ", "A"]
"""Texts of mixed length, with copies and an empty one."""

KINDS = [
    "bert mean", "bert cls", "bert prompt not pooled", "bert dense, norm, length 1, dot",
    "bert 8 dimensions", "roberta", "xlm-roberta", "mpnet", "modernbert", "qwen3 lasttoken",
    "qwen3 weightedmean", "static",
]  # fmt: skip
CLOSE = 2e-6


def encoder_of(model, **given):
    device = {"device": "cpu", "backend": "torch", "dtype": "fp32", **given}
    found = TorchEncoder(ModelSpec.find(str(model), use="encoder", **device), 2)
    found.run_ahead()
    return found


def judge_of(model, **given):
    device = {"device": "cpu", "backend": "torch", "dtype": "fp32", **given}
    found = TorchCrossEncoder(ModelSpec.find(str(model), use="cross-encoder", **device), 2)
    found.run_ahead()
    return found


@pytest.mark.parametrize("tokens", [1, 64, 4096])
@pytest.mark.parametrize("name", KINDS)
def test_vectors_are_those_of_one_text_at_a_time(tmp_path, name, tokens):
    tiny = ZOO[name]
    object.__setattr__(tiny, "onnx", False)
    saved = make(tmp_path, tiny) / "torch"
    theirs, ours = SentenceTransformer(str(saved), device="cpu"), encoder_of(saved)
    ours._ahead._budget = tokens
    for kind, encode in (("query", theirs.encode_query), ("document", theirs.encode_document)):
        prompt = tiny.prompts.get("passage") if kind == "document" else None
        alone = ours.spec.similarity == "cosine"
        expected = [encode([text], prompt=prompt, normalize_embeddings=alone) for text in GIVEN]
        np.testing.assert_allclose(
            ours.encode(GIVEN, kind), np.concatenate(expected), atol=CLOSE, rtol=0
        )
    assert all(ours._feeds.values())
    assert len(ours._feeds) == (0 if name == "static" else 2)
    assert ours._forward.unmasked == name.startswith("qwen3")


@pytest.mark.parametrize("tokens", [1, 4096])
@pytest.mark.parametrize("name", JUDGES)
def test_logits_are_those_of_one_pair_at_a_time(tmp_path, name, tokens):
    model = JUDGES[name](tmp_path / "model")
    ours = judge_of(model)
    ours._ahead._budget = tokens
    theirs = CrossEncoder(
        str(model), device="cpu", max_length=ours.spec.max_length,
        activation_fn=torch.nn.Identity(),
    )  # fmt: skip
    let_it_pad(name, theirs.tokenizer, theirs.transformers_model)
    pairs = [*SHORT, *LONG, ("", "a lantern"), ("which", ""), *SHORT]
    expected = np.array([theirs.predict([pair], show_progress_bar=False)[0] for pair in pairs])
    expected = expected[:, 1] - expected[:, 0] if expected.ndim == 2 else expected
    ticks: list[int] = []
    found = ours.score(*map(list, zip(*pairs, strict=True)), ticks.append)
    np.testing.assert_allclose(found, expected, atol=5e-6, rtol=1e-5)
    assert sum(ticks) == len(pairs)
    # The library itself makes what a template makes of a pair.
    (feed,) = ours._feeds.values() or [None]
    assert (feed is None) == (name == "llm-reranker-with-template")
    assert ours._forward.unmasked == name.startswith("qwen3")
    assert ours.score([], [], ticks.append).shape == (0,)


@pytest.fixture(scope="module")
def minilm():
    return encoder_of(ENCODER, max_length=32)


@pytest.fixture(scope="module")
def exact():
    model = SentenceTransformer(str(find_model(ENCODER)), device="cpu")
    model.max_seq_length = 32
    return lambda text: model.encode([text], normalize_embeddings=True)[0]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.text(max_size=60) | st.just("long words " * 40), min_size=1, max_size=12),
    st.sampled_from([1, 40, 4096]),
)
def test_the_real_model_gives_each_text_its_vector(minilm, exact, texts, tokens):
    minilm._ahead._budget = tokens
    found = minilm.encode(texts, "document")
    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    expected = np.stack([exact(text) for text in clean])
    np.testing.assert_allclose(found, expected, atol=CLOSE, rtol=0)


def test_a_lone_surrogate_is_a_question_mark(minilm):
    found = minilm.encode(["a \ud800 b", "a ? b"], "document")
    np.testing.assert_allclose(found[0], found[1], atol=CLOSE)


def test_attention_is_that_of_pytorch(minilm):
    assert minilm.model.transformers_model.config._attn_implementation == "sdpa"


def test_a_decoder_keeps_no_keys(tmp_path):
    model = judge_of(JUDGES["qwen3"](tmp_path / "model")).model.transformers_model
    assert model.config.use_cache is False


def test_where_memory_is_short_batches_are_halved(minilm, monkeypatch):
    whole = minilm.encode(GIVEN, "document")
    inner, sizes = minilm._forward, []

    def small(inputs):
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return inner(inputs)

    monkeypatch.setattr(minilm, "_forward", small)
    minilm._ahead._budget = 4096
    incidents.drain()
    np.testing.assert_allclose(minilm.encode(GIVEN, "document"), whole, atol=CLOSE)
    assert max(sizes) > 2
    assert any("halved" in one for one in incidents.drain())


def test_what_a_killed_run_computed_is_not_computed_again(minilm, monkeypatch, tmp_path):
    with Partial(tmp_path / "kept" / "task", "plan"):
        first = minilm.encode(GIVEN, "document")

    def never(*given):
        raise AssertionError

    monkeypatch.setattr(minilm._ahead, "_compute", never)
    with Partial(tmp_path / "kept" / "task", "plan"):
        np.testing.assert_array_equal(minilm.encode(GIVEN, "document"), first)
        with pytest.raises(AssertionError):  # The prompt of a query may be another.
            minilm.encode(GIVEN, "query")


def test_the_record_of_a_run_counts_its_tokens(minilm):
    device_use.drain()
    minilm.encode(GIVEN, "document")
    (found,) = device_use.drain()["models"]
    made = minilm.model.tokenizer(GIVEN, truncation=True, max_length=32)["input_ids"]
    assert found["tokens"] == sum(map(len, made))
    assert found["tokens_per_second"] > 0
    assert found["utilisation"] is None
    assert device_use.drain() == {}


@pytest.mark.parametrize("ahead", [True, False])
def test_half_precision_is_compared_with_fp32_once(ahead):
    model = encoder_of(ENCODER, dtype="bf16")
    if not ahead:
        model._ahead = None
    device_use.drain()
    model.encode(GIVEN, "document")
    assert device_use.drain()["models"][0]["fidelity"] is None  # It took longer to load.
    model._loading_seconds = 0
    model.encode(GIVEN, "document")
    half = next(one for one in device_use.drain()["models"] if one["dtype"] == "bf16")
    assert half["fidelity"]["texts"] == len(GIVEN)
    assert 0.9 < half["fidelity"]["least_cosine"] < 1
    assert sum("compared with fp32" in one for one in incidents.drain()) == 1
    model.encode(GIVEN, "document")
    (found,) = device_use.drain()["models"]
    assert found["fidelity"] == half["fidelity"]
    assert not incidents.drain()


@pytest.mark.parametrize("ahead", [True, False])
def test_the_comparison_with_fp32_is_no_part_of_the_task(ahead, tmp_path):
    model = encoder_of(ENCODER, dtype="bf16")
    if not ahead:
        model._ahead = None
    model._loading_seconds = 0
    device_use.drain()
    with Partial(tmp_path / "kept" / "task", "plan") as kept:
        first = model.encode(GIVEN, "document")
        assert model._fidelity["least_cosine"] < 1
        assert kept.items == len(GIVEN)
    assert [one["dtype"] for one in device_use.drain()["models"]] == ["bf16"]
    with Partial(tmp_path / "kept" / "task", "plan"):
        np.testing.assert_array_equal(model.encode(GIVEN, "document"), first)
    incidents.drain()


def test_logits_in_half_precision_are_compared_by_their_order(tmp_path):
    model = judge_of(JUDGES["bert"](tmp_path / "model"), dtype="bf16")
    model._loading_seconds = 0
    device_use.drain()
    model.score(*map(list, zip(*SHORT, strict=True)), lambda done: None)
    (found,) = device_use.drain()["models"]
    assert found["fidelity"]["pairs"] == len(SHORT)
    assert found["fidelity"]["rank_correlation"] > 0.5


def test_a_device_computes_in_bf16_where_it_can_unless_told_otherwise(monkeypatch, tmp_path):
    assert dtype_for(None, "mps") == "fp32"
    assert dtype_for("fp32", "cuda") == dtype_for("fp32", "cpu") == "fp32"
    for able, expected in ((True, "bf16"), (False, "fp16")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda able=able, **more: able)
        assert dtype_for(None, "cuda:1") == dtype_for("auto", "cuda") == expected
    known = torch.cpu.get_capabilities()
    able = known.get("amx_bf16") or known.get("avx512_bf16")
    assert dtype_for(None, "cpu") == ("bf16" if able else "fp32")
    flags = {"fpu amx_bf16 amx_tile": "bf16", "avx2 avx512_bf16": "bf16", "avx512_bf16x": "fp32"}
    for n, (said, expected) in enumerate(flags.items()):
        info = tmp_path / f"cpuinfo{n}"
        info.write_text(f"model name\t: amx_bf16\nflags\t\t: {said}\nbugs\t\t: amx_bf16\n")
        monkeypatch.setattr(devices, "CPU_INFO", info)
        assert dtype_for(None, "cpu") == dtype_for("auto", "cpu") == expected
    monkeypatch.setattr(devices, "CPU_INFO", tmp_path / "none")
    assert dtype_for(None, "cpu") == "fp32"


def test_on_another_kind_of_device_a_model_runs_as_suits_it(monkeypatch):
    monkeypatch.setattr(spec_module, "device_for", lambda wanted: wanted)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **more: False)
    here = ModelSpec.find(ENCODER, device="cpu", backend="torch", dtype="fp32")
    there = here.model_copy(update={"device": "cuda", "dtype": "bf16", "batch_tokens": 87381})

    def how(spec):
        return spec.device, spec.dtype, spec.batch_tokens

    assert there.on("cpu", "fp32") == here
    assert there.on("cpu") == here.model_copy(update={"dtype": dtype_for(None, "cpu")})
    assert how(there.on("cpu", "bf16", 512)) == ("cpu", "bf16", 512)
    assert how(there.on("cpu", "auto")) == ("cpu", dtype_for("auto", "cpu"), 1024)
    assert how(there.on("cuda:1")) == ("cuda:1", "bf16", 87381)
    assert how(here.on("cuda")) == ("cuda", "fp32", 87381)
    assert here.on("cpu") == here


def test_an_interrupted_index_keeps_its_precision(tmp_path):
    """Another GPU may lack bf16: the vectors of one index are all made alike."""
    given = {"index": tmp_path / "index", "corpus": ["c.parquet"], "encoder": ENCODER}
    given |= {"device": "cpu", "backend": "torch", "dtype": None, "overwrite": False}
    spec = ModelSpec.find(ENCODER, device="cpu", backend="torch")
    plan = given["index"] / STATE / "plan.json"
    plan.parent.mkdir(parents=True)
    plan.write_text(json.dumps({"encoder": spec.model_dump() | {"dtype": "fp16"}}))

    def precision(**more):
        return _encoder_of(BuildIndexSettings(**given | more)).dtype

    assert precision() == "fp16"
    assert precision(dtype="fp32") == "fp32"
    assert precision(overwrite=True) == spec.dtype
    plan.write_text(json.dumps({"encoder": spec.model_dump() | {"content": "other"}}))
    assert precision() == spec.dtype


def test_an_index_of_an_earlier_version_is_as_it_was(tmp_path):
    """It recorded the default precision, which now is null."""
    write(tmp_path / "c.parquet", id=["a", "b"], text=["a lantern", "a teapot"])
    line = ("build-index", tmp_path / "index", "--corpus", tmp_path / "c.parquet", "--no-dense")
    assert hnmine(*line, "--no-progress").returncode == 0
    for name in ("manifest.json", f"{STATE}/plan.json"):
        file = tmp_path / "index" / name
        assert '"dtype": null' in file.read_text()
        file.write_text(file.read_text().replace('"dtype": null', '"dtype": "fp32"'))
    done = hnmine(*line, "--no-progress")
    assert done.returncode == 0, done.stderr
    assert "other versions" not in done.stderr


@pytest.mark.parametrize("state", ["unfinished", "damaged"])
def test_what_an_earlier_version_began_is_finished(tmp_path, state):
    """It recorded the default precision, which now is null."""
    write(tmp_path / "c.parquet", id=["a", "b"], text=["a lantern", "a teapot"])
    index = tmp_path / "index"
    line = {"corpus": str(tmp_path / "c.parquet"), "index": index, "dense": False}
    build_index(**line, progress=False)
    before, files = content(index), sorted((index / "documents").rglob("*.*"))
    postings = next((index / "bm25").rglob("*.npy"))
    for name in (PLAN, MANIFEST):
        found = json.loads((index / name).read_text())
        found["settings"]["dtype"] = "fp32"
        (index / name).write_text(canonical_json(found))
    for marker in markers_of(index):
        of_it = digest(json.loads((index / PLAN).read_text()))
        marker.write_text(canonical_json(json.loads(marker.read_text()) | {"plan": of_it}))
    (postings if state == "damaged" else index / MANIFEST).unlink()
    stamps = [file.stat().st_mtime_ns for file in files]
    build_index(**line, progress=False)
    assert content(index) == before
    assert [file.stat().st_mtime_ns for file in files] == stamps != []
    with pytest.raises(InputError, match=r"settings\.stemmer") as refused:
        build_index(**line, progress=False, stemmer="german")
    assert "dtype" not in refused.value.why


def test_the_wider_a_model_the_fewer_tokens_a_batch_holds(tmp_path):
    def batch(**config):
        (tmp_path / "config.json").write_text(json.dumps(config))
        return usual_batch(tmp_path, "cuda")

    assert usual_batch(tmp_path, "cpu") == 1024
    assert batch(hidden_size=384) > batch(dim=768) > batch(text_config={"hidden_size": 1024})
    assert batch(hidden_size=1024) == batch() == 32768
    assert batch(hidden_size=100_000) == 16384
    assert batch(hidden_size=1) == batch(hidden_size=64) == 131072


def test_blocks_of_texts_are_as_large_as_the_encoder_asks_for(tmp_path):
    class Encoder:
        at_once, sizes = 5000, []

        def encode(self, texts, kind):
            self.sizes.append(len(texts))
            return np.ones((len(texts), 2), np.float32)

    write_vectors(iter(["a"] * 12_000), Encoder(), tmp_path / "v.npy", lambda done: None)
    assert sum(Encoder.sizes) == 12_000
    assert len(Encoder.sizes) == 3
