"""What hnmine should write, worked out slowly from the documentation, without hnmine's code.

Plain Python over small inputs: one loop for each sentence of docs/sources.md and docs/filtering.md.
`test_differential.py` compares it with what the commands write.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import Stemmer

Row = dict[str, Any]
INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
SHINGLE = 5


def normalise(text: str) -> str:
    """NFKC, casefold, white space collapsed, zero-width characters out."""
    seen = "".join(letter for letter in text if letter not in INVISIBLE)
    folded = unicodedata.normalize("NFKC", seen).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


@dataclass
class Texts:
    """Rows with an id and a text each; `meta` is what else is known of one."""

    rows: list[tuple[str, str, Any]] = field(default_factory=list)

    def add(self, name: str, text: str, meta: Any = None) -> bool:
        """Add a row, unless it repeats one; tell if it did."""
        if any(name == known and text == there for known, there, _ in self.rows):
            return False
        self.rows.append((name, text, meta))
        return True

    def group(self, row: int) -> int:
        """The first row with the same normalised text."""
        return self.groups[row]

    def settle(self) -> None:
        """Work out which rows are the same; to be called once all are there."""
        first: dict[str, int] = {}
        self.groups = [
            first.setdefault(normalise(text), row) for row, (_, text, _) in enumerate(self.rows)
        ]
        self.firsts = sorted(set(self.groups))
        self.by_text = first

    def find(self, name: str) -> int:
        return next(row for row, (known, _, _) in enumerate(self.rows) if known == name)

    def find_text(self, text: str) -> int:
        exact = [row for row, (_, there, _) in enumerate(self.rows) if there == text]
        return exact[0] if exact else self.by_text[normalise(text)]


class BM25:
    """Every score by the formula, over the first of the documents that are the same.

    Attributes:
        measured: the scores of all documents as hnmine computes them. They must be those of the
            formula, but for the last bits, which depend on the order of adding and break ties.
    """

    measured: Callable[[str], dict[int, float]] | None = None

    def __init__(
        self, texts: Texts, variant: str, k1: float, b: float, tokenizer: str, stemmer: str
    ) -> None:
        self.variant, self.k1, self.b = variant, k1, b
        self.tokenizer, self.stemmer = tokenizer, stemmer
        self.bags = {row: Counter(self.terms(texts.rows[row][1])) for row in texts.firsts}
        self.df = Counter(term for bag in self.bags.values() for term in bag)
        self.average = sum(bag.total() for bag in self.bags.values()) / len(self.bags)
        n = len(self.bags)
        of = {
            "lucene": lambda df: math.log1p((n - df + 0.5) / (df + 0.5)),
            "okapi": lambda df: math.log(n - df + 0.5) - math.log(df + 0.5),
            "plus": lambda df: math.log((n + 1) / df),
            "l": lambda df: math.log(n + 1) - math.log(df + 0.5),
        }[variant]
        self.idf = {term: of(df) for term, df in self.df.items()}
        if variant == "okapi" and self.idf:
            floor = 0.25 * math.fsum(self.idf.values()) / len(self.idf)
            self.idf = {term: floor if idf < 0 else idf for term, idf in self.idf.items()}

    def terms(self, text: str) -> list[str]:
        words = (
            text.split() if self.tokenizer == "whitespace" else re.findall(r"\w+", normalise(text))
        )
        return words if self.stemmer == "none" else Stemmer.Stemmer(self.stemmer).stemWords(words)

    def gain(self, tf: int, length: int) -> float:
        norm = 1 - self.b + self.b * length / self.average
        if self.variant == "lucene":
            return tf / (tf + self.k1 * norm)
        if self.variant == "l":
            c = tf / norm
            return (self.k1 + 1) * tf * (c + 0.5) / (self.k1 + c + 0.5)
        return (self.k1 + 1) * tf / (tf + self.k1 * norm)

    def scores(self, query: str) -> tuple[dict[int, float], list[int]]:
        """The score of every document, and those that match."""
        asked = Counter(term for term in self.terms(query) if term in self.df)
        absent = math.fsum(n * self.idf[t] for t, n in asked.items()) * (self.variant == "plus")
        scores, match = {}, []
        for row, bag in self.bags.items():
            held = [term for term in asked if term in bag]
            score = math.fsum(
                asked[term] * self.idf[term] * self.gain(bag[term], bag.total()) for term in held
            )
            scores[row] = score + absent
            if held and score > 0:
                match.append(row)
        if self.measured:
            for row, score in self.measured(query).items():
                assert math.isclose(score, scores[row], rel_tol=1e-12, abs_tol=1e-12), (query, row)
                scores[row] = score
        return scores, match


def words(text: str) -> list[str]:
    """Runs of letters, digits and underscores; these worlds are written in Latin letters."""
    return re.findall(r"\w+", normalise(text))


def runs(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    if len(found) < SHINGLE:
        return {tuple(found)} if found else set()
    return {tuple(found[i : i + SHINGLE]) for i in range(len(found) - SHINGLE + 1)}


def contained(one: str, other: str) -> float:
    a, b = runs(one), runs(other)
    return float(np.float32(len(a & b) / len(a))) if a and b else 0.0


def contains(one: str, other: str) -> float:
    return contained(other, one)


def shared(one: str, other: str) -> float:
    return max(contained(one, other), contains(one, other))


COPIES = {"near_copy": shared, "contained": contained, "contains": contains}
"""Columns of what a candidate and a positive share."""


@dataclass
class World:
    """All that is given to `build-index` and `mine`.

    Attributes:
        documents: of the index.
        queries: with ids.
        pairs: (query row, document row) of every known positive, as it is given.
        judged: (query row, document row, grade).
        run: (query row, document row, score) of another system; None if none is given.
        vectors: of the first of the documents that are the same, by row; None without.
        query_vectors: of the first of the queries that are the same.
    """

    documents: Texts
    queries: Texts
    pairs: list[tuple[int, int]]
    judged: list[tuple[int, int, float]] = field(default_factory=list)
    run: list[tuple[int, int, float]] | None = None
    bm25: BM25 | None = None
    vectors: dict[int, np.ndarray] | None = None
    query_vectors: dict[int, np.ndarray] | None = None

    def positives(self, query: int) -> dict[int, int]:
        """The positives of a query: by the first of those that are the same, the row it goes by."""
        same = self.queries.group(query)
        found: dict[int, int] = {}
        for asked, document in self.pairs:
            if self.queries.group(asked) == same:
                first = self.documents.group(document)
                found[first] = min(document, found.get(first, document))
        return found

    def itself(self, query: int) -> int | None:
        """The document whose text is the query's."""
        return self.documents.by_text.get(normalise(self.queries.rows[query][1]))

    def mined(self) -> list[int]:
        return [row for row in range(len(self.queries.rows)) if self.positives(row)]

    def cosine(self, one: np.ndarray, other: np.ndarray) -> float:
        products = np.asarray(one, np.float64) * np.asarray(other, np.float64)
        return float(np.float32(math.fsum(products.tolist())))

    def dense(self, vector: np.ndarray) -> dict[int, float]:
        assert self.vectors is not None
        return {row: self.cosine(vector, other) for row, other in self.vectors.items()}

    def listed(self, source: str, query: int) -> dict[int, float]:
        """All documents that a source can find, with the score that it goes by."""
        text = self.queries.rows[query][1]
        if source == "bm25":
            assert self.bm25 is not None
            scores, match = self.bm25.scores(text)
            return {row: scores[row] for row in match}
        if source == "dense":
            assert self.query_vectors is not None
            return self.dense(self.query_vectors[self.queries.group(query)])
        if source in ("bm25-from-positive", "dense-from-positive"):
            best: dict[int, float] = {}
            for first, row in self.positives(query).items():
                if source.startswith("bm25"):
                    assert self.bm25 is not None
                    scores, match = self.bm25.scores(self.documents.rows[row][1])
                    found = {at: scores[at] for at in match}
                else:
                    assert self.vectors is not None
                    found = self.dense(self.vectors[first])
                for at, score in found.items():
                    best[at] = max(score, best.get(at, -math.inf))
            return best
        given = self.judged if source == "judged" else self.run or []
        best = {}
        for asked, document, score in given:
            if self.queries.group(asked) == self.queries.group(query):
                at = self.documents.group(document)
                best[at] = max(score, best.get(at, -math.inf))
        return best

    def candidates(
        self,
        query: int,
        depths: dict[str, int],
        columns: dict[str, str],
        admits: Callable[[Any, Any], bool] | None = None,
    ) -> list[Row]:
        """The rows of a query in candidates/, in their order.

        Args:
            query: its row.
            depths: of each source, in the order in which they are given.
            columns: the name of each source in its column.
            admits: given what else is known of the query and a document.
        """
        positives, itself = self.positives(query), self.itself(query)
        never = set(positives) | ({itself} if itself is not None else set())
        meta = self.queries.rows[query][2]

        def may(document: int) -> bool:
            if document in never:
                return False
            return admits is None or admits(meta, self.documents.rows[document][2])

        ranks: dict[str, dict[int, int]] = {}
        for source, depth in depths.items():
            scores = self.listed(source, query)
            candidates, kept = 0, {}
            for rank, at in enumerate(sorted(scores, key=lambda at: (-scores[at], at))):
                if candidates == depth:
                    break
                candidates += may(at)
                if may(at) or at in never:
                    kept[at] = rank
            ranks[source] = kept
        rows = []
        for at in sorted(set(positives).union(*ranks.values())):
            votes = [found[at] for name, found in ranks.items() if at in found and name != "judged"]
            row = positives.get(at, at)
            rows.append(
                {
                    "query_id": self.queries.rows[query][0],
                    "doc_id": self.documents.rows[row][0],
                    "text": self.documents.rows[row][1],
                    "slot": at,
                    "fused": sum((Fraction(1, 61 + rank) for rank in votes), Fraction(0)),
                    "is_positive": at in positives,
                    "is_query": at == itself,
                    **{f"{columns[s]}_rank": found.get(at) for s, found in ranks.items()},
                }
            )
        rows.sort(key=lambda row: (-row["fused"], row["slot"]))
        self._score(query, rows)
        rank = 0
        for row in rows:
            counts = row["slot"] not in never
            row["rank"] = rank if counts else None
            rank += counts
        return rows

    def _score(self, query: int, rows: list[Row]) -> None:
        text = self.queries.rows[query][1]
        bm25 = self.bm25.scores(text)[0] if self.bm25 else {}
        group = self.queries.group(query)
        dense = self.dense(self.query_vectors[group]) if self.query_vectors else {}
        grades = self.listed("judged", query)
        texts = [row["text"] for row in rows if row["is_positive"]]
        for row in rows:
            at = row["slot"]
            row["bm25_score"], row["dense_score"] = bm25.get(at), dense.get(at)
            row["grade"] = grades.get(at)
            for name, of in COPIES.items():
                row[name] = (
                    None if row["is_positive"] else max(of(row["text"], text) for text in texts)
                )
            row["owner_score"] = None
            if self.query_vectors:
                near = [
                    self.cosine(self.query_vectors[group], vector)
                    for other, vector in self.query_vectors.items()
                    if other != group and at in self.positives(other)
                ]
                row["owner_score"] = max(near, default=None)


