"""Registries of what has a name: sources, judges, exports, recipes; other packages may add to them.

A package adds one through an entry point of the group `hnmine.sources`, `hnmine.judges`,
`hnmine.exports` or `hnmine.recipes`. Nothing is imported before it is used.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

from hnmine.errors import MissingModel, UsageError, did_you_mean

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Entry:
    """One thing that has a name.

    Attributes:
        description: for help and documentation.
        target: what implements it, as MODULE:NAME or as MODULE.
        package: name and version of the package that adds it; None for hnmine's own.
    """

    description: str
    target: str
    package: tuple[str, str] | None = None

    @property
    def origin(self) -> str:
        """The package that adds it, for messages."""
        return " ".join(self.package or ("hnmine",))

    def load(self) -> Any:
        """Import the implementation.

        Raises:
            MissingModel: the package that adds it cannot be imported.
        """
        module, _, name = self.target.partition(":")
        try:
            found = import_module(module)
            for part in name.split(".") if name else ():
                found = getattr(found, part)
        except Exception as error:
            if not self.package:
                raise
            raise MissingModel(
                f"The package {self.origin} cannot be loaded.",
                why=f"Importing {self.target} raises {type(error).__name__}: {error}",
                fix=f"Update the package, or remove it: pip uninstall {self.package[0]}",
            ) from error
        return found


class Registry(Mapping[str, Entry]):
    """Entries by name: hnmine's own in their order, then those that other packages add.

    Args:
        group: of the entry points; its last word, a plural, says what the entries are.
        own: the entries of hnmine.
        taken: further names that no package may use.
        retired: names that were removed, and the successor of each.
    """

    def __init__(
        self,
        group: str,
        own: Mapping[str, Entry],
        taken: Collection[str] = (),
        retired: Mapping[str, str] | None = None,
    ) -> None:
        self.group, self.own, self._taken = group, own, {*own, *taken}
        self.retired = retired or {}
        self._kind = group.rpartition(".")[2].removesuffix("s")

    @cached_property
    def _all(self) -> Mapping[str, Entry]:
        """All entries; the first use reads the entry points of every installed package.

        Raises:
            UsageError: a package uses a name that is taken, or is no name.
        """
        from importlib.metadata import entry_points

        found = dict(self.own)
        for point in sorted(entry_points(group=self.group), key=lambda point: point.name):
            assert point.dist
            package = point.dist.name, point.dist.version
            problem = ""
            if point.name in self._taken:
                problem = "hnmine uses that name itself."
            elif point.name in found:
                problem = f"The package {found[point.name].origin} adds one too."
            elif not NAME.fullmatch(point.name):
                problem = "A name has lower-case letters, digits and single hyphens."
            if problem:
                raise UsageError(
                    f"The package {' '.join(package)} may not add the {self._kind} {point.name!r}.",
                    why=problem,
                    fix=f"Rename it there, or remove the package: pip uninstall {package[0]}",
                )
            summary = point.dist.metadata["Summary"] or f"from the package {package[0]}"
            found[point.name] = Entry(summary, point.value, package)
        return found

    def __getitem__(self, name: str) -> Entry:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def check(self, name: str) -> None:
        """Raise ValueError, with the closest names, unless an entry has the name."""
        if name not in self and name in self.retired:
            raise ValueError(f"{name!r} was removed. {self.retired[name]}")
        if name not in self:
            raise ValueError(f"{name!r} is none of {', '.join(self)}.{did_you_mean(name, self, 3)}")

    def packages(self, names: Iterable[str]) -> dict[str, str]:
        """Return the versions of the packages that added some of the names."""
        added = (self[name].package for name in names if name in self)
        return dict(package for package in added if package)
