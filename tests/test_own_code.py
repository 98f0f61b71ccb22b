"""Models with code of their own are refused before any library looks at them."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
from checkpoints import with_modules
from conftest import CROSS_ENCODER, ENCODER, hnmine, mined_by_words

import hnmine as api
from hnmine.config import ValidateSettings
from hnmine.encode import load_cross_encoder, load_encoder
from hnmine.encode.installed import BI_ENCODER, installed
from hnmine.encode.locate import find_model
from hnmine.encode.spec import ModelSpec
from hnmine.errors import HnmineError, MissingModel
from hnmine.validate.validating import validate

MODULES = "modules.json"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A bi-encoder and a cross-encoder that can be loaded."""
    folder = tmp_path_factory.mktemp("saved")
    with_modules(folder / "bi")
    with_modules(folder / "ce", judges=True)
    return folder


@pytest.fixture(scope="module")
def candidates(tmp_path_factory, stdlib):
    return mined_by_words(stdlib, tmp_path_factory.mktemp("words"), top_k=3)


def change(file: Path, **settings):
    """Put settings into a JSON file, which may not be there yet."""
    content = json.loads(file.read_text()) if file.exists() else {}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content | settings))


def module(model: Path, **settings):
    """Put settings into the last module of a model."""
    *others, last = json.loads((model / MODULES).read_text())
    (model / MODULES).write_text(json.dumps([*others, last | settings]))


def code(folder: Path, ran: Path):
    """Write a module, Python's way and a model's, that leaves a trace if it runs."""
    text = f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n"
    text += "from sentence_transformers.base.modules import Transformer\n"
    text += "class Evil(Transformer): pass\n"
    (folder / "evil.py").write_text(text)


class Bomb:
    def __init__(self, ran: Path):
        self.ran = ran

    def __reduce__(self):
        return os.mkdir, (str(self.ran),)


def pickled(model: Path, ran: Path):
    """Replace the weights by a pickle that runs what it likes, and ask for it to be trusted."""
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(ran), protocol=2))
    change(model / "sentence_bert_config.json", model_args={"weights_only": False})


def checked(**settings):
    """Raise what `hnmine validate` finds."""
    report = validate(ValidateSettings(**settings))
    raise HnmineError("\n".join(report.lines()))


