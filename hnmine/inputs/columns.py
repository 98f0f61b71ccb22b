"""The columns of each role, by convention or by a flag; fields of structs by their paths."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from hnmine.config.reading_options import AS_IT_IS, Reading
from hnmine.errors import InputError, UsageError
from hnmine.inputs.formats.reader import Asked
from hnmine.inputs.likely_columns import Seen, likely, shown
from hnmine.inputs.nested import (
    LEAVES,
    Types,
    all_paths,
    inside_type,
    is_struct,
    leaf,
    paths_below,
    type_at,
)
from hnmine.inputs.values import is_list

CONVENTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "corpus": {
        "id": (
            *("_id", "id", "doc_id", "docid", "corpus_id", "corpus-id"),
            *("document_id", "passage_id", "pid"),
        ),
        "text": ("text", "document", "passage", "contents", "document_text", "passage_text"),
        "title": ("title",),
    },
    "pairs": {
        "query": (
            *("query", "anchor", "question", "sentence1", "query_text"),
            *("question1", "text1", "premise", "messages"),
        ),
        "positive": (
            *("positive", "answer", "document", "passage", "text", "sentence2"),
            *("positives", "pos", "positive_passages", "positive_ctxs", "pos_doc", "pos_docs"),
            *("positive_messages", "passages", "question2", "text2", "hypothesis"),
        ),
        "query_id": ("query_id", "query-id", "qid", "question_id"),
        "positive_id": (
            *("positive_id", "positive_ids", "positive-id", "doc_id"),
            *("positive_document_ids", "pos_id", "pos_ids", "pos_doc", "pos_docs"),
        ),
        "title": (),
        "label": (
            *("label", "labels", "score", "scores", "similarity_score", "similarity"),
            *("is_duplicate", "duplicate", "is_relevant", "relevant", "relevance"),
            *("relevance_score", "relevance_label", "grade", "gold", "gold_label", "rating"),
        ),
    },
    "queries": {
        "id": ("_id", "id", "query_id", "query-id", "qid", "question_id"),
        "text": ("text", "query", "question", "query_text"),
    },
    "qrels": {
        "query_id": ("query-id", "query_id", "qid"),
        "corpus_id": (
            *("corpus-id", "corpus_id", "doc_id", "docid", "document_id", "passage_id", "pid"),
            *("docno", "positive_document_ids", "positive_ids", "pos"),
        ),
        # A sheet has a relevance and a grade beside the verdict.
        "score": ("verdict", "score", "relevance", "grade", "label", "labels", "rel"),
    },
    "run": {
        "query_id": ("query-id", "query_id", "qid"),
        "corpus_id": (
            *("corpus-id", "corpus_id", "doc_id", "docid", "document_id", "passage_id", "pid"),
            "docno",
        ),
        "score": ("score", "relevance", "grade", "verdict", "label", "rel"),
        "rank": ("rank",),
    },
    "written": {
        "query_id": ("query_id", "query-id", "qid"),
        "query": ("query", "anchor", "question"),
        "text": ("text", "negative", "passage", "document"),
    },
}
"""Column names found without a flag, first match wins, also in other cases (BEIR, MTEB,
sentence-transformers, Tevatron, DPR, FlagEmbedding, NeMo, ms-swift)."""

OPTIONAL = {
    "corpus": {"id", "title"},
    "pairs": {"query_id", "positive_id", "title", "label"},
    "queries": set[str](),
    "qrels": {"score"},
    "run": {"score", "rank"},
    "written": {"query_id", "query"},
}

KNOWN = frozenset(
    name for roles in CONVENTIONS.values() for names in roles.values() for name in names
)

ANY_ENDING = {"qrels", "run"}
"""Tables that a file of any ending may hold, such as `qrels.trec8`."""

LISTS = {
    "pairs": {"query", "positive", "positive_id", "title", "label"},
    "qrels": {"corpus_id"},
    "written": {"text"},
}
"""Roles whose column may hold lists; of a query, the messages of a chat."""

NEGATIVES = re.compile(
    r"(?P<hard>hard_?)?neg(ative)?s?(_(passages?|ctxs|docs?|documents?|texts?|messages))?"
    r"(_?(?P<number>\d+))?",
    re.IGNORECASE,
)
NEGATIVE_IDS = ("negative_document_ids", "negative_ids", "negative_id", "neg_ids", "neg_id")

MOST_NAMES, MOST_WANTED = 30, 6
"""Columns that an error lists: of those that are there, and of those that are looked for."""

REQUIRED_OF_QRELS = ("query_id", "corpus_id")

Files = Iterable[Mapping[str, Sequence[pa.DataType]]]
Sample = Callable[[], Sequence[Seen]]


@dataclass(frozen=True)
class Passages:
    """The paths of the texts, the ids and the titles of one column of passages."""

    text: str | None
    id: str | None = None
    title: str | None = None

    @property
    def paths(self) -> list[str]:
        """All that are there."""
        return [path for path in (self.text, self.id, self.title) if path]


def merged(files: Files) -> dict[str, list[pa.DataType]]:
    """Return the types of each column in all files."""
    found: dict[str, list[pa.DataType]] = {}
    for types in files:
        for name, kinds in types.items():
            there = found.setdefault(name, [])
            there += [kind for kind in kinds if kind not in there]
    return found


def listed(names: Sequence[str]) -> str:
    """Name columns, but no more than fit on a screen."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def find_columns(
    kind: str,
    path: str,
    names: Sequence[str],
    given: Mapping[str, str],
    types: Types | None = None,
    sample: Sample | None = None,
) -> dict[str, str]:
    """Match roles to columns: what the user gave, else the first conventional name there.

    Raises:
        UsageError: the user named a role that this kind of table does not have.
        InputError: a column is missing, or is a struct; the error lists what is there.
    """
    roles = CONVENTIONS[kind]
    unknown = [role for role in given if role not in roles]
    if unknown:
        raise UsageError(
            f"--column {kind}.{unknown[0]} is not known.",
            fix=f"The columns of {kind} are: {', '.join(f'{kind}.{role}' for role in roles)}.",
        )
    types = types or dict.fromkeys(names, ())
    inside = all_paths(types)
    found: dict[str, str] = {}
    for role, conventional in roles.items():
        if role in given and not given[role].strip() and role in OPTIONAL[kind]:
            continue
        wanted = (given[role],) if role in given else conventional
        column = _match(kind, role, wanted, types, inside, role in given)
        if column is None and role not in given:
            column = _beside(kind, role, found, inside)
        if column is not None:
            found[role] = column
        elif role in given or role not in OPTIONAL[kind]:
            if kind == "pairs" and role == "positive" and role not in given:
                continue  # Its ids may do.
            raise _missing(kind, path, role, wanted, types, sample, found)
    if kind == "pairs" and not {"positive", "positive_id"} & found.keys():
        raise _missing(kind, path, "positive", roles["positive"][:6], types, sample, found)
    return found


