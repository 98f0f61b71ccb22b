"""Actors on a Ray cluster: the same files as one process writes, whoever dies on the way.

The clusters are real, and so are the models; `make test-ray` runs these tests alone.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import faults
import pyarrow.parquet as pq
import pytest
from conftest import CROSS_ENCODER, ENCODER, content, soon_free
from held import HANG, held, wait_until
from test_examples import play

import hnmine as api
from hnmine.commands.sharing import cluster_of, with_absolute_paths
from hnmine.config import BuildIndexSettings, FilterSettings, MineSettings
from hnmine.encode.locate import find_model, fingerprint
from hnmine.errors import InputError, MissingModel, PartialRun, UsageError
from hnmine.runner import incidents, ray_pool
from hnmine.runner.locks import check_witness, witnessed

os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # Else Ray writes one to the home directory.

ray = pytest.importorskip("ray")
Cluster = pytest.importorskip("ray.cluster_utils").Cluster

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]

STEPS = ("build-index", "mine", "filter")
QUIET = {"log_to_driver": False, "logging_level": "ERROR"}


@pytest.fixture(scope="module")
def inputs(stdlib, tmp_path_factory) -> Path:
    """Docstrings: 240 passages, 24 pairs."""
    folder = tmp_path_factory.mktemp("inputs")
    for name, rows in (("corpus", 240), ("pairs", 24)):
        pq.write_table(
            pq.read_table(stdlib / f"{name}.parquet").slice(0, rows), folder / f"{name}.parquet"
        )
    return folder


def settings(step: str, inputs: Path, root: Path) -> dict[str, object]:
    smaller = {"shard_size": 8} if step == "build-index" else {}
    return {**faults.STEPS[step][2](inputs, root), **smaller}


def run(step: str, inputs: Path, root: Path, **more: object) -> None:
    getattr(api, faults.STEPS[step][0])(**{**settings(step, inputs, root), **more})


@pytest.fixture(scope="module")
def alone(inputs, tmp_path_factory) -> Path:
    """What one process on one thread wrote."""
    root = tmp_path_factory.mktemp("alone")
    for step in STEPS:
        run(step, inputs, root)
    return root


@pytest.fixture
def here() -> Iterator[None]:
    """A cluster on this machine."""
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80 << 20, **QUIET)
    yield
    ray.shutdown()


def test_workers_slices_and_actors_write_what_one_process_does(inputs, alone, here, tmp_path):
    ways = {
        "workers": [{"workers": 2, "threads": 2}],
        "slices": [{"task": "0/2"}, {"task": "1/2"}, {"finish": True}],
        "actors": [{"engine": "ray", "workers": 2, "threads": 2}],
    }
    for name, runs in ways.items():
        root = tmp_path / name
        root.mkdir()
        for step in STEPS:
            for more in runs:
                run(step, inputs, root, **more)
            assert faults.written(step, root) == faults.written(step, alone), (name, step)


def done(index: Path) -> int:
    return len([*index.glob(".hnmine/done/vectors-*.json")])


def members(index: Path) -> list[int]:
    """Return the processes that took hold of an index, the first to come first."""
    lines = (index / ".hnmine" / "lock").read_text().splitlines()
    return [int(line.split()[1]) for line in lines]


def lives(process: int) -> bool:
    """Tell whether a process is there, and not just waiting to be collected."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False


def while_encoding(index: Path, act: Callable[[], object]) -> threading.Thread:
    """Do something once two processes are at the vectors, and before all are written."""
    held_task = ExitStack()
    held_task.enter_context(held(index, "vectors-00029"))

    def wait() -> None:
        with held_task:
            wait_until(lambda: done(index) >= 5 and len(members(index)) >= 2)
            act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_an_actor_that_is_killed_in_mid_task_is_replaced(inputs, alone, here, tmp_path):
    index, seen = tmp_path / "index", []

    def kill() -> None:
        seen.append(done(index))
        os.kill(members(index)[-1], signal.SIGKILL)

    thread = while_encoding(index, kill)
    run("build-index", inputs, tmp_path, engine="ray", workers=2, threads=2)
    thread.join()
    assert seen and seen[0] < 30
    noted = json.loads((index / "run.json").read_text())["incidents"]
    assert len(noted) == 1, noted
    assert re.match("Actor [01] of 2 died .*; another continues with 1 threads", noted[0])
    incidents.drain()
    assert len(members(index)) == 1, "The last call has it alone."
    assert content(index) == content(alone / "index")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster whose head runs no actor."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_a_node_that_is_removed_while_tasks_run(inputs, alone, cluster, tmp_path):
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=80 << 20) for _ in range(2)]
    ray.init(address=cluster.address, **QUIET)
    cluster.wait_for_nodes()
    index, seen = tmp_path / "index", []

    def remove() -> None:
        both = members(index)
        cluster.remove_node(nodes[0], allow_graceful=False)
        while all(map(lives, both)):
            time.sleep(0.01)
        seen.extend([done(index), [lives(process) for process in both]])

    thread = while_encoding(index, remove)
    # One for each machine, if nothing else is asked.
    run("build-index", inputs, tmp_path, engine="ray", threads=None)
    thread.join()
    incidents.drain()
    assert seen[0] < 30 and sorted(seen[1]) == [False, True]
    assert content(index) == content(alone / "index")