@dataclass(frozen=True)
class Expression:
    """A text for hnmine, and what it means: a function of the row and of the rows to count among.

    `given` holds the query's rows under "rows", those counted under "among".
    """

    text: str
    value: Callable[[Row, dict[str, Any]], Any]


def pos(given: dict[str, Any], name: str, pick: Callable[..., Any] = min) -> float | None:
    values = [row[name] for row in given["rows"] if row["is_positive"]]
    return None if any(value is None for value in values) or not values else pick(values)


def higher(row: Row, given: dict[str, Any], name: str) -> int | None:
    """How many of those counted have a higher value; ties go to the earlier row."""
    if row[name] is None:
        return None
    order = {id(other): n for n, other in enumerate(given["rows"])}
    return sum(
        other[name] is not None and (-other[name], order[id(other)]) < (-row[name], order[id(row)])
        for other in given["among"]
    )


@dataclass
class Rules:
    """What `filter` is asked for, defaults as documented."""

    score: str = "dense_score"
    positive_score: str = "min"
    margin: float | None = None
    relative_margin: float | None = None
    max_score: float | None = None
    min_score: float | None = None
    near_copy: float = 0.9
    range_min: int = 0
    range_max: int | None = None
    where: Sequence[Expression] = ()
    verdicts: dict[tuple[str, str], float] | None = None
    relabel: Expression | None = None
    num_negatives: int = 5
    order: Expression | None = None
    within: Expression | None = None
    per_query: Expression | None = None
    quota: Sequence[tuple[Expression, int]] = ()
    weight: Expression | None = None
    drawn: bool = False


