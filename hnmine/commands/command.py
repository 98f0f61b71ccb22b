"""A command as one object, from which flags, help, YAML, docs and the Python API come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hnmine.commands import SUMMARIES
from hnmine.config import Settings
from hnmine.config.output import OutputSettings
from hnmine.registry import Registry
from hnmine.runner.blas_threads import blas_threads

if TYPE_CHECKING:
    from hnmine.results import Result


@dataclass(frozen=True)
class Command:
    """A command of hnmine.

    Attributes:
        settings: its settings; each is a flag, a key of a YAML file and a keyword in Python.
        example: a command line that works.
        run: takes the settings, and the paths where `takes_paths`; returns a `Result`. It imports
            heavy packages only when it is called.
        arguments: the settings that the command line also takes without a flag, in order.
        takes_paths: whether it also takes any number of input files.
        takes_config: whether a YAML file may hold its settings.
        takes_recipe: whether recipes hold settings of it.
        places: the folder of `hnmine run`'s output that each setting names.
        registries: where the names come from that a setting takes, by the setting.
        listed: names of hnmine's own that the help lists, by the heading.
        own_keys: settings that mean something else in other commands: this one takes them from its
            own section; from the top level of a file, only yes or no for a switch.
        more_help: shown below the example; a leading backspace keeps lines as they are.
        forecast: what `--dry-run` calls with the settings; None without that flag.
        successor: what replaces this older name, which the list of commands leaves out.
    """

    settings: type[Settings]
    example: str
    run: Callable[..., Result]
    arguments: tuple[str, ...] = ()
    takes_paths: bool = False
    takes_config: bool = True
    takes_recipe: bool = False
    places: Mapping[str, str] = field(default_factory=dict)
    registries: Mapping[str, Registry] = field(default_factory=dict)
    listed: Mapping[str, Registry] = field(default_factory=dict)
    own_keys: tuple[str, ...] = ()
    more_help: str = ""
    forecast: Callable[..., Result] | None = None
    successor: str = ""

    def run_with(self, settings: object, *paths: object) -> Result:
        """Run with the CPU threads of the settings, also in NumPy."""
        with blas_threads(getattr(settings, "threads", None)):
            return self.run(settings, *paths)

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return self.settings.command

    @property
    def summary(self) -> str:
        """What it does, in a sentence."""
        return SUMMARIES[self.name]

    @property
    def writes(self) -> bool:
        """Whether it writes a directory."""
        return issubclass(self.settings, OutputSettings)
