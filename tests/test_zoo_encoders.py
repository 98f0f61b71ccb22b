from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from checkpoints import plain
from zoo_encoders import LIMIT, PROMPTS, TEXTS, ZOO, Tiny, backends, difference, make

from hnmine.encode import load_encoder
from hnmine.encode.declared import Prompts
from hnmine.encode.spec import ModelSpec
from hnmine.errors import MissingModel, UsageError


@pytest.mark.parametrize("name", ZOO)
def test_vectors_are_those_of_sentence_transformers(tmp_path, name):
    tiny = ZOO[name]
    make(tmp_path, tiny)
    for backend in backends(tiny):
        assert difference(tmp_path, tiny, backend) < 2e-6, backend


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return make(tmp_path_factory.mktemp("bert"), Tiny(more=("dense",), prompts=PROMPTS))


def changed(bert, folder, file="config_sentence_transformers.json", **more):
    """Copy the graph with another setting."""
    shutil.copytree(bert / "onnx", folder)
    config = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**config, **more}))
    return str(folder)


def test_the_pooling_used_is_said(bert, tmp_path):
    for mode, flags in (("cls+max", {"pooling_mode": ["cls", "max"]}), ("mean", {})):
        folder = changed(bert, tmp_path / mode, "1_Pooling/config.json", **flags)
        shutil.rmtree(tmp_path / mode / "2_Dense")
        (tmp_path / mode / "modules.json").unlink()
        assert load_encoder(ModelSpec.find(folder), 1).pooling == mode
    assert load_encoder(ModelSpec.find(str(bert / "torch"), device="cpu"), 1).pooling == "mean"