def test_a_driver_that_is_killed_and_started_again(inputs, alone, tmp_path):
    index = tmp_path / "index"
    given = settings("build-index", inputs, tmp_path)
    script = f"import hnmine; hnmine.build_index(engine='ray', workers=2, **{given!r})"
    driver = [sys.executable, "-c", "from pathlib import PosixPath\n" + script]
    with held(index, "vectors-00029"):
        killed = subprocess.Popen(driver, stderr=subprocess.DEVNULL)
        wait_until(lambda: done(index) >= 5 and len(members(index)) >= 2, killed)
        killed.kill()
        assert killed.wait() == -signal.SIGKILL
    assert 5 <= done(index) < 30
    soon_free(index)  # Its actors end too.
    kept = {file.name: file.stat().st_mtime_ns for file in index.glob(".hnmine/done/*")}
    again = subprocess.run(driver, capture_output=True, text=True, timeout=HANG, check=False)
    assert again.returncode == 0, again.stderr
    for name, modified in kept.items():
        assert (index / ".hnmine" / "done" / name).stat().st_mtime_ns == modified
    assert content(index) == content(alone / "index")


def test_a_worker_whose_model_differs_is_refused_with_both_hashes(inputs, cluster, tmp_path):
    folders = []
    for name in ("ours", "theirs"):
        package = tmp_path / name / "a_model_of_the_test"
        shutil.copytree(find_model(ENCODER), package / "model")
        (package / "__init__.py").touch()
        folders.append(package)
    with (folders[1] / "model" / "config.json").open("a") as file:
        file.write(" ")
    sources = str(Path(api.__file__).parent.parent)
    there = os.pathsep.join([str(folders[1].parent), sources])
    cluster.add_node(num_cpus=1, object_store_memory=80 << 20, env_vars={"PYTHONPATH": there})
    ray.init(address=cluster.address, **QUIET)
    model = "pkg:a_model_of_the_test/model"
    sys.path.insert(0, str(folders[0].parent))
    try:
        with pytest.raises(InputError, match=f"The model {model} is another one on ") as refused:
            run("build-index", inputs, tmp_path, engine="ray", encoder=model)
    finally:
        sys.path.remove(str(folders[0].parent))
    for folder in folders:
        assert fingerprint(folder / "model") in refused.value.why


def test_a_fault_that_an_actor_meets_is_raised_here(here, tmp_path):
    shutil.copy(__file__, tmp_path / "corpus.parquet")
    given = {"corpus": str(tmp_path / "corpus.parquet"), "index": tmp_path / "index"}
    with pytest.raises(InputError, match="Cannot read") as refused:
        api.build_index(**given, dense=False, engine="ray", progress=False)
    assert refused.value.fix.startswith("Check that the file is complete")


def test_the_example(inputs, here, tmp_path, monkeypatch):
    for name, rows in (("corpus", 60), ("pairs", 8)):
        table = pq.read_table(inputs / f"{name}.parquet").slice(0, rows)
        pq.write_table(table, tmp_path / f"{name}.parquet")
    monkeypatch.chdir(tmp_path)
    play("ray")
    train = pq.read_table(tmp_path / "runs" / "ray" / "mined" / "train")
    assert train.column_names == ["query", "positive", "negative"] and train.num_rows > 8


# Without a cluster


def parse(tmp_path, **more):
    given = {"corpus": "c", "index": tmp_path, "encoder": "e", "engine": "ray"}
    return BuildIndexSettings.parse({**given, **more})


