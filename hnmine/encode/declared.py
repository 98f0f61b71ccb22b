"""What the files of a bi-encoder say of its prompts, its similarity and its pooling."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hnmine.encode.locate import read_json
from hnmine.encode.pooling import Pipeline, pooled_before
from hnmine.encode.prompts import Prompts
from hnmine.errors import MissingModel

if TYPE_CHECKING:
    from hnmine.encode.spec import ModelSpec

CONFIG = "config_sentence_transformers.json"
BI_ENCODER = "SentenceTransformer"
SIMILARITIES = {"cosine": "cosine", "dot": "dot", "dot_product": "dot"}
"""By the names of sentence-transformers."""


def declared(folder: Path, onnx: bool, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a `ModelSpec` that the user and the model's own files decide.

    A field whose value meant the same before it was recorded keeps its default, so that earlier
    manifests stay as they are: no prompt in a model without prompts is null.

    Args:
        folder: of the model.
        onnx: whether it is run as an ONNX graph.
        given: the fields that the user decided.

    Raises:
        MissingModel: the files are damaged, or ask for what hnmine does not do.
    """
    config = read_json(folder, CONFIG)
    fields = dict(given)
    if config.get("model_type", BI_ENCODER) != BI_ENCODER:
        return fields
    own = _own_prompts(folder, config)
    if any(own.values()):
        by_user = (given.get("query_prompt"), given.get("document_prompt"))
        prompts = Prompts.choose(own, config.get("default_prompt_name"), *by_user)
        fields["query_prompt"], fields["document_prompt"] = prompts.query, prompts.document
        fields["prompts_not_used"] = prompts.not_used
    fields["similarity"] = given.get("similarity") or _similarity(folder, config)
    if not onnx:
        return fields
    if fields.get("truncate_dim") is None:
        fields["truncate_dim"] = config.get("truncate_dim")
    pipeline = Pipeline.read(folder, given.get("pooling"))
    if pipeline.pooling != (given.get("pooling") or pooled_before(folder)):
        fields["pooling"] = pipeline.pooling
    if pipeline.has_more or (pipeline.normalizes and fields["similarity"] == "dot"):
        fields["own_modules"] = True
    return fields


def as_before(spec: ModelSpec, recorded: Mapping[str, Any]) -> ModelSpec:
    """Return a spec without its prompts if an earlier version recorded null and meant the same.

    Null meant what `encode_query` and `encode_document` of sentence-transformers put before a text,
    and nothing before that of an ONNX graph.
    """
    keys = ("query_prompt", "document_prompt")
    if recorded.get("content") != spec.content or "prompts_not_used" in recorded:
        return spec
    if any(recorded.get(key, "") is not None for key in keys):
        return spec
    own = _own_prompts(spec.folder(), read_json(spec.folder(), CONFIG))
    meant = [own.get(name) or "" for name in ("query", "document")]
    if [spec.query_prompt, spec.document_prompt] != (["", ""] if spec.backend == "onnx" else meant):
        return spec
    return spec.model_copy(update=dict.fromkeys(keys) | {"prompts_not_used": ()})


def explained(spec: ModelSpec) -> str:
    """Say what of a bi-encoder's own settings is used; empty where it has none."""
    parts = []
    if spec.query_prompt or spec.document_prompt or spec.prompts_not_used:
        parts.append(
            f"puts {spec.query_prompt or ''!r} before queries and {spec.document_prompt or ''!r} "
            "before documents"
        )
    if spec.similarity == "dot":
        parts.append("compares by dot product")
    if spec.pooling:
        parts.append(f"pools by {spec.pooling}")
    if spec.truncate_dim:
        parts.append(f"keeps {spec.truncate_dim:,} dimensions")
    if not parts:
        return ""
    rest = ", ".join(spec.prompts_not_used)
    unused = f" Its other prompts are not used: {rest}." if rest else ""
    advice = " Set others with --query-prompt and --document-prompt." if unused else ""
    return f"The encoder {spec.model} {', '.join(parts)}.{unused}{advice}"


def _own_prompts(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    found = config.get("prompts") or {}
    known = isinstance(found, dict) and all(
        text is None or isinstance(text, str) for text in found.values()
    )
    if not known:
        raise MissingModel(
            f"The model file {folder / CONFIG} is damaged.",
            why="Its prompts are no texts by name.",
            fix="Correct them, or copy the model again.",
        )
    return {name: text or "" for name, text in found.items()}


def _similarity(folder: Path, config: Mapping[str, Any]) -> str:
    name = config.get("similarity_fn_name") or "cosine"
    if name not in SIMILARITIES:
        raise MissingModel(
            f"The model {folder} compares vectors by {name!r}.",
            why="hnmine ranks by cosine or by dot product.",
            fix=f"Name another encoder, or set similarity_fn_name in its {CONFIG} to cosine or "
            "dot if its vectors can be compared so.",
        )
    return SIMILARITIES[name]
