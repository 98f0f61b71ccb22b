"""Directories that somebody else made: no name, link or URL in them reaches anything outside."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from pathlib import Path

import pytest
from conftest import hnmine, mined_by_words, renamed_inside, write
from hypothesis import given
from hypothesis import strategies as st

import hnmine as api
from hnmine.commands import COMMANDS
from hnmine.errors import HnmineError, InputError, UsageError
from hnmine.runner.atomic import write_text
from hnmine.runner.manifest import changes, checksum, record
from hnmine.runner.plan import Task
from hnmine.runner.run_directory import RunDirectory
from hnmine.runner.safe_paths import safe_join
from hnmine.runner.storage import Store
from hnmine.runner.urls import address_of, cache, mirror, mirrored, name_of, public_url

OUTSIDE = (
    "/victim",
    "../victim",
    "a/../../victim",
    "./../victim",
    "..",
    "",
    "a//b",
    "a\\b",
    "C:/x",
)


# One guard


@given(st.text(max_size=40))
def test_a_joined_name_stays_below_its_root_or_is_refused(name):
    root = Path("/root/of/run")
    try:
        path = safe_join(root, name)
    except InputError:
        return
    inside = Path(os.path.normpath(path))
    assert inside.is_relative_to(root) and inside != root


@given(st.lists(st.text("abc.-_ é", min_size=1).filter(lambda t: t.strip(".")), min_size=1))
def test_a_plain_name_is_joined_as_it_is(parts):
    assert safe_join(Path("r"), "/".join(parts)) == Path("r", *parts)


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127 + "x", "C", "ab:c", "\udcff"])
def test_a_plain_name_may_be_as_long_and_odd_as_file_systems_allow(name):
    assert safe_join(Path("r"), name) == Path("r", name)


@pytest.mark.parametrize("name", [*OUTSIDE, "C:x", "a\0b", "x" * 256, "\ud800", 3, None, ["a"]])
def test_what_is_no_name_inside_is_damage(name):
    with pytest.raises(InputError, match="damaged"):
        safe_join(Path("/root"), name, "the marker")


# Markers


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with an index, candidates and a mined directory, and their inputs."""
    root = tmp_path_factory.mktemp("made")
    texts = [f"word{n} common{n % 3} other{n % 5} text" for n in range(40)]
    write(root / "corpus.parquet", id=[f"d{n}" for n in range(40)], text=texts)
    write(
        root / "pairs.parquet",
        query=[f"word{n} common{n % 3}" for n in range(8)],
        positive=texts[:8],
    )
    candidates = mined_by_words(root, root, top_k=10)
    api.filter(candidates=candidates, output=root / "mined", num_negatives=2)
    return root


@pytest.fixture
def copied(made, tmp_path) -> Path:
    """A copy of it, which names itself, and a file and a folder that must stay as they are."""
    root = renamed_inside(shutil.copytree(made, tmp_path / "sent"), made)
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "thesis.tex").write_text("important")
    return root


def readers(root: Path, out: Path) -> dict[str, dict[str, object]]:
    """Every command that reads a directory, with its settings, by the directory's name."""
    mined, candidates = root / "mined", root / "candidates"
    pairs = str(root / "pairs.parquet")
    return {
        "index": {
            "mine": {"index": root / "index", "pairs": pairs, "output": out},
            "filter": {"candidates": candidates, "output": out},
        },
        "candidates": {
            "filter": {"candidates": candidates, "output": out, "deepen": 2},
            "export": {"mined": mined, "to": "beir", "output": out},
            "batch": {"mined": mined, "output": out},
            "mix": {"mined": mined, "output": out, "by": ["mochi:1"]},
            "report": {"mined": mined, "candidates": candidates, "output": out},
            "inspect": {"mined": mined, "candidates": candidates},
            "review": {"mined": mined, "page": False},
        },
        "mined": {
            "mine": {"index": root / "index", "pairs": pairs, "output": out, "previous": mined},
            "report": {"mined": mined, "output": out},
            "inspect": {"mined": mined},
            "audit": {"mined": mined},
            "compare": {"mined": [mined, root / "candidates"]},
            "export": {"mined": mined, "to": "triplet", "output": out},
            "batch": {"mined": mined, "output": out},
            "mix": {"mined": mined, "output": out, "by": ["mochi:1"]},
            "review": {"mined": mined, "page": False},
            "push": {"data": mined, "repo": "a/b"},
        },
    }


def call(command: str, settings: dict[str, object]) -> None:
    found = COMMANDS[command]
    found.run(found.settings.parse(settings))


READERS = [(d, c) for d, commands in readers(Path(), Path()).items() for c in commands]


