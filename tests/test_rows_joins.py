"""A judgement of a copy is one of the document: no result depends on whose ids a file uses."""

from __future__ import annotations

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import rows, write

import hnmine as api
from hnmine.audit.auditing import audit
from hnmine.config import AuditSettings
from hnmine.directories.mined import Mined
from hnmine.errors import PartialRun, UsageError
from hnmine.report.gather import gather
from hnmine.sheets.sheet import Sheet

THINGS = ("teapot", "lantern", "bicycle", "kettle", "ladder", "mirror", "piano", "saddle")


def copied(text):
    return f"  {text.upper()} "


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Each document and each query also stands under another id, in other letters, in any order."""
    root = tmp_path_factory.mktemp("joins")
    documents = {
        f"{thing}-{n}": f"the {thing} of {THINGS[(n + at) % 8]} story {n} number {at * 7 + n}"
        for at, thing in enumerate(THINGS)
        for n in range(6)
    }
    corpus = [(id_, text) for id_, text in documents.items()]
    corpus += [(f"{id_}-copy", copied(text)) for id_, text in corpus]
    order = np.random.default_rng(3).permutation(len(corpus))
    corpus = [corpus[n] for n in order]
    queries = {f"q-{thing}": f"what is the story of the {thing}" for thing in THINGS}
    queries |= {f"{id_}-twin": copied(text) for id_, text in queries.items()}
    write(root / "c.parquet", _id=[i for i, _ in corpus], text=[t for _, t in corpus])
    write(root / "q.parquet", _id=list(queries), text=list(queries.values()))
    known = [(query, f"{query.split('-')[1]}-0") for query in queries]
    judgements(root / "r.parquet", known, [1] * len(known))
    api.build_index(corpus=str(root / "c.parquet"), index=root / "i", dense=False)
    mine = {"queries": str(root / "q.parquet"), "qrels": str(root / "r.parquet")}
    api.mine(index=root / "i", output=root / "m", top_k=20, **mine)
    return root


def judgements(path, pairs, scores):
    columns = ["query-id", "corpus-id"]
    ids = {name: [pair[end] for pair in pairs] for end, name in enumerate(columns)}
    return str(write(path, **ids, score=scores))


def disguised(pair):
    """The same pair under other ids."""
    query, document = pair
    query = query.removesuffix("-twin") if query.endswith("-twin") else f"{query}-twin"
    document = document.removesuffix("-copy") if document.endswith("-copy") else f"{document}-copy"
    return query, document


def is_false(pair):
    return pair[0].split("-")[1] == pair[1].split("-")[0]


def chosen(mined):
    found = [row for row in rows(mined / "scored") if row["selected"]]
    return [(row["query_id"], row["doc_id"]) for row in found]


def mined_once(data, output, **settings):
    api.filter(candidates=data / "m", output=output, default_rule=False, **settings)
    return output


RELEVANT = [(f"q-{thing}", f"{thing}-{n}") for thing in THINGS for n in range(6)]


@pytest.mark.parametrize("by", ["query", "document", "both"])
def test_the_judged_rate_is_the_true_one(data, tmp_path, by):
    output = mined_once(data, tmp_path / "out", num_negatives=6)
    pairs = [pair if by == "query" else (pair[0], disguised(pair)[1]) for pair in RELEVANT]
    pairs = [(disguised(pair)[0], pair[1]) if by != "document" else pair for pair in pairs]
    qrels = judgements(tmp_path / "all.parquet", pairs, [1] * len(pairs))
    found = audit(AuditSettings.parse({"mined": output, "qrels": qrels}))
    negatives = chosen(output)
    truth = np.mean([is_false(pair) for pair in negatives])
    assert 0 < truth < 1
    assert found.estimates["qrels"].rate == pytest.approx(truth)
    assert found.estimates["qrels"].known == len(negatives)


@pytest.mark.parametrize("relabel", [False, True])
def test_no_negative_is_judged_relevant_under_any_id(data, tmp_path, relabel):
    for name, pairs in (("own", RELEVANT), ("other", list(map(disguised, RELEVANT)))):
        judge = judgements(tmp_path / f"{name}.parquet", pairs, [1.0] * len(pairs))
        settings = {"judge": [judge], "relabel_judged": relabel, "num_negatives": 6}
        output = mined_once(data, tmp_path / name, **settings)
        assert not any(map(is_false, chosen(output)))
    fates = [
        [(row["reason"], row["selected"], row["label"]) for row in rows(tmp_path / name / "scored")]
        for name in ("own", "other")
    ]
    assert fates[0] == fates[1]
    if relabel:
        assert any(reason == "relabelled" and label == 1 for reason, _, label in fates[0])


def test_of_the_verdicts_on_copies_the_highest_counts(data, tmp_path):
    pair = ("q-piano", "piano-3")
    output = tmp_path / "out"
    judge = judgements(tmp_path / "v.parquet", [pair, disguised(pair)], [1.0, 0.0])
    mined_once(data, output, judge=[judge], num_negatives=8)
    dropped = {row["query_id"] for row in rows(output / "scored") if row["reason"] == "verdict"}
    assert dropped == {"q-piano", "q-piano-twin"}


def test_a_sheet_is_read_under_any_id(data, tmp_path):
    output = mined_once(data, tmp_path / "out", num_negatives=4)
    negatives = chosen(output)
    verdicts = [float(is_false(pair)) for pair in negatives]
    expected = np.mean(verdicts)
    for name, pairs in (("own", negatives), ("other", list(map(disguised, negatives)))):
        sheet = judgements(tmp_path / f"{name}.parquet", pairs, verdicts)
        found = audit(AuditSettings.parse({"mined": output, "verdicts": sheet}))
        estimate = found.estimates["verdicts"]
        assert (estimate.known, estimate.relevant) == (len(negatives), sum(verdicts)), name
    assert 0 < expected < 1


def test_the_draw_of_a_sheet_holds_though_a_twin_has_the_verdict(data, tmp_path):
    output = mined_once(data, tmp_path / "out", num_negatives=4)
    sheet = tmp_path / "s.csv"
    given = {"mined": output, "sample": 30, "sheet": sheet}
    audit(AuditSettings.parse(given))
    table = list(csv.DictReader(sheet.open()))
    judged = {}
    for row in table:
        pair = row["query_id"], row["doc_id"]
        twin = (disguised(pair)[0], pair[1])
        if twin not in judged:
            judged[pair] = row["verdict"] = str(float(is_false(pair)))
    assert len(judged) < len(table)
    with sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    found = audit(AuditSettings.parse({"mined": output, "verdicts": str(sheet)}))
    assert not any("no random sample" in note for note in found.notes)
    assert np.isfinite(found.estimates["verdicts"].rate)


def test_a_proof_leaves_out_what_is_judged_under_another_id(data, tmp_path):
    output, sheet = tmp_path / "out", tmp_path / "s.csv"
    asked = {"num_negatives": 4, "max_false": 0.9, "sheet": sheet, "budget": 60}
    with pytest.raises(PartialRun, match="more verdicts"):
        mined_once(data, output, **asked)
    table = Sheet.open(sheet).table
    pairs = list(zip(*(table[name].to_pylist() for name in ("query_id", "doc_id")), strict=True))
    own = [disguised(pair) for pair in pairs]
    table = table.set_column(
        table.column_names.index("query_id"), "query_id", pa.array([q for q, _ in own])
    ).set_column(table.column_names.index("doc_id"), "doc_id", pa.array([d for _, d in own]))
    verdicts = pa.array([float(is_false(pair)) for pair in pairs])
    place = table.column_names.index("verdict")
    sheet.unlink()
    Sheet(sheet, table.set_column(place, "verdict", verdicts)).save()
    mined_once(data, output, **asked)
    judged = set(pairs) | set(own) | {(disguised(p)[0], p[1]) for p in pairs}
    judged |= {(p[0], disguised(p)[1]) for p in pairs}
    assert any(map(is_false, judged))
    assert not any(is_false(pair) for pair in chosen(output) if pair in judged)


def test_an_earlier_round_is_found_under_other_ids(data, tmp_path):
    """The corpus in another order: other ids stand for the texts."""
    first = mined_once(data, tmp_path / "first", num_negatives=3)
    corpus = pq.read_table(data / "c.parquet")
    pq.write_table(corpus.take(np.arange(corpus.num_rows)[::-1]), tmp_path / "c.parquet")
    api.build_index(corpus=str(tmp_path / "c.parquet"), index=tmp_path / "i", dense=False)
    mine = {"queries": str(data / "q.parquet"), "qrels": str(data / "r.parquet")}
    api.mine(index=tmp_path / "i", output=tmp_path / "m", top_k=20, previous=first, **mine)
    before = {(r["query_id"], r["doc_id"].removesuffix("-copy")): r for r in rows(first / "scored")}
    found = rows(tmp_path / "m" / "candidates")
    known = 0
    for row in found:
        earlier = before.get((row["query_id"], row["doc_id"].removesuffix("-copy")), {})
        assert row["previous_selected"] == earlier.get("selected")
        known += bool(earlier)
    assert known > len(found) / 2


def test_a_hub_is_a_positive_under_any_id(data, tmp_path):
    output = mined_once(data, tmp_path / "out", num_negatives=20)
    with Mined(output).sql(1) as scored:
        hubs = gather(scored).hubness.most
    positives = {f"{thing}-0" for thing in THINGS}
    found = {hub.doc_id.removesuffix("-copy"): hub.positives for hub in hubs}
    assert any(name in positives for name in found)
    assert all(found[name] == (2 if name in positives else 0) for name in found)


CONSTRAINT = "doc.parent <> positive.parent"


@pytest.fixture(scope="module")
def taxonomy(tmp_path_factory):
    """Queries have two positives of different parents; documents have copies with other parents."""
    root = tmp_path_factory.mktemp("taxonomy")
    rng = np.random.default_rng(1)
    texts = [f"skill number {n} in {THINGS[n % 8]} and {THINGS[n // 8]}" for n in range(48)]
    parents = [f"p{rng.integers(6)}" for _ in texts]
    more = [n for n in range(48) if n % 5 == 0]
    write(
        root / "c.parquet",
        _id=[f"d{n}" for n in range(48)] + [f"e{n}" for n in more],
        text=texts + [copied(texts[n]) for n in more],
        parent=parents + [f"p{rng.integers(6)}" for _ in more],
    )
    write(
        root / "p.parquet",
        query_id=[f"q{n // 2}" for n in range(12)],
        query=[f"which skill is {n // 2} in {THINGS[n // 2]}" for n in range(12)],
        positive_id=[f"d{n * 3}" for n in range(12)],
        positive=[texts[n * 3] for n in range(12)],
    )
    api.build_index(corpus=str(root / "c.parquet"), index=root / "i", dense=False)
    return root


def parents_of(root):
    table = rows(root / "c.parquet")
    of = {}
    for row in table:
        of.setdefault(row["_id"][1:], set()).add(row["parent"])
    return of


def mine_with(root, output, **settings):
    given = {"pairs": str(root / "p.parquet"), "index": root / "i", "top_k": 60}
    api.mine(**given, output=output, **settings)
    found = rows(output / "candidates")
    positives = {}
    for row in found:
        if row["is_positive"]:
            positives.setdefault(row["query_id"], set()).add(row["doc_id"][1:])
    of = parents_of(root)
    own = {query: set().union(*(of[p] for p in ids)) for query, ids in positives.items()}
    return [row for row in found if not row["is_positive"] and not row["is_query"]], own, of


def test_a_constraint_holds_for_every_positive_and_every_copy(taxonomy, tmp_path):
    every, own, of = mine_with(taxonomy, tmp_path / "all")
    found, *_ = mine_with(taxonomy, tmp_path / "m", constraint=[CONSTRAINT])
    pairs = {(row["query_id"], row["doc_id"]) for row in found}
    allowed = {
        (row["query_id"], row["doc_id"])
        for row in every
        if not of[row["doc_id"][1:]] & own[row["query_id"]]
    }
    assert pairs == allowed
    assert 0 < len(allowed) < len(every)


def test_a_list_of_the_positives_asks_for_any(taxonomy, tmp_path):
    text = "list_contains(positives.parent, doc.parent)"
    found, own, of = mine_with(taxonomy, tmp_path / "m", attribute={"same": text})
    by_first = {row["_id"]: row["parent"] for row in rows(taxonomy / "c.parquet")}
    assert {row["same"] for row in found} == {True, False}
    for row in found:
        assert row["same"] == (by_first[row["doc_id"]] in own[row["query_id"]])
    any_, *_ = mine_with(taxonomy, tmp_path / "any", constraint=[text])
    assert {(r["query_id"], r["doc_id"]) for r in any_} == {
        (row["query_id"], row["doc_id"])
        for row in found
        if of[row["doc_id"][1:]] <= own[row["query_id"]]
    }


def test_matching_asks_for_any_copy(taxonomy, tmp_path):
    found, own, of = mine_with(
        taxonomy, tmp_path / "m", matching="doc.parent = positive.parent", source=["matching"]
    )
    assert all(of[row["doc_id"][1:]] & own[row["query_id"]] for row in found)
    every, *_ = mine_with(taxonomy, tmp_path / "all")
    match = [row for row in every if of[row["doc_id"][1:]] & own[row["query_id"]]]
    assert len(found) >= len(match)


def test_a_column_for_each_positive_is_refused(taxonomy, tmp_path):
    with pytest.raises(UsageError, match="for each positive"):
        mine_with(taxonomy, tmp_path / "m", attribute={"same": "doc.parent = positive.parent"})
