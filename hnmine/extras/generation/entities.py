"""Names in the documents, as replacements for each other."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from numpy.typing import NDArray

from hnmine.extras.generation.edits import named
from hnmine.inputs.texts import Texts
from hnmine.keyed_noise import hashes
from hnmine.runner.run_directory import Tick

DOCUMENTS = 20_000
"""Documents to search for names, drawn by a hash of their ids."""

NAMES = 500
"""Most common names kept of each type."""

READ_ROWS = 8192


def gather_entities(documents: Texts, seed: int, tick: Tick) -> dict[str, list[str]]:
    """Return the most common names of each type, in descending order; ties are alphabetical."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for text in documents.each_text(_drawn(documents, seed, tick)):
        names = {(kind, text[start:stop]) for kind, start, stop in named(text)}
        for kind, name in names:
            found[kind][name] += 1
    return {
        kind: sorted(counts, key=lambda name: (-counts[name], name))[:NAMES]
        for kind, counts in sorted(found.items())
    }


def _drawn(documents: Texts, seed: int, tick: Tick) -> NDArray[np.int64]:
    """Draw documents by a hash of their ids, so their order changes nothing."""
    rows, keys = np.empty(0, np.int64), np.empty(0, np.uint64)
    for start in range(0, len(documents.canonical), READ_ROWS):
        more = np.asarray(documents.canonical[start : start + READ_ROWS])
        rows = np.concatenate([rows, more])
        keys = np.concatenate([keys, hashes(documents.id_array(more).to_pylist(), seed)])
        smallest = np.argsort(keys, kind="stable")[:DOCUMENTS]
        rows, keys = rows[smallest], keys[smallest]
        tick(len(more))
    return np.sort(rows)
