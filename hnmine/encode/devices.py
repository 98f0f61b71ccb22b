"""The devices of this machine, and the precision in which they compute."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from hnmine.config import Dtype
from hnmine.errors import MissingModel

VISIBLE = "CUDA_VISIBLE_DEVICES"
CPU_INFO = Path("/proc/cpuinfo")
BF16_ON_CPUS = frozenset({"amx_bf16", "avx512_bf16"})


def dtype_for(wanted: Dtype | Literal["auto"] | None, device: str) -> Dtype:
    """Return the precision of a setting; without one, the fastest of the device."""
    return fast_dtype(device) if wanted is None or wanted == "auto" else wanted


def fast_dtype(device: str) -> Dtype:
    """Return bf16 where the device computes in it: emulation is many times slower.

    Else it is fp16 on a GPU of NVIDIA or AMD, and fp32 on others.
    """
    if computes_in_bf16(device):
        return "bf16"
    return "fp16" if device.startswith("cuda") else "fp32"


def computes_in_bf16(device: str) -> bool:
    """Tell whether a device multiplies bfloat16 faster than float32."""
    if device.startswith("cuda"):
        import torch

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and not BF16_ON_CPUS.isdisjoint(_flags_of_cpu(CPU_INFO))


@cache
def _flags_of_cpu(info: Path) -> frozenset[str]:
    """Return what Linux says that the CPU can do; nothing on other systems."""
    # PyTorch knows it too, but importing it takes longer than filtering with stored scores.
    with suppress(OSError):
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, flags = line.partition(":")
            if name.strip() == "flags":
                return frozenset(flags.split())
    return frozenset()


def device_for(wanted: str) -> str:
    """Return the device of a setting.

    Raises:
        MissingModel: this machine lacks it.
    """
    # Importing PyTorch takes longer than filtering with stored scores.
    if wanted == "cpu" or (wanted == "auto" and version("torch").endswith("+cpu")):
        return "cpu"
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = wanted.partition(":")[0] if re.fullmatch(r"\w+(:\d+)?", wanted) else ""
    usable = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not usable.get(kind, False):
        here = ", ".join(name for name, there in usable.items() if there)
        raise MissingModel(
            f"This machine has no device {wanted!r}.",
            why=f"PyTorch finds: {here}.",
            fix="Pass --device cpu, or install a PyTorch build for the device.",
        )
    return wanted


def cards(device: str) -> list[str]:
    """Return the GPUs that workers share, as `CUDA_VISIBLE_DEVICES` names them.

    None where the setting names one, or the models run elsewhere.
    """
    if device not in ("auto", "cuda") or version("torch").endswith("+cpu"):
        return []
    import torch

    count = torch.cuda.device_count()
    visible = os.environ.get(VISIBLE)
    named = visible.split(",") if visible else [str(n) for n in range(count)]
    return [name.strip() for name in named[:count]]
