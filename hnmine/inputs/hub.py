"""Data sets on the Hugging Face hub: their data files alone, without any code of theirs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hnmine.errors import InputError, first_line
from hnmine.inputs.formats import FORMATS, LOOKED_AT, READABLE
from hnmine.inputs.formats.text import PACKED
from hnmine.inputs.splits import CARD, SIDE_FILES, card_of, choose, fits, group
from hnmine.runner.atomic import write_text
from hnmine.runner.incidents import note_once
from hnmine.runner.safe_paths import safe_join
from hnmine.runner.urls import cache

SCHEME = "hf://"
_NAME = re.compile(
    r"([A-Za-z0-9][\w.-]*/[\w.-]+)(?:@(refs/[\w-]+/[\w.-]+|[^/:@]+))?(?::([^/:]+))?(?:/(.+))?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
SECONDS = 20
"""To wait for an answer of the hub."""

AT_ONCE = 8
"""Files that are downloaded at the same time."""


@dataclass(frozen=True)
class HubName:
    """A data set on the hub, as a user names it.

    Attributes:
        path: as it was given.
        repo: owner and name.
        revision: a branch, a tag or a commit; empty for the main branch.
        config: of the data set; empty if none was named.
        inside: a split, or a file, folder or glob in the repository; empty if none was named.
    """

    path: str
    repo: str
    revision: str = ""
    config: str = ""
    inside: str = ""

    @classmethod
    def parse(cls, path: str) -> HubName | None:
        """Return the data set that a path names; None for a path on this machine.

        Args:
            path: `hf://datasets/owner/name[@revision][:config][/split]`; or `owner/name[…]`,
                where no such file or folder, and no folder `owner`, is on this machine.

        Raises:
            InputError: it begins with `hf://`, and is nothing of this form.
        """
        if path.startswith(SCHEME):
            kind, _, name = path.removeprefix(SCHEME).partition("/")
            found = _NAME.fullmatch(name) if kind == "datasets" else None
            if found is None or ".." in name:
                raise InputError(
                    f"{path} names no data set.",
                    fix=f"Give {SCHEME}datasets/owner/name[@revision][:config][/split].",
                )
            return cls(path, *(part or "" for part in found.groups()))
        found = _NAME.fullmatch(path)
        is_file = ".." in path or path.lower().endswith((*READABLE, *PACKED))
        is_local = os.path.lexists(path) or os.path.lexists(path.partition("/")[0])
        if found is None or is_file or is_local or set("*?[") & set(path):
            return None
        return cls(path, *(part or "" for part in found.groups()))


def fetch(name: HubName, split: Sequence[str], *, strict: bool) -> tuple[Path, list[str]]:
    """Download the files of a data set that were asked for, unless the cache has them.

    Returns:
        The folder that they are in, and their paths in it.

    Raises:
        InputError: the hub cannot be reached, has no such data set, or one that needs code.
    """
    from huggingface_hub import hf_hub_download

    commit, files, online = _files_of(name)

    def download(file: str) -> Path:
        """Bring a file to the client's cache; return the folder that all files are in."""
        place = {"repo_id": name.repo, "repo_type": "dataset", "revision": commit}
        try:
            here = Path(hf_hub_download(filename=file, local_files_only=not online, **place))
        except Exception as error:
            raise _not_found(name, error) from error
        return here.parents[file.count("/")]

    text = (download(CARD) / CARD).read_text("utf-8", "replace") if CARD in files else ""
    card = card_of(text)
    chosen = _choose(name, files, card, split, strict=strict)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        roots = list(pool.map(download, chosen))
    note_once(f"{name.path}: read at commit {commit}; @{commit} names the same data later.")
    return roots[0], chosen


def _files_of(name: HubName) -> tuple[str, list[str], bool]:
    """Return the commit, the files that it holds, and whether the hub said so, or the cache."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    kept = _kept(name, name.revision)
    try:
        info = HfApi().dataset_info(name.repo, revision=name.revision or None, timeout=SECONDS)
    except HfHubHTTPError as error:  # The hub answered: there is no such data set.
        raise _not_found(name, error) from error
    except Exception as error:
        if not kept.is_file():
            raise _not_found(name, error) from error
        note_once(f"{name.path}: the hub cannot be reached; reads the cached copy.")
        return (*_checked(name, kept.read_text(encoding="utf-8")), False)
    files = [one.rfilename for one in info.siblings or ()]
    said = json.dumps({"commit": info.sha, "files": files})
    commit, files = _checked(name, said)
    kept.parent.mkdir(parents=True, exist_ok=True)
    for place in {kept, _kept(name, commit)}:
        write_text(place, said)
    return commit, files, True


def _kept(name: HubName, revision: str) -> Path:
    """Return the file that says, where the hub cannot be reached, what a revision holds."""
    plain = re.sub(r"[^\w.-]", "-", revision) or "main"
    return cache() / "hub" / f"{name.repo.replace('/', '--')}@{plain}.json"


def _checked(name: HubName, said: str) -> tuple[str, list[str]]:
    """Return a commit and the paths of its files, none of which leads out of a folder."""
    try:
        found = json.loads(said)
        commit, files = found["commit"], found["files"]
        if not _COMMIT.fullmatch(commit):
            raise ValueError(f"{commit[:80]!r} is no commit.")
    except (ValueError, KeyError, TypeError) as error:
        raise _not_found(name, error) from error
    for file in files:
        safe_join(cache(), file, name.path)
    return commit, files


def _choose(
    name: HubName, files: list[str], card: object, split: Sequence[str], *, strict: bool
) -> list[str]:
    names = [
        file
        for file in files
        if file.lower().endswith(LOOKED_AT)
        and not any(part.startswith((".", "_")) for part in file.split("/"))
        and file.rpartition("/")[2] not in SIDE_FILES
    ]
    names.sort(key=lambda file: file.split("/"))
    inside = name.inside.rstrip("/")
    below = [file for file in names if file == inside or file.startswith(f"{inside}/")]
    below = below or [file for file in names if inside and fits(file, inside)]
    if below:
        return choose(name.path, group(below), split, strict=strict)
    script = f"{name.repo.partition('/')[2]}.py"
    if script in files or not names:
        what, why = f"{name.path} holds no file that ends in {', '.join(FORMATS)}.", ""
        if script in files:
            what = f"{name.path} needs its own code to be read."
            why = f"It brings the script {script}, and hnmine runs no code of a data set."
        fix = "Name its copy in Parquet, where the hub has made one: "
        fix += f"{SCHEME}datasets/{name.repo}@refs/convert/parquet."
        raise InputError(what, why=why, fix=fix)
    wanted = [inside] if inside else list(split)
    if name.config:
        wanted = [f"{name.config}/{one}" for one in wanted] or [name.config]
    return choose(name.path, group(names, card), wanted, strict=strict or bool(inside))


def _not_found(name: HubName, error: Exception) -> InputError:
    return InputError(
        f"{name.path} is neither a file or folder here nor a data set that can be downloaded.",
        why=first_line(error),
        fix=f"Check the name; or run `hf download {name.repo} --repo-type dataset --local-dir "
        "FOLDER` where the hub can be reached, and give FOLDER.",
    )
