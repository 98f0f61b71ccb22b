"""Directories that somebody sent: whatever stands in their files, every reader ends in a result or
in a clean error, never in a signal, a fault, or without end.

`python tests/test_hostile_directories.py 1000 [SEED]` tries so many and prints a count by outcome.

Each case is a process forked from one that has run all readers before, so that a crash or a hang is
an outcome like any other. The checksums of what was changed are made anew, or left out.
"""

from __future__ import annotations

import errno
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from itertools import pairwise
from pathlib import Path
from tokenize import TokenError
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import duckdb
import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import CROSS_ENCODER, ENCODER, renamed_inside
from faults import SHARED, write_inputs
from held import HANG

import hnmine
from hnmine.array_files import load_archive, load_array
from hnmine.cli import app
from hnmine.directories.candidates import Candidates
from hnmine.directories.manifests import CandidatesManifest, IndexManifest, MinedManifest
from hnmine.errors import Exit, InputError, damage_explained
from hnmine.index.approximate import read_faiss
from hnmine.runner.manifest import record
from hnmine.runner.plan import digest
from hnmine.sources.fuse import Recipe, mine_block
from hnmine.sources.recipe import open_recipe
from hnmine.sources.source import Asked, Mining

SECONDS, WAIT = HANG, 3 * HANG
"""CPU seconds after which a case hangs, most take one; and seconds, where all of it waits."""

MEMORY = 8 << 30
"""Address space of a case: a small file that asks for more than that is refused."""

CLEAN = {Exit.OK, Exit.USAGE, Exit.BAD_INPUT, Exit.PARTIAL, Exit.MISSING}
"""A manifest may name a model that is not here."""

BEGUN = 1000
"""Stands for the exit code of a command that has begun."""

FLAGS = ["--threads", "1", "--no-progress"]
MINED = ("index", "candidates", "mined")


def prepare(root: Path) -> None:
    """Write an index with all its parts, candidates with scores of a model, and two filterings."""
    inputs = write_inputs(root / "inputs")
    corpus, pairs = str(inputs / "corpus.parquet"), str(inputs / "pairs.parquet")
    run = root / "inputs" / "run.trec"
    run.write_text("".join(f"q{n} Q0 d{n + k} {k} {9 - k} x\n" for n in range(12) for k in (1, 2)))
    hnmine.build_index(
        corpus=[corpus], pairs=pairs, index=root / "index", encoder=ENCODER, max_length=16,
        faiss="IVF2,Flat", shard_size=24, device="cpu", backend="torch", **SHARED,
    )  # fmt: skip
    hnmine.mine(
        index=root / "index", pairs=pairs, output=root / "candidates", block_size=5, top_k=8,
        clusters=2, from_run=[str(run)], device="cpu", constraint=["doc.cluster >= 0"],
        source=["bm25", "dense", "run", "random:3"], **SHARED,
    )  # fmt: skip
    judged = {"cross_encoder": CROSS_ENCODER, "max_length": 32, **SHARED}
    candidates = {"candidates": root / "candidates", "num_negatives": 3}
    hnmine.filter(output=root / "mined", **candidates, **judged)
    hnmine.filter(output=root / "other", margin=0.01, score="dense", **candidates, **SHARED)


def place(whole: Path, root: Path) -> None:
    """Copy what was prepared to where a case may change it."""
    shutil.rmtree(root, ignore_errors=True)
    renamed_inside(shutil.copytree(whole, root), whole)


Reader = Callable[[Path], list[object]]


def _mine_words(root: Path) -> list[object]:
    return [
        "mine", "--index", root / "index", "--pairs", root / "inputs/pairs.parquet",
        "--source", "bm25", "--source", "bm25-from-positive", "--clusters", 2, "--block-size", 5,
        "--constraint", "doc.cluster >= 0", "--output", root / "new",
    ]  # fmt: skip


def _mine_on(root: Path) -> list[object]:
    """Search again with the vectors of the queries that are there."""
    shutil.rmtree(root / "candidates/candidates", ignore_errors=True)
    (root / "candidates/manifest.json").unlink(missing_ok=True)
    return [
        "mine", "--index", root / "index", "--pairs", root / "inputs/pairs.parquet",
        "--output", root / "candidates", "--block-size", 5, "--top-k", 8, "--clusters", 2,
        "--from-run", root / "inputs/run.trec", "--device", "cpu", "--source", "bm25", "--source",
        "dense", "--source", "run", "--source", "random:3", "--constraint", "doc.cluster >= 0",
    ]  # fmt: skip


