"""`hnmine run --budget`: the settings that fit in a time, recorded so that a run can resume."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from hnmine.config import BuildIndexSettings, FilterSettings, MineSettings, ValidateSettings
from hnmine.encode.address import is_served
from hnmine.errors import InputError, UsageError
from hnmine.index.given_vectors import open_given
from hnmine.inputs.opening import open_inputs
from hnmine.printable import one_line
from hnmine.progress import duration, say
from hnmine.results import Json
from hnmine.runner.atomic import write_text
from hnmine.runner.locks import file_lock
from hnmine.runner.manifest import MANIFEST, read_json
from hnmine.runner.plan import digest
from hnmine.runner.urls import mirrored
from hnmine.validate.options import Changes, Option, fitting
from hnmine.validate.used_models import judges_that_run
from hnmine.validate.validating import validate

Stages = tuple[BuildIndexSettings, MineSettings, FilterSettings]

S = TypeVar("S", BuildIndexSettings, MineSettings, FilterSettings)

RECORD = "budget.json"

UNITS = {"m": 60, "h": 3600, "d": 86400}

ALLOWED: Mapping[str, tuple[object, ...]] = {
    "lazy": (True,),
    "cross_encoder": (None,),
}
"""Values that a record may give to a setting; to `top_k` it may give a positive number."""

BY_SCORE = (
    "judge", "score", "margin", "relative_margin", "max_score", "min_score", "where", "derive",
    "relabel", "within", "strata", "quota", "per_query", "weight", "query_where", "train_column",
    "max_false", "compat", "lazy", "output_scores",
)  # fmt: skip
"""Settings of `filter` that may mean the cross-encoder's scores."""

BY_RANK = (
    "where", "derive", "quota", "strata", "within", "order", "sampling", "weight", "relabel",
    "per_query", "query_where", "train_column", "score",
)  # fmt: skip
"""Settings of `filter` with expressions, which may mean ranks."""

RANK = re.compile(r"(?:\b|_)rank\b|\brow_number\b|\bntile\b|\bcume_dist\b", re.IGNORECASE)

INPUTS_OF_MINE = ("pairs", "queries", "qrels")


def seconds_of(budget: str) -> float:
    """Return the seconds of a time such as 90m, 2h or 1d.

    Raises:
        UsageError: it is no such time.
    """
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([mhd])", budget.strip())
    if not found:
        raise UsageError(
            f"--budget {budget!r} is no time.",
            fix="Give minutes, hours or days, such as 90m, 2h or 1d.",
        )
    return float(found[1]) * UNITS[found[2]]


def within_budget(stages: Stages, budget: str, output: Path, *, write: bool = True) -> Stages:
    """Return the settings of the stages, changed so that the run fits in a time.

    The choice is kept in budget.json, and the same command takes it again.

    Args:
        stages: as they were given.
        budget: such as 2h.
        output: the directory of the run.
        write: whether to keep the choice.

    Raises:
        UsageError: nothing fits, or the settings share the run among machines.
        InputError: the inputs have faults.
    """
    seconds = seconds_of(budget)
    for stage in stages:
        if stage.engine == "ray" or stage.task or stage.finish or mirrored(stage.directory):
            raise UsageError(
                "--budget cannot be combined with --engine ray, --task, --finish or a URL.",
                why="The time is estimated for one machine.",
                fix="Run `hnmine validate` and pass the settings that it names.",
            )
    if untimed := judges_that_run(stages[2]):
        raise UsageError(
            f"--budget cannot be combined with --judge {untimed[0]}.",
            why="What judges take, except files of verdicts, is not estimated.",
            fix="Leave out --budget or --judge, or name a cross-encoder with --cross-encoder.",
        )
    asked = digest([budget.strip(), *(stage.plan() for stage in stages), contents(stages)])
    anew = any(stage.overwrite for stage in stages)
    keep_index = not anew and (stages[0].index / MANIFEST).exists()
    if not write:
        kept = None if anew else _kept(output, asked)
        return _changed(stages, *(kept or (_choose(stages, budget, seconds).changes, keep_index)))
    output.mkdir(parents=True, exist_ok=True)
    with file_lock(output / RECORD):
        kept = None if anew else _kept(output, asked)
        if kept is None:
            option = _choose(stages, budget, seconds)
            kept = option.changes, keep_index
            record = {"asked": asked, "budget": budget.strip(), "keep_index": keep_index}
            write_text(output / RECORD, json.dumps({**record, **option.as_json()}, indent=2) + "\n")
        else:
            say(f"budget: the choice of {output / RECORD} is kept")
    return _changed(stages, *kept)


def contents(stages: Stages) -> dict[str, str]:
    """Return a hash of the content of each input that the estimates depend on.

    Raises:
        InputError: one cannot be read.
    """
    index, mine, _ = stages
    tables = [open_inputs(index, ("corpus", "pairs")), open_inputs(mine, INPUTS_OF_MINE)]
    vectors = {
        "vectors": open_given(index.vectors, index, "corpus"),
        "query_vectors": open_given(mine.query_vectors, mine, "queries"),
    }
    return {
        **{
            f"{stage.command}: {kind}": table.fingerprint()
            for stage, opened in zip((index, mine), tables, strict=True)
            for kind, table in opened.items()
        },
        **{name: source.content for name, source in vectors.items() if source},
    }


