"""The splits and configurations of a data set's files, and the choice among them."""

from __future__ import annotations

import re
from collections.abc import Sequence

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
_SHARD = re.compile(r"(?:.*/)?([^/]+)-\d{5}-of-\d{5}\.[\w.]+")
"""The name of a file on the hub: train-00000-of-00002.parquet."""

MOST_SIGNS = 20
"""Wildcards of a pattern, and what is between them."""

Groups = dict[tuple[str, str], list[str]]
"""Files by configuration and split; an empty name where there is none."""


def card_of(text: str) -> object:
    """Return the front matter of a data set's README.md; None where none can be read."""
    parts = re.split(r"^---\s*$", text.lstrip("\ufeff"), maxsplit=2, flags=re.MULTILINE)
    if len(parts) < 3 or parts[0].strip():
        return None
    try:
        return yaml.safe_load(parts[1])
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def group(names: Sequence[str], card: object = None, folders: object = None) -> Groups:
    """Group files by configuration and split."""
    if found := _by_card(names, card):
        return found
    shards = {name: match[1] for name in names if (match := _SHARD.fullmatch(name))}
    sharded = len(shards) == len(names) and len(set(shards.values())) > 1
    known = set(_texts(folders))
    groups: Groups = {}
    for name in names:
        parts = name.split("/")
        split = parts[0] if parts[0] in known else shards[name] if sharded else _split_in(parts)
        groups.setdefault(("", split), []).append(name)
    if sum(bool(split) for _, split in groups) > 1:
        return groups
    return {next(iter(groups)) if len(groups) == 1 else ("", ""): list(names)}


def _split_in(parts: Sequence[str]) -> str:
    """Return the split that a folder or the file is named after, as it is written there."""
    words = (word.lower() for part in parts for word in _WORD.findall(part))
    return next((word for word in words if word in SPLITS), "")


def _by_card(names: Sequence[str], card: object) -> Groups:
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
            splits = {split: files for (_, split), files in group(inside).items()} if inside else {}
        named = str(config.get("config_name", "default"))
        if any(splits.values()):
            found = {key: files for key, files in found.items() if key[0] != named}
            found |= {(named, split): files for split, files in splits.items() if files}
    return found


def _patterns(given: object) -> dict[str, list[str]]:
    """Return the patterns of each split: `data_files` is a pattern, a list or a mapping."""
    if isinstance(given, dict):
        return {str(split): _texts(patterns) for split, patterns in given.items()}
    found: dict[str, list[str]] = {}
    for entry in given if isinstance(given, list) else [given]:
        if isinstance(entry, dict):
            found.setdefault(str(entry.get("split")), []).extend(_texts(entry.get("path")))
        elif isinstance(entry, str):
            found.setdefault("train", []).append(entry)
    return found


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]


def fits(name: str, pattern: str) -> bool:
    """Tell whether a pattern matches a path from the root: `*` within a folder, `**` across."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern.removeprefix("./"))
    if len(parts) > MOST_SIGNS:  # Matching many wildcards can take exponential time.
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

    Raises:
        InputError: there is a choice to make, or a name does not exist.
    """
    if ALL in wanted or groups.keys() == {("", "")}:
        if ALL not in wanted and wanted and strict:
            note_once(f"{place}: has no splits, so that --split chooses nothing there.")
        every = dict.fromkeys(name for names in groups.values() for name in names)
        return sorted(every, key=lambda name: name.split("/"))
    if len(groups) == 1 and not (wanted and strict):
        note_once(f"{place}: reads {_shown(groups, *groups)!r}, the only split.")
        return next(iter(groups.values()))
    chosen = set[tuple[str, str]]()
    for name in wanted or [""]:
        matches = _matching(groups, name) if name else list(groups)
        if len(matches) != 1:
            raise _choice(place, groups, name, several=bool(matches))
        chosen.update(matches)
    return [name for key, names in groups.items() if key in chosen for name in names]


def _matching(groups: Groups, name: str) -> list[tuple[str, str]]:
    """Return the keys that a name fits: exactly, else as another word for the same split."""
    exact = [key for key in groups if name in ("/".join(key).lstrip("/"), key[1])]
    if exact or (exact := [key for key in groups if key[0] and key[0] == name]):
        return exact
    config, _, split = name.rpartition("/")
    meant = SPLITS.get(split.lower())
    return [
        key
        for key in groups
        if meant and SPLITS.get(key[1].lower()) == meant and (not config or key[0] == config)
    ]


def _shown(groups: Groups, key: tuple[str, str]) -> str:
    several = len({config for config, _ in groups}) > 1
    return "/".join(key) if key[0] and several else key[1]


def _choice(place: str, groups: Groups, name: str, *, several: bool) -> InputError:
    listed = ", ".join(
        f"{_shown(groups, key)!r} ({len(files):,} {'file' if len(files) == 1 else 'files'})"
        if key[1]
        else f"{len(files):,} of no split"
        for key, files in list(groups.items())[:30]
    )
    more = " and more" if len(groups) > 30 else ""
    first = next(_shown(groups, key) for key in groups if key[1])
    return InputError(
        f"{place} has no split {name!r}."
        if name and not several
        else f"{place} has several splits{f' {name!r}' if name else ''}.",
        why=f"It has {listed}{more}.",
        fix=f"Choose with --split, such as --split {first}; several with commas, or all.",
    )
