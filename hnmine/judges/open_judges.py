"""Open the judges that the settings of `filter` name."""

from __future__ import annotations

import re
from pathlib import Path

from hnmine.config import FilterSettings
from hnmine.directories.candidates import Candidates
from hnmine.encode.address import is_endpoint
from hnmine.encode.gate import use_of
from hnmine.errors import UsageError
from hnmine.exports import EXPORTS, LAYOUTS
from hnmine.judges import JUDGES
from hnmine.judges.cross_encoder import CrossEncoderJudge
from hnmine.judges.judge import Judge, name_of
from hnmine.judges.lazy import only_as_asked
from hnmine.judges.similarity import PositiveSimilarity
from hnmine.registry import Entry
from hnmine.runner.storage import fetch_input


def open_judges(candidates: Candidates, settings: FilterSettings) -> list[Judge]:
    """Open --cross-encoder and every --judge.

    Raises:
        HnmineError: one is neither a file nor a model that can be used, or comes twice.
    """
    judges: list[Judge] = []
    if model := settings.cross_encoder:
        judge = CrossEncoderJudge.open(candidates, model, settings, "ce_score")
        judges.append(only_as_asked(judge) if settings.lazy else judge)
    judges += (_open(candidates, name, settings) for name in settings.judge)
    if candidates.has_dense_scores and not settings.compat:
        judges.append(PositiveSimilarity(candidates, settings.cpu_threads))
    columns = [judge.column for judge in judges]
    for column in columns:
        if columns.count(column) > 1:
            raise UsageError(
                f"Two judges would become the column {column}.",
                why="A judge's column is named after the last part of its name.",
                fix="Leave one out, or rename its folder.",
            )
    return judges


def _open(candidates: Candidates, name: str, settings: FilterSettings) -> Judge:
    if entry := added(name):
        value, column = name.partition(":")[2], name
    else:
        value, column = name, name_of(name)
        models = {"encoder": "bi-encoder", "cross-encoder": "cross-encoder"}
        is_file = not is_endpoint(name) and fetch_input(name).is_file()
        kind = "verdicts" if is_file else models[use_of(name)]
        entry = JUDGES[kind]
    column = "judge_" + re.sub(r"\W+", "_", column).strip("_").lower()
    judge: Judge = entry.load()(candidates, value, settings, column)
    return judge


def added(judge: str) -> Entry | None:
    """Return the entry that another package adds, and --judge names as NAME or NAME:VALUE.

    A path that exists is a path, whatever its name.
    """
    entry = JUDGES.get(judge.partition(":")[0])
    is_name = entry and entry.package and "://" not in judge and not Path(judge).exists()
    return entry if is_name else None


def packages_of(settings: FilterSettings) -> dict[str, str]:
    """Return the versions of the packages that add the judges and the format of the settings."""
    judges = JUDGES.packages(name.partition(":")[0] for name in settings.judge if added(name))
    return judges | EXPORTS.packages({settings.format} - set(LAYOUTS))
