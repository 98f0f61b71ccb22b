"""Data sets on a hub: a real server on this machine, and the library's own client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hnmine.errors import InputError
from hnmine.inputs.hub import HubName
from hnmine.inputs.listing import list_files

ROOT = Path(__file__).parents[1]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CARD = """---
configs:
- config_name: pairs
  default: true
  data_files:
  - split: train
    path: data/train-*
  - split: test
    path: data/test-*
- config_name: corpus
  data_files:
  - split: corpus
    path: corpus/corpus.parquet
---
# A data set
"""


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's API as a download of small files needs."""

    def do_GET(self):
        self.answer(with_body=True)

    def do_HEAD(self):
        self.answer(with_body=False)

    def answer(self, *, with_body):
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append((path, self.headers.get("Authorization")))
        parts = path.strip("/").split("/")
        status, body = 404, b'{"error": "Repository not found"}'
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[1:3])
        files = self.server.repositories.get(name)
        if files is not None and parts[0] == "api":
            siblings = [{"rfilename": file} for file in files]
            found = {"id": name, "sha": self.server.commit, "siblings": siblings}
            status, body = 200, json.dumps(found).encode()
        elif files is not None and "/".join(parts[5:]) in files:
            status, body = 200, files["/".join(parts[5:])]
        self.send_response(status)
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("ETag", f'"{len(body)}-{abs(hash(body))}"')
        self.send_header("X-Repo-Commit", self.server.commit)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def parquet(**columns):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


def texts(name):
    return [f"{name} text {n} of a kettle" for n in range(3)]


@pytest.fixture
def hub(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.asked, server.commit = [], COMMIT
    splits = {
        f"data/{name}-00000-of-00001.parquet": parquet(
            query=[f"{name} {n}" for n in range(3)], positive=texts(name)
        )
        for name in ("train", "test")
    }
    server.repositories = {
        "me/pairs": {
            **splits,
            "README.md": CARD.encode(),
            "corpus/corpus.parquet": parquet(_id=["1", "2", "3"], text=texts("corpus")),
            ".gitattributes": b"",
        },
        "me/lines": {"corpus.jsonl": b'{"_id": "1", "text": "a kettle"}\n'},
        "me/script": {"script.py": b"raise SystemExit('it ran')", "README.md": b"no card"},
        "me/outside": {"../../outside.jsonl": b'{"_id": "1", "text": "x"}\n'},
    }
    server.home = tmp_path / "home"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def build(hub, kind, data, *more, **environment):
    """Index in a process of its own: where the hub is, its client asks the environment once."""
    environment = {
        "PATH": "",
        "PYTHONPATH": str(ROOT),
        "HF_ENDPOINT": hub.address,
        "HF_TOKEN": "hf_secret",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HOME": str(hub.home),
        **environment,
    }
    index = hub.home / f"index-{len(list(hub.home.glob('index-*')))}"
    hub.home.mkdir(exist_ok=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "hnmine", "build-index", f"--{kind}", data, "--no-dense"),
            *("--json", "--index", str(index), *more),
        ],
        capture_output=True,
        text=True,
        env=environment,
        cwd=hub.home,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "hf_secret" not in done.stdout + done.stderr
    counts = json.loads(done.stdout)["counts"] if done.returncode == 0 else {}
    return done.returncode, counts.get("documents_rows"), done.stderr


@pytest.mark.parametrize(
    ("kind", "data", "more"),
    [
        ("pairs", "me/pairs:pairs", ["--split", "test"]),
        ("pairs", "me/pairs", ["--split", "pairs/train"]),
        ("pairs", "hf://datasets/me/pairs:pairs/train", []),
        ("pairs", "hf://datasets/me/pairs@main/data/train-*.parquet", []),
        ("corpus", "hf://datasets/me/pairs/corpus", []),
        ("corpus", f"me/pairs@{COMMIT}:corpus", []),
    ],
)
def test_a_data_set_is_downloaded_and_read(hub, kind, data, more):
    code, rows, said = build(hub, kind, data, *more)
    assert (code, rows) == (0, 3), said
    assert COMMIT in said
    wanted = {"test": "test", "corpus": "corpus.parquet"}
    fetched = [path for path, _ in hub.asked if path.endswith(".parquet")]
    assert len(set(fetched)) == 1, wanted


