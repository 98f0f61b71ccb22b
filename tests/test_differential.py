"""Small worlds by chance, mined and filtered with legal flags by chance: what is written is what
`oracle.py` works out from the documentation.

`python -m tests.test_differential --runs 1000 --seed 1` tries that many and prints what differs.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import tempfile
import traceback
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import oracle
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import rows as read_rows
from oracle import BM25, Expression, Rules, Texts, World, higher, pos

import hnmine
from hnmine.index.bm25.search import BM25Index
from hnmine.inputs.table_reader import content_id

CASES, FILTERS = 16, 3
WORDS = ["pear", "plum", "fig", "straße", "fish", "naïve", "date", "kiwi", "office", "42", "a_b"]
QUIET = {"progress": False, "threads": 1}
DIMENSION = 5
SHORT = {"dense_score": "dense", "bm25_score": "bm25"}
EXPORTS = ("trec", "flagembedding", "beir", "msmarco")


# What is given


def phrase(rng: random.Random) -> str:
    count = rng.randint(1, 6) if rng.random() < 0.8 else rng.randint(7, 12)
    return " ".join(rng.choices(WORDS, k=count))


def variant(rng: random.Random, text: str) -> str:
    """Another text that is the same after normalisation; sometimes the text itself."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, len(text))
        text = rng.choice(
            [
                text.upper(),
                text.replace(" ", rng.choice(["  ", "\u00a0", "\n", "\u3000"])),
                text[:at] + rng.choice(oracle.INVISIBLE) + text[at:],
                text.replace("fi", "ﬁ"),
                unicodedata.normalize("NFD", text),
                "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalpha() else c for c in text),
                f" {text}",
                text,
            ]
        )
    return text


def new_text(rng: random.Random, earlier: Sequence[str]) -> str:
    """A text by chance, a copy of an earlier one, or one that holds an earlier one."""
    kind = rng.random()
    if not earlier or kind < 0.55:
        return phrase(rng)
    known = rng.choice(earlier)
    if kind < 0.8:
        return variant(rng, known)
    return f"{known} {phrase(rng)}" if kind < 0.92 else known


class Given:
    """The inputs of a case: as files, and as a `World`."""

    def __init__(self, rng: random.Random, folder: Path) -> None:
        self.rng, self.folder = rng, folder
        self.documents, self.queries = Texts(), Texts()
        self.build: dict[str, Any] = {}
        self.mine: dict[str, Any] = {}
        self.positives: list[tuple[str, str, str | None, str]] = []
        self.judged: list[tuple[str, str, float]] = []
        self.beir = rng.random() < 0.5
        self.repeated = 0
        if self.beir or rng.random() < 0.85:
            self._corpus()
        self._queries()
        self._judgements() if self.beir else self._pairs()
        self.documents.settle()
        self.queries.settle()

    def _write(self, name: str, **columns: list[Any]) -> str:
        path = self.folder / f"{name}.parquet"
        pq.write_table(pa.table(columns), path)
        return str(path)

    def _corpus(self) -> None:
        rng, texts, written = self.rng, [], []
        for n in range(rng.randint(3, 24)):
            texts.append(new_text(rng, texts))
            written.append((f"d{n}", texts[-1], rng.choice([None, 1, 2, 3])))
            if rng.random() < 0.04:
                written.append(rng.choice(written))
        for row in written:
            self.repeated += not self.documents.add(*row)
        ids, texts, years = map(list, zip(*written, strict=True))
        years = pa.array(years, pa.int64())
        self.build["corpus"] = self._write("corpus", id=ids, text=texts, year=years)

    def _queries(self) -> None:
        rng = self.rng
        known = [text for _, text, _ in self.documents.rows]
        asked: list[str] = []
        for n in range(rng.randint(1, 6)):
            if known and rng.random() < 0.2:
                text = variant(rng, rng.choice(known))
            else:
                text = new_text(rng, asked)
            asked.append(text)
            self.queries.add(f"q{n}", text, rng.choice([None, 2, 3, 4]))

    def _judgements(self) -> None:
        rng, documents = self.rng, [name for name, _, _ in self.documents.rows]
        names = [name for name, _, _ in self.queries.rows]
        for name in names:
            for document in rng.sample(documents, min(len(documents), rng.randint(0, 4))):
                self.judged.append((name, document, rng.choice([0, 1, 1, 2, 3])))
        self.judged.append((rng.choice(names), rng.choice(documents), 3))
        self.mine["min_grade"] = self.least = rng.choice([1.0, 1.0, 2.0])
        ids, texts, years = map(list, zip(*self.queries.rows, strict=True))
        years = pa.array(years, pa.int64())
        self.mine["queries"] = self._write("queries", _id=ids, text=texts, year=years)
        one, other, grades = map(list, zip(*self.judged, strict=True))
        self.mine["qrels"] = self._write(
            "qrels", **{"query-id": one, "corpus-id": other, "score": grades}
        )

    def _pairs(self) -> None:
        rng = self.rng
        with_query_ids, with_ids = rng.random() < 0.6, rng.random() < 0.5
        added = not self.documents.rows or rng.random() < 0.5
        if not with_query_ids:
            old, self.queries = self.queries.rows, Texts()
            for _, text, year in old:
                self.queries.add(content_id(text), text, year)
        self.with_ids, self.pairs = with_ids, []
        for name, text, _ in self.queries.rows:
            for _ in range(rng.randint(1, 3)):
                document = self._positive(added)
                self.pairs.append((name, text, *document))
                if added:
                    exact = any(document[1] == there for _, there, _ in self.documents.rows)
                    new = (with_ids or not exact) and self.documents.add(*document)
                    self.repeated += not new
        written = self.pairs
        columns: dict[str, list[Any]] = {
            "query": [row[1] for row in written],
            "positive": [row[3] for row in written],
        }
        if with_query_ids:
            columns["query_id"] = [row[0] for row in written]
        if with_ids:
            columns["positive_id"] = [row[2] for row in written]
        self.mine["pairs"] = self._write("pairs", **columns)
        if added:
            self.build["pairs"] = self.mine["pairs"]

    def _positive(self, added: bool) -> tuple[str, str]:
        """A document, a copy of one, or a new one where those are added to the corpus."""
        rng, known = self.rng, self.documents.rows
        if added and (not known or rng.random() < 0.3):
            text = new_text(rng, [text for _, text, _ in known])
            return (f"n{len(self.pairs)}" if self.with_ids else content_id(text)), text
        name, text, _ = rng.choice(known)
        if self.with_ids or rng.random() < 0.6:
            return name, text
        copy = variant(rng, text)
        return content_id(copy), copy

    def world(self) -> World:
        documents, queries = self.documents, self.queries
        judged = [(queries.find(q), documents.find(d), g) for q, d, g in self.judged]
        if self.beir:
            pairs = [(query, document) for query, document, grade in judged if grade >= self.least]
        else:
            pairs = [
                (queries.find(q), documents.find(d) if self.with_ids else documents.find_text(text))
                for q, _, d, text in self.pairs
            ]
        return World(documents, queries, pairs, judged)


