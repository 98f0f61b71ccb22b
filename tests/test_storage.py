"""Inputs and directories at URLs: a real S3 server on this machine, and other file systems.

Every process has a cache of its own, as if it ran on another machine.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import boto3
import faults
import forked
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from conftest import content, hnmine, write
from held import HANG
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

import hnmine as api
from hnmine.config import BuildIndexSettings
from hnmine.directories.manifest_files import read_manifest
from hnmine.errors import InputError, PartialRun
from hnmine.inputs.listing import list_files
from hnmine.runner import incidents, locks
from hnmine.runner.manifest import DONE, PLAN
from hnmine.runner.plan import Task
from hnmine.runner.run_directory import RunDirectory
from hnmine.runner.storage import Store, fetch_input
from hnmine.runner.urls import cache, mirror, mirrored, name_of, split_url

pytestmark = pytest.mark.xdist_group("storage")

STEPS = ("build-index", "mine", "filter")


def find_files(path):
    return [file.path for file in list_files(path)]


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    """An S3 server, which the environment names."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    given = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        yield
    server.stop()


@pytest.fixture
def bucket(server, request, tmp_path, monkeypatch) -> str:
    """The URL of a new bucket; the process gets a cache of its own."""
    monkeypatch.setenv("HNMINE_CACHE", str(tmp_path / "cache"))
    name = f"bucket-{abs(hash(request.node.nodeid))}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"


def s3() -> pyarrow.fs.FileSystem:
    return pyarrow.fs.FileSystem.from_uri("s3://")[0]


def upload(source: Path, url: str) -> None:
    pyarrow.fs.copy_files(str(source), url.removeprefix("s3://"), destination_filesystem=s3())


def download(url: str, target: Path) -> Path:
    target.mkdir(parents=True)
    pyarrow.fs.copy_files(url.removeprefix("s3://"), str(target), source_filesystem=s3())
    return target


def names(url: str) -> set[str]:
    root = url.removeprefix("s3://")
    found = s3().get_file_info(pyarrow.fs.FileSelector(root, recursive=True))
    return {one.path.removeprefix(root + "/") for one in found if one.is_file}


WORDS = {
    "build-index": {"dense": False, "encoder": None, "faiss": "Flat"},
    "mine": {"clusters": None},
    "filter": {},
}
"""Without an encoder, which takes a process many seconds to import."""


def at(bucket: str, step: str, inputs: Path, **more: object) -> dict[str, object]:
    """The settings of a step, with all places at URLs."""
    values = {**faults.STEPS[step][2](inputs, Path("/root-of-the-run")), **more}
    there = {
        name: json.loads(
            json.dumps(value, default=str)
            .replace(str(inputs), f"{bucket}/inputs")
            .replace("/root-of-the-run", f"{bucket}/run")
        )
        for name, value in values.items()
    }
    return {**values, **there}


def step_in(cache: Path, step: str, settings: dict[str, object], before: str = "") -> int:
    """Run a step in a process with a cache of its own; return how it ended."""
    function = faults.STEPS[step][0]
    script = f"import hnmine, os, signal\n{before}\nhnmine.{function}(**{settings!r})"
    done = forked.run(script, env={**os.environ, "HNMINE_CACHE": str(cache)})
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> tuple[Path, Path]:
    """What one process wrote from local inputs to local directories."""
    inputs, whole, _ = faults.undisturbed(tmp_path_factory, STEPS)
    return inputs, whole


@pytest.fixture(scope="module")
def words(alone, tmp_path_factory) -> tuple[Path, Path]:
    """The same, without an encoder."""
    root = tmp_path_factory.mktemp("words")
    for step in STEPS:
        function, _, settings = faults.STEPS[step]
        getattr(api, function)(**{**settings(alone[0], root), **WORDS[step]})
    return alone[0], root


