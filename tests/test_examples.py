"""The examples run as they stand."""

from __future__ import annotations

import subprocess
import sys

import pyarrow.parquet as pq
from conftest import ENCODER, ROOT

from hnmine.finished import read_manifest


def test_two_rounds_end_in_negatives_that_know_of_the_first(stdlib, tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "examples" / "two_rounds.py"),
            *("--corpus", stdlib / "corpus.parquet", "--pairs", stdlib / "pairs.parquet"),
            *("--encoder", ENCODER, "--output", tmp_path, "--steps", "2"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "negatives of the second round" in done.stdout
    first, second = (
        read_manifest(tmp_path / f"candidates-{n}", "candidates", "mine") for n in (1, 2)
    )
    assert first["encoder"]["content"] != second["encoder"]["content"]
    assert first["index"] == second["index"] and second["previous"]
    rows = pq.read_table(tmp_path / "mined-2" / "scored").to_pylist()
    assert any(row["previous_selected"] and row["selected"] for row in rows)
    assert any(row["previous_rank"] is None and row["rank"] is not None for row in rows)
