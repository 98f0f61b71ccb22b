"""`mine_hard_negatives`: the function of sentence-transformers, done by hnmine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import xxhash
from pyarrow.parquet import read_table

from hnmine.drop_in.asked_rows import Asked
from hnmine.drop_in.given_models import GivenModel
from hnmine.drop_in.pair_tables import Pairs, corpus_of
from hnmine.drop_in.with_positives import n_tuples
from hnmine.encode.declared import OF_DOCUMENTS, OF_QUERIES
from hnmine.errors import UsageError, missing_extra
from hnmine.in_memory import LoadedModel, Tabular, on_disk
from hnmine.inputs.unchanged import Unchanged
from hnmine.progress import say
from hnmine.python_api import function, torch_as_before
from hnmine.results import StageResults
from hnmine.runner.plan import Json

if TYPE_CHECKING:
    from datasets import Dataset

Format = Literal["triplet", "n-tuple", "labeled-pair", "labeled-list"]

USUAL_FAISS_BATCH = 16384


def mine_hard_negatives(
    dataset: Tabular,
    model: LoadedModel | str,
    anchor_column_name: str | None = None,
    positive_column_name: str | None = None,
    corpus: Tabular | Sequence[str] | str | None = None,
    cross_encoder: LoadedModel | str | None = None,
    range_min: int = 0,
    range_max: int | None = None,
    max_score: float | None = None,
    min_score: float | None = None,
    absolute_margin: float | None = None,
    relative_margin: float | None = None,
    num_negatives: int = 3,
    sampling_strategy: Literal["random", "top"] = "top",
    query_prompt_name: str | None = None,
    query_prompt: str | None = None,
    corpus_prompt_name: str | None = None,
    corpus_prompt: str | None = None,
    include_positives: bool = False,
    output_format: Format = "triplet",
    output_scores: bool = False,
    batch_size: int = 32,
    faiss_batch_size: int = USUAL_FAISS_BATCH,
    use_faiss: bool = False,
    use_multi_process: list[str] | bool = False,
    verbose: bool = True,
    cache_folder: str | Path | None = None,
    as_triplets: bool | None = None,
    margin: float | None = None,
    *,
    cache_dir: str | Path | None = None,
    compat: bool = False,
    **settings: object,
) -> Dataset:
    """Add hard negatives to pairs, with the signature of sentence-transformers' function.

    Nothing stays on disk unless `cache_dir` is given.

    Args:
        dataset: pairs: a Dataset, a data frame, an Arrow table, or a list of dicts.
        model: bi-encoder that finds candidates, loaded or by name.
        anchor_column_name: column of queries; by default the first.
        positive_column_name: column of positives; by default the second.
        corpus: texts that may be negatives besides the positives; also a table with ids, a path or
            the name of a data set.
        cross_encoder: scores every candidate, loaded or by name.
        range_min: lowest rank of a negative.
        range_max: ranks from here on are left out.
        max_score: highest score of a negative.
        min_score: lowest score of a negative.
        absolute_margin: how far a negative's score is below the positive's, at least.
        relative_margin: the same, as a share of the positive's score.
        num_negatives: negatives per query.
        sampling_strategy: `top`, or `random` among those that may be chosen.
        query_prompt_name: name of the model's prompt for queries.
        query_prompt: text before every query.
        corpus_prompt_name: name of the model's prompt for documents.
        corpus_prompt: text before every document.
        include_positives: rank positives among the negatives; needs `compat`.
        output_format: layout of the rows.
        output_scores: add a column of scores.
        batch_size: a batch holds no more tokens than so many texts of full length.
        faiss_batch_size: queries that are searched at once.
        use_faiss: accepted; search is exact with or without FAISS.
        use_multi_process: a list of `cpu` starts so many workers. One process uses all CPU
            threads or one GPU.
        verbose: show progress.
        cache_folder: the same as `cache_dir`.
        as_triplets: deprecated; use `output_format`.
        margin: deprecated; use `absolute_margin`.
        cache_dir: folder to keep the index and all scores in, for the next call to use.
        compat: choose the rows that sentence-transformers would choose.
        settings: further settings of `hnmine.run`, such as `depth=20` or `dtype="bf16"`.

    Returns:
        The rows, in the order of the pairs, with the columns of `output_format`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    try:
        import datasets  # noqa: F401
    except ImportError as error:
        raise missing_extra("datasets", "datasets") from error
    asked = Asked(
        range_min,
        range_max,
        max_score,
        min_score,
        absolute_margin if margin is None else margin,
        relative_margin,
        num_negatives,
        sampling_strategy,
        output_format,
        output_scores,
        include_positives,
        compat,
    ).without_old_names(as_triplets, margin)
    pairs = Pairs.of(dataset, anchor_column_name, positive_column_name)
    with _place(cache_dir or cache_folder) as place, on_disk() as disk, torch_as_before():
        encoder = GivenModel.of(model, place / "models")
        judge = GivenModel.of(cross_encoder, place / "models") if cross_encoder else None
        if compat:
            encoder = encoder.by_cosine(place / "models").in_fp32()
            judge = judge and judge.in_fp32()
        usual = (OF_QUERIES, OF_DOCUMENTS) if compat else ((), ())
        prompts = {
            "query_prompt": _prompt(query_prompt, query_prompt_name, encoder, usual[0]),
            "document_prompt": _prompt(corpus_prompt, corpus_prompt_name, encoder, usual[1]),
        }
        searched = {} if faiss_batch_size == USUAL_FAISS_BATCH else {"block_size": faiss_batch_size}
        inputs = {
            "pairs": disk.table("pairs", pairs.table),
            "corpus": disk.table("corpus", corpus_of(corpus)) if corpus is not None else [],
        }
        sections = {
            "build-index": {"encoder": encoder.name, **prompts, **encoder.how}
            | encoder.batch_tokens(batch_size),
            "mine": asked.of_mine(pairs) | encoder.where | searched,
            "filter": asked.of_filter(pairs, judge)
            | (judge.how | judge.batch_tokens(batch_size) if judge else {}),
        }
        results = function("run")(
            config={**sections, "bm25": not compat, "workers": _workers(use_multi_process)},
            output=place / _key(inputs, encoder),
            overwrite=True,
            **{"progress": verbose, **inputs, **settings},
        )
        assert isinstance(results, StageResults)
        if verbose:
            for line in list(results.mined.lines())[1:]:
                say(line)
        if include_positives:
            rows = n_tuples(results.mined, pairs, corpus, asked, judged=judge is not None)
        else:
            rows = read_table(str(results.mined.path / "train"))
        return pairs.dataset(rows)


