"""Read the prompts, similarity and pooling that the files of a bi-encoder declare."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from hnmine.encode.locate import damaged, read_json
from hnmine.encode.pooling import Pipeline, pooled_before
from hnmine.encode.probe import same
from hnmine.errors import MissingModel
from hnmine.runner.plan import Json

if TYPE_CHECKING:
    from hnmine.encode.spec import ModelSpec

Similarity = Literal["cosine", "dot"]

CONFIG = "config_sentence_transformers.json"
BI_ENCODER = "SentenceTransformer"
SIMILARITIES: dict[str, Similarity] = {"cosine": "cosine", "dot": "dot", "dot_product": "dot"}
"""By the names of sentence-transformers."""

QUERY = (
    "query", "retrieval.query", "retrieval_query", "retrieval-query", "search_query",
    "web_search_query", "s2p_query",
)  # fmt: skip
"""Names of prompts for search queries, the plainest first; other tasks use other names."""

DOCUMENT = (
    "document", "passage", "corpus", "retrieval.passage", "retrieval.document",
    "retrieval_document", "retrieval-document", "search_document", "s2p_passage", "s2p_document",
    "text",
)  # fmt: skip

OF_QUERIES, OF_DOCUMENTS = QUERY[:1], DOCUMENT[:3]
"""Names that `encode_query` and `encode_document` of sentence-transformers look for, in order."""

QUERY_WORDS = {"query", "queries", "question", "questions"}
DOCUMENT_WORDS = {"document", "documents", "doc", "docs", "passage", "passages", "corpus"}


class Declared(TypedDict, total=False):
    """Fields of a `ModelSpec` that the user or a model's own files decide."""

    query_prompt: str | None
    document_prompt: str | None
    prompts_not_used: tuple[str, ...]
    similarity: Similarity
    truncate_dim: int | None
    pooling: str | None
    own_modules: bool


@dataclass(frozen=True)
class Prompts:
    """The prompts before queries and documents, and the names of those not used."""

    query: str
    document: str
    not_used: tuple[str, ...]

    @classmethod
    def choose(
        cls,
        own: Json,
        default: str | None,
        query: str | None = None,
        document: str | None = None,
    ) -> Prompts:
        """Choose among a model's own prompts; an empty one counts as none.

        A model with prompts for tasks alone, and none for queries or documents, gets its default
        prompt, if it has one, before both.

        Args:
            own: the model's prompts by name.
            default: the name of its default prompt.
            query: the user's prompt for queries.
            document: the user's prompt for documents.
        """
        written = {name: text for name, text in own.items() if text}
        kinds = {name: _kind(name) for name in written}
        usual = default if default in written else None
        sides = {}
        for side, names in (("query", QUERY), ("document", DOCUMENT)):
            like = {name: written[name] for name, kind in kinds.items() if kind == side}
            sides[side] = _one(like, names, usual)
        if usual and not {"query", "document"} & set(kinds.values()):
            sides = dict.fromkeys(sides, written[usual])
        asked = sides["query"] if query is None else query
        answered = sides["document"] if document is None else document
        rest = tuple(name for name, text in written.items() if text not in (asked, answered))
        return cls(asked, answered, rest)


def _kind(name: str) -> str:
    """Tell by its name whether a prompt is for queries or documents; empty if unclear."""
    plain = name.lower()
    words = set(re.split(r"[\W_]+", plain))
    query = plain in QUERY or bool(words & QUERY_WORDS)
    document = plain in DOCUMENT or bool(words & DOCUMENT_WORDS)
    if query == document:
        return ""
    return "query" if query else "document"


def _one(like: Mapping[str, str], names: tuple[str, ...], default: str | None) -> str:
    """Return the prompt with a usual name, the default, or the only one; else an empty text."""
    by_name = {name.lower(): text for name, text in like.items()}
    for name in names:
        if name in by_name:
            return by_name[name]
    if default and default in like:
        return like[default]
    return next(iter(like.values())) if len(set(like.values())) == 1 else ""


def declared(folder: Path, onnx: bool, given: Declared) -> Declared:
    """Return what the user and the model's own files decide.

    A field whose value is what earlier versions meant keeps its default, so that their manifests
    stay valid: no prompt in a model without prompts is null.

    Raises:
        MissingModel: the files are damaged, or need what hnmine does not support.
    """
    config = read_json(folder, CONFIG)
    fields = given.copy()
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


def as_before(spec: ModelSpec, recorded: Json) -> ModelSpec:
    """Return a spec without its prompts if an earlier version recorded null for the same ones.

    A model on a server is the recorded one if its answers differ in the last digits alone.

    Null meant the prompts of `encode_query` and `encode_document` of sentence-transformers, and
    none for an ONNX graph.
    """
    keys = ("query_prompt", "document_prompt")
    if spec.backend == "server" and same(str(recorded.get("content")), spec.content):
        return spec.model_copy(update={"content": recorded["content"]})
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
    """Say which of a bi-encoder's own settings hnmine uses; empty where it has none."""
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


def _own_prompts(folder: Path, config: Json) -> dict[str, str]:
    found = config.get("prompts") or {}
    known = isinstance(found, dict) and all(
        text is None or isinstance(text, str) for text in found.values()
    )
    if not known:
        raise damaged(folder / CONFIG, "Its prompts are not texts by name.")
    return {name: text or "" for name, text in found.items()}


def _similarity(folder: Path, config: Json) -> Similarity:
    name = config.get("similarity_fn_name") or "cosine"
    if name not in SIMILARITIES:
        raise MissingModel(
            f"The model {folder} compares vectors by {name!r}.",
            why="hnmine ranks by cosine or by dot product.",
            fix=f"Name another encoder, or set similarity_fn_name in its {CONFIG} to cosine or "
            "dot if that suits its vectors.",
        )
    return SIMILARITIES[name]
