"""`hnmine generate`: write texts that may serve as negatives, each for one query."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from hnmine.config import GenerateSettings
from hnmine.directories.queries import Queries
from hnmine.errors import InputError, UsageError
from hnmine.extras.generation.edits import Edit, Entities, draw_edits
from hnmine.extras.generation.endpoint import PROMPT, ask_all
from hnmine.extras.generation.entities import gather_entities
from hnmine.extras.generation.made import (
    WRITTEN,
    Pair,
    Row,
    as_table,
    merge_made,
    read_written,
    usable,
)
from hnmine.inputs.opening import labels_of, open_inputs, read_documents, read_pairs, read_queries
from hnmine.inputs.table_reader import BadRows, content_id
from hnmine.inputs.texts import Texts, write_texts
from hnmine.keyed_noise import keyed_noise
from hnmine.model_server import LanguageModel, filled, key_in, read_prompt
from hnmine.names import repeated
from hnmine.results import StageResult, base_plan
from hnmine.runner.plan import Task, blocks, canonical_json
from hnmine.runner.run_directory import Counts, RunDirectory, Tick
from hnmine.schema import MADE, MADE_FILE, STATE
from hnmine.sources.positives import write_positives

WORK = f"{STATE}/work"
"""Documents and queries with their text lookups; deleted when the run is done."""

SHARD_ROWS = 16384


def generate(settings: GenerateSettings) -> StageResult:
    """Generate texts, or resume.

    Raises:
        HnmineError: an input or a setting cannot be used, or a language model does not answer.
    """
    maker = _Maker(settings)
    plan = base_plan("generated", settings) | {
        "inputs": {kind: table.fingerprint() for kind, table in maker.inputs.items()},
        "edits": list(settings.edits),
        "prompts": maker.prompts if settings.endpoint else None,
    }
    with RunDirectory.open(settings.output, plan, passing=(WORK,), **settings.manner) as run:
        if not run.complete:
            run.finish(maker.run(run))
        manifest = run.manifest
    return StageResult(settings.output, manifest["counts"], manifest)


class _Maker:
    """The tasks of a run and the data that they share."""

    def __init__(self, settings: GenerateSettings) -> None:
        self.settings = settings
        self.inputs = open_inputs(settings, ("corpus", "pairs", "queries", "qrels", "written"))
        written = self.inputs.get("written")
        if written and not {"query_id", "query"} & written.columns.keys():
            raise InputError(
                f"{settings.written} does not say which query each text was written for.",
                why="It has neither a column query_id nor a column query.",
                fix="Pass --column written.query_id=NAME or --column written.query=NAME.",
            )
        self._check_names()
        self.prompts = _read_prompts(settings.prompt) or {WRITTEN: PROMPT}

    def _check_names(self) -> None:
        """Refuse a corpus whose id or text column would clash with the output's columns."""
        named = self.inputs["corpus"].columns if "corpus" in self.inputs else {}
        own = [named[role] for role in ("id", "text") if role in named]
        if name := repeated(own, MADE.names[1:]):
            raise InputError(
                f"The corpus keeps its ids or texts in a column {name}.",
                why="The output uses a column of that name for something else.",
                fix="Rename the column.",
            )

    def run(self, run: RunDirectory) -> dict[str, int]:
        self.work = run.path / WORK
        counts = self._store(run)
        self.documents = Texts(self.work / "documents")
        self.queries = Queries(self.work / "queries", self.documents)
        counts |= self._entities(run)
        parts: list[Task] = []
        if self.settings.edits:
            parts += self._blocks("edit")
            counts |= _with(counts, run.run("edit", "queries", parts, self._edit))
        if self.settings.endpoint:
            asked = [replace(task, size=self._requests(task)) for task in self._blocks("ask")]
            counts |= _with(counts, run.run("ask the model", "answers", asked, self._ask))
            parts += asked
        if "written" in self.inputs:
            given = self.inputs["written"]
            read = Task("written", (f"{WORK}/written.parquet",), given.count_rows())
            counts |= _with(counts, run.run("read", "rows", [read], self._read_written))
            parts.append(read)

        def merge(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            made = [run.path / part.outputs[0] for part in parts]
            return merge_made(made, self._as_corpus, outputs[0])

        merged = run.run("merge", "parts", [Task("merge", (MADE_FILE,), len(parts))], merge)
        return {**counts, **merged}

    def _store(self, run: RunDirectory) -> dict[str, int]:
        """Store documents and queries with lookups by id and by text."""
        bad_mode = self.settings.on_bad_row
        rows = sum(t.count_rows() for kind, t in self.inputs.items() if kind != "written")

        def store(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            lost, bad = BadRows(bad_mode), BadRows(bad_mode)
            read = partial(read_documents, self.inputs)
            stored = write_texts(read, outputs[0], SHARD_ROWS, lost, tick)
            asked = write_texts(
                partial(read_queries, self.inputs), outputs[1], SHARD_ROWS, bad, tick
            )
            labels = labels_of(self.inputs, self.settings, bad)
            again = BadRows("skip") if "pairs" in self.inputs else bad
            pairs = write_positives(
                read_pairs(self.inputs, self.settings.min_grade, again, labels),
                Texts(outputs[1]),
                Texts(outputs[0]),
                self.settings.pairs or self.settings.qrels or "",
                bad,
            )
            if not len(Queries(outputs[1], Texts(outputs[0])).mined):
                raise InputError(
                    "No query has a positive.",
                    why=f"{asked['rows']:,} queries, {pairs['pairs']:,} matching pairs.",
                    fix="Check that the judgements are about this corpus, and --min-grade.",
                )
            # Pairs are read twice, and count once.
            skipped = {f"skipped {why}": n for why, n in (lost.counts | bad.counts).items()}
            return {"documents": stored["rows"], "queries": asked["rows"], **pairs, **skipped}

        outputs = (f"{WORK}/documents", f"{WORK}/queries")
        return dict(run.run("texts", "rows", [Task("texts", outputs, 4 * rows)], store))

    def _entities(self, run: RunDirectory) -> Counts:
        self.entities: Entities = {}
        if "entity" not in self.settings.edits:
            return {}

        def gather(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            found = gather_entities(self.documents, self.settings.seed, tick)
            outputs[0].write_text(canonical_json(found), encoding="utf-8")
            return {"names": sum(map(len, found.values()))}

        task = Task("entities", (f"{WORK}/entities.json",), len(self.documents.canonical))
        counts = run.run("names", "docs", [task], gather)
        self.entities = json.loads((run.path / task.outputs[0]).read_text(encoding="utf-8"))
        return counts

    def _blocks(self, name: str) -> list[Task]:
        queries = blocks(len(self.queries.mined), self.settings.block_size)
        return [
            Task(f"{name}-{n:05d}", (f"{WORK}/{name}/{n:05d}.parquet",), len(block), n)
            for n, block in enumerate(queries)
        ]

    def _rows(self, task: Task) -> NDArray[np.int64]:
        start = task.index * self.settings.block_size
        rows: NDArray[np.int64] = self.queries.mined[start : start + self.settings.block_size]
        return rows

    def _requests(self, task: Task) -> int:
        positives = int(self.queries.positives(self._rows(task))[0][-1])
        return positives * self.settings.per_positive * len(self.prompts)

    def _pairs(self, task: Task) -> Iterator[Pair]:
        rows = self._rows(task)
        offsets, documents = self.queries.positives(rows)
        ids, texts = self.queries.texts.id_array(rows).to_pylist(), self.queries.texts.texts(rows)
        positive_ids = self.documents.id_array(documents).to_pylist()
        positives = self.documents.texts(documents)
        for query in range(len(rows)):
            for at in range(offsets[query], offsets[query + 1]):
                yield Pair(ids[query], texts[query], positive_ids[at], positives[at])

    def _edit(self, task: Task, outputs: list[Path], tick: Tick) -> Counts:
        """Edit each positive until enough edits are no copies of another text."""
        pairs, most = list(self._pairs(task)), self.settings.per_positive
        edits = [
            draw_edits(
                pair.positive, pair.query, self.settings.edits, self.entities, self._key(pair)
            )
            for pair in pairs
        ]
        kept: list[list[Row]] = [[] for _ in pairs]
        counts: dict[str, int] = {}
        drawing = list(range(len(pairs)))
        while drawing:
            drawn = [(n, edit) for n in drawing for edit in islice(edits[n], most - len(kept[n]))]
            rows = [_edited(pairs[n], edit) for n, edit in drawn]
            good, more = usable(as_table(rows), self.documents, self.queries.texts)
            counts |= _with(counts, more)
            for (n, _), row, is_good in zip(drawn, rows, good.tolist(), strict=True):
                kept[n] += [row] * is_good
            drawing = [n for n in dict.fromkeys(n for n, _ in drawn) if len(kept[n]) < most]
        made = [row for rows in kept for row in rows]
        pq.write_table(as_table(made), outputs[0], compression="zstd")
        return {
            **counts,
            "positives_without_edit": sum(not rows for rows in kept),
            "edits_asked": most * len(pairs),
            "edits_missing": most * len(pairs) - len(made),
        }

    def _key(self, pair: Pair) -> int:
        return int(keyed_noise(self.settings.seed, [pair.query_id], [pair.positive_id])[0])

    @cached_property
    def _model(self) -> LanguageModel:
        settings = self.settings
        return LanguageModel(
            settings.endpoint or "",
            settings.llm or "",
            key_in(settings.api_key_env),
            settings.temperature,
            settings.max_tokens,
            settings.timeout,
        )

    def _ask(self, task: Task, outputs: list[Path], tick: Tick) -> Counts:
        each = [
            (pair, kind, n)
            for pair in self._pairs(task)
            for kind in self.prompts
            for n in range(self.settings.per_positive)
        ]
        # Servers take seeds of 31 bits.
        prompts = [
            (
                filled(self.prompts[kind], query=pair.query, positive=pair.positive),
                xxhash.xxh3_64_intdigest(str(n).encode(), self._key(pair)) >> 33,
            )
            for pair, kind, n in each
        ]
        texts = ask_all(self._model, prompts, self.settings.requests, tick)
        made: list[Row] = [
            (text, pair.query_id, pair.positive_id, kind, None, None)
            for (pair, kind, _), text in zip(each, texts, strict=True)
        ]
        return self._write(as_table(made), outputs[0])

    def _read_written(self, task: Task, outputs: list[Path], tick: Tick) -> Counts:
        bad = BadRows(self.settings.on_bad_row)
        corpus = self.inputs["corpus"].columns.values() if "corpus" in self.inputs else ()
        made = read_written(self.inputs["written"], self.queries.texts, bad, tick, corpus)
        skipped = {f"skipped {reason}": count for reason, count in bad.settle().items()}
        return {**self._write(made, outputs[0]), **skipped}

    def _write(self, made: pa.Table, path: Path) -> Counts:
        good, counts = usable(made, self.documents, self.queries.texts)
        pq.write_table(made.filter(pa.array(good)), path, compression="zstd")
        return counts

    def _as_corpus(self, made: pa.Table) -> pa.Table:
        """Name id and text as the corpus does, so that both read as one table."""
        corpus = self.inputs.get("corpus")
        names = corpus.columns if corpus else {"id": "id", "text": "text"}
        columns = {names["text"]: made["text"]}
        if "id" in names:
            ids = [f"made-{content_id(text)}" for text in made["text"].to_pylist()]
            columns = {names["id"]: pa.array(ids, pa.string()), **columns}
        return pa.table(columns | {name: made[name] for name in made.column_names[1:]})


def _with(counts: Counts, more: Counts) -> dict[str, int]:
    return {name: counts.get(name, 0) + count for name, count in more.items()}


def _edited(pair: Pair, edit: Edit) -> Row:
    text = edit.apply(pair.positive)
    return text, pair.query_id, pair.positive_id, edit.kind, edit.was, edit.became


def _read_prompts(files: Sequence[str]) -> dict[str, str]:
    """Return prompts by the kind of text that they ask for: the names of their files."""
    kinds = [Path(file).stem for file in files]
    if again := repeated(kinds):
        raise UsageError(
            f"Two prompts have the name {again}.",
            why="The column edit names texts after the file of their prompt.",
            fix="Rename one file.",
        )
    return {kind: _read_prompt(Path(file)) for kind, file in zip(kinds, files, strict=True)}


def _read_prompt(file: Path) -> str:
    prompt = read_prompt(file)
    if "{query}" not in prompt and "{positive}" not in prompt:
        raise UsageError(
            f"The prompt in {file} is the same for every query.",
            why="It contains neither {query} nor {positive}.",
            fix="Put {query} and {positive} into the prompt.",
        )
    return prompt
