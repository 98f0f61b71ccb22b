from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from held import HANG

from hnmine.directories.manifest_files import read_manifest
from hnmine.errors import InputError, PartialRun
from hnmine.results import library_versions
from hnmine.runner import incidents
from hnmine.runner.plan import (
    Task,
    blocks,
    canonical_json,
    differences,
    digest,
    versions_of,
)
from hnmine.runner.preflight import check_place
from hnmine.runner.run_directory import RunDirectory

TASKS = [Task(f"part-{n}", (f"part-{n}.txt",), 10, n) for n in range(3)]


def write_name(task, outputs, tick):
    outputs[0].write_text(task.name)
    return {"parts": 1}


def finish(path, plan=None, work=write_name, **options):
    with RunDirectory.open(path, plan or {"a": 1}, **options) as run:
        return run.finish(run.run("stage", "parts", TASKS, work))


def test_blocks_cover_everything_once():
    assert [list(block) for block in blocks(7, 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert blocks(0, 3) == []


def test_outputs_and_manifest(tmp_path):
    manifest = finish(tmp_path / "run")
    assert [(tmp_path / "run" / f"part-{n}.txt").read_text() for n in range(3)] == [
        "part-0",
        "part-1",
        "part-2",
    ]
    assert manifest == {"a": 1, "counts": {"parts": 3}}
    assert json.loads((tmp_path / "run" / "manifest.json").read_text()) == manifest


def test_a_run_that_failed_goes_on_with_the_task_that_failed(tmp_path):
    calls = []

    def fail_once(task, outputs, tick):
        calls.append(task.name)
        outputs[0].write_text("half")
        if calls == ["part-0", "part-1"]:
            raise RuntimeError
        return write_name(task, outputs, tick)

    with pytest.raises(RuntimeError):
        finish(tmp_path / "run", work=fail_once)
    assert not (tmp_path / "run" / "part-1.txt").exists()
    manifest = finish(tmp_path / "run", work=fail_once)
    assert calls == ["part-0", "part-1", "part-1", "part-2"]
    assert manifest["counts"] == {"parts": 3}
    assert not list((tmp_path / "run" / ".hnmine" / "tmp").iterdir())


def test_a_repair_that_failed_does_not_look_finished(tmp_path):
    def fail(task, outputs, tick):
        raise RuntimeError

    finish(tmp_path / "run")
    (tmp_path / "run" / "part-1.txt").unlink()
    with pytest.raises(RuntimeError):
        finish(tmp_path / "run", work=fail)
    with RunDirectory.open(tmp_path / "run", {"a": 1}) as run:
        assert not run.complete
    finish(tmp_path / "run")
    assert (tmp_path / "run" / "part-1.txt").read_text() == "part-1"


@pytest.mark.parametrize("damage", ["truncate", "remove", "unmark"])
def test_a_damaged_output_is_made_again(tmp_path, damage):
    with RunDirectory.open(tmp_path / "run", {"a": 1}) as run:
        run.run("stage", "parts", TASKS, write_name)
    output = tmp_path / "run" / "part-1.txt"
    if damage == "truncate":
        output.write_text("part")
    elif damage == "remove":
        output.unlink()
    else:
        (tmp_path / "run" / ".hnmine" / "done" / "part-1.json").write_text("{")
    calls = []

    def note(task, outputs, tick):
        calls.append(task.name)
        return write_name(task, outputs, tick)

    finish(tmp_path / "run", work=note)
    assert calls == ["part-1"]
    assert output.read_text() == "part-1"


@pytest.mark.parametrize("finished", [True, False], ids=["finished", "half-way"])
@pytest.mark.parametrize("touched", [True, False], ids=["touched", "by the disk"])
def test_a_flipped_byte_is_found_said_and_made_again(tmp_path, caplog, finished, touched):
    calls = []

    def in_folders(task, outputs, tick):
        calls.append(task.name)
        outputs[0].mkdir()
        (outputs[0] / "data").write_text(task.name)
        return {"parts": 1}

    with RunDirectory.open(tmp_path / "run", {"a": 1}) as run:
        counts = run.run("stage", "parts", TASKS, in_folders)
        if finished:
            run.finish(counts)
    output = tmp_path / "run" / "part-1.txt" / "data"
    stamp = output.stat()
    output.write_text("pbrt-1")
    if not touched:
        os.utime(output, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    if finished:
        (tmp_path / "run" / "manifest.json").write_text('{"a": 1, "stage": "s", "counts": {}}')
        refused = pytest.raises(InputError, match=r"part-1\.txt has other content")
        with refused if touched else contextlib.nullcontext():
            read_manifest(tmp_path / "run", "s", "s")
    calls.clear()
    with RunDirectory.open(tmp_path / "run", {"a": 1}) as run:
        assert not run.complete
        run.finish(run.run("stage", "parts", TASKS, in_folders))
    assert calls == ["part-1"]
    assert output.read_text() == "part-1"
    said = f"{output.parent} has other content than was written: its checksum differs."
    assert said in caplog.text
    noted = json.loads((tmp_path / "run" / "run.json").read_text())["incidents"]
    assert noted == [f"{said} It is written again."]


def test_a_run_notes_how_long_each_step_took(tmp_path, monkeypatch):
    clock = [time.time()]
    monkeypatch.setattr("hnmine.runner.run_directory.time.time", lambda: clock[0])

    def slow(task, outputs, tick):
        clock[0] += 2
        return write_name(task, outputs, tick)

    with RunDirectory.open(tmp_path / "run", {"a": 1}) as run:
        counts = run.run("slow", "parts", TASKS, slow)
        run.finish(counts + run.run("none", "parts", [], slow))
    noted = json.loads((tmp_path / "run" / "run.json").read_text())
    assert list(noted["seconds_of_steps"]) == ["none", "slow"]
    assert noted["seconds_of_steps"] == {"none": 0, "slow": 2 * len(TASKS)}
    assert noted["seconds"] == 2 * len(TASKS)


def test_a_copy_of_a_directory_is_whole(tmp_path):
    finish(tmp_path / "run", {"a": 1, "stage": "s"})
    shutil.copytree(tmp_path / "run", tmp_path / "copy", copy_function=shutil.copyfile)
    assert read_manifest(tmp_path / "copy", "s", "s")["counts"] == {"parts": 3}


def test_what_happened_before_a_finished_run_was_found_finished_is_noted_too(tmp_path):
    finish(tmp_path / "run")
    incidents.note("A worker died.")
    with RunDirectory.open(tmp_path / "run", {"a": 1}):
        pass
    noted = json.loads((tmp_path / "run" / "run.json").read_text())["incidents"]
    assert noted == ["A worker died."]


def test_another_plan_is_refused_and_the_difference_shown(tmp_path):
    finish(tmp_path / "run", {"settings": {"k": 1, "b": 2}})
    with pytest.raises(InputError, match=r"settings\.k: 1 -> 3"):
        finish(tmp_path / "run", {"settings": {"k": 3, "b": 2}})


def test_a_refused_plan_lets_go_of_the_directory(tmp_path):
    finish(tmp_path / "run", {"k": 1})
    # The error keeps its frames, and with them whatever they hold, as a notebook does.
    with pytest.raises(InputError) as refused:
        finish(tmp_path / "run", {"k": 2})
    finish(tmp_path / "run", {"k": 1})
    assert refused.tb is not None


def test_overwrite_replaces_another_plan_but_never_redoes_the_same(tmp_path):
    finish(tmp_path / "run", {"k": 1})
    earlier = [Task(f"earlier-{n}", (f"earlier-{n}.txt",), 1) for n in range(2)]
    with RunDirectory.open(tmp_path / "run", {"k": 1}) as run:
        run.run("stage", "parts", earlier, write_name)
    finish(tmp_path / "run", {"k": 2}, overwrite=True)
    assert not (tmp_path / "run" / "earlier-0.txt").exists()
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["k"] == 2

    def must_not_run(task, outputs, tick):
        raise AssertionError(task.name)

    finish(tmp_path / "run", {"k": 2}, overwrite=True, work=must_not_run)


def test_a_plan_without_any_finished_task_gives_way(tmp_path):
    with pytest.raises(RuntimeError), RunDirectory.open(tmp_path / "run", {"k": 1}):
        raise RuntimeError
    finish(tmp_path / "run", {"k": 2})


def test_tasks_of_another_plan_are_done_again_where_the_plan_is_lost(tmp_path):
    calls = []

    def note(task, outputs, tick):
        calls.append(task.name)
        return write_name(task, outputs, tick)

    with RunDirectory.open(tmp_path / "run", {"k": 1}) as run:
        run.run("stage", "parts", TASKS, note)
    (tmp_path / "run" / ".hnmine" / "plan.json").unlink()
    finish(tmp_path / "run", {"k": 2}, work=note)
    assert calls == [task.name for task in TASKS] * 2


def test_a_folder_of_somebody_else_is_never_written_to(tmp_path):
    (tmp_path / "thesis.tex").write_text("important")
    with pytest.raises(InputError, match="not written by hnmine"):
        finish(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_directory_that_another_process_is_just_making_is_no_stranger(tmp_path, monkeypatch):
    listed = Path.iterdir

    def made_meanwhile(path):
        if path == tmp_path:
            (path / ".hnmine").mkdir()
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", made_meanwhile)
    check_place(tmp_path)


def _hold(path, ready, leave):
    with RunDirectory.open(path, {"a": 1}):
        ready.set()
        leave.wait(HANG)


def test_two_runs_never_share_a_directory(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "run", ready, leave))
    other.start()
    try:
        assert ready.wait(HANG)
        with pytest.raises(PartialRun, match=f"process {other.pid} on {socket.gethostname()}"):
            finish(tmp_path / "run")
    finally:
        leave.set()
        other.join()
    finish(tmp_path / "run")


def test_differences_name_nested_keys():
    old = {"a": {"b": 1, "c": [1]}, "d": 1}
    assert differences(old, {"a": {"b": 2, "c": [1]}, "e": None}) == [
        "a.b: 1 -> 2",
        "d: 1 -> absent",
        "e: absent -> null",
    ]


def test_equal_plans_have_one_text_and_one_hash_in_every_version():
    plan = {"b": [1, 2.5, None], "a": {"é": "\ud800\U0001f600"}}
    text = """{
  "a": {
    "é": "\\ud800\U0001f600"
  },
  "b": [
    1,
    2.5,
    null
  ]
}
"""
    assert canonical_json(plan) == canonical_json(dict(reversed(plan.items()))) == text
    assert json.loads(text) == plan
    assert digest(plan) == "c19238b2ba1a9fd91c7c127fb5d00d75"


def test_a_plan_names_the_versions_of_the_libraries_that_are_installed():
    assert library_versions().keys() == {"hnmine", "numpy", "pyarrow"}
    assert library_versions(["expressions", "learning"]) == {
        name: version(name) for name in ("hnmine", "numpy", "pyarrow", "duckdb", "scipy")
    }
    assert versions_of(["numpy", "no-such-library"]) == {"numpy": version("numpy")}


def test_a_directory_of_a_run_names_the_one_inside_that_is_meant(tmp_path):
    for stage in "index", "mined":
        (tmp_path / "run" / stage).mkdir(parents=True)
        (tmp_path / "run" / stage / "manifest.json").write_text(json.dumps({"stage": stage}))
    run = tmp_path / "run"
    for given, what, fix in (
        (run, f"{run} is not a finished mined directory.", f"Did you mean {run / 'mined'}?"),
        (run / "index", "an index directory, not a mined", f"Did you mean {run / 'mined'}?"),
        (run / "minde", f"no directory {run / 'minde'}.", f"Did you mean {run / 'mined'}? `hnm"),
        (run / "x", f"no directory {run / 'x'}.", "`hnmine filter` writes a mined directory."),
        (tmp_path / "x" / "y", "There is no directory", "`hnmine filter` writes a mined directory"),
        (tmp_path, "is not a finished mined", "Run `hnmine filter` first."),
    ):
        with pytest.raises(InputError) as error:
            read_manifest(given, "mined", "filter")
        assert what in error.value.what
        assert error.value.fix.startswith(fix)


def test_a_manifest_of_another_stage_or_a_damaged_one_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no manifest\.json"):
        read_manifest(tmp_path, "index", "build-index")
    (tmp_path / "manifest.json").write_text('{"stage": "mined"}')
    with pytest.raises(InputError, match="mined directory, not an index"):
        read_manifest(tmp_path, "index", "build-index")
    (tmp_path / "manifest.json").write_text('{"stage": ')
    with pytest.raises(InputError, match="damaged"):
        read_manifest(tmp_path, "index", "build-index")


def test_an_unfinished_directory_says_that_the_command_goes_on(tmp_path):
    with RunDirectory.open(tmp_path / "run", {"a": 1}):
        pass
    with pytest.raises(InputError, match="resumes where it left off"):
        read_manifest(Path(tmp_path / "run"), "index", "build-index")


def test_a_directory_of_a_newer_layout_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text('{"stage": "index", "schema_version": 99}')
    with pytest.raises(InputError, match="newer hnmine"):
        read_manifest(tmp_path, "index", "build-index")


def test_an_interrupt_that_a_library_swallowed_stops_before_the_next_result(tmp_path):
    script = """
import contextlib, pathlib, signal, sys
from test_run import finish, write_name
from hnmine.runner import interrupts

def work(task, outputs, tick):
    if task.index == 1:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    tick(5)
    return write_name(task, outputs, tick)

interrupts.listen()
try:
    finish(pathlib.Path(sys.argv[1]), work=work)
except KeyboardInterrupt:
    print("stopped")
"""
    # In a process of its own: what listens to signals stays for the rest of a process.
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "run"],
        capture_output=True,
        text=True,
        timeout=HANG,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert (done.stdout, done.returncode) == ("stopped\n", 0), done.stderr
    assert [file.name for file in sorted((tmp_path / "run").glob("*.txt"))] == ["part-0.txt"]


def test_a_second_interrupt_stops_at_once():
    lines = (
        "import signal, time",
        "from hnmine.runner import interrupts",
        "interrupts.listen()",
        "try:",
        "    signal.raise_signal(signal.SIGINT)",
        "except KeyboardInterrupt:",
        "    signal.raise_signal(signal.SIGINT)",
        f"    time.sleep({2 * HANG})",
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=HANG
    )
    assert done.returncode == 130
    assert done.stderr == (
        "error: Interrupted again, and stopped at once. Finished work is kept.\n"
    )


@pytest.mark.parametrize("length", [3, 128, 100_000])
@pytest.mark.parametrize("room", [0, 100, 300, 4096])
def test_an_array_that_finds_no_room_is_an_error_and_never_a_shorter_one(tmp_path, length, room):
    script = (
        "import pathlib, resource, signal, sys, numpy as np\n"
        "from hnmine.array_files import save_array\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
        f"save_array(pathlib.Path(sys.argv[1]), np.arange({length}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.npy"], capture_output=True, check=False
    )
    fits = 128 + 8 * length <= room
    assert (done.returncode == 0) == fits
    if fits:
        assert np.load(tmp_path / "a.npy").tolist() == list(range(length))
    else:
        assert b"File too large" in done.stderr
