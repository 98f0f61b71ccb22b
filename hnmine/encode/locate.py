"""Find a model by its hub name, its folder or `pkg:package/folder`, and read its files."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from importlib.metadata import distributions
from pathlib import Path

from hnmine.encode.code_guard import refuse_own_code
from hnmine.encode.model_files import fingerprint as fingerprint
from hnmine.errors import MissingModel, first_line
from hnmine.runner.plan import Json

PACKAGE_PREFIX = "pkg:"
WEIGHTS = ("model.onnx", "*.safetensors", "pytorch_model*.bin")
_WEIGHTS = re.compile(r"^(.+)/(?:model\.onnx|[^/,]+\.safetensors|pytorch_model[^/,]*\.bin),", re.M)
CONFIGURATIONS = ["config.json", "modules.json", "adapter_config.json"]
"""Every model for PyTorch has one of these beside its weights."""

OTHER_FORMATS = ["*.h5", "*.msgpack", "*.ot", "*.tflite", "onnx/*", "openvino/*", "coreml/*"]


def find_model(name: str) -> Path:
    """Return the folder of a model as an absolute path, which no library takes for a hub name.

    Args:
        name: `pkg:package/sub/folder`, a folder, or a name on the Hugging Face hub.

    Raises:
        MissingModel: it is not on this machine and cannot be downloaded, or it has its own code.
    """
    folder = _found(name).resolve()
    refuse_own_code(folder)
    return folder


def _found(name: str) -> Path:
    if name.startswith(PACKAGE_PREFIX):
        return _packaged(name)
    folder = Path(name)
    if folder.is_dir():
        return folder
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise MissingModel(f"There is no model folder {name}.", fix="Check the path.")
    return _from_hub(name)


def _packaged(name: str) -> Path:
    package, _, inside = name.removeprefix(PACKAGE_PREFIX).partition("/")
    try:
        # `find_spec` would import the part before a dot.
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise MissingModel(
            f"The Python package {package!r} of the model {name} is not installed.",
            fix=f"pip install {package.replace('_', '-')}",
        )
    for location in spec.submodule_search_locations:
        if (folder := Path(location) / inside).is_dir():
            return folder
    raise MissingModel(
        f"The package {package!r} has no folder {inside!r}.",
        why=f"Looked in {', '.join(spec.submodule_search_locations)}.",
        fix="Check the part of the model's name that follows the package.",
    )


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    try:
        return Path(snapshot_download(name, ignore_patterns=OTHER_FORMATS, local_files_only=True))
    except Exception as missing:
        if offline:
            raise _not_found(name, "HF_HUB_OFFLINE is set: hubs are not asked.") from missing
    try:
        return Path(snapshot_download(name, ignore_patterns=OTHER_FORMATS))
    except Exception as error:
        raise _not_found(name, first_line(error)) from error


def _not_found(name: str, why: str) -> MissingModel:
    return MissingModel(
        f"The model {name!r} is neither a folder, nor in the local cache, nor on a hub in reach.",
        why=why,
        fix="Copy the model to a folder and give its path, or name one inside an installed package "
        "as pkg:package/folder. `hnmine validate --models` lists those on this machine.",
    )


def folders_in(root: Path) -> list[Path]:
    """List the model folders in a folder, including itself; parts of a model do not count."""
    found = []
    for folder, inside, _ in os.walk(root, followlinks=True):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        if is_model(Path(folder)):
            found.append(Path(folder))
            inside.clear()
    return found


def packaged() -> dict[str, Path]:
    """Return the models in installed packages, by their `pkg:` names."""
    found = {}
    for package in distributions():
        files = package.read_text("RECORD") or ""
        for folder in sorted(set(_WEIGHTS.findall(files))):
            place = Path(str(package.locate_file(folder)))
            if is_model(place) and not is_model(place.parent):
                found[PACKAGE_PREFIX + folder] = place
    return found


def cached() -> dict[str, Path]:
    """Return the models in the local cache of the hub, by name."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return {}
    found = {}
    for repository in repositories:
        newest = sorted(repository.revisions, key=lambda r: ("main" in r.refs, r.last_modified))
        if repository.repo_type == "model" and newest and is_model(newest[-1].snapshot_path):
            found[repository.repo_id] = newest[-1].snapshot_path
    return found


def is_model(folder: Path) -> bool:
    """Tell whether a folder holds the files of an encoder or a cross-encoder."""
    needed = ["tokenizer.json"] if is_onnx(folder) else CONFIGURATIONS
    return any((folder / name).is_file() for name in needed) and any(
        file for pattern in WEIGHTS for file in folder.glob(pattern)
    )


def is_onnx(folder: Path) -> bool:
    """Tell whether a folder holds an ONNX graph and no weights for PyTorch."""
    weights = (*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin"))
    return (folder / "model.onnx").exists() and not weights


def modules_of(folder: Path) -> list[Json]:
    """Return the modules of a sentence-transformers model; none for other models.

    Raises:
        MissingModel: modules.json is damaged.
    """
    file = folder / "modules.json"
    content = _load(file, [])
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise damaged(file, "It holds no list of modules.")
    return content


def read_json(folder: Path, name: str) -> Json:
    """Read a model's JSON file; an empty dict where it has none.

    Raises:
        MissingModel: it holds no JSON object.
    """
    content = _load(folder / name, {})
    if not isinstance(content, dict):
        raise damaged(folder / name, "It holds no JSON object.")
    return content


def _load(file: Path, default: object) -> object:
    try:
        return json.loads(file.read_text("utf-8")) if file.is_file() else default
    except (ValueError, RecursionError) as error:
        raise damaged(file, str(error)) from error


def damaged(file: Path, why: str) -> MissingModel:
    """Return the error for a file of a model that holds something else than it should."""
    return MissingModel(f"The model file {file} is damaged.", why=why, fix="Copy the model again.")
