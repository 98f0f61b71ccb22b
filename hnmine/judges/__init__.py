"""Who says how relevant a candidate is: one file for each kind, chosen by what the user names."""

from __future__ import annotations

import re

from hnmine.config import FilterSettings
from hnmine.directories.candidates import Candidates
from hnmine.encode.gate import use_of
from hnmine.encode.roles import Use
from hnmine.encode.spec import ModelSpec
from hnmine.errors import UsageError
from hnmine.judges.bi_encoder import BiEncoderJudge
from hnmine.judges.cross_encoder import CrossEncoderJudge
from hnmine.judges.judge import Judge, as_kept, name_of
from hnmine.judges.lazy import LazyCrossEncoderJudge
from hnmine.judges.similarity import PositiveSimilarity
from hnmine.judges.verdict_file import VerdictFile
from hnmine.runner.recorded_outputs import MANIFEST
from hnmine.runner.storage import fetch_input


def open_judges(candidates: Candidates, settings: FilterSettings) -> list[Judge]:
    """Open --cross-encoder and every --judge.

    Raises:
        HnmineError: one is neither a file nor a model that can be used, or comes twice.
    """
    judges: list[Judge] = []
    threads = settings.cpu_threads
    if settings.cross_encoder:
        spec = _spec(candidates, settings.cross_encoder, settings, "cross-encoder")
        judge = CrossEncoderJudge(candidates, spec, threads)
        everything_is_there = (judge.path / MANIFEST).exists()
        lazy = settings.lazy and not everything_is_there
        judges.append(LazyCrossEncoderJudge(judge) if lazy else judge)
    for name in settings.judge:
        column = "judge_" + re.sub(r"\W+", "_", name_of(name)).strip("_").lower()
        if fetch_input(name).is_file():
            judges.append(VerdictFile(candidates, name))
            continue
        spec = _spec(candidates, name, settings, use := use_of(name))
        kind = CrossEncoderJudge if use == "cross-encoder" else BiEncoderJudge
        judges.append(kind(candidates, spec, threads, column))
    if candidates.has_dense_scores and not settings.compat:
        judges.append(PositiveSimilarity(candidates, threads))
    columns = [judge.column for judge in judges]
    for column in columns:
        if columns.count(column) > 1:
            raise UsageError(
                f"Two judges would become the column {column}.",
                why="A judge's column is named after the last part of its name.",
                fix="Leave one out, or rename its folder.",
            )
    return judges


def _spec(candidates: Candidates, model: str, settings: FilterSettings, use: Use) -> ModelSpec:
    fields = {"device", "backend", "dtype", "batch_tokens", "max_length"}
    runs = settings.model_dump(include=fields)
    pooling = settings.pooling if use == "encoder" else None
    spec = ModelSpec.find(model, use=use, pooling=pooling, **runs)
    left_open = {name for name, value in runs.items() if value in ("auto", None)}
    return as_kept(candidates, spec, use, left_open)
