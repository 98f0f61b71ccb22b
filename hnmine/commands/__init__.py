"""The commands of hnmine: one module, and one line here, for each."""

from __future__ import annotations

from hnmine.commands import (
    audit,
    batch,
    build_index,
    diff,
    export,
    filter,
    generate,
    init,
    inspect,
    mine,
    mix,
    models,
    push,
    report,
    review,
    run,
    validate,
)
from hnmine.commands.command import Command

__all__ = ["COMMANDS", "Command"]

COMMANDS: dict[str, Command] = {
    module.COMMAND.name: module.COMMAND
    for module in (
        init,
        validate,
        models,
        run,
        build_index,
        mine,
        filter,
        batch,
        export,
        push,
        generate,
        mix,
        audit,
        report,
        inspect,
        diff,
        review,
    )
}
"""By name, in the order of `hnmine --help`."""