def test_the_pipeline_from_storage_to_storage_writes_what_it_writes_locally(
    alone, bucket, tmp_path, monkeypatch
):
    inputs, whole = alone
    upload(inputs, f"{bucket}/inputs")
    for step in STEPS:
        monkeypatch.setenv("HNMINE_CACHE", str(tmp_path / step))
        getattr(api, faults.STEPS[step][0])(**at(bucket, step, inputs))
        assert not (tmp_path / step / "runs").joinpath("inputs").exists()
    assert content(download(f"{bucket}/run", tmp_path / "found")) == content(whole)
    assert not [name for name in names(bucket) if "/tmp/" in name or "lock" in name]
    noted = json.loads((tmp_path / "found" / "mined" / "run.json").read_text())
    assert noted["candidates"] == f"{bucket}/run/candidates"
    # Done is done, wherever it is asked for.
    monkeypatch.setenv("HNMINE_CACHE", str(tmp_path / "another"))
    before = s3().get_file_info(f"{bucket}/run/mined/manifest.json".removeprefix("s3://"))
    api.filter(**at(bucket, "filter", inputs))
    after = s3().get_file_info(f"{bucket}/run/mined/manifest.json".removeprefix("s3://"))
    assert before.mtime == after.mtime


def test_what_looks_at_a_run_on_storage_finds_its_texts(words, bucket, tmp_path, monkeypatch):
    upload(words[1], f"{bucket}/run")
    for name in ("candidates", "mined"):
        about = (words[1] / name / "run.json").read_text()
        with s3().open_output_stream(f"{bucket}/run/{name}/run.json".removeprefix("s3://")) as file:
            file.write(about.replace(str(words[1]), f"{bucket}/run").encode())
    monkeypatch.setenv("HNMINE_CACHE", str(tmp_path / "looks"))
    query = pq.read_table(words[1] / "mined" / "scored")["query_id"][0].as_py()
    for flags in (("inspect", "--query", query), ("report", "--no-html"), ("review", "--no-page")):
        done = hnmine(flags[0], f"{bucket}/run/mined", *flags[1:])
        assert done.returncode == 0, done.stderr
        assert "without texts" not in (done.stdout + done.stderr).lower()
    shown = json.loads(hnmine("inspect", f"{bucket}/run/mined", "--query", query, "--json").stdout)
    assert all(one["text"] for one in shown["queries"])


DIE = """
from hnmine.runner.storage import Store, fetch_input
write, left = Store.write, [{after}]
def dies(self, name, text):
    if "/done/" in name:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
    write(self, name, text)
Store.write = dies
"""


@pytest.mark.parametrize("cache", ["the same", "another"])
def test_killed_between_an_output_and_its_marker_it_goes_on(words, bucket, tmp_path, cache):
    inputs, whole = words
    upload(inputs, f"{bucket}/inputs")
    settings = at(bucket, "build-index", inputs, **WORDS["build-index"])
    killed = step_in(tmp_path / "one", "build-index", settings, DIE.format(after=4))
    assert killed == -signal.SIGKILL
    done = {name for name in names(f"{bucket}/run/index") if "/done/" in name}
    assert len(done) == 3
    second = tmp_path / ("one" if cache == "the same" else "two")
    assert step_in(second, "build-index", settings) == 0
    assert content(download(f"{bucket}/run/index", tmp_path / "found")) == content(whole / "index")


def test_two_processes_on_two_machines_share_a_run(words, bucket, tmp_path):
    inputs, whole = words
    upload(inputs, f"{bucket}/inputs")
    for step in STEPS:
        settings = at(bucket, step, inputs, **WORDS[step])
        # The first dies half-way; the second does what is left.
        first = step_in(tmp_path / "one", step, settings | {"task": "0/2"}, DIE.format(after=3))
        assert first == -signal.SIGKILL
        assert step_in(tmp_path / "two", step, settings | {"task": "1/2"}) == 0
        assert step_in(tmp_path / "three", step, settings | {"finish": True}) == 0
    assert content(download(f"{bucket}/run", tmp_path / "found")) == content(whole)


