"""Text tables as people have them: quotes, headers, delimiters, encodings; no row may vanish."""

from __future__ import annotations

import csv
import io
import json
import logging

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hnmine.config import BuildIndexSettings, InitSettings
from hnmine.config.reading_options import InputSettings
from hnmine.errors import InputError, UsageError
from hnmine.inputs.columns import CONVENTIONS
from hnmine.inputs.formats.delimited import SAMPLE_BYTES
from hnmine.inputs.formats.text import pieces
from hnmine.inputs.opening import guess_kind
from hnmine.inputs.records import pair_records, qrel_records, text_records
from hnmine.inputs.table_reader import BadRows, Table
from hnmine.sources.run_file import RunFile
from hnmine.validate.initialising import init

PASSAGES = [
    "The teapot is cleaned with warm vinegar once a month.",
    "The lantern needs a drop of oil on the hinge every spring.",
    "The bicycle was first sold in the harbour market in 1871.",
]


def rows_of(path, kind="corpus", columns=None, **reading):
    """Read a table: the values of the columns with a role, row by row."""
    table = Table.open(kind, str(path), columns, reading=InputSettings(**reading))
    found = [
        [table.text(batch, role).to_pylist() for role in table.columns]
        for _, batch in table.batches()
    ]
    return [row for columns in found for row in zip(*columns, strict=True)]


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def refused(work, *said):
    with pytest.raises(InputError) as caught:
        work()
    for part in said:
        assert part in str(caught.value)


# ---- Quoting

HOSTILE = st.text(st.sampled_from('"\t\n\r ,;\ufeffab\u2028\x0b'), min_size=1, max_size=8)
TITLES = st.lists(st.tuples(HOSTILE, HOSTILE), min_size=1, max_size=6)
PROPERTY = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@PROPERTY
@given(
    TITLES,
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["tsv", "csv"]),
    st.booleans(),
)
def test_what_is_written_with_quotes_is_read_or_refused(tmp_path, texts, how, end, suffix, mark):
    if "\r" not in end and how == csv.QUOTE_MINIMAL:  # Python does not quote it then.
        texts = [tuple(value.replace("\r", "r") for value in row) for row in texts]
    stream = io.StringIO(newline="")
    delimiter = "\t" if suffix == "tsv" else ","
    writer = csv.writer(stream, delimiter=delimiter, quoting=how, lineterminator=end)
    writer.writerow(["id", "title", "text"])
    rows = [(f"d{n}", *row) for n, row in enumerate(texts)]
    writer.writerows(rows)
    path = write(tmp_path / f"c.{suffix}", "\ufeff" * mark + stream.getvalue())
    expected = [(one, text, title) for one, title, text in rows]
    assert rows_of(path, quoting="csv") == expected
    try:
        found = rows_of(path)
    except InputError as error:
        assert "--quoting csv" in str(error)
    else:
        assert found == expected


@PROPERTY
@given(
    st.lists(
        st.text(st.sampled_from('" ,ab\ufeff'), min_size=1, max_size=8), min_size=1, max_size=9
    )
)
def test_what_is_written_without_quotes_is_read_or_refused(tmp_path, texts):
    path = write(
        tmp_path / "c.tsv", "id\ttext\n" + "".join(f"d{n}\t{t}\n" for n, t in enumerate(texts))
    )
    rows = [(f"d{n}", text) for n, text in enumerate(texts)]
    assert rows_of(path, quoting="none") == rows
    table = None
    try:
        table = Table.open("corpus", str(path))
        found = rows_of(path)
    except InputError as error:
        assert "--quoting none" in str(error)
    else:
        assert [row[0] for row in found] == [row[0] for row in rows]
        assert found == rows or "--quoting none" in table.files[0].reader.said[0]