def write_encoder(folder: Path) -> dict[str, np.ndarray]:
    """Write a bi-encoder that adds up a vector for each word; return the vectors."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    names = ["[UNK]", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    weights = np.random.default_rng(0).integers(-2, 4, (len(names), DIMENSION)).astype(np.float32)
    weights[0, 0] = 5
    module = StaticEmbedding(tokenizer, embedding_weights=weights)
    SentenceTransformer(modules=[module], device="cpu").save(str(folder))
    return dict(zip(names, weights, strict=True))


def embedding(vectors: dict[str, np.ndarray], text: str) -> np.ndarray:
    total = np.sum(
        [vectors.get(word, vectors["[UNK]"]) for word in text.lower().split()], axis=0, dtype=float
    )
    return total / np.linalg.norm(total)


# What is asked for


class Case:
    """One world, its flags, and what differs."""

    def __init__(self, rng: random.Random, folder: Path, encoder: tuple[Path, dict]) -> None:
        self.rng, self.folder = rng, folder
        self.encoder, self.word_vectors = encoder
        self.said: list[str] = []

    def run(self) -> None:
        self.given = Given(self.rng, self.folder)
        self._build()
        self._mine()
        for n in range(FILTERS):
            self._filter(self.folder / f"mined{n}")

    def _build(self) -> None:
        rng, given = self.rng, self.given
        parts = rng.choice([(True, True), (True, True), (True, False), (False, True)])
        variant_of = rng.choice(["lucene", "lucene", "okapi", "plus", "l"])
        formula = (variant_of, rng.choice([1.5, 0.9, 0]), rng.choice([0.75, 0.4, 0, 1]))
        words = (rng.choice(["word", "whitespace"]), rng.choice(["english", "none"]))
        flags = {
            **given.build,
            **dict(zip(("bm25", "dense"), parts, strict=True)),
            **dict(zip(("bm25_variant", "k1", "b"), formula, strict=True)),
            **dict(zip(("tokenizer", "stemmer"), words, strict=True)),
            "shard_size": rng.choice([3, 7, 1000]),
        }
        if parts[1]:
            flags |= {"encoder": str(self.encoder), "device": "cpu", "backend": "torch"}
        self.index = self.folder / "index"
        with self._about("build-index", flags):
            built = hnmine.build_index(index=self.index, **flags, **QUIET)
        self.parts, self.world = parts, given.world()
        documents = self.world.documents
        self._same("documents_rows", len(documents.rows), built.counts["documents_rows"])
        self._same("documents_unique", len(documents.firsts), built.counts["documents_unique"])
        self._same("documents_repeated", given.repeated, built.counts["documents_repeated"])
        if parts[0]:
            self.world.bm25 = BM25(documents, *formula, *words)
            self.world.bm25.measured = self._measured
            bags = self.world.bm25.bags.values()
            self._same("tokens", sum(bag.total() for bag in bags), built.counts["tokens"])
            self._same("postings", sum(map(len, bags)), built.counts["postings"])
        if parts[1]:
            self.vectors = self._vectors(self.index, documents, documents.firsts)

    def _measured(self, query: str) -> dict[int, float]:
        rows = self.world.documents.firsts
        index = BM25Index(self.index / "bm25")
        found = index.score([query], np.array([0, len(rows)]), np.arange(len(rows)))
        return dict(zip(rows, found.tolist(), strict=True))

    def _vectors(self, directory: Path, texts: Texts, of: Sequence[int]) -> dict[int, np.ndarray]:
        """Read vectors as they were written, close to what they should be."""
        files = sorted((directory / "dense" / "vectors").glob("*.npy"))
        found = np.concatenate([np.load(file) for file in files])
        self._same("vectors", len(of), len(found))
        for row, vector in zip(of, found, strict=True):
            mine = embedding(self.word_vectors, texts.rows[row][1])
            if not np.allclose(mine, vector, atol=1e-6, equal_nan=True):
                self.said.append(f"vector of {texts.rows[row]!r}: {vector}, not {mine}")
        return dict(zip(of, found, strict=True))

    def _mine(self) -> None:
        rng, given, world = self.rng, self.given, self.world
        depth = rng.randint(1, 12)
        known = ["bm25", "bm25-from-positive"] * self.parts[0]
        known += ["dense", "dense-from-positive"] * self.parts[1]
        known += ["judged"] * given.beir
        depths = {name: depth for name in ("bm25", "dense")[: len(self.parts)]}
        depths = {name: depth for name, there in zip(depths, self.parts, strict=True) if there}
        flags: dict[str, Any] = {**given.mine, "top_k": depth, "block_size": rng.choice([1, 2, 99])}
        columns = {name: name.replace("-", "_") for name in known}
        if rng.random() < 0.6:
            depths = {
                name: rng.choice([depth, rng.randint(1, 8)])
                for name in rng.sample(known, rng.randint(1, len(known)))
            }
            flags["source"] = [f"{name}:{k}" for name, k in depths.items()]
            if rng.random() < 0.4:
                flags["from_run"] = [self._run_file()]
                flags["source"].append("run")
                depths["run"], columns["run"] = depth, "run_other"
        admits: Callable[[Any, Any], bool] | None = None
        if given.beir and rng.random() < 0.3:
            flags["constraint"] = ["doc.year < query.year"]
            admits = lambda asked, there: None not in (asked, there) and there < asked  # noqa: E731
        self.candidates = self.folder / "candidates"
        with self._about("mine", flags):
            mined = hnmine.mine(index=self.index, output=self.candidates, **flags, **QUIET)
        words_alone = all(name.startswith("bm25") for name in depths)
        self.has_dense = self.parts[1] and not words_alone
        if self.has_dense:
            world.vectors = self.vectors
            of = sorted({world.queries.group(row) for row in world.mined()})
            world.query_vectors = self._vectors(self.candidates, world.queries, of)
        elif self.parts[1]:
            world.vectors = self.vectors
        self.depths, self.columns, self.admits = depths, columns, admits
        self.tables = self._tables(1)
        found = by_query(read_rows(self.candidates / "candidates"))
        self._compare_candidates(self.tables, found, "candidates")
        rows = [row for table in self.tables.values() for row in table]
        ranked = [row for row in rows if row["rank"] is not None]
        groups = {(world.queries.group(q), world.documents.group(d)) for q, d in world.pairs}
        counts = {
            "queries": len(world.queries.rows),
            "queries_without_positive": len(world.queries.rows) - len(world.mined()),
            "pairs": len(world.pairs),
            "positives": len(groups),
            "candidates": len(ranked),
        } | {
            f"candidates_from_{columns[name]}": sum(
                row[f"{columns[name]}_rank"] is not None for row in ranked
            )
            for name in depths
        }
        for name, count in counts.items():
            self._same(f"mine counts {name}", count, mined.counts[name])

    def _run_file(self) -> str:
        rng, world = self.rng, self.world
        world.run, lines = [], []
        for query, (name, _, _) in enumerate(world.queries.rows):
            documents = range(len(world.documents.rows))
            for n, row in enumerate(rng.sample(documents, rng.randint(0, min(6, len(documents))))):
                score = rng.choice([0.5, 1.0, 2.0, -1.0])
                world.run.append((query, row, score))
                lines.append(f"{name} Q0 {world.documents.rows[row][0]} {n} {score} x\n")
        (self.folder / "other.run").write_text("".join(lines))
        return str(self.folder / "other.run")

    def _tables(self, factor: int) -> dict[str, list[oracle.Row]]:
        depths = {name: depth * factor for name, depth in self.depths.items()}
        return {
            self.world.queries.rows[query][0]: self.world.candidates(
                query, depths, self.columns, self.admits
            )
            for query in self.world.mined()
        }

    def _compare_candidates(self, expected: dict, found: dict, where: str) -> None:
        self._same(f"{where}: queries", sorted(expected), sorted(found))
        for name in expected.keys() & found.keys():
            ids = [[row["doc_id"] for row in table[name]] for table in (expected, found)]
            self._same(f"{where}: documents of {name}", *ids)
            if ids[0] != ids[1]:
                continue
            for row, there in zip(expected[name], found[name], strict=True):
                for column in (
                    *("rank", "is_positive", "is_query", "grade"),
                    *("near_copy", "contained", "contains"),
                    *("dense_score", "owner_score", "bm25_score"),
                    *(f"{self.columns[source]}_rank" for source in self.depths),
                ):
                    about = f"{where}: {column} of {name}, {row['doc_id']}"
                    self._same(about, row[column], there[column], 1e-12)
                self._same(f"{where}: rrf_score of {name}", row["fused"], there["rrf_score"], 1e-12)
                if row["bm25_score"] is not None:
                    row["bm25_score"] = there["bm25_score"]

    # Filter

    def _filter(self, output: Path) -> None:
        rng = self.rng
        rules, flags = self._rules(output)
        most_uses, deepen = flags.get("max_uses"), flags.get("deepen", 1)
        query_where = None
        # A query that is not used leaves documents that others are barred from already.
        if rng.random() < 0.15 and most_uses is None:
            flags["query_where"] = "count(*) filter (where selected) >= 2"
            query_where = 2
        layout = rng.choice(["triplet", "n-tuple", "labeled-pair", "labeled-list"])
        flags |= {"format": layout, "output_scores": rng.random() < 0.3}
        with self._about("filter", flags):
            result = hnmine.filter(candidates=self.candidates, output=output, **flags, **QUIET)
        tables = {name: [dict(row) for row in table] for name, table in self.tables.items()}
        for table in tables.values():
            self._judge(table, rules)
        factor = 1
        while factor < deepen:
            short = [
                name
                for name, table in tables.items()
                if (n := len(oracle.choose(table, rules))) < oracle.asked(table, rules)
                and (query_where is None or n >= query_where)
            ]
            if not short:
                break
            factor = min(2 * factor, deepen)
            deeper = self._tables(factor)
            for name in short:
                tables[name] = deeper[name]
                self._judge(tables[name], rules)
        found = by_query(read_rows(output / "scored"))
        self._compare_candidates(tables, found, "scored")
        if self.said:
            return
        if most_uses is not None:
            self._bar(tables, found, most_uses)
        self._compare_verdicts(tables, found, rules, query_where)
        self._compare_counts(tables, found, result.counts)
        self._compare_shortfall(tables, read_rows(output / "shortfall.parquet"))
        train = train_rows(tables, found, self.world, layout, rules, flags["output_scores"])
        self._same(f"train as {layout}", train, read_rows(output / "train"), 1e-12)
        self._never(tables, found)
        if rng.random() < 0.5:
            self._export(output, tables, found)

    @staticmethod
    def _judge(table: list[oracle.Row], rules: Rules) -> None:
        for row, reason in zip(table, oracle.reasons(table, rules), strict=True):
            row["reason"] = reason

    def _rules(self, output: Path) -> tuple[Rules, dict[str, Any]]:
        rng = self.rng
        scores = ["dense_score"] * self.has_dense + ["bm25_score"] * self.parts[0]
        score = rng.choice(scores)
        rules, flags = Rules(score), {"score": SHORT[score], "default_rule": False}
        if score == scores[0] and rng.random() < 0.5:
            del flags["score"]
        values = [
            row[score] for table in self.tables.values() for row in table if row[score] is not None
        ]
        gaps = [abs(rng.choice(values) - rng.choice(values)) for _ in range(3)]

        def give(name: str, value: Any, chance: float = 0.25) -> None:
            if rng.random() < chance:
                setattr(rules, name, value)
                flags[name] = value

        give("positive_score", rng.choice(["min", "max", "mean"]), 0.4)
        give("margin", rng.choice([0.0, 0.05, -0.1, *gaps]))
        give("relative_margin", rng.choice([0.0, 0.05, 0.5, -0.2]))
        give("max_score", rng.choice(values))
        give("min_score", rng.choice(values))
        give("near_copy", rng.choice([0.2, 0.5, 1.0, 2.0]))
        give("num_negatives", rng.randint(1, 4), 0.7)
        give("range_min", rng.randint(1, 4))
        if rng.random() < 0.25:
            rules.range_max = rules.range_min + rules.num_negatives + rng.randint(0, 5)
            flags["range_max"] = rules.range_max
        self._give_expressions(rules, flags)
        if rng.random() < 0.2:
            flags["judge"] = [self._verdict_file(rules, output)]
        if rng.random() < 0.25:
            flags["deepen"] = rng.choice([2, 3, 4])
        # What counts survivors chooses anew when a document is barred; then its users may leave it.
        counted = rules.within or rules.per_query or any("(" in e.text for e, _ in rules.quota)
        if rng.random() < 0.3 and not (counted or rules.drawn):
            flags["max_uses"] = rng.randint(1, 2)
        return rules, flags

    def _give_expressions(self, rules: Rules, flags: dict[str, Any]) -> None:
        rng = self.rng
        kinds = expressions([f"{self.columns[name]}_rank" for name in self.depths])

        def give(name: str, of: str, chance: float) -> None:
            if rng.random() < chance:
                setattr(rules, name, rng.choice(kinds[of]))
                flags[name] = getattr(rules, name).text

        if rng.random() < 0.3:
            rules.where = rng.sample(kinds["true"], rng.choice([1, 2]))
            flags["where"] = [expression.text for expression in rules.where]
        give("relabel", "relabel", 0.15)
        give("order", "number", 0.4)
        give("within", "within", 0.15)
        give("weight", "weight", 0.2)
        if rng.random() < 0.2 and rules.range_max is None:
            pairs = [(e, rng.randint(1, 2)) for e in rng.sample(kinds["true"], 2)]
            rules.quota, flags["quota"] = pairs, {e.text: n for e, n in pairs}
        else:
            give("per_query", "per_query", 0.2)
        if rng.random() < 0.15 and not rules.quota:
            rules.drawn, flags["sampling"] = True, "random"
            flags["seed"] = rng.randint(0, 9)

    def _verdict_file(self, rules: Rules, output: Path) -> str:
        rng = self.rng
        pairs = [(r["query_id"], r["doc_id"]) for table in self.tables.values() for r in table]
        chosen = rng.sample(pairs, min(len(pairs), 5))
        values = [rng.choice([0.0, 0.3, 0.5, 0.7, 1.0]) for _ in chosen]
        # What is known of a pair is known of all with the same texts; the highest counts.
        known: dict[tuple[str, str], float] = {}
        for pair, value in zip(chosen, values, strict=True):
            same = self._texts_of(pair)
            known[same] = max(value, known.get(same, value))
        verdicts = {pair: known.get(self._texts_of(pair)) for pair in pairs}
        rules.verdicts = {pair: value for pair, value in verdicts.items() if value is not None}
        path = output.with_suffix(".parquet")
        one, other = map(list, zip(*chosen, strict=True))
        pq.write_table(pa.table({"query_id": one, "doc_id": other, "score": values}), path)
        return str(path)

    def _texts_of(self, pair: tuple[str, str]) -> tuple[str, str]:
        """The texts of a pair of ids, as identity compares them."""
        query, document = (
            {row[0]: row[1] for row in side.rows}
            for side in (self.world.queries, self.world.documents)
        )
        return oracle.normalise(query[pair[0]]), oracle.normalise(document[pair[1]])

    def _bar(self, tables: dict, found: dict, most: int) -> None:
        """Take over whom --max-uses barred, if it may bar them."""
        users = Counter(
            row["slot"]
            for name, table in tables.items()
            for row, there in zip(table, found[name], strict=True)
            if there["selected"]
        )
        for document, count in users.items():
            self._least(f"at most {most} queries use document {document}", count <= most)
        for name, table in tables.items():
            for row, there in zip(table, found[name], strict=True):
                if there["reason"] == "max-uses":
                    about = f"{there['doc_id']} is barred for {name}"
                    self._least(f"{about}, and kept otherwise", row["reason"] == "")
                    self._least(f"{about}, and used by {most}", users[row["slot"]] == most)
                    row["reason"] = "max-uses"

    def _compare_verdicts(self, tables: dict, found: dict, rules: Rules, least: int | None) -> None:
        for name, table in tables.items():
            there = found[name]
            chosen = oracle.choose(table, rules)
            used = least is None or len(chosen) >= least
            if rules.drawn:
                chosen = self._as_drawn(table, there, chosen, rules, used)
            wanted = oracle.asked(table, rules) if used else 0
            self._same(
                f"anchors of {name}", table[0]["positive_score"], there[0]["positive_score"], 1e-12
            )
            chosen = chosen if used else []
            given = {"rows": table, "among": chosen}
            place = {id(row): n for n, row in enumerate(chosen)}
            for row, written in zip(table, there, strict=True):
                row["asked"], row["used"] = wanted, used
                row["selected"], row["place"] = id(row) in place, place.get(id(row))
                positive = row["is_positive"] or row["reason"] == "relabelled"
                row["label"] = 1 if positive and used else 0 if row["selected"] else None
                row["weight"] = None
                if row["selected"]:
                    weight = rules.weight.value(row, given) if rules.weight else 1.0
                    row["weight"] = float(np.float32(weight))
                row["keep"] = row["reason"] == ""
                for column in ("keep", "selected", "place", "label", "weight", "score"):
                    about = f"{column} of {name}, {row['doc_id']} ({row['reason']})"
                    self._same(about, row[column], written[column], 1e-6)
                self._same(
                    f"reason of {name}, {row['doc_id']}", row["reason"], written["reason"] or ""
                )

    def _as_drawn(
        self, table: list, there: list, chosen: list, rules: Rules, used: bool
    ) -> list[oracle.Row]:
        """A draw may be any of so many; take over which it was, the best first."""
        picked = [row for row, w in zip(table, there, strict=True) if w["selected"]]
        if used:
            self._same(f"drawn for {table[0]['query_id']}", len(chosen), len(picked))
        free = oracle.choose(
            table, Rules(within=rules.within, order=rules.order, num_negatives=999)
        )
        self._least("drawn are survivors", all(row in free for row in picked))
        return [row for row in free if row in picked] if used else chosen

    def _compare_counts(self, tables: dict, found: dict, counts: dict[str, Any]) -> None:
        rows = [row for table in tables.values() for row in table]
        firsts = [table[0] for table in tables.values()]
        others = [row for row in rows if not row["is_positive"]]
        negatives = sum(row["selected"] for row in rows)
        wanted = sum(row["asked"] for row in firsts)
        expected = {
            "queries": len(tables),
            "positives": len(rows) - len(others),
            "candidates": len(others),
            "kept": sum(row["keep"] for row in rows),
            "negatives": negatives,
            "negatives_asked": wanted,
            "negatives_missing": wanted - negatives,
        }
        dropped = Counter(row["reason"] for row in others if row["reason"])
        expected |= {f"dropped_{name}": count for name, count in dropped.items()}
        written = {n: c for n, c in counts.items() if n in expected or n.startswith("dropped_")}
        self._same("filter counts", expected, written)

    def _compare_shortfall(self, tables: dict, found: list[dict[str, Any]]) -> None:
        expected = {
            name: table
            for name, table in tables.items()
            if sum(row["selected"] for row in table) < table[0]["asked"]
        }
        self._same("short queries", sorted(expected), sorted(row["query_id"] for row in found))
        for row in found:
            table = expected.get(row["query_id"], [])
            if not table:
                continue
            others = [r for r in table if not r["is_positive"]]
            dropped = Counter(r["reason"] for r in others if r["reason"])
            most = max(dropped.values(), default=0)
            worst = [name for name, n in dropped.items() if n == most] or ["no-candidates"]
            counts = (table[0]["asked"], sum(r["selected"] for r in table), len(others))
            about = f"shortfall of {row['query_id']}"
            self._same(about, counts, (row["asked"], row["found"], row["candidates"]))
            self._least(f"{about}: {row['reason']} is one of {worst}", row["reason"] in worst)

    def _never(self, tables: dict, found: dict) -> None:
        """No positive, copy of one or query is among its negatives, by text alone."""
        texts = {name: text for name, text, _ in self.world.documents.rows}
        for query, (name, text, _) in enumerate(self.world.queries.rows):
            never = {oracle.normalise(text)}
            positives = self.world.positives(query).values()
            never |= {oracle.normalise(self.world.documents.rows[row][1]) for row in positives}
            for row in found.get(name, []):
                if row["selected"]:
                    about = f"{row['doc_id']} may be a negative of {name}"
                    self._least(about, oracle.normalise(texts[row["doc_id"]]) not in never)

    def _export(self, mined: Path, tables: dict, found: dict) -> None:
        to = self.rng.choice(EXPORTS)
        output = mined.with_name(f"{mined.name}-{to}")
        with self._about("export", {"to": to}):
            hnmine.export(mined=mined, output=output, to=to, **QUIET)
        expected = exported(to, tables, found, self.world)
        for name, lines in expected.items():
            read = (output / name).read_text("utf-8").splitlines()
            self._same(f"{to}: {name}", lines, [parsed(to, line) for line in read], 1e-12)

    # What differs

    @contextmanager
    def _about(self, command: str, flags: dict[str, Any]) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise AssertionError(f"{command} {flags}: {type(error).__name__}: {error}") from error
        self.flags = f"{command} {flags}"

    def _least(self, about: str, holds: bool) -> None:
        if not holds:
            self.said.append(f"not so: {about}\n    after {self.flags}")

    def _same(self, about: str, expected: Any, found: Any, tolerance: float = 0) -> None:
        if not alike(expected, found, tolerance):
            both = f"    expected {expected!r}\n    found    {found!r}"
            self.said.append(f"{about}:\n{both}\n    after {self.flags}")


def alike(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[k], other[k], tolerance) for k in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(alike(a, b, tolerance) for a, b in pairs)
    if one is None or other is None or isinstance(one, str) or isinstance(other, str):
        return one == other
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)


def by_query(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["query_id"], []).append(row)
    return found


def expressions(ranks: Sequence[str]) -> dict[str, list[Expression]]:
    """Expressions by what they may be used for."""

    def held(name: str) -> Expression:
        return Expression(f"{name} is not null", lambda row, given: row[name] is not None)

    true = [
        *map(held, ranks),
        Expression(f"{ranks[0]} is null", lambda row, given: row[ranks[0]] is None),
        Expression("rank < 4", lambda row, given: row["rank"] is not None and row["rank"] < 4),
        Expression("rank(score) >= 2", lambda row, given: higher(row, given, "score") >= 2),
        Expression("score < pos(score)", lambda row, given: row["score"] < pos(given, "score")),
        Expression(
            "score >= posmax(score) - 0.5",
            lambda row, given: row["score"] >= pos(given, "score", max) - 0.5,
        ),
        Expression("count(*) > 3", lambda row, given: len(given["among"]) > 3),
        Expression("grade is null", lambda row, given: row["grade"] is None),
        Expression(
            "owner_score is null or owner_score < 0.5",
            lambda row, given: row["owner_score"] is None or row["owner_score"] < 0.5,
        ),
    ]
    return {
        "true": true,
        "number": [
            Expression("-score", lambda row, given: -row["score"]),
            Expression("score", lambda row, given: row["score"]),
            Expression("near_copy", lambda row, given: row["near_copy"]),
            Expression("rank % 3", lambda row, given: row["rank"] % 3),
            *(Expression(name, lambda row, given, n=name: row[n]) for name in ranks),
        ],
        "within": [
            Expression("rank(score) < 3", lambda row, given: higher(row, given, "score") < 3),
            true[len(ranks) + 1],
        ],
        "per_query": [
            Expression("count(*) / 2", lambda row, given: len(given["among"]) / 2),
            Expression("count(*) * 0.3 + 0.3", lambda row, given: len(given["among"]) * 0.3 + 0.3),
            Expression("1.5", lambda row, given: 1.5),
            Expression("-1", lambda row, given: -1),
        ],
        "weight": [
            Expression("1 / (1 + rank)", lambda row, given: 1 / (1 + row["rank"])),
            Expression("score * score", lambda row, given: row["score"] ** 2),
            Expression("1 / count(*)", lambda row, given: 1 / len(given["among"])),
        ],
        "relabel": [
            Expression(
                "score > positive_score", lambda row, given: row["score"] > row["positive_score"]
            ),
            Expression(
                "near_copy > 0.4",
                lambda row, given: (
                    row["near_copy"] is not None and row["near_copy"] > np.float32(0.4)
                ),
            ),
        ],
    }


def split(table: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows that serve as positives, and the negatives, the best first."""
    positives = [row for row in table if row["label"] == 1]
    negatives = [row for row in table if row["label"] == 0]
    return positives, sorted(negatives, key=lambda row: row["place"])


