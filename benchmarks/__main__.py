"""`python -m benchmarks`: every benchmark in a process of its own, and one page of results."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.common import RESULTS

QUICK = {
    "bm25": ["--sizes", "10000"],
    "models": ["--texts", "100", "--queries", "1", "--rounds", "1"],
    "dense": ["--documents", "20000", "--queries", "200"],
    "growth": ["--quick"],
    "pipeline": ["--queries", "3", "--documents", "60"],
}
"""Under five minutes on two cores; ratios of so little work are rough."""

FULL: dict[str, list[str]] = {"bm25": [], "models": [], "dense": [], "growth": [], "pipeline": []}


def main() -> None:
    """Run the benchmarks with one thread, by CPU time, and with two, by wall time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder of collections")
    parser.add_argument("--quick", action="store_true", help="one thread, little work")
    parser.add_argument("--only", nargs="*", choices=FULL, help="some of the benchmarks")
    arguments = parser.parse_args()
    chosen = QUICK if arguments.quick else FULL
    pages = []
    for threads in (1,) if arguments.quick else (1, 2):
        for name in arguments.only or chosen:
            command = [sys.executable, "-m", f"benchmarks.{name}", *chosen[name]]
            command += ["--threads", str(threads)]
            command += ["--data", str(arguments.data)] if arguments.data else []
            settings = {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
            done = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | settings
            )
            sys.stdout.write(done.stdout)
            sys.stdout.flush()
            pages.append(done.stdout)
    page = RESULTS / "results.md"
    page.write_text("".join(pages), encoding="utf-8")
    sys.stdout.write(f"\n{page}\n")


if __name__ == "__main__":
    main()