@pytest.mark.parametrize(
    ("lines", "texts"),
    [
        # A quoted value that is malformed proves that there is no quoting.
        (['d0\t"Keep it dry" is what he says.', "d1\tb"], ['"Keep it dry" is what he says.', "b"]),
        (['d0\t"Keep it dry, said the keeper.', "d1\tb"], ['"Keep it dry, said the keeper.', "b"]),
        # A line with too few or too many values proves quoting.
        (['d0\t"two', 'lines"', "d1\tb"], ["two\nlines", "b"]),
        (['d0\t"a\ttab"', "d1\tb"], ["a\ttab", "b"]),
        # Values that need their quotes, and no others.
        (['d0\t"says ""so"""', "d1\tb"], ['says "so"', "b"]),
        # Values that do not need their quotes, or quotes elsewhere.
        (['d0\t"Keep it dry."', "d1\tb"], ['"Keep it dry."', "b"]),
        (['d0\t"says ""so"""', 'd1\t6" long'], ['"says ""so"""', '6" long']),
        # All that there is in quotes, as in its header.
        (['"d0"\t"two', 'lines\tand a tab"', '"d1"\t"b"'], ["two\nlines\tand a tab", "b"]),
    ],
)
def test_a_choice_that_the_lines_prove(tmp_path, lines, texts):
    header = '"id"\t"text"' if lines[0].startswith('"') else "id\ttext"
    path = write(tmp_path / "c.tsv", "\n".join([header, *lines]) + "\n")
    assert rows_of(path) == [("d0", texts[0]), ("d1", texts[1])]


@pytest.mark.parametrize("quoting", ["auto", "csv", "none"])
def test_rows_between_two_stray_quotes_do_not_vanish(tmp_path, quoting):
    rows = [(f"d{n}", text) for n, text in enumerate(['"Keep', "a", "b", 'lid."', "c"])]
    path = write(tmp_path / "c.tsv", "id\ttext\n" + "".join(f"{a}\t{b}\n" for a, b in rows))
    if quoting == "auto":
        refused(lambda: rows_of(path), "Lines 2 to 5 are 4 rows", "--quoting none")
    elif quoting == "none":
        assert rows_of(path, quoting="none") == rows
    else:
        assert len(rows_of(path, quoting="csv")) == 2


def test_a_broken_line_does_not_let_quotes_swallow_the_rows_around_it(tmp_path):
    lines = ['d0\t"Keep', "d1\ta", "d2\tb\ttoo much", 'd3\tlid."', "d4\tc"]
    path = write(tmp_path / "c.tsv", "\n".join(["id\ttext", *lines]))
    refused(lambda: rows_of(path), "Lines 2 to 5", "--quoting")
    refused(lambda: rows_of(path, quoting="none"), "Line 4: It has 3 columns")


