"""Tell what a model is by its files, without loading weights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hnmine.encode.limits import transformer_folder
from hnmine.encode.locate import is_onnx, modules_of, read_json
from hnmine.encode.weights import Graph, Shapes, graph_of, tensors_of
from hnmine.errors import MissingModel
from hnmine.runner.plan import Json

Role = Literal[
    "bi-encoder", "static model", "cross-encoder", "LLM reranker", "late-interaction model",
    "sparse encoder", "adapter", "text generator", "model of another kind",
]  # fmt: skip
Use = Literal["encoder", "cross-encoder"]

USES: dict[Role, Use] = {
    "bi-encoder": "encoder",
    "static model": "encoder",
    "cross-encoder": "cross-encoder",
    "LLM reranker": "cross-encoder",
}
"""How hnmine uses a model; it cannot use the other roles."""

MOST_OUTPUTS = 2
"""Outputs of a classifier that judges relevance: one logit, or irrelevant and relevant."""

TEXT_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
"""Outputs of a tokeniser; hnmine cannot run a graph that needs more."""

SPARSE = {"CSRSparsity", "IDF", "MLMTransformer", "SparseAutoEncoder", "SparseStaticEmbedding"}
SPARSE |= {"SpladePooling"}
LATE = {"MultiVectorMask", "HierarchicalTokenPooling", "LambdaTokenPooling"}
HEAD = re.compile(r"classif|score|head|logits|summary|output_layer|proj_out|(^|\.)cls\.", re.I)
"""Names of the classification heads of many models."""

SCORES = re.compile(
    r"(^|\.)(classifier|score|classification_head|logits_proj)(\.out_proj)?\.weight$"
)
GENERATES = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
COMPARES = ("Model", "ForMaskedLM", "ForPreTraining")

MASKED = (
    "was trained to fill in words, not to compare texts, and says nothing of pooling: the mean of "
    "its token vectors is taken."
)


@dataclass(frozen=True)
class Found:
    """What a model is.

    Attributes:
        role: what it was made for.
        why: the evidence in its files, a whole sentence.
        outputs: numbers that it gives for a pair; None where its files do not say.
        fault: why it cannot be used in its role; empty if it can.
        note: a warning to the user.
    """

    role: Role
    why: str
    outputs: int | None = None
    fault: str = ""
    note: str = ""

    @property
    def a_role(self) -> str:
        """The role with its article."""
        return f"{'an' if self.role[0] in 'aeiouL' else 'a'} {self.role}"

    @property
    def use(self) -> Use | None:
        """How it can be used; None if hnmine cannot use it."""
        return None if self.fault else USES.get(self.role)


def what_is(folder: Path) -> Found:
    """Return what the model in a folder is.

    Raises:
        MissingModel: one of them is damaged.
    """
    place = transformer_folder(folder)
    for inside in (folder, place):
        if (inside / "adapter_config.json").exists():
            base = read_json(inside, "adapter_config.json").get("base_model_name_or_path")
            return Found("adapter", f"adapter_config.json says that it changes the model {base}.")
    config = read_json(place, "config.json")
    kinds = _kinds(folder)
    found = _special(folder, place, config, kinds)
    if found is None and is_onnx(folder):
        found = _by_graph(graph_of(folder), config)
    elif found is None:
        tensors = tensors_of(place)
        found = _by_modules(folder, place, config, tensors, kinds) if kinds else None
        if found is None and not config:
            raise MissingModel(
                f"The model {folder} cannot be loaded.",
                why="It has neither a modules.json nor a config.json.",
                fix="Check its path, and that none of its files is missing.",
            )
        found = found or _by_architecture(config, tensors)
    return found


def _kinds(folder: Path) -> list[str]:
    """Return the types of a model's modules, including those behind a router."""
    types = [str(module.get("type", "")) for module in modules_of(folder)]
    routed = read_json(folder, "router_config.json").get("types")
    return [*types, *(map(str, routed.values()) if isinstance(routed, dict) else ())]