@pytest.mark.parametrize(
    ("file", "more", "message"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "median"}, "pools by 'median'"),
        ("2_Dense/config.json", {"activation_function": "torch.nn.modules.activation.PReLU"},
         "PReLU|cannot be run"),
        ("2_Dense/config.json", {"module_input_name": "token_embeddings"}, "cannot run"),
        ("config_sentence_transformers.json", {"similarity_fn_name": "euclidean"}, "'euclidean'"),
        ("config_sentence_transformers.json", {"prompts": ["query: "]}, "damaged"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(bert, tmp_path, file, more, message):
    folder = changed(bert, tmp_path / "model", file, **more)
    with pytest.raises(MissingModel, match=message):
        load_encoder(ModelSpec.find(folder), 1)


def test_modules_that_are_not_known_or_not_there_are_refused(bert, tmp_path):
    for name in ("LSTM", "WordWeights"):
        folder = tmp_path / name
        shutil.copytree(bert / "onnx", folder)
        modules = json.loads((folder / "modules.json").read_text())
        modules[2]["type"] = f"sentence_transformers.models.{name}"
        (folder / "modules.json").write_text(json.dumps(modules))
        with pytest.raises(MissingModel, match=f"a module {name}"):
            ModelSpec.find(str(folder))
    pickled = tmp_path / "pickled"
    shutil.copytree(bert / "onnx", pickled)
    (pickled / "2_Dense" / "model.safetensors").rename(pickled / "2_Dense" / "pytorch_model.bin")
    (pickled / "0").mkdir()
    (pickled / "2_Dense" / "pytorch_model.bin").rename(pickled / "0" / "weights")
    with pytest.raises(MissingModel, match="reads no pickled weights"):
        load_encoder(ModelSpec.find(str(pickled)), 1)
    (pickled / "modules.json").unlink()
    with pytest.raises(MissingModel, match=r"no modules\.json"):
        ModelSpec.find(str(pickled))


def test_a_spec_of_an_earlier_version_encodes_as_it_did_then(bert):
    """Null meant mean or cls without further modules in a graph, and no prompt."""
    spec = ModelSpec.find(str(bert / "onnx"))
    earlier = {
        key: None if key in ("query_prompt", "document_prompt") else value
        for key, value in spec.model_dump().items()
        if key not in ("prompts_not_used", "own_modules")
    }
    old = load_encoder(ModelSpec.model_validate(earlier), 1).encode(TEXTS, "query")
    new = load_encoder(spec, 1).encode(TEXTS, "query")
    assert (old.shape[1], new.shape[1]) == (32, 16)
    plain = spec.model_copy(update={"query_prompt": "", "own_modules": False})
    assert np.array_equal(load_encoder(plain, 1).encode(TEXTS, "query"), old)
    torch = ModelSpec.find(str(bert / "torch"), device="cpu", backend="torch")
    assert torch.query_prompt == PROMPTS["query"]
    null = torch.model_copy(update={"query_prompt": None, "document_prompt": None})
    for kind in ("query", "document"):
        expected = load_encoder(torch, 1).encode(TEXTS, kind)
        np.testing.assert_allclose(load_encoder(null, 1).encode(TEXTS, kind), expected, atol=1e-6)


def test_fewer_dimensions_are_cut_before_the_length_is_made_1(bert):
    whole = load_encoder(ModelSpec.find(str(bert / "onnx")), 1).encode(TEXTS, "document")
    for place, backend in (("onnx", "auto"), ("torch", "torch"), ("torch", "openvino")):
        spec = ModelSpec.find(
            str(bert / place), device="cpu", backend=backend, dtype="fp32", truncate_dim=5
        )
        cut = load_encoder(spec, 1).encode(TEXTS, "document")
        expected = whole[:, :5] / np.linalg.norm(whole[:, :5], axis=1, keepdims=True)
        np.testing.assert_allclose(cut, expected, atol=1e-5)
        with pytest.raises(UsageError, match="--truncate-dim 17 is more"):
            more = spec.model_copy(update={"truncate_dim": 17})
            load_encoder(more, 1).encode(TEXTS[:1], "query")


def test_a_text_beyond_the_limit_is_cut_with_its_prompt(bert):
    spec = ModelSpec.find(str(bert / "onnx"))
    encoder = load_encoder(spec, 1)
    one, other = (encoder.encode(["word " * n], "query") for n in (LIMIT, 2 * LIMIT))
    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("prompts", "default", "expected"),
    [
        ({"query": "q", "passage": "p"}, None, ("q", "p", ())),
        ({"query": "q", "document": "", "passage": "p"}, None, ("q", "p", ())),
        ({"query": "", "s2p_query": "q"}, None, ("q", "", ())),
        ({"s2p_query": "q", "s2s_query": "s"}, None, ("q", "", ("s2s_query",))),
        (
            {"web_search_query": "w", "sts_query": "s", "summarization_query": "z"},
            None,
            ("w", "", ("sts_query", "summarization_query")),
        ),
        (
            {"retrieval.query": "q", "retrieval.passage": "p", "text-matching": "t"},
            None,
            ("q", "p", ("text-matching",)),
        ),
        (
            {"search_query": "q", "search_document": "d", "clustering": "c"},
            None,
            ("q", "d", ("clustering",)),
        ),
        (
            {"query": "q", "document": "d", "Retrieval-query": "r", "STS": "s"},
            None,
            ("q", "d", ("Retrieval-query", "STS")),
        ),
        ({"query": "q", "text": "t"}, None, ("q", "t", ())),
        ({"Query prompt": "q", "corpus": "c"}, None, ("q", "c", ())),
        # Several tasks, none of which is search.
        ({"a_query": "a", "b_query": "b"}, None, ("", "", ("a_query", "b_query"))),
        ({"a_query": "a", "b_query": "b"}, "b_query", ("b", "", ("a_query",))),
        ({"classify": "c", "cluster": "k"}, None, ("", "", ("classify", "cluster"))),
        ({"classify": "c", "retrieve": "r"}, "retrieve", ("r", "r", ("classify",))),
        ({"query": "q", "retrieve": "r"}, "retrieve", ("q", "", ("retrieve",))),
        ({"query_document": "x"}, None, ("", "", ("query_document",))),
    ],
)
def test_prompts_are_found_whatever_they_are_called(prompts, default, expected):
    found = Prompts.choose(prompts, default)
    assert (found.query, found.document, found.not_used) == expected
    given = Prompts.choose(prompts, default, query="mine ", document="")
    assert (given.query, given.document) == ("mine ", "")
    assert set(given.not_used) == {name for name, text in prompts.items() if text}


