"""Gather the facts of a report in a few passes over scored/."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hnmine.config import FilterSettings
from hnmine.directories.mined import Mined
from hnmine.directories.scored_view import (
    DROPPED,
    KEPT,
    MARGIN,
    NEGATIVE,
    POSITIVE,
    ScoredView,
    literal,
    quoted,
)
from hnmine.names import rank_of
from hnmine.outcome import dropped
from hnmine.relevance.learned import read_learned
from hnmine.report.facts import Facts, Hub, Hubness, Mix
from hnmine.report.histograms import histogram
from hnmine.report.margin_examples import examples
from hnmine.report.training_pairs import make_chosen, rows_explained
from hnmine.results import Json
from hnmine.schema import SCORES
from hnmine.selection.hardness import HARDNESS, Hardness
from hnmine.selection.rules import by_text, rules

SCORE_NAMES = {"ce_score": "cross-encoder logit", "dense_score": "cosine", "bm25_score": "BM25"}
USES = {"1": 1, "2": 2, "3 to 5": 5, "6 to 10": 10, "11 to 20": 20, "21 to 50": 50}
MORE_USES = "over 50"
MOST_USED = 15
HUB_CHARACTERS = 160


def gather(scored: ScoredView) -> Facts:
    """Return the facts of a mined directory."""
    mined = scored.mined
    counts = mined.manifest.counts
    facts = Facts(
        path=str(mined.path),
        counts=counts,
        funnel=_funnel(mined.manifest.settings, counts),
        shortfall=_shortfall(mined),
        score=_score_name(mined, "score"),
        settings=_settings(mined),
        origin=_origin(mined),
        no_texts=mined.no_texts,
        learned=_learned(mined.path),
        hardness=Hardness.read(mined.path / HARDNESS),
    )
    make_chosen(scored)
    facts.rows = rows_explained(scored)
    _distributions(scored, facts)
    facts.mixes = _mixes(scored)
    facts.hubness = _hubness(scored)
    facts.examples = examples(scored)
    return facts


def _learned(path: Path) -> Json:
    file = path / "relevance.json"
    learned = read_learned(file) if file.exists() else None
    return learned.as_json() if learned else {}


def _funnel(settings: FilterSettings, counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the steps from candidates to negatives; drops in the order of the rules."""
    by_rule = dropped(counts)
    named = [*rules(settings), *(reason for reason, _ in by_text(settings.where))]
    order = [name for name in dict.fromkeys(named) if name in by_rule]
    order += [name for name in by_rule if name not in order]
    return [
        ("candidates", counts["candidates"]),
        *((name, -by_rule[name]) for name in order),
        ("kept", counts["kept"]),
        ("chosen", counts["negatives"]),
    ]


def _shortfall(mined: Mined) -> dict[str, tuple[int, int]]:
    table = mined.shortfall()
    table = table.append_column("queries", table["asked"])
    by_reason = table.group_by("reason").aggregate(
        [("queries", "count"), ("asked", "sum"), ("found", "sum")]
    )
    rows = by_reason.sort_by([("queries_count", "descending"), ("reason", "ascending")]).to_pylist()
    return {
        row["reason"]: (row["queries_count"], row["asked_sum"] - row["found_sum"]) for row in rows
    }


def _score_name(mined: Mined, column: str) -> str:
    if column == "score":
        own = str(mined.manifest.settings.score)
        column = SCORES.get(own, own)
    if column == "dense_score" and _by_dot(mined):
        return "dot product"
    return SCORE_NAMES.get(column, column.removesuffix("_score"))


def _by_dot(mined: Mined) -> bool:
    candidates = mined.texts
    if candidates is None or not candidates.has_dense_scores:
        return False
    return candidates.index.encoder.similarity == "dot"


def _distributions(scored: ScoredView, facts: Facts) -> None:
    fates = (NEGATIVE, KEPT, DROPPED)
    found = (
        histogram(scored, _score_name(scored.mined, column), quoted(column), (POSITIVE, *fates))
        for column in scored.scores
    )
    facts.scores = [one for one in found if one]
    facts.margins = histogram(scored, "margin", MARGIN, fates)
    facts.ranks = histogram(scored, "rank", "rank", fates, scale="whole")
    label = f"case label when 1 then '{POSITIVE}' else '{NEGATIVE}' end"
    both = (POSITIVE, NEGATIVE)
    facts.lengths = histogram(
        scored, "characters", "length", both, table="chosen", group=label, scale="log"
    )
    facts.relevance = histogram(scored, "relevance", "relevance", fates)


