"""What only the last tasks of a run depend on: with another value of it, the others are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hnmine.runner.atomic import remove, write_text
from hnmine.runner.checkpoints import relabel
from hnmine.runner.manifest import DONE, MANIFEST, RUN, markers_of, outputs_of, read_json
from hnmine.runner.plan import Plan, canonical_json, digest
from hnmine.runner.safe_paths import check_links, check_plain
from hnmine.runner.storage import Store
from hnmine.schema import STATE

PARTIAL = "partial"
"""The folder, in that of the state, of what tasks that are not done have computed."""


@dataclass(frozen=True)
class Late:
    """The last tasks of a run.

    Attributes:
        keys: what they alone depend on, as keys of the plan.
        tasks: their names.
    """

    keys: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()

    def explains(self, changed: Sequence[str]) -> bool:
        """Tell whether plans that differ in this differ for the last tasks alone."""
        return bool(changed) and all(one.partition(": ")[0] in self.keys for one in changed)


NOTHING = Late()


def hand_on(path: Path, old: Plan, new: Plan, late: Late) -> None:
    """Let another plan have what a run wrote, but for what its last tasks wrote.

    A kill leaves it as it is, or with less to keep.

    Args:
        path: the directory of the run.
        old: its plan.
        new: the other.
        late: what the two differ in.
    """
    store = Store.behind(path)

    def delete(name: str) -> None:
        remove(path / name)
        if store:
            store.delete(name)

    check_plain(path / STATE, links=False)
    before, after = digest(old), digest(new)
    for name in (MANIFEST, RUN):
        delete(name)
    for file in markers_of(path):
        name, marker = f"{DONE}/{file.name}", read_json(file) or {}
        if file.stem in late.tasks:
            for output in outputs_of(path, file) or []:
                check_links(path, output.path)
                delete(output.name)
            delete(name)
        elif marker.get("plan") == before:
            text = canonical_json({**marker, "plan": after})
            if store:
                store.write(name, text)
            write_text(file, text, path / STATE)
    for task in late.tasks:
        remove(path / STATE / PARTIAL / task)
    relabel(path / STATE / PARTIAL, before, after)
