"""What a run records of its outputs, and whether they are still as it wrote them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xxhash

from hnmine.schema import STATE

MANIFEST, RUN = "manifest.json", "run.json"
PLAN, DONE = f"{STATE}/plan.json", f"{STATE}/done"
HASH_BLOCK = 1 << 22


def record(path: Path) -> dict[str, Any]:
    """Describe an output: its bytes, when it was last modified, and a hash of its content.

    Raises:
        FileNotFoundError: it is not there.
    """
    return {**_stamp(path), "xxh3": checksum(path)}


def changes(path: Path, recorded: Any, *, untouched_too: bool = False) -> str:
    """Say how an output differs from what was recorded of it; empty if it does not.

    Args:
        path: a file or a folder.
        recorded: by `record`.
        untouched_too: compare the content even where it was not modified since, as a disk may
            change it by itself.
    """
    size = size_of(path)
    if size is None:
        return "is not there."
    if not isinstance(recorded, dict) or recorded.keys() != {"bytes", "modified", "xxh3"}:
        return "was recorded by another version."
    if size != recorded["bytes"]:
        return f"has {size:,} bytes, and had {recorded['bytes']:,}."
    touched = _stamp(path)["modified"] != recorded["modified"]
    if (touched or untouched_too) and checksum(path) != recorded["xxh3"]:
        return "has another content than was written: its checksum differs."
    return ""


def checksum(path: Path) -> str:
    """Hash a file, or the names and contents of a folder (xxh3, 128 bits)."""
    total = xxhash.xxh3_128()
    for file in files_of(path):
        if not file.is_file():
            continue
        total.update(file.relative_to(path).as_posix().encode("utf-8", "surrogateescape"))
        with file.open("rb", buffering=0) as stream:
            while block := stream.read(HASH_BLOCK):
                total.update(block)
    return total.hexdigest()


def _stamp(path: Path) -> dict[str, int]:
    found = [file.stat() for file in files_of(path) if file.is_file()]
    return {
        "bytes": sum(stat.st_size for stat in found),
        "modified": max((stat.st_mtime_ns for stat in found), default=0),
    }


def markers_of(path: Path) -> list[Path]:
    """List the markers of the tasks that are done in a directory."""
    return sorted((path / DONE).glob("*.json"))


def lasting_outputs(marker: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what a marker recorded, but for what nobody needs once the run is done."""
    for output, recorded in marker.get("outputs", {}).items():
        if Path(output).parts[0] != STATE:
            yield output, recorded


def files_of(path: Path) -> list[Path]:
    """List a file, or everything in a folder."""
    return sorted(path.rglob("*")) if path.is_dir() else [path]


def size_of(path: Path) -> int | None:
    """Return the bytes of a file, or of all files of a folder; None if it is not there."""
    if not path.exists():
        return None
    return sum(file.stat().st_size for file in files_of(path) if file.is_file())


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None where the file is missing or holds something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
