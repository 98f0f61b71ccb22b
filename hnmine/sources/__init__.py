"""Where candidates come from: one line for each source."""

from __future__ import annotations

from hnmine.registry import Entry, Registry

SOURCES = Registry(
    "hnmine.sources",
    {
        "bm25": Entry("documents that share words with the query", "hnmine.sources.bm25:open_bm25"),
        "dense": Entry(
            "documents whose vectors are nearest to the query's", "hnmine.sources.dense:open_dense"
        ),
        "bm25-from-positive": Entry(
            "documents that share words with a positive",
            "hnmine.sources.bm25:open_bm25_from_positive",
        ),
        "dense-from-positive": Entry(
            "documents whose vectors are nearest to a positive's",
            "hnmine.sources.dense:open_dense_from_positive",
        ),
        "dense-from-queries": Entry(
            "positives of the queries whose vectors are nearest to the query's",
            "hnmine.sources.dense:open_dense_from_queries",
        ),
        "random": Entry("documents drawn at random", "hnmine.sources.random:open_random"),
        "matching": Entry(
            "documents that meet --matching, drawn at random",
            "hnmine.sources.random:open_matching",
        ),
        "judged": Entry(
            "documents that the judgements grade too low for a positive",
            "hnmine.sources.judged:open_judged",
        ),
        "run": Entry(
            "what another system found, a list for each --from-run",
            "hnmine.sources.run_file:open_run",
        ),
    },
    taken=("ce", "owner", "positive", "previous", "rrf"),
)
"""By the name that --source has for it. Each is opened with a `Mining` and returns a `Source`."""
