"""Faults that other miners have, each as a test that fails on a miner with that fault.

`python tests/test_traps.py` prints docs/traps.md, the table of them; a test keeps it in step.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "traps.md"
TRAPS: list[tuple[str, str, str]] = []

ST, FE, TV, TF = "sentence-transformers", "FlagEmbedding", "Tevatron", "teraflop hard-negatives"
NM, NO, RA, JS = "NeMo Automodel", "contrastors", "RAGatouille", "jansowa/mine-hard-negatives"
GP, AM, AN, SW = "GPL", "adaptmem", "ANCE", "ms-swift"


def trap(fault: str, *peers: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Enter a test in the table."""

    def enter(test: Callable[..., None]) -> Callable[..., None]:
        TRAPS.append((fault, ", ".join(peers), f"tests/test_traps.py::{test.__name__}"))
        return test

    return enter


ELSEWHERE = [
    (
        "Two local checkpoints share a cache entry: the vectors are the other model's",
        ST,
        "tests/test_encode.py::test_two_checkpoints_with_one_name_have_two_fingerprints",
    ),
    (
        "A trainer fills up a short list of negatives with the positive",
        SW,
        "tests/test_exports.py::test_ms_swift",
    ),
    (
        "Counters include rows that were already masked",
        ST,
        "tests/test_pipeline.py::test_everything_asked_is_accounted_for",
    ),
    (
        "A truncated cache breaks the next run, or counts as finished",
        f"{ST}, {JS}",
        "tests/test_run.py::test_a_damaged_output_is_made_again",
    ),
    (
        "A worker's exception hangs or kills the whole run",
        JS,
        "tests/test_run.py::test_a_run_that_failed_goes_on_with_the_task_that_failed",
    ),
    (
        "A misspelt flag is ignored",
        FE,
        "tests/test_cli.py::test_a_wrong_flag_is_a_usage_error",
    ),
    (
        "FAISS pads with -1, which is the last document",
        f"{TV}, {ST}",
        "tests/test_dense.py::test_an_approximate_index_gives_exact_scores_and_all_that_was_asked",
    ),
    (
        "The order of equal scores depends on the index",
        f"{ST}, FAISS",
        "tests/test_dense.py::test_ten_thousand_near_ties_are_still_ordered_by_score_then_slot",
    ),
    (
        "Half precision is used silently",
        ST,
        "tests/test_dense.py::test_score_is_the_product_of_each_given_pair",
    ),
    (
        "A margin depends on the activation of the cross-encoder",
        ST,
        "tests/test_encode.py::test_logits_are_raw",
    ),
    (
        "A cross-encoder with two outputs is not handled",
        ST,
        "tests/test_encode.py::test_two_outputs_become_log_odds_and_more_are_refused",
    ),
    (
        "A score depends on the rest of its batch (dynamic int8)",
        "onnxruntime",
        "tests/test_encode.py::test_a_logit_does_not_depend_on_the_pairs_beside_it",
    ),
    (
        "NaN or zero vectors are accepted",
        f"{ST}, FAISS",
        "tests/test_own_encoders.py::test_a_document_without_a_vector_is_an_error_that_names_it",
    ),
    (
        "An empty corpus divides by zero",
        "rank-bm25",
        "tests/test_bm25.py::test_nothing_to_find",
    ),
    (
        "Ties at k are cut at random",
        "rank-bm25",
        "tests/test_bm25.py::test_ties_at_k_go_to_the_lowest_slots",
    ),
    (
        "A list of positives read as characters, or a string as a list",
        FE,
        "tests/test_records.py::test_lists_of_positives_are_pairs_of_their_row_and_empty_ones_are_bad",
    ),
    (
        "Row 0 never joins another's batch, as its number is taken for none",
        "Sample4Geo",
        "tests/test_batch.py::test_row_zero_is_admitted_as_a_neighbour",
    ),
]


def mined(folder: Path, corpus: dict[str, str], pairs: list[tuple], **settings) -> list[dict]:
    """Run the three commands with BM25 alone and no rule but those that are always on."""
    import hnmine as api

    names = ("query", "positive", "query_id")[: len(pairs[0])]
    columns = {
        name: list(values) for name, values in zip(names, zip(*pairs, strict=True), strict=True)
    }
    pq.write_table(pa.table(columns), folder / "pairs.parquet")
    pq.write_table(
        pa.table({"id": list(corpus), "text": list(corpus.values())}), folder / "corpus.parquet"
    )
    top_k = settings.pop("top_k", 100)
    common = {"pairs": str(folder / "pairs.parquet"), "index": folder / "index"}
    api.build_index(corpus=str(folder / "corpus.parquet"), dense=False, **common)
    api.mine(output=folder / "candidates", top_k=top_k, **common)
    api.filter(
        candidates=folder / "candidates",
        output=folder / "mined",
        **{"default_rule": False, **settings},
    )
    return pq.read_table(folder / "mined" / "scored").to_pylist()


