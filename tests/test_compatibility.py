"""Files and calls of earlier versions still work: what docs/compatibility.md promises.

`versions/` holds, for each, an archive of the directories that it wrote (12 queries, 60 documents,
BM25 alone) and the keywords of its functions.
"""

from __future__ import annotations

import inspect
import json
import shutil
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import content, hnmine

import hnmine as api
from hnmine.config.setting import RETIRED
from hnmine.python_api import NAMES

ARCHIVES = sorted((Path(__file__).parent / "versions").glob("*.tar.gz"))


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.gz"))
def old(request, tmp_path):
    """What a version wrote, in another place than it was written to."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path / "old", filter="data")
    return tmp_path / "old"


def manifest(folder: Path) -> dict[str, object]:
    return json.loads((folder / "manifest.json").read_text())


def test_candidates_are_filtered_and_every_old_column_is_written(old, tmp_path):
    new = tmp_path / "mined"
    given = ("--index", old / "index", "--num-negatives", 2, "--no-progress")
    done = hnmine("filter", old / "candidates", "--output", new, *given)
    assert done.returncode == 0, done.stderr
    before, after = (pq.read_table(folder / "scored").schema for folder in (old / "mined", new))
    assert {(field.name, field.type) for field in before} <= {(f.name, f.type) for f in after}
    before, after = (pq.read_table(folder / "train") for folder in (old / "mined", new))
    assert before.schema.equals(after.schema)
    assert before.num_rows == after.num_rows
    assert manifest(old / "mined").keys() <= manifest(new).keys()
    assert manifest(old / "mined")["counts"].keys() <= manifest(new)["counts"].keys()


def test_an_index_is_mined_with(old, tmp_path):
    again = tmp_path / "again"
    given = ("--pairs", old / "pairs.parquet", "--source", "bm25:10", "--no-progress")
    done = hnmine("mine", old / "index", *given, "--output", again)
    assert done.returncode == 0, done.stderr
    before, after = (pq.read_table(f / "candidates") for f in (old / "candidates", again))
    shared = before.column_names
    assert set(shared) <= set(after.column_names)
    assert after.select(shared).equals(before)


def test_a_mined_directory_is_read(old, tmp_path):
    before = content(old)
    shutil.copytree(old / "mined", tmp_path / "twin")
    places = ("--candidates", old / "candidates", "--index", old / "index")
    for line in (
        ("report", old / "mined", "--no-html", *places),
        ("inspect", old / "mined", "--worst", 1, *places),
        ("compare", old / "mined", tmp_path / "twin"),
        ("export", old / "mined", "--to", "flagembedding", "--output", tmp_path / "f", *places),
    ):
        done = hnmine(*line)
        assert done.returncode == 0, (line, done.stderr)
        assert done.stdout.strip()
    assert content(old) == before


def test_functions_take_the_keywords_of_old(old):
    for name, keywords in json.loads((old / "functions.json").read_text()).items():
        taken = inspect.signature(getattr(api, name)).parameters
        assert set(keywords) - RETIRED.keys() <= taken.keys(), name
        assert name in NAMES.values()
