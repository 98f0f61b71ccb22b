from __future__ import annotations

import os
import signal
import subprocess
import threading
from datetime import date

import duckdb
import forked
import numpy as np
import pyarrow as pa
import pytest
from conftest import mined_by_words, write
from held import HANG, command_line, let_work
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine.errors import UsageError
from hnmine.expressions import duck
from hnmine.expressions.evaluation import (
    compares_candidates,
    evaluate,
    join,
    logarithm,
    references,
)
from hnmine.expressions.syntax import bracketed, parse

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


@pytest.mark.parametrize(
    "more",
    [
        *("having count(*) > 100", "limit 1", "limit 10 percent", "offset 1", "order by x"),
        *("group by x", "group by all", "qualify x > 1", "window w as (partition by x)"),
        *("as y", "y", '"y"', ";", "; ;", "; select 1", "from t", "-- comment\n limit 1"),
        *("using sample 3", "tablesample 3", "into t", "where x > 2", "union select 1", ", x", ","),
        *("union all select 1", "intersect select 1", "except select 1", "fetch first 1 rows only"),
        *(") window w as (partition by (x)", "), (x", "for update", "order by all"),
    ],
)
def test_nothing_may_follow_an_expression(more):
    table, _ = table_of([(0, False, True, 1.0)])
    with pytest.raises(UsageError, match="cannot be used"):
        evaluate(table, {"value": f"x < 2 {more}"})
    with pytest.raises(UsageError, match="cannot be used"):
        bracketed(f"x < 2 {more}")


@pytest.mark.parametrize("text", ["x < 2 -- comment", "x /* limit 1 */ < 2", "x -- comment\n < 2"])
def test_a_comment_is_no_part_of_an_expression(text):
    table, _ = table_of([(0, False, True, 1.0), (0, False, True, 3.0)])
    for one in (text, f"{bracketed(text)} and true", f"rank(x) >= 0 and {bracketed(text)}"):
        assert evaluate(table, {"value": one})["value"].to_pylist() == [True, False]


@pytest.mark.parametrize(
    "text",
    [
        *("distinct x", "distinct on (x) x", "all x", "y: x", "with a as (select 1) select 1"),
        *("*", "candidates.*", "columns('x')", "*columns(*)", "coalesce(*)", "struct_pack(*)"),
        *(
            "[(select 1)]",
            "x = any(select 1)",
            "x in (values (1))",
            "exists (select 1)",
            "(table t)",
        ),
        *("$1", "?", "$name", "#1", "default", "unnest([x])", "generate_subscripts([x], 1)"),
        *("random()", "RANDOM()", "x.random()", "main.random()", "uuid()", "nextval('s')"),
        *("current_date", "current_timestamp", "list_transform([x], lambda y: current_timestamp)"),
        *("ago(interval 3 day)", "now()", "current_setting('memory_limit')", "getvariable('a')"),
        *("getenv('HOME')", "current_user", "user()", "current_database()", "current_query()"),
        *("read_text('a')", "read_csv('a')", "read_blob('a')", "glob('*')", "read_parquet('a')"),
        *("query('select 1')", "pg_sleep(1)", "sleep_ms(1)", "write_log('a')", "error('a')"),
        *("pg_get_viewdef(1)", "get_block_size('a')", "duckdb_secrets()", "json_each('[1]')"),
        *("__internal_compress_string_hugeint('a')", "_row", "list_transform([x], lambda y: z)"),
        *("1+" * 900 + "1", "(" * 5000 + "1" + ")" * 5000, "not " * 900 + "true", "\udcff", "x\0y"),
    ],
)
def test_only_functions_of_the_columns_are_expressions(text):
    table, _ = table_of([(0, False, True, 1.0)])
    with pytest.raises(UsageError, match="cannot be used"):
        evaluate(table, {"value": text})


@pytest.mark.parametrize("read", [parse, bracketed, references, compares_candidates, logarithm])
@pytest.mark.parametrize("text", ["1+" * 900 + "1", "not " * 900 + "true"])
def test_what_is_nested_too_deeply_is_refused_by_all_that_read_it(read, text):
    with pytest.raises(UsageError, match="cannot be used"):
        read(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"x" > 2', [False, True]),
        ('"query ""row""" > 2', [False, True]),
        ('"X" > 2 and "query_row" = 0', [False, True]),
        ("'--' = '/*' or x > 2 or ';' = ''", [False, True]),
        ("x\n > 2", [False, True]),
        ("x - -1", [2.0, 4.0]),
        ("len(list_filter([x, 9], lambda y: y > x))", [1, 1]),
        ("max(x) over (partition by query_row)", [3.0, 3.0]),
        ("count(*) filter (where x > 2)", [1, 1]),
        ("case when x between 1 and 2 then 'a' else 'b' end", ["a", "b"]),
        ("try_cast('3' as int) + x", [4.0, 6.0]),
        ("count( * ) * (2) * -(1)", [-4, -4]),
        ("split_part('a b', ' ', 2) || nullif('c', 'd')", ["bc", "bc"]),
    ],
)
def test_what_is_an_expression_is_evaluated(text, expected):
    table, _ = table_of([(0, False, True, 1.0), (0, True, True, 3.0)])
    table = table.append_column('query "row"', table["x"])
    name = 'a "name" as long as it is -- and as odd'
    assert evaluate(table, {name: text})[name].to_pylist() == expected


