"""`hnmine validate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.config import ValidateSettings

if TYPE_CHECKING:
    from hnmine.validate.findings import Report


def run(settings: ValidateSettings, paths: Sequence[str] = ()) -> Report:
    """Check inputs and estimate what a run needs."""
    from hnmine.validate.validating import validate

    return validate(settings, paths)


COMMAND = Command(
    settings=ValidateSettings,
    summary="Check inputs before hours are spent, and estimate what a run will need.",
    example="hnmine validate --config configs/demo.yaml",
    run=run,
    takes_paths=True,
)