def test_all_splits_at_once(hub):
    code, rows, said = build(hub, "pairs", "me/pairs:pairs", "--split", "train,test")
    assert (code, rows) == (0, 6), said


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("me/pairs", "'pairs/train' (1 file), 'pairs/test' (1 file), 'corpus/corpus' (1 file)"),
        ("me/pairs:pairs", "--split pairs/train"),
        ("me/pairs/dev", "has no split 'dev'"),
        ("hf://datasets/me", "names no data set"),
        ("hf://spaces/me/pairs", "names no data set"),
        ("me/script", "needs its own code"),
        ("me/outside", "names '../../outside.jsonl'"),
        ("me/missing", "neither a file or folder here nor a data set"),
    ],
)
def test_what_cannot_be_read_is_a_clean_error(hub, data, said):
    code, _, error = build(hub, "pairs", data)
    assert code == 3
    assert said in error
    assert "it ran" not in error
    assert not list(hub.home.parent.glob("outside*"))


def test_a_commit_that_is_none_is_refused(hub):
    hub.commit = "../../../tmp/x"
    code, _, said = build(hub, "corpus", "me/lines")
    assert (code, "is no commit" in said) == (3, True)


def test_offline_reads_what_was_downloaded_or_says_how_to_download_it(hub):
    code, _, said = build(hub, "corpus", "me/lines", HF_HUB_OFFLINE="1")
    assert code == 3
    assert "hf download me/lines --repo-type dataset" in said
    assert not hub.asked
    assert build(hub, "corpus", "me/lines")[:2] == (0, 1)
    asked = len(hub.asked)
    code, rows, said = build(hub, "corpus", "me/lines", HF_HUB_OFFLINE="1")
    assert (code, rows) == (0, 1), said
    assert len(hub.asked) == asked
    assert "reads the cached copy" in said
    for file in (hub.home / ".cache/huggingface/hub").rglob("corpus.jsonl"):
        file.unlink()
    assert build(hub, "corpus", "me/lines", HF_HUB_OFFLINE="1")[0] == 3


def test_without_a_server_it_is_a_clean_error(hub):
    code, _, said = build(hub, "corpus", "me/lines", HF_ENDPOINT="http://127.0.0.1:9")
    assert code == 3
    assert "hf download" in said


def test_the_token_goes_to_the_hub_alone(hub):
    assert build(hub, "corpus", "me/lines")[0] == 0
    assert {token for _, token in hub.asked} <= {"Bearer hf_secret", None}


def test_a_run_on_other_data_than_it_was_begun_with_is_refused(hub):
    index = str(hub.home / "same")
    assert build(hub, "corpus", "me/lines", "--index", index)[0] == 0
    hub.repositories["me/lines"]["corpus.jsonl"] = b'{"_id": "1", "text": "another"}\n'
    hub.commit = COMMIT[::-1]
    assert build(hub, "corpus", "me/lines", "--index", index)[0] == 3
    code, _, said = build(hub, "corpus", f"me/lines@{COMMIT}", "--index", index, HF_HUB_OFFLINE="1")
    assert code == 0, said


def test_what_is_here_is_never_looked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for path in ("data/corpus", "corpus", "a/b.parquet", "a/b.jsonl.gz", "./a/b", "/a/b", "a/b/*"):
        assert HubName.parse(path) is None
    assert HubName.parse("a/b") == HubName("a/b", "a/b")
    found = HubName.parse("hf://datasets/a/b@refs/convert/parquet:c/train")
    assert (found.repo, found.revision, found.config, found.inside) == (
        "a/b",
        "refs/convert/parquet",
        "c",
        "train",
    )
    with pytest.raises(InputError, match="No data found at data/corpus"):
        list_files("data/corpus")
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    with pytest.raises(InputError, match="hf download"):
        list_files("no/such")
