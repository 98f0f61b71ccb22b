"""What a run will need: tokens, disk, memory, cross-encoder pairs, and time by a short trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hnmine.config import ValidateSettings
from hnmine.encode import load_encoder
from hnmine.encode.address import is_served, split_address
from hnmine.encode.gate import admit, check
from hnmine.encode.limits import limit_for
from hnmine.encode.locate import find_model, is_onnx, read_json
from hnmine.encode.spec import ModelSpec
from hnmine.errors import HnmineError
from hnmine.index.dense_index import EXACT
from hnmine.index.factory import check_factory
from hnmine.index.tokenise import Tokeniser
from hnmine.results import Json
from hnmine.validate.findings import Report
from hnmine.validate.forecast import Load, joined
from hnmine.validate.input_checks import Gathered
from hnmine.validate.measured_costs import unit_costs
from hnmine.validate.model_trials import model_costs
from hnmine.validate.options import Work, options

LENGTHS_FROM = 2000
"""Texts that are split into tokens."""

LONG, PARTS_AT_ONCE = 1 << 16, 64
"""Characters of a text, at most, that are split into tokens, and texts at once."""

BYTES_PER_TOKEN = 4
POSTING_BYTES = 9
"""Document, frequency and impact of one term of one document in the BM25 index."""

DOCUMENT_BYTES = 120
"""Keys, offsets and identity of a document beside its text."""

CANDIDATE_BYTES = 30
"""A row of candidates, compressed, and its logit."""

Specs = tuple[ModelSpec | None, ModelSpec | None]
"""How the encoder and the cross-encoder run."""

Facts = tuple[Path | None, int | None, int | None, int]

BASE_RAM, TORCH_RAM, DOCUMENT_RAM = 300 << 20, 600 << 20, 300
"""Python with its libraries, PyTorch, and what one document takes while ids are checked."""


def encoder_facts(encoder: str, max_length: int | None) -> Facts:
    """Return an encoder's folder, the tokens it takes, its dimension if known, its bytes.

    Of one on a server nothing is known before it is asked.

    Raises:
        MissingModel: it is not on this machine, or cannot be used.
        UsageError: it is no encoder, or has fewer positions.
    """
    if is_served(encoder):
        split_address(encoder, "encoder")
        return None, None, None, 0
    folder = find_model(encoder)
    admit(encoder, folder, "encoder")
    dimension = _dimension(folder)
    limit = limit_for(encoder, folder, max_length)
    return folder, limit, dimension, weights_of(folder)


def spec_facts(spec: ModelSpec) -> tuple[int | None, int]:
    """Return the dimension of an encoder's vectors if known, and the bytes of its weights."""
    if spec.is_elsewhere:
        dimension = spec.content.partition("d-")[0] if spec.backend == "server" else ""
        return int(dimension) if dimension.isdecimal() else None, 0
    return encoder_facts(spec.model, spec.max_length)[2:]


def _dimension(folder: Path) -> int | None:
    """Return the dimension of an encoder's vectors, if its files say it."""
    pooling = read_json(folder / "1_Pooling", "config.json")
    layers = [read_json(layer, "config.json") for layer in sorted(folder.glob("[0-9]*_Dense"))]
    found = (
        read_json(folder, "config_sentence_transformers.json").get("truncate_dim"),
        *(layer.get("out_features") for layer in reversed(layers)),
        pooling.get("embedding_dimension"),
        pooling.get("word_embedding_dimension"),
        read_json(folder, "config.json").get("hidden_size"),
    )
    return next((size for size in found if isinstance(size, int) and size > 0), None)


def weights_of(folder: Path) -> int:
    """Return the bytes of a model's weights."""
    files = [*folder.glob("*.safetensors"), *folder.glob("*.bin"), *folder.glob("*.onnx")]
    return sum(file.stat().st_size for file in files)


