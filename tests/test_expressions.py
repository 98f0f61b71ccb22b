from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine.errors import UsageError
from hnmine.expressions import evaluate, parse

PROPERTY = settings(max_examples=60, deadline=None)
NAN, INF = float("nan"), float("inf")
numbers = st.floats(-100, 100, width=32) | st.sampled_from([NAN, INF, -INF, 0.0, -0.0, 1.0])
rows = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans(), numbers), max_size=25)


def table_of(given_rows):
    given_rows = sorted(given_rows, key=lambda row: row[0])
    query, positive, candidate, x = zip(*given_rows, strict=True) if given_rows else ((),) * 4
    table = pa.table(
        {
            "query_row": pa.array(query, pa.int64()),
            "is_positive": pa.array(positive, pa.bool_()),
            "x": pa.array(x, pa.float32()),
        }
    )
    return table, np.array(candidate, dtype=bool)


def value(text, table, among=None):
    return evaluate(table, {"value": text}, among)["value"].to_pylist()


def groups(table, among):
    """Each row with the rows of its query: (x, all of (number, x, positive, among))."""
    query, x = table["query_row"].to_pylist(), table["x"].to_pylist()
    positive = table["is_positive"].to_pylist()
    for row, owner in enumerate(query):
        yield (
            row,
            [(n, x[n], positive[n], bool(among[n])) for n in range(len(x)) if query[n] == owner],
        )


def close(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None), (found, expected)
        if other is not None:
            assert np.isclose(one, other, rtol=1e-9, atol=1e-9, equal_nan=True), (found, expected)


class TestOverTheQuery:
    @PROPERTY
    @given(rows)
    def test_anchors_are_those_of_all_the_querys_positives_or_unknown(self, given_rows):
        table, among = table_of(given_rows)
        for name, take in (("pos", min), ("posmax", max), ("posmean", lambda s: sum(s) / len(s))):
            expected = []
            for _, group in groups(table, among):
                scores = [x for _, x, positive, _ in group if positive]
                known = scores and all(np.isfinite(scores))
                expected.append(take(scores) if known else None)
            close(value(f"{name}(x)", table), expected)

    @PROPERTY
    @given(rows)
    def test_rank_counts_the_candidates_that_are_better_with_ties_by_row(self, given_rows):
        table, among = table_of(given_rows)
        expected = []
        for row, group in groups(table, among):
            own = group[[n for n, *_ in group].index(row)][1]
            better = [
                n
                for n, x, _, candidate in group
                if candidate and np.isfinite(x) and (x > own or (x == own and n < row))
            ]
            expected.append(len(better) if np.isfinite(own) else None)
        assert value("rank(x)", table, among) == expected

    @PROPERTY
    @given(rows)
    def test_a_bare_aggregate_is_over_the_querys_candidates(self, given_rows):
        finite = [row for row in given_rows if np.isfinite(row[3])]
        table, among = table_of(finite)
        for name, take in (("avg", np.mean), ("max", max), ("stddev_pop", np.std), ("count", len)):
            expected = []
            for _, group in groups(table, among):
                scores = [x for _, x, _, candidate in group if candidate]
                expected.append(take(scores) if scores or name == "count" else None)
            close(value(f"{name}(x)", table, among), expected)

    @PROPERTY
    @given(rows)
    def test_softmax_sums_to_one(self, given_rows):
        table, among = table_of([row for row in given_rows if np.isfinite(row[3])])
        found = value("softmax(x)", table, among)
        for row, group in groups(table, among):
            if any(candidate for *_, candidate in group):
                assert np.isclose(sum(found[n] for n, *_, candidate in group if candidate), 1), row

    @PROPERTY
    @given(rows, st.integers(1, 6))
    def test_bins_are_of_equal_width_and_one_where_all_are_equal(self, given_rows, count):
        table, among = table_of([row for row in given_rows if np.isfinite(row[3])])
        among[:] = True
        found = value(f"bins(x, {count})", table, among)
        for row, group in groups(table, among):
            scores = [x for _, x, *_ in group]
            low, width = min(scores), max(scores) - min(scores)
            own = table["x"][row].as_py()
            expected = min(int((own - low) / width * count), count - 1) if width else 0
            assert found[row] == pytest.approx(expected, abs=1)
            assert 0 <= found[row] < count

    def test_one_function_of_the_query_may_hold_another(self):
        table, _ = table_of([(0, True, False, 3.0), (0, False, True, 1.0), (0, False, True, 5.0)])
        assert value("rank(x - pos(x))", table) == [1, 2, 0]
        assert value("zscore(x) > 0 and x < posmax(x) + 3", table) == [False, False, True]

    @PROPERTY
    @given(rows)
    def test_a_query_alone_gets_the_same_bits(self, given_rows):
        table, among = table_of(given_rows)
        text = {"a": "avg(x)", "b": "softmax(x / 7)", "c": "zscore(x) * posmean(x)"}
        whole = evaluate(table, text, among)
        for owner in set(table["query_row"].to_pylist()):
            alone = np.array(table["query_row"]) == owner
            part = evaluate(table.filter(pa.array(alone)), text, among[alone])
            assert part.equals(whole.filter(pa.array(alone)).combine_chunks()) or str(
                part.to_pydict()
            ) == str(whole.filter(pa.array(alone)).to_pydict())


