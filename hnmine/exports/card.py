"""The dataset card: what a hub, `load_dataset` and a reader need to know about a folder."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from hnmine.exports.reproduce import Manifest, commands
from hnmine.printable import one_line
from hnmine.runner.plan import digest

EXAMPLE_CHARACTERS = 300
SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
)
"""Numbers of rows below which the hub's size category is this."""

_MARKDOWN = re.compile(r"[\\`*_\[\]!|~$]|:(?=//)")


@dataclass(frozen=True)
class Origin:
    """What a mined directory came from, and what it is.

    Attributes:
        index: manifest of the index.
        candidates: manifest of the candidates.
        mined: manifest of the mined directory.
    """

    index: Manifest
    candidates: Manifest
    mined: Manifest


def dataset_card(origin: Origin, train: Sequence[Path]) -> str:
    """Write the card of a mined directory: front matter, funnel, one row, how to make it again.

    Args:
        origin: the manifests.
        train: the files of train/.
    """
    plan, counts = origin.mined, origin.mined["counts"]
    configs = {"train": "train/*.parquet", "scored": "scored/*.parquet"}
    return "\n".join(
        [
            _front_matter(configs, counts["train_rows"], digest(plan)),
            "# Hard negatives\n",
            f"{counts['negatives']:,} hard negatives for {counts['queries']:,} queries. "
            f"`train/` holds {counts['train_rows']:,} rows in the layout "
            f"`{plan['settings']['format']}`{_left_out(plan)}; "
            "`scored/` holds every candidate with its scores and the reason why it was dropped; "
            "`shortfall.parquet` lists the queries that got fewer negatives than asked. Mined with "
            f"hnmine {plan['libraries']['hnmine']}.\n",
            "## Funnel\n",
            _funnel(counts),
            "\n## One row\n",
            _example(train),
            "\n## Made by\n",
            _fenced(commands(origin.index, origin.candidates, plan)),
            "\nWords in capitals stand for the inputs; `manifest.json` holds all settings, the "
            "versions of all libraries and the hash of every model.\n",
            f"Hash of the manifest: `{digest(plan)}`; of the candidates' manifest: "
            f"`{plan['candidates']}`.\n",
        ]
    )


def export_card(plan: Manifest, rows: Mapping[str, int], configs: Mapping[str, str]) -> str:
    """Write the card of an export: front matter, the files, what it was made from.

    Args:
        plan: of the export.
        rows: of each file, by name.
        configs: the configurations that `load_dataset` finds, by name: their files.
    """
    settings = plan["settings"]
    counted = max(rows[file] for file in configs.values()) if configs else max(rows.values())
    lines = [f"| `{file}` | {count:,} |" for file, count in rows.items()]
    scores = f" Scores: {_plain(settings['scores'])}." if settings["scores"] else ""
    return "\n".join(
        [
            _front_matter(configs, counted, digest(plan)),
            f"# Hard negatives, as `{settings['to']}`\n",
            "\n".join(["| file | rows |", "|---|---:|", *lines]),
            f"\nWritten by hnmine {plan['libraries']['hnmine']} from the mined directory whose "
            f"manifest has the hash `{plan['mined']}`.{scores}\n",
        ]
    )


def _left_out(plan: Manifest) -> str:
    """Say which queries have no row, where the layout needs the whole number of negatives."""
    short = plan["counts"]["queries_short"]
    if plan["settings"]["format"] != "n-tuple" or not short:
        return ""
    return f", without the {short:,} queries that got fewer negatives than asked"


def _front_matter(configs: Mapping[str, str], rows: int, content: str) -> str:
    # `load_dataset` caches a folder by its last name and what is said here, not by its files: only
    # the hash keeps it from returning the rows that another folder `mined` had, or this one before.
    front = {
        "tags": ["hard-negatives", "sentence-transformers", "hnmine"],
        "task_categories": ["text-retrieval"],
        "size_categories": [next((name for most, name in SIZES if rows < most), "n>100M")],
        "configs": [
            {
                "config_name": name,
                "description": content,
                "data_files": [{"split": "train", "path": path}],
            }
            | ({"default": True} if place == 0 else {})
            for place, (name, path) in enumerate(configs.items())
        ],
    }
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---"


def _funnel(counts: Mapping[str, int]) -> str:
    rows = [("candidates", counts["candidates"])]
    rows += [
        (f"dropped: {name.removeprefix('dropped_')}", -count)
        for name, count in counts.items()
        if name.startswith("dropped_")
    ]
    rows += [("kept", counts["kept"]), ("selected as negatives", counts["negatives"])]
    rows += [("asked for but not found", counts["negatives_missing"])]
    lines = [f"| {_plain(name)} | {count:,} |" for name, count in rows]
    return "\n".join(["| | documents |", "|---|---:|", *lines])


def _example(train: Sequence[Path]) -> str:
    for file in train:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=1):
            values = batch.to_pylist()[0].items()
            shown = [(name, _shorten(str(value))) for name, value in values]
            return "\n".join(f"- **{_plain(name)}**: {_plain(text)}" for name, text in shown)
    return "There is none: no candidate survived."


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= EXAMPLE_CHARACTERS else text[:EXAMPLE_CHARACTERS] + " …"


def _plain(text: str) -> str:
    """Return a text as Markdown that shows it as it is: no HTML, no image, no link, no table."""
    marked = _MARKDOWN.sub(r"\\\g<0>", one_line(text))
    return html.escape(marked, quote=False)


def _fenced(code: str) -> str:
    """Return a block of code, whatever backticks it holds."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
    return f"{fence}\n{code}\n{fence}"