def _special(folder: Path, place: Path, config: Json, kinds: list[str]) -> Found | None:
    """Recognise models that give more, or other, than a vector or a class."""
    about = read_json(folder, "config_sentence_transformers.json")
    made_as, task = about.get("model_type"), _task(place)
    names = {kind.rpartition(".")[2] for kind in kinds}
    named = _named(config)
    if made_as == "SparseEncoder" or names & SPARSE or task == "fill-mask":
        listed = ", ".join(sorted(names & SPARSE)) or made_as or task
        return Found("sparse encoder", f"Its modules say so: {listed}.")
    if "splade" in str(config.get("_name_or_path", "")).lower() and not kinds:
        return Found("sparse encoder", f"config.json names it {config['_name_or_path']}.")
    if made_as == "MultiVectorEncoder" or names & LATE or task == "retrieval":
        listed = ", ".join(sorted(names & LATE)) or made_as or task
        return Found("late-interaction model", f"Its modules say so: {listed}.")
    if {"query_prefix", "document_prefix"} <= about.keys():
        return Found("late-interaction model", "PyLate saved it: it has a prefix for each side.")
    if (folder / "artifact.metadata").exists() or any("ColBERT" in name for name in named):
        why = f"config.json says {', '.join(named)}." if named else "It has artifact.metadata."
        return Found("late-interaction model", f"It is a ColBERT: {why}")
    if "LogitScore" in names:
        why = "Its LogitScore module scores a pair by the tokens of its answer."
        fault = "its ONNX graph cannot be run for that." if is_onnx(folder) else ""
        return Found("LLM reranker", why, 1, fault)
    return None


def _task(place: Path) -> object:
    return read_json(place, "sentence_bert_config.json").get("transformer_task")


def _named(config: Json) -> list[str]:
    names = config.get("architectures")
    return [str(name) for name in names] if isinstance(names, list) else []


def _by_graph(graph: Graph, config: Json) -> Found:
    """Tell by the output of an ONNX graph: a vector for each token or text, or scores."""
    shape = graph.shape
    why = f"Its graph gives {graph.output}[{', '.join(map(str, shape))}]."
    more = ", ".join(sorted(graph.inputs - TEXT_INPUTS))
    fault = f"its graph needs more than a text: {more}." if more else ""
    classes = graph.output.lower() in ("logits", "scores", "score")
    if len(shape) > 2:
        if classes:
            return Found("text generator", why)
        return Found("bi-encoder", why, fault=fault)
    last = shape[1] if len(shape) == 2 else 1
    if not isinstance(last, int) and not (classes or _classifies(config)):
        return Found("bi-encoder", why, fault=fault)
    outputs = last if isinstance(last, int) else _labels(config)
    if outputs is not None and outputs > MOST_OUTPUTS and not (classes or _classifies(config)):
        return Found("bi-encoder", why, fault=fault)
    return _classifier(why, outputs, fault)