def theirs(folder, texts):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    return model.encode_document(texts, normalize_embeddings=True)


def ours(folder, texts):
    spec = ModelSpec.find(str(folder), device="cpu", dtype="fp32")
    return load_encoder(spec, 1).encode(texts, "document")


@pytest.fixture
def pooled(tmp_path):
    """A BERT whose vectors are those of its own pooler."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    modules = [Transformer(str(plain(tmp_path / "plain"))), Pooling(32)]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "pooled"))
    edited = {
        "sentence_bert_config.json": lambda found: (
            found
            | {
                "modality_config": {
                    "text": {"method": "forward", "method_output_name": "pooler_output"}
                },
                "module_output_name": "sentence_embedding",
            }
        ),
        "modules.json": lambda found: found[:1],
    }
    for name, edit in edited.items():
        file = tmp_path / "pooled" / name
        file.write_text(json.dumps(edit(json.loads(file.read_text()))))
    return tmp_path / "pooled"


def test_a_pooler_of_the_model_is_run_by_pytorch(pooled):
    np.testing.assert_allclose(ours(pooled, TEXTS), theirs(pooled, TEXTS), atol=2e-6)
    with pytest.raises(UsageError, match="vectors are made of pooler_output"):
        ModelSpec.find(str(pooled), device="cpu", backend="openvino")


def test_a_pooler_without_weights_is_never_drawn_at_random(pooled):
    from safetensors.torch import load_file, save_file

    weights = pooled / "model.safetensors"
    kept = {key: value for key, value in load_file(weights).items() if "pooler" not in key}
    save_file(kept, weights, metadata={"format": "pt"})
    with pytest.raises(MissingModel, match=r"lacks weights: pooler\.dense"):
        ours(pooled, TEXTS)


def test_a_router_is_run_by_pytorch(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Router, Transformer

    base = str(plain(tmp_path / "plain"))
    sides = [[Transformer(base), Pooling(32)] for _ in range(2)]
    router = Router.for_query_document(*sides)
    SentenceTransformer(modules=[router], device="cpu").save(str(tmp_path / "router"))
    found = ours(tmp_path / "router", TEXTS)
    np.testing.assert_allclose(found, theirs(tmp_path / "router", TEXTS), atol=2e-6)


def test_a_graph_that_gives_the_pooler_first_is_pooled_as_its_folder_says(bert, tmp_path):
    import onnx

    folder = tmp_path / "m"
    shutil.copytree(bert / "onnx", folder)
    expected = ours(folder, TEXTS)
    graph = onnx.load(folder / "model.onnx")
    (tokens,) = graph.graph.output
    mean = onnx.helper.make_node("ReduceMean", [tokens.name], ["pooler_output"], axes=[1])
    mean.attribute.append(onnx.helper.make_attribute("keepdims", 0))
    graph.graph.node.append(mean)
    pooler = onnx.helper.make_tensor_value_info("pooler_output", 1, ["b", 32])
    graph.graph.output.insert(0, pooler)
    onnx.save(graph, folder / "model.onnx")
    np.testing.assert_array_equal(ours(folder, TEXTS), expected)


def test_a_graph_is_cut_at_the_side_that_its_tokeniser_says(tmp_path):
    tiny = Tiny()
    make(tmp_path, tiny)
    for place in (tmp_path / "torch", tmp_path / "onnx"):
        file = place / "tokenizer_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"truncation_side": "left"}))
    long = ["lantern " * 200 + "harbour oil market teapot"]
    assert difference(tmp_path, tiny, "onnx") < 2e-6
    kept = ours(tmp_path / "onnx", long)
    assert np.abs(kept - ours(tmp_path / "onnx", ["lantern " * 300])).max() > 1e-3
