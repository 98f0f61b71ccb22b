"""Rankings with the positives in them, as `mine_hard_negatives` makes to evaluate rerankers."""

from __future__ import annotations

import pyarrow as pa

from hnmine.drop_in.asked_rows import Asked
from hnmine.drop_in.pair_tables import Pairs, corpus_of
from hnmine.errors import UsageError
from hnmine.inputs.table_reader import content_id
from hnmine.results import StageResult

COLUMNS = ("query_id", "doc_id", "dense_rank", "score", "positive_score", "is_positive")


def n_tuples(
    mined: StageResult, pairs: Pairs, corpus: object, asked: Asked, *, judged: bool
) -> pa.Table:
    """Return `query, positive, negative_1 … negative_n`, positives among the negatives.

    A query with fewer than n documents within the limits has no row.

    Args:
        mined: has the scores of all candidates and positives.
        pairs: in the order of the rows.
        corpus: texts, or None.
        asked: the limits, and n.
        judged: whether there is a cross-encoder.

    Raises:
        UsageError: the corpus has ids of its own.
    """
    texts = {content_id(text): text for _, text in pairs.texts}
    table = corpus_of(corpus)
    if isinstance(table, pa.Table):
        texts |= dict(zip(*(table[name].to_pylist() for name in ("id", "text")), strict=True))
    elif table is not None:
        raise UsageError(
            "include_positives: needs the corpus as a list of texts.",
            fix="Pass corpus=list(documents['text']).",
        )
    window = asked.window(pairs, judged)
    ranked: dict[str, list[tuple[float, int, str]]] = {}
    positives: dict[tuple[str, str], float] = {}
    scored = mined.scored.select(list(COLUMNS))
    for query, document, rank, score, anchor, is_positive in zip(
        *(column.to_pylist() for column in scored.columns), strict=True
    ):
        if is_positive:
            positives[query, document] = score
        is_candidate = rank is not None and rank < window + pairs.most_rows
        if is_candidate and asked.allows(score, anchor):
            ranked.setdefault(query, []).append((-score, rank, document))
    rows = []
    for query, positive in dict.fromkeys(pairs.texts):
        query_id = content_id(query)
        found = sorted(ranked.get(query_id, ()))[asked.range_min : window][: asked.num_negatives]
        if len(found) == asked.num_negatives:
            own = positives.get((query_id, content_id(positive)))
            scores = [own, *(-score for score, _, _ in found)]
            rows.append((query, positive, *(texts[name] for _, _, name in found), scores))
    negatives = [f"negative_{n + 1}" for n in range(asked.num_negatives)]
    names = ["query", "positive", *negatives, "scores"]
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    made = pa.table(dict(zip(names, map(list, columns), strict=True)))
    return made if asked.output_scores else made.drop_columns("scores")
