"""`hnmine validate`, and `hnmine models`, an older name for a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.config import ModelsSettings, ValidateSettings

if TYPE_CHECKING:
    from hnmine.encode.installed import Installed
    from hnmine.validate.findings import Report


def run(settings: ValidateSettings, paths: Sequence[str] = ()) -> Report | Installed:
    """Check inputs and estimate what a run needs, or list what this machine can run."""
    from hnmine.encode.installed import installed
    from hnmine.validate.validating import validate

    return installed(map(Path, paths)) if settings.models else validate(settings, paths)


def _models(settings: ModelsSettings) -> Installed:
    from hnmine.encode.installed import installed

    return installed(settings.folder)


COMMAND = Command(
    settings=ValidateSettings,
    example="hnmine validate corpus.parquet pairs.parquet",
    run=run,
    takes_paths=True,
    more_help="\b\nModels: hnmine validate --models [FOLDER...]",
)

MODELS = Command(
    settings=ModelsSettings,
    example="hnmine models models",
    run=_models,
    arguments=("folder",),
    successor="validate --models",
)