def _kept(output: Path, asked: str) -> tuple[Changes, bool] | None:
    """Return what an earlier run of the same command changed, and whether it found its index.

    None if there was none.

    Raises:
        InputError: the record is damaged.
    """
    record = read_json(output / RECORD)
    if record is None or record.get("asked") != asked:
        return None
    changes = record.get("changes")
    if not isinstance(changes, dict) or not all(_allowed(*item) for item in changes.items()):
        raise InputError(
            f"{output / RECORD} is damaged.",
            why="It changes settings that --budget does not change.",
            fix="Remove the file; the next run chooses again.",
        )
    return changes, record.get("keep_index") is True


def _allowed(name: str, value: object) -> bool:
    if name == "top_k":
        return type(value) is int and value > 0
    return any(value is one or value == one for one in ALLOWED.get(name, ()))


def _choose(stages: Stages, budget: str, seconds: float) -> Option:
    found = estimated(stages)
    option = fitting(found, seconds)
    if option is None:
        least = min(found, key=lambda one: one.time_seconds)
        way = f"The fastest way, {least.flags}," if least.flags else "The run"
        raise UsageError(
            f"No settings fit in --budget {budget.strip()}.",
            why=f"{way} takes about {duration(least.time_seconds)}.",
            fix="Allow more time, take a smaller model or fewer pairs, or see `hnmine validate`.",
        )
    about = f"about {duration(option.time_seconds)}"
    if not option.changes:
        say(f"budget: the run as given takes {about}")
    else:
        say(f"budget: {option.flags}: {about} instead of {duration(found[0].time_seconds)}")
        for phrase in option.gives_up:
            say(f"  gives up: {one_line(phrase)}")
    return option


def estimated(stages: Stages) -> list[Option]:
    """Return what `hnmine validate` estimates for a run, as far as the settings may change.

    Raises:
        InputError: the inputs have faults.
    """
    report = validate(_validated(stages))
    if report.faults:
        first = report.faults[0]
        raise InputError(first["what"], why=first["why"], fix=first["fix"])
    return allowed(stages, report.options)


def allowed(stages: Stages, options: list[Option]) -> list[Option]:
    """Return the options whose changes contradict no other setting."""
    changeable = _changeable(stages)
    return [option for option in options if _may(stages, option.changes, changeable)]


def _validated(stages: Stages) -> ValidateSettings:
    """Return the settings with which `validate` estimates a run."""
    index, mine, filter_ = stages
    values: Json = {}
    for stage in (filter_, mine, index):
        given = type(stage).model_fields.keys() & ValidateSettings.model_fields.keys()
        values |= {name: getattr(stage, name) for name in given & stage.model_fields_set}
    if not index.dense:
        values["encoder"] = None
    if mine.pairs is None:
        values["pairs"] = None
    sources = index.dense + index.bm25
    if mine.depths:
        values["top_k"] = -(-sum(mine.depths.values()) // sources)
    return ValidateSettings.parse(values)


def _changeable(stages: Stages) -> set[str]:
    """Return the settings that may change without changing what others ask for."""
    _, mine, filter_ = stages
    found = set()
    # --lazy implies a margin in logits, and a server may answer with probabilities.
    if filter_.rules_given or not is_served(filter_.cross_encoder or ""):
        found.add("lazy")
    ranges = filter_.range_min or filter_.range_max
    if not (mine.source or filter_.compat or ranges or _counts_ranks(filter_)):
        found.add("top_k")
    otherwise = filter_.order != "rank" or filter_.sampling != "top" or not filter_.default_rule
    if not otherwise and all(_is_default(filter_, name) for name in BY_SCORE):
        found.add("cross_encoder")
    return found


def _counts_ranks(settings: FilterSettings) -> bool:
    """Tell whether an expression of the user depends on ranks, which end with the depth."""
    given = [getattr(settings, name) for name in BY_RANK if not _is_default(settings, name)]
    return any(RANK.search(text) for value in given for text in _texts(value))


def _texts(value: object) -> list[str]:
    """Return the texts of a setting: itself, its items, or its keys and values."""
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    items = value if isinstance(value, list | tuple) else [value]
    return [item for item in items if isinstance(item, str)]


def _is_default(settings: FilterSettings, name: str) -> bool:
    field = FilterSettings.model_fields[name]
    return bool(getattr(settings, name) == field.get_default(call_default_factory=True))


def _may(stages: Stages, changes: Changes, changeable: set[str]) -> bool:
    top_k = changes.get("top_k")
    if isinstance(top_k, int) and top_k <= (stages[2].depth or 0):
        return False
    if not changes.keys() <= changeable:
        return False
    try:
        _changed(stages, changes)
    except UsageError:  # Such as --lazy beside --strata.
        return False
    return True


def _changed(stages: Stages, changes: Changes, keep_index: bool = False) -> Stages:
    """Return the stages with settings changed; an index of before stays as it is."""
    index, mine, filter_ = stages
    return (
        index if keep_index else _with(index, changes),
        _with(mine, changes),
        _with(filter_, changes),
    )


def _with(stage: S, changes: Changes) -> S:
    known = type(stage).model_fields
    given = {name: getattr(stage, name) for name in stage.model_fields_set}
    return type(stage).parse({**given, **{n: v for n, v in changes.items() if n in known}})
