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
    skill,
    validate,
)
from hnmine.commands.command import Command

__all__ = ["COMMANDS", "COMMAND_GROUPS", "Command"]

_GROUPS = {
    "Start": (run.COMMAND, init.COMMAND, validate.COMMAND, recipes.COMMAND),
    "Steps": (build_index.COMMAND, mine.COMMAND, filter.COMMAND, export.COMMAND, push.COMMAND),
    "Look": (report.COMMAND, inspect.COMMAND, compare.COMMAND, judge.COMMAND, review.COMMAND),
    "More": (batch.COMMAND, generate.COMMAND, mix.COMMAND, skill.COMMAND),
}
_OLDER = (validate.MODELS, report.AUDIT)

COMMANDS: dict[str, Command] = {
    command.name: command for group in (*_GROUPS.values(), _OLDER) for command in group
}
"""By name, in the order of `hnmine --help`; older names, which it leaves out, come last."""

COMMAND_GROUPS = {heading: [one.name for one in group] for heading, group in _GROUPS.items()}
"""The names of the commands, by the heading in the help."""
