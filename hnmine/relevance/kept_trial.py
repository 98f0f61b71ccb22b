"""The result of a trial of depths, cached beside the candidates that it was made on."""

from __future__ import annotations

import json
from contextlib import suppress

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hnmine.directories.candidates import Candidates
from hnmine.errors import HnmineError
from hnmine.relevance.learned import DepthTrial
from hnmine.runner.atomic import write_text
from hnmine.runner.plan import canonical_json
from hnmine.runner.safe_paths import check_links
from hnmine.schema import STATE

FOLDER = "trials"
"""In the state folder, whose files hnmine may rewrite and delete, and which no manifest lists."""

LARGEST = 1 << 16
"""Bytes of a cached result; hnmine writes about one thousand."""


class _Result(BaseModel):
    """What the file holds; the name of its trial guards against renamed files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: str
    depth: float = Field(ge=0, allow_inf_nan=False)
    trial: DepthTrial


class KeptTrial:
    """The file of one trial.

    Where it cannot be written, because the directory is read-only or full or a folder has its name,
    that is no error: the trial is made again. Processes that write the same file write the same
    bytes, each all or nothing.

    Args:
        candidates: that the trial is made on.
        of: hash of all that the result depends on.
        usual: the depth by rule, which others are compared with.
    """

    def __init__(self, candidates: Candidates, of: str, usual: float) -> None:
        self.root, self.of, self.usual = candidates.path, of, usual
        self.path = candidates.path / STATE / FOLDER / f"{of}.json"

    def read(self) -> tuple[float, DepthTrial] | None:
        """Return the cached result; None if there is none that can be used."""
        try:
            check_links(self.root, self.path)
            if self.path.is_symlink() or self.path.stat().st_size > LARGEST:
                return None
            found = _Result.model_validate(json.loads(self.path.read_text(encoding="utf-8")))
            list(found.trial.sentences(found.depth))
        except (OSError, ValueError, RecursionError, HnmineError, ValidationError):
            return None
        tried = found.depth == self.usual or f"{found.depth:g}" in found.trial.over_usual
        same = found.of == self.of and found.trial.usual == self.usual
        return (found.depth, found.trial) if same and tried else None

    def write(self, depth: float, trial: DepthTrial) -> None:
        """Cache the result, if the directory can be written."""
        # Only where a run of hnmine left its state: a copy without it stays as it was sent.
        if not (self.root / STATE).is_dir():
            return
        values = _Result(of=self.of, depth=depth, trial=trial).model_dump(exclude_none=True)
        with suppress(OSError, HnmineError):
            check_links(self.root, self.path)
            self.path.parent.mkdir(exist_ok=True)
            write_text(self.path, canonical_json(values))
