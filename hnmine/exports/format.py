"""What a format of training data is.

sentence-transformers takes a column named label, labels, score or scores as the label, and every
other column as an input, by order: so no ids there, and scores only where they are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from hnmine.exports.examples import NAME, Material
from hnmine.exports.row_files import JsonObject
from hnmine.exports.training_rows import Chosen

Layout = Callable[[Chosen, int, bool], pa.Table]
"""Takes what was chosen, the negatives asked for, and whether to write scores."""

Rows = Callable[[Material], Iterator[object] | JsonObject]


@dataclass(frozen=True)
class Format:
    """What a trainer reads.

    Attributes:
        files: the rows of each file, by its name, whose ending says what a row is: see
            `row_files.write_rows`.
        scores: whether the files hold scores: never, where they are asked for, or always.
        configs: configurations of the dataset, by name: each is a file that `load_dataset` reads.
        prompt: whether the files have a field for the query's prompt.
        vectors: whether the files hold vectors of the index.
        by_split: files that are written for each value of the column `split`, which replaces
            `train` in their names.
        full: whether queries need all negatives that were asked for: never, always, or with
            scores; own: the files leave out no query for its negatives.
        notes: says what is doubtful about the files, in sentences.
        layout: how `hnmine filter` lays out train/ in this format; None if it does not.
    """

    files: Mapping[str, Rows]
    scores: Literal["none", "optional", "always"] = "none"
    configs: Mapping[str, str] = field(default_factory=dict)
    prompt: bool = False
    vectors: bool = False
    by_split: tuple[str, ...] = ()
    full: Literal["never", "scored", "always", "own"] = "never"
    notes: Callable[[Material], Iterable[str]] = lambda material: ()
    layout: Layout | None = None

    def names(self, splits: Iterable[str]) -> dict[str, tuple[str, str | None]]:
        """Return the name of each file, its name in `files`, and the split of its queries."""
        found: dict[str, tuple[str, str | None]] = {}
        for name in self.files:
            if name in self.by_split:
                found |= {name.replace("train", split): (name, split) for split in splits}
            else:
                found[name] = name, None
        return found

    def splits_in(self, names: Iterable[str]) -> list[str]:
        """Return the splits that the names of written files tell."""
        of_splits = [re.escape(name).replace("train", f"({NAME})") for name in self.by_split]
        matches = [re.fullmatch(pattern, name) for name in names for pattern in of_splits]
        return [found[1] for found in matches if found]


def of_layout(layout: Layout, full: Literal["never", "always", "own"] = "never") -> Format:
    """Return the format whose one file is laid out as train/ is."""

    def rows(material: Material) -> Iterator[pa.Table]:
        for block in material.blocks():
            yield layout(block.chosen, material.num_negatives, material.scores is not None)

    configs = {"train": "train.parquet"}
    return Format({"train.parquet": rows}, "optional", configs, full=full, layout=layout)


def of_lines(rows: Rows, full: Literal["never", "always"] = "never") -> Format:
    """Return the format whose one file has a JSON object a line, without scores."""
    return Format({"train.jsonl": rows}, configs={"train": "train.jsonl"}, full=full)
