"""What goes wrong where a user runs it: each error says what, why and the fix, in one screen, with
its exit code, and leaves what was done usable."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import forked
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from conftest import CROSS_ENCODER, ENCODER, content, hnmine, rows, write
from typer.testing import CliRunner

from hnmine.cli import app
from hnmine.cli.failures import errors_explained
from hnmine.errors import InputError, damage_explained
from hnmine.runner import interrupts
from hnmine.runner.manifest import MANIFEST
from hnmine.schema import STATE

pytestmark = pytest.mark.xdist_group("errors")

SCREEN = 15
CPU = ["--device", "cpu"]


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def here(*arguments: object) -> Done:
    """Run a command in this process: the imports of a hundred processes would take minutes."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return Done(result.exit_code, result.stdout, result.stderr)


def complains(arguments, code, *said, debug=True, run=here) -> None:
    """Assert that a command ends with this code and says this, and more with --debug only."""
    done = run(*arguments)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    for part in said:
        assert str(part) in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) in range(2, SCREEN)
    assert done.stdout == ""
    if debug:
        done = run(*arguments, "--debug")
        assert (done.returncode, "Traceback" in done.stderr) == (code, True), done.stderr


def succeeds(arguments) -> None:
    done = here(*arguments)
    assert done.returncode == 0, done.stderr


def script(*lines: str):
    """Return a stand-in for `hnmine` that does this first, in the process of the command."""

    def run(*arguments):
        return forked.run("\n".join((*lines, forked.COMMAND_LINE)), *arguments)

    return run


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    numbers = range(60)
    write(
        folder / "corpus.parquet",
        id=[f"d{n}" for n in numbers],
        text=[f"Document {n} tells of the number {n} and of {n % 7}." for n in numbers],
    )
    write(
        folder / "pairs.parquet",
        query_id=[f"q{n}" for n in range(20)],
        query=[f"What tells of {n}?" for n in range(20)],
        positive=[f"Document {n} tells of the number {n} and of {n % 7}." for n in range(20)],
        positive_id=[f"d{n}" for n in range(20)],
    )
    return folder


def commands(inputs: Path, root: Path) -> dict[str, list[object]]:
    """The three commands without models, cut into several tasks each."""
    return {
        "index": [
            *("build-index", "--corpus", inputs / "corpus.parquet", "--index", root / "index"),
            *("--no-dense", "--shard-size", 16),
        ],
        "candidates": [
            *("mine", "--index", root / "index", "--pairs", inputs / "pairs.parquet"),
            *("--output", root / "candidates", "--block-size", 8, "--top-k", 20),
        ],
        "mined": [
            *("filter", "--candidates", root / "candidates", "--output", root / "mined"),
            *("--num-negatives", 2, "--no-default-rule"),
        ],
    }


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory) -> Path:
    """An undisturbed run: never to be changed."""
    root = tmp_path_factory.mktemp("whole")
    for command in commands(inputs, root).values():
        succeeds(command)
    return root


@pytest.fixture
def run(whole, inputs, tmp_path) -> Path:
    """A finished run in a place where it may be damaged."""
    root = tmp_path / "run"
    shutil.copytree(whole, root)
    note = root / "candidates" / "run.json"
    note.write_text(note.read_text().replace(str(whole), str(root)))
    return root


def build(inputs: Path, tmp_path: Path, *more: object) -> list[object]:
    return ["build-index", "--index", tmp_path / "i", "--no-dense", "--corpus", inputs, *more]


# What is given


def test_a_wrong_column(inputs, tmp_path):
    path = inputs / "corpus.parquet"
    complains(build(path, tmp_path, "--column", "corpus.text=txet"), 3, "'txet'", "id, text")
    write(tmp_path / "wide.parquet", **{f"column_{n}": [1] for n in range(300)})
    complains(build(tmp_path / "wide.parquet", tmp_path), 3, "column_29 and 270 more", "--column")
    succeeds(build(path, tmp_path))