@pytest.mark.parametrize(
    ("nodes", "given", "expected"),
    [
        ([{"CPU": 16.0}, {"CPU": 8.0}], {}, (2, 8, 0)),
        ([{"CPU": 16.0}, {"CPU": 8.0}], {"workers": 8}, (8, 2, 0)),
        ([{"CPU": 16.0}, {"CPU": 8.0}], {"workers": 4, "threads": 6}, (4, 3, 0)),
        ([{"CPU": 2.0}], {"workers": 5}, (5, 1, 0)),
        ([{"CPU": 64.0, "GPU": 8.0}, {"CPU": 4.0}], {}, (8, 8, 1)),
        ([{"CPU": 64.0, "GPU": 8.0}, {"CPU": 4.0}], {"device": "cuda"}, (8, 8, 1)),
        ([{"CPU": 64.0, "GPU": 8.0}, {"CPU": 4.0}], {"workers": 2}, (2, 32, 1)),
        ([{"CPU": 64.0, "GPU": 8.0}, {"CPU": 4.0}], {"device": "cpu"}, (2, 4, 0)),
        ([{"CPU": 64.0, "GPU": 8.0}], {"dense": False, "encoder": None}, (1, 64, 0)),
    ],
)
def test_each_actor_gets_a_gpu_or_else_a_machine(tmp_path, nodes, given, expected):
    layout = ray_pool.Layout.over(cluster_of(parse(tmp_path, **given)), nodes)
    assert (layout.count, layout.threads, layout.gpus) == expected


def test_a_cluster_without_room_for_actors(tmp_path):
    with pytest.raises(PartialRun, match="no machine with a CPU"):
        ray_pool.Layout.over(cluster_of(parse(tmp_path)), [])


def test_a_cluster_that_is_not_there(inputs, tmp_path):
    with pytest.raises(PartialRun, match="Ray: ") as refused:
        run("build-index", inputs, tmp_path, engine="ray", ray_address="127.0.0.1:1")
    assert "127.0.0.1:1" in refused.value.why


def test_without_ray_the_error_names_the_install_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "hnmine.runner.ray_pool")
    with pytest.raises(MissingModel, match=r"pip install 'hnmine\[ray\]'"):
        api.build_index(corpus="c", index=tmp_path, dense=False, engine="ray")


@pytest.mark.parametrize("other", [{"task": "0/2"}, {"finish": True}, {"max_memory": "1GB"}])
def test_what_ray_cannot_be_combined_with(tmp_path, other):
    with pytest.raises(UsageError, match="ray cannot be combined"):
        parse(tmp_path, **other)


def test_an_address_needs_the_engine(tmp_path):
    with pytest.raises(UsageError, match="ray-address: needs --engine ray"):
        parse(tmp_path, engine="local", ray_address="auto")


def test_machines_that_do_not_share_the_directory_are_told_apart(tmp_path):
    folder = tmp_path / "index" / ".hnmine" / "driver"
    ask = [
        sys.executable,
        "-c",
        "from pathlib import Path; from hnmine.runner.locks import check_witness",
    ]
    ask[2] += f"; check_witness(Path({str(folder)!r}))"
    with witnessed(folder):
        assert subprocess.run(ask, check=False).returncode == 0
    # Nobody holds it: as where locks stay on the machine that took them.
    with pytest.raises(InputError, match="this machine does not see a lock"):
        check_witness(folder)
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="is not the directory that the run was started for"):
        check_witness(folder)


def test_paths_mean_the_same_in_every_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    one = with_absolute_paths(
        BuildIndexSettings.parse(
            {"corpus": ["a.parquet", "b/*.csv"], "index": "index", "encoder": "model"}
        )
    )
    assert one.corpus == [f"{tmp_path}/a.parquet", f"{tmp_path}/b/*.csv"]
    assert (one.index, one.encoder, one.pairs) == (tmp_path / "index", f"{tmp_path}/model", None)
    two = with_absolute_paths(
        FilterSettings.parse(
            {"candidates": "c", "output": "o", "cross_encoder": CROSS_ENCODER, "judge": ["a/b"]}
        )
    )
    assert (two.candidates, two.cross_encoder) == (tmp_path / "c", CROSS_ENCODER)
    assert two.judge == ["a/b"]  # A name on the hub.
    three = with_absolute_paths(
        MineSettings.parse({"index": "i", "output": "o", "pairs": "p", "from_run": ["r.trec"]})
    )
    assert (three.pairs, three.from_run) == (f"{tmp_path}/p", [f"{tmp_path}/r.trec"])
    (tmp_path / "MY_KEY").touch()
    four = with_absolute_paths(
        BuildIndexSettings.parse(
            {"corpus": "c", "index": "i", "encoder": "http://h/v1", "api_key_env": "MY_KEY"}
        )
    )
    assert four.reach.api_key_env == "MY_KEY"
