"""The list of all commands: the help of `hnmine` itself, which imports none of them."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

from hnmine.cli.failures import errors_explained, wrong_usage_explained
from hnmine.cli.help_pages import flags_of, paragraph, write_page
from hnmine.commands import COMMAND_GROUPS, SUMMARIES
from hnmine.errors import UsageError, did_you_mean


class CommandList(TyperGroup):
    """The command line, whose help lists the commands in groups."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the options, and the commands under the headings of `COMMAND_GROUPS`."""
        what, _, example = (self.help or "").partition("\n\n")
        text = f"{paragraph(what, formatter.width - 2)}\n\n{example}"
        parameters: list[Any] = self.get_params(ctx)
        options = [(flags_of(option), option.help or "") for option in parameters]
        commands = {heading: list(names.items()) for heading, names in COMMAND_GROUPS.items()}
        widest = max(map(len, SUMMARIES))
        write_page(ctx, formatter, text, {"Options": options, **commands}, widest)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the flags before a command; without anything, Typer shows the help."""
        if not args:
            return super().parse_args(ctx, args)
        flags = [flag for parameter in self.get_params(ctx) for flag in parameter.opts]
        with wrong_usage_explained("hnmine --help", flags):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command; the error for an unknown one has the form of all errors."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            with errors_explained(debug=False):
                raise UsageError(
                    f"There is no command {args[0]!r}.{did_you_mean(args[0], SUMMARIES)}",
                    fix="`hnmine --help` lists all commands.",
                )
        return super().resolve_command(ctx, args)