def test_a_missing_file(inputs, tmp_path):
    complains(build(inputs / "corpse.parquet", tmp_path), 3, "No data found", "corpus.parquet")
    complains(build("", tmp_path), 3, "path is empty", debug=False)


@pytest.mark.parametrize("damage", ["text", "truncated", "empty", "folder of text", "packed"])
def test_what_is_not_parquet_or_only_half_of_it(inputs, tmp_path, damage):
    whole = (inputs / "corpus.parquet").read_bytes()
    path = tmp_path / "bad.parquet"
    if damage == "packed":
        path = tmp_path / "bad.jsonl.gz"
    if damage == "folder of text":
        path = tmp_path / "bad"
        path.mkdir()
        (path / "notes.txt").write_text("text")
    else:
        path.write_bytes({"text": b"id,text\n", "truncated": whole[:-99]}.get(damage, b""))
    complains(build(path, tmp_path), 3, path)
    assert not (tmp_path / "i").exists()
    succeeds(build(inputs / "corpus.parquet", tmp_path))


def test_no_permission(inputs, tmp_path):
    """Root may read everything, so a path that nobody can go down stands for it, and a link."""
    (tmp_path / "file").write_text("")
    below = tmp_path / "file" / "corpus.parquet"
    complains(build(below, tmp_path), 3, below)
    inside = [*build(inputs / "corpus.parquet", tmp_path), "--index", tmp_path / "file" / "i"]
    complains(inside, 4, "not a directory")
    (tmp_path / "loop.parquet").symlink_to("loop.parquet")
    complains(build(tmp_path, tmp_path), 3, "loop.parquet")


if os.geteuid() != 0:  # Root is above permission bits.

    def test_no_permission_bits(inputs, tmp_path):
        path = tmp_path / "corpus.parquet"
        shutil.copy(inputs / "corpus.parquet", path)
        path.chmod(0)
        complains(build(path, tmp_path), 3, path, "ermission")
        (tmp_path / "i").mkdir(mode=0o500)
        complains(build(inputs / "corpus.parquet", tmp_path), 4, "No permission")


def test_an_output_that_is_a_file(inputs, tmp_path):
    (tmp_path / "i").write_text("important")
    complains(build(inputs / "corpus.parquet", tmp_path), 3, "is a file")
    assert (tmp_path / "i").read_text() == "important"


def test_the_index_as_output_is_never_overwritten(run, inputs):
    before = content(run / "index")
    for more in ([], ["--overwrite"]):
        arguments = [*commands(inputs, run)["candidates"], "--output", run / "index", *more]
        complains(arguments, 3, "directory of the stage index", debug=False)
    assert content(run / "index") == before


