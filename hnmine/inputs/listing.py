"""The data files of an input: of a file, a folder, a glob, a URL or a data set on the hub."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote

from hnmine.errors import InputError, did_you_mean
from hnmine.inputs.formats import FORMATS, LOOKED_AT, READABLE, STREAMED
from hnmine.inputs.formats.text import CODECS, PACKED, ending
from hnmine.inputs.hub import HubName, fetch
from hnmine.inputs.splits import (
    CARD,
    SAVED,
    SAVED_SPLITS,
    SIDE_FILES,
    card_of,
    choose,
    group,
)
from hnmine.inputs.unchanged import explained
from hnmine.runner.incidents import note_once
from hnmine.runner.safe_paths import safe_join
from hnmine.runner.storage import fetch_input
from hnmine.schema import STATE

SUFFIXES = tuple(FORMATS)
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
LARGEST_NOTE = 1 << 24
"""Bytes of a file about the data."""


@dataclass(frozen=True)
class Listed:
    """A data file.

    Attributes:
        path: of it, on this machine.
        partitions: the columns that its folders are named after, as Hive does: `lang=en`.
    """

    path: Path
    partitions: Mapping[str, str | None] = field(default_factory=dict)


def list_files(
    path: str, split: Sequence[str] = (), *, strict: bool = True, any_ending: bool = False
) -> list[Listed]:
    """List the data files of a file, directory or glob, sorted; of a URL, their mirrors.

    Hidden files, files about the data, and what hnmine itself wrote below the directory, are no
    input.

    Args:
        path: as the user gave it.
        split: the splits to read, where there are several.
        strict: a missing split is an error even where only one is.
        any_ending: one file whose ending is not known is a text table, as runs often are.

    Raises:
        InputError: nothing is there, the files are of several or unknown formats, or of several
            splits.
    """
    if name := HubName.parse(path):
        root, names = fetch(name, split, strict=strict)
        _check_formats(path, [root / one for one in names])
        return [Listed(root / one, _partitions(one)) for one in names]
    place = fetch_input(path)
    with explained(path or "''"):
        if not path.strip():
            raise ValueError("The path is empty.")
        if place.is_file():
            if not any_ending or place.suffix.lower() in PACKED:
                _check_formats(path, [place])
            return [Listed(place)]
        root, found = _matches(place)
        files = _without_side_files(path, sorted(set(found)))
    if not files:
        raise _nothing_there(place)
    by_name = {file.relative_to(root).as_posix(): file for file in files}
    splits = _object(root / SAVED_SPLITS).get("splits")
    groups = group(list(by_name), card_of(_note(root / CARD)), splits)
    chosen = choose(path, groups, split, strict=strict)
    _check_formats(path, [by_name[name] for name in chosen])
    return [Listed(by_name[name], _partitions(name)) for name in chosen]


def _matches(place: Path) -> tuple[Path, list[Path]]:
    """Return the files of a directory or a glob, and the folder that all are in."""
    if place.is_dir():
        return place, list(_in_directory(place))
    parts = place.parts
    wild = next((n for n, part in enumerate(parts) if set("*?[").intersection(part)), None)
    if wild is None:
        return place, []
    root = Path(*parts[:wild])
    hidden_wanted = any(part.startswith((".", "_")) for part in parts[wild:])
    found: list[Path] = []
    for match in root.glob(str(Path(*parts[wild:]))):
        if not hidden_wanted and _hidden(match.relative_to(root)):
            continue
        if not match.is_dir():
            found.append(match)
        elif match.name.lower().endswith(SUFFIXES) or "=" in match.name:
            found += _in_directory(match)  # As Spark writes a table, and Hive a part of one.
    return root, [file for file in found if _is_data(file)] or found


def _in_directory(place: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> NoReturn:
        raise error

    seen = set()
    for folder, folders, names in os.walk(place, onerror=refuse, followlinks=True):
        here = Path(folder)
        written_here = here != place and (here / STATE).exists()
        if written_here or here.resolve() in seen:
            folders.clear()
            continue
        seen.add(here.resolve())
        folders[:] = [name for name in folders if not _hidden(Path(name))]
        yield from (here / name for name in names if _is_data(here / name))


def _is_data(path: Path) -> bool:
    return path.name.lower().endswith(LOOKED_AT) and not _hidden(Path(path.name))


def _hidden(inside: Path) -> bool:
    return any(part.startswith((".", "_")) for part in inside.parts)


def _without_side_files(path: str, files: list[Path]) -> list[Path]:
    """Leave out what is about the data, and of a saved data set what it does not list."""
    states = {file.parent for file in files if file.name == SAVED}
    files = [file for file in files if file.name not in SIDE_FILES]
    for folder in states:
        listed = _saved_files(folder)
        files = [file for file in files if file.parent != folder or file.name in listed]
    others = [file for file in files if ending(file) != ".json"]
    if others and len(others) < len(files):
        about = [file for file in files if ending(file) == ".json" and _object(file)]
        if about:
            names = ", ".join(file.name for file in about[:5])
            note_once(f"{path}: not read as data, as each holds one object: {names}.")
        files = [file for file in files if file not in about]
    return files


def _saved_files(folder: Path) -> set[str]:
    """Return the files that a data set consists of, as `Dataset.save_to_disk` lists them."""
    state = _object(folder / SAVED)
    entries = state.get("_data_files")
    if not isinstance(entries, list):
        return {file.name for file in folder.iterdir()}
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise ValueError(
            f"{folder} was saved with an index of its rows, by an old version of the library "
            "datasets. Load it there, and save it again."
        )
    names = set()
    for name in (entry.get("filename") for entry in entries if isinstance(entry, dict)):
        names.add(str(name))
        if not safe_join(folder, name, folder / SAVED).is_file():
            raise ValueError(f"{folder / SAVED} names {name}, which does not exist.")
    return names


def _note(path: Path) -> str:
    """Return the text of a file about the data; empty where there is none."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_NOTE:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _object(path: Path) -> dict[str, object]:
    try:
        found = json.loads(_note(path) or "null")
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def _partitions(name: str) -> dict[str, str | None]:
    """Return what the folders of a path from the root say of its rows: `lang=en`."""
    pairs = [part.partition("=") for part in name.split("/")[:-1]]
    return {
        unquote(key): None if value == NO_VALUE else unquote(value)
        for key, equals, value in pairs
        if equals and key
    }