def train_rows(
    tables: dict[str, list[oracle.Row]],
    found: dict[str, Any],
    world: World,
    layout: str,
    rules: Rules,
    scores: bool,
) -> list[dict[str, Any]]:
    """What stands in train/, query by query in the order of scored/."""
    wanted = sum(n for _, n in rules.quota) if rules.quota else rules.num_negatives
    made = []
    for name in found:
        query = world.queries.rows[world.queries.find(name)][1]
        positives, negatives = split(tables[name])
        if layout == "labeled-pair":
            for row in positives + negatives:
                judged = {"score": row["score"]} if scores else {"label": row["label"]}
                made.append({"query": query, "passage": row["text"], **judged})
            continue
        for positive in positives:
            start = {"query": query, "positive": positive["text"]}
            values = [positive["score"], *(row["score"] for row in negatives)]
            texts = [row["text"] for row in negatives]
            if layout == "triplet":
                for n, text in enumerate(texts):
                    both = {"scores": [values[0], values[n + 1]]} if scores else {}
                    made.append({**start, "negative": text, **both})
            elif layout == "n-tuple" and len(texts) == wanted:
                numbered = {f"negative_{n}": text for n, text in enumerate(texts, 1)}
                made.append({**start, **numbered, **({"scores": values} if scores else {})})
            elif layout == "labeled-list" and texts:
                judged = {"scores": values} if scores else {"labels": [1] + [0] * len(texts)}
                made.append({"query": query, "passages": [positive["text"], *texts], **judged})
    return made