def negatives(table: list[dict]) -> set[tuple[str, str]]:
    return {(row["query_id"], row["doc_id"]) for row in table if row["selected"]}


def judged(queries: list[list[tuple[float, bool]]], **settings):
    """Verdicts over hand-made candidates: for each query, logits and whether it is a positive."""
    from hnmine import schema
    from hnmine.config import FilterSettings
    from hnmine.selection.criteria import criteria
    from hnmine.selection.verdicts import Verdicts

    rows, logits = [], []
    for q, candidates in enumerate(queries):
        rank = 0
        for n, (logit, is_positive) in enumerate(candidates):
            row = dict.fromkeys(schema.CANDIDATES.names)
            row |= {"query_id": f"q{q}", "doc_id": f"d{n}", "rrf_score": 0.0, "is_query": False}
            row |= {"is_positive": is_positive, "query_row": q, "doc_row": n}
            row |= {"rank": None if is_positive else rank, "near_copy": None if is_positive else 0}
            rank += not is_positive
            rows.append(row)
            logits.append(logit)
    values = {"candidates": "c", "output": "o", "cross_encoder": "m", "score": "ce", **settings}
    table = pa.Table.from_pylist(rows, schema=schema.CANDIDATES)
    table = table.append_column(schema.judged("ce_score"), pa.array(logits, pa.float32()))
    return Verdicts(table, *criteria(FilterSettings.parse(values)))


APPLES = {
    "a1": "red apple tree",
    "a2": "green apple pie with cream",
    "a3": "an apple a day keeps the doctor away",
    "a4": "apple juice in the morning",
    "a5": "apple cake of my grandmother",
    "a6": "a crab apple or two",
}


@trap("A cross-encoder is given, and never used", ST)
def test_a_cross_encoder_without_a_rule_is_not_ignored():
    from hnmine.config import FilterSettings
    from hnmine.relevance.learned import Learned
    from hnmine.selection.criteria import criteria
    from hnmine.selection.pipeline import resolve

    given = FilterSettings.parse({"candidates": "c", "output": "o", "cross_encoder": "m"})
    resolved = resolve(given, ["dense"])
    assert resolved.score == "ce"
    _, choice = criteria(resolved, Learned.model_construct(price_of_depth=0.0, place="rank"))
    assert "relevance" in choice.order


@trap("The query's own text is in the corpus, and is a negative", ST, TV, TF)
def test_the_query_in_the_corpus_is_no_negative(tmp_path):
    corpus = {**APPLES, "itself": "Apple\u00a0PIE recipe"}
    table = mined(tmp_path, corpus, [("apple pie recipe", "red apple tree")])
    assert next(row for row in table if row["doc_id"] == "itself")["reason"] == "query"
    assert len(negatives(table)) == 5


@trap("A NaN score passes every margin and ranks first", ST)
def test_nan_never_passes():
    for bad in (np.nan, np.inf, -np.inf):
        verdicts = judged([[(5.0, True), (bad, False), (1.0, False)]], margin=1.0)
        assert verdicts.keep.tolist() == [False, False, True]
        poisoned = judged([[(bad, True), (1.0, False)]], max_score=9.0)
        assert not poisoned.keep.any()
        assert poisoned.reason[1] == "not-finite"


@trap("A misspelt column name silently selects another column", ST)
def test_a_misspelt_column_is_an_error(tmp_path):
    from hnmine.errors import InputError
    from hnmine.inputs.table_reader import Table

    pq.write_table(
        pa.table({"id": ["7"], "query": ["q"], "positive": ["p"]}), tmp_path / "p.parquet"
    )
    with pytest.raises(InputError, match="id, query, positive"):
        Table.open("pairs", str(tmp_path / "p.parquet"), {"query": "qurey"})


@trap("`range_min` skips survivors instead of ranks", ST)
def test_ranks_precede_all_rules():
    logits = [(5.0, True), (4.9, False), (4.8, False), (1.0, False), (0.5, False)]
    verdicts = judged([logits], margin=3.0, range_min=2, num_negatives=1)
    assert verdicts.keep.tolist() == [False, False, False, True, True]


