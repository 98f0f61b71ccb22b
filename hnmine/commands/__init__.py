"""The commands of hnmine: one module, and one line here, for each."""

from __future__ import annotations

from hnmine.commands import (
    batch,
    build_index,
    compare,
    export,
    filter,
    generate,
    init,
    inspect,
    judge,
    mine,
    mix,
    push,
    recipes,
    report,
    review,
    run,
    validate,
)
from hnmine.commands.command import Command

__all__ = ["COMMANDS", "Command"]

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        init.COMMAND,
        validate.COMMAND,
        recipes.COMMAND,
        run.COMMAND,
        build_index.COMMAND,
        mine.COMMAND,
        filter.COMMAND,
        batch.COMMAND,
        export.COMMAND,
        push.COMMAND,
        generate.COMMAND,
        mix.COMMAND,
        report.COMMAND,
        inspect.COMMAND,
        compare.COMMAND,
        judge.COMMAND,
        review.COMMAND,
        validate.MODELS,
        report.AUDIT,
    )
}
"""By name, in the order of `hnmine --help`; older names, which it leaves out, come last."""