def _by_modules(
    folder: Path, place: Path, config: Json, tensors: Shapes | None, kinds: list[str]
) -> Found | None:
    """Tell by the modules of a sentence-transformers model; None where they do not say."""
    names = [kind.rpartition(".")[2] for kind in kinds]
    listed = f"modules.json lists {', '.join(names)}."
    made_as = read_json(folder, "config_sentence_transformers.json").get("model_type")
    if "StaticEmbedding" in names and "Transformer" not in names:
        return Found("static model", listed)
    own = [str(module.get("type", "")) for module in modules_of(folder)]
    if any(name.endswith(".Transformer") for name in own) and not config:
        raise MissingModel(
            f"The model {folder} is incomplete.",
            why=f"modules.json lists a Transformer, and {place / 'config.json'} is missing.",
            fix="Copy the model again.",
        )
    dense = [module for module in modules_of(folder) if module.get("type", "").endswith(".Dense")]
    last = read_json(folder / dense[-1].get("path", ""), "config.json") if dense else {}
    if last.get("module_output_name") == "scores":
        return _classifier(f"{listed} The last gives scores.", last.get("out_features"))
    if any(name.endswith(GENERATES) for name in _named(config)) and "Pooling" not in names:
        return Found("text generator", f"{listed} None scores the tokens of its answer.")
    if made_as == "CrossEncoder" or _task(place) == "sequence-classification":
        return _headed(f"{listed} It was saved as a CrossEncoder.", config, tensors)
    if any(name.startswith(("Pooling", "Word", "BoW", "CLIP", "Router", "Asym")) for name in names):
        return Found("bi-encoder", listed)
    whole = read_json(place, "sentence_bert_config.json").get("module_output_name")
    if whole == "sentence_embedding" or "StaticEmbedding" in names:
        return Found("bi-encoder", listed)
    if _classifies(config):
        return None
    return Found("model of another kind", f"{listed} None makes one vector of a text's tokens.")


def _by_architecture(config: Json, tensors: Shapes | None) -> Found:
    """Tell by the class that transformers saved."""
    named = _named(config)
    shown = f"config.json says {', '.join(named)}." if named else "config.json names no class."
    if not named:
        return _unnamed(shown, config, tensors)
    if _classifies(config):
        return _headed(shown, config, tensors)
    if config.get("model_type") == "model2vec":
        return Found("model of another kind", f"{shown} It is of model2vec, without modules.json.")
    if any(name.endswith(GENERATES) for name in named):
        return Found("text generator", f"{shown} Nothing says which of its tokens mean relevant.")
    if any(name.endswith(COMPARES) for name in named):
        linear = (tensors or {}).get("linear.weight", ())
        if len(linear) == 2 and linear[0] < linear[1]:
            why = f"{shown} Beside it there is a projection of each token, as ColBERT has."
            return Found("late-interaction model", why)
        note = MASKED if not named[0].endswith("Model") else ""
        return Found("bi-encoder", shown, note=note)
    return Found("model of another kind", shown)


def _unnamed(shown: str, config: Json, tensors: Shapes | None) -> Found:
    """Tell by the names of the tensors."""
    names = list(tensors or ())
    if any(map(SCORES.search, names)):
        return _headed(f"{shown} Its weights have a classification head.", config, tensors)
    if "lm_head.weight" in names:
        return Found("text generator", f"{shown} Its weights have the head of one.")
    if not config.get("model_type"):
        return Found("model of another kind", "config.json names neither a class nor a type.")
    return Found("bi-encoder", f"{shown} Its weights have no head.")


def _headed(why: str, config: Json, tensors: Shapes | None) -> Found:
    """Return a cross-encoder, whose weights must have a head where hnmine can read them."""
    if tensors is not None and not any(map(HEAD.search, tensors)):
        fault = "its weights have no classification head."
        lost = f"{why} PyTorch would draw its weights at random in each process."
        return Found("cross-encoder", lost, fault=fault)
    shapes = [shape for name, shape in (tensors or {}).items() if SCORES.search(name)]
    return _classifier(why, shapes[-1][0] if shapes and shapes[-1] else _labels(config))


def _classifier(why: str, outputs: int | None, fault: str = "") -> Found:
    if outputs is not None and outputs > MOST_OUTPUTS:
        fault = f"it has {outputs} outputs. One that judges relevance has one, or two (irrelevant, "
        fault += "relevant)."
    return Found("cross-encoder", why, outputs, fault)


def _classifies(config: Json) -> bool:
    return any(name.endswith("ForSequenceClassification") for name in _named(config))


def _labels(config: Json) -> int | None:
    """Return the number of classes in a configuration; transformers leaves out the usual 2."""
    listed = config.get("id2label")
    number = config.get("num_labels") or (len(listed) if isinstance(listed, dict) else 2)
    return number if isinstance(number, int) else None