def _check_formats(path: str, files: list[Path]) -> None:
    """Refuse files of several formats, of unknown ones, and one file packed and unpacked."""
    endings = sorted({ending(file) for file in files})
    formats = {name.split(".")[1] if name else "" for name in endings}
    if len(formats) > 1 or not READABLE.issuperset(endings):
        packed = [name for name in endings if "." + name.rpartition(".")[2] in PACKED]
        raise InputError(
            f"Cannot tell the format of {path}: it has files ending in "
            f"{', '.join(name or 'nothing' for name in endings)}.",
            why=_why_packed(packed) if packed else "",
            fix=f"Give files of one kind: {', '.join(SUFFIXES)}{', unpacked' * bool(packed)}.",
        )
    by_stem = {file.with_suffix("") if file.suffix.lower() in CODECS else file for file in files}
    if len(by_stem) < len(files):
        raise InputError(
            f"{path} holds a file twice, packed and unpacked.",
            why="Its rows would be read twice.",
            fix="Remove one of the two, or name the other.",
        )


def _why_packed(endings: list[str]) -> str:
    if all(("." + name.split(".")[1]) in FORMATS for name in endings):
        return (
            f"{', '.join(CODECS)} are unpacked, around {', '.join(STREAMED)}. Parquet and Arrow "
            "files pack their own columns."
        )
    return f"{', '.join(CODECS)} are unpacked, where the name says what is inside: c.jsonl.gz."


def _nothing_there(place: Path) -> InputError:
    lost = place.parent.is_dir() and not place.exists()
    nearby = [entry.name for entry in place.parent.iterdir()] if lost else []
    return InputError(
        f"No data found at {place}.",
        why=f"The directory holds no file that ends in {', '.join(SUFFIXES)}."
        if place.is_dir()
        else "There is no such file or directory.",
        fix=did_you_mean(place.name, nearby, 3).strip() or "Check the path.",
    )
