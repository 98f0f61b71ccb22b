"""What the settings of `filter` leave unused, and limits that no candidate can reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from hnmine.config import FilterSettings
from hnmine.config.setting import flag_of
from hnmine.directories.candidates import Candidates
from hnmine.errors import damage_explained
from hnmine.printable import command_on, one_line
from hnmine.ragged import Floats
from hnmine.runner.manifest import MANIFEST, PLAN, RUN, read_json
from hnmine.runner.urls import mirrored
from hnmine.schema import SCORES

WAVES = "-waves"
"""End of the name of a folder with the scores of --lazy."""


def unused_scores(candidates: Candidates, settings: FilterSettings) -> Iterator[str]:
    """Yield a sentence if a cross-encoder has scored the candidates, and none is asked for."""
    if settings.cross_encoder or settings.compat or settings.score not in (None, "dense", "bm25"):
        return
    names = dict.fromkeys(_scored_by(candidates))
    if settings.judge or not names:
        return
    place = mirrored(candidates.path) or str(candidates.path)
    output = mirrored(settings.output) or str(settings.output)
    model = next(iter(names))
    again = command_on("filter", place, "--output", output, "--cross-encoder", model, "--overwrite")
    yield (
        f"warning: the kept scores of the cross-encoder {one_line(model)} were not used, as "
        f"--cross-encoder is missing. To use them: `{again}`"
    )


def _scored_by(candidates: Candidates) -> Iterator[str]:
    """Yield the cross-encoders whose scores are kept beside the candidates, as they were named."""
    scores = candidates.paths.scores
    for folder in sorted(scores.glob("*")) if scores.is_dir() else ():
        plan = read_json(folder / MANIFEST) or read_json(folder / PLAN) or {}
        if "activation" not in plan:
            continue
        named = (read_json(folder / RUN) or {}).get("model")
        prefix = folder.name.removesuffix(WAVES).rpartition("-")[0]
        yield named if isinstance(named, str) else prefix or folder.name


def out_of_reach(settings: FilterSettings, counts: Mapping[str, int], mined: Path) -> Iterator[str]:
    """Yield a sentence for each limit that no candidate keeps, with the nearest value.

    Args:
        settings: of `filter`, with the score that the rules compare.
        counts: of the mined directory.
        mined: the directory.
    """
    limits = ("margin", "relative_margin", "max_score", "min_score")
    given = [name for name in limits if getattr(settings, name) is not None]
    column = SCORES.get(settings.score or "")
    if counts["negatives"] or not given or column is None:
        return
    scores, anchors = _read(mined, column)
    if not len(scores):
        return
    gaps = anchors - scores
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = gaps / np.abs(anchors)
    reached = {
        "margin": ("largest", "distance of a candidate below the positive", gaps, False),
        "relative_margin": ("largest", "distance as a share of the positive", shares, False),
        "max_score": ("lowest", "score of a candidate", scores, True),
        "min_score": ("highest", "score of a candidate", scores, False),
    }
    for name in given:
        extreme, what, values, lowest = reached[name]
        values = values[np.isfinite(values)]
        limit = getattr(settings, name)
        if not len(values):
            continue
        best = float(values.min() if lowest else values.max())
        if (best > limit) if lowest else (best < limit):
            yield (
                f"{flag_of(name)} {limit:g} is out of reach: the {extreme} {what} is {best:.4g} "
                f"(median {float(np.median(values)):.4g}). Scores are {settings.score}, from "
                f"{float(scores.min()):.4g} to {float(scores.max()):.4g}."
            )


def _read(mined: Path, column: str) -> tuple[Floats, Floats]:
    """Return the finite scores of candidates that are no positives, and their anchors."""
    scores, anchors = [np.empty(0)], [np.empty(0)]
    for file in sorted((mined / "scored").glob("*.parquet")):
        with damage_explained(file):
            table = pq.read_table(file, columns=[column, "positive_score", "is_positive"])
            score, anchor = (
                table[name].to_numpy().astype(np.float64) for name in (column, "positive_score")
            )
            wanted = ~table["is_positive"].to_numpy() & np.isfinite(score) & np.isfinite(anchor)
        scores.append(score[wanted])
        anchors.append(anchor[wanted])
    return np.concatenate(scores), np.concatenate(anchors)