def _mined(command: str, *more: object) -> Reader:
    return lambda root: [command, "--mined", root / "mined", *more, "--output", root / "new"]


def _filter(*more: object) -> Reader:
    return lambda root: [
        "filter", "--candidates", root / "candidates", "--output", root / "new", *more,
    ]  # fmt: skip


READERS: dict[str, Reader] = {
    "mine": _mine_words,
    "mine on": _mine_on,
    "mine --previous": lambda root: [*_mine_words(root), "--previous", root / "mined"],
    "filter": _filter(),
    "filter --deepen": _filter("--deepen", 4, "--max-uses", 2, "--num-negatives", 12),
    "filter, kept scores": _filter("--cross-encoder", CROSS_ENCODER, "--max-length", 32),
    "filter --relabel": _filter("--margin", 0.1, "--format", "labeled-list", "--output-scores"),
    "report": lambda root: ["report", root / "mined"],
    "inspect": lambda root: ["inspect", root / "mined", "--worst", 2],
    "inspect --text": lambda root: ["inspect", root / "mined", "--text", "tells"],
    "audit": lambda root: ["audit", "--mined", root / "mined"],
    "export": _mined("export", "--to", "flagembedding"),
    "export trec": _mined("export", "--to", "trec"),
    "export ids": _mined("export", "--to", "tevatron-ids"),
    "mix": _mined("mix", "--by", "mochi:2", "--by", "m2-mix:1", "--vectors"),
    "compare": lambda root: ["compare", root / "mined", root / "other"],
    "review": lambda root: [
        "review", root / "mined", "--no-page", "--sheet", root / "sheet.csv",
    ],
}  # fmt: skip
NEEDS_MODEL: dict[str, Reader] = {"batch": _mined("batch", "--batch-size", 4, "--by", "cluster")}
WITH_FAISS = ("mine on", "filter --deepen")
OF_MINED = ("report", "inspect", "inspect --text", "audit", "export", "export trec", "export ids",
            "mix", "compare", "review", "mine --previous")  # fmt: skip


def files_of(root: Path) -> list[Path]:
    """List what a sender may have changed."""
    return [
        file
        for name in MINED
        for file in sorted((root / name).rglob("*"))
        if file.is_file() and ".hnmine" not in file.parts and file.suffix != ".md"
    ]


NUMBERS = [-1, 1, 5, 7, 100, 127, 255, 2**15, 2**31 - 1, 2**31, 2**53, 2**62, -(2**63), 2**63 - 1]
TYPES = ["<i8", "<i4", "<u8", "<f4", "<f8", ">i8", "<u1", "?", "<c16", "<U4", "<M8[s]", "|V16"]


def array(rng: random.Random, whole: bytes) -> bytes:
    """Change an array: its values, its type, its shape, or what its header says."""
    values = np.load(io.BytesIO(whole))
    change = rng.randrange(9)
    with np.errstate(all="ignore"):
        if change <= 2 and values.size:
            flat = values.reshape(-1)
            for _ in range(rng.choice([1, 1, 5])):
                wrong = rng.choice([*NUMBERS, float("nan"), float("inf"), -1e30])
                at = rng.choice([0, len(flat) - 1, rng.randrange(len(flat))])
                try:
                    flat[at] = wrong
                except (ValueError, OverflowError):
                    flat[at] = flat[rng.randrange(len(flat))]
        elif change == 3 and values.size:
            values = values.reshape(-1)[:: rng.choice([-1, 2, 3])]
        elif change == 4:
            values = np.concatenate([values.reshape(-1)] * rng.choice([0, 2]) or [values[:0]])
        elif change == 5:
            kind = np.dtype(rng.choice(TYPES))
            values = np.zeros(values.shape, kind) if kind.kind in "VUM" else values.astype(kind)
        elif change == 6:
            values = rng.choice([values.reshape(1, -1), values.reshape(-1, 1), np.float64(3)])
        elif change == 7:
            values = np.asfortranarray(np.stack([values.reshape(-1)] * 2))
    target = io.BytesIO()
    np.save(target, values)
    written = target.getvalue()
    if change == 8:
        wrong = rng.choice(["1000000000000000", "-3", "3, 3", "True", "1e3", "'a'", "0", "((", ""])
        written = re.sub(rb"\((\d*),?", b"(" + wrong.encode() + b",", whole, count=1)
    return written