@trap("Duplicate pairs make every query search deeper", ST)
def test_duplicate_pairs_are_one(tmp_path):
    pairs = [("apple", APPLES["a1"])] * 50 + [("pie", APPLES["a2"])]
    table = mined(tmp_path, APPLES, pairs, top_k=3)
    assert sum(row["is_positive"] for row in table) == 2
    assert sum(row["rank"] is not None for row in table) == 3


@trap("A margin of 0 keeps a candidate with exactly the positive's score", ST)
def test_a_score_equal_to_the_positives_never_passes():
    for margin in (0.0, -1.0):
        verdicts = judged([[(2.0, True), (2.0, False), (1.5, False)]], margin=margin)
        assert verdicts.keep.tolist() == [False, False, True]
        assert verdicts.reason[1] == "same-score"
    kept = judged([[(2.0, True), (1.0, False)]], margin=1.0)
    assert kept.keep.tolist() == [False, True]


@trap("A variant of the positive in white space, case or Unicode form is a negative", ST, FE, AM)
@pytest.mark.parametrize(
    "variant",
    [
        "Cafe\u0301 au lait ",
        "CAFÉ AU LAIT",
        "café  au\tlait",
        "ca\u200bfé au lait",
        "\uff43afé au lait",
    ],
)
def test_variants_of_the_positive_are_excluded(tmp_path, variant):
    corpus = {"p": "café au lait", "v": variant, "other": "lait frais"}
    table = mined(tmp_path, corpus, [("lait", "café au lait")])
    assert {doc for _, doc in negatives(table)} == {"other"}


@trap("The positive under another id is a negative", AM, "7.5 % of one published set")
def test_the_positive_under_another_id_is_excluded(tmp_path):
    corpus = {"x": APPLES["a1"], **APPLES}
    table = mined(tmp_path, corpus, [("apple", APPLES["a1"])])
    assert {doc for _, doc in negatives(table)} == {"a2", "a3", "a4", "a5", "a6"}


@trap("Anchors shift if queries have several positives", f"{ST} 5.1")
def test_every_query_has_its_own_anchor():
    queries = [
        [(0.9, True), (0.5, False)],
        [(0.7, True), (0.8, True), (0.5, False)],
        [(0.2, True), (0.5, False)],
    ]
    verdicts = judged(queries, margin=0.1)
    anchors = verdicts.table["positive_score"].to_numpy().round(3)
    assert anchors.tolist() == [0.9, 0.9, 0.7, 0.7, 0.7, 0.2, 0.2]
    assert verdicts.keep.tolist() == [False, True, False, False, True, False, False]


@trap("Random choices have no seed, or follow the order of a set", ST, FE)
def test_two_processes_choose_the_same(tmp_path):
    outputs = []
    for n in range(2):
        folder = tmp_path / str(n)
        folder.mkdir()
        script = (
            "import sys, pathlib; sys.path.insert(0, 'tests')\n"
            "from test_traps import APPLES, mined\n"
            f"mined(pathlib.Path({str(folder)!r}), APPLES, [('apple', 'red apple tree')],"
            " sampling='random', num_negatives=2, seed=3)\n"
        )
        subprocess.run(
            [sys.executable, "-c", script],
            check=True,
            cwd=ROOT,
            env={"PYTHONHASHSEED": str(n), "PATH": "", "HOME": str(tmp_path)},
        )
        outputs.append((folder / "mined" / "train" / "train-00000-of-00001.parquet").read_bytes())
    assert outputs[0] == outputs[1]


@trap("Positives of the same query in other rows are negatives", FE, AN)
def test_all_rows_of_a_query_count(tmp_path):
    pairs = [("apple", APPLES["a1"]), ("Apple ", APPLES["a2"]), ("apple", APPLES["a3"])]
    table = mined(tmp_path, APPLES, pairs)
    assert {doc for _, doc in negatives(table)} == {"a4", "a5", "a6"}


@trap("Short lists are filled up with random or unchecked documents", FE, NO, "RocketQA")
def test_nothing_is_filled_in(tmp_path):
    table = mined(tmp_path, APPLES, [("pie", APPLES["a1"])], num_negatives=5)
    assert {doc for _, doc in negatives(table)} == {"a2"}
    (short,) = pq.read_table(tmp_path / "mined" / "shortfall.parquet").to_pylist()
    assert (short["asked"], short["found"]) == (5, 1)


