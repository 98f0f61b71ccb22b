"""The dataset card: what a hub, `load_dataset` and a reader need to know about a mined folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

EXAMPLE_CHARACTERS = 300


def dataset_card(plan: Mapping[str, Any], counts: Mapping[str, int], train: Sequence[Path]) -> str:
    """Write the card: front matter with two configurations, the funnel, one example, the settings.

    Args:
        plan: of the run.
        counts: of the run.
        train: the files of train/.
    """
    front = {
        "tags": ["hard-negatives", "sentence-transformers", "hnmine"],
        "task_categories": ["text-retrieval"],
        "configs": [
            {
                "config_name": "train",
                "default": True,
                "data_files": [{"split": "train", "path": "train/*.parquet"}],
            },
            {
                "config_name": "scored",
                "data_files": [{"split": "train", "path": "scored/*.parquet"}],
            },
        ],
    }
    settings = {key: value for key, value in plan["settings"].items() if value is not None}
    return "\n".join(
        [
            f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
            "# Hard negatives\n",
            f"{counts['negatives']:,} hard negatives for {counts['queries']:,} queries. "
            f"`train/` holds {counts['train_rows']:,} rows in the layout `{settings['format']}`; "
            "`scored/` holds every candidate with its scores and the reason why it was dropped; "
            "`shortfall.parquet` lists the queries that got fewer negatives than asked. Mined with "
            f"hnmine {plan['libraries']['hnmine']}.\n",
            "## Funnel\n",
            _funnel(counts),
            "\n## One row\n",
            _example(train),
            "\n## Settings\n",
            f"```yaml\n{yaml.safe_dump(settings, sort_keys=True)}```",
            f"\nCandidates: `{plan['candidates']}` (hash of their manifest). What else it depends "
            "on stands in `manifest.json`.\n",
        ]
    )


def _funnel(counts: Mapping[str, int]) -> str:
    rows = [("candidates", counts["candidates"])]
    rows += [
        (f"dropped: {name.removeprefix('dropped_')}", -count)
        for name, count in counts.items()
        if name.startswith("dropped_")
    ]
    rows += [("kept", counts["kept"]), ("selected as negatives", counts["negatives"])]
    rows += [("asked for but not found", counts["negatives_missing"])]
    lines = [f"| {name} | {count:,} |" for name, count in rows]
    return "\n".join(["| | documents |", "|---|---:|", *lines])


def _example(train: Sequence[Path]) -> str:
    for file in train:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=1):
            values = batch.to_pylist()[0]
            return "\n".join(
                f"- **{name}**: {_shorten(str(value))}" for name, value in values.items()
            )
    return "There is none: no candidate survived."


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= EXAMPLE_CHARACTERS else text[:EXAMPLE_CHARACTERS] + " …"