ROUTES = {"evil_route": "evil.Evil"}
KINDS = {
    "type": lambda m: module(m, type="evil.Evil"),
    "type of an installed package": lambda m: module(m, type="os.path"),
    "a name that only begins alike": lambda m: module(m, type="sentence_transformers_evil.Evil"),
    "a module that is imported there": lambda m: module(
        m, type="sentence_transformers.base.model.pickle"
    ),
    "no type": lambda m: module(m, type=None),
    "a folder outside": lambda m: module(m, path="../other"),
    "a hidden folder": lambda m: module(m, path=".hidden"),
    "routes": lambda m: change(m / "3_Router" / "router_config.json", types=ROUTES),
    "old routes": lambda m: change(m / "3_Asym" / "config.json", types=ROUTES),
    "modules within": lambda m: (
        (m / "3_Nested").mkdir(),
        (m / "3_Nested" / MODULES).write_text('[{"path": "", "type": "evil.Evil"}]'),
    ),
    "modules in a hidden folder": lambda m: (
        (m / ".hidden").mkdir(),
        (m / ".hidden" / MODULES).write_text('[{"path": "", "type": "evil.Evil"}]'),
    ),
    "auto_map": lambda m: change(m / "config.json", auto_map={"AutoModel": "evil.Evil"}),
    "auto_map of a tokeniser": lambda m: change(
        m / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Evil", None]}
    ),
    "auto_map of a processor": lambda m: change(
        m / "preprocessor_config.json", auto_map={"AutoProcessor": "evil.Evil"}
    ),
    "trust": lambda m: change(
        m / "sentence_bert_config.json", model_args={"trust_remote_code": True}
    ),
    "trust for a tokeniser": lambda m: change(
        m / "sentence_bert_config.json", processor_kwargs={"trust_remote_code": True}
    ),
    "trust for an old model": lambda m: change(
        m / "sentence_roberta_config.json", config_args={"trust_remote_code": 1}
    ),
    "trust in pickles": lambda m: change(
        m / "sentence_bert_config.json", model_kwargs={"weights_only": False}
    ),
    "kernels": lambda m: change(m / "sentence_bert_config.json", model_args={"use_kernels": True}),
    "a kernel on the hub": lambda m: change(
        m / "config.json", attn_implementation="somebody/attention"
    ),
    "activation": lambda m: change(m / "config_sentence_transformers.json", activation_fn="evil.E"),
    "activation in the configuration": lambda m: change(
        m / "config.json", sentence_transformers={"activation_fn": "os.getcwd"}
    ),
    "old activation": lambda m: change(
        m / "config.json", sbert_ce_default_activation_function="evil.Evil"
    ),
    "activation of a layer": lambda m: change(
        m / "3_Dense" / "config.json", activation_function="evil.Evil"
    ),
    "a function of torch": lambda m: change(
        m / "config_sentence_transformers.json", activation_fn="torch.utils.collect_env.main"
    ),
    "tokenizer_class": lambda m: change(
        m / "3_Words" / "wordembedding_config.json", tokenizer_class="evil.Evil"
    ),
    "an adapter's library": lambda m: change(
        m / "adapter_config.json", auto_mapping={"parent_library": "evil"}
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("which", ["bi", "ce"])
def test_whatever_names_code_is_refused_by_name(saved, tmp_path, kind, which):
    model, ran = tmp_path / "model", tmp_path / "ran"
    shutil.copytree(saved / which, model)
    assert find_model(str(model)) == model
    code(model, ran)
    KINDS[kind](model)
    with pytest.raises(MissingModel, match=r"is refused: .*\.json could make it run code"):
        find_model(str(model))
    assert not ran.exists()


def test_a_symlinked_folder_is_looked_into(saved, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(saved / "bi", model)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / MODULES).write_text('[{"path": "", "type": "evil.Evil"}]')
    (model / "3_Nested").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MissingModel, match=r"3_Nested/modules\.json"):
        find_model(str(model))


@pytest.mark.parametrize("name", [MODULES, "config.json"])
def test_what_is_too_deep_to_be_read_is_refused(saved, tmp_path, name):
    model = tmp_path / "model"
    shutil.copytree(saved / "bi", model)
    (model / name).write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(MissingModel, match="nested deeper"):
        find_model(str(model))


@pytest.mark.parametrize(
    "config",
    ["[1]", "{", "[" * 99_999, '{"architectures": 1}', '{"architectures": [1]}',
     '{"num_labels": "x"}', '{"max_position_embeddings": "x"}', '{"id2label": 3}'],
)  # fmt: skip
def test_the_list_of_models_says_which_are_damaged(saved, tmp_path, config):
    shutil.copytree(saved / "bi", tmp_path / "bi")
    (tmp_path / "bi" / "config.json").write_text(config)
    (found,) = (
        model for model in installed([tmp_path]).models if model.name == str(tmp_path / "bi")
    )
    assert (found.note and not found.backend) or found.kind == BI_ENCODER


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_models_without_code_of_their_own_are_loaded(saved, backend):
    for name, load in (("bi", load_encoder), ("ce", load_cross_encoder)):
        load(ModelSpec.find(str(saved / name), backend=backend, device="cpu"), 1)
    for name in (ENCODER, CROSS_ENCODER):
        find_model(name)


def test_a_pickle_is_not_trusted_even_if_the_file_that_asks_for_it_were_missed(
    saved, tmp_path, monkeypatch
):
    monkeypatch.setattr("hnmine.encode.locate.refuse_own_code", lambda folder: None)
    for which, load in (("bi", load_encoder), ("ce", load_cross_encoder)):
        model, ran = tmp_path / which, tmp_path / f"{which}-ran"
        shutil.copytree(saved / which, model)
        pickled(model, ran)
        with pytest.raises(MissingModel, match="cannot be loaded"):
            load(ModelSpec.find(str(model), device="cpu", backend="torch"), 1)
        assert not ran.exists()


def test_a_dotted_package_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "evil").mkdir()
    code(tmp_path / "evil", tmp_path / "ran")
    (tmp_path / "evil" / "evil.py").rename(tmp_path / "evil" / "__init__.py")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingModel, match="is not installed"):
        find_model("pkg:evil.sub/model")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("how", ["type", "pickle"])
def test_every_command_refuses_them(saved, stdlib, candidates, tmp_path, how):
    ran = tmp_path / "ran"
    for which in ("bi", "ce"):
        model = tmp_path / which
        shutil.copytree(saved / which, model)
        code(model, ran)
        if how == "pickle":
            pickled(model, ran)
        else:
            module(model, type="evil.Evil")
    bi, ce = str(tmp_path / "bi"), str(tmp_path / "ce")
    corpus, pairs = str(stdlib / "corpus.parquet"), str(stdlib / "pairs.parquet")
    mined = {"candidates": candidates, "output": tmp_path / "mined"}
    commands = (
        lambda: api.build_index(corpus=corpus, encoder=bi, index=tmp_path / "index"),
        lambda: api.filter(**mined, cross_encoder=ce),
        lambda: api.filter(**mined, cross_encoder=ce, lazy=True, margin=3),
        lambda: api.filter(**mined, judge=[ce]),
        lambda: api.filter(**mined, judge=[bi]),
        lambda: checked(corpus=corpus, pairs=pairs, encoder=bi),
        lambda: checked(corpus=corpus, pairs=pairs, encoder=ENCODER, cross_encoder=ce),
    )
    for command in commands:
        with pytest.raises(HnmineError, match="is refused"):
            command()
        assert not ran.exists()
    listed = hnmine("models", "--folder", tmp_path, cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count("is refused") == 2
    assert not ran.exists()