def other_json(rng: random.Random, whole: bytes) -> bytes:
    """Change a value of a JSON file to one of another type, or leave its key out."""
    found = json.loads(whole)
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        keys = value.keys() if isinstance(value, dict) else range(len(value))
        for key in keys:
            places.append((value, key))
            if isinstance(value[key], dict | list):
                collect(value[key])

    collect(found)
    if not places or rng.random() < 0.05:
        return rng.choice([b"[]", b"3", b"null", b"{", b"", b"[" * 100_000, b"\xff{}"])
    for _ in range(rng.choice([1, 1, 3])):
        holder, key = rng.choice(places)
        if rng.random() < 0.2:
            if isinstance(holder, dict):
                holder.pop(key, None)
        elif isinstance(holder, dict) or key < len(holder):
            holder[key] = rng.choice(
                [None, -1, 0, 3, 2**70, 0.5, float("nan"), "", "x", "\ud800", [], ["x"], {}, True,
                 {"a": 1}, "../..", 10**400]
            )  # fmt: skip
    return json.dumps(found).encode("utf-8", "surrogatepass")


def other_table(rng: random.Random, whole: bytes) -> bytes:
    """Change a column of a Parquet file: its type, its values, its name, or leave it out."""
    table = pq.read_table(io.BytesIO(whole))
    place = rng.randrange(table.num_columns)
    name, column = table.column_names[place], table.column(place)
    change = rng.randrange(8)
    rows = table.num_rows
    if change == 0:
        table = table.drop_columns([name])
    elif change == 1:
        table = table.append_column(name, column)
    elif change == 2:
        table = table.set_column(place, name, pa.nulls(rows, column.type))
    elif change == 3:
        kinds = [[n] for n in range(rows)], [{"a": n} for n in range(rows)], ["\0"] * rows
        kinds += ([b"\xff\xfe"] * rows, [n / 3 for n in range(rows)], [True] * rows, [None] * rows)
        table = table.set_column(place, name, pa.array(rng.choice(kinds)))
    elif change == 4:
        table = table.set_column(place, name, column.dictionary_encode())
    elif change == 5:
        table = table.slice(0, rng.choice([0, 1, rows // 2]))
    elif change == 6 and pa.types.is_integer(column.type):
        values = [rng.choice([-1, 10**4, 2**31 - 1, 0]) for _ in range(rows)]
        try:
            table = table.set_column(place, name, pa.array(values, column.type))
        except (pa.ArrowInvalid, OverflowError):
            table = table.take(pa.array(range(rows)[::-1], pa.int64()))
    else:
        order = list(range(rows)) * 2
        rng.shuffle(order)
        table = table.take(pa.array(order, pa.int64()))
    if pa.types.is_string(column.type) and rng.random() < 0.1:
        raw = pa.array([b"\xff\xfe"] * table.num_rows, pa.binary()).view(pa.string())
        table = table.set_column(min(place, table.num_columns - 1), name, raw)
    target = io.BytesIO()
    pq.write_table(table, target)
    return target.getvalue()


def other_bytes(rng: random.Random, whole: bytes) -> bytes:
    """Flip, fill, take out or put in bytes, or cut the end off."""
    for _ in range(rng.choice([1, 1, 3, 10])):
        if not whole:
            break
        near = rng.choice([200, len(whole), len(whole)])
        at = rng.randrange(min(near, len(whole)))
        end = at + rng.choice([1, 4, 8, 100])
        new = rng.choice(
            [
                bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 : end],
                rng.randbytes(end - at), b"\xff" * (end - at), bytes(end - at), b"",
                rng.choice(NUMBERS).to_bytes(9, "little", signed=True)[: end - at],
            ]
        )  # fmt: skip
        whole = whole[:at] + new + (whole[end:] if rng.random() < 0.9 else b"")
    return whole


def change(rng: random.Random, file: Path) -> str:
    """Change a file, and say how."""
    whole = file.read_bytes()
    kinds = {".npy": array, ".json": other_json, ".parquet": other_table}
    by_kind = kinds.get(file.suffix)
    how = by_kind if by_kind and rng.random() < 0.7 else other_bytes
    file.write_bytes(b"" if rng.random() < 0.03 else how(rng, whole))
    return how.__name__


def forge(rng: random.Random, root: Path, file: Path) -> None:
    """Let nothing tell that a file was changed: hashes of manifests, checksums of outputs."""
    with suppress(ValueError, TypeError, RecursionError):  # It is no manifest any more.
        for earlier, later in pairwise(MINED):
            hashed = digest(json.loads((root / earlier / "manifest.json").read_bytes()))
            target = root / later / "manifest.json"
            target.write_text(json.dumps(json.loads(target.read_bytes()) | {earlier: hashed}))
    for done in root.rglob(".hnmine/done"):
        owner = done.parent.parent
        if not file.is_relative_to(owner):
            continue
        if rng.random() < 0.3 and owner.name in MINED:
            shutil.rmtree(done.parent)
            continue
        for marker in done.glob("*.json"):
            noted = json.loads(marker.read_bytes())
            for output in noted["outputs"]:
                if (owner / output).exists():
                    noted["outputs"][output] = record(owner / output)
            marker.write_text(json.dumps(noted))


def read(arguments: list[object]) -> tuple[int, str]:
    """Run a command in this process; return its exit code and what it said of an error."""
    said = io.StringIO()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(said):
            app([str(argument) for argument in [*arguments, "--debug"]])
    except SystemExit as ended:
        return int(ended.code or 0), said.getvalue()
    return 0, said.getvalue()


def read_elsewhere(arguments: list[object]) -> tuple[int, str]:
    """Run a command in another process: PyTorch's threads do not survive a fork."""
    command = [sys.executable, "-m", "hnmine", *map(str, arguments), "--debug"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def case(seed: int, number: int, root: Path) -> Iterator[tuple[str, int, str]]:
    """Change a file and let some readers read; yield what each came to."""
    rng = random.Random(f"{seed}-{number}")
    file = rng.choice(files_of(root))
    how = change(rng, file)
    forge(rng, root, file)
    names = [*OF_MINED] if file.is_relative_to(root / "mined") else [*READERS]
    if rng.random() < 0.04:
        names, readers = ["batch"], NEEDS_MODEL
    else:
        names, readers = rng.sample(names, 3), READERS
    for name in sorted(names, key=lambda name: name == "mine on"):
        shutil.rmtree(root / "new", ignore_errors=True)
        where = f"{file.relative_to(root)} by {how}, {name}"
        yield where, BEGUN, ""
        arguments = [*readers[name](root), *FLAGS]
        yield where, *(read_elsewhere if readers is NEEDS_MODEL else read)(arguments)


def in_child(seed: int, number: int, whole: Path, root: Path) -> list[tuple[str, int, str]]:
    """Run a case in a process of its own; what ends it is a negative code."""
    receive, send = os.pipe()
    place(whole, root)
    child = os.fork()
    if not child:
        os.close(receive)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        used = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (used + SECONDS, used + SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with os.fdopen(send, "w", encoding="utf-8", errors="backslashreplace") as out:
            try:
                for found in case(seed, number, root):
                    out.write(json.dumps(found) + "\n")
                    out.flush()
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        os._exit(0)
    os.close(send)
    deadline = time.monotonic() + WAIT
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            ended = os.waitpid(child, 0)
            break
        time.sleep(0.01)
    with os.fdopen(receive, encoding="utf-8") as told:
        found = [tuple(json.loads(line)) for line in told]
    if code := os.waitstatus_to_exitcode(ended[1]):
        found.append((found[-1][0] if found else "at once", -abs(code), "a signal, or no end"))
    return [one for one in found if one[1] != BEGUN]


def work(seed: int, start: int, stop: int, whole: str) -> None:
    """Run cases, after all readers once for the code that is compiled or loaded then."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        # A process that has FAISS's threads for lists on disk cannot be forked.
        for reader in (READERS[name] for name in READERS if name not in WITH_FAISS):
            place(Path(whole), root)
            code, said = read([*reader(root), *FLAGS])
            assert not code, (reader(root), said)
        for number in range(start, stop):
            for where, code, said in in_child(seed, number, Path(whole), root):
                sys.stdout.write(json.dumps([f"case {number}: {where}", code, said]) + "\n")
                sys.stdout.flush()


def fuzz(seed: int, cases: int, whole: Path, workers: int = 1) -> tuple[Counter[int], list[str]]:
    """Count exit codes, and describe those that none should end with."""
    bounds = [cases * n // workers for n in range(workers + 1)]
    running = [
        subprocess.Popen(
            [sys.executable, __file__, "--work", *map(str, (seed, first, last)), whole],
            stdout=subprocess.PIPE, text=True,
        )
        for first, last in pairwise(bounds)
    ]  # fmt: skip
    codes: Counter[int] = Counter()
    unclean = []
    for process in running:
        told, _ = process.communicate()
        assert process.returncode == 0
        for line in told.splitlines():
            where, code, said = json.loads(line)
            codes[code] += 1
            if code not in CLEAN:
                unclean.append(f"{where}: {code}: {said[-3000:]}")
    return codes, unclean


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile") / "whole"
    prepare(root)
    return root


def _recipe(root: Path) -> Recipe:
    """Open all that `mine` searches in, in the candidates' index."""
    found = Candidates(root / "candidates")
    settings = found.manifest.settings.model_copy(update={"threads": 1})
    mining = Mining.of(found.index, found.queries, found.paths, settings)
    return open_recipe(mining, found.manifest.sources, found.manifest.scores, None)


def _search(root: Path) -> None:
    """Search for the first queries in every source."""
    found = Candidates(root / "candidates")
    mine_block(Asked(found.mined[:2], found.queries), found.index.documents, _recipe(root))


def _set(at: int, value: object) -> Callable[[np.ndarray], np.ndarray]:
    def changed(values: np.ndarray) -> np.ndarray:
        values.reshape(-1)[at] = value
        return values

    return changed


WRONG: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [
    ("index/bm25/documents.npy", _set(3, 10**6)),
    ("index/bm25/documents.npy", _set(-1, -1)),
    ("index/bm25/documents.npy", lambda values: values[::-1].copy()),
    ("index/bm25/documents.npy", lambda values: values[:-1]),
    ("index/bm25/indptr.npy", _set(3, 10**9)),
    ("index/bm25/indptr.npy", _set(3, 0)),
    ("index/bm25/indptr.npy", _set(-1, 10**9)),
    ("index/bm25/lengths.npy", _set(0, -700)),
    ("index/bm25/lengths.npy", lambda values: values[:-1]),
    ("index/bm25/frequencies.npy", lambda values: values.astype(np.int64)),
    ("index/bm25/frequencies.npy", _set(0, 0)),
    ("index/bm25/idf.npy", _set(0, np.nan)),
    ("index/bm25/impacts.npy", _set(0, np.inf)),
    ("index/bm25/peaks.npy", lambda values: values.astype(">f4")),
    ("index/bm25/vocabulary_offsets.npy", _set(2, 10**9)),
    ("index/bm25/vocabulary.npy", lambda values: values[:-1]),
    ("index/documents/identity.npy", _set(-1, 10**6)),
    ("index/documents/identity.npy", _set(3, 2)),
    ("index/documents/canonical.npy", _set(0, 1)),
    ("index/documents/ids/rows.npy", _set(0, -2)),
    ("index/documents/ids/high.npy", _set(0, 2**64 - 1)),
    ("index/documents/texts/low.npy", lambda values: values[:-1]),
    ("index/documents/identities/rows.npy", _set(0, 10**6)),
    ("index/dense/vectors/00000.npy", lambda values: values.astype(np.float64)),
    ("index/dense/vectors/00000.npy", lambda values: values[:, :-1].copy()),
    ("index/dense/vectors/00001.npy", lambda values: values[:-1]),
    ("index/dense/vectors/00001.npy", np.asfortranarray),
    ("candidates/queries/positive_rows.npy", _set(0, 10**6)),
    ("candidates/queries/positive_rows.npy", _set(0, -1)),
    ("candidates/queries/positive_offsets.npy", _set(1, 10**6)),
    ("candidates/queries/positive_offsets.npy", lambda values: values[:-1]),
    ("candidates/dense/vectors/00000.npy", lambda values: values[:-1]),
    ("candidates/clusters.npy", lambda values: values[:-1]),
    ("candidates/clusters.npy", lambda values: values.astype(object)),
    ("candidates/runs/run_run/slots.npy", _set(0, 10**6)),
    ("candidates/runs/run_run/offsets.npy", _set(1, -5)),
    ("candidates/runs/run_run/scores.npy", _set(0, np.nan)),
]


@pytest.mark.parametrize(("name", "changed"), WRONG)
def test_an_array_with_wrong_values_is_refused_and_named(whole, tmp_path, name, changed):
    place(whole, tmp_path / "root")
    file = tmp_path / "root" / name
    np.save(file, changed(np.load(file)))
    for state in (tmp_path / "root").glob("*/.hnmine"):
        shutil.rmtree(state)
    with pytest.raises(InputError) as caught:
        _search(tmp_path / "root")
    assert str(file.parent) in caught.value.what


def test_what_is_sent_whole_is_searched(whole, tmp_path):
    place(whole, tmp_path / "root")
    _search(tmp_path / "root")


MANIFESTS = {"index": IndexManifest, "candidates": CandidatesManifest, "mined": MinedManifest}

OTHER = [
    ("index", {"settings": {"k1": "x"}}),
    ("index", {"settings": {"shard_size": 0}}),
    ("index", {"encoder": 3}),
    ("index", {"encoder": {"model": 3}}),
    ("index", {"counts": {"terms": -1}}),
    ("candidates", {"settings": {"block_size": 0}}),
    ("candidates", {"settings": {"block_size": None}}),
    ("candidates", {"sources": {"bm25": "many"}}),
    ("candidates", {"scores": "dense"}),
    ("mined", {"counts": {"kept": 1.5}}),
    ("mined", {"settings": {"num_negatives": "many"}}),
    ("mined", {"settings": {"format": 3}}),
    ("mined", {"judges": []}),
]


@pytest.mark.parametrize(("stage", "other"), OTHER)
def test_a_manifest_with_wrong_values_is_refused_and_named(whole, tmp_path, stage, other):
    place(whole, tmp_path / "root")
    file = tmp_path / "root" / stage / "manifest.json"
    found = json.loads(file.read_bytes())
    for key, value in other.items():
        found[key] = found[key] | value if isinstance(value, dict) else value
    file.write_text(json.dumps(found))
    with pytest.raises(InputError, match=re.escape(str(file))):
        MANIFESTS[stage].read(file.parent)


def test_settings_are_typed_and_hold_no_paths_of_a_stranger(whole, tmp_path):
    place(whole, tmp_path / "root")
    file = tmp_path / "root/candidates/manifest.json"
    found = json.loads(file.read_bytes())
    found["settings"] |= {"output": "/tmp/elsewhere", "of_a_newer_version": 1}
    file.write_text(json.dumps(found))
    manifest = CandidatesManifest.read(file.parent)
    assert manifest.settings.block_size == 5
    assert not hasattr(manifest.settings, "output")
    assert manifest.recorded == found


@pytest.mark.parametrize(
    "changed",
    [
        lambda table: table.drop_columns(["doc_row"]),
        lambda table: table.append_column("rank", table["rank"]),
        lambda table: table.set_column(0, "query_id", table["query_id"].dictionary_encode()),
        lambda table: table.set_column(1, "doc_id", pa.nulls(len(table), pa.string())),
        lambda table: table.set_column(1, "doc_id", not_utf8(len(table))),
        lambda table: with_rows(table, "doc_row", lambda rows: rows + 60),
        lambda table: with_rows(table, "query_row", lambda rows: rows - 1),
        lambda table: with_rows(table, "query_row", lambda rows: rows[::-1]),
    ],
    ids=["lacking", "twice", "dictionary", "null", "bytes", "beyond", "negative", "order"],
)
def test_a_part_of_the_candidates_with_wrong_columns_is_refused_and_named(whole, tmp_path, changed):
    place(whole, tmp_path / "root")
    candidates = Candidates(tmp_path / "root/candidates")
    file = candidates.parts[0]
    pq.write_table(changed(pq.read_table(file)), file)
    with pytest.raises(InputError, match=re.escape(str(file))):
        candidates.read(0)


def not_utf8(rows: int) -> pa.Array:
    return pa.array([b"\xff\xfe"] * rows, pa.binary()).view(pa.string())


def with_rows(table: pa.Table, name: str, act: Callable[[np.ndarray], np.ndarray]) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, table.field(name), pa.array(act(table[name].to_numpy())))


def _break_lists(index: Any) -> None:
    ids = faiss.rev_swig_ptr(index.invlists.get_ids(0), index.invlists.list_size(0))
    ids[0] = 10**6


def _break_graph(index: Any) -> None:
    neighbours = faiss.vector_to_array(index.hnsw.neighbors)
    neighbours[5] = 10**6
    faiss.copy_array_to_vector(neighbours, index.hnsw.neighbors)


def _start_nowhere(index: Any) -> None:
    index.hnsw.entry_point = 10**6


@pytest.mark.parametrize(
    ("factory", "damage"),
    [
        ("IVF4,Flat", _break_lists),
        ("PCA8,IVF4,Flat", lambda index: _break_lists(faiss.extract_index_ivf(index))),
        ("IVF4,SQ8", lambda index: index.add(np.zeros((1, 16), np.float32))),
        ("HNSW8", _break_graph),
        ("HNSW8", _start_nowhere),
        ("Flat", lambda index: index.reset()),
    ],
)
def test_a_faiss_index_that_leads_out_of_itself_is_refused(tmp_path, factory, damage):
    vectors = np.random.default_rng(0).random((300, 16)).astype(np.float32)
    index = faiss.index_factory(16, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    file = tmp_path / "index.faiss"
    faiss.write_index(index, str(file))
    assert read_faiss(file, 16, 300).ntotal == 300
    for dimension, count in ((8, 300), (16, 299)):
        with pytest.raises(InputError, match="It is an index of 300 vectors"):
            read_faiss(file, dimension, count)
    damage(index)
    faiss.write_index(index, str(file))
    with pytest.raises(InputError, match=re.escape(str(file))):
        read_faiss(file, 16, 300)


@pytest.mark.parametrize("shape", [b"(10000000000000000,)", b"(-1,)", b"(((", b"(3,3)", b"(True,)"])
def test_a_header_that_lies_is_refused_before_memory_is_taken(tmp_path, shape):
    file = tmp_path / "a.npy"
    np.save(file, np.arange(3))
    file.write_bytes(file.read_bytes().replace(b"(3,)", shape))
    for mapped in (True, False):
        with pytest.raises(InputError, match=re.escape(str(file))):
            load_array(file, np.int64, mapped=mapped)


@pytest.mark.parametrize("damage", ["compressed", "claims", "cut", "missing", "lengths", "pickle"])
def test_an_archive_that_lies_is_refused(tmp_path, damage):
    file = tmp_path / "a.npz"
    values = {"part": np.zeros(40, np.int64), "row": np.arange(40)}
    if damage == "missing":
        values.pop("row")
    if damage == "lengths":
        values["row"] = np.arange(3)
    if damage == "pickle":
        values["row"] = np.full(40, None)
    (np.savez_compressed if damage == "compressed" else np.savez)(file, **values)
    if damage == "claims":
        file.write_bytes(file.read_bytes().replace(b"(40,)", b"(9**9)"[:5]))
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(InputError, match=re.escape(str(file))):
        load_archive(file, {"part": np.int64, "row": np.int64})


@pytest.mark.parametrize(
    "error",
    [TokenError("x"), KeyError("x"), OverflowError("x"), UnicodeDecodeError("a", b"", 0, 1, ""),
     zipfile.BadZipFile("x"), zlib.error("x"), struct.error("x"), AttributeError("x"),
     pa.ArrowException("x"), duckdb.Error("x"), SyntaxError("x"), AssertionError()],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_whatever_a_damaged_file_throws_names_the_file(tmp_path, error):
    with pytest.raises(InputError, match="index is damaged"), damage_explained(tmp_path / "index"):
        raise error


def test_a_lack_of_memory_and_of_permission_are_no_damage(tmp_path):
    for error in (MemoryError(), PermissionError(errno.EACCES, "no")):
        with pytest.raises(type(error)), damage_explained(tmp_path):
            raise error


def test_every_reader_takes_a_changed_file_or_refuses_it(whole):
    codes, unclean = fuzz(1, 25, whole)
    assert not unclean, "\n\n".join(unclean)
    assert codes[Exit.BAD_INPUT] > 10


def main() -> None:
    cases, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name) / "whole")
        codes, unclean = fuzz(seed, cases, Path(name) / "whole", workers=2)
    lines = [f"{count:>8,}  exit code {code}" for code, count in codes.most_common()]
    lines.append(f"{sum(codes.values()):>8,}  readings, {len(unclean)} unclean")
    sys.stdout.write("\n".join([*unclean, *lines]) + "\n")
    sys.exit(bool(unclean))


if __name__ == "__main__":
    if sys.argv[1] == "--work":
        work(*map(int, sys.argv[2:5]), sys.argv[5])
    else:
        main()