ANCHORS: dict[str, Callable[[list[float]], float]] = {
    "min": min,
    "max": max,
    "mean": lambda values: math.fsum(values) / len(values),
}


def reasons(rows: list[Row], rules: Rules) -> list[str]:
    """The first rule that drops each row of a query; "" if none does."""
    for row in rows:
        row["score"] = row[rules.score]
        row["candidate"] = not row["is_positive"] and not row["is_query"]
    given = {"rows": rows, "among": [row for row in rows if row["candidate"]]}
    anchor = pos(given, "score", ANCHORS[rules.positive_score])
    found = []
    for row in rows:
        row["positive_score"] = anchor
        found.append(_reason(row, rules, anchor, given))
    return found


def _reason(row: Row, rules: Rules, p: float | None, given: dict[str, Any]) -> str:
    s, rank = row["score"], row["rank"]
    if rules.relabel and row["candidate"] and rules.relabel.value(row, given):
        return "relabelled"
    verdict = (rules.verdicts or {}).get((row["query_id"], row["doc_id"]))
    keep_if: list[tuple[str, Callable[[], Any]]] = [
        ("positive", lambda: not row["is_positive"]),
        ("query", lambda: not row["is_query"]),
        ("near-copy", lambda: np.float32(row["near_copy"]) < np.float32(rules.near_copy)),
        ("not-finite", lambda: s is not None and p is not None),
        ("rank", lambda: rules.range_min <= rank < (rules.range_max or math.inf)),
        ("same-score", lambda: s != p),
        ("margin", lambda: rules.margin is None or s <= p - rules.margin),
        (
            "relative-margin",
            lambda: rules.relative_margin is None or s <= p - abs(p) * rules.relative_margin,
        ),
        ("max-score", lambda: rules.max_score is None or s <= rules.max_score),
        ("min-score", lambda: rules.min_score is None or s >= rules.min_score),
        *((one.text, lambda one=one: one.value(row, given)) for one in rules.where),
        ("verdict", lambda: verdict is None or np.float32(verdict) < 0.5),
    ]
    return next((name for name, holds in keep_if if not holds()), "")


def asked(rows: list[Row], rules: Rules) -> int:
    """How many negatives a query should get."""
    if rules.quota:
        return sum(n for _, n in rules.quota)
    if rules.per_query is None:
        return rules.num_negatives
    kept = [row for row in rows if row["reason"] == ""]
    wanted = rules.per_query.value(rows[0], {"rows": rows, "among": kept})
    return min(max(round(wanted or 0), 0), rules.num_negatives)


def choose(rows: list[Row], rules: Rules) -> list[Row]:
    """The negatives of a query, the best first; each row has its `reason`."""
    kept = [row for row in rows if row["reason"] == ""]
    given = {"rows": rows, "among": kept}
    place = {id(row): n for n, row in enumerate(rows)}

    def key(row: Row) -> tuple[float, int]:
        value = rules.order.value(row, given) if rules.order else 0.0
        return (math.inf if value is None else value), place[id(row)]

    free = [row for row in kept if not rules.within or rules.within.value(row, given)]
    free.sort(key=key)
    if not rules.quota:
        return free[: asked(rows, rules)]
    chosen: list[Row] = []
    for expression, n in rules.quota:
        kind = [row for row in free if row not in chosen and expression.value(row, given)]
        chosen += kind[:n]
    return sorted(chosen, key=key)
