"""What became of the candidates, counted: for a whole part, and for the queries that are short."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from hnmine import schema
from hnmine.selection.verdicts import NOT_SCORED, RELABELLED, USED_UP, Verdicts

NO_CANDIDATES = "no-candidates"


def shortfall(verdicts: Verdicts) -> pa.Table:
    """Return the queries that got fewer negatives than asked, `schema.SHORTFALL`."""
    queries = len(verdicts.first_rows)
    found, short = verdicts.found, np.flatnonzero(verdicts.found < verdicts.asked)
    names = [name for name, _ in verdicts.rules if name != "positive"]
    names += [RELABELLED, USED_UP, NOT_SCORED]
    dropped = np.stack(
        [np.bincount(verdicts.query[verdicts.reason == name], minlength=queries) for name in names]
    )
    candidates = np.bincount(verdicts.query[~verdicts.is_positive], minlength=queries)
    worst = np.array([*names, NO_CANDIDATES])[
        np.where(dropped.any(axis=0), dropped.argmax(axis=0), len(names))
    ]
    return pa.Table.from_arrays(
        [
            verdicts.table["query_id"].take(pa.array(verdicts.first_rows[short])),
            pa.array(verdicts.asked[short], pa.int32()),
            pa.array(found[short], pa.int32()),
            pa.array(candidates[short], pa.int32()),
            pa.array(worst[short]),
        ],
        schema=schema.SHORTFALL,
    )


def counts(verdicts: Verdicts) -> dict[str, int]:
    """Count what became of the rows; `negatives_missing` is what was asked and not found."""
    dropped = Counter(verdicts.reason[~verdicts.keep & ~verdicts.is_positive].tolist())
    asked, found = int(verdicts.asked.sum()), int(verdicts.selected.sum())
    unused = int((~verdicts.used[verdicts.first_rows]).sum())
    return {
        "queries": len(verdicts.first_rows),
        **({"queries_not_used": unused} if verdicts.settings.query_where else {}),
        "positives": int(verdicts.is_positive.sum()),
        "candidates": int((~verdicts.is_positive).sum()),
        **{f"dropped_{name}": count for name, count in sorted(dropped.items())},
        "kept": int(verdicts.keep.sum()),
        "negatives_asked": asked,
        "negatives": found,
        "negatives_missing": asked - found,
    }
