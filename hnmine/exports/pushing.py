"""`hnmine push`: upload a directory with its dataset card to the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hnmine.config import PushSettings
from hnmine.directories.manifests import ExportManifest, MinedManifest
from hnmine.errors import InputError, PartialRun, UsageError, first_line
from hnmine.exports import EXPORTS
from hnmine.exports.card import card_of_upload
from hnmine.exports.format import Format
from hnmine.exports.reproduce import public
from hnmine.results import Json, Result, count_lines
from hnmine.runner.manifest import MANIFEST, files_of, read_json
from hnmine.runner.plan import canonical_json

CARD = "README.md"
MINED = (CARD, MANIFEST, "relevance.json", "hardness.json", "train")
"""The files of a mined directory that are uploaded; run.json names hosts and paths."""

BY_ID = ("scored", "shortfall.parquet")
"""Those that are uploaded on request: they name documents and queries by their ids alone."""


@dataclass(frozen=True, repr=False)
class Pushed(Result):
    """The result of `hnmine push`.

    Attributes:
        path: the URL of the repository.
        counts: `files` and `bytes`.
    """

    path: str
    counts: Mapping[str, int]

    def as_json(self) -> Json:
        """Return the address and the counts as JSON values."""
        return {"path": self.path, "counts": dict(self.counts)}

    def lines(self) -> Iterator[str]:
        """Return the lines for a terminal."""
        yield self.path
        yield from count_lines(self.counts)


def push(settings: PushSettings) -> Pushed:
    """Upload a mined or an exported directory; a file that the hub has is not sent again.

    The uploaded manifest holds the last name of each local path.

    Raises:
        InputError: neither `hnmine filter` nor `hnmine export` wrote the directory.
        UsageError: `repo` is not the name of a repository.
        PartialRun: the hub cannot be reached, or refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HFValidationError

    files = _files(settings.data, with_ids=settings.scored)
    there = {file.relative_to(settings.data).as_posix(): file for file in files}
    folders = {name.partition("/")[0] for name in there} | set(there)
    sent = [
        CommitOperationAdd(name, _content(file, settings.repo, folders))
        for name, file in there.items()
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
            f"repo: {settings.repo!r} is not the name of a repository.",
            why=first_line(error),
            fix="Pass OWNER/NAME.",
        ) from error
    except Exception as error:
        raise PartialRun(
            f"Cannot push to {settings.repo}.",
            why=first_line(error),
            fix="Check the network, HF_HUB_OFFLINE, and the token (`hf auth login`), then run the "
            "same command: uploaded files are not sent again.",
        ) from error
    return Pushed(
        str(address), {"files": len(files), "bytes": sum(file.stat().st_size for file in files)}
    )


def _files(directory: Path, *, with_ids: bool) -> list[Path]:
    """Return the files to upload.

    Args:
        directory: mined or exported.
        with_ids: whether `BY_ID` are among them.

    Raises:
        InputError: the directory is of another stage, or damaged.
    """
    stage = (read_json(directory / MANIFEST) or {}).get("stage")
    if stage == "export":
        exported = ExportManifest.read(directory)
        form = exported.settings.to
        if form not in EXPORTS:
            raise InputError(
                f"{directory / MANIFEST} is damaged.",
                why=f"hnmine has no format {form!r}.",
                fix="Run the same `hnmine export` again.",
            )
        known: Format = EXPORTS[form].load()
        names = (CARD, MANIFEST, *known.names(known.splits_in(exported.counts) or ["train"]))
    else:
        MinedManifest.read(directory)
        names = (*MINED, *(BY_ID if with_ids else ()))
    found = [(directory / name, file) for name in names for file in files_of(directory / name)]
    # The stage wrote no links, and only Parquet files into its folders.
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
            why=f"{missing[0]} is missing.",
            fix="Run the command that wrote it again.",
        )
    return files


def _content(file: Path, repository: str, folders: Collection[str]) -> bytes | str:
    """Return the content to upload: of the manifest without local paths, of the card for here."""
    if file.name == MANIFEST:
        return canonical_json(public(read_json(file) or {})).encode()
    if file.name == CARD:
        return card_of_upload(file.read_text("utf-8"), repository, folders).encode()
    return str(file)