def test_what_is_ambiguous_but_loses_no_row_is_said(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        rows_of(write(tmp_path / "whole.tsv", 'id\ttext\nd0\t"Keep it dry."\n'))
        rows_of(write(tmp_path / "plain.tsv", "id\ttext\nd0\tKeep it dry.\n"))
    assert len(caplog.messages) == 1
    assert "whole.tsv" in caplog.text
    assert "line 2" in caplog.text
    assert "--quoting csv" in caplog.text


def test_a_long_file_is_read_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("hnmine.inputs.formats.text.checked_blocks.__defaults__", (64,))
    rows = [(str(n), f'text {n} "{"x" * (n % 90)}') for n in range(3000)]
    path = write(tmp_path / "c.tsv", "id\ttext\r\n" + "".join(f"{a}\t{b}\r\n" for a, b in rows))
    assert rows_of(path) == rows
    path.write_bytes(path.read_bytes() + b"one\n")
    refused(lambda: rows_of(path), "Line 3002: It has 1 columns")


def test_a_quote_left_open_in_csv_is_named_by_its_line(tmp_path):
    path = write(tmp_path / "c.csv", 'id,text\n1,"a\nb"\n2,"left open\n3,c\n4,d\n')
    refused(lambda: rows_of(path), "Line 4: a quote is opened and never closed")
    path = write(tmp_path / "d.csv", 'id,text\n1,"left open\n3,c\n4,"d"\n')
    refused(lambda: rows_of(path), "Line 4", "begins on line 2", "--quoting none")


# ---- Headers

MSMARCO = {
    "collection.tsv": ("corpus", [(str(n), text) for n, text in enumerate(PASSAGES)]),
    "queries.dev.tsv": ("queries", [("1000", "how is a teapot cleaned"), ("7", "oil of lanterns")]),
    "qrels.dev.tsv": ("qrels", [("1000", "0", "0", "1"), ("1001", "0", "2", "1")]),
    "qrels.trec.txt": ("qrels", [("1000", "Q0", "0", "3"), ("1001", "Q0", "2", "0")]),
    "qrels": ("qrels", [("1000", "0", "d1", "1"), ("1001", "0", "d2", "2")]),
    "three.qrels": ("qrels", [("q0", "d0", "1"), ("q1", "d2", "2")]),
    "two.tsv": ("qrels", [("q0", "d0"), ("q1", "d2")]),
}
PLACES = {"qrels": {2: (0, 1), 3: (0, 1, 2), 4: (0, 2, 3)}}


@pytest.mark.parametrize("name", MSMARCO)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_files_without_a_header_are_recognised(tmp_path, caplog, name, end):
    kind, rows = MSMARCO[name]
    blank = "\t" if name.endswith(".tsv") else " "
    path = write(tmp_path / name, "".join(blank.join(row) + end for row in rows))
    with caplog.at_level(logging.WARNING):
        found = rows_of(path, kind)
    places = PLACES.get(kind, {}).get(len(rows[0]), range(len(rows[0])))
    assert found == [tuple(row[place] for place in places) for row in rows]
    is_trec = (kind, len(rows[0])) in (("qrels", 4), ("run", 6))
    assert (f"{name} has no header: its columns are taken as" in caplog.text) != is_trec


@pytest.mark.parametrize(
    ("kind", "lines", "columns"),
    [
        ("corpus", ["7\ttext", "8\tThe lantern has no lid."], ["7", "text"]),
        ("corpus", ["d0\ttext", "d1\tThe lantern has no lid."], ["d0", "text"]),
        ("corpus", ["0\tTeapot", "1\tLantern", "2\tBicycle"], ["0", "Teapot"]),
        ("corpus", ["D1\thttps://a.org/x\tTea\tIt is hot."], ["D1", "It is hot.", "Tea"]),
        ("corpus", [f"0\tTea\t{PASSAGES[0]}", "1\tLamp\tIt is bright."], ["0", PASSAGES[0], "Tea"]),
        ("corpus", [f"0\t{PASSAGES[0]}\tTea", "1\tIt is bright.\tLamp"], ["0", PASSAGES[0], "Tea"]),
        ("corpus", ["1\t茶壶每月用温醋清洗。", "2\t灯笼没有盖子。"], ["1", "茶壶每月用温醋清洗。"]),
        ("queries", ["1000\tquestion", "1001\tanswer"], ["1000", "question"]),
        ("pairs", ["how is tea\tIt is hot.", "why\tBecause of it."], ["how is tea", "It is hot."]),
        ("pairs", ["how is tea made\tIt is hot.\tNo."] * 2, ["how is tea made", "It is hot."]),
        ("qrels", ["1\t1\t1", "2\t5\t1"], ["1", "1", "1"]),
        ("qrels", ["10\t11\t905", *(f"1{n}\t{n}\t{n + 1}" for n in range(20))], ["10", "11"]),
        ("qrels", ["q1\td1\td9", "q2\td2\td8"], ["q1", "d1"]),
    ],
)  # fmt: skip
def test_the_first_line_of_data_is_never_a_header(tmp_path, kind, lines, columns):
    path = write(tmp_path / "c.tsv", "\n".join(lines))
    found = rows_of(path, kind)
    assert len(found) == len(lines)
    assert list(found[0]) == columns


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("corpus", ["id\ttext", "7\tThe lantern has no lid."]),
        ("corpus", ["text\tid", "The lantern has no lid.\t7"]),
        ("corpus", ["text", "The lantern has no lid."]),
        ("corpus", ["id\ttext\t2024", "7\tThe lantern has no lid.\t5"]),
        ("queries", ["id\ttext", "a\tlid"]),
        ("pairs", ["query\tpositive", "tea\thot"]),
        ("qrels", ["query-id\tcorpus-id\tscore", "1\t2\t1"]),
        ("qrels", ["query-id corpus-id score", "1 2 1"]),
    ],
)
def test_a_header_is_never_data(tmp_path, caplog, kind, lines):
    path = write(tmp_path / "c.tsv", "\n".join(lines))
    assert len(rows_of(path, kind)) == 1
    assert not caplog.messages