@pytest.mark.parametrize(("directory", "command"), READERS)
def test_a_hostile_marker_is_damage_to_every_reader(copied, tmp_path, directory, command):
    marker = copied / directory / ".hnmine" / "done" / "a-task.json"
    for outputs in (*({name: {}} for name in OUTSIDE), ["victim"], "victim"):
        marker.write_text(json.dumps({"plan": "p", "counts": {}, "outputs": outputs}))
        with pytest.raises(InputError, match="damaged") as refused:
            call(command, readers(copied, tmp_path / "out")[directory][command])
        assert "a-task.json" in str(refused.value)
    assert (tmp_path / "victim" / "thesis.tex").read_text() == "important"


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_hostile_marker_deletes_nothing_when_a_run_goes_on(copied, tmp_path, name):
    recorded = record(tmp_path / "victim") | {"bytes": 1}
    for outputs in ({name: recorded}, {str(tmp_path / "victim"): recorded}):
        marker = copied / "mined" / ".hnmine" / "done" / "a-task.json"
        marker.write_text(json.dumps({"plan": "p", "counts": {}, "outputs": outputs}))
        for more in ({}, {"num_negatives": 1, "overwrite": True}):
            given = {"num_negatives": 2, **more, "candidates": copied / "candidates"}
            with pytest.raises(InputError, match="damaged"):
                api.filter(output=copied / "mined", **given)
        assert (tmp_path / "victim" / "thesis.tex").read_text() == "important"


def test_the_command_line_ends_with_3_and_names_the_marker(copied):
    marker = copied / "mined" / ".hnmine" / "done" / "a-task.json"
    marker.write_text(json.dumps({"outputs": {"../../victim": {}}}))
    done = hnmine("inspect", copied / "mined")
    assert done.returncode == 3
    assert "a-task.json" in done.stderr


def test_a_review_adds_to_no_sheet_that_the_directory_names_elsewhere(copied, tmp_path):
    api_sheet = tmp_path / "mine.csv"
    call("review", {"mined": copied / "mined", "page": False, "sheet": api_sheet})
    before = api_sheet.read_bytes()
    file = copied / "mined" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["settings"]["judge"] = ["\0", "x" * 5000, str(api_sheet)]
    file.write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="--sheet"):
        call("review", {"mined": copied / "mined", "page": False, "even": 20})
    assert api_sheet.read_bytes() == before


# Links and pipes


def fill(path: Path, plan: dict[str, object], outputs: tuple[str, ...] = ("a/text",), **more):
    def work(task, paths, tick):
        for one in paths:
            one.write_text("made")
        return {}

    with RunDirectory.open(path, plan, **more) as run:
        return run.finish(run.run("stage", "parts", [Task("task", outputs, 1)], work))


@pytest.mark.parametrize("link", ["", "lock", "tasks", "door", "plan.json", "done", "tmp"])
def test_links_in_the_state_folder_are_refused(tmp_path, link):
    fill(tmp_path / "run", {"k": 1})
    victim = tmp_path / "victim"
    victim.mkdir() if link in ("", "done", "tmp") else victim.write_text("important")
    if victim.is_dir():
        (victim / "thesis.tex").write_text("important")
    state = tmp_path / "run" / ".hnmine" / link
    shutil.rmtree(state) if state.is_dir() else state.unlink()
    state.symlink_to(victim)
    with pytest.raises(InputError, match="not a plain file"):
        fill(tmp_path / "run", {"k": 2}, overwrite=True)
    kept = victim / "thesis.tex" if victim.is_dir() else victim
    assert kept.read_text() == "important"


@pytest.mark.parametrize("plan", [1, 2])
def test_nothing_is_written_or_deleted_behind_a_link(tmp_path, plan):
    fill(tmp_path / "run", {"k": 1})
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "text").write_text("important")
    shutil.rmtree(tmp_path / "run" / "a")
    (tmp_path / "run" / "a").symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match=r"is a link|did not write"):
        fill(tmp_path / "run", {"k": plan}, overwrite=True)
    assert (tmp_path / "victim" / "text").read_text() == "important"


def test_a_link_at_the_name_of_a_temporary_file_is_not_followed(tmp_path):
    (tmp_path / "victim").write_text("important")
    (tmp_path / "manifest.json.tmp").symlink_to(tmp_path / "victim")
    write_text(tmp_path / "manifest.json", "{}")
    assert (tmp_path / "victim").read_text() == "important"


@pytest.mark.parametrize("name", ["manifest.json", "run.json", "scored/00000.parquet"])
def test_a_pipe_is_refused_before_anybody_waits_for_it(copied, name):
    pipe = copied / "mined" / name
    pipe.unlink()
    os.mkfifo(pipe)
    done = hnmine("inspect", copied / "mined")
    assert done.returncode == 3
    assert "not a plain file" in done.stderr


# What --overwrite deletes


