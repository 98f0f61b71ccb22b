"""Measure hnmine and sentence-transformers on one card, in one call, without a network."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common import machine, ratio, versions
from benchmarks.gpu import inference, pipeline
from benchmarks.gpu.timing import shown

LIBRARIES = ("torch", "transformers", "sentence-transformers", "tokenizers", "numpy", "faiss-cpu")
SHARE = {"inference": 0.65, "pipeline": 0.35}
"""Of the time, in seconds, that each part may take."""


def about(device: str) -> dict[str, Any]:
    """Describe the card, the machine and the versions."""
    import torch

    card = torch.cuda.get_device_name(0) if device.startswith("cuda") else device
    return {
        "card": card,
        "precision": inference.precision(device),
        "versions": versions(LIBRARIES),
        "python": platform.python_version(),
        "machine": machine(),
        "command": " ".join(sys.orig_argv),
    }


def main(given: list[str] | None = None) -> None:
    """Measure, print a table, and write JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, help="a file for JSON, written after each part")
    parser.add_argument("--seconds", type=float, default=240, help="for encoding and the pipeline")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--small", action="store_true", help="tiny models, to try the script")
    parser.add_argument("--parts", nargs="+", choices=SHARE, default=list(SHARE))
    parser.add_argument("--profile", action="store_true", help="print where hnmine's time goes")
    settings = parser.parse_args(given)
    os.environ["TQDM_DISABLE"] = "1"
    seconds = min(settings.seconds, 40) if settings.small else settings.seconds
    found: dict[str, Any] = about(settings.device)
    print(json.dumps(found), flush=True)
    parts: dict[str, Callable[..., list[dict[str, Any]]]] = {
        "inference": inference.measure,
        "pipeline": pipeline.measure,
    }
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for name in settings.parts:
            start = time.perf_counter()
            try:
                found[name] = parts[name](
                    Path(folder),
                    settings.device,
                    settings.threads,
                    seconds * SHARE[name],
                    small=settings.small,
                )
            except Exception:
                # The other parts are still worth their time on a rented card.
                failed = True
                found[name] = []
                traceback.print_exc()
            found[f"{name}, wall s"] = round(time.perf_counter() - start, 1)
            if settings.out:
                settings.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        if settings.profile:
            given_all = (Path(folder), settings.device, settings.threads)
            try:
                inference.profile(*given_all, small=settings.small)
            except Exception:
                traceback.print_exc()
    _show(found, settings.parts)
    rows = [row for name in settings.parts for row in found[name]]
    if failed or not all(row.get("same", True) for row in rows):
        raise SystemExit("A part failed, or results differ; see above.")


def _show(found: dict[str, Any], parts: list[str]) -> None:
    print(f"\n{found['card']}, {found['precision']}, {found['versions']}\n")
    print("| what | sentence-transformers | hnmine | times as fast | agreement |")
    print("|---|---|---|---|---|")
    for row in (row for name in parts for row in found[name]):
        if "unit" in row:
            rates = [f"{row[f'{name} /s']:,} {row['unit']}/s" for name in
                     ("sentence-transformers", "hnmine")]  # fmt: skip
            times, same = row["times as fast"], row["agreement"]
        else:
            rates = [f"{shown(row['seconds'][name])} s" for name in ("theirs", "ours")]
            times, same = ratio(row["seconds"]["theirs"], row["seconds"]["ours"]), row["rows"]
        print(f"| {row['what']} | {rates[0]} | {rates[1]} | {times} | {same} |")


if __name__ == "__main__":
    main()
