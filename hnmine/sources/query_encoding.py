"""The vectors of queries: of the index's encoder, of another one, or from files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from hnmine.config import MineSettings
from hnmine.directories.index import Index
from hnmine.directories.queries import Queries
from hnmine.encode import check_encodes, load_encoder
from hnmine.encode.address import is_served
from hnmine.encode.declared import as_before, explained
from hnmine.encode.devices import device_for
from hnmine.encode.gate import note_for_server
from hnmine.encode.limits import positions_of
from hnmine.encode.locate import find_model, is_onnx
from hnmine.encode.spec import ModelSpec
from hnmine.errors import InputError, UsageError
from hnmine.index.dense_index import DenseIndex
from hnmine.index.given_vectors import GivenVectors, open_given, spec_of
from hnmine.index.stored import refuse_without_vector, write_vectors
from hnmine.inputs.opening import read_queries
from hnmine.inputs.table_reader import BadRows, Table
from hnmine.runner import incidents
from hnmine.runner.manifest import planned
from hnmine.runner.plan import Task, blocks
from hnmine.runner.run_directory import Counts, RunDirectory, Tick
from hnmine.schema import QUERIES_PER_TASK, CandidatePaths
from hnmine.sources.queryvectors import encoded_rows


class QueryEncoding:
    """Writes one vector for each distinct query text.

    Attributes:
        spec: the encoder, on its device, or the files; None without a dense index.
        fingerprints: the hash of each file of vectors, as of other inputs.
    """

    def __init__(self, settings: MineSettings, index: Index) -> None:
        self.settings, self.index, self.threads = settings, index, settings.cpu_threads
        self._given = open_given(settings.query_vectors, settings, "queries")
        self.fingerprints = {"query_vectors": self._given.content} if self._given else {}
        self.spec = self._spec()

    def _spec(self) -> ModelSpec | None:
        if not self.index.settings.dense:
            return None
        spec = self.index.encoder
        if self._given:
            return spec_of(self._given, spec.similarity, spec.truncate_dim)
        if self.settings.query_encoder:
            return self._another(self.settings.query_encoder)
        return self.index.encoder_on(self.settings.device)

    def _another(self, model: str) -> ModelSpec:
        """Return the spec of an encoder of queries alone, whose vectors compare with the index's.

        How the index's encoder ran applies where this one can run so. Its own prompts apply unless
        the index was built with others.
        """
        indexed, given, device = self.index.encoder, self.index.settings, self.settings.device
        served = is_served(model)
        if served and self.settings.share.index == 0:
            note_for_server(model, given.max_length, given.pooling)
        folder = None if served else find_model(model)
        precise = folder is None or is_onnx(folder)
        spec = ModelSpec.find(
            model,
            use="encoder",
            max_length=_limit(folder, given.max_length) if folder else None,
            device=device,
            dtype=None if precise else indexed.dtype_on(device_for(device), given.dtype),
            batch_tokens=given.batch_tokens,
            similarity=indexed.similarity,
            truncate_dim=indexed.truncate_dim,
            query_prompt=given.query_prompt,
            document_prompt=given.document_prompt,
            pooling=None if served else given.pooling,
            reach=self.settings.reach,
        )
        return self._recognised(spec) if served else spec

    def _recognised(self, spec: ModelSpec) -> ModelSpec:
        """Return a served model as the index or an earlier run records it.

        Raises:
            InputError: the model of the index has changed on its server.
        """
        indexed, mined = self.index.encoder, planned(self.settings.output).get("encoder")
        found = as_before(spec, indexed.model_dump())
        served = (spec.backend, spec.served_as) == (indexed.backend, indexed.served_as)
        if served and spec.model == indexed.model and found is spec:
            raise InputError(
                f"{spec.model} does not serve the model that encoded the documents.",
                why="It answers a fixed text with other numbers.",
                fix="Serve the old model again, or build the index again.",
            )
        return as_before(found, mined) if found is spec and isinstance(mined, dict) else found

    def check(self) -> None:
        """Refuse to start where the queries would get no vectors.

        Raises:
            UsageError: no encoder is known, or the vectors do not fit the index.
        """
        if self._given and self.spec:
            self._check_dimension(self.spec.truncate_dim or self._given.dimension)
        elif self.spec:
            check_encodes(self.spec, "query")

    def write(self, run: RunDirectory, queries: Queries, inputs: Mapping[str, Table]) -> Counts:
        """Encode the queries or read their vectors; the counts are those of the step."""
        assert self.spec
        rows = encoded_rows(queries)
        tasks = [
            Task(f"vectors-{n:05d}", (f"dense/vectors/{n:05d}.npy",), len(block), block.start)
            for n, block in enumerate(blocks(len(rows), QUERIES_PER_TASK))
        ]
        if self._given:
            return self._read(run, tasks, queries, inputs)
        spec, settings = self.spec, self.settings
        encoder = load_encoder(spec, self.threads) if any(map(run.missing, tasks)) else None
        if encoder and settings.query_encoder and (said := explained(spec)):
            incidents.note(said)

        def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            assert encoder is not None
            bad = BadRows(settings.on_bad_row)
            chosen = rows[task.index : task.index + task.size]
            without = refuse_without_vector(bad, "query", queries.texts, chosen)
            texts = queries.texts.each_text(chosen)
            counts = write_vectors(texts, encoder, outputs[0], tick, "query", without)
            return counts | _skipped(bad)

        encoded = run.run("encode queries", "queries", tasks, work)
        dense = CandidatePaths(run.path).dense
        self._check_dimension(DenseIndex(dense, self.threads).dimension)
        return {"queries_encoded": encoded.pop("vectors"), **encoded}

    def _read(
        self, run: RunDirectory, tasks: list[Task], queries: Queries, inputs: Mapping[str, Table]
    ) -> Counts:
        source, spec, rows = self._given, self.spec, encoded_rows(queries)
        assert source and spec

        def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            bad = BadRows(self.settings.on_bad_row)
            read = partial(read_queries, inputs)
            given = GivenVectors(
                source, spec, queries.texts, rows, "query", complete=False, in_order=read
            )
            return given.write(outputs, QUERIES_PER_TASK, bad, tick) | _skipped(bad)

        outputs = tuple(task.outputs[0] for task in tasks)
        counts = run.run("query vectors", "queries", [Task("vectors", outputs, len(rows))], work)
        return {"queries_with_vector": counts.pop("vectors"), **counts}

    def _check_dimension(self, ours: int) -> None:
        theirs = self.index.vectors(self.threads).dimension
        if ours != theirs:
            given = self.settings.query_vectors or self.settings.query_encoder
            flag = "query-vectors" if self._given else "query-encoder"
            raise UsageError(
                f"--{flag} {given} does not fit the index.",
                why=f"Its vectors have {ours} dimensions, those of the documents {theirs}.",
                fix="Use an encoder that was trained with the documents' encoder.",
            )


def _limit(folder: Path, wanted: int | None) -> int | None:
    """Return the length limit of an index, as far as a model has positions for it."""
    positions = positions_of(folder)
    return min(wanted, positions) if wanted and positions else wanted


def _skipped(bad: BadRows) -> dict[str, int]:
    return {f"skipped {reason}": count for reason, count in bad.counts.items()}