def test_at_the_same_time_too(words, bucket, tmp_path):
    inputs, whole = words
    upload(inputs, f"{bucket}/inputs")
    settings = at(bucket, "build-index", inputs, **WORDS["build-index"])
    both = []
    for number in range(2):
        script = f"import hnmine; hnmine.build_index(**{settings | {'task': f'{number}/2'}!r})"
        env = {**os.environ, "HNMINE_CACHE": str(tmp_path / str(number))}
        both.append(forked.Running(script, env=env))
    assert [process.wait() for process in both] == [0, 0]
    assert content(download(f"{bucket}/run/index", tmp_path / "found")) == content(whole / "index")


@pytest.mark.parametrize("more", [{}, {"lazy": True, "deepen": 1, "max_uses": None}])
def test_scores_that_another_machine_computed_serve_another_choice(
    words, bucket, tmp_path, monkeypatch, more
):
    inputs, _ = words
    upload(inputs, f"{bucket}/inputs")
    found = {}
    for place in (bucket, str(tmp_path)):
        chosen = [{"margin": 0.0}, {"margin": 2.0, "output": f"{place}/run/other"}]
        for step, choice in (("build-index", {}), ("mine", {}), *(("filter", c) for c in chosen)):
            given = at(bucket, step, inputs, **WORDS[step], **(more if step == "filter" else {}))
            if place != bucket:
                given = json.loads(json.dumps(given).replace(bucket, place))
                (tmp_path / "inputs").exists() or (tmp_path / "inputs").symlink_to(inputs)
            monkeypatch.setenv("HNMINE_CACHE", str(tmp_path / f"cache-{len(found)}"))
            result = getattr(api, faults.STEPS[step][0])(**{**given, **choice})
            found[place, step, str(choice)] = result.counts
    here = [counts for (place, *_), counts in found.items() if place == bucket]
    assert here == [counts for (place, *_), counts in found.items() if place != bucket]
    assert content(download(f"{bucket}/run/other", tmp_path / "found")) == content(
        tmp_path / "run" / "other"
    )


def test_what_else_is_written_can_be_at_urls_too(words, bucket, tmp_path, monkeypatch):
    inputs, whole = words
    upload(inputs, f"{bucket}/inputs")
    for step in STEPS:
        getattr(api, faults.STEPS[step][0])(**at(bucket, step, inputs, **WORDS[step]))
    monkeypatch.setenv("HNMINE_CACHE", str(tmp_path / "another"))
    for step in ("export", "generate"):
        function, name, settings = faults.STEPS[step]
        getattr(api, function)(**{**settings(inputs, whole), "output": tmp_path / step})
        getattr(api, function)(**at(bucket, step, inputs))
        found = content(download(f"{bucket}/run/{name}", tmp_path / f"found-{step}"))
        assert found == content(tmp_path / step)


@pytest.mark.ray
def test_actors_share_a_run_on_storage(words, bucket, tmp_path):
    inputs, whole = words
    upload(inputs, f"{bucket}/inputs")
    settings = at(bucket, "build-index", inputs, **WORDS["build-index"])
    actors = {"engine": "ray", "workers": 2, "threads": 2}
    assert step_in(tmp_path / "driver", "build-index", settings | actors) == 0
    assert content(download(f"{bucket}/run/index", tmp_path / "found")) == content(whole / "index")


# A run of two tasks


TASKS = [Task(f"part-{n}", (f"parts/{n}",), 1, n) for n in range(2)]


def write_part(task, outputs, tick):
    outputs[0].mkdir()
    (outputs[0] / "text").write_text(task.name)
    return {"parts": 1}


