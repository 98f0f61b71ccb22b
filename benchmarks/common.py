"""What the benchmarks share: texts to measure on, and how results are shown."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "runs" / "bench"


def stdlib() -> Path:
    """Return a folder with the corpus and the pairs of the standard library's docstrings."""
    folder = RESULTS / "stdlib"
    if not (folder / "pairs.parquet").exists():
        script = ROOT / "examples" / "python_stdlib" / "make_dataset.py"
        subprocess.run([sys.executable, script, "--output", folder], check=True)
    return folder


def collections(data: Path | None) -> list[Path]:
    """Return the folders of judged collections in a folder."""
    return sorted(folder.parent for folder in data.glob("*/qrels.parquet")) if data else []


def texts(path: Path) -> list[str]:
    """Read the texts of a corpus."""
    column: list[str] = pq.read_table(path)["text"].to_pylist()
    return column


def spread(values: Sequence[float]) -> str:
    """Show a median with its range."""
    return f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def report(name: str, rows: Sequence[Mapping[str, object]], libraries: Sequence[str]) -> None:
    """Print rows as a Markdown table and write them as JSON with versions and hardware."""
    columns = list(rows[0])
    print(f"\n### {name}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(str(row[column]) for column in columns) + " |")
    RESULTS.mkdir(parents=True, exist_ok=True)
    about = {
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "versions": {library: version(library) for library in ("hnmine", *libraries)},
        "rows": list(rows),
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(about, indent=2) + "\n")