def test_overwrite_keeps_what_hnmine_did_not_write_and_names_it(copied):
    mined = copied / "mined"
    (mined / "notes.txt").write_text("my notes")
    (mined / "train" / "mine.parquet").write_text("my own")
    shutil.copytree(mined, mined / "mined")
    given = {"candidates": copied / "candidates", "num_negatives": 1, "overwrite": True}
    with pytest.raises(InputError) as refused:
        api.filter(output=mined, **given)
    for name in ("notes.txt", "train/mine.parquet", "mined/"):
        assert name in str(refused.value)
    assert (mined / "manifest.json").exists() and (mined / "scored" / "00000.parquet").exists()
    (mined / "notes.txt").unlink()
    (mined / "train" / "mine.parquet").unlink()
    shutil.rmtree(mined / "mined")
    assert api.filter(output=mined, **given).counts["negatives"] == 8


def test_a_file_that_somebody_put_into_a_folder_of_ours_is_theirs(copied):
    index = copied / "index"
    (index / "documents" / "notes.txt").write_text("my notes")
    corpus = str(copied / "corpus.parquet")
    with pytest.raises(InputError, match=r"did not write there: documents/notes\.txt\."):
        api.build_index(corpus=corpus, index=index, dense=False, stemmer="none", overwrite=True)
    assert (index / "documents" / "notes.txt").read_text() == "my notes"


def test_a_plan_without_finished_tasks_deletes_nothing_either(tmp_path):
    with RunDirectory.open(tmp_path / "run", {"k": 1}):
        pass
    (tmp_path / "run" / "notes.txt").write_text("my notes")
    with pytest.raises(InputError, match=r"notes\.txt"):
        fill(tmp_path / "run", {"k": 2})
    assert (tmp_path / "run" / "notes.txt").read_text() == "my notes"
    fill(tmp_path / "run", {"k": 1})