@pytest.mark.parametrize(
    ("kind", "lines", "said"),
    [
        ("corpus", ["docno\tbody", "7\tThe lantern has no lid."], "Its columns are: docno, body"),
        ("corpus", ["docno\tbody", "a\tThe lantern has no lid."], "Its columns are: docno, body"),
        ("corpus", ["alpha\tbeta", "gamma\tdelta"], "whether the first line"),
        ("corpus", ["1\tA cup of tea.\tA lamp."] * 2, "--column corpus.text=1"),
        ("corpus", ["1\t0\t5\t1", "2\t0\t6\t1"], "no header"),
        ("corpus", ["0\t1", "1\tThe lantern has no lid."], ""),
        ("queries", ["The lantern has no lid.\t7", "It has.\t8"], "--column queries.id=1"),
        ("pairs", ["7\tThe lantern has no lid.", "8\tIt has."], "--column pairs.query=1"),
        ("pairs", ["a b c\td e f\t0.5", "g h i\tj k l\t0.1"], "no header"),
        ("qrels", [f"1\t2\t0.{n}1" for n in range(10)], "--column qrels.query_id=1"),
        ("qrels", ["q1\tQ0\td1\tno", "q1\tQ0\td2\tyes"], "no header"),
        ("run", ["q1\td1\t0.1", "q1\td2\t0.2"], "no header"),
        ("run", ["q1\td1\tThe lantern has no lid."], "no header"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_refused(tmp_path, kind, lines, said):
    path = write(tmp_path / "c.tsv", "\n".join(lines))
    if not said:
        assert len(rows_of(path, kind)) == 2
        return
    refused(lambda: rows_of(path, kind), "c.tsv", said)


def test_columns_of_a_file_without_a_header_are_named_by_number(tmp_path):
    path = write(tmp_path / "c.tsv", "".join(f"a\t{t}\t{n}\n" for n, t in enumerate(PASSAGES)))
    found = rows_of(path, columns={"id": "3", "text": "2"})
    assert found == [(str(n), text) for n, text in enumerate(PASSAGES)]
    unclear = write(tmp_path / "d.tsv", "alpha\tbeta\ngamma\tdelta\n")
    assert rows_of(unclear, columns={"id": "1", "text": "2"})[0] == ("alpha", "beta")
    assert rows_of(unclear, columns={"id": "alpha", "text": "beta"}) == [("gamma", "delta")]
    refused(lambda: rows_of(path, columns={"text": "body"}), "no header", "--column corpus.text=1")


def test_parts_with_and_without_a_header_are_one_table(tmp_path):
    write(tmp_path / "part-0.tsv", f"id\ttext\n0\t{PASSAGES[0]}\n")
    write(tmp_path / "part-1.tsv", f"1\t{PASSAGES[1]}\n2\t{PASSAGES[2]}\n")
    assert rows_of(tmp_path) == [(str(n), text) for n, text in enumerate(PASSAGES)]


def test_triples_of_ids_are_no_grades(tmp_path):
    path = write(tmp_path / "qidpidtriples.train.tsv", "1000\t0\t4\n1001\t4\t8\n1001\t4\t0\n")
    batches = list(qrel_records(Table.open("qrels", str(path)), 1.0, BadRows("error")))
    assert [batch.positive_ids for batch in batches] == [["0", "4", "4"]]


@pytest.mark.parametrize("name", [name for name in MSMARCO if "." in name])
def test_what_a_file_without_a_header_holds_is_recognised(tmp_path, caplog, name):
    kind, rows = MSMARCO[name]
    blank = "\t" if name.endswith(".tsv") else " "
    path = write(tmp_path / name, "".join(blank.join(row) + "\n" for row in rows))
    assert guess_kind(str(path), {kind: {} for kind in CONVENTIONS}) == kind
    assert not caplog.messages


def test_columns_that_tell_nothing_are_no_corpus_by_default(tmp_path):
    path = str(write(tmp_path / "t.csv", "frage,antwort\nwarum,darum ist es so\n"))
    nothing = {kind: {} for kind in CONVENTIONS}
    with pytest.raises(InputError, match="do not tell what it is") as error:
        guess_kind(path, nothing)
    assert "frage, antwort" in error.value.why
    assert "For a corpus, pass --column corpus.text=antwort." in error.value.fix
    assert "For pairs, pass --column pairs.query=NAME" in error.value.fix
    with pytest.raises(InputError, match="for the positive of pairs"):
        guess_kind(path, {**nothing, "pairs": {"query": "frage"}})
    with pytest.raises(InputError, match="No data found"):
        guess_kind(str(tmp_path / "nothing.csv"), nothing)


# ---- Delimiters, blanks and endings


def test_blanks_around_the_names_of_columns_do_not_count(tmp_path):
    path = write(tmp_path / "p.csv", "\ufeffquery_id ,query, positive\n1,tea,hot\n")
    (batch,) = pair_records(Table.open("pairs", str(path)), BadRows("error"))
    assert (batch.query_ids, batch.queries, batch.positives) == (["1"], ["tea"], ["hot"])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_of_csv_is_found(tmp_path, delimiter):
    stream = io.StringIO()
    rows = [(str(n), f"one, two; three | four {text}") for n, text in enumerate(PASSAGES)]
    csv.writer(stream, delimiter=delimiter).writerows([("id", "text"), *rows])
    assert rows_of(write(tmp_path / "c.csv", stream.getvalue())) == rows


def test_text_files_in_a_directory_are_read_only_if_they_are_named(tmp_path):
    write(tmp_path / "README.txt", "Read me.\n")
    write(tmp_path / "c.tsv", f"id\ttext\n0\t{PASSAGES[0]}\n")
    assert len(rows_of(tmp_path)) == 1
    write(tmp_path / "c.txt", f"0\t{PASSAGES[0]}\n")
    assert rows_of(tmp_path / "c.txt") == [("0", PASSAGES[0])]


# ---- Encodings


@pytest.mark.parametrize("name", ["c.tsv", "c.csv", "c.jsonl"])
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-16-le", "utf-16-be"])
def test_another_encoding_is_read_or_named_with_line_and_flag(tmp_path, name, encoding):
    rows = [(str(n), f"{text} {'é' if n else ''}") for n, text in enumerate(PASSAGES)]
    if name == "c.jsonl":
        text = "".join(json.dumps({"id": a, "text": b}, ensure_ascii=False) + "\n" for a, b in rows)
    else:
        blank = "\t" if name == "c.tsv" else ","
        text = "".join(f"{a}{blank}{b}\n" for a, b in [("id", "text"), *rows])
    path = write(tmp_path / name, text, encoding)
    assert rows_of(path, encoding=encoding) == rows
    if encoding == "utf-16":  # It has a byte order mark.
        assert rows_of(path) == rows
    elif encoding.startswith("utf-16"):
        refused(lambda: rows_of(path), name, "Line 1", f"--encoding {encoding}")
    else:
        line = 2 if name == "c.jsonl" else 3
        refused(lambda: rows_of(path), name, f"Line {line}: byte", "0xe9", "--encoding cp1252")


def test_a_byte_order_mark_says_more_than_the_flag(tmp_path):
    path = write(tmp_path / "c.tsv", "id\ttext\n1\té\n", "utf-8-sig")
    assert rows_of(path, encoding="cp1252") == [("1", "é")]


def test_a_file_in_an_encoding_that_it_is_not_in_is_named(tmp_path):
    path = write(tmp_path / "c.tsv", "id\ttext\n1\tя\n2\té\n")
    refused(lambda: rows_of(path, encoding="ascii"), "Line 2: byte 0xd1 is not ascii")


@pytest.mark.parametrize("name", ["latin1000", "hex", "rot13", "", "undefined"])
def test_what_is_no_encoding_is_a_usage_error(name):
    with pytest.raises(UsageError, match="encoding"):
        BuildIndexSettings.parse({"corpus": "c", "index": "i", "encoding": name})


def test_the_plan_of_an_older_version_stays_the_same():
    plan = InputSettings().plan()
    assert not {"quoting", "encoding"} & plan.keys()
    assert InputSettings(quoting="none").plan()["quoting"] == "none"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_stream_of_another_encoding_is_utf8(tmp_path, encoding):
    text = "é\n" * 10_000
    path = write(tmp_path / "c.jsonl", text, encoding)
    found = pieces(path, "cp1252" if encoding == "cp1252" else "utf-8", 7)
    assert b"".join(found) == text.encode()


def test_init_writes_how_the_files_are_read(tmp_path):
    for name, (_, rows) in list(MSMARCO.items())[:3]:
        write(tmp_path / name, "".join("\t".join(row) + "\n" for row in rows), "utf-16-le")
    known = {"file": tmp_path / "h.yaml", "quoting": "none", "encoding": "utf-16-le"}
    written = init(InitSettings.parse(known), [str(tmp_path / name) for name in list(MSMARCO)[:3]])
    assert {kind: facts["rows"] for kind, facts in written.inputs.items()} == {
        "corpus": 3, "queries": 2, "qrels": 2
    }  # fmt: skip
    settings = yaml.safe_load((tmp_path / "h.yaml").read_text())
    assert (settings["quoting"], settings["encoding"]) == ("none", "utf-16-le")


# ---- Runs

HITS = [
    *(("q0", "d3", 9.5), ("q0", "d1", 7.0), ("q0", "d2", 2.5)),
    *(("q1", "d9", 3.0), ("q1", "d0", 1.5)),
]
RANKS = [1, 2, 3, 1, 2]


def listed(run):
    """Return the documents of each query, best first."""
    found = [
        hit
        for queries, documents, scores in run.hits()
        for hit in zip(queries, documents, scores, strict=True)
    ]
    return [hit[:2] for hit in sorted(found, key=lambda hit: (hit[0], -hit[2]))]


@pytest.mark.parametrize(
    ("name", "header", "line"),
    [
        ("run.csv", "query_id,doc_id,score", "{q},{d},{s}"),
        ("run.csv", "", "{q},{d},{s}"),
        ("run.csv", "qid;docid;rank", "{q};{d};{r}"),
        ("run.tsv", "query_id\tdoc_id\tscore", "{q}\t{d}\t{s}"),
        ("run.tsv", "qid\tpid\trank", "{q}\t{d}\t{r}"),
        ("run.tsv", "", "{q}\t{d}\t{r}"),
        ("run.tsv", "", "{q}\t{d}\t{s}"),
        ("run.tsv", "", "{q}\t{d}\t{r}\t{s}"),
        ("run.tsv", "", "{q}\t{d}\t{s}\t{r}"),
        ("run.tsv", "", "{q}\tQ0\t{d}\t{r}\t{s}\tbm25"),
        ("run3.txt", "", "{q} {d} {r}"),
        ("run.trec", "", "{q}  Q0  {d}\t{r} {s} my-system"),
        ("run.bm25.dev", "", "{q} Q0 {d} {r} {s} bm25"),
        ("run", "", "{q} Q0 {d} {r} {s}"),
        ("run.ndjson", "", '{{"qid": "{q}", "docid": "{d}", "rank": {r}}}'),
        ("run.jsonl", "", '{{"query_id": "{q}", "doc_id": "{d}", "score": {s}}}'),
    ],
)
def test_runs_of_every_layout(tmp_path, name, header, line):
    lines = [line.format(q=q, d=d, s=s, r=r) for (q, d, s), r in zip(HITS, RANKS, strict=True)]
    path = write(tmp_path / name, "\n".join([header] * bool(header) + lines) + "\n")
    assert listed(RunFile(str(path))) == [hit[:2] for hit in HITS]


def test_ranks_that_are_not_in_order_are_ranks(tmp_path):
    lines = ["q0 d1 2", "q0 d3 1", "q0 d2 3", "q1 d0 2", "q1 d9 1"]
    path = write(tmp_path / "run.txt", "\n".join(lines))
    assert listed(RunFile(str(path))) == [hit[:2] for hit in HITS]


def test_a_column_of_a_run_is_named_by_number(tmp_path):
    path = write(tmp_path / "run.tsv", "q0\td0\t0.1\nq0\td1\t0.2\n")
    columns = {"query_id": "1", "corpus_id": "2"}
    refused(lambda: RunFile(str(path)), "--column run.query_id=1")
    refused(lambda: RunFile(str(path), columns), "no column named score or rank", "run.rank=")
    rising = RunFile(str(path), columns | {"rank": "3"})
    assert listed(rising) == [("q0", "d0"), ("q0", "d1")]
    falling = RunFile(str(path), columns | {"score": "3"})
    assert listed(falling) == [("q0", "d1"), ("q0", "d0")]


def test_a_score_that_is_no_number_is_an_error(tmp_path):
    long = "".join(f"q{n} Q0 d0 1 {n} x\n" for n in range(SAMPLE_BYTES // 10))
    path = write(tmp_path / "run.trec", long + "q0 Q0 d1 2 high x\n")
    refused(lambda: list(RunFile(str(path)).hits()), "does not hold numbers", "high")


def test_queries_are_read_without_a_header(tmp_path):
    path = write(tmp_path / "queries.tsv", "1000\thow is tea made\n1001\twhy\n")
    (batch,) = text_records(Table.open("queries", str(path)), BadRows("error"))
    assert batch.ids == ["1000", "1001"]
