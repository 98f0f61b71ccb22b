"""List the models, devices, back ends and precisions available on this machine."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from hnmine.encode.devices import device_for, fast_dtype
from hnmine.encode.limits import own_limit
from hnmine.encode.locate import cached, find_model, folders_in, packaged
from hnmine.encode.roles import Found, Use, what_is
from hnmine.encode.spec import backend_for
from hnmine.errors import HnmineError, InputError
from hnmine.printable import aligned
from hnmine.results import Result
from hnmine.runner.manifest import size_of
from hnmine.runner.plan import Json

BI_ENCODER, CROSS_ENCODER, OTHER = "bi-encoder", "cross-encoder", "other"
SERVES: dict[Use | None, str] = {
    "encoder": BI_ENCODER, "cross-encoder": CROSS_ENCODER, None: OTHER
}  # fmt: skip
PACKAGES = {"torch": "torch", "openvino": "openvino", "onnx": "onnxruntime"}
"""The package of each back end; the extras of hnmine have the names of the back ends."""


@dataclass(frozen=True)
class Model:
    """A model on this machine.

    Attributes:
        name: as `--encoder` and `--cross-encoder` take it.
        kind: bi-encoder, cross-encoder or other.
        backend: runs it here; empty if none does.
        max_length: tokens after which it cuts a text; None: never.
        size: bytes on the disk.
        note: why it cannot be used; empty if it can.
    """

    name: str
    kind: str
    backend: str
    max_length: int | None
    size: int
    note: str = ""

    @property
    def shown(self) -> str:
        """What a list of models says besides the name."""
        limit = f"{self.max_length:>6,} tokens" if self.max_length else "no token limit"
        return self.note or f"{self.backend:<9} {limit:<14} {_size(self.size):>8}"


@dataclass(frozen=True)
class Machine:
    """Devices and back ends.

    Attributes:
        devices: the precisions of each device, the one of `--dtype auto` first.
        backends: the version of each back end, or how to install it.
    """

    devices: dict[str, list[str]]
    backends: dict[str, str]


@dataclass(frozen=True, repr=False)
class Installed(Result):
    """What this machine can run."""

    models: list[Model]
    machine: Machine

    def as_json(self) -> Json:
        """Return everything as JSON values."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Yield lines for a terminal."""
        for kind in (BI_ENCODER, CROSS_ENCODER, OTHER):
            found = [model for model in self.models if model.kind == kind]
            if found or kind != OTHER:
                yield {OTHER: "not for retrieval"}.get(kind, f"{kind}s")
            yield from aligned(((f"  {model.name}", model.shown) for model in found), "<<")
            if not found and kind != OTHER:
                yield "  none found; `hnmine validate --models FOLDER` searches a folder"
        yield "devices and precisions (the first is --dtype auto)"
        yield from (f"  {name:<10} {', '.join(how)}" for name, how in self.machine.devices.items())
        yield "back ends"
        yield from (f"  {name:<10} {which}" for name, which in self.machine.backends.items())


def installed(folders: Iterable[Path]) -> Installed:
    """Find models in the hub's cache, in installed packages and in folders, at any depth.

    Raises:
        InputError: a folder is missing.
    """
    folders = list(folders)
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}.", fix="Check its path.")
    device = device_for("auto")
    places = {str(found): found for folder in folders for found in folders_in(folder)}
    named = {**places, **cached(), **packaged()}
    return Installed([_model(name, folder, device) for name, folder in named.items()], machine())


def _model(name: str, folder: Path, device: str) -> Model:
    limit, size, kind = None, size_of(folder) or 0, OTHER
    try:
        limit, found = own_limit(find_model(str(folder.resolve()))), what_is(folder)
        kind, note = SERVES[found.use], _note(found)
        backend = backend_for("auto", folder, device, "fp32", found) if found.use else ""
    except HnmineError as error:
        return Model(name, kind, "", limit, size, f"{error.what} {error.why} {error.fix}")
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        return Model(name, kind, "", limit, size, f"cannot be used: its files are damaged: {error}")
    return Model(name, kind, backend, limit, size, note)


def _note(found: Found) -> str:
    """Say why a model cannot be used; empty if it can."""
    if found.use:
        return ""
    return f"cannot be used: {found.fault or f'{found.role}: {found.why}'}"


def machine() -> Machine:
    """Return the devices with their precisions, and the back ends."""
    import torch

    devices = ["cpu", *(f"cuda:{n}" for n in range(torch.cuda.device_count()))]
    devices += ["mps"] * torch.backends.mps.is_available()
    return Machine(
        {device: _formats(device) for device in devices},
        {name: _version(name, package) for name, package in PACKAGES.items()},
    )


def _formats(device: str) -> list[str]:
    automatic = fast_dtype(device)
    others = ["fp32", "bf16"] if device == "cpu" else ["fp32", "bf16", "fp16"]
    emulated = automatic != "bf16" and device != "mps"
    shown = {"bf16": "bf16 (emulated, slow)"} if emulated else {}
    return [automatic, *(shown.get(name, name) for name in others if name != automatic)]


def _version(backend: str, package: str) -> str:
    if importlib.util.find_spec(package) is None:
        return f"not installed: pip install 'hnmine[{backend}]'"
    return version(package)


def _size(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
