"""`hnmine recipes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.config import RecipesSettings

if TYPE_CHECKING:
    from hnmine.validate.shipped_files import RecipeFile, Recipes


def run(settings: RecipesSettings) -> RecipeFile | Recipes:
    """List the recipes, or return one."""
    from hnmine.validate.shipped_files import listed, shown

    return listed() if settings.name is None else shown(settings.name)


COMMAND = Command(
    settings=RecipesSettings,
    example="hnmine recipes show nv-retriever-percpos",
    run=run,
    takes_config=False,
    arguments=("action", "name"),
)