def _mixes(scored: ScoredView) -> list[Mix]:
    sources = scored.sources
    if not sources:
        return []
    lists = ", ".join(
        f"case when {quoted(rank_of(name))} is not null then {literal(name)} end"
        for name in sources
    )
    found = scored.ask(
        f"""
        select list_filter([{lists}], lambda one: one is not null) as sources, count(*),
            count(*) filter (where selected)
        from scored where kind is not null and not is_positive
        group by sources order by count(*) desc, sources
        """
    )
    return [Mix(*row) for row in found]


def _hubness(scored: ScoredView) -> Hubness | None:
    scored.ask(
        "create temp table uses as select doc_id, count(*) filter (where selected) as n "
        f"from scored where kind <> '{POSITIVE}' group by doc_id"
    )
    documents, used, negatives, third, second = scored.ask(
        """
        with centred as (select n, n - (select avg(n) from uses) as d from uses)
        select count(*), count(*) filter (where n > 0), sum(n)::bigint, avg(d * d * d), avg(d * d)
        from centred
        """
    )[0]
    if not used:
        return None
    top = scored.ask(
        "select sum(n)::bigint from (select n from uses where n > 0 order by n desc limit ?)",
        -(-used // 100),
    )[0][0]
    bands = dict.fromkeys([*USES, MORE_USES], 0)
    for uses, count in scored.ask("select n, count(*) from uses where n > 0 group by n"):
        bands[next((name for name, most in USES.items() if uses <= most), MORE_USES)] += count
    return Hubness(
        documents=documents,
        used=used,
        top_share=top / negatives,
        skewness=float(third / second**1.5) if second else np.nan,
        bands=bands,
        most=_most_used(scored),
    )


def _most_used(scored: ScoredView) -> list[Hub]:
    rows = scored.ask(
        "select doc_id, n from uses where n > 1 order by n desc, doc_id limit ?", MOST_USED
    )
    hub_of = _named_by_copies(scored.mined, [doc_id for doc_id, _ in rows])
    positives: Counter[str] = Counter()
    for doc_id, count in scored.ask(
        "select doc_id, count(*) from chosen where label = 1 and list_contains(?, doc_id) "
        "group by doc_id",
        list(hub_of),
    ):
        positives[hub_of[doc_id]] += count
    return [
        Hub(
            doc_id,
            uses,
            positives[doc_id],
            scored.mined.document_text(doc_id, HUB_CHARACTERS),
        )
        for doc_id, uses in rows
    ]


def _named_by_copies(mined: Mined, doc_ids: list[str]) -> dict[str, str]:
    """Return documents by their ids and those of their copies, under which positives may be."""
    if mined.texts is None:
        return {doc_id: doc_id for doc_id in doc_ids}
    documents = mined.texts.index.documents
    offsets, rows = documents.copies(documents.find_ids(doc_ids))
    names = documents.id_array(rows).to_pylist()
    owners = np.repeat(np.array(doc_ids, object), np.diff(offsets)).tolist()
    return dict(zip(names, owners, strict=True))


def _settings(mined: Mined) -> dict[str, Json]:
    found = {"filter": mined.manifest.recorded_settings}
    if mined.texts is not None:
        found["mine"] = mined.texts.manifest.recorded_settings
        found["build-index"] = mined.texts.index.manifest.recorded_settings
    return {
        stage: {name: value for name, value in values.items() if value not in (None, [], {})}
        for stage, values in found.items()
    }


def _origin(mined: Mined) -> Json:
    """Return what the result depends on besides the settings."""
    manifest = mined.manifest
    judges = {
        f"model of {name}": f"{plan['model']} ({plan.get('content', 'unknown content')})"
        for name, plan in manifest.judges.items()
        if "model" in plan
    }
    return {
        "candidates": manifest.candidates,
        "schema version": manifest.schema_version,
        "started": mined.run.get("started", "unknown"),
        "seconds": mined.run.get("seconds", "unknown"),
        **judges,
        **manifest.libraries,
    }