def test_what_a_killed_process_had_just_written_is_ours(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(self, name, text):
        if name.startswith(".hnmine/done"):
            raise Killed
        return wrote(self, name, text)

    wrote = RunDirectory._write
    monkeypatch.setattr(RunDirectory, "_write", killed)
    with pytest.raises(Killed):
        fill(tmp_path / "run", {"k": 1}, ("a/text", "b"))
    monkeypatch.setattr(RunDirectory, "_write", wrote)
    assert (tmp_path / "run" / "b").exists()
    fill(tmp_path / "run", {"k": 2}, ("c",))
    assert {one.name for one in (tmp_path / "run").iterdir()} == {
        ".hnmine", "c", "manifest.json", "run.json",
    }  # fmt: skip
    assert not list((tmp_path / "run" / ".hnmine" / "claimed").iterdir())


def test_the_page_of_a_report_is_ours(copied):
    mined = copied / "mined"
    call("report", {"mined": mined})
    assert (mined / "report.html").exists()
    api.filter(candidates=copied / "candidates", output=mined, num_negatives=1, overwrite=True)
    assert not (mined / "report.html").exists()


def test_overwriting_candidates_deletes_their_scores(copied):
    candidates = copied / "candidates"
    fill(candidates / "scores" / "model-1", {"stage": "scores"})
    fill(candidates / "deeper" / "x2" / "scores" / "model-1", {"stage": "scores"})
    (candidates / "scores" / "notes.txt").write_text("my notes")
    given = {"index": copied / "index", "pairs": str(copied / "pairs.parquet"), "top_k": 5}
    with pytest.raises(InputError, match=r"did not write there: scores/notes\.txt"):
        api.mine(output=candidates, overwrite=True, **given)
    (candidates / "scores" / "notes.txt").unlink()
    api.mine(output=candidates, overwrite=True, **given)
    assert not (candidates / "scores").exists() and not (candidates / "deeper").exists()


# URLs


@pytest.fixture
def stranger():
    """A server that must not be asked for anything, and what it was asked."""
    asked: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    done = threading.Event()

    def listen():
        while not done.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            asked.append(connection.recv(4096))
            connection.close()

    thread = threading.Thread(target=listen)
    thread.start()
    yield listener.getsockname()[1], asked
    done.set()
    thread.join()
    listener.close()


@pytest.mark.parametrize("kind", ["options", "plain", "cache", "user"])
def test_a_url_in_the_data_is_not_followed(copied, stranger, kind, monkeypatch, tmp_path):
    port, asked = stranger
    monkeypatch.setenv("HNMINE_CACHE", str(tmp_path / "cache"))
    if kind != "options":
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    place = {
        "options": f"s3://k:s@bucket?endpoint_override=127.0.0.1:{port}&scheme=http/run",
        "plain": "s3://bucket/run",
        "cache": str(tmp_path / "cache" / "runs" / "s3" / "bucket" / "run"),
        "user": "s3://k:s@bucket/run",
    }[kind]
    for directory, key in (("candidates", "index"), ("mined", "candidates")):
        file = copied / directory / "run.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {key: place}))
    commands = readers(copied, tmp_path / "out")
    for command, settings in {**commands["mined"], **commands["candidates"]}.items():
        settings = {name: value for name, value in settings.items() if name != "candidates"}
        if command == "filter":
            settings["candidates"] = copied / "candidates"
        if command == "push":
            continue
        try:
            call(command, settings)
        except HnmineError as error:
            assert "k:s" not in str(error)
    assert not asked


def test_a_url_beside_the_directory_is_followed_with_what_the_user_gave(tmp_path, monkeypatch):
    monkeypatch.setenv("HNMINE_CACHE", str(tmp_path))
    options = "endpoint_override=127.0.0.1:9&scheme=http"
    from hnmine.runner.urls import beside

    given = mirror(f"s3://k:s@bucket?{options}/runs/mined")
    assert beside(given, "s3://bucket/runs/index") == f"s3://k:s@bucket?{options}/runs/index"
    for other in (
        "s3://other/runs/index",
        "gs://bucket/runs/index",
        "s3://bucket?endpoint_override=1/runs/index",
        "s3://k:s@bucket/runs/index",
    ):
        assert beside(given, other) is None
    assert beside(tmp_path / "local", "s3://bucket/runs/index") is None
    with pytest.raises(InputError):
        mirror(beside(given, "s3://bucket/../../x") or "")


def test_credentials_are_in_no_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HNMINE_CACHE", str(tmp_path))
    url = "s3://KEY:SECRET@bucket?region=eu/run/index"
    folder = mirror(url)
    for text in (str(folder), mirrored(folder), name_of(folder / "a"), public_url(url)):
        assert "SECRET" not in text and "KEY" not in text
    assert mirrored(folder) == "s3://bucket/run/index"
    assert address_of(folder / "a") == f"{url}/a"
    assert Store.behind(folder).url == "s3://bucket/run/index"
    # Options may also stand at the end; another service's bucket is another place.
    assert mirror("s3://KEY:SECRET@bucket/run/index?region=eu") == folder
    assert mirror("s3://bucket?region=us/run/index") != folder
    assert public_url("abfs://box@account.example/a") == "abfs://box@account.example/a"
    assert public_url("s3://bucket/a?.parquet") == "s3://bucket/a?.parquet"


def test_a_local_path_below_the_cache_is_local(tmp_path, monkeypatch):
    monkeypatch.setenv("HNMINE_CACHE", str(tmp_path))
    assert mirrored(cache() / "runs" / "s3" / "never-named" / "run") is None
    assert Store.behind(cache() / "runs" / "s3" / "never-named" / "run") is None


# What is recorded


def test_folders_that_differ_have_other_checksums(tmp_path):
    def folder(name: str, **files: str) -> Path:
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text)
        return tmp_path / name

    found = [
        folder("one", a="bcd"), folder("two", ab="cd"), folder("three", a="", bcd=""),
        folder("four", a="b", cd=""), folder("five", a="b", c="d"),
    ]  # fmt: skip
    assert len({checksum(one) for one in found}) == len(found)


def test_a_record_of_an_earlier_version_still_holds(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a").write_text("bcd")
    kept = record(tmp_path / "run")
    earlier = {"bytes": 3, "modified": kept["modified"]}
    earlier["xxh3"] = checksum(tmp_path / "run", separated=False)
    assert earlier["xxh3"] != kept["xxh3"]
    assert not changes(tmp_path / "run", earlier, untouched_too=True)
    assert not changes(tmp_path / "run", kept, untouched_too=True)
    (tmp_path / "run" / "a").rename(tmp_path / "run" / "b")
    assert changes(tmp_path / "run", kept)


@pytest.mark.parametrize(
    "value",
    [None, [], "x", {}, {"bytes": "3", "modified": 1, "xxh3": ""},
     {"bytes": 3, "modified": 1 << 80, "xxh3": ""}, {"bytes": -1, "modified": 1, "xxh3": ""},
     {"bytes": 3, "modified": 1, "xxh3": "", "files": ["a"]}],
)  # fmt: skip
def test_what_is_no_record_is_said_to_be_none(tmp_path, value):
    (tmp_path / "a").write_text("bcd")
    assert changes(tmp_path / "a", value) == "was recorded by another version."


def test_processes_that_write_one_file_at_once_all_end(tmp_path):
    failed: list[BaseException] = []

    def write_often():
        try:
            for n in range(50):
                write_text(tmp_path / "run.json", json.dumps({"n": n}))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert [one.name for one in tmp_path.iterdir()] == ["run.json"]
