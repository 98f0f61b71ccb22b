"""Can something trivial tell positives from negatives? Then a model may learn that, and no more."""

from __future__ import annotations

from hnmine.audit.estimate import Estimate, of_sums
from hnmine.report.scored import Scored

FEATURES = {"length": "length", "BM25": "bm25_score"}
"""By name: the column of the table `chosen`."""


def shortcuts(scored: Scored) -> dict[str, Estimate]:
    """Return for each feature how often it is larger for the positive than for the negative.

    That is the area under the ROC curve over pairs of a positive and a chosen negative of the same
    query, ties counting half: 0.5 if the feature tells nothing, 0 or 1 if it tells all. Features
    that are not known are left out. The interval is over queries, as in `audit`.
    """
    found = {}
    for name, column in FEATURES.items():
        pairs = scored.arrays(
            f"""
            select query_id,
                sum(case when p.x > n.x then 1.0 when p.x = n.x then 0.5 else 0.0 end) as won,
                count(*) as pairs
            from (select query_id, {column} as x from chosen where label = 1) p
            join (select query_id, {column} as x from chosen where label = 0) n using (query_id)
            where isfinite(p.x::double) and isfinite(n.x::double)
            group by query_id order by query_id
            """
        )
        if len(pairs["won"]):
            counts = pairs["pairs"]
            found[name] = of_sums(pairs["won"].astype(float), counts, int(counts.sum()))
    return found