def exported(to: str, tables: dict, found: dict, world: World) -> dict[str, list[Any]]:
    """What an export's files hold, by name."""
    full = {name: split(tables[name]) for name in found}
    full = {name: both for name, both in full.items() if both[0] and both[1]}
    judged = [
        (name, row["doc_id"], row["label"])
        for name, both in full.items()
        for row in (*both[0], *both[1])
    ]
    if to == "trec":
        lines = []
        for name in found:
            rows = [r for r in tables[name] if not r["is_query"] and r["score"] is not None]
            rows.sort(key=lambda row: -row["score"])
            lines += [
                (name, "Q0", r["doc_id"], n, r["score"], "hnmine") for n, r in enumerate(rows, 1)
            ]
        return {"run.txt": lines, "qrels.txt": [(q, 0, d, g) for q, d, g in judged]}
    if to == "beir":
        corpus = [
            {"_id": name, "title": "", "text": text} for name, text, _ in world.documents.rows
        ]
        header = [("query-id", "corpus-id", "score")]
        return {"corpus.jsonl": corpus, "qrels/train.tsv": header + judged}
    if to == "msmarco":
        triples = [
            (name, one["doc_id"], other["doc_id"])
            for name, (positives, negatives) in full.items()
            for one in positives
            for other in negatives
        ]
        positives = [(q, 0, d, g) for q, d, g in judged if g]
        return {"qidpidtriples.train.tsv": triples, "qrels.train.tsv": positives}
    lines = []
    for name, (positives, negatives) in full.items():
        lines.append(
            {
                "query": world.queries.rows[world.queries.find(name)][1],
                "pos": [row["text"] for row in positives],
                "neg": [row["text"] for row in negatives],
                "pos_scores": [row["score"] for row in positives],
                "neg_scores": [row["score"] for row in negatives],
            }
        )
    return {"data/train.jsonl": lines}


