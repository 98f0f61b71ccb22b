"""The records that a run keeps of its outputs, and whether these are unchanged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeGuard

import xxhash

from hnmine.errors import InputError
from hnmine.runner.plan import Json, Plan
from hnmine.runner.safe_paths import safe_join
from hnmine.schema import STATE, VERSION

if TYPE_CHECKING:
    from typing_extensions import NotRequired

MANIFEST, RUN = "manifest.json", "run.json"
PLAN, DONE, CLAIMED = (f"{STATE}/{name}" for name in ("plan.json", "done", "claimed"))
"""The plan of a run, the markers of finished tasks, the names of files about to be written."""

HASH_BLOCK = 1 << 22

LARGEST = 1 << 62
"""The largest size or time that a marker may hold."""


class Stamp(TypedDict):
    """The size of an output, and when it was modified."""

    bytes: int
    modified: int


class Record(Stamp):
    """What a marker holds of an output."""

    xxh3: str
    files: NotRequired[dict[str, int]]


def record(path: Path) -> Record:
    """Describe an output by its size, modification time and hash.

    For a folder, `files` holds the size of each file by its name.

    Raises:
        FileNotFoundError: the output is missing.
    """
    stamp, hashed = _stamp(path), checksum(path)
    about: Record = {"bytes": stamp["bytes"], "modified": stamp["modified"], "xxh3": hashed}
    if path.is_dir():
        about["files"] = _sizes(path)
    return about


def changes(path: Path, recorded: object, *, untouched_too: bool = False) -> str:
    """Say how an output differs from its record; empty if it does not.

    Args:
        path: a file or a folder.
        recorded: by `record`.
        untouched_too: compare the content even where it was not modified since, as a disk may
            corrupt it.
    """
    size = size_of(path)
    if size is None:
        return "is missing."
    if not is_record(recorded):
        return "was recorded by another version."
    if size != recorded["bytes"]:
        return f"has {size:,} bytes, and had {recorded['bytes']:,}."
    files = recorded.get("files")
    if files is not None and files != _sizes(path):
        return "holds other files than were written."
    touched = _stamp(path)["modified"] != recorded["modified"]
    # Earlier versions did not record the files of a folder, and hashed it without their sizes.
    separated = files is not None or not path.is_dir()
    if (touched or untouched_too) and checksum(path, separated=separated) != recorded["xxh3"]:
        return "has other content than was written: its checksum differs."
    return ""


def is_record(recorded: object) -> TypeGuard[Record]:
    """Tell whether a value has the form of a `record`."""
    if not isinstance(recorded, dict) or not (
        {"bytes", "modified", "xxh3"} <= recorded.keys() <= {"bytes", "modified", "xxh3", "files"}
    ):
        return False
    files = recorded.get("files", {})
    numbers = (recorded["bytes"], recorded["modified"])
    return (
        isinstance(files, dict)
        and all(type(one) is int and 0 <= one < LARGEST for one in (*numbers, *files.values()))
        and isinstance(recorded["xxh3"], str)
    )


def is_done(marker: Json, plan: str, outputs: Sequence[str], root: Path | None) -> bool:
    """Tell whether a marker says that a task of a plan is done.

    Args:
        marker: as it was read.
        plan: the plan's hash.
        outputs: of the task.
        root: directory that must hold them, with their sizes; None checks no file.
    """
    recorded, counts = marker.get("outputs"), marker.get("counts")
    return (
        marker.get("plan") == plan
        and isinstance(counts, dict)
        and all(type(count) in (int, float) for count in counts.values())
        and isinstance(recorded, dict)
        and all(is_record(recorded.get(name)) for name in outputs)
        and all(root is None or size_of(root / n) == recorded[n]["bytes"] for n in outputs)
    )


def checksum(path: Path, *, separated: bool = True) -> str:
    """Hash a file, or the names, sizes and contents of a folder (xxh3, 128 bits).

    Args:
        path: a file or a folder.
        separated: hash the length of each name and file of a folder before it.
    """
    total = xxhash.xxh3_128()
    separated = separated and path.is_dir()
    for file in files_of(path):
        if not file.is_file():
            continue
        name = file.relative_to(path).as_posix().encode("utf-8", "surrogateescape")
        if separated:
            total.update(f"{len(name)} {file.stat().st_size} ".encode())
        total.update(name)
        with file.open("rb", buffering=0) as stream:
            while block := stream.read(HASH_BLOCK):
                total.update(block)
    return total.hexdigest()


def _stamp(path: Path) -> Stamp:
    found = [file.stat() for file in files_of(path) if file.is_file()]
    return {
        "bytes": sum(stat.st_size for stat in found),
        "modified": max((stat.st_mtime_ns for stat in found), default=0),
    }


def _sizes(path: Path) -> dict[str, int]:
    files = (file for file in files_of(path) if file.is_file())
    return {file.relative_to(path).as_posix(): file.stat().st_size for file in files}


def markers_of(path: Path) -> list[Path]:
    """List the markers of the finished tasks of a directory."""
    return sorted((path / DONE).glob("*.json"))


@dataclass(frozen=True)
class Output:
    """One output that a marker records.

    Attributes:
        name: relative to the directory of the run.
        path: inside the directory.
        recorded: by `record`.
    """

    name: str
    path: Path
    recorded: object

    @property
    def lasting(self) -> bool:
        """Whether readers need it once the run is done."""
        return not self.name.startswith(f"{STATE}/")


def outputs_of(root: Path, marker: Path) -> list[Output] | None:
    """Read the outputs that a marker records; None if it holds no JSON object.

    Raises:
        InputError: the marker is not hnmine's, or names an output outside the directory `root`.
    """
    found = read_json(marker)
    if found is None:
        return None
    outputs = found.get("outputs", {})
    if not isinstance(outputs, dict):
        raise InputError(
            f"{marker} is damaged.",
            why="Its outputs are not a mapping.",
            fix="Remove that file and rerun: hnmine repeats the task.",
        )
    return [
        Output(name, safe_join(root, name, marker), recorded) for name, recorded in outputs.items()
    ]


def damage(path: Path, *, untouched_too: bool = False) -> str:
    """Say which output of a finished directory changed; empty if none.

    A copy without the hidden folder is accepted. `untouched_too`: see `changes`.

    Raises:
        InputError: a marker is damaged, or names an output outside the directory.
    """
    for marker in markers_of(path):
        outputs = outputs_of(path, marker)
        if outputs is None:
            return f"{marker} holds no JSON object."
        for output in (one for one in outputs if one.lasting):
            if found := changes(output.path, output.recorded, untouched_too=untouched_too):
                return f"{output.name} {found}"
    return ""


def files_of(path: Path) -> list[Path]:
    """List a file, or everything in a folder."""
    return sorted(path.rglob("*")) if path.is_dir() else [path]


def size_of(path: Path) -> int | None:
    """Return the bytes of a file, or of all files of a folder; None if it is missing."""
    if not path.exists():
        return None
    return sum(file.stat().st_size for file in files_of(path) if file.is_file())


def read_json(path: Path) -> Json | None:
    """Read a JSON object; None where the file is missing or holds no object."""
    try:
        if not path.is_file():  # Opening a pipe would wait for a writer.
            return None
        value = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def planned(path: Path) -> Json:
    """Return the manifest of a directory, or the plan of an unfinished one; empty without them."""
    return read_json(path / MANIFEST) or read_json(path / PLAN) or {}


def version_of(manifest: Plan) -> float:
    """Return the version of the layout in a manifest or a plan."""
    version = manifest.get("schema_version", VERSION)
    return version if isinstance(version, int | float) else float("inf")
