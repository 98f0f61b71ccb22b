"""`hnmine push`: a directory with a dataset card, to the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hnmine.config import PushSettings
from hnmine.directories.manifests import read_manifest
from hnmine.errors import InputError, PartialRun, UsageError
from hnmine.exports import EXPORTS
from hnmine.exports.reproduce import public
from hnmine.results import Result, lines_of
from hnmine.runner.manifest import MANIFEST, files_of, read_json
from hnmine.runner.plan import canonical_json

CARD = "README.md"
MINED = (CARD, MANIFEST, "relevance.json", "hardness.json", "shortfall.parquet", "scored", "train")
"""What of a mined directory is for others; run.json names hosts and paths."""


@dataclass(frozen=True, repr=False)
class Pushed(Result):
    """What was uploaded.

    Attributes:
        path: the address of the repository.
        counts: `files` and `bytes`.
    """

    path: str
    counts: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return the address and the counts as JSON values."""
        return {"path": self.path, "counts": dict(self.counts)}

    def lines(self) -> Iterator[str]:
        """Write the address and a line for each count."""
        yield from lines_of(self.path, self.counts)


def push(settings: PushSettings) -> Pushed:
    """Upload what is for others; what is there already is not sent again.

    In the manifest, a local path is its last name.

    Raises:
        InputError: the directory is none of `hnmine filter` or `hnmine export`.
        UsageError: the name is none of a repository.
        PartialRun: the hub is out of reach, or refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HFValidationError

    files = _files(settings.data)
    sent = [
        CommitOperationAdd(file.relative_to(settings.data).as_posix(), _content(file))
        for file in files
    ]
    api = HfApi()
    try:
        address = api.create_repo(
            settings.repo, repo_type="dataset", private=settings.private, exist_ok=True
        )
        api.create_commit(
            repo_id=settings.repo,
            repo_type="dataset",
            operations=sent,
            commit_message="Upload hard negatives",
        )
    except HFValidationError as error:
        raise UsageError(
            f"repo: {settings.repo!r} is no name of a repository.",
            why=str(error).splitlines()[0],
            fix="Give it as OWNER/NAME.",
        ) from error
    except Exception as error:
        lines = str(error).strip().splitlines()
        raise PartialRun(
            f"Cannot push to {settings.repo}.",
            why=lines[0] if lines else repr(error),
            fix="Check the network, HF_HUB_OFFLINE, and the token (`hf auth login`), then run the "
            "same command: what was uploaded is not sent again.",
        ) from error
    return Pushed(
        str(address), {"files": len(files), "bytes": sum(file.stat().st_size for file in files)}
    )


def _files(directory: Path) -> list[Path]:
    """List what is for others.

    Raises:
        InputError: the directory is of another stage, or damaged.
    """
    stage = (read_json(directory / MANIFEST) or {}).get("stage")
    if stage == "export":
        form = read_manifest(directory, "export", "export")["settings"]["to"]
        if form not in EXPORTS:
            raise InputError(
                f"{directory / MANIFEST} is damaged.",
                why=f"There is no format {form!r}.",
                fix="Run the same `hnmine export` again.",
            )
        names = (CARD, MANIFEST, *EXPORTS[form].load().files)
    else:
        read_manifest(directory, "mined", "filter")
        names = MINED
    found = [(directory / name, file) for name in names for file in files_of(directory / name)]
    # What a link points to, or somebody has put beside the parts, is not what the stage wrote.
    own = directory.resolve()
    files = [
        file
        for place, file in found
        if file.is_file()
        and file.resolve() == own / file.relative_to(directory)
        and (file == place or file.suffix == ".parquet")
    ]
    missing = [name for name in names if not (directory / name).exists()]
    if missing:
        raise InputError(
            f"{directory} is damaged.",
            why=f"{missing[0]} is not there.",
            fix="Run the command that wrote it again.",
        )
    return files


def _content(file: Path) -> bytes | str:
    """Return what to upload: the manifest without local paths, other files as they are."""
    if file.name != MANIFEST:
        return str(file)
    return canonical_json(public(read_json(file))).encode()