DOUBLED = "length(list_reduce(list_transform(range(40), lambda i: 'a'), lambda a, b: a || a)) > 1"


@pytest.mark.parametrize(
    "text",
    [
        "length(repeat('a', 2000000000)) > x",
        "repeat('a', (x * 2000000000)::bigint)",
        pytest.param("length(repeat('a', (x * 1000000)::bigint)) > 1", marks=pytest.mark.slow),
        "list_sum(range(1000000000)) > x",
        "length(format('{:>2000000000}', x)) > 1",
        pytest.param(DOUBLED, marks=pytest.mark.slow),
    ],
)
def test_an_expression_takes_no_more_memory_than_its_limit(text):
    """In a process of its own, which would take the machine's."""
    program = f"""
import resource, numpy as np, pyarrow as pa
from hnmine.errors import UsageError
from hnmine.expressions import duck
from hnmine.expressions.evaluation import evaluate

duck.LEAST_SECONDS = 1e6  # Only the limit of memory, however slow the machine.
table = pa.table({{"x": np.ones(5000)}})
evaluate(table, {{"value": "x + 1"}})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    evaluate(table, {{"good": "x", "value": {text!r}}})
except UsageError as error:
    print(error.what)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
print(evaluate(table, {{"value": "x + 1"}})["value"][0])
print(*resource.getrlimit(resource.RLIMIT_DATA))
"""
    limits = subprocess.run(["bash", "-c", "ulimit -d"], capture_output=True, text=True).stdout
    found = forked.run(program)
    said, taken, works, after = found.stdout.splitlines()
    assert said == f"This expression takes more than 2.0 GB of memory: {text}"
    assert int(taken) < 1.1 * duck.LEAST_MEMORY
    assert works == "2.0"
    assert limits.strip() != "unlimited" or after == "-1 -1"  # The limit was the expression's.


ENDLESS = "list_reduce(range(30000000), lambda a, b: (a * 7 + b) % 13) > x"


def test_an_expression_takes_no_more_time_than_its_limit(monkeypatch):
    table = pa.table({"x": np.ones(5000)})
    monkeypatch.setattr(duck, "LEAST_SECONDS", 1.0)
    with pytest.raises(UsageError) as raised:
        evaluate(table, {"value": ENDLESS})
    assert raised.value.what == f"This expression takes more than 6 seconds: {ENDLESS}"
    monkeypatch.undo()
    assert evaluate(table, {"value": "x + 1"})["value"][0].as_py() == 2


def test_a_join_has_limits_too():
    left = pa.table({"left": [0], "query": [{"a": 1}]})
    right = pa.table({"right": [0], "doc": [{"a": 1}]})
    with pytest.raises(UsageError, match=r"more than 2\.0 GB of memory: query.a < length"):
        join(left, right, "query.a < length(repeat(doc.a::varchar, 4000000000))")


TOLD = """
from hnmine.expressions import duck, evaluation
duck.LEAST_SECONDS = 1e6
_select = evaluation.select
def _told(sql, *given):
    if "list_reduce" in sql:
        print("It evaluates.", flush=True)
    return _select(sql, *given)
evaluation.select = _told
"""
"""Says that it evaluates what only an interrupt ends."""


@pytest.mark.slow
def test_ctrl_c_within_an_expression_is_no_error_of_it(tmp_path):
    write(tmp_path / "corpus.parquet", id=["a", "b", "c"], text=["red fox", "red cat", "red dog"])
    write(tmp_path / "pairs.parquet", query=["red fox"], positive=["red fox"])
    candidates = mined_by_words(tmp_path, tmp_path)
    command = command_line(
        *(TOLD, "filter", "--candidates", candidates, "--output", tmp_path / "mined"),
        *("--where", ENDLESS.replace("x", "bm25_score")),
    )
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "It evaluates.\n"
    let_work(process, 0.5)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=HANG)
    assert process.returncode == 130, said
    assert said.startswith("error: Interrupted. Finished work is kept.")


def test_the_database_reaches_nothing_outside(tmp_path):
    for statement in (
        "set enable_external_access = true",
        "set autoload_known_extensions = true",
        "load httpfs",
        "install httpfs",
        f"copy (select 1) to '{tmp_path}/a.csv'",
        f"attach '{tmp_path}/a.db'",
        f"select * from read_text('{tmp_path}/*')",
        "select * from table",
    ):
        with pytest.raises(duckdb.Error):
            duck.ask(statement)
    assert not list(tmp_path.iterdir())


def test_an_interrupt_at_its_start_leaves_no_statement_behind(monkeypatch):
    """A thread that waited for ever kept the process from ending after Ctrl-C."""
    started: list[threading.Thread] = []

    def start_interrupted(thread: threading.Thread) -> None:
        started.append(thread)
        start(thread)
        raise KeyboardInterrupt

    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", start_interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(pa.table({"a": [1]}), {"b": "a + 1"}, np.array([True]))
    monkeypatch.undo()
    started[0].join(HANG)
    assert not started[0].is_alive()