@trap("Dropped candidates return with -inf scores if few survive", NM)
def test_dropped_candidates_stay_dropped():
    from hnmine.selection.writing import shortfall_of

    verdicts = judged([[(-5.0, True), (4.0, False), (3.0, False)]], margin=0.0, num_negatives=2)
    assert not verdicts.selected.any()
    (short,) = shortfall_of(verdicts).to_pylist()
    assert (short["found"], short["candidates"], short["reason"]) == (0, 2, "margin")


@trap("A small corpus crashes, or gives k = 0", FE, RA)
def test_k_may_be_larger_than_the_corpus(tmp_path):
    corpus = {"a": "one apple", "b": "two apples and an apple"}
    table = mined(tmp_path, corpus, [("apple", "one apple")], top_k=1000)
    assert {doc for _, doc in negatives(table)} == {"b"}


@trap("Positives take up some of the k places", FE, ST)
def test_k_candidates_remain_besides_the_positives(tmp_path):
    pairs = [("apple", APPLES["a1"]), ("apple", APPLES["a6"])]
    table = mined(tmp_path, APPLES, pairs, top_k=4)
    assert sum(row["rank"] is not None for row in table) == 4


@trap(
    "A query with thousands of positives crashes, or makes all queries search as deep", "DRhard", ST
)
def test_thousands_of_positives(tmp_path):
    corpus = {f"p{n}": f"apple number {n}" for n in range(3000)}
    corpus |= {f"n{n}": f"some apple of the long kind with number {n}" for n in range(20)}
    pairs = [("apple", corpus[f"p{n}"]) for n in range(3000)] + [("kind", corpus["n0"])]
    table = mined(tmp_path, corpus, pairs, top_k=10)
    by_query: dict[str, int] = {}
    for row in table:
        if row["rank"] is not None:
            by_query[row["query_id"]] = by_query.get(row["query_id"], 0) + 1
    assert sorted(by_query.values()) == [10, 10]
    assert not {doc for _, doc in negatives(table)} & {f"p{n}" for n in range(3000)}


@trap("Positives missing from the candidate pool are left out or silently skipped", FE, AM)
def test_a_positive_missing_from_the_corpus_is_added(tmp_path):
    table = mined(tmp_path, APPLES, [("apple", "a positive that stands nowhere else")])
    (positive,) = [row for row in table if row["is_positive"]]
    assert positive["bm25_score"] == 0
    assert len(negatives(table)) == 5


@trap("An id with a space breaks the run file", TV)
def test_ids_may_hold_spaces(tmp_path):
    corpus = {"a b": "red apple", "c\td": "a green apple", "e": "one more apple now"}
    table = mined(tmp_path, corpus, [("apple", "red apple", "q 1")])
    assert negatives(table) == {("q 1", "c\td"), ("q 1", "e")}


@trap("A relative margin is reversed for negative scores", TF, NM, f"{ST} before 5.2")
def test_a_relative_margin_on_negative_logits():
    queries = [[(-0.5, True), (-0.49, False), (-0.5, False), (-0.52, False), (-0.53, False)]]
    verdicts = judged(queries, relative_margin=0.05)
    assert verdicts.keep.tolist() == [False, False, False, False, True]


@trap("Copies are removed after the top k, so that rows shrink", TF)
def test_copies_in_the_corpus_do_not_take_places(tmp_path):
    corpus = {f"copy {n}": "apple apple apple" for n in range(30)} | APPLES
    table = mined(tmp_path, corpus, [("apple", APPLES["a1"])], top_k=4)
    documents = [row["doc_id"] for row in table if row["rank"] is not None]
    assert len(documents) == 4
    assert sum(doc.startswith("copy") for doc in documents) == 1


@trap("A query with ten positives is ten queries", TF)
def test_a_query_is_one_query(tmp_path):
    mined(tmp_path, APPLES, [("apple", text) for text in APPLES.values()][:4])
    table = pq.read_table(tmp_path / "candidates" / "candidates")
    assert len(set(table["query_id"].to_pylist())) == 1


@trap("Ids are lost on the way to the output", TF, ST)
def test_ids_stand_beside_every_verdict(tmp_path):
    table = mined(tmp_path, APPLES, [("apple", APPLES["a1"], "7")])
    assert {row["query_id"] for row in table} == {"7"}
    assert {row["doc_id"] for row in table} == set(APPLES)


@trap("Two queries with one id overwrite each other; a blank query becomes a placeholder", NM)
def test_one_id_for_two_queries_and_blank_queries_are_errors(tmp_path):
    from hnmine.errors import InputError

    pairs = [("apple", APPLES["a1"], "1"), ("pie", APPLES["a2"], "1")]
    with pytest.raises(InputError, match="another text"):
        mined(tmp_path, APPLES, pairs)
    blank = tmp_path / "blank"
    blank.mkdir()
    with pytest.raises(InputError, match="blank query"):
        mined(blank, APPLES, [("apple", APPLES["a1"]), (" \u200b", APPLES["a2"])])


