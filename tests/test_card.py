"""The dataset card: its front matter loads, its commands make the directory again; and the hub."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shlex
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import ROOT, content, new_hnmine, rows, write
from datasets import load_dataset
from huggingface_hub import DatasetCard

import hnmine as api
from hnmine.directories.mined import Mined
from hnmine.errors import InputError, UsageError
from hnmine.exports.card import _language
from hnmine.exports.reproduce import commands


@pytest.fixture(scope="module")
def world(stdlib, tmp_path_factory):
    root = tmp_path_factory.mktemp("card")
    inputs = {name: str(stdlib / f"{name}.parquet") for name in ("corpus", "pairs")}
    api.build_index(**inputs, index=root / "index", dense=False, k1=1.2, stemmer="none")
    api.mine(
        index=root / "index",
        pairs=inputs["pairs"],
        output=root / "candidates",
        top_k=20,
        source=["bm25", "random:5"],
        attribute={"longer": "length(doc.text) > length(query.text)"},
    )
    settings = {
        "where": ["longer", "rank -- place\n < 30"],
        "derive": {"gap": "pos(bm25_score) - 1"},
    }
    api.filter(candidates=root / "candidates", output=root / "mined", margin=-1.5, **settings)
    return root, inputs


@pytest.fixture(scope="module")
def card(world):
    return (world[0] / "mined" / "README.md").read_text("utf-8")


def test_it_says_what_is_there(world, card):
    mined = Mined(world[0] / "mined")
    counts = mined.manifest.counts
    assert f"{counts['negatives']:,} hard negatives for {counts['queries']:,} queries" in card
    assert f"| dropped: margin | -{counts['dropped_margin']:,} |" in card
    assert f"| candidates | {counts['candidates']:,} |" in card
    assert f"Hash of the manifest: `{mined.hash}`" in card
    first = rows(mined.path / "train")[0]
    assert f"- **query**: {' '.join(first['query'].split())}" in card
    assert "run.json" not in card
    assert str(world[0]) not in card


def test_it_says_which_queries_have_no_row(world, card, tmp_path):
    assert "without the" not in card
    asked = {"format": "n-tuple", "num_negatives": 12, "margin": -1.5, "near_copy": 0.5}
    api.filter(candidates=world[0] / "candidates", output=tmp_path / "m", **asked)
    mined = Mined(tmp_path / "m")
    short = mined.manifest.counts["queries_short"]
    whole = {row["query_id"] for row in rows(mined.path / "scored")}
    whole -= {row["query_id"] for row in rows(mined.path / "shortfall.parquet")}
    assert short and len(rows(mined.path / "train")) >= len(whole)
    said = f"`n-tuple`, without the {short:,} queries that got fewer negatives than asked"
    assert said in (mined.path / "README.md").read_text("utf-8")


def test_its_front_matter_is_the_hubs(world, card, tmp_path):
    mined = world[0] / "mined"
    data = DatasetCard(card).data
    assert data.size_categories == ["n<1K"]
    assert data.task_categories == ["text-retrieval"]
    for config, folder in (("train", "train"), ("scored", "scored")):
        found = load_dataset(str(mined), config, split="train", cache_dir=str(tmp_path))
        assert len(found) == len(rows(mined / folder))
    by_default = load_dataset(str(mined), split="train", cache_dir=str(tmp_path))
    assert by_default.column_names == ["query", "positive", "negative"]


def test_it_says_licence_language_judgements_hardness_and_how_to_load(world, card, tmp_path):
    data = DatasetCard(card).data
    assert (data.license, data.language) == ("unknown", ["en"])
    assert "| false negatives | not judged |" in card
    assert "Unknown: no bi-encoder scored" in card.split("## Hardness")[1]
    assert 'load_dataset("OWNER/NAME", split="train")' in card


def test_the_language_is_that_of_the_stemmer_or_of_english_texts(tmp_path):
    english = write(tmp_path / "e.parquet", query=["what is the use of a fox"], positive=["it is"])
    other = write(tmp_path / "o.parquet", query=["wozu dient ein Fuchs"], positive=["es ist so"])
    assert _language("english", [english]) == "en"
    assert _language("english", [other]) == ""
    assert _language("german", [other]) == "de"
    assert _language("none", []) == ""


def test_load_dataset_gives_what_the_folder_holds_and_not_what_another_of_its_name_held(
    world, tmp_path
):
    def loaded(folder, config="train"):
        cache = str(tmp_path / "cache")
        return load_dataset(str(folder), config, split="train", cache_dir=cache).to_list()

    seen = []
    for place, asked in (("one", 1), ("one", 2), ("other", 1), ("other", 2)):
        mined, out = tmp_path / place / "mined", tmp_path / place / "out"
        given = {"num_negatives": asked, "seed": len(place), "sampling": "random"}
        api.filter(candidates=world[0] / "candidates", output=mined, overwrite=True, **given)
        api.export(mined=mined, to="triplet", output=out, overwrite=True)
        seen.append(rows(mined / "train"))
        assert loaded(mined) == seen[-1]
        assert loaded(mined, "scored") == rows(mined / "scored")
        assert loaded(out) == rows(out / "train.parquet")
    assert all(one != other for one, other in itertools.combinations(seen, 2))


def test_its_commands_make_it_again(world, card, tmp_path):
    root, inputs = world
    lines = re.search(r"```\n(hnmine .*?)\n```", card, re.DOTALL).group(1)
    for name, path in inputs.items():
        lines = re.sub(rf"\b{name.upper()}\b", path, lines)
    script = f'set -e\nhnmine() {{ {shlex.quote(sys.executable)} -m hnmine "$@"; }}\n{lines}'
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name in ("index", "candidates", "mined"):
        assert content(tmp_path / "runs" / name) == content(root / name)


def test_everything_that_is_not_the_default_is_in_the_commands():
    index = {"inputs": {"pairs": "x"}, "settings": {"bm25": False, "encoder": "a model"}}
    candidates = {
        "inputs": {"queries": "x", "qrels": "x"},
        "runs": {"run_other": "x"},
        "previous": "x",
        "settings": {"source": ["run", "dense:5"], "column": {"queries.text": "body"}},
    }
    mined = {"settings": {"quota": {"rank < 3": 2}, "default_rule": False, "margin": 0.0}}
    lines = [
        shlex.split(line.replace("\\\n", ""))
        for line in re.split(r"\n(?=hnmine)", commands(index, candidates, mined))
    ]
    assert lines[0][2:] == [
        "--pairs", "PAIRS", "--index", "runs/index", "--no-bm25", "--encoder", "a model"
    ]  # fmt: skip
    assert {"--from-run", "other.trec", "--previous", "PREVIOUS", "QRELS"} <= set(lines[1])
    assert "queries.text=body" in lines[1]
    assert lines[1].count("--source") == 2
    assert lines[2][2:] == [
        "--candidates", "runs/candidates", "--output", "runs/mined", "--margin", "0.0",
        "--no-default-rule", "--quota", "rank < 3=2",
    ]  # fmt: skip


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's API as an upload of small files needs."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        if self.server.refuses:
            self.answer({"error": "no such user"}, 403)
        elif self.path == "/api/repos/create":
            self.server.created = json.loads(body)
            self.answer({"url": f"{self.server.address}/datasets/me/negatives"})
        elif self.path.endswith("/preupload/main"):
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self.answer({"files": files})
        elif self.path.endswith("/commit/main"):
            self.server.commit = [json.loads(line) for line in body.splitlines()]
            self.answer(
                {
                    "commitUrl": f"{self.server.address}/datasets/me/negatives/commit/0",
                    "commitOid": "0" * 40,
                }
            )
        else:
            self.answer({}, 200)

    def do_GET(self):
        self.server.asked.append((self.path, None))
        self.answer({"id": "me/negatives", "sha": "0" * 40, "siblings": []})

    def answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.asked, server.refuses, server.created, server.commit = [], False, None, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def push(hub, data, *more):
    """Push from a process of its own: where the hub is, its client asks the environment once."""
    environment = {
        "PATH": "",
        "PYTHONPATH": str(ROOT),
        "HF_ENDPOINT": hub.address,
        "HF_TOKEN": "hf_secret",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HOME": str(data.parent),
    }
    return new_hnmine("push", "--data", data, "--repo", "me/negatives", *more, env=environment)


class TestPush:
    @pytest.mark.parametrize("name", ["mined", "export"])
    def test_it_uploads_what_is_for_others(self, world, hub, tmp_path, name):
        data = world[0] / "mined"
        if name == "export":
            data = api.export(mined=data, to="beir", output=tmp_path / "e").path
        done = push(hub, data, "--json", "--scored")
        assert done.returncode == 0, done.stderr
        assert "hf_secret" not in done.stdout + done.stderr
        sent = {line["value"]["path"] for line in hub.commit if line["key"] == "file"}
        assert sent == set(content(data))
        assert "run.json" not in sent
        assert hub.created["visibility"] == "private"
        assert hub.created["type"] == "dataset"
        assert json.loads(done.stdout)["counts"]["files"] == len(sent)

    def test_ids_stay_unless_they_are_asked_for(self, world, hub, tmp_path):
        assert push(hub, world[0] / "mined").returncode == 0
        sent = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in hub.commit
            if line["key"] == "file"
        }
        assert not [name for name in sent if name.startswith(("scored", "shortfall"))]
        assert any(name.startswith("train/") for name in sent)
        for name, body in sent.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(body)
        card = sent["README.md"].decode()
        assert 'load_dataset("me/negatives", split="train")' in card
        assert [one["config_name"] for one in DatasetCard(card).data["configs"]] == ["train"]
        found = load_dataset(str(tmp_path), split="train", cache_dir=str(tmp_path / "cache"))
        assert found.to_list() == rows(world[0] / "mined" / "train")

    def test_a_refusal_is_explained(self, world, hub):
        hub.refuses = True
        done = push(hub, world[0] / "mined")
        assert done.returncode == 4
        assert "Cannot push to me/negatives" in done.stderr
        assert "hf auth login" in done.stderr
        assert "Traceback" not in done.stderr

    def test_without_a_network_it_is_explained(self, world):
        with pytest.raises(Exception, match="HF_HUB_OFFLINE"):
            api.push(data=world[0] / "mined", repo="me/negatives")

    def test_a_wrong_name_is_a_usage_error(self, world):
        with pytest.raises(UsageError, match="not the name of a repository"):
            api.push(data=world[0] / "mined", repo="me/nega tives/x")

    def test_other_directories_are_refused(self, world):
        with pytest.raises(InputError, match="candidates directory, not a mined"):
            api.push(data=world[0] / "candidates", repo="me/negatives")


def test_texts_of_the_corpus_are_shown_as_they_are(tmp_path):
    hostile = "<script>x</script> ![](http://tracker/x) [a](b) `c` | *d* \\ __e__ &lt; \x1b ---"
    texts = [f"{hostile} fox {n}" + " runs" * n for n in range(12)]
    corpus = write(tmp_path / "c.parquet", _id=[str(n) for n in range(12)], text=texts)
    pairs = write(
        tmp_path / "p.parquet", query=[f"{hostile} fox"], positive=texts[:1], positive_id=["0"]
    )
    api.build_index(corpus=str(corpus), dense=False, index=tmp_path / "i")
    api.mine(index=tmp_path / "i", pairs=str(pairs), output=tmp_path / "c")
    where = "rank <> 2 -- <b>|```\n"
    api.filter(candidates=tmp_path / "c", output=tmp_path / "m", near_copy=2, where=[where])
    card = (tmp_path / "m" / "README.md").read_text("utf-8")
    shown, code = card.split("## Commands")
    assert not re.search(r"<[a-z/!]|(?<!\\)[!\[\]]", shown.partition("# Hard")[2])
    assert "&lt;script&gt;" in shown
    rows_shown = [line for line in shown.splitlines() if line.startswith("| dropped: rank")]
    assert len(rows_shown) == 1
    assert rows_shown[0].replace("\\|", "").count("|") == 3
    assert code.strip().startswith("````\n")
    assert "\x1b" not in card


def test_no_local_path_is_in_a_card():
    settings = {"encoder": "/home/alice/models/mine", "query_prompt": "/q: "}
    index = {"inputs": {"corpus": "x"}, "settings": settings}
    candidates = {"inputs": {}, "runs": {}, "previous": None, "settings": {}}
    judges = ["~/v.csv", "../alice/other", "me/model", "s3://K:S@bucket/v.csv", "file:///home/a/x"]
    mined = {"settings": {"judge": judges, "cross_encoder": "/home/alice/ce"}}
    made = commands(index, candidates, mined)
    assert "alice" not in made
    words = shlex.split(made.replace("\\\n", ""))
    given = [words[n + 1] for n, word in enumerate(words) if word == "--judge"]
    assert given == ["v.csv", "other", "me/model", "s3://bucket/v.csv", "x"]
    assert words[words.index("--query-prompt") + 1] == "/q: "


class TestPublished:
    def test_no_local_path_and_no_other_file_is_uploaded(self, world, hub, tmp_path):
        verdicts = tmp_path / "verdicts.csv"
        first = rows(world[0] / "mined" / "scored")[0]
        verdicts.write_text(f"query_id,doc_id,verdict\n{first['query_id']},{first['doc_id']},0\n")
        data = tmp_path / "mined"
        api.filter(candidates=world[0] / "candidates", output=data, judge=[str(verdicts)])
        (tmp_path / "secret.parquet").write_text("private")
        (data / "train" / "link.parquet").symlink_to(tmp_path / "secret.parquet")
        (data / "train" / "notes.txt").write_text("private")
        (data / "train" / ".hnmine").mkdir()
        (data / "train" / ".hnmine" / "plan.json").write_text("private")
        done = push(hub, data)
        assert done.returncode == 0, done.stderr
        sent = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in hub.commit
            if line["key"] == "file"
        }
        assert sorted(name for name in sent if name.startswith("train/")) == [
            f"train/{file.name}" for file in sorted((data / "train").glob("train-*.parquet"))
        ]
        private = [str(tmp_path), str(world[0]), socket.gethostname()]
        for name, body in sent.items():
            assert not any(word.encode() in body for word in private if len(word) > 2), name
        assert json.loads(sent["manifest.json"])["settings"]["judge"] == ["verdicts.csv"]
        assert "run.json" not in sent