def _prompt(
    text: str | None, name: str | None, encoder: GivenModel, usual: tuple[str, ...]
) -> str | None:
    """Return the prompt that was given, asked for by name, or is usual; None: hnmine's choice."""
    if text is not None:
        return text
    if name is not None:
        return encoder.prompt(name)
    return encoder.usual_prompt(usual) if usual else None


def _workers(use_multi_process: list[str] | bool) -> int:
    """Return the number of processes.

    Raises:
        UsageError: several GPUs are asked for.
    """
    if isinstance(use_multi_process, bool):
        import torch

        devices = ["cuda"] * (torch.cuda.device_count() if use_multi_process else 0)
    else:
        devices = use_multi_process
    if len(devices) > 1 and set(devices) != {"cpu"}:
        raise UsageError(
            f"use_multi_process: {len(devices)} devices, {', '.join(sorted(set(devices)))}.",
            why="A process of hnmine uses one device.",
            fix="Leave it out for one GPU; or pass engine='ray', which starts a worker for each.",
        )
    return max(len(devices), 1)


@contextmanager
def _place(kept: str | Path | None) -> Iterator[Path]:
    """Yield the folder for the index and the scores: one to keep, or a temporary one."""
    if kept is not None:
        place = Path(kept).absolute()  # The index names the model's folder in it.
        place.mkdir(parents=True, exist_ok=True)
        yield place
        return
    with TemporaryDirectory(prefix="hnmine-") as folder:
        yield Path(folder)


def _key(inputs: Json, encoder: GivenModel) -> str:
    """Name the directory of a run after its pairs, its corpus and its encoder."""
    total = xxhash.xxh3_64()
    for value in inputs.values():
        path = Path(value) if isinstance(value, str) else None
        total.update(repr(value).encode() if path is None or not path.is_file() else b"")
        for block in Unchanged(path).blocks() if path and path.is_file() else ():
            total.update(block)
    total.update(encoder.folder.name.encode())
    return total.hexdigest()