def conventional(kind: str, role: str, types: Types) -> str | None:
    """Return the column that has a role by its name, if there is one."""
    return _match(kind, role, CONVENTIONS[kind][role], types, all_paths(types), False)


def _match(
    kind: str, role: str, wanted: Iterable[str], types: Types, inside: list[str], is_given: bool
) -> str | None:
    """Return the first column of these names that can have the role."""
    lower = {name.lower(): name for name in (*reversed(inside), *reversed(list(types)))}
    for name in wanted:
        column = name if name in types or name in inside else None
        if column is None and not is_given:
            column = lower.get(name)
        if column is None:
            continue
        if is_struct(type_at(column, types)):
            # Of positives, one column may have the texts and another the ids.
            whole = is_given or kind != "pairs" or role.startswith("query")
            column = leaf(column, _part(role), inside) or (column if whole else None)
        if column is not None and (is_given or _fits(kind, role, column, types)):
            return column
    return None


def _part(role: str) -> str:
    return "title" if role == "title" else "id" if role.endswith("id") else "text"


def _fits(kind: str, role: str, column: str, types: Types) -> bool:
    """Tell whether a column found by its name can have the role, where that says too little."""
    kinds = type_at(column, types)
    if kind == "pairs" and role == "label" and not column.startswith(("label", "score")):
        return not any(map(is_list, kinds))
    return True