class TestValues:
    def test_nan_is_as_unknown_as_null(self):
        table, _ = table_of([(0, False, True, NAN), (0, False, True, 1.0)])
        for text in ("x < 2", "x > 0", "x = x", "not (x > 2)"):
            assert value(text, table)[0] is None
        assert value("x < 2", table)[1] is True

    def test_arithmetic_is_float64(self):
        table, _ = table_of([(0, False, True, 0.1)])
        assert value("x * 3e0", table) == [float(np.float32(0.1)) * 3]
        assert value("0.1e0 + 0.2e0", table) == [0.1 + 0.2]

    def test_rows_keep_their_order(self):
        table, _ = table_of([(n % 3, False, True, float(n)) for n in range(30)])
        assert value("x", table) == table["x"].to_pylist()

    def test_structs_are_read_by_their_fields(self):
        table = pa.table({"doc": [{"date": "2020"}], "query": [{"date": "2021"}]})
        assert value("doc.date < query.date", table) == [True]

    def test_what_varies_for_other_types_alone_may_be_used(self):
        # DuckDB 2.0 says of `-`, `year` and others that they vary, for points in time with a zone.
        table = pa.table({"d": [date(2021, 3, 1)], "e": [date(2020, 3, 1)]})
        assert value("year(d) - year(e)", table) == [1]
        assert value("nullif(d - e, 365)", table) == [None]

    def test_sums_are_numbers(self):
        table, _ = table_of([(0, False, True, 1.0)])
        assert value("sum(query_row)", table) == [0.0]


@pytest.mark.parametrize(
    ("text", "says", "under"),
    [
        ("x < < 2", "syntax error", "< 2"),
        ("é.y = y", "no column 'é'", "é"),
        ("x < 1 and yy > 2", "no column 'yy'", "yy"),
        ("x < pos(X_)", "Did you mean x", "X_"),
        ("x < (select 1)", "subquery", "(select"),
        ("x < random()", "another value each time", "random"),
        ("now() > x", "another value each time", "now"),
        ("x < 1; drop table t", "SELECT", None),
        ("x, x", "more than one", None),
        ("x from t", "more than one", None),
        ("", "", None),
        ("*", "star", "*"),
        ("nosuch(x)", "nosuch", None),
        ("x < 'abc'", "abc", None),
        ("pos(x, 1)", "takes 1", None),
        ("bins(x)", "takes 2", None),
    ],
)
def test_a_wrong_expression_is_refused_with_its_place(text, says, under):
    table, _ = table_of([(0, False, True, 1.0)])
    with pytest.raises(UsageError) as raised:
        evaluate(table, {"good": "x < 1", "bad": text})
    assert says in raised.value.what
    lines = raised.value.why.splitlines()
    if under is not None:
        assert text[len(lines[1]) - 3 :].startswith(under)


def test_functions_of_the_query_need_its_column():
    with pytest.raises(UsageError, match="query_row"):
        evaluate(pa.table({"x": [1.0]}), {"value": "avg(x)"})


def test_files_cannot_be_read(tmp_path):
    path = tmp_path / "secret.txt"
    path.write_text("secret")
    table, _ = table_of([(0, False, True, 1.0)])
    with pytest.raises(UsageError):
        evaluate(table, {"value": f"read_text('{path}')"})


def test_parsing_needs_no_columns():
    parse("rank(a) < 3 and b between 1 and 2")
