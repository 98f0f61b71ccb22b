"""The dataset card of a mined or an exported directory."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from hnmine.directories.candidates import Candidates
from hnmine.exports.reproduce import commands
from hnmine.guarantee.statement import Guarantee, percent
from hnmine.printable import one_line, shortened
from hnmine.results import Json
from hnmine.runner.plan import Plan, digest

EXAMPLE_CHARACTERS = 300
SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
)
"""Number of rows below which the hub's size category applies."""

LANGUAGES = {
    **{"arabic": "ar", "armenian": "hy", "basque": "eu", "catalan": "ca", "danish": "da"},
    **{"dutch": "nl", "esperanto": "eo", "estonian": "et", "finnish": "fi", "french": "fr"},
    **{"german": "de", "greek": "el", "hindi": "hi", "hungarian": "hu", "indonesian": "id"},
    **{"irish": "ga", "italian": "it", "lithuanian": "lt", "nepali": "ne", "norwegian": "no"},
    **{"polish": "pl", "portuguese": "pt", "romanian": "ro", "russian": "ru", "serbian": "sr"},
    **{"spanish": "es", "swedish": "sv", "tamil": "ta", "turkish": "tr", "yiddish": "yi"},
}
"""Code of the language of a stemmer. English is the default one: the texts decide."""

ENGLISH = frozenset(["a", "and", "for", "in", "is", "of", "on", "that", "the", "to", "with"])
SAMPLE, MUCH_ENGLISH = 200, 0.12
"""Rows that are read, and the share of their words from which they are English."""

REPOSITORY = "OWNER/NAME"
"""In the card, until it is pushed."""

_MARKDOWN = re.compile(r"[\\`*_\[\]!|~$]|:(?=//)")


def dataset_card(
    candidates: Candidates,
    plan: Json,
    train: Sequence[Path],
    guarantee: Guarantee | None,
    hardness: Iterable[str] = (),
) -> str:
    """Return the card of a mined directory: front matter, funnel, one row, commands.

    Args:
        candidates: that it was filtered from.
        plan: the manifest of the mined directory.
        train: the files of train/.
        guarantee: what was proved of the negatives; None if nothing was.
        hardness: of the negatives, a sentence each.
    """
    counts = plan["counts"]
    language = _language(candidates.index.manifest.settings.stemmer, train)
    configs = {"train": "train/*.parquet", "scored": "scored/*.parquet"}
    return "\n".join(
        [
            _front_matter(configs, counts["train_rows"], digest(plan), language),
            "# Hard negatives\n",
            f"{counts['negatives']:,} hard negatives for {counts['queries']:,} queries. "
            f"`train/` holds {counts['train_rows']:,} rows in the layout "
            f"`{plan['settings']['format']}`{_left_out(plan)}; "
            "`scored/` holds every candidate with its scores and the rule that dropped it; "
            "`shortfall.parquet` lists the queries that got fewer negatives than asked. Mined with "
            f"hnmine {plan['libraries']['hnmine']}.\n",
            "| measure | value |\n|---|---|",
            f"| false negatives | {_judged(guarantee)} |",
            f"| rows of train/ | {counts['train_rows']:,} |",
            f"| language | {language or 'unknown'} |",
            "| licence | that of the corpus: set `license` above before you share it |\n",
            "## Load\n",
            "```python\nfrom datasets import load_dataset\n\n"
            f'rows = load_dataset("{REPOSITORY}", split="train")  # or the folder\n```\n',
            "## False negatives\n",
            _false_negatives(guarantee) + "\n",
            "## Hardness\n",
            _plain(" ".join(hardness) or "Unknown: no bi-encoder scored the candidates.") + "\n",
            "## Funnel\n",
            _funnel(counts),
            "\n## One row\n",
            _example(train),
            "\n## Commands\n",
            _fenced(
                commands(candidates.index.manifest.recorded, candidates.manifest.recorded, plan)
            ),
            "\nWords in capitals are the inputs. `manifest.json` holds all settings, the "
            "versions of all libraries and the hash of every model.\n",
            f"Hash of the manifest: `{digest(plan)}`; of the candidates' manifest: "
            f"`{plan['candidates']}`.\n",
        ]
    )


def _judged(guarantee: Guarantee | None) -> str:
    return f"at most {percent(guarantee.max_false)}" if guarantee else "not judged"


def _language(stemmer: str, train: Sequence[Path]) -> str:
    """Return the code of the texts' language; empty if it is unknown."""
    if stemmer in LANGUAGES:
        return LANGUAGES[stemmer]
    words = [word for text in _texts(train) for word in text.lower().split()]
    found = sum(word in ENGLISH for word in words)
    return "en" if words and found >= MUCH_ENGLISH * len(words) else ""


def _texts(train: Sequence[Path]) -> Iterator[str]:
    for file in train:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=SAMPLE):
            for values in batch.to_pydict().values():
                yield from (value for value in values if isinstance(value, str))
            return


def _false_negatives(guarantee: Guarantee | None) -> str:
    if guarantee is None:
        return (
            "How many of these negatives are false is unknown: a rate needs judgements "
            "(`hnmine judge`, `hnmine review`)."
        )
    return _plain(" ".join(guarantee.sentences()))


def export_card(plan: Plan, rows: Mapping[str, int], configs: Mapping[str, str]) -> str:
    """Return the card of an export: front matter, files, origin.

    Args:
        plan: of the export.
        rows: number of rows of each file, by name.
        configs: file of each configuration that `load_dataset` finds, by name.
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


def _left_out(plan: Json) -> str:
    """Return which queries have no row, in a layout that needs a fixed number of negatives."""
    short = plan["counts"]["queries_short"]
    if plan["settings"]["format"] != "n-tuple" or not short:
        return ""
    return f", without the {short:,} queries that got fewer negatives than asked"


def _front_matter(configs: Mapping[str, str], rows: int, content: str, language: str = "") -> str:
    # `load_dataset` caches a folder by its last name and this text, not by its files. The hash
    # keeps it from returning rows of another folder of that name, or of an earlier state.
    front: Json = {
        "license": "unknown",
        **({"language": [language]} if language else {}),
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


def card_of_upload(text: str, repository: str, folders: Collection[str]) -> str:
    """Return a card as it is uploaded: with the repository's name, and without absent folders.

    Args:
        text: the card.
        repository: its name.
        folders: that are uploaded.
    """
    start, front, rest = text.split("---\n", 2)
    fields = yaml.safe_load(front)
    fields["configs"] = [
        config
        for config in fields["configs"]
        if config["data_files"][0]["path"].partition("/*")[0] in folders
    ]
    front = yaml.safe_dump(fields, sort_keys=False)
    rest = rest.replace(f'load_dataset("{REPOSITORY}"', f'load_dataset("{repository}"', 1)
    return f"{start}---\n{front}---\n{rest}"


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
            shown = [(name, shortened(str(value), EXAMPLE_CHARACTERS)) for name, value in values]
            return "\n".join(f"- **{_plain(name)}**: {_plain(text)}" for name, text in shown)
    return "None: no candidate was kept."


def _plain(text: str) -> str:
    """Return Markdown that shows a text literally: no HTML, image, link or table."""
    marked = _MARKDOWN.sub(r"\\\g<0>", one_line(text))
    return html.escape(marked, quote=False)


def _fenced(code: str) -> str:
    """Return a code block; its fence is longer than any backticks in the code."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
    return f"{fence}\n{code}\n{fence}"
