"""Gather what a report says from a mined directory, in a few passes over its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hnmine import schema
from hnmine.audit.estimate import Estimate, of_sums
from hnmine.config import FilterSettings
from hnmine.directories.parts import read_part
from hnmine.names import rank_of
from hnmine.relevance.learned import read_learned
from hnmine.report.facts import DROPPED, KEPT, NEGATIVE, POSITIVE, Facts, Hub, Hubness, Mix
from hnmine.report.histograms import histogram
from hnmine.report.margin_examples import examples
from hnmine.report.scored import MARGIN, Scored, literal, quoted
from hnmine.report.shortcut_facts import shortcuts
from hnmine.report.training_lengths import make_chosen
from hnmine.schema import SCORES
from hnmine.selection.hardness import HARDNESS, Hardness
from hnmine.selection.rules import by_text, rules

SCORE_NAMES = {"ce_score": "cross-encoder logit", "dense_score": "cosine", "bm25_score": "BM25"}
USES = {"1": 1, "2": 2, "3 to 5": 5, "6 to 10": 10, "11 to 20": 20, "21 to 50": 50}
MORE_USES = "over 50"
MOST_USED = 15
HUB_CHARACTERS = 160


def gather(scored: Scored) -> Facts:
    """Ask a mined directory for all that a report says."""
    counts = scored.manifest["counts"]
    facts = Facts(
        path=str(scored.path),
        counts=counts,
        funnel=_funnel(scored.settings, counts),
        shortfall=_shortfall(scored),
        score=_score_name(scored, "score"),
        settings=_settings(scored),
        origin=_origin(scored),
        no_texts=scored.no_texts,
        learned=_learned(scored),
        hardness=Hardness.read(scored.path / HARDNESS),
    )
    make_chosen(scored)
    _distributions(scored, facts)
    facts.mixes = _mixes(scored)
    facts.hubness = _hubness(scored)
    facts.shortcuts = shortcuts(scored)
    facts.estimate = _estimate(scored)
    facts.examples = examples(scored)
    return facts


def _learned(scored: Scored) -> dict[str, Any]:
    file = scored.path / "relevance.json"
    learned = read_learned(file) if file.exists() else None
    return learned.as_json() if learned else {}


def _funnel(settings: Mapping[str, Any], counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the steps from candidates to negatives; drops in the order that rules are asked."""
    # The default rule's chance is settled after the settings are recorded.
    given = FilterSettings.model_construct(**{**settings, "max_p_relevant": 1.0})
    dropped = {
        name.removeprefix("dropped_"): count
        for name, count in counts.items()
        if name.startswith("dropped_")
    }
    named = [*rules(given), *(reason for reason, _ in by_text(given.where))]
    order = [name for name in dict.fromkeys(named) if name in dropped]
    order += [name for name in dropped if name not in order]
    return [
        ("candidates", counts["candidates"]),
        *((name, -dropped[name]) for name in order),
        ("kept", counts["kept"]),
        ("chosen", counts["negatives"]),
    ]


def _shortfall(scored: Scored) -> dict[str, tuple[int, int]]:
    file = scored.path / "shortfall.parquet"
    table = read_part(file, ["reason", "asked", "found"], known=schema.SHORTFALL)
    table = table.append_column("queries", table["asked"])
    by_reason = table.group_by("reason").aggregate(
        [("queries", "count"), ("asked", "sum"), ("found", "sum")]
    )
    rows = by_reason.sort_by([("queries_count", "descending"), ("reason", "ascending")]).to_pylist()
    return {
        row["reason"]: (row["queries_count"], row["asked_sum"] - row["found_sum"]) for row in rows
    }


def _score_name(scored: Scored, column: str) -> str:
    if column == "score":
        column = SCORES.get(scored.settings["score"], str(scored.settings["score"]))
    if column == "dense_score" and _by_dot(scored):
        return "dot product"
    return SCORE_NAMES.get(column, column.removesuffix("_score"))


def _by_dot(scored: Scored) -> bool:
    candidates = scored.texts
    dense = candidates is not None and "dense" in candidates.manifest["scores"]
    return dense and candidates is not None and candidates.index.encoder.similarity == "dot"


def _distributions(scored: Scored, facts: Facts) -> None:
    fates = (NEGATIVE, KEPT, DROPPED)
    found = (
        histogram(scored, _score_name(scored, column), quoted(column), (POSITIVE, *fates))
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
    chance = "p_relevant" if "p_relevant" in scored.columns else "null"
    facts.chances = histogram(scored, "p_relevant", chance, fates, scale="logit")


def _mixes(scored: Scored) -> list[Mix]:
    """Count candidates by the sources that found them."""
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
            count(*) filter (where selected), avg(p_relevant) filter (where selected)
        from scored where kind is not null and not is_positive
        group by sources order by count(*) desc, sources
        """
    )
    return [
        Mix(names, count, negatives, np.nan if chance is None else chance)
        for names, count, negatives, chance in found
    ]


def _hubness(scored: Scored) -> Hubness | None:
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


def _most_used(scored: Scored) -> list[Hub]:
    rows = scored.ask(
        "select doc_id, n from uses where n > 1 order by n desc, doc_id limit ?", MOST_USED
    )
    positives = dict(
        scored.ask(
            "select doc_id, count(*) from chosen where label = 1 and list_contains(?, doc_id) "
            "group by doc_id",
            [doc_id for doc_id, _ in rows],
        )
    )
    return [
        Hub(doc_id, uses, positives.get(doc_id, 0), scored.document(doc_id, HUB_CHARACTERS))
        for doc_id, uses in rows
    ]


def _estimate(scored: Scored) -> Estimate | None:
    """Return the mean chance that a chosen negative is relevant; None where nothing was learned."""
    found = scored.arrays(
        "select query_id, sum(p_relevant) as sums, count(p_relevant) as counts from chosen "
        "where label = 0 and p_relevant is not null group by query_id order by query_id"
    )
    if not len(found["sums"]):
        return None
    negatives = scored.manifest["counts"]["negatives"]
    return of_sums(np.asarray(found["sums"], float), np.asarray(found["counts"]), negatives)


def _settings(scored: Scored) -> dict[str, dict[str, Any]]:
    """Return what was set at each stage, as far as it is known here."""
    found = {"filter": scored.settings}
    if scored.texts is not None:
        found["mine"] = scored.texts.manifest["settings"]
        found["build-index"] = scored.texts.index.settings
    return {
        stage: {name: value for name, value in values.items() if value not in (None, [], {})}
        for stage, values in found.items()
    }


def _origin(scored: Scored) -> dict[str, Any]:
    """Return what else the result depends on, from the manifest."""
    manifest = scored.manifest
    judges = {
        f"model of {name}": f"{plan['model']} ({plan.get('content', 'unknown content')})"
        for name, plan in manifest.get("judges", {}).items()
        if "model" in plan
    }
    libraries = {f"{name}": version for name, version in manifest["libraries"].items()}
    return {
        "candidates": manifest["candidates"],
        "schema version": manifest["schema_version"],
        "started": scored.run.get("started", "unknown"),
        "seconds": scored.run.get("seconds", "unknown"),
        **judges,
        **libraries,
    }
