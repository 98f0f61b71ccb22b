"""The examples run as they stand."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import forked
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blocks import Block, blocks, commands, run, small
from conftest import CROSS_ENCODER, ENCODER, ROOT, rows, write

import hnmine as api
from hnmine.directories.manifest_files import read_manifest
from hnmine.encode.locate import find_model

EXAMPLES = ROOT / "examples"


def read(example: str) -> list[Block]:
    """The code blocks of an example."""
    return blocks(EXAMPLES / example / "README.md")


def play(example: str) -> None:
    """Run every command of an example, in the working directory."""
    for block in read(example):
        if block.language == "yaml":
            Path(f"{example}.yaml").write_text(small(block.text), encoding="utf-8")
    for block in read(example):
        for line in commands(block):
            if line[0] == "hnmine":
                run(line)


@pytest.fixture(scope="module")
def texts(stdlib) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """A few short documents and the pairs that are about them."""
    pairs = [pair for pair in rows(stdlib / "pairs.parquet") if len(pair["positive"]) < 400][:8]
    known = {pair["positive_id"] for pair in pairs}
    corpus = [
        row
        for row in rows(stdlib / "corpus.parquet")
        if row["id"] in known or len(row["text"]) < 160
    ]
    return corpus[:30] + [row for row in corpus[30:] if row["id"] in known], pairs


@pytest.fixture
def here(texts, tmp_path, monkeypatch) -> Path:
    """A working directory with a corpus and pairs."""
    corpus, pairs = texts
    pq.write_table(pa.Table.from_pylist(corpus), tmp_path / "corpus.parquet")
    pq.write_table(pa.Table.from_pylist(pairs), tmp_path / "pairs.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path


def section(name: str) -> str:
    return name.partition(".")[0]


def test_own_data(here, texts):
    corpus, pairs = texts
    write(
        here / "articles.parquet",
        article=[row["id"] for row in corpus],
        headline=[row["id"].rpartition(".")[2] for row in corpus],
        body=[row["text"] for row in corpus],
        section=[section(row["id"]) for row in corpus],
    )
    write(
        here / "questions.parquet",
        ask=[pair["query"] for pair in pairs],
        section=[section(pair["positive_id"]) for pair in pairs],
        found_in=[pair["positive_id"] for pair in pairs],
    )
    play("own_data")
    asked = {pair["query"]: section(pair["positive_id"]) for pair in pairs}
    train = rows(here / "runs" / "own" / "mined" / "train")
    assert train and list(train[0]) == ["query", "positive", "negative", "negative_id"]
    assert all(section(row["negative_id"]) == asked[row["query"]] for row in train)


def test_a_beir_folder(here, texts):
    corpus, pairs = texts
    folder = here / "beir"
    (folder / "qrels").mkdir(parents=True)
    for name, table in (
        ("corpus", [{"_id": r["id"], "title": "", "text": r["text"]} for r in corpus]),
        ("queries", [{"_id": f"q{n}", "text": p["query"]} for n, p in enumerate(pairs)]),
    ):
        lines = "".join(json.dumps(row) + "\n" for row in table)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    judged = [(f"q{n}", pair["positive_id"], 2) for n, pair in enumerate(pairs[:-1])]
    partly = next(row["id"] for row in corpus if row["id"] != pairs[0]["positive_id"])
    judged.append(("q0", partly, 1))
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in judged)]
    (folder / "qrels" / "train.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    play("beir_folder")
    scored = rows(here / "runs" / "beir" / "mined" / "scored")
    found = [row for row in scored if (row["query_id"], row["doc_id"]) == ("q0", partly)]
    assert [(row["judged_rank"], row["grade"], row["is_positive"]) for row in found] == [
        (1, 1.0, False)
    ]
    again = (here / "runs" / "beir" / "export" / "qrels" / "train.tsv").read_text().splitlines()
    assert again[0] == lines[0] and any(line.endswith("\t0") for line in again)


def test_no_corpus(here, texts):
    with (here / "faq.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["question", "answer"])
        table.writerows([pair["query"], pair["positive"]] for pair in texts[1])
    play("no_corpus")
    answers = {pair["positive"] for pair in texts[1]}
    train = rows(here / "runs" / "faq" / "mined" / "train")
    assert train and {row["negative"] for row in train} <= answers


def test_multilingual(here):
    play("multilingual")
    encoder = read_manifest(Path("runs/many/index"), "index", "build-index")["encoder"]
    assert (encoder["query_prompt"], encoder["document_prompt"]) == ("query: ", "passage: ")
    rows_ = (here / "runs/many/export/data/train.jsonl").read_text("utf-8").splitlines()
    assert rows_ and all(json.loads(row)["prompt"] == "query: " for row in rows_)


def test_air_gapped(here, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # Nobody answers there.
    play("air_gapped")
    assert rows(here / "runs" / "mined" / "train")
    assert (here / "runs" / "mined" / "report.html").exists()


def test_another_systems_run(here, texts):
    corpus, pairs = texts
    run_file = [
        f"{pair['query_id']} Q0 {row['id']} {rank} {100 - rank} engine"
        for pair in pairs
        for rank, row in enumerate(corpus[:12], 1)
    ]
    (here / "run.trec").write_text("\n".join(run_file) + "\n", encoding="utf-8")
    play("other_system")
    candidates = [row for row in rows(here / "runs/other/mined/scored") if row["rank"] is not None]
    assert {row["doc_id"] for row in candidates} <= {row["id"] for row in corpus[:12]}
    chosen = [row for row in candidates if row["selected"]]
    assert chosen and all(row["ce_score"] <= row["positive_score"] - 3 for row in chosen)
    assert (here / "runs" / "other" / "export" / "run.txt").stat().st_size


def test_training(here, monkeypatch):
    api.build_index(corpus="corpus.parquet", pairs="pairs.parquet", dense=False, index="i")
    api.mine(index="i", pairs="pairs.parquet", top_k=8, output="c")
    api.filter(candidates="c", cross_encoder=CROSS_ENCODER, num_negatives=2, output="runs/mined")
    losses = []
    for block in read("training"):
        for line in commands(block):
            done = run(line if line[0] == "hnmine" else [*line, "--steps", "1"])
            losses += re.findall(r"^(\w+Loss) on", done, re.MULTILINE)
    assert losses == ["MultipleNegativesRankingLoss", "DistillKLDivLoss"]
    assert (here / "runs" / "student" / "model.safetensors").stat().st_size


def test_two_rounds_end_in_negatives_that_know_of_the_first(stdlib, tmp_path):
    for name, count in (("corpus", 120), ("pairs", 16)):
        table = pq.read_table(stdlib / f"{name}.parquet")
        pq.write_table(table.slice(0, count), tmp_path / f"{name}.parquet")
    said = script(
        "two_rounds.py",
        *("--corpus", tmp_path / "corpus.parquet", "--pairs", tmp_path / "pairs.parquet"),
        *("--encoder", ENCODER, "--output", tmp_path, "--steps", "2"),
    )
    assert "negatives of the second round" in said
    first, second = (
        read_manifest(tmp_path / f"candidates-{n}", "candidates", "mine") for n in (1, 2)
    )
    assert first["encoder"]["content"] != second["encoder"]["content"]
    assert first["index"] == second["index"] and second["previous"]
    rows = pq.read_table(tmp_path / "mined-2" / "scored").to_pylist()
    assert any(row["previous_selected"] and row["selected"] for row in rows)
    assert any(row["previous_rank"] is None and row["rank"] is not None for row in rows)


@pytest.fixture(scope="module")
def judged(stdlib, tmp_path_factory):
    """The standard library as a corpus, queries and judgements."""
    folder = tmp_path_factory.mktemp("judged")
    corpus = pq.read_table(stdlib / "corpus.parquet").select(["id", "text"])
    pq.write_table(corpus.rename_columns(["_id", "text"]), folder / "corpus.parquet")
    pairs = pq.read_table(stdlib / "pairs.parquet").to_pylist()
    write(
        folder / "queries.parquet",
        _id=[f"q{n}" for n in range(len(pairs))],
        text=[pair["query"] for pair in pairs],
    )
    write(
        folder / "qrels.parquet",
        query_id=[f"q{n}" for n in range(len(pairs))],
        corpus_id=[pair["positive_id"] for pair in pairs],
        score=[1] * len(pairs),
    )
    return folder


def script(name, *arguments):
    done = forked.run(ROOT / "examples" / name, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_train_embedder_measures_before_and_after_on_queries_that_it_did_not_see(judged, tmp_path):
    said = script(
        "train_embedder.py",
        *("--corpus", judged / "corpus.parquet", "--queries", judged / "queries.parquet"),
        *("--qrels", judged / "qrels.parquet", "--model", ENCODER, "--output", tmp_path),
        *("--steps", 1, "--documents", 60),
    )
    before, after = map(float, re.findall(r"(0\.\d{4}) (?:before|after)", said))
    assert 0.3 < before <= 1
    assert 0.3 < after <= 1
    seen, unseen = (
        set(pq.read_table(tmp_path / side / "queries.parquet")["_id"].to_pylist())
        for side in ("train", "held-out")
    )
    assert seen and unseen and not seen & unseen
    mined = pq.read_table(tmp_path / "mined" / "scored")["query_id"].to_pylist()
    assert set(mined) == seen
    assert (tmp_path / "model" / "model.safetensors").stat().st_size


def test_train_reranker_judges_queries_by_a_model_that_has_not_seen_them(judged, tmp_path):
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(find_model(ENCODER)))
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = AutoConfig.for_model("bert", **size, num_labels=1, vocab_size=len(tokenizer))
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    corpus, queries = judged / "corpus.parquet", judged / "queries.parquet"
    api.build_index(corpus=corpus, dense=False, index=tmp_path / "i")
    given = {"queries": queries, "qrels": judged / "qrels.parquet"}
    api.mine(index=tmp_path / "i", **given, top_k=8, output=tmp_path / "c")
    said = script(
        "train_reranker.py",
        *("--corpus", corpus, "--queries", queries, "--candidates", tmp_path / "c"),
        *("--model", tmp_path / "model", "--output", tmp_path, "--steps", 1),
    )
    verdicts = pq.read_table(tmp_path / "verdicts.parquet").to_pylist()
    scored = pq.read_table(tmp_path / "mined" / "scored").to_pylist()
    assert f"{len(scored):,} verdicts" in said
    by_pair = {(v["query_id"], v["corpus_id"]): v["score"] for v in verdicts}
    assert len(by_pair) == len(scored)
    for row in scored:
        assert row["verdict"] == pytest.approx(by_pair[row["query_id"], row["doc_id"]])
