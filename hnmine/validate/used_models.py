"""The models that a stage loads: checked before it starts, and the memory that they need."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from hnmine.config import BuildIndexSettings, MineSettings
from hnmine.config.output import OutputSettings
from hnmine.config.shared import Reach
from hnmine.encode import refuse_to_encode
from hnmine.encode.address import is_endpoint, is_served
from hnmine.encode.gate import check, refuse_for_server, use_of
from hnmine.encode.locate import find_model, fingerprint
from hnmine.encode.roles import Use
from hnmine.encode.served import Asked, Identity, identify
from hnmine.errors import InputError, PartialRun, UsageError
from hnmine.index.given_vectors import open_given
from hnmine.judges.open_judges import added
from hnmine.runner.urls import split_url
from hnmine.sources import SOURCES
from hnmine.validate.estimates import memory, weights_of

MODELS: dict[str, Use] = {
    "encoder": "encoder",
    "query_encoder": "encoder",
    "cross_encoder": "cross-encoder",
}
"""The settings that name a model, and what it is used as."""


def models_of(settings: OutputSettings) -> list[str]:
    """Return the names of the models that a stage loads, without those on a server."""
    models = [name for field in MODELS if (name := getattr(settings, field, None))]
    return [name for name in models + _judges_of(settings) if not is_served(name)]


def _judges_of(settings: OutputSettings) -> list[str]:
    judges = getattr(settings, "judge", [])
    return [
        name
        for name in judges
        if is_endpoint(name) or not (split_url(name) or Path(name).is_file() or added(name))
    ]


def judges_that_run(settings: OutputSettings) -> list[str]:
    """Return the judges of a stage that are models or of other packages: all but files."""
    return [*_judges_of(settings), *filter(added, getattr(settings, "judge", []))]


def check_models(stages: Iterable[OutputSettings]) -> None:
    """Check the models of all stages by their files, so that none fails after hours of the others.

    Raises:
        MissingModel: one is not here, damaged, or of no use, or the package that adds a judge or a
            source cannot be imported.
        UsageError: one is of another kind, or has fewer positions than --max-length.
    """
    vectors_alone = False
    for settings in stages:
        vectors_alone = _check_vectors(settings, vectors_alone)
        named = {field: getattr(settings, field, None) for field in MODELS}
        if not getattr(settings, "dense", True):
            named.pop("encoder")
        limit = getattr(settings, "max_length", None)
        if encoder := named.get("encoder"):
            refuse_for_server(encoder, limit, getattr(settings, "pooling", None))
        for field, model in named.items():
            if model:
                check(model, MODELS[field], limit)
        for model in _judges_of(settings):
            check(model, use_of(model), limit)
        entries = [*map(added, getattr(settings, "judge", []))]
        entries += map(SOURCES.get, getattr(settings, "depths", []))
        for entry in filter(None, entries):
            entry.load()


def _check_vectors(settings: OutputSettings, alone: bool) -> bool:
    """Check the files of vectors of a stage, and return whether no encoder of its index is known.

    Args:
        settings: of the stage.
        alone: whether no encoder of the index of an earlier stage is known.

    Raises:
        InputError: they cannot be read.
        UsageError: the queries would get no vectors.
    """
    if isinstance(settings, BuildIndexSettings):
        return open_given(settings.vectors, settings, "corpus") is not None
    if isinstance(settings, MineSettings):
        open_given(settings.query_vectors, settings, "queries")
        by_words = settings.depths and all(name.startswith("bm25") for name in settings.depths)
        if alone and not (settings.has_query_vectors or by_words):
            refuse_to_encode("query")
    return alone


def identities(settings: OutputSettings) -> dict[Asked, Identity]:
    """Return what identifies each model on a server that a stage asks, except silent ones.

    Raises:
        HnmineError: one refuses the request, or answers with something else.
    """
    named = {field: name for field in MODELS if (name := getattr(settings, field, None))}
    if not getattr(settings, "dense", True):
        named.pop("encoder", None)
    asked = [(name, MODELS[field]) for field, name in named.items() if is_served(name)]
    asked += [(name, use_of(name)) for name in _judges_of(settings) if is_endpoint(name)]
    reach, found = getattr(settings, "reach", Reach()), {}
    for name, use in asked:
        reranks = use == "cross-encoder"
        with suppress(PartialRun):  # Finished scores need no server.
            found[name, reranks] = identify(name, reach, reranks=reranks)
    return found


def fingerprints(settings: OutputSettings) -> dict[str, str]:
    """Return the content hash of each model that a stage loads, by name."""
    return {name: fingerprint(find_model(name)) for name in models_of(settings)}


def check_fingerprints(models: Mapping[str, str]) -> None:
    """Check that this machine has the same models as the one that started the run.

    Args:
        models: the content hash of each, by name, there.

    Raises:
        InputError: one is different.
    """
    for name, expected in models.items():
        found = fingerprint(find_model(name))
        if found != expected:
            raise InputError(
                f"The model {name} is another one on {socket.gethostname()}.",
                why=f"Its content hash is {found} there, and {expected} where the run was started.",
                fix="Copy the same files to every machine.",
            )


def affordable(settings: OutputSettings) -> int:
    """Return how many workers fit in the memory that they may take.

    Raises:
        UsageError: not even one does.
    """
    limit, wanted = settings.memory_limit, settings.workers or 1
    if limit is None:
        return wanted
    need = worker_memory(settings)
    if need > limit:
        raise UsageError(
            f"max-memory: one worker needs about {need / 1e9:.1f} GB.",
            why="That is what Python, its libraries and the models take.",
            fix=f"Allow more than {limit / 1e9:.1f} GB.",
        )
    return min(wanted, limit // need)


def worker_memory(settings: OutputSettings) -> int:
    """Estimate what a worker takes before it has read anything, in bytes."""
    models = models_of(settings)
    weights = sum(weights_of(find_model(name)) for name in models) if models else None
    return memory(0, weights, 0)
