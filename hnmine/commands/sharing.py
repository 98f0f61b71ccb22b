"""Run a stage in one process, in several on this machine, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hnmine.config.output import OutputSettings
from hnmine.runner.blas_threads import blas_threads
from hnmine.runner.urls import name_of, split_url

if TYPE_CHECKING:
    from hnmine.encode.served import Asked, Identity
    from hnmine.results import StageResult
    from hnmine.runner.ray_pool import Cluster
    from hnmine.validate.dry_run import Forecast

S = TypeVar("S", bound=OutputSettings)


def in_processes(stage: Callable[[S], StageResult], settings: S) -> StageResult:
    """Run a stage, in workers if the settings ask for them.

    Workers divide the tasks by locks in the directory; this process then reads the result, and
    reports what stopped a worker.

    Raises:
        HnmineError: see the stage.
        UsageError: not even one worker fits in --max-memory.
        PartialRun: all workers died.
    """
    if settings.engine == "ray":
        return _on_ray(_identified(stage, settings), settings)
    if (settings.workers or 1) > 1 or settings.memory_limit is not None:
        from hnmine.encode.devices import VISIBLE, cards
        from hnmine.runner.local_pool import run_workers
        from hnmine.validate.used_models import affordable

        count, stage = affordable(settings), _identified(stage, settings)
        # Each worker takes a GPU of its own; a single one takes the first, as without workers.
        gpus = cards(str(getattr(settings, "device", "cpu"))) if count > 1 else []
        run_workers(
            partial(share_of, stage, settings),
            count=count,
            threads=settings.cpu_threads,
            memory_limit=settings.memory_limit,
            environments=[{VISIBLE: gpu} for gpu in gpus] or [{}],
        )
    return stage(settings)


def _identified(stage: Callable[[S], StageResult], settings: S) -> Callable[[S], StageResult]:
    """Return a stage whose processes agree on what identifies its models on servers."""
    from hnmine.validate.used_models import identities

    found = identities(settings)
    return partial(_knowing, found, stage) if found else stage


def _knowing(
    found: Mapping[Asked, Identity], stage: Callable[[S], StageResult], settings: S
) -> StageResult:
    from hnmine.encode.served import identified

    with identified(found):
        return stage(settings)


def forecast_one(settings: OutputSettings) -> Forecast:
    """Predict the tasks, memory, disk and time of one stage."""
    from hnmine.validate.dry_run import dry_run

    return dry_run([settings])


def _on_ray(stage: Callable[[S], StageResult], settings: S) -> StageResult:
    from hnmine.runner.ray_pool import run_actors
    from hnmine.validate.used_models import check_fingerprints, fingerprints

    settings = with_absolute_paths(settings).model_copy(update={"progress": False})
    return run_actors(
        partial(share_of, stage, settings),
        settings.directory,
        cluster_of(settings),
        check=partial(check_fingerprints, fingerprints(settings)),
    )


def cluster_of(settings: OutputSettings) -> Cluster:
    """Return the Ray cluster that the settings ask for."""
    from hnmine.runner.ray_pool import Cluster
    from hnmine.validate.used_models import models_of

    # `mine` encodes with the model that the index names.
    encodes = settings.command == "mine" or models_of(settings)
    return Cluster(
        address=settings.ray_address,
        workers=settings.workers,
        threads=settings.threads,
        local_threads=settings.cpu_threads,
        device=str(getattr(settings, "device", "cpu")) if encodes else "cpu",
    )


def share_of(
    stage: Callable[[S], StageResult], settings: S, number: int, count: int, threads: int
) -> Callable[[], StageResult]:
    """Return what one of several processes runs: its share of a stage, as it can be pickled.

    Args:
        stage: of the command.
        settings: of the whole; it may itself be a share.
        number: of the process, from 0.
        count: processes.
        threads: CPU threads of the process.
    """
    return partial(
        _take_part, stage, type(settings), values_of_share(settings, number, count, threads)
    )


def _take_part(
    stage: Callable[[S], StageResult], kind: type[S], values: Mapping[str, object]
) -> StageResult:
    settings = kind.parse(values)
    with blas_threads(settings.threads):
        return stage(settings)


def values_of_share(
    settings: OutputSettings, number: int, count: int, threads: int
) -> dict[str, object]:
    """Return the settings of one of several processes as JSON values; see `share_of`."""
    share = settings.share
    # A mirror of a URL is this machine's: another one makes its own.
    directories = {
        name: name_of(value)
        for name in settings.places()
        if isinstance(value := getattr(settings, name), Path)
    }
    values = settings.model_dump(mode="json")
    if "min_grade" not in settings.model_fields_set:
        values.pop("min_grade", None)  # Labels other than 0 and 1 need one that the user gave.
    return {
        **values,
        **directories,
        "engine": "local",
        "workers": 1,
        "max_memory": None,
        "ray_address": None,
        "threads": threads,
        "progress": settings.progress and number == 0,
        "task": f"{share.index * count + number}/{share.of * count}",
    }


def with_absolute_paths(settings: S) -> S:
    """Return settings that mean the same from every working directory."""
    from hnmine.validate.used_models import MODELS

    paths = {name: _absolute(getattr(settings, name)) for name in settings.places()}
    given = {name: getattr(settings, name, None) for name in (*MODELS, "judge")}
    models = {name: _absolute(value, there=True) for name, value in given.items() if value}
    return settings.model_copy(update=paths | models)


def _absolute(value: object, *, there: bool = False) -> object:
    """Make paths absolute; with `there`, only those that exist, as others may be names."""
    if isinstance(value, list):
        return [_absolute(one, there=there) for one in value]
    if not isinstance(value, str | Path) or _is_remote(value):
        return value
    if there and not Path(value).exists():
        return value
    return type(value)(Path(value).absolute())


def _is_remote(value: str | Path) -> bool:
    from hnmine.inputs.hub import HubName

    on_hub = isinstance(value, str) and HubName.parse(value) is not None
    return on_hub or split_url(value) is not None
