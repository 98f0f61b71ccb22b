"""Ids and texts that mean something to a terminal, a browser or a shell, in all commands."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import duckdb
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, hnmine, write

import hnmine as api
from hnmine.config import FilterSettings, ReportSettings
from hnmine.directories.mined import Mined
from hnmine.errors import InputError
from hnmine.printable import one_line, printable, shell, without_credentials
from hnmine.report.reporting import report

STEERING = "\x1b[2J\x1b]0;title\x07 \x08 \r \x7f \x9b31m \u202e \u2066 \u200f \u061c \u2028 \u2029"
HTML = "</code><script>alert(1)</script><img src=http://tracker/x> ![](http://tracker/y) `x` | --- "
FAKE = "\nerror: all is lost\nrm -rf ~"
BAD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("printed")
    hostile = STEERING + HTML + FAKE
    ids = [f"d{n} {hostile}" for n in range(12)]
    texts = [f"{hostile} fox number {n} runs" + " and runs" * n for n in range(12)]
    corpus = write(root / "corpus.parquet", _id=ids, text=texts)
    pairs = write(
        root / "pairs.parquet",
        query_id=[f"q {hostile}", f"r {hostile}"],
        query=[f"{hostile} which foxes run", "who runs"],
        positive_id=ids[:2],
        positive=texts[:2],
    )
    api.build_index(corpus=str(corpus), dense=False, index=root / "i")
    api.mine(index=root / "i", pairs=str(pairs), output=root / "c")
    where = ["rank <> 2 -- | <b>![](http://tracker/z) ``` \n"]
    given = {"candidates": root / "c", "near_copy": 2, "where": where}
    api.filter(output=root / "m", num_negatives=3, **given)
    api.filter(output=root / "n", num_negatives=4, **given)
    return root


COMMANDS = [
    ["report", "{root}/m"],
    ["audit", "--mined", "{root}/m"],
    ["inspect", "{root}/m", "--worst", "2"],
    ["inspect", "{root}/m", "--query", "no " + STEERING.replace("\0", "")],
    ["inspect", "{root}/m", "--reason", "no " + STEERING],
    ["compare", "{root}/m", "{root}/n"],
    ["review", "{root}/m", "--no-page", "--sheet", "{root}/a b\n\x1b.csv"],
    ["validate", "{root}/corpus.parquet", "{root}/pairs.parquet"],
    ["validate", "{root}/doubled.parquet"],
    ["mine", "--index", "{root}/i", "--pairs", "{root}/pairs.parquet", "--output", "{root}/c",
     "--dry-run"],
    ["filter", "--candidates", "{root}/c", "--output", "{root}/" + "o\x1b[2J" + FAKE],
    ["filter", "--candidates", "{root}/c", "--output", "{root}/p", "--where", STEERING],
    ["filter", "--candidates", "{root}/c", "--" + STEERING],
    ["filter", "--candidates", "{root}/" + STEERING, "--output", "{root}/p", "--debug"],
    ["init", "{root}/corpus.parquet", "{root}/pairs.parquet", "--file", "{root}/x\n\x1b.yaml"],
    ["export", "--mined", "{root}/m", "--to", "trec", "--output", "{root}/e"],
    ["models", "--folder", "{root}"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_nothing_printed_steers_the_terminal_or_fakes_a_line(root, command, as_json):
    write(root / "doubled.parquet", _id=["a" + STEERING + FAKE] * 2, text=["one", "other"])
    words = [word.replace("{root}", str(root)) for word in command]
    done = hnmine(*words, *(["--json"] if as_json else []))
    for said in (done.stdout, done.stderr):
        assert not BAD.search(said), repr(said)
        lines = said.splitlines()
        assert not any(line.startswith(("error: all", "rm -rf")) for line in lines), said
    assert "a fault in hnmine" not in done.stderr
    if as_json and done.stdout:
        json.loads(done.stdout, parse_constant=lambda name: pytest.fail(name))


def test_a_page_runs_its_own_script_alone_and_loads_nothing(root):
    settings = {"mined": root / "m", "output": root / "page.html"}
    report(ReportSettings.parse(settings))
    own = (ROOT / "hnmine" / "report" / "page.js").read_text("utf-8")
    whole = (root / "page.html").read_text()
    assert whole.count(f"<script>{own}</script>") == 1
    text = whole.replace(f"<script>{own}</script>", "")
    assert not BAD.search(text)
    assert not re.search(r"<(script|img|iframe|object|link)\b|<!--", text)
    assert "&lt;script&gt;" in text


def test_a_column_of_a_strangers_directory_is_no_sql(root, tmp_path):
    shutil.copytree(root / "m", tmp_path / "m", ignore=shutil.ignore_patterns(".hnmine"))
    (part,) = (tmp_path / "m" / "scored").glob("*.parquet")
    table = pq.read_table(part)
    evil = "x' || (select content from read_text('/etc/hostname'))::text || '_rank"
    pq.write_table(table.append_column(evil, table["rank"]), part)
    with (
        Mined(tmp_path / "m").sql(1) as scored,
        pytest.raises(InputError, match="damaged") as refused,
    ):
        scored.ask("select content from read_text('/etc/hostname')")
    assert isinstance(refused.value.__cause__, duckdb.PermissionException)
    done = hnmine("report", tmp_path / "m")
    assert done.returncode == 0, done.stderr
    # The manifest says which columns are sources.
    assert "select content" not in done.stdout


def test_a_command_for_a_shell_is_one_line_of_the_same_words():
    words = ["a", "b c", "it's", "x\n'\\y\x1b\u202e", "$(rm) `rm`", "", "\udce9"]
    line = shell(words)
    assert not BAD.search(line)
    assert "\n" not in line
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True,
        env={"LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.stdout == b"".join(w.encode("utf-8", "surrogateescape") + b"\0" for w in words)


def test_lines_and_tabs_stay_only_where_they_are_hnmines_own():
    assert printable("a\tb\nc\x1b\udce9\u2028") == "a\tb\nc\\x1b\\xe9\\u2028"
    assert one_line("a\tb\nc\r") == "a\\tb\\nc\\r"
    error = InputError("x\x1b s3://K:S@b/x")
    assert str(error) == "x\\x1b s3://b/x"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("s3://KEY:SECRET@bucket/x", "s3://bucket/x"),
        ("s3:/KEY:SECRET@bucket/x", "s3:/bucket/x"),
        ("s3://KEY:SE/CR+ET@bucket/a@b", "s3://bucket/a@b"),
        ("--index=S3://KEY@bucket/x", "--index=S3://bucket/x"),
        ("s3://b/x?secret_key=1&region=eu&session_token=z", "s3://b/x?region=eu"),
        ("https://h/x?X-Amz-Signature=1#f", "https://h/x#f"),
        ("s3://b?endpoint_override=http://u:p@h&scheme=http", "s3://b?endpoint_override=http://h&scheme=http"),
        ("http://host:8080/p/a@b", "http://host:8080/p/a@b"),
        ("s3://bucket/a:b/c and me@mail.org", "s3://bucket/a:b/c and me@mail.org"),
    ],
)  # fmt: skip
def test_a_url_is_shown_without_credentials(given, shown):
    assert without_credentials(given) == shown


def test_credentials_reach_neither_messages_nor_records(root, tmp_path):
    # No file system is known for the scheme: nothing is asked of a network.
    secret = "nowhere://AKIDKEY:TOPSECRET@bucket/x.parquet?secret_key=TOPSECRET"
    for words in (["validate", secret], ["filter", f"--{secret}"], ["export", secret]):
        done = hnmine(*words, env={"PATH": "", "HNMINE_CACHE": str(tmp_path)})
        assert done.returncode in (2, 3)
        assert "TOPSECRET" not in done.stdout + done.stderr
    # The second flag wins; both are in the command that run.json keeps.
    words = ["--candidates", secret, "--candidates", root / "c", "--output", tmp_path / "m"]
    done = hnmine("filter", *words)
    assert done.returncode == 0, done.stderr
    for file in (tmp_path / "m").rglob("*"):
        assert not file.is_file() or b"TOPSECRET" not in file.read_bytes(), file
    settings = FilterSettings.parse(
        {"candidates": root / "c", "output": tmp_path, "judge": [secret]}
    )
    assert settings.plan()["judge"] == ["nowhere://bucket/x.parquet"]
    assert settings.judge == [secret]


def test_what_a_library_prints_is_cleaned_too():
    code = (
        "import logging, sys, warnings\n"
        "from hnmine.cli.printing import clean_streams\n"
        "clean_streams()\n"
        "warnings.warn('w\\x1b[2J'); logging.warning('l\\x9b2J'); print('p\\x1b[A')\n"
        "sys.stderr.writelines(['\\r 10 %', '\\r\\r'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"\xc2\x9b" not in done.stderr
    assert b"\r 10 %\r\r" in done.stderr