def test_an_output_inside_the_input_is_no_input(inputs, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(inputs / "corpus.parquet", data)
    arguments = ["build-index", "--corpus", data, "--no-dense", "--index", data / "index"]
    succeeds(arguments)
    before = content(data)
    succeeds(arguments)
    assert content(data) == before


# Which index


def test_the_wrong_index_for_these_pairs(run, inputs, tmp_path):
    other = write(tmp_path / "other.parquet", id=["d0", "d1"], text=["Something else", "Another"])
    succeeds(build(other, tmp_path))
    arguments = [*commands(inputs, run)["candidates"], "--output", tmp_path / "o"]
    arguments += ["--index", tmp_path / "i"]
    complains(arguments, 3, "18 whose positive is not in the index", "2 whose positive's id has")
    succeeds([*arguments, "--index", run / "index"])
    assert content(tmp_path / "o")["candidates/00000.parquet"]


def test_candidates_of_an_index_that_was_built_anew_from_another_corpus(run, inputs, tmp_path):
    other = write(tmp_path / "other.parquet", id=["d0"], text=["Something else"])
    moved = tmp_path / "moved"
    shutil.move(run / "index", moved)
    gone = commands(inputs, run)["mined"]
    gone[gone.index("--output") + 1] = tmp_path / "again"
    complains(gone, 3, f"no directory {run / 'index'}", "hnmine build-index")
    succeeds(["build-index", "--corpus", other, "--no-dense", "--index", run / "index"])
    complains(gone, 3, "is not the one that", "--index", "`hnmine mine` again")
    succeeds([*gone, "--index", moved])
    assert content(tmp_path / "again") == content(run / "mined")


def test_a_manifest_of_a_newer_schema(run, inputs, tmp_path):
    manifest = run / "index" / MANIFEST
    text = manifest.read_text()
    mine = [*commands(inputs, run)["candidates"], "--output", tmp_path / "o"]
    for version in ("99", '"2.0"'):
        newer = text.replace('"schema_version": 1', f'"schema_version": {version}')
        manifest.write_text(newer)
        complains(mine, 3, "newer hnmine", "Upgrade")
    manifest.write_text(text)
    succeeds(mine)


def test_a_directory_that_another_plan_wrote(run, inputs):
    before = content(run / "candidates")
    mine = [*commands(inputs, run)["candidates"], "--top-k", "3"]
    complains(mine, 3, "settings.top_k: 20 -> 3", "--overwrite")
    assert content(run / "candidates") == before
    manifest = run / "candidates" / STATE / "plan.json"
    manifest.write_text(json.dumps({"stage": "candidates"} | {f"key{n}": n for n in range(99)}))
    complains(mine, 3, "more", "--overwrite")


def test_an_input_that_changed_half_way_is_refused_and_named(inputs, tmp_path):
    corpus = tmp_path / "corpus.parquet"
    shutil.copy(inputs / "corpus.parquet", corpus)
    build = commands(tmp_path, tmp_path)["index"]
    stops = script(
        "import os, hnmine.index.building as stage",
        "stage.merge_counts = lambda *arguments: os._exit(9)",
    )
    assert stops(*build).returncode == 9
    before = content(tmp_path / "index")
    table = pq.read_table(corpus)
    pq.write_table(table.slice(1), corpus)
    complains(build, 3, "inputs.corpus: ", " -> ", "--overwrite")
    assert content(tmp_path / "index") == before
    pq.write_table(table, corpus)
    succeeds(build)


# Files of its own that are damaged

DAMAGES = {
    "documents/00000.arrow": "mine",
    "documents/00001.arrow": "mine",
    "documents/identity.npy": "mine",
    "documents/ids/low.npy": "mine",
    "bm25/impacts.npy": "mine",
    "bm25/settings.json": "mine",
    "manifest.json": "mine",
    "dense/vectors/00001.npy": "mine",
}


@pytest.fixture(scope="module")
def dense(inputs, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("dense")
    succeeds(dense_index(inputs, root))
    return root


def dense_index(inputs: Path, root: Path) -> list[object]:
    build = commands(inputs, root)["index"]
    build.remove("--no-dense")
    return [*build, "--encoder", ENCODER, "--max-length", "16", *CPU]


@pytest.mark.parametrize("how", ["truncated", "gone", "rubbish"])
@pytest.mark.parametrize("file", DAMAGES)
def test_a_damaged_index_is_refused_and_mended_by_the_same_command(
    dense, inputs, tmp_path, file, how
):
    root = tmp_path / "run"
    shutil.copytree(dense, root)
    expected = content(root / "index")
    path = root / "index" / file
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(data[: len(data) // 2] if how == "truncated" else b"rubbish")
    mine = [*commands(inputs, root)["candidates"], *CPU]
    complains(mine, 3, root / "index", "hnmine build-index", debug=how == "gone")
    build = dense_index(inputs, root)
    succeeds(build)
    assert content(root / "index") == expected
    if how == "truncated":
        succeeds(mine)


@pytest.mark.parametrize(
    "file", ["documents/identity.npy", "documents/00001.arrow", "bm25/impacts.npy", "bm25/idf.npy"]
)
def test_damage_that_leaves_the_size_is_found_and_mended(run, inputs, whole, tmp_path, file):
    path = run / "index" / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    mine = [*commands(inputs, run)["candidates"], "--output", tmp_path / "o"]
    part = file.partition("/")[0]
    complains(mine, 3, f"{part} has other content", "hnmine build-index", debug=False)
    done = hnmine(*commands(inputs, run)["index"])
    assert done.returncode == 0
    assert f"{part} has other content than was written" in done.stderr
    assert content(run / "index") == content(whole / "index")
    succeeds(mine)


@pytest.mark.parametrize("what", ["plan", "marker", "manifest", "all", "other"])
@pytest.mark.parametrize("rubbish", ["", "{", "[]", '"x"', "{}", "\udcff"])
def test_damaged_notes_about_a_run_are_written_anew(run, inputs, what, rubbish):
    root = run / "candidates"
    expected = content(root)
    files = {
        "plan": [root / STATE / "plan.json"],
        "marker": [next((root / STATE / "done").glob("candidates-*.json"))],
        "manifest": [root / MANIFEST],
        "other": [root / STATE / "lock", root / "run.json"],
    }
    for file in files.get(what, [file for some in files.values() for file in some]):
        file.write_bytes(rubbish.encode("utf-8", "surrogateescape"))
    if what == "manifest":
        complains(commands(inputs, run)["mined"], 3, root, "hnmine mine", debug=False)
    succeeds(commands(inputs, run)["candidates"])
    assert content(root) == expected


def test_candidates_that_do_not_say_where_the_index_is(run, inputs, tmp_path):
    (run / "candidates" / "run.json").unlink()
    arguments = [*commands(inputs, run)["mined"], "--output", tmp_path / "again"]
    complains(arguments, 3, "does not say which index", "--index")
    succeeds([*arguments, "--index", run / "index"])
    assert content(tmp_path / "again") == content(run / "mined")


@pytest.mark.parametrize("hidden", [True, False], ids=["with markers", "without"])
def test_candidates_deleted_half_way(run, inputs, tmp_path, hidden):
    expected = content(run / "candidates")
    (run / "candidates" / "candidates" / "00001.parquet").unlink()
    if not hidden:
        shutil.rmtree(run / "candidates" / STATE)
    arguments = [*commands(inputs, run)["mined"], "--output", tmp_path / "again"]
    complains(arguments, 3, "damaged", "hnmine mine")
    if hidden:
        succeeds(commands(inputs, run)["candidates"])
        assert content(run / "candidates") == expected
        succeeds(arguments)
        assert content(tmp_path / "again") == content(run / "mined")


# Models and devices


def test_a_model_that_is_not_here(inputs, tmp_path):
    build = ["build-index", "--index", tmp_path / "i", "--corpus", inputs / "corpus.parquet"]
    for model in (
        "nobody/no-such-model",
        "./no/such/folder",
        "pkg:no.such/x",
        "pkg:",
        "pkg:json/x",
    ):
        complains([*build, "--encoder", model], 5, model.split("/")[0].split(":")[-1], debug=False)
    complains([*build, "--encoder", "nobody/no-such-model"], 5, "nobody/no-such-model", "folder")


def test_a_gpu_that_is_not_here(inputs, tmp_path):
    build = ["build-index", "--index", tmp_path / "i", "--corpus", inputs / "corpus.parquet"]
    build += ["--encoder", ENCODER]
    no_gpu = script("import os; os.environ['CUDA_VISIBLE_DEVICES'] = ''")
    complains([*build, "--device", "cuda"], 5, "'cuda'", "--device cpu", run=no_gpu)
    complains([*build, "--device", "tpu"], 5, "'tpu'", debug=False)
    assert not (tmp_path / "i").exists()


def test_an_extra_that_is_not_installed(run, inputs):
    arguments = [*commands(inputs, run)["mined"], "--output", run / "ce"]
    arguments += ["--cross-encoder", CROSS_ENCODER]
    without = script("import sys; sys.modules['onnxruntime'] = None")
    complains(arguments, 5, "onnxruntime", "pip install 'hnmine[onnx]'", run=without)
    assert content(run / "candidates")


def test_a_model_folder_that_is_gone_when_it_is_needed(inputs, tmp_path):
    from hnmine.encode.locate import find_model

    root, model = tmp_path / "run", tmp_path / "model"
    shutil.copytree(find_model(ENCODER), model)
    build = dense_index(inputs, root)
    build[build.index(ENCODER)] = model
    succeeds(build)
    shutil.move(model, tmp_path / "away")
    mine = [*commands(inputs, root)["candidates"], *CPU]
    complains(mine, 5, model)
    shutil.copytree(tmp_path / "away", model)
    (model / "config.json").write_text((model / "config.json").read_text() + "\n")
    complains(mine, 3, "not the one that was used before")
    shutil.rmtree(model)
    shutil.move(tmp_path / "away", model)
    succeeds(mine)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_a_model_whose_weights_are_cut_short(inputs, tmp_path, backend):
    from hnmine.encode.locate import find_model

    model = tmp_path / "model"
    shutil.copytree(find_model(ENCODER), model)
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    build = dense_index(inputs, tmp_path)
    build[build.index(ENCODER)] = model
    complains([*build, "--backend", backend], 5, "is damaged", "is damaged", debug=False)


def test_a_cross_encoder_that_is_gone_when_it_is_needed(run, inputs, tmp_path):
    arguments = [*commands(inputs, run)["mined"], "--output", tmp_path / "ce"]
    complains([*arguments, "--cross-encoder", tmp_path / "gone"], 5, "no model folder")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.onnx").write_bytes(b"rubbish")
    (broken / "tokenizer.json").write_text("{}")
    complains([*arguments, "--cross-encoder", broken], 5, "cannot be loaded", "whole")
    complains([*commands(inputs, run)["mined"], "--score", "ce"], 2, "needs --cross-encoder")
    assert content(run / "mined")


# The machine


def limited(size: int):
    """Let no file grow beyond a size: the system call fails as it does on a full disk."""

    return script(
        "import resource, signal",
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))",
    )


@pytest.mark.parametrize("size", [0, 100, 1000, 1500, 2500, 4000])
def test_a_full_disk(whole, inputs, tmp_path, size):
    root = tmp_path / "run"
    full = limited(size)
    stages = commands(inputs, root)
    stopped = 0
    for stage, command in stages.items():
        done = full(*command)
        if done.returncode:
            complains(command, 4, "size limit", "kept", run=full, debug=False)
            stopped += 1
        succeeds(command)
        assert content(root / stage) == content(whole / stage)
    assert stopped


def test_stdout_that_cannot_be_written(inputs, tmp_path):
    arguments = list(map(str, build(inputs / "corpus.parquet", tmp_path)))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hnmine", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 4
    assert "disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    succeeds(arguments)


@pytest.mark.parametrize("error", ["MemoryError", "pyarrow.ArrowMemoryError"])
def test_no_memory_left(run, inputs, whole, error):
    shutil.rmtree(run / "candidates")
    fails = script(
        "import pyarrow, hnmine.sources.mining as stage",
        "work, calls = stage.mine_block, []",
        "def mine_block(*arguments):",
        "    calls.append(1)",
        f"    if len(calls) > 1: raise {error}('2 GiB')",
        "    return work(*arguments)",
        "stage.mine_block = mine_block",
    )
    mine = commands(inputs, run)["candidates"]
    complains(mine, 4, "Out of memory", "kept", "--block-size", run=fails, debug=False)
    assert (run / "candidates" / "candidates" / "00000.parquet").exists()
    succeeds(mine)
    assert content(run / "candidates") == content(whole / "candidates")


def test_a_worker_that_dies(run, inputs, whole):
    """Killed in the middle, without a word: the same command goes on."""
    shutil.rmtree(run / "candidates")
    dies = script(
        "import os, hnmine.sources.mining as stage",
        "work, calls = stage.mine_block, []",
        "def mine_block(*arguments):",
        "    calls.append(1)",
        "    if len(calls) > 1: os.kill(os.getpid(), 9)",
        "    return work(*arguments)",
        "stage.mine_block = mine_block",
    )
    mine = commands(inputs, run)["candidates"]
    assert dies(*mine).returncode == -signal.SIGKILL
    complains(commands(inputs, run)["mined"], 3, "has not ended", "resumes where it left off")
    succeeds(mine)
    assert content(run / "candidates") == content(whole / "candidates")


def test_a_fault_of_hnmine_says_so_in_one_screen(run, inputs):
    shutil.rmtree(run / "candidates")
    fails = script(
        "import hnmine.sources.mining as stage",
        "def mine_block(*arguments): raise AssertionError('first' + 99 * chr(10) + 'last')",
        "stage.mine_block = mine_block",
    )
    mine = commands(inputs, run)["candidates"]
    complains(mine, 1, "AssertionError: first", "fault in hnmine", "--debug", run=fails)
    succeeds(mine)


def test_a_path_that_is_no_unicode(inputs, tmp_path, monkeypatch):
    """A byte that no text has may stand in a path on Linux: refused, or no harm."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    complains(commands(inputs, folder)["index"], 2, "index: ", "is not valid UTF-8", "relative")
    folder.mkdir()
    shutil.copy(inputs / "corpus.parquet", folder)
    complains(build(folder, tmp_path), 2, "corpus: ", "is not valid UTF-8", debug=False)
    monkeypatch.chdir(folder)
    for stage, command in commands(inputs, Path()).items():
        succeeds([*command, "--index", "index"] if stage == "mined" else command)
    assert rows(Path("mined") / "train")


def test_what_was_left_of_an_older_run_is_used(run, inputs, whole):
    """Copied by hand without its hidden folder, a directory can still be read."""
    shutil.rmtree(run / "index" / STATE)
    shutil.rmtree(run / "candidates")
    succeeds(commands(inputs, run)["candidates"])
    assert content(run / "candidates") == content(whole / "candidates")


def test_a_limit_on_open_files(inputs, tmp_path):
    few = script("import resource", "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))")
    done = few(*build(inputs / "corpus.parquet", tmp_path))
    assert done.returncode != 0
    succeeds(build(inputs / "corpus.parquet", tmp_path))
    assert np.load(tmp_path / "i" / "documents" / "canonical.npy").shape == (60,)
    assert pq.read_table(inputs / "corpus.parquet").schema.field("id").type == pa.string()


def test_an_interrupt_in_compiled_code_is_an_interrupt(capsys):
    with pytest.raises(typer.Exit) as ended, errors_explained(debug=False):
        # What Numba's dispatcher raises.
        raise SystemError("returned a result with an exception set") from KeyboardInterrupt()
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err.startswith("error: Interrupted. Finished work is kept.")


def test_an_interrupt_in_a_database_query_is_an_interrupt(capsys):
    """And no damage of the file that it reads; DuckDB gives its error no cause."""
    with (
        pytest.raises(typer.Exit) as ended,
        errors_explained(debug=False),
        damage_explained(Path("x")),
    ):
        raise RuntimeError("Query interrupted")
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err.startswith("error: Interrupted. Finished work is kept.")


def test_whatever_fails_after_an_interrupt_is_an_interrupt(monkeypatch, capsys):
    monkeypatch.setattr(interrupts, "_seen", True)
    for error in (InputError("x is damaged."), ValueError("odd")):
        with pytest.raises(typer.Exit) as ended, errors_explained(debug=False):
            raise error
        assert ended.value.exit_code == 130
    assert "damaged" not in capsys.readouterr().err