def parsed(to: str, line: str) -> Any:
    """A line of an exported file."""
    if line.startswith("{"):
        return json.loads(line)
    fields: list[Any] = line.split("\t") if "\t" in line else line.split(" ")
    kinds = {
        ("trec", 6): (str, str, str, int, float, str),
        ("trec", 4): (str, int, str, int),
        ("msmarco", 4): (str, int, str, int),
        ("beir", 3): (str, str, str if line.startswith("query-id") else int),
    }.get((to, len(fields)), (str,) * len(fields))
    return tuple(kind(value) for kind, value in zip(kinds, fields, strict=True))


def try_case(seed: int, number: int, encoder: tuple[Path, dict]) -> list[str]:
    """Return what differs in one case."""
    rng = random.Random(f"{seed}-{number}")
    with tempfile.TemporaryDirectory() as folder:
        case = Case(rng, Path(folder), encoder)
        try:
            case.run()
        except AssertionError as error:
            case.said.append(str(error))
        except Exception:
            case.said.append(traceback.format_exc())
        return [f"case {number} of seed {seed}: {text}" for text in case.said]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("encoder") / "static"
    return folder, write_encoder(folder)


@pytest.mark.parametrize("start", range(0, CASES, 8))
def test_what_is_written_is_what_the_documentation_says(encoder, start):
    said = [text for n in range(start, start + 8) for text in try_case(0, n, encoder)]
    assert not said, "\n".join(said[:20])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "static"
        made = folder, write_encoder(folder)
        for number in range(options.first, options.first + options.runs):
            said = try_case(options.seed, number, made)
            wrong += bool(said)
            if said or number % 100 == 99:
                sys.stdout.write("\n".join([f"{number + 1} cases", *said[:3]]) + "\n")
                sys.stdout.flush()
    sys.stdout.write(f"{options.runs} cases of {FILTERS} filters each, {wrong} differ\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