def beir(folder: Path, **mine):
    """Mine from integer ids and graded judgements."""
    import hnmine as api

    tables = {
        "corpus": {"_id": [1, 2, 3, 4], "text": ["red apple", "green apple", "apple", "an apple"]},
        "queries": {"_id": ["q", "unjudged"], "text": ["apple", "apple juice"]},
        "qrels": {"query-id": ["q"] * 3, "corpus-id": [1, 2, 3], "score": [2, 1, 0]},
    }
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    api.build_index(corpus=str(folder / "corpus.parquet"), index=folder / "index", dense=False)
    return api.mine(
        index=folder / "index",
        queries=str(folder / "queries.parquet"),
        qrels=str(folder / "qrels.parquet"),
        output=folder / "candidates",
        **mine,
    )


@trap("Integer ids never equal string ids, so that no positive is excluded", NO)
def test_integer_ids_join_string_ids(tmp_path):
    beir(tmp_path)
    table = pq.read_table(tmp_path / "candidates" / "candidates").to_pylist()
    assert {row["doc_id"] for row in table if row["is_positive"]} == {"1", "2"}
    assert {row["doc_id"] for row in table if not row["is_positive"]} == {"3", "4"}


@trap("A judgement of 0 counts as a positive", "every peer that reads qrels as pairs")
def test_grades_below_the_least_are_no_positives(tmp_path):
    beir(tmp_path, min_grade=2)
    table = pq.read_table(tmp_path / "candidates" / "candidates").to_pylist()
    assert {row["doc_id"] for row in table if row["is_positive"]} == {"1"}


@trap("A query without a positive, or missing from the run, is a KeyError", TV)
def test_a_query_without_a_positive_is_counted(tmp_path):
    assert beir(tmp_path).counts["queries_without_positive"] == 1


@trap("A minimum rank is never applied", RA)
def test_range_min_is_applied(tmp_path):
    table = mined(tmp_path, APPLES, [("apple", APPLES["a1"])], range_min=3)
    assert {row["rank"] for row in table if row["selected"]} == {3, 4}


@trap("Unexamined ranks lie between examined ones", JS)
def test_ranks_have_no_gaps(tmp_path):
    table = mined(tmp_path, APPLES, [("apple", APPLES["a1"]), ("pie", APPLES["a2"])])
    for query in {row["query_id"] for row in table}:
        ranks = [row["rank"] for row in table if row["query_id"] == query]
        assert [rank for rank in ranks if rank is not None] == list(range(len(ranks) - 1))


@trap("n-tuples drop queries silently", ST)
def test_queries_that_n_tuples_leave_out_are_listed(tmp_path):
    pairs = [("apple", APPLES["a1"]), ("pie", APPLES["a1"])]
    mined(tmp_path, APPLES, pairs, format="n-tuple", num_negatives=3)
    train = pq.read_table(tmp_path / "mined" / "train").to_pylist()
    short = pq.read_table(tmp_path / "mined" / "shortfall.parquet").to_pylist()
    assert {row["query"] for row in train} == {"apple"}
    assert len(short) == 1


@trap("The same query in two systems: positives are removed from one list only", GP)
def test_positives_are_positives_for_every_source(tmp_path):
    table = mined(tmp_path, APPLES, [("apple", APPLES["a1"])])
    assert [row["doc_id"] for row in table].count("a1") == 1


def table_of_traps() -> str:
    """The text of docs/traps.md."""
    lines = [f"| {fault} | {peers} | `{test}` |" for fault, peers, test in TRAPS + ELSEWHERE]
    return "\n".join(
        [
            "# Traps",
            "",
            "Faults of other miners, found in their sources and issues. Each has a test here that",
            "fails on a miner with that fault. `python tests/test_traps.py` prints this page.",
            "",
            "| fault | found in | our test |",
            "|---|---|---|",
            *lines,
            "",
        ]
    )


def test_the_table_of_traps_is_in_step():
    assert DOCS.read_text(encoding="utf-8") == table_of_traps()


def test_every_test_in_the_table_exists():
    for _, _, test in TRAPS + ELSEWHERE:
        file, _, name = test.partition("::")
        functions = {
            node.name
            for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef)
        }
        assert name in functions, test


if __name__ == "__main__":
    sys.stdout.write(table_of_traps())