def token_counts(texts: Sequence[str], folder: Path | None) -> tuple[NDArray[np.int64], bool]:
    """Count the tokens of texts, shape (n,), and tell whether a tokeniser did it.

    Without a tokenizer.json in the model's folder, 4 bytes are taken for a token.
    """
    file = folder / "tokenizer.json" if folder else None
    if file is None or not file.exists():
        sizes = [len(text.encode("utf-8", "replace")) for text in texts]
        return np.array(sizes, dtype=np.int64) // BYTES_PER_TOKEN + 1, False
    from tokenizers import Tokenizer

    tokeniser = Tokenizer.from_file(str(file))
    tokeniser.no_padding()
    tokeniser.no_truncation()
    # A tokeniser takes many times the memory of a text: of the longest, a part tells enough.
    parts = [text[:LONG].encode("utf-8", "replace").decode() for text in texts]
    found = (
        tokeniser.encode_batch_fast(parts[start : start + PARTS_AT_ONCE])
        for start in range(0, len(parts), PARTS_AT_ONCE)
    )
    counted = [len(encoding.ids) for some in found for encoding in some]
    longer = np.array([max(1.0, len(text) / LONG) for text in texts])
    return (np.array(counted) * longer).astype(np.int64), True


def lengths(texts: Sequence[str], folder: Path | None, limit: int | None) -> Json:
    """Describe the lengths of a sample of texts in tokens, and the share that the limit cuts."""
    counts, exact = token_counts(texts[:LENGTHS_FROM], folder)
    median, most, nearly_all = np.percentile(counts, [50, 90, 99]).astype(int).tolist()
    described = {
        "texts": len(counts),
        "counted_by": "the model's tokeniser" if exact else f"{BYTES_PER_TOKEN} bytes a token",
        "median": median,
        "percentile_90": most,
        "percentile_99": nearly_all,
        "longest": int(counts.max()),
    }
    if limit:
        described |= {"limit": limit, "cut_share": float(np.mean(counts > limit))}
    return described


def sizes(
    texts: Sequence[str],
    rows: int,
    distinct: int,
    pairs: int,
    dimension: int | None,
    *,
    bm25: bool,
) -> dict[str, int]:
    """Estimate what is written, in bytes.

    Args:
        texts: a sample of the documents.
        rows: documents that are written.
        distinct: documents that are indexed.
        pairs: candidates, at most.
        dimension: of the vectors; None without a dense index.
        bm25: whether there is a BM25 index.
    """
    size = sum(len(text.encode("utf-8", "replace")) for text in texts) / len(texts)
    postings = len(Tokeniser().count(texts).terms) / len(texts)
    disk = {
        "documents_bytes": int(rows * (size + DOCUMENT_BYTES)),
        "bm25_bytes": bm25 * int(distinct * (postings * POSTING_BYTES + 4)),
    }
    if dimension:
        disk["vectors_bytes"] = distinct * dimension * 4
    if pairs:
        disk["candidates_bytes"] = pairs * CANDIDATE_BYTES
    return {**disk, "disk_bytes": sum(disk.values())}


def memory(rows: int, weights: int | None, threads: int) -> int:
    """Estimate the most memory that a stage takes, in bytes; an approximate FAISS index is more.

    Args:
        rows: documents; 0 for what a process takes before it has read any.
        weights: bytes of its models; None where it runs none.
        threads: that search at once.
    """
    libraries = BASE_RAM + (0 if weights is None else TORCH_RAM + weights)
    return libraries + rows * (DOCUMENT_RAM + 4 * threads)


def check_faiss(factory: str, spec: ModelSpec, documents: int, threads: int) -> None:
    """Check that FAISS can build an index of so many vectors of an encoder.

    Raises:
        HnmineError: it cannot, or the encoder cannot be loaded or run.
    """
    if spec.backend == "files":
        return  # `build-index` knows their dimension before it reads them.
    vectors = load_encoder(spec, threads).encode(["dimension"], "document")
    check_factory(factory, vectors.shape[1], documents)


