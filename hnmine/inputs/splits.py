"""Which files of a folder are one data set: its splits and configurations, and the choice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from hnmine.errors import InputError
from hnmine.runner.incidents import note_once

CARD = "README.md"
SAVED, SAVED_SPLITS = "state.json", "dataset_dict.json"
OWN_FILES = {"manifest.json", "run.json"}
"""What hnmine writes beside data."""

SIDE_FILES = {
    *OWN_FILES,
    *(SAVED, SAVED_SPLITS, "dataset_info.json", "dataset_infos.json", "config.json"),
}
"""Files about the data beside it, by hnmine, the library datasets and the hub."""

ALL = "all"
"""Chooses every split."""

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""Words of a name that are splits, as on the Hugging Face hub, and what they mean."""

_WORD = re.compile(r"[^\W\d_]+")
_SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}\.[\w.]+")
"""The name of a file on the hub: train-00000-of-00002.parquet."""

MOST_SIGNS = 20
"""Wildcards of a pattern, and what is between them."""

Groups = dict[str, dict[str, list[str]]]
"""Files by configuration, then by split."""


def card_of(text: str) -> Any:
    """Return the front matter of a data set's README.md; None where none can be read."""
    parts = re.split(r"^---\s*$", text.lstrip("\ufeff"), maxsplit=2, flags=re.MULTILINE)
    if len(parts) < 3 or parts[0].strip():
        return None
    try:
        return yaml.safe_load(parts[1])
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def group(names: Sequence[str], card: Any = None, folders: Iterable[str] = ()) -> Groups:
    """Group files by configuration and split.

    Args:
        names: paths from the root of the data set, with `/`.
        card: what `card_of` returned.
        folders: whose names are splits: those of a saved `DatasetDict`.
    """
    if found := _by_card(names, card):
        return found
    shards = [match[1] for name in names if (match := _SHARD.fullmatch(PurePosixPath(name).name))]
    sharded = len(shards) == len(names) and len(set(shards)) > 1
    known = set(folders)
    splits: dict[str, list[str]] = {}
    for name in names:
        path = PurePosixPath(name)
        if path.parts[0] in known:
            split = path.parts[0]
        elif sharded:
            split = _SHARD.fullmatch(path.name)[1]  # type: ignore[index]
        else:
            split = _split_in(path)
        splits.setdefault(split, []).append(name)
    if len([split for split in splits if split]) > 1:
        return {"": splits}
    return {"": {next(iter(splits)) if len(splits) == 1 else "": list(names)}}


def _split_in(path: PurePosixPath) -> str:
    """Return the split that a folder or the file is named after, as it is written there."""
    for part in path.parts:
        for word in _WORD.findall(part):
            if word.lower() in SPLITS:
                return word.lower()
    return ""


def _by_card(names: Sequence[str], card: Any) -> Groups:
    """Group files as the card of a data set says; nothing where it does not."""
    configs = card.get("configs") if isinstance(card, dict) else None
    found: Groups = {}
    for config in configs if isinstance(configs, list) else ():
        if not isinstance(config, dict):
            continue
        below = f"{config['data_dir']}/" if isinstance(config.get("data_dir"), str) else ""
        splits = {
            split: [name for name in names if any(fits(name, below + p) for p in patterns)]
            for split, patterns in _patterns(config.get("data_files")).items()
        }
        if below and not splits:
            inside = [name for name in names if name.startswith(below)]
            splits = group(inside)[""] if inside else {}
        if splits := {split: files for split, files in splits.items() if files}:
            found[str(config.get("config_name", "default"))] = splits
    return found


def _patterns(given: Any) -> dict[str, list[str]]:
    """Return the patterns of each split: `data_files` is a pattern, a list or a mapping."""
    if isinstance(given, dict):
        return {str(split): _texts(patterns) for split, patterns in given.items()}
    entries = given if isinstance(given, list) else [given]
    found: dict[str, list[str]] = {}
    for entry in entries:
        if isinstance(entry, dict):
            found.setdefault(str(entry.get("split")), []).extend(_texts(entry.get("path")))
        elif isinstance(entry, str):
            found.setdefault("train", []).append(entry)
    return found


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]