def _beside(kind: str, role: str, found: Mapping[str, str], inside: list[str]) -> str | None:
    """Find the id and the title of positives in the struct that their text is in."""
    struct, dot, _ = found.get("positive", "").rpartition(".")
    if kind != "pairs" or role not in ("positive_id", "title") or not dot:
        return None
    return leaf(struct, _part(role), inside)


def find_negatives(types: Types) -> list[Passages]:
    """Find the columns of negatives, the hardest first."""
    inside = all_paths(types)
    found = {
        name: match
        for name, kinds in types.items()
        if (match := NEGATIVES.fullmatch(name))
        and not all(pa.types.is_null(inside_type(kind)) for kind in kinds)
    }
    order = sorted(found, key=lambda n: (not found[n]["hard"], int(found[n]["number"] or 0)))
    ids = next((name for name in NEGATIVE_IDS if name in types), None)
    passages: list[Passages] = []
    for name in order:
        if not is_struct(types[name]):
            passages.append(Passages(name, ids if len(found) == 1 else None))
            continue
        parts = Passages(*(leaf(name, part, inside) for part in LEAVES))
        if parts.text or parts.id:
            passages.append(parts)
        else:  # Lists by the name of what found them.
            passages += [Passages(path) for path in paths_below(name, types[name])]
    if not passages and ids:
        passages.append(Passages(None, ids))
    return passages


def check_types(kind: str, path: str, columns: Mapping[str, str], types: Types) -> None:
    """Refuse structs and lists where one text belongs."""
    for role, column in columns.items():
        kinds = type_at(column, types)
        if is_struct(kinds):
            inside = [path for kind_ in kinds for path in paths_below(column, [kind_])]
            inside = list(dict.fromkeys(inside))
            best = leaf(column, _part(role), inside) or next(iter(inside), "NAME")
            raise InputError(
                f"Column {column!r} of {path} holds structs, not text.",
                why=f"Its fields are: {listed(inside)}.",
                fix=f"Name one by its path, such as --column {kind}.{role}={best}.",
            )
        if role not in LISTS.get(kind, ()) and kinds and all(map(is_list, kinds)):
            raise InputError(
                f"Column {column!r} of {path} holds lists; the {role} of {kind} is one value.",
                fix="Write one row for each value, or join the values of a list into one text.",
            )


def _missing(
    kind: str,
    path: str,
    role: str,
    wanted: Sequence[str],
    types: Types,
    sample: Sample | None,
    found: Mapping[str, str],
) -> InputError:
    names = list(types)
    close = [near for name in wanted for near in difflib.get_close_matches(name, names, 1)]
    best = next((near for near in close if not is_struct(types[near])), None)
    why = f"Its columns are: {listed(names)}." if names else "It has no columns."
    taken = {*found.values(), *_conventional_elsewhere(kind, role, types)}
    if sample and (by_values := likely(kind, role, sample(), taken)):
        value = shown(by_values.value)
        what = "longest texts" if role in ("text", "positive") else role.replace("_", " ")
        verb = "are" if what == "longest texts" else "may be"
        why += f"\nThe {what} {verb} in {by_values.name!r}, such as {value}."
        best = best or by_values.name
    fix = f"Pass --column {kind}.{role}={best or 'NAME'}."
    if kind == "pairs" and all(conventional("qrels", one, types) for one in REQUIRED_OF_QRELS):
        fix = (
            "It looks like judgements by ids: pass it as --qrels, with --queries and --corpus. "
            f"If it holds texts, p{fix[1:]}"
        )
    named = " or ".join(map(repr, wanted[:MOST_WANTED]))
    return InputError(
        f"{path} has no column {named}{' …' * (len(wanted) > MOST_WANTED)} for the {role} of "
        f"{kind}.",
        why=why,
        fix=fix,
    )


def _conventional_elsewhere(kind: str, role: str, types: Types) -> set[str]:
    """Return the columns that other roles of a table have by their names."""
    others = (conventional(kind, other, types) for other in CONVENTIONS[kind] if other != role)
    return {name for name in others if name}


def asked_for(
    kind: str, given: Mapping[str, str] | None = None, reading: Reading = AS_IT_IS
) -> Asked:
    """Return what a file is read for, as a table of a kind."""
    roles = CONVENTIONS[kind]
    required = frozenset(roles) - OPTIONAL[kind]
    return Asked(kind, roles, required, given or {}, KNOWN, reading)