def estimate(
    report: Report,
    settings: ValidateSettings,
    found: Mapping[str, Gathered | None],
    mined: int,
) -> None:
    """Add lengths in tokens and the estimates to a report; a model that is not here is a fault."""
    folder = limit = dimension = weights = None
    if settings.encoder:
        with _reported(report):
            facts = encoder_facts(settings.encoder, settings.max_length)
            folder, limit, dimension, weights = facts
    if settings.cross_encoder:
        with _reported(report):
            check(settings.cross_encoder, "cross-encoder", None)
    samples = {what: list(rows.sample.values()) for what, rows in found.items() if rows}
    for what, rows in found.items():
        if rows:
            report.measured[what]["tokens"] = lengths(samples[what], folder, limit)
        if rows and rows.huge:
            report.measured[what] |= {"huge": rows.huge, "longest_characters": rows.longest}
    if not (documents := found["documents"]):
        return
    distinct, threads = len(documents.canonical), settings.cpu_threads
    dimension = report.measured.get("vectors", {}).get("dimensions", dimension)
    dense = bool(settings.encoder or settings.vectors)
    sources = dense + settings.bm25
    positives = report.measured.get("positives", {}).get("distinct", 0)
    pairs = mined * sources * min(settings.top_k, distinct) + positives
    needs = report.estimates
    needs |= sizes(
        samples["documents"], len(documents), distinct, pairs, dimension, bm25=settings.bm25
    )
    needs["peak_ram_bytes"] = memory(len(documents), weights, threads)
    if mined:
        needs["cross_encoder_pairs"] = pairs
    if settings.encoder and settings.faiss != EXACT:
        with _reported(report):
            check_faiss(settings.faiss, _encoder(settings), distinct, threads)
    if settings.calibrate:
        load = Load(
            documents=len(documents),
            distinct=distinct,
            queries=mined,
            bm25=settings.bm25,
            dense=dense,
            judged=bool(settings.cross_encoder),
        )
        with _reported(report):
            _time(report, settings, samples, load, pairs, positives, dimension)


def _time(
    report: Report,
    settings: ValidateSettings,
    samples: Mapping[str, list[str]],
    load: Load,
    pairs: int,
    positives: int,
    dimension: int | None,
) -> None:
    """Add the times of the models, of the run as given, and of its faster ways."""
    needs, threads = report.estimates, settings.cpu_threads
    documents, queries = samples["documents"], samples.get("queries", [])
    given = model_costs(*_specs(settings), documents, queries, threads)
    if settings.encoder:
        needs["encode_seconds"] = load.distinct * given.encode / threads
    if not (queries and load.queries):
        return
    if settings.cross_encoder:
        needs["cross_encoder_seconds"] = pairs * given.judge / threads
    rest = unit_costs(documents, queries, depth=settings.top_k, dimension=dimension)
    report.options = options(
        Work(
            load,
            joined(rest, given),
            threads,
            settings.top_k,
            load.bm25 + load.dense,
            settings.num_negatives,
            settings.lazy,
            positives,
        )
    )


def _specs(settings: ValidateSettings) -> Specs:
    """Return how the encoder and the cross-encoder run."""
    how = settings.model_use
    encoder = judge = None
    if settings.encoder:
        encoder = ModelSpec.find(settings.encoder, use="encoder", **how)
    name = settings.cross_encoder
    if name and is_served(name):
        how |= {"dtype": "fp32", "max_length": None}  # The server decides both.
        judge = ModelSpec.find(name, use="cross-encoder", **how)
    elif name:
        folder = find_model(name)
        # The settings of an encoder may ask for more tokens, and graphs have a fixed precision.
        most = limit_for(name, folder, None)
        how["max_length"] = min(filter(None, (settings.max_length, most)), default=None)
        if is_onnx(folder):
            how["dtype"] = "auto"
        judge = ModelSpec.find(name, use="cross-encoder", **how)
    return encoder, judge


@contextmanager
def _reported(report: Report) -> Iterator[None]:
    try:
        yield
    except HnmineError as error:
        report.fault(error)


def _encoder(settings: ValidateSettings) -> ModelSpec:
    assert settings.encoder is not None
    return ModelSpec.find(settings.encoder, use="encoder", **settings.model_use)