def fill(url: str, plan: dict[str, object] | None = None, **more) -> int:
    """Run the two tasks; return how many were done."""
    did = []

    def work(task, outputs, tick):
        did.append(task.name)
        return write_part(task, outputs, tick)

    plan = plan or {"stage": "index", "a": 1}
    with RunDirectory.open(mirror(url), plan, **more) as run:
        if not run.complete:
            run.finish(run.run("parts", "parts", TASKS, work))
    return len(did)


OPERATIONS = ("put", "write", "delete", "fetch", "list", "exists")


class Stopped(BaseException):
    pass


def stop_at(patch: pytest.MonkeyPatch, at: int | None) -> list[str]:
    """Stop at an operation on storage, from 0; return the list that they are noted in."""
    noted: list[str] = []

    def stopping(operation, name):
        def act(self, *args, **more):
            if len(noted) == at:
                raise Stopped
            noted.append(name)
            return operation(self, *args, **more)

        return act

    for name in OPERATIONS:
        patch.setattr(Store, name, stopping(getattr(Store, name), name))
    return noted


def everything(url: str, folder: Path) -> dict[str, bytes]:
    found = content(download(url, folder))
    assert not [name for name in names(url) if name.endswith(".tmp")]
    return found


def test_stopped_at_every_operation_on_storage_it_goes_on(bucket, tmp_path, monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        operations = stop_at(patch, None)
        fill(f"{bucket}/whole")
    whole = everything(f"{bucket}/whole", tmp_path / "whole")
    assert len(operations) > 10 and {"put", "write"} < set(operations)
    for number in range(len(operations)):
        url = f"{bucket}/{number}"
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
            stop_at(patch, number)
            fill(url)
        if number % 2:
            monkeypatch.setenv("HNMINE_CACHE", str(tmp_path / f"cache-{number}"))
        fill(url)
        assert everything(url, tmp_path / str(number)) == whole, (number, operations[number])


def test_another_plan_is_refused_or_replaces_what_is_there(bucket, tmp_path, monkeypatch):
    assert fill(f"{bucket}/run") == 2
    monkeypatch.setenv("HNMINE_CACHE", str(tmp_path / "another"))
    with pytest.raises(InputError, match="a: 1 -> 2"):
        fill(f"{bucket}/run", {"stage": "index", "a": 2})
    assert fill(f"{bucket}/run") == 0
    assert fill(f"{bucket}/run", {"stage": "index", "a": 2}, overwrite=True) == 2
    monkeypatch.setenv("HNMINE_CACHE", str(tmp_path / "cache"))
    assert fill(f"{bucket}/run", {"stage": "index", "a": 2}) == 0


def test_what_others_put_there_is_left_alone(bucket):
    with s3().open_output_stream(f"{bucket.removeprefix('s3://')}/run/theirs.txt") as file:
        file.write(b"theirs")
    with pytest.raises(InputError, match="not empty and was not written by hnmine"):
        fill(f"{bucket}/run")
    assert names(f"{bucket}/run") == {"theirs.txt"}


def test_a_place_where_another_process_just_begins_is_no_stranger(bucket, monkeypatch):
    listed = Store.list

    def begun_meanwhile(self, *given, **more):
        self.write(PLAN, "{}")
        return listed(self, *given, **more)

    monkeypatch.setattr(Store, "list", begun_meanwhile)
    url = f"{bucket}/begun"
    Store(url, mirror(url)).check_place()


def spoil(url: str) -> None:
    with s3().open_output_stream(url.removeprefix("s3://")) as file:
        file.write(b"part-X")


def test_an_object_that_is_damaged_is_found_by_whoever_fetches_it(bucket, tmp_path, monkeypatch):
    fill(f"{bucket}/run")
    spoil(f"{bucket}/run/parts/1/text")
    read_manifest(mirror(f"{bucket}/run"), "index", "build-index")  # Its own copy is whole.
    monkeypatch.setenv("HNMINE_CACHE", str(tmp_path / "another"))
    with pytest.raises(InputError, match="is damaged") as refused:
        read_manifest(mirror(f"{bucket}/run"), "index", "build-index")
    assert "parts/1 has other content" in refused.value.why


def test_a_damaged_output_of_an_unfinished_run_is_made_again(bucket, tmp_path, monkeypatch):
    plan = {"stage": "index", "a": 1}
    with RunDirectory.open(mirror(f"{bucket}/run"), plan) as run:
        run.run("parts", "parts", TASKS, write_part)
    spoil(f"{bucket}/run/parts/1/text")
    monkeypatch.setenv("HNMINE_CACHE", str(tmp_path / "another"))
    incidents.drain()
    assert fill(f"{bucket}/run") == 1
    noted = json.loads((mirror(f"{bucket}/run") / "run.json").read_text())["incidents"]
    assert len(noted) == 1 and "It is written again" in noted[0]
    with s3().open_input_stream(f"{bucket}/run/parts/1/text".removeprefix("s3://")) as file:
        assert file.read() == b"part-1"


# Processes that share a mirror


def hold_the_first(patch: pytest.MonkeyPatch) -> list[str]:
    """Hold the next download until another begins, or waits for it; return what is written."""
    both, written, copy = threading.Event(), [], pyarrow.fs.copy_files

    def copying(source: str, target: str, **more: object) -> None:
        written.append(target)
        if len(written) > 1:
            both.set()
        both.wait(HANG)
        copy(source, target, **more)

    def waiting(seconds: float) -> None:
        both.set()
        time.sleep(seconds)

    patch.setattr(pyarrow.fs, "copy_files", copying)
    patch.setattr(locks, "time", SimpleNamespace(monotonic=time.monotonic, sleep=waiting))
    return written


def twice(act: Callable[[], object]) -> list[object]:
    """Do something in two threads, as two processes would; return the results."""
    with ThreadPoolExecutor(2) as pool:
        return [one.result() for one in [pool.submit(act) for _ in range(2)]]


@pytest.mark.parametrize("asked", ["inputs/a.jsonl", "inputs", "inputs/*.jsonl"])
def test_of_two_that_ask_for_an_input_one_fetches_it_and_both_read_that(
    bucket, tmp_path, monkeypatch, asked
):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.jsonl").write_text('{"text": "a kettle"}\n')
    upload(tmp_path / "there", f"{bucket}/inputs")
    written = hold_the_first(monkeypatch)
    fetched = mirror(f"{bucket}/inputs", "inputs") / "a.jsonl"

    def file() -> os.stat_result:
        fetch_input(f"{bucket}/{asked}")
        return fetched.stat()

    one, other = twice(file)
    assert len(written) == 1
    assert one == other and fetched.read_text() == '{"text": "a kettle"}\n'
    assert not [*(tmp_path / "cache").rglob("*.lock")]


def test_of_two_that_ask_for_an_output_one_fetches_it(bucket, tmp_path, monkeypatch):
    fill(f"{bucket}/run")
    monkeypatch.setenv("HNMINE_CACHE", str(tmp_path / "another"))
    here = mirror(f"{bucket}/run")
    store = Store(f"{bucket}/run", here)
    store.fetch_state(alone=False)
    recorded = json.loads((here / DONE / "part-0.json").read_text())["outputs"]["parts/0"]
    written = hold_the_first(monkeypatch)
    assert twice(lambda: store.fetch_output("parts/0", recorded)) == ["", ""]
    assert len(written) == 1


# Inputs


def test_inputs_follow_what_is_there(bucket, tmp_path):
    def put(name: str, texts: list[str]) -> None:
        (tmp_path / "up").mkdir(exist_ok=True)
        write(tmp_path / "up" / "file", id=texts, text=texts)
        source = str(tmp_path / "up" / "file")
        target = f"{bucket}/in/{name}".removeprefix("s3://")
        pyarrow.fs.copy_files(source, target, destination_filesystem=s3())

    def read(place: str) -> list[list[str]]:
        return [pq.read_table(file)["text"].to_pylist() for file in find_files(place)]

    put("b.parquet", ["two"])
    put("a.parquet", ["one"])
    put("more/c.parquet", ["three"])
    put(".hidden.parquet", ["no"])
    put("run/.hnmine/plan.json", ["no"])
    put("run/train/x.parquet", ["no"])
    put("pairs.csv", ["no"])
    assert len(find_files(f"{bucket}/in/*.csv")) == 1
    assert read(f"{bucket}/in/*.parquet") == [["one"], ["two"]]
    assert mirror(f"{bucket}/in/pairs.csv", "inputs").exists()
    s3().delete_file(f"{bucket}/in/pairs.csv".removeprefix("s3://"))
    assert read(f"{bucket}/in") == [["one"], ["two"], ["three"]]
    assert read(f"{bucket}/in/") == [["one"], ["two"], ["three"]]
    assert read(f"{bucket}/in/**/*.parquet") == [["one"], ["two"], ["three"]]
    assert read(f"{bucket}/in/a.parquet") == [["one"]]
    put("a.parquet", ["another"])
    s3().delete_file(f"{bucket}/in/b.parquet".removeprefix("s3://"))
    assert read(f"{bucket}/in/a.parquet") == [["another"]]
    assert read(f"{bucket}/in") == [["another"], ["three"]]
    with pytest.raises(InputError, match="No data found"):
        find_files(f"{bucket}/none")


def test_the_command_line_takes_urls_and_says_them(alone, bucket, tmp_path):
    upload(alone[0], f"{bucket}/inputs")
    flags = ("--corpus", f"{bucket}/inputs/corpus.parquet", "--no-dense", "--json")
    done = hnmine("build-index", *flags, "--index", f"{bucket}/run/index")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["path"] == f"{bucket}/run/index"
    assert "bm25/documents.npy" in names(f"{bucket}/run/index")


def test_a_server_that_does_not_answer(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(PartialRun, match=f"Cannot reach {bucket}/in"):
        find_files(f"{bucket}/in")


def test_a_scheme_that_nobody_knows():
    with pytest.raises(InputError, match="No file system is known for nowhere://"):
        find_files("nowhere://in")


def test_a_file_system_of_fsspec(tmp_path, monkeypatch):
    monkeypatch.setenv("HNMINE_CACHE", str(tmp_path / "cache"))
    assert fill("memory://place/run") == 2
    monkeypatch.setenv("HNMINE_CACHE", str(tmp_path / "another"))
    assert fill("memory://place/run") == 0
    assert read_manifest(mirror("memory://place/run"), "index", "build-index")["a"] == 1


# Names


KEYS = st.lists(st.text("ab .%é", min_size=1).filter(lambda t: t.strip(".")), min_size=1)


@given(st.sampled_from(["s3", "gs", "memory", "abfs"]), KEYS)
def test_a_mirror_tells_its_url(scheme, key):
    url = f"{scheme}://{'/'.join(key)}"
    assert mirrored(mirror(url)) == url
    assert name_of(mirror(url)) == url
    assert mirror(Path(url)) == mirror(url)  # As the command line gives it.


def test_local_places_stay_as_they_are(tmp_path):
    assert mirror("a/b") == Path("a/b")
    assert mirror(f"file://{tmp_path}/a") == tmp_path / "a"
    assert mirrored(tmp_path) is None
    assert Store.behind(tmp_path) is None
    assert mirrored(cache()) is None
    assert split_url("C:/windows") is None
    assert split_url("a:b") is None


def test_directories_at_urls_become_their_mirrors():
    given = {"corpus": "s3://bucket/corpus", "index": "s3://bucket/index", "dense": False}
    settings = BuildIndexSettings.parse(given)
    assert settings.corpus == ["s3://bucket/corpus"]
    assert settings.index == mirror("s3://bucket/index")
    assert BuildIndexSettings.parse(given | {"index": Path("s3://bucket/index")}) == settings
