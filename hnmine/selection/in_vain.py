"""What the settings of `filter` leave unused, and limits that no candidate can reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from hnmine.config import FilterSettings
from hnmine.config.setting import flag_of
from hnmine.config.shared import ModelSettings
from hnmine.directories.candidates import Candidates
from hnmine.directories.parts import read_part
from hnmine.printable import command_on, one_line, redacted
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
    kept = next(_scored_by(candidates), None)
    if settings.judge or kept is None:
        return
    model, limit = kept
    said = f"warning: the kept scores of the cross-encoder {one_line(model)} were not used, as "
    if limit is None:
        yield f"{said}--cross-encoder is missing. Pass it again with the flags of that time."
        return
    place = mirrored(candidates.path) or str(candidates.path)
    flags = [*_flags(settings), "--cross-encoder", model, *limit, "--overwrite"]
    yield f"{said}--cross-encoder is missing. To use them: `{command_on('filter', place, *flags)}`"


def _scored_by(candidates: Candidates) -> Iterator[tuple[str, list[str] | None]]:
    """Yield the cross-encoders whose scores are kept, as they were named, complete ones first.

    Each with the flag of its length limit, the only one of a model that scores must fit; None
    for scores of some candidates.
    """
    scores = candidates.paths.scores
    found = []
    for folder in sorted(scores.glob("*")) if scores.is_dir() else ():
        finished = read_json(folder / MANIFEST)
        plan = finished or read_json(folder / PLAN) or {}
        if "activation" not in plan:
            continue
        named = (read_json(folder / RUN) or {}).get("model")
        prefix = folder.name.removesuffix(WAVES).rpartition("-")[0]
        model = named if isinstance(named, str) else prefix or folder.name
        whole = isinstance(named, str) and finished and not folder.name.endswith(WAVES)
        found.append((model, _limit(plan.get("model")) if whole else None))
    yield from sorted(found, key=lambda one: one[1] is None)


def _limit(spec: object) -> list[str]:
    """Return the flag of a recorded model's length limit."""
    most = spec.get("max_length") if isinstance(spec, Mapping) else None
    return ["--max-length", str(most)] if isinstance(most, int) else []


def _flags(settings: FilterSettings) -> Iterator[str]:
    """Yield what was given to `filter`, as flags, but for how models run and `candidates`."""
    left_out = {"candidates", "overwrite", "cross_encoder", *ModelSettings.model_fields}
    for name in type(settings).model_fields:
        if name not in settings.model_fields_set - left_out:
            continue
        value, flag = getattr(settings, name), flag_of(name)
        if isinstance(value, bool):
            yield flag if value else f"--no-{flag[2:]}"
            continue
        if isinstance(value, Mapping):
            value = [f"{key}={inner}" for key, inner in value.items()]
        if isinstance(value, Path):
            value = mirrored(value) or value
        for item in value if isinstance(value, list) else [value]:
            yield from (flag, redacted(str(item))) if item is not None else ()


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
        table = read_part(file, [column, "positive_score", "is_positive"])
        score, anchor = (
            table[name].to_numpy().astype(np.float64) for name in (column, "positive_score")
        )
        wanted = ~table["is_positive"].to_numpy() & np.isfinite(score) & np.isfinite(anchor)
        scores.append(score[wanted])
        anchors.append(anchor[wanted])
    return np.concatenate(scores), np.concatenate(anchors)
