"""Which of a model's own prompts goes before queries, which before documents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

QUERY = (
    "query", "retrieval.query", "retrieval_query", "retrieval-query", "search_query",
    "web_search_query", "s2p_query",
)  # fmt: skip
"""Names of prompts for search queries, the plainest first; other tasks have names of their own."""

DOCUMENT = (
    "document", "passage", "corpus", "retrieval.passage", "retrieval.document",
    "retrieval_document", "retrieval-document", "search_document", "s2p_passage", "s2p_document",
    "text",
)  # fmt: skip

QUERY_WORDS = {"query", "queries", "question", "questions"}
DOCUMENT_WORDS = {"document", "documents", "doc", "docs", "passage", "passages", "corpus"}


@dataclass(frozen=True)
class Prompts:
    """What goes before texts.

    Attributes:
        query: before every query; empty for nothing.
        document: before every document.
        not_used: the names of the model's other prompts.
    """

    query: str
    document: str
    not_used: tuple[str, ...]

    @classmethod
    def choose(
        cls,
        own: Mapping[str, Any],
        default: str | None,
        query: str | None = None,
        document: str | None = None,
    ) -> Prompts:
        """Choose among a model's own prompts; an empty one counts as none.

        A model that has prompts for tasks alone, and neither for queries nor for documents, gets
        its default prompt before both, if it names one.

        Args:
            own: the model's prompts by name.
            default: the name of its default prompt.
            query: what the user wants before queries instead.
            document: the same for documents.
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
    """Tell what a prompt of this name is for: a query, a document, or neither for sure."""
    plain = name.lower()
    words = set(re.split(r"[\W_]+", plain))
    query = plain in QUERY or bool(words & QUERY_WORDS)
    document = plain in DOCUMENT or bool(words & DOCUMENT_WORDS)
    if query == document:
        return ""
    return "query" if query else "document"


def _one(like: Mapping[str, str], names: tuple[str, ...], default: str | None) -> str:
    """Return the one text that is meant: by a usual name, as the only one, or as the default."""
    by_name = {name.lower(): text for name, text in like.items()}
    for name in names:
        if name in by_name:
            return by_name[name]
    if default and default in like:
        return like[default]
    return next(iter(like.values())) if len(set(like.values())) == 1 else ""
