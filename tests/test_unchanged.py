"""An input that is replaced after it was hashed never goes under the old hash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import hnmine, renamed_inside
from faults import SHARED, write_inputs

import hnmine as api
from hnmine.errors import InputError
from hnmine.inputs.table_reader import Table
from hnmine.inputs.unchanged import YOUNG, Unchanged
from hnmine.judges.verdict_file import VerdictFile
from hnmine.runner.manifest import MANIFEST
from hnmine.runner.run_directory import RunDirectory
from hnmine.runner.task_share import ALONE


def in_place(path, other):
    """Write other content of the same size into a file, and give it its old times."""
    before = path.stat()
    path.write_bytes(other)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def renamed(path, other):
    before = path.stat()
    new = path.with_name("new")
    new.write_bytes(other)
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(path)


def linked(path, other):
    new = path.with_name("elsewhere")
    new.write_bytes(other)
    path.unlink()
    path.symlink_to(new)


def gone(path, other):
    path.unlink()


WAYS = [in_place, renamed, linked, gone]


def other_content(path):
    """Return content with as many rows, and as many bytes where the format lets it."""
    if path.suffix != ".parquet":
        return path.read_bytes().replace(b"1", b"2")
    table = pq.read_table(path)
    names = table.column_names
    place = names.index("text") if "text" in names else len(names) - 1
    column = pa.array(list(reversed(table.column(place).to_pylist())))
    out = pa.BufferOutputStream()
    pq.write_table(table.set_column(place, names[place], column), out)
    return out.getvalue().to_pybytes()


@contextmanager
def replaced(monkeypatch, path, way, other=None):
    """Replace a file after the plan was made, and before anything is written."""
    opened = RunDirectory.open
    other = other or other_content(path)

    @contextmanager
    def then(directory, *arguments, **more):
        if path.exists() and not done:
            done.append(way(path, other))
        with opened(directory, *arguments, **more) as run:
            yield run

    done = []
    monkeypatch.setattr(RunDirectory, "open", then)
    yield
    monkeypatch.undo()
    assert done


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    inputs = write_inputs(root / "inputs")
    pairs = pq.read_table(inputs / "pairs.parquet")
    queries = pa.table({"_id": pairs["query_id"], "text": pairs["query"]})
    pq.write_table(queries, inputs / "queries.parquet")
    qrels = {"query-id": pairs["query_id"], "corpus-id": pairs["positive_id"]}
    pq.write_table(pa.table(qrels), inputs / "qrels.parquet")
    (inputs / "run.trec").write_text("".join(f"q{n} Q0 d{n + 12} 1 {n}.5 x\n" for n in range(9)))
    lists = pa.table({"query": pairs["query"], "pos": pairs["positive"], "neg": pairs["positive"]})
    pq.write_table(lists, inputs / "lists.parquet")
    written = {"query_id": [f"q{n}" for n in range(9)], "text": [f"Made {n}" for n in range(9)]}
    pq.write_table(pa.table(written), inputs / "written.parquet")
    verdicts = {"query_id": ["q1"] * 9, "doc_id": [f"d{n}" for n in range(9)], "verdict": [0.5] * 9}
    pq.write_table(pa.table(verdicts), inputs / "verdicts.parquet")
    for suffix in ("jsonl", "csv"):
        rows = pq.read_table(inputs / "corpus.parquet").to_pylist()
        lines = {
            "jsonl": ['{{"id": "{id}", "text": "{text}"}}'.format(**row) for row in rows],
            "csv": ["id,text", *('{id},"{text}"'.format(**row) for row in rows)],
        }
        (inputs / f"corpus.{suffix}").write_text("\n".join(lines[suffix]) + "\n")
    corpus = str(inputs / "corpus.parquet")
    api.build_index(**SHARED, corpus=corpus, dense=False, index=root / "index")
    api.mine(
        **SHARED, index=root / "index", pairs=str(inputs / "pairs.parquet"), top_k=9,
        output=root / "candidates",
    )  # fmt: skip
    api.filter(**SHARED, candidates=root / "candidates", output=root / "mined", num_negatives=2)
    return root


@pytest.fixture
def root(made, tmp_path):
    return renamed_inside(shutil.copytree(made, tmp_path / "made"), made)


def at(root, *names):
    return {name: str(root / "inputs" / f"{name}.parquet") for name in names}


def cases(root):
    mine = {"index": root / "index", "top_k": 9}
    pairs = at(root, "pairs")
    return {
        "corpus.parquet": ("build_index", {**at(root, "corpus"), "dense": False}),
        "corpus.jsonl": ("build_index", {"corpus": f"{root}/inputs/corpus.jsonl", "dense": False}),
        "corpus.csv": ("build_index", {"corpus": f"{root}/inputs/corpus.csv", "dense": False}),
        "pairs.parquet": ("mine", {**mine, **pairs}),
        "queries.parquet": ("mine", {**mine, **at(root, "queries", "qrels")}),
        "qrels.parquet": ("mine", {**mine, **at(root, "queries", "qrels")}),
        "run.trec": ("mine", {**mine, **pairs, "from_run": [f"{root}/inputs/run.trec"]}),
        "lists.parquet": ("mine", {**mine, **pairs, "from_run": [f"{root}/inputs/lists.parquet"]}),
        "written.parquet": ("generate", {**pairs, **at(root, "corpus", "written"), "edit": []}),
        "../mined/scored/00000.parquet": ("mine", {**mine, **pairs, "previous": root / "mined"}),
    }


NAMES = list(cases(Path()))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_what_was_replaced_after_it_was_hashed_is_refused(root, monkeypatch, name, way):
    command, settings = cases(root)[name]
    path = (root / "inputs" / name).resolve()
    output = root / "new"
    where = {"index": output} if command == "build_index" else {"output": output}
    act = getattr(api, command)
    with replaced(monkeypatch, path, way), pytest.raises(InputError) as refused:
        act(**SHARED, **(settings | where))
    assert f"{path.name} changed while it was read" in str(refused.value)
    assert not (output / MANIFEST).exists()


@pytest.mark.parametrize("way", [in_place, renamed, linked])
def test_verdicts_that_were_replaced_between_reading_and_hashing(root, monkeypatch, way):
    path = root / "inputs" / "verdicts.parquet"
    other = other_content(path)
    hashed = VerdictFile.plan

    def then(judge):
        judge.compute(progress=False, share=ALONE)
        way(path, other)
        return hashed(judge)

    monkeypatch.setattr(VerdictFile, "plan", then)
    settings = {"candidates": root / "candidates", "judge": [str(path)], "output": root / "new"}
    with pytest.raises(InputError, match=r"verdicts\.parquet changed while it was read"):
        api.filter(**SHARED, **settings)


def test_the_same_content_under_other_times_is_the_same_input(root, monkeypatch):
    command, settings = cases(root)["corpus.parquet"]
    path = root / "inputs" / "corpus.parquet"
    for number, way in enumerate((in_place, renamed, linked)):
        with replaced(monkeypatch, path, way, path.read_bytes()):
            getattr(api, command)(**SHARED, **settings, index=root / f"new{number}")
        assert (root / f"new{number}" / MANIFEST).exists()


def test_what_is_replaced_while_it_is_read_is_refused_with_exit_code_3(root):
    script = (
        "import shutil, sys\n"
        "import hnmine.inputs.texts as texts\n"
        "from hnmine.cli import main\n"
        "other, corpus, *arguments = sys.argv[1:]\n"
        "write = texts._rows_to_keep\n"
        "def then(*arguments):\n"
        "    found = write(*arguments)\n"  # Read once; it is read again.
        "    shutil.copy(other, corpus)\n"
        "    return found\n"
        "texts._rows_to_keep = then\n"
        "sys.argv = ['hnmine', *arguments]\n"
        "main()\n"
    )
    corpus, other = root / "inputs" / "corpus.parquet", root / "inputs" / "other"
    other.write_bytes(other_content(corpus))
    arguments = ["--no-dense", "--corpus", corpus, "--index", root / "new"]
    done = subprocess.run(
        [sys.executable, "-c", script, other, corpus, "build-index", *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3, done.stderr
    assert "corpus.parquet changed while it was read" in done.stderr
    assert not (root / "new" / MANIFEST).exists()
    again = hnmine("build-index", *arguments)
    assert again.returncode == 0, again.stderr


def test_an_old_file_that_is_touched_is_young_again(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text("x")
    os.utime(path, ns=(1, 1))

    def at(patch, by):
        """Let it be so many nanoseconds after the file was written."""
        # The time of its inode cannot be set.
        patch.setattr("hnmine.inputs.unchanged.time.time_ns", lambda: path.stat().st_ctime_ns + by)

    with pytest.MonkeyPatch.context() as patch:
        at(patch, YOUNG)
        content = Unchanged(path)
        list(content.blocks())
        path.write_text("x")
        at(patch, YOUNG - 1)
        content.check()
    state = content._state
    path.write_text("y")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(InputError, match="changed"):
        patch.setattr("hnmine.inputs.unchanged._state", lambda path: state)
        with content.reading():
            pass


def test_a_file_written_within_a_tick_of_the_clock_is_compared_by_content(tmp_path, monkeypatch):
    """Two writes of one size in one tick leave the same times."""
    path = tmp_path / "c.jsonl"
    path.write_text('{"id": "1", "text": "x"}\n')
    table = Table.open("corpus", str(path))
    table.fingerprint()
    state = table.files[0].contents[0]._state
    path.write_text('{"id": "1", "text": "y"}\n')
    monkeypatch.setattr("hnmine.inputs.unchanged._state", lambda path: state)
    with pytest.raises(InputError, match="changed while it was read"):
        list(table.batches())