def fits(name: str, pattern: str) -> bool:
    """Tell whether a pattern matches a path from the root: `*` within a folder, `**` across."""
    pattern = pattern.removeprefix("./")
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    if len(parts) > MOST_SIGNS:  # To match many wildcards may take for ever.
        return False
    signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    translated = [
        signs.get(part) or (f"[{_class(part)}]" if part[:1] == "[" else re.escape(part))
        for part in parts
    ]
    try:
        return re.fullmatch("".join(translated), name, re.DOTALL) is not None
    except re.error:
        return False


def _class(part: str) -> str:
    inside = part[1:-1].replace("\\", "\\\\").replace("[", "\\[")
    return "^" + inside[1:] if inside[:1] == "!" else inside


def choose(place: str, groups: Groups, wanted: Sequence[str], *, strict: bool) -> list[str]:
    """Return the files of the splits that were chosen, or of the only one there is.

    Args:
        place: of the data set, for the error.
        groups: its files.
        wanted: names of splits, of configurations, or CONFIG/SPLIT.
        strict: a name that is not there is an error even where there is nothing to choose.

    Raises:
        InputError: there is a choice to make, or a name is not there.
    """
    files = {
        (config, split): names
        for config, splits in groups.items()
        for split, names in splits.items()
    }
    if ALL in wanted or files.keys() == {("", "")}:
        if ALL not in wanted and wanted and strict:
            note_once(f"{place}: has no splits, so that --split chooses nothing there.")
        every = dict.fromkeys(name for names in files.values() for name in names)
        return sorted(every, key=lambda name: name.split("/"))
    if len(files) == 1 and not (wanted and strict):
        config, split = next(iter(files))
        note_once(f"{place}: reads {_shown(groups, config, split)}, the only split.")
        return next(iter(files.values()))
    chosen: dict[tuple[str, str], list[str]] = {}
    for name in wanted:
        matches = _matching(files, name)
        if len(matches) != 1:
            raise _choice(place, groups, files, name, several=bool(matches))
        chosen |= {key: files[key] for key in matches}
    if not wanted:
        raise _choice(place, groups, files, "", several=True)
    return [name for key in files if key in chosen for name in chosen[key]]


def _matching(files: Mapping[tuple[str, str], Any], name: str) -> list[tuple[str, str]]:
    """Return the keys that a name fits: exactly, else as another word for the same split."""
    exact = [key for key in files if name in ("/".join(key).lstrip("/"), key[1])]
    if exact or (exact := [key for key in files if key[0] and key[0] == name]):
        return exact
    config, _, split = name.rpartition("/")
    meant = SPLITS.get(split.lower())
    return [
        key
        for key in files
        if meant and SPLITS.get(key[1].lower()) == meant and (not config or key[0] == config)
    ]


def _shown(groups: Groups, config: str, split: str) -> str:
    named = f"{config}/{split}" if config and len(groups) > 1 else split
    return repr(named)


def _choice(
    place: str,
    groups: Groups,
    files: Mapping[tuple[str, str], list[str]],
    name: str,
    *,
    several: bool,
) -> InputError:
    count = {key: len(found) for key, found in files.items()}
    listed = ", ".join(
        f"{_shown(groups, *key)} ({n:,} {'file' if n == 1 else 'files'})"
        if key[1]
        else f"{n:,} of no split"
        for key, n in list(count.items())[:30]
    )
    more = " and more" if len(count) > 30 else ""
    first = next(_shown(groups, *key).strip("'") for key in files if key[1])
    return InputError(
        f"{place} has no split {name!r}."
        if name and not several
        else f"{place} has several splits{f' {name!r}' if name else ''}.",
        why=f"It has {listed}{more}.",
        fix=f"Choose with --split, such as --split {first}; several with commas, or all.",
    )


def folders_of(text: str) -> list[str]:
    """Return the splits that a `dataset_dict.json` names."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return _texts(found.get("splits")) if isinstance(found, dict) else []
