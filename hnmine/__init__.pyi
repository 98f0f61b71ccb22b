# Made by `python docs/make_api.py`; a test keeps it in step.

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal

from typing_extensions import deprecated

from hnmine.audit.estimate import Audit
from hnmine.drop_in.hard_negatives import mine_hard_negatives as mine_hard_negatives
from hnmine.encode.installed import Installed
from hnmine.exports.pushing import Pushed
from hnmine.in_memory import LoadedModel, Tables, Tabular
from hnmine.judging.acceptance import Accepted
from hnmine.judging.judge_result import Judged
from hnmine.report.comparing import Comparison
from hnmine.report.inspecting import Inspected
from hnmine.report.reporting import Report as ReportOfReport
from hnmine.results import StageResult
from hnmine.results import StageResults
from hnmine.review.reviewing import Reviewed
from hnmine.validate.findings import Report as ReportOfValidate
from hnmine.validate.initialising import Written
from hnmine.validate.shipped_files import RecipeFile
from hnmine.validate.shipped_files import Recipes
from hnmine.validate.shipped_files import Skill

__version__: str
__all__ = ["audit", "batch", "build_index", "compare", "export", "filter_negatives", "generate", "init", "inspect", "judge", "mine", "mine_hard_negatives", "mix", "models", "push", "recipes", "report", "review", "run", "skill", "validate"]

def run(
    *paths: str | PathLike[str] | Tabular,
    output: str | PathLike[str] | None = None,
    index: str | PathLike[str] | None = None,
    threads: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    max_memory: str | None = None,
    task: str | None = None,
    finish: bool = False,
    device: str = "auto",
    backend: Literal["auto", "torch", "openvino", "onnx"] = "auto",
    dtype: Literal["auto", "fp32", "bf16", "fp16"] | None = None,
    batch_tokens: int | None = None,
    max_length: int | None = None,
    timeout: float = 120.0,
    requests: int = 4,
    api_key_env: str = "OPENAI_API_KEY",
    split: str | None = None,
    column: Mapping[str, str] | Sequence[str] = (),
    quoting: Literal["auto", "csv", "none"] = "auto",
    encoding: str = "utf-8",
    on_bad_row: Literal["error", "skip"] = "error",
    corpus: str | PathLike[str] | Tables = (),
    pairs: str | PathLike[str] | None | Tabular = None,
    bm25: bool = True,
    dense: bool = True,
    encoder: str | PathLike[str] | LoadedModel | None = None,
    vectors: str | PathLike[str] | None | Tabular = None,
    similarity: Literal["cosine", "dot"] | None = None,
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    pooling: Literal["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] | None = None,
    truncate_dim: int | None = None,
    faiss: str = "Flat",
    bm25_variant: Literal["lucene", "okapi", "plus", "l"] = "lucene",
    k1: float = 1.5,
    b: float = 0.75,
    tokenizer: Literal["auto", "word", "whitespace"] = "auto",
    stemmer: str = "english",
    shard_size: int = 16384,
    queries: str | PathLike[str] | None | Tabular = None,
    qrels: str | PathLike[str] | None | Tabular = None,
    min_grade: float = 1.0,
    top_k: int = 100,
    source: str | Sequence[str] = (),
    from_run: str | PathLike[str] | Tables = (),
    matching: str | None = None,
    constraint: str | Sequence[str] = (),
    attribute: Mapping[str, str] | Sequence[str] = (),
    clusters: int | None = None,
    query_encoder: str | PathLike[str] | LoadedModel | None = None,
    query_vectors: str | PathLike[str] | None | Tabular = None,
    previous: str | PathLike[str] | None = None,
    seed: int = 0,
    bm25_engine: Literal["hnmine", "rank-bm25"] = "hnmine",
    faiss_search: str | None = None,
    block_size: int = 512,
    max_false: float | None = None,
    confidence: float = 0.95,
    budget: int | str | None = None,
    judge_with: str | PathLike[str] | None | Tabular = None,
    judge_llm: str | None = None,
    sheet: str | PathLike[str] | None = None,
    cross_encoder: str | PathLike[str] | LoadedModel | None = None,
    judge: str | PathLike[str] | LoadedModel | Sequence[str | PathLike[str] | LoadedModel] = (),
    score: str | None = None,
    positive_score: Literal["min", "max", "mean", "parent"] = "min",
    margin: float | None = None,
    relative_margin: float | None = None,
    max_score: float | None = None,
    min_score: float | None = None,
    near_copy: float = 0.9,
    range_min: int = 0,
    range_max: int | None = None,
    derive: Mapping[str, str] | Sequence[str] = (),
    where: str | Sequence[str] = (),
    relabel: str | None = None,
    relabel_judged: bool = False,
    depth: float | None = None,
    default_rule: bool = True,
    num_negatives: int = 5,
    per_query: str | None = None,
    sampling: str = "top",
    order: str = "rank",
    within: str | None = None,
    strata: str | None = None,
    quota: Mapping[str, int] | Sequence[str] = (),
    diversity: float = 0.0,
    weight: str | None = None,
    query_where: str | None = None,
    train_column: Mapping[str, str] | Sequence[str] = (),
    format: str = "triplet",
    output_scores: bool = False,
    deepen: int = 1,
    max_uses: int | None = None,
    lazy: bool = False,
    compat: Literal["sentence-transformers"] | None = None,
    recipe: str | None = None,
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> StageResults:
    """Build the index, mine and filter in one go; sections of --config named generate, batch or mix add those steps.

    Args:
        paths: Inputs; what each is, its columns say.
        output: Directory for index/, candidates/, mined/ and further steps.
        index: Index to share with other runs. [default: OUTPUT/index]
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        overwrite: Replace the output of a run with other settings.
        workers: Number of worker processes; GPUs are divided among them. [default: 1; one per GPU or machine with engine='ray']
        engine: Where workers run: on this machine, or on a Ray cluster with shared directories.
        ray_address: Address of the Ray cluster: auto for this machine's, or HOST:PORT. [default: RAY_ADDRESS, else a new local one]
        max_memory: Memory limit for all workers together, such as 12GB; fewer start if it is too small.
        task: Share of the tasks for this process, I/N from 0/N, to run the command on several machines.
        finish: Complete a run whose tasks were done with task; fail if any is missing.
        device: Device for the models: auto, cpu, cuda, cuda:1 or mps.
        backend: Library that runs the model; auto: onnxruntime for ONNX graphs, OpenVINO on a CPU if it is installed, else PyTorch.
        dtype: Precision of the model's weights. [default: auto, which is bf16 where the device computes in it, else fp16 on a GPU and fp32 on a CPU]
        batch_tokens: Tokens per forward pass; use fewer if memory runs out. [default: 1024 on a CPU; by the model's width on a GPU]
        max_length: Maximum tokens per text; the rest is truncated. [default: the model's limit]
        timeout: Seconds to wait for a whole answer of the server.
        requests: Number of concurrent requests to the server.
        api_key_env: Environment variable with the server's key, if it needs one.
        split: Splits to read, such as train or train,dev or all; CONFIG/SPLIT for data sets with several configurations.
        column: Column with an unusual name, such as corpus.text=body, or a number without a header.
        quoting: Whether quotes in text tables enclose values (csv) or belong to them (none).
        encoding: Encoding of text files without a byte order mark, such as cp1252.
        on_bad_row: What to do with rows that are null, blank or contradict others.
        corpus: Corpus: a Parquet, JSONL or CSV file, directory or glob.
        pairs: Pairs of query and positive text: a file, directory or glob.
        bm25: Build the BM25 index.
        dense: Build the dense index, which needs encoder.
        encoder: Bi-encoder: hub name, folder, pkg:package/folder or http://HOST#NAME.
        vectors: Vectors of the documents instead of encoder: .npy, safetensors, or Parquet with ids; a file or a folder.
        similarity: How vectors are compared. [default: as the model's own files say, else cosine]
        query_prompt: Text to put before every query. [default: the model's own]
        document_prompt: Text to put before every document. [default: the model's own]
        pooling: Pooling of ONNX bi-encoders used as judges. [default: the model's own, else mean]
        truncate_dim: Number of dimensions to keep of each vector, for Matryoshka models. [default: the model's own, else all]
        faiss: FAISS index-factory string; Flat is exact, IVF4096,Flat suits millions of documents.
        bm25_variant: Formula for BM25 scores; okapi, plus and l are those of rank-bm25.
        k1: Term-frequency saturation of BM25.
        b: Document-length normalisation of BM25.
        tokenizer: Tokens for BM25: words, also character pairs in scripts without spaces and Korean (auto), words only, or text between spaces.
        stemmer: Snowball stemmer for BM25: a language such as german, or none.
        shard_size: Documents per shard; an interrupted run loses at most one shard of work.
        queries: Queries with ids, to use with qrels instead of pairs.
        qrels: Judgements: query id, corpus id and, if graded, score.
        min_grade: Lowest grade at which a judged document is a positive.
        top_k: Number of candidates per query from each source.
        source: Source of candidates: bm25, dense, bm25-from-positive, dense-from-positive, dense-from-queries, random, matching, judged, run; NAME:K takes K instead of top_k. [default: all that are indexed or given]
        from_run: Another system's results: a TREC run, a table of ids and scores, or another miner's negatives by text.
        matching: Condition for random documents of the source matching, such as 'doc.topic = positive.topic'.
        constraint: Keep only documents for which this is true, such as 'doc.date < query.date'.
        attribute: Add a column, as NAME=EXPRESSION over query and doc, such as same_topic='doc.topic = query.topic'.
        clusters: Number of k-means clusters of documents, for conditions on doc.cluster.
        query_encoder: Model that encodes the queries instead of the index's, such as a trained checkpoint (ADORE).
        query_vectors: Vectors of the queries instead of encoding them: .npy, safetensors, or Parquet with ids; a file or a folder.
        previous: Mined directory of an earlier round, for the columns previous_rank, previous_score and previous_selected.
        seed: Random seed for sampling.
        bm25_engine: Engine that searches with BM25: hnmine's own, or rank-bm25, which is slow.
        faiss_search: Search parameters of an approximate FAISS index, such as nprobe=32.
        block_size: Queries per task; an interrupted run loses at most one task of each worker.
        max_false: Prove by judgements that at most this share of the negatives is false.
        confidence: Confidence of max_false.
        budget: Time for the run, such as 90m, 2h or 1d: settings that fit are chosen. A number limits the judgements for max_false. [default: no limit]
        judge_with: Judge for max_false: a local model or server. [default: your sheet]
        judge_llm: Name of the language model on the server of judge_with.
        sheet: Sheet of the pairs to judge for max_false: .csv or .parquet. [default: OUTPUT-verdicts.csv]
        cross_encoder: Cross-encoder: hub name, folder, pkg:package/folder or http://HOST.
        judge: Another model that estimates relevance, or a file of verdicts: query id, document id, score from 0 to 1.
        score: Score that the rules compare: ce, dense, bm25, or an expression. [default: ce with cross_encoder, else dense, else bm25]
        positive_score: Positive score of a query: the lowest, highest or mean of its positives; parent: for a generated text, that of its origin.
        margin: Keep a candidate if score <= positive - MARGIN.
        relative_margin: Keep a candidate if score <= positive - |positive| * MARGIN.
        max_score: Keep a candidate if score <= MAX_SCORE.
        min_score: Keep a candidate if score >= MIN_SCORE.
        near_copy: Drop a candidate if this share of its words, or of a positive's, is a verbatim copy of the other; above 1: off.
        range_min: Drop candidates of rank < RANGE_MIN.
        range_max: Drop candidates of rank >= RANGE_MAX.
        derive: Add a column, as NAME=EXPRESSION, for other expressions to use.
        where: Keep a candidate if this expression is true, such as 'bm25_rank > 5'.
        relabel: Make a candidate a positive if this expression is true, such as 'score > positive_score + 2'.
        relabel_judged: Make a candidate a positive if a verdict of judge FILE or for max_false finds it relevant; otherwise it is dropped.
        depth: Mean rank to aim at: deeper negatives are safer but easier. [default: twice the typical rank of a known positive, or what a trial picks]
        default_rule: Choose the least doubtful candidates for their depth if no rule, no sampling and no order is given.
        num_negatives: Number of negatives per query.
        per_query: Expression for the number of negatives of a query, at most num_negatives.
        sampling: How to choose: top, random, or an expression for the weights in a draw.
        order: Expression to sort by, smallest first.
        within: Choose only among kept candidates for which this expression is true; its aggregates cover kept candidates only.
        strata: Expression that groups the candidates; the groups take turns, so that each is chosen equally often.
        quota: Negatives of one kind, such as 'bm25_rank is not null=2'; replaces num_negatives.
        diversity: How much a query's negatives should differ: 0 follows the order alone, 1 the distance to those chosen before (MMR).
        weight: Expression for the weight of a chosen negative. [default: 1]
        query_where: Use a query only if this expression is true, such as "count(*) filter (where reason = 'relabelled') <= 7".
        train_column: Add a column to train/, as NAME=EXPRESSION over the scored columns, such as negative_id=doc_id.
        format: Layout of train/: triplet, n-tuple, labeled-pair, labeled-list, or one that a package adds.
        output_scores: Add the scores that distillation losses need.
        deepen: Mine queries with too few negatives again, up to DEEPEN times as deep as `mine` did.
        max_uses: Cap how many queries share a negative, independent of row order; 0: no cap. [default: ten times the mean, at least 5, for the default choice; else 0]
        lazy: Stop the cross-encoder once a query has its negatives; the default rule is margin=3.
        compat: Choose as mine_hard_negatives of sentence-transformers does: by score, without default rules, ranges over kept candidates.
        recipe: Recipe, such as bge; config and the keywords win over it.
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def init(
    *paths: str | PathLike[str],
    file: str | PathLike[str] = "hnmine.yaml",
    output: str | PathLike[str] = "runs/first",
    overwrite: bool = False,
    encoder: str | PathLike[str] | LoadedModel = "sentence-transformers/all-MiniLM-L6-v2",
    cross_encoder: str | PathLike[str] | LoadedModel = "cross-encoder/ms-marco-MiniLM-L6-v2",
    split: str | None = None,
    column: Mapping[str, str] | Sequence[str] = (),
    quoting: Literal["auto", "csv", "none"] = "auto",
    encoding: str = "utf-8",
    on_bad_row: Literal["error", "skip"] = "error",
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> Written:
    """Write a commented configuration for your input files.

    Args:
        paths: Inputs; what each is, its columns say.
        file: File to write the configuration to.
        output: Directory that `hnmine run` will write to.
        overwrite: Replace the configuration file if it exists.
        encoder: Bi-encoder: a hub name, a folder, or pkg:package/folder.
        cross_encoder: Cross-encoder: a hub name, a folder, or pkg:package/folder.
        split: Splits to read, such as train or train,dev or all; CONFIG/SPLIT for data sets with several configurations.
        column: Column with an unusual name, such as corpus.text=body, or a number without a header.
        quoting: Whether quotes in text tables enclose values (csv) or belong to them (none).
        encoding: Encoding of text files without a byte order mark, such as cp1252.
        on_bad_row: What to do with rows that are null, blank or contradict others.
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def validate(
    *paths: str | PathLike[str] | Tabular,
    models: bool = False,
    corpus: str | PathLike[str] | Tables = (),
    encoder: str | PathLike[str] | LoadedModel | None = None,
    bm25: bool = True,
    vectors: str | PathLike[str] | None | Tabular = None,
    query_vectors: str | PathLike[str] | None | Tabular = None,
    faiss: str = "Flat",
    cross_encoder: str | PathLike[str] | LoadedModel | None = None,
    num_negatives: int = 5,
    lazy: bool = False,
    calibrate: bool = True,
    seed: int = 0,
    threads: int | None = None,
    progress: bool = True,
    device: str = "auto",
    backend: Literal["auto", "torch", "openvino", "onnx"] = "auto",
    dtype: Literal["auto", "fp32", "bf16", "fp16"] | None = None,
    batch_tokens: int | None = None,
    max_length: int | None = None,
    timeout: float = 120.0,
    requests: int = 4,
    api_key_env: str = "OPENAI_API_KEY",
    split: str | None = None,
    column: Mapping[str, str] | Sequence[str] = (),
    quoting: Literal["auto", "csv", "none"] = "auto",
    encoding: str = "utf-8",
    on_bad_row: Literal["error", "skip"] = "error",
    pairs: str | PathLike[str] | None | Tabular = None,
    queries: str | PathLike[str] | None | Tabular = None,
    qrels: str | PathLike[str] | None | Tabular = None,
    min_grade: float = 1.0,
    top_k: int = 100,
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> ReportOfValidate | Installed:
    """Check your inputs and estimate what a run needs, or list the available models.

    Args:
        paths: Inputs; what each is, its columns say.
        models: List the available models, devices and precisions instead; PATHs are folders to search.
        corpus: Corpus: a Parquet, JSONL or CSV file, directory or glob.
        encoder: Bi-encoder to estimate truncation, index size and time for.
        bm25: Estimate a run with a BM25 index.
        vectors: Vectors of the documents to check, as for `build-index`.
        query_vectors: Vectors of the queries to check, as for `mine`.
        faiss: FAISS index-factory string to check for the number of documents.
        cross_encoder: Cross-encoder to estimate the time of.
        num_negatives: Negatives per query, for the time of lazy=True.
        lazy: Estimate a run with lazy=True.
        calibrate: Time the models on a few texts to estimate a run.
        seed: Random seed for the samples that are measured.
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        device: Device for the models: auto, cpu, cuda, cuda:1 or mps.
        backend: Library that runs the model; auto: onnxruntime for ONNX graphs, OpenVINO on a CPU if it is installed, else PyTorch.
        dtype: Precision of the model's weights. [default: auto, which is bf16 where the device computes in it, else fp16 on a GPU and fp32 on a CPU]
        batch_tokens: Tokens per forward pass; use fewer if memory runs out. [default: 1024 on a CPU; by the model's width on a GPU]
        max_length: Maximum tokens per text; the rest is truncated. [default: the model's limit]
        timeout: Seconds to wait for a whole answer of the server.
        requests: Number of concurrent requests to the server.
        api_key_env: Environment variable with the server's key, if it needs one.
        split: Splits to read, such as train or train,dev or all; CONFIG/SPLIT for data sets with several configurations.
        column: Column with an unusual name, such as corpus.text=body, or a number without a header.
        quoting: Whether quotes in text tables enclose values (csv) or belong to them (none).
        encoding: Encoding of text files without a byte order mark, such as cp1252.
        on_bad_row: What to do with rows that are null, blank or contradict others.
        pairs: Pairs of query and positive text: a file, directory or glob.
        queries: Queries with ids, to use with qrels instead of pairs.
        qrels: Judgements: query id, corpus id and, if graded, score.
        min_grade: Lowest grade at which a judged document is a positive.
        top_k: Number of candidates per query from each source.
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def recipes(
    action: Literal["list", "show"] = "list",
    name: str | None = None,
) -> RecipeFile | Recipes:
    """List published ways of mining, or show the settings of one.

    Args:
        action: List all recipes, or show the file of one.
        name: Recipe to show, such as bge.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def build_index(
    index: str | PathLike[str],
    *,
    corpus: str | PathLike[str] | Tables = (),
    pairs: str | PathLike[str] | None | Tabular = None,
    bm25: bool = True,
    dense: bool = True,
    encoder: str | PathLike[str] | LoadedModel | None = None,
    vectors: str | PathLike[str] | None | Tabular = None,
    similarity: Literal["cosine", "dot"] | None = None,
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    pooling: Literal["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] | None = None,
    truncate_dim: int | None = None,
    faiss: str = "Flat",
    bm25_variant: Literal["lucene", "okapi", "plus", "l"] = "lucene",
    k1: float = 1.5,
    b: float = 0.75,
    tokenizer: Literal["auto", "word", "whitespace"] = "auto",
    stemmer: str = "english",
    shard_size: int = 16384,
    threads: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    max_memory: str | None = None,
    task: str | None = None,
    finish: bool = False,
    device: str = "auto",
    backend: Literal["auto", "torch", "openvino", "onnx"] = "auto",
    dtype: Literal["auto", "fp32", "bf16", "fp16"] | None = None,
    batch_tokens: int | None = None,
    max_length: int | None = None,
    timeout: float = 120.0,
    requests: int = 4,
    api_key_env: str = "OPENAI_API_KEY",
    split: str | None = None,
    column: Mapping[str, str] | Sequence[str] = (),
    quoting: Literal["auto", "csv", "none"] = "auto",
    encoding: str = "utf-8",
    on_bad_row: Literal["error", "skip"] = "error",
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> StageResult:
    """Build the BM25 and dense index of a corpus.

    Args:
        index: Directory for the index.
        corpus: Corpus: a Parquet, JSONL or CSV file, directory or glob.
        pairs: Pairs whose positives join the corpus, or are all of it.
        bm25: Build the BM25 index.
        dense: Build the dense index, which needs encoder.
        encoder: Bi-encoder: hub name, folder, pkg:package/folder or http://HOST#NAME.
        vectors: Vectors of the documents instead of encoder: .npy, safetensors, or Parquet with ids; a file or a folder.
        similarity: How vectors are compared. [default: as the model's own files say, else cosine]
        query_prompt: Text to put before every query. [default: the model's own]
        document_prompt: Text to put before every document. [default: the model's own]
        pooling: Pooling of an ONNX encoder. [default: the model's own, else mean]
        truncate_dim: Number of dimensions to keep of each vector, for Matryoshka models. [default: the model's own, else all]
        faiss: FAISS index-factory string; Flat is exact, IVF4096,Flat suits millions of documents.
        bm25_variant: Formula for BM25 scores; okapi, plus and l are those of rank-bm25.
        k1: Term-frequency saturation of BM25.
        b: Document-length normalisation of BM25.
        tokenizer: Tokens for BM25: words, also character pairs in scripts without spaces and Korean (auto), words only, or text between spaces.
        stemmer: Snowball stemmer for BM25: a language such as german, or none.
        shard_size: Documents per shard; an interrupted run loses at most one shard of work.
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        overwrite: Replace the output of a run with other settings.
        workers: Number of worker processes; GPUs are divided among them. [default: 1; one per GPU or machine with engine='ray']
        engine: Where workers run: on this machine, or on a Ray cluster with shared directories.
        ray_address: Address of the Ray cluster: auto for this machine's, or HOST:PORT. [default: RAY_ADDRESS, else a new local one]
        max_memory: Memory limit for all workers together, such as 12GB; fewer start if it is too small.
        task: Share of the tasks for this process, I/N from 0/N, to run the command on several machines.
        finish: Complete a run whose tasks were done with task; fail if any is missing.
        device: Device for the models: auto, cpu, cuda, cuda:1 or mps.
        backend: Library that runs the model; auto: onnxruntime for ONNX graphs, OpenVINO on a CPU if it is installed, else PyTorch.
        dtype: Precision of the model's weights. [default: auto, which is bf16 where the device computes in it, else fp16 on a GPU and fp32 on a CPU]
        batch_tokens: Tokens per forward pass; use fewer if memory runs out. [default: 1024 on a CPU; by the model's width on a GPU]
        max_length: Maximum tokens per text; the rest is truncated. [default: the model's limit]
        timeout: Seconds to wait for a whole answer of the server.
        requests: Number of concurrent requests to the server.
        api_key_env: Environment variable with the server's key, if it needs one.
        split: Splits to read, such as train or train,dev or all; CONFIG/SPLIT for data sets with several configurations.
        column: Column with an unusual name, such as corpus.text=body, or a number without a header.
        quoting: Whether quotes in text tables enclose values (csv) or belong to them (none).
        encoding: Encoding of text files without a byte order mark, such as cp1252.
        on_bad_row: What to do with rows that are null, blank or contradict others.
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def mine(
    index: str | PathLike[str],
    *,
    output: str | PathLike[str],
    source: str | Sequence[str] = (),
    from_run: str | PathLike[str] | Tables = (),
    matching: str | None = None,
    constraint: str | Sequence[str] = (),
    attribute: Mapping[str, str] | Sequence[str] = (),
    clusters: int | None = None,
    query_encoder: str | PathLike[str] | LoadedModel | None = None,
    query_vectors: str | PathLike[str] | None | Tabular = None,
    previous: str | PathLike[str] | None = None,
    seed: int = 0,
    bm25_engine: Literal["hnmine", "rank-bm25"] = "hnmine",
    device: str = "auto",
    faiss_search: str | None = None,
    block_size: int = 512,
    threads: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    max_memory: str | None = None,
    task: str | None = None,
    finish: bool = False,
    timeout: float = 120.0,
    requests: int = 4,
    api_key_env: str = "OPENAI_API_KEY",
    split: str | None = None,
    column: Mapping[str, str] | Sequence[str] = (),
    quoting: Literal["auto", "csv", "none"] = "auto",
    encoding: str = "utf-8",
    on_bad_row: Literal["error", "skip"] = "error",
    pairs: str | PathLike[str] | None | Tabular = None,
    queries: str | PathLike[str] | None | Tabular = None,
    qrels: str | PathLike[str] | None | Tabular = None,
    min_grade: float = 1.0,
    top_k: int = 100,
    recipe: str | None = None,
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> StageResult:
    """Mine candidates for every query from an index.

    Args:
        index: Directory that `hnmine build-index` wrote.
        output: Directory for the candidates.
        source: Source of candidates: bm25, dense, bm25-from-positive, dense-from-positive, dense-from-queries, random, matching, judged, run; NAME:K takes K instead of top_k. [default: all that are indexed or given]
        from_run: Another system's results: a TREC run, a table of ids and scores, or another miner's negatives by text.
        matching: Condition for random documents of the source matching, such as 'doc.topic = positive.topic'.
        constraint: Keep only documents for which this is true, such as 'doc.date < query.date'.
        attribute: Add a column, as NAME=EXPRESSION over query and doc, such as same_topic='doc.topic = query.topic'.
        clusters: Number of k-means clusters of documents, for conditions on doc.cluster.
        query_encoder: Model that encodes the queries instead of the index's, such as a trained checkpoint (ADORE).
        query_vectors: Vectors of the queries instead of encoding them: .npy, safetensors, or Parquet with ids; a file or a folder.
        previous: Mined directory of an earlier round, for the columns previous_rank, previous_score and previous_selected.
        seed: Random seed for random sources and clusters.
        bm25_engine: Engine that searches with BM25: hnmine's own, or rank-bm25, which is slow.
        device: Device for the encoder and exact dense search: auto, cpu, cuda, cuda:1 or mps.
        faiss_search: Search parameters of an approximate FAISS index, such as nprobe=32.
        block_size: Queries per task; an interrupted run loses at most one task of each worker.
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        overwrite: Replace the output of a run with other settings.
        workers: Number of worker processes; GPUs are divided among them. [default: 1; one per GPU or machine with engine='ray']
        engine: Where workers run: on this machine, or on a Ray cluster with shared directories.
        ray_address: Address of the Ray cluster: auto for this machine's, or HOST:PORT. [default: RAY_ADDRESS, else a new local one]
        max_memory: Memory limit for all workers together, such as 12GB; fewer start if it is too small.
        task: Share of the tasks for this process, I/N from 0/N, to run the command on several machines.
        finish: Complete a run whose tasks were done with task; fail if any is missing.
        timeout: Seconds to wait for a whole answer of the server.
        requests: Number of concurrent requests to the server.
        api_key_env: Environment variable with the server's key, if it needs one.
        split: Splits to read, such as train or train,dev or all; CONFIG/SPLIT for data sets with several configurations.
        column: Column with an unusual name, such as corpus.text=body, or a number without a header.
        quoting: Whether quotes in text tables enclose values (csv) or belong to them (none).
        encoding: Encoding of text files without a byte order mark, such as cp1252.
        on_bad_row: What to do with rows that are null, blank or contradict others.
        pairs: Pairs of query and positive text: a file, directory or glob.
        queries: Queries with ids, to use with qrels instead of pairs.
        qrels: Judgements: query id, corpus id and, if graded, score.
        min_grade: Lowest grade at which a judged document is a positive.
        top_k: Number of candidates per query from each source.
        recipe: Recipe, such as bge; config and the keywords win over it.
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def filter_negatives(
    candidates: str | PathLike[str],
    *,
    output: str | PathLike[str],
    index: str | PathLike[str] | None = None,
    cross_encoder: str | PathLike[str] | LoadedModel | None = None,
    judge: str | PathLike[str] | LoadedModel | Sequence[str | PathLike[str] | LoadedModel] = (),
    pooling: Literal["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] | None = None,
    score: str | None = None,
    positive_score: Literal["min", "max", "mean", "parent"] = "min",
    margin: float | None = None,
    relative_margin: float | None = None,
    max_score: float | None = None,
    min_score: float | None = None,
    near_copy: float = 0.9,
    range_min: int = 0,
    range_max: int | None = None,
    derive: Mapping[str, str] | Sequence[str] = (),
    where: str | Sequence[str] = (),
    relabel: str | None = None,
    relabel_judged: bool = False,
    depth: float | None = None,
    default_rule: bool = True,
    num_negatives: int = 5,
    per_query: str | None = None,
    sampling: str = "top",
    order: str = "rank",
    within: str | None = None,
    strata: str | None = None,
    quota: Mapping[str, int] | Sequence[str] = (),
    diversity: float = 0.0,
    weight: str | None = None,
    query_where: str | None = None,
    train_column: Mapping[str, str] | Sequence[str] = (),
    format: str = "triplet",
    output_scores: bool = False,
    deepen: int = 1,
    max_uses: int | None = None,
    lazy: bool = False,
    seed: int = 0,
    compat: Literal["sentence-transformers"] | None = None,
    threads: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    max_memory: str | None = None,
    task: str | None = None,
    finish: bool = False,
    device: str = "auto",
    backend: Literal["auto", "torch", "openvino", "onnx"] = "auto",
    dtype: Literal["auto", "fp32", "bf16", "fp16"] | None = None,
    batch_tokens: int | None = None,
    max_length: int | None = None,
    timeout: float = 120.0,
    requests: int = 4,
    api_key_env: str = "OPENAI_API_KEY",
    max_false: float | None = None,
    confidence: float = 0.95,
    budget: int = 400,
    judge_with: str | PathLike[str] | None | Tabular = None,
    judge_llm: str | None = None,
    sheet: str | PathLike[str] | None = None,
    recipe: str | None = None,
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> StageResult:
    """Drop false negatives, choose hard negatives and write training data.

    Args:
        candidates: Directory that `hnmine mine` wrote.
        output: Directory for training data and scores.
        index: Index directory, if it has moved since `hnmine mine`. [default: as recorded]
        cross_encoder: Cross-encoder: hub name, folder, pkg:package/folder or http://HOST.
        judge: Another model that estimates relevance, or a file of verdicts: query id, document id, score from 0 to 1.
        pooling: Pooling of ONNX bi-encoders used as judges. [default: the model's own, else mean]
        score: Score that the rules compare: ce, dense, bm25, or an expression. [default: ce with cross_encoder, else dense, else bm25]
        positive_score: Positive score of a query: the lowest, highest or mean of its positives; parent: for a generated text, that of its origin.
        margin: Keep a candidate if score <= positive - MARGIN.
        relative_margin: Keep a candidate if score <= positive - |positive| * MARGIN.
        max_score: Keep a candidate if score <= MAX_SCORE.
        min_score: Keep a candidate if score >= MIN_SCORE.
        near_copy: Drop a candidate if this share of its words, or of a positive's, is a verbatim copy of the other; above 1: off.
        range_min: Drop candidates of rank < RANGE_MIN.
        range_max: Drop candidates of rank >= RANGE_MAX.
        derive: Add a column, as NAME=EXPRESSION, for other expressions to use.
        where: Keep a candidate if this expression is true, such as 'bm25_rank > 5'.
        relabel: Make a candidate a positive if this expression is true, such as 'score > positive_score + 2'.
        relabel_judged: Make a candidate a positive if a verdict of judge FILE or for max_false finds it relevant; otherwise it is dropped.
        depth: Mean rank to aim at: deeper negatives are safer but easier. [default: twice the typical rank of a known positive, or what a trial picks]
        default_rule: Choose the least doubtful candidates for their depth if no rule, no sampling and no order is given.
        num_negatives: Number of negatives per query.
        per_query: Expression for the number of negatives of a query, at most num_negatives.
        sampling: How to choose: top, random, or an expression for the weights in a draw.
        order: Expression to sort by, smallest first.
        within: Choose only among kept candidates for which this expression is true; its aggregates cover kept candidates only.
        strata: Expression that groups the candidates; the groups take turns, so that each is chosen equally often.
        quota: Negatives of one kind, such as 'bm25_rank is not null=2'; replaces num_negatives.
        diversity: How much a query's negatives should differ: 0 follows the order alone, 1 the distance to those chosen before (MMR).
        weight: Expression for the weight of a chosen negative. [default: 1]
        query_where: Use a query only if this expression is true, such as "count(*) filter (where reason = 'relabelled') <= 7".
        train_column: Add a column to train/, as NAME=EXPRESSION over the scored columns, such as negative_id=doc_id.
        format: Layout of train/: triplet, n-tuple, labeled-pair, labeled-list, or one that a package adds.
        output_scores: Add the scores that distillation losses need.
        deepen: Mine queries with too few negatives again, up to DEEPEN times as deep as `mine` did.
        max_uses: Cap how many queries share a negative, independent of row order; 0: no cap. [default: ten times the mean, at least 5, for the default choice; else 0]
        lazy: Stop the cross-encoder once a query has its negatives; the default rule is margin=3.
        seed: Random seed for sampling.
        compat: Choose as mine_hard_negatives of sentence-transformers does: by score, without default rules, ranges over kept candidates.
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        overwrite: Replace the output of a run with other settings.
        workers: Number of worker processes; GPUs are divided among them. [default: 1; one per GPU or machine with engine='ray']
        engine: Where workers run: on this machine, or on a Ray cluster with shared directories.
        ray_address: Address of the Ray cluster: auto for this machine's, or HOST:PORT. [default: RAY_ADDRESS, else a new local one]
        max_memory: Memory limit for all workers together, such as 12GB; fewer start if it is too small.
        task: Share of the tasks for this process, I/N from 0/N, to run the command on several machines.
        finish: Complete a run whose tasks were done with task; fail if any is missing.
        device: Device for the models: auto, cpu, cuda, cuda:1 or mps.
        backend: Library that runs the model; auto: onnxruntime for ONNX graphs, OpenVINO on a CPU if it is installed, else PyTorch.
        dtype: Precision of the model's weights. [default: auto, which is bf16 where the device computes in it, else fp16 on a GPU and fp32 on a CPU]
        batch_tokens: Tokens per forward pass; use fewer if memory runs out. [default: 1024 on a CPU; by the model's width on a GPU]
        max_length: Maximum tokens per text; the rest is truncated. [default: the model's limit]
        timeout: Seconds to wait for a whole answer of the server.
        requests: Number of concurrent requests to the server.
        api_key_env: Environment variable with the server's key, if it needs one.
        max_false: Prove by judgements that at most this share of the negatives is false.
        confidence: Confidence of max_false.
        budget: Judgements for max_false, at most.
        judge_with: Judge for max_false: a local model or server. [default: your sheet]
        judge_llm: Name of the language model on the server of judge_with.
        sheet: Sheet of the pairs to judge for max_false: .csv or .parquet. [default: OUTPUT-verdicts.csv]
        recipe: Recipe, such as bge; config and the keywords win over it.
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

@deprecated("use filter_negatives")
def filter(
    candidates: str | PathLike[str],
    *,
    output: str | PathLike[str],
    index: str | PathLike[str] | None = None,
    cross_encoder: str | PathLike[str] | LoadedModel | None = None,
    judge: str | PathLike[str] | LoadedModel | Sequence[str | PathLike[str] | LoadedModel] = (),
    pooling: Literal["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] | None = None,
    score: str | None = None,
    positive_score: Literal["min", "max", "mean", "parent"] = "min",
    margin: float | None = None,
    relative_margin: float | None = None,
    max_score: float | None = None,
    min_score: float | None = None,
    near_copy: float = 0.9,
    range_min: int = 0,
    range_max: int | None = None,
    derive: Mapping[str, str] | Sequence[str] = (),
    where: str | Sequence[str] = (),
    relabel: str | None = None,
    relabel_judged: bool = False,
    depth: float | None = None,
    default_rule: bool = True,
    num_negatives: int = 5,
    per_query: str | None = None,
    sampling: str = "top",
    order: str = "rank",
    within: str | None = None,
    strata: str | None = None,
    quota: Mapping[str, int] | Sequence[str] = (),
    diversity: float = 0.0,
    weight: str | None = None,
    query_where: str | None = None,
    train_column: Mapping[str, str] | Sequence[str] = (),
    format: str = "triplet",
    output_scores: bool = False,
    deepen: int = 1,
    max_uses: int | None = None,
    lazy: bool = False,
    seed: int = 0,
    compat: Literal["sentence-transformers"] | None = None,
    threads: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    max_memory: str | None = None,
    task: str | None = None,
    finish: bool = False,
    device: str = "auto",
    backend: Literal["auto", "torch", "openvino", "onnx"] = "auto",
    dtype: Literal["auto", "fp32", "bf16", "fp16"] | None = None,
    batch_tokens: int | None = None,
    max_length: int | None = None,
    timeout: float = 120.0,
    requests: int = 4,
    api_key_env: str = "OPENAI_API_KEY",
    max_false: float | None = None,
    confidence: float = 0.95,
    budget: int = 400,
    judge_with: str | PathLike[str] | None | Tabular = None,
    judge_llm: str | None = None,
    sheet: str | PathLike[str] | None = None,
    recipe: str | None = None,
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> StageResult:
    """Drop false negatives, choose hard negatives and write training data.

    Args:
        candidates: Directory that `hnmine mine` wrote.
        output: Directory for training data and scores.
        index: Index directory, if it has moved since `hnmine mine`. [default: as recorded]
        cross_encoder: Cross-encoder: hub name, folder, pkg:package/folder or http://HOST.
        judge: Another model that estimates relevance, or a file of verdicts: query id, document id, score from 0 to 1.
        pooling: Pooling of ONNX bi-encoders used as judges. [default: the model's own, else mean]
        score: Score that the rules compare: ce, dense, bm25, or an expression. [default: ce with cross_encoder, else dense, else bm25]
        positive_score: Positive score of a query: the lowest, highest or mean of its positives; parent: for a generated text, that of its origin.
        margin: Keep a candidate if score <= positive - MARGIN.
        relative_margin: Keep a candidate if score <= positive - |positive| * MARGIN.
        max_score: Keep a candidate if score <= MAX_SCORE.
        min_score: Keep a candidate if score >= MIN_SCORE.
        near_copy: Drop a candidate if this share of its words, or of a positive's, is a verbatim copy of the other; above 1: off.
        range_min: Drop candidates of rank < RANGE_MIN.
        range_max: Drop candidates of rank >= RANGE_MAX.
        derive: Add a column, as NAME=EXPRESSION, for other expressions to use.
        where: Keep a candidate if this expression is true, such as 'bm25_rank > 5'.
        relabel: Make a candidate a positive if this expression is true, such as 'score > positive_score + 2'.
        relabel_judged: Make a candidate a positive if a verdict of judge FILE or for max_false finds it relevant; otherwise it is dropped.
        depth: Mean rank to aim at: deeper negatives are safer but easier. [default: twice the typical rank of a known positive, or what a trial picks]
        default_rule: Choose the least doubtful candidates for their depth if no rule, no sampling and no order is given.
        num_negatives: Number of negatives per query.
        per_query: Expression for the number of negatives of a query, at most num_negatives.
        sampling: How to choose: top, random, or an expression for the weights in a draw.
        order: Expression to sort by, smallest first.
        within: Choose only among kept candidates for which this expression is true; its aggregates cover kept candidates only.
        strata: Expression that groups the candidates; the groups take turns, so that each is chosen equally often.
        quota: Negatives of one kind, such as 'bm25_rank is not null=2'; replaces num_negatives.
        diversity: How much a query's negatives should differ: 0 follows the order alone, 1 the distance to those chosen before (MMR).
        weight: Expression for the weight of a chosen negative. [default: 1]
        query_where: Use a query only if this expression is true, such as "count(*) filter (where reason = 'relabelled') <= 7".
        train_column: Add a column to train/, as NAME=EXPRESSION over the scored columns, such as negative_id=doc_id.
        format: Layout of train/: triplet, n-tuple, labeled-pair, labeled-list, or one that a package adds.
        output_scores: Add the scores that distillation losses need.
        deepen: Mine queries with too few negatives again, up to DEEPEN times as deep as `mine` did.
        max_uses: Cap how many queries share a negative, independent of row order; 0: no cap. [default: ten times the mean, at least 5, for the default choice; else 0]
        lazy: Stop the cross-encoder once a query has its negatives; the default rule is margin=3.
        seed: Random seed for sampling.
        compat: Choose as mine_hard_negatives of sentence-transformers does: by score, without default rules, ranges over kept candidates.
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        overwrite: Replace the output of a run with other settings.
        workers: Number of worker processes; GPUs are divided among them. [default: 1; one per GPU or machine with engine='ray']
        engine: Where workers run: on this machine, or on a Ray cluster with shared directories.
        ray_address: Address of the Ray cluster: auto for this machine's, or HOST:PORT. [default: RAY_ADDRESS, else a new local one]
        max_memory: Memory limit for all workers together, such as 12GB; fewer start if it is too small.
        task: Share of the tasks for this process, I/N from 0/N, to run the command on several machines.
        finish: Complete a run whose tasks were done with task; fail if any is missing.
        device: Device for the models: auto, cpu, cuda, cuda:1 or mps.
        backend: Library that runs the model; auto: onnxruntime for ONNX graphs, OpenVINO on a CPU if it is installed, else PyTorch.
        dtype: Precision of the model's weights. [default: auto, which is bf16 where the device computes in it, else fp16 on a GPU and fp32 on a CPU]
        batch_tokens: Tokens per forward pass; use fewer if memory runs out. [default: 1024 on a CPU; by the model's width on a GPU]
        max_length: Maximum tokens per text; the rest is truncated. [default: the model's limit]
        timeout: Seconds to wait for a whole answer of the server.
        requests: Number of concurrent requests to the server.
        api_key_env: Environment variable with the server's key, if it needs one.
        max_false: Prove by judgements that at most this share of the negatives is false.
        confidence: Confidence of max_false.
        budget: Judgements for max_false, at most.
        judge_with: Judge for max_false: a local model or server. [default: your sheet]
        judge_llm: Name of the language model on the server of judge_with.
        sheet: Sheet of the pairs to judge for max_false: .csv or .parquet. [default: OUTPUT-verdicts.csv]
        recipe: Recipe, such as bge; config and the keywords win over it.
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def export(
    mined: str | PathLike[str],
    *,
    to: str,
    output: str | PathLike[str],
    scores: str | None = None,
    prompt: str | None = None,
    threads: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    max_memory: str | None = None,
    task: str | None = None,
    finish: bool = False,
    candidates: str | PathLike[str] | None = None,
    index: str | PathLike[str] | None = None,
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> StageResult:
    """Write mined negatives in the format of another trainer; no model runs.

    Args:
        mined: Directory that `hnmine filter` wrote.
        to: Format to write, one of those listed below.
        output: Directory for the exported files.
        scores: Scores to write: ce, dense, bm25, or an expression over the columns of scored/. [default: those that `hnmine filter` compared; none for sentence-transformers and colbert]
        prompt: Instruction for every query, for formats with a field for it: flagembedding.
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        overwrite: Replace the output of a run with other settings.
        workers: Number of worker processes; GPUs are divided among them. [default: 1; one per GPU or machine with engine='ray']
        engine: Where workers run: on this machine, or on a Ray cluster with shared directories.
        ray_address: Address of the Ray cluster: auto for this machine's, or HOST:PORT. [default: RAY_ADDRESS, else a new local one]
        max_memory: Memory limit for all workers together, such as 12GB; fewer start if it is too small.
        task: Share of the tasks for this process, I/N from 0/N, to run the command on several machines.
        finish: Complete a run whose tasks were done with task; fail if any is missing.
        candidates: Candidates directory, if it has moved since `hnmine filter`. [default: as recorded]
        index: Index directory, if it has moved since `hnmine mine`. [default: as recorded]
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def push(
    data: str | PathLike[str],
    *,
    repo: str,
    private: bool = True,
    scored: bool = False,
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> Pushed:
    """Upload a directory with a dataset card to the Hugging Face hub.

    Args:
        data: Directory that `hnmine filter` or `hnmine export` wrote.
        repo: Dataset repository, as OWNER/NAME; created if it doesn't exist.
        private: Make a new repository private; an existing one keeps its visibility.
        scored: Upload scored/ and the shortfall too, which name documents and queries by id.
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def report(
    mined: str | PathLike[str],
    *,
    html: bool = True,
    output: str | PathLike[str] | None = None,
    compare: str | PathLike[str] | None = None,
    split: str | None = None,
    threads: int | None = None,
    progress: bool = True,
    candidates: str | PathLike[str] | None = None,
    index: str | PathLike[str] | None = None,
    qrels: str | PathLike[str] | None | Tabular = None,
    min_grade: float = 1.0,
    verdicts: str | PathLike[str] | None | Tabular = None,
    shortcuts: bool = True,
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> ReportOfReport:
    """Report what was mined and dropped, doubtful negatives, judgements and shortcuts.

    Args:
        mined: Directory that `hnmine filter` wrote.
        html: Write the HTML page; otherwise only the summary is printed.
        output: File for the page. [default: report.html in the mined directory]
        compare: Folder that `hnmine compare --output` wrote, for a section on how this directory compares with others.
        split: Splits to read, such as train or train,dev or all; CONFIG/SPLIT for data sets with several configurations.
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        candidates: Candidates directory, if it has moved since `hnmine filter`. [default: as recorded]
        index: Index directory, if it has moved since `hnmine mine`. [default: as recorded]
        qrels: Judgements to count false negatives with, more complete than those mined with.
        min_grade: Lowest grade at which a judged document counts as relevant.
        verdicts: Sheet of verdicts that `hnmine judge` or `hnmine review` filled.
        shortcuts: Measure how well length, BM25, shared words or wording alone separate positives from negatives.
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def inspect(
    mined: str | PathLike[str],
    *,
    query: str | Sequence[str] = (),
    text: str | None = None,
    reason: str | None = None,
    worst: int | None = None,
    limit: int = 3,
    characters: int = 240,
    threads: int | None = None,
    progress: bool = True,
    candidates: str | PathLike[str] | None = None,
    index: str | PathLike[str] | None = None,
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> Inspected:
    """Show single queries with their positives, candidates, scores and verdicts.

    Args:
        mined: Directory that `hnmine filter` wrote.
        query: Id of a query to show.
        text: Text that the shown queries contain; an exact match comes first.
        reason: Show the queries that lost most candidates for this reason, such as margin, and those candidates.
        worst: Number of queries to show, those with the most doubtful negatives first. [default: 1 if nothing else is asked]
        limit: Maximum number of queries to show for text and reason.
        characters: Maximum number of characters of a text to show.
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        candidates: Candidates directory, if it has moved since `hnmine filter`. [default: as recorded]
        index: Index directory, if it has moved since `hnmine mine`. [default: as recorded]
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def compare(
    mined: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    queries: int = 10,
    output: str | PathLike[str] | None = None,
    train: str | PathLike[str] | LoadedModel | None = None,
    held_out: str | PathLike[str] | None = None,
    seeds: int = 3,
    steps: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> Comparison:
    """Compare mined directories in one table; of two, show every negative that changed.

    Args:
        mined: Mined directories to compare: two or more, or one with train.
        queries: Maximum number of queries to name, those that changed most between two directories.
        output: Folder for the page compare.html, for compare.json, and for what train measured. [default: nothing is written]
        train: Bi-encoder to train on each directory, which shows the one that retrieves best: a hub name or a folder.
        held_out: Folder in BEIR's layout, with queries and qrels that no directory was mined with, to measure the trained models on.
        seeds: Number of times that train trains on each directory.
        steps: Training steps, the same for each directory. [default: one epoch of the smallest]
        device: Device for the models: auto, cpu, cuda, cuda:1 or mps.
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def judge(
    target: str | PathLike[str],
    *,
    sheet: str | PathLike[str] | None = None,
    candidates: str | PathLike[str] | None = None,
    index: str | PathLike[str] | None = None,
    endpoint: str | PathLike[str] | None = None,
    llm: str | None = None,
    model: str | PathLike[str] | LoadedModel | None = None,
    prompt: str | PathLike[str] | None = None,
    sample: int | None = None,
    doubtful: int = 0,
    budget: int | None = None,
    max_tokens: int = 1024,
    seed: int = 0,
    threads: int | None = None,
    progress: bool = True,
    device: str = "auto",
    backend: Literal["auto", "torch", "openvino", "onnx"] = "auto",
    dtype: Literal["auto", "fp32", "bf16", "fp16"] | None = None,
    batch_tokens: int | None = None,
    max_length: int | None = None,
    timeout: float = 120.0,
    requests: int = 4,
    api_key_env: str = "OPENAI_API_KEY",
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> Judged | Accepted:
    """Let a model judge a sample of the negatives, and measure how often it is right.

    Args:
        target: Directory that `hnmine filter` or `hnmine mine` wrote, a sheet to fill, or the word acceptance for hnmine's own test of judges.
        sheet: Sheet to write, or to continue: .csv or .parquet. [default: TARGET-verdicts.parquet]
        candidates: Candidates directory, if it has moved since `hnmine filter`. [default: as recorded]
        index: Index directory, if it has moved since `hnmine mine`. [default: as recorded]
        endpoint: Address of an OpenAI-compatible server with a language model, such as http://localhost:8000/v1, or of a reranker, which ends in /rerank.
        llm: Name of the language model or reranker on the server.
        model: Cross-encoder, LLM reranker or bi-encoder on this machine: a hub name, a folder, or pkg:package/folder.
        prompt: File with the language model's prompt, which holds {query} and {document}. It asks for JSON: a reason and a grade from 0 to 3. [default: hnmine's own]
        sample: Number of negatives to draw evenly; of a candidates directory, of candidates. [default: three quarters of budget, else 300; none with doubtful]
        doubtful: Number of doubtful candidates to judge, chosen as `hnmine review` does.
        budget: Maximum number of pairs to ask the judge about; earlier answers are free. [default: all]
        max_tokens: Maximum tokens of an answer; a model that thinks first needs more.
        seed: Random seed for the sample and the rows of known truth.
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        device: Device for the models: auto, cpu, cuda, cuda:1 or mps.
        backend: Library that runs the model; auto: onnxruntime for ONNX graphs, OpenVINO on a CPU if it is installed, else PyTorch.
        dtype: Precision of the model's weights. [default: auto, which is bf16 where the device computes in it, else fp16 on a GPU and fp32 on a CPU]
        batch_tokens: Tokens per forward pass; use fewer if memory runs out. [default: 1024 on a CPU; by the model's width on a GPU]
        max_length: Maximum tokens per text; the rest is truncated. [default: the model's limit]
        timeout: Seconds to wait for a whole answer of the server.
        requests: Number of concurrent requests to the server.
        api_key_env: Environment variable with the server's key, if it needs one.
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def review(
    mined: str | PathLike[str],
    *,
    sheet: str | PathLike[str] | None = None,
    doubtful: int = 60,
    even: int | None = None,
    page: bool = True,
    port: int = 0,
    seed: int = 0,
    threads: int | None = None,
    progress: bool = True,
    candidates: str | PathLike[str] | None = None,
    index: str | PathLike[str] | None = None,
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> Reviewed:
    """Judge doubtful candidates by hand, on a local page or in a sheet that `filter` and `report` read.

    Args:
        mined: Directory that `hnmine filter` wrote.
        sheet: Sheet to write, or to continue: .csv or .parquet. [default: the one that the directory was filtered with, else MINED-review.csv]
        doubtful: Number of doubtful candidates to judge: high in relevance, narrowly dropped, or disputed between judges.
        even: Number of other negatives to judge, drawn evenly, from which the share of false negatives is estimated. [default: 40; none with doubtful]
        page: Serve a page on this machine to judge with the keyboard; otherwise only the sheet is written.
        port: Port of the page; 0 takes any free port.
        seed: Random seed for the even sample and the order of the queries.
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        candidates: Candidates directory, if it has moved since `hnmine filter`. [default: as recorded]
        index: Index directory, if it has moved since `hnmine mine`. [default: as recorded]
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def batch(
    mined: str | PathLike[str],
    *,
    output: str | PathLike[str],
    by: Literal["cluster", "balanced-cluster", "greedy", "random"] = "greedy",
    batch_size: int = 64,
    epochs: int | None = None,
    clusters: int | None = None,
    cluster_size: int | Sequence[int] = (),
    neighbours: int | None = None,
    guard: str | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    max_memory: str | None = None,
    task: str | None = None,
    finish: bool = False,
    candidates: str | PathLike[str] | None = None,
    index: str | PathLike[str] | None = None,
    recipe: str | None = None,
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> StageResult:
    """Group training rows into batches with hard and safe in-batch negatives.

    Args:
        mined: Directory that `hnmine filter` wrote.
        output: Directory for the batches.
        by: How a batch is filled: from one k-means cluster, from small equal clusters, with a query and its nearest, or randomly.
        batch_size: Number of rows in a batch.
        epochs: Number of epochs to write batches for. [default: 1, or one for each cluster_size]
        clusters: Number of k-means clusters for by='cluster'. [default: one for every 200 queries]
        cluster_size: Maximum number of queries in a cluster for by balanced-cluster, one value for each epoch.
        neighbours: Number of nearest queries that by='greedy' considers. [default: 64]
        guard: Expression over dense_score, positive_score and keep that every document in a batch must pass for every other row. [default: 'dense_score < positive_score and coalesce(keep, true)']
        seed: Random seed for clusters and batches.
        device: Device for the models: auto, cpu, cuda, cuda:1 or mps.
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        overwrite: Replace the output of a run with other settings.
        workers: Number of worker processes; GPUs are divided among them. [default: 1; one per GPU or machine with engine='ray']
        engine: Where workers run: on this machine, or on a Ray cluster with shared directories.
        ray_address: Address of the Ray cluster: auto for this machine's, or HOST:PORT. [default: RAY_ADDRESS, else a new local one]
        max_memory: Memory limit for all workers together, such as 12GB; fewer start if it is too small.
        task: Share of the tasks for this process, I/N from 0/N, to run the command on several machines.
        finish: Complete a run whose tasks were done with task; fail if any is missing.
        candidates: Candidates directory, if it has moved since `hnmine filter`. [default: as recorded]
        index: Index directory, if it has moved since `hnmine mine`. [default: as recorded]
        recipe: Recipe, such as bge; config and the keywords win over it.
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def generate(
    output: str | PathLike[str],
    *,
    corpus: str | PathLike[str] | Tables = (),
    edit: Literal["number", "unit", "entity", "negation", "comparison", "date"] | Sequence[Literal["number", "unit", "entity", "negation", "comparison", "date"]] = (),
    per_positive: int = 4,
    written: str | PathLike[str] | None | Tabular = None,
    endpoint: str | PathLike[str] | None = None,
    llm: str | None = None,
    prompt: str | PathLike[str] | Tables = (),
    temperature: float = 0.7,
    max_tokens: int = 512,
    seed: int = 0,
    block_size: int = 64,
    threads: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    max_memory: str | None = None,
    task: str | None = None,
    finish: bool = False,
    split: str | None = None,
    column: Mapping[str, str] | Sequence[str] = (),
    quoting: Literal["auto", "csv", "none"] = "auto",
    encoding: str = "utf-8",
    on_bad_row: Literal["error", "skip"] = "error",
    pairs: str | PathLike[str] | None | Tabular = None,
    queries: str | PathLike[str] | None | Tabular = None,
    qrels: str | PathLike[str] | None | Tabular = None,
    min_grade: float = 1.0,
    timeout: float = 120.0,
    requests: int = 4,
    api_key_env: str = "OPENAI_API_KEY",
    recipe: str | None = None,
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> StageResult:
    """Generate negatives: positives edited by rule, or texts of a language model.

    Args:
        output: Directory for the generated texts.
        corpus: Corpus, whose documents are not generated again.
        edit: Kind of edit to make to positives. [default: all, unless written or endpoint is given]
        per_positive: Maximum number of edits, and of the model's texts, for each positive.
        written: Texts written elsewhere, with query id or query: a file, a directory or a glob.
        endpoint: Address of an OpenAI-compatible server that writes texts, such as http://localhost:8000/v1.
        llm: Name of the language model on the server.
        prompt: File with a prompt, with {query} and {positive} to fill in; its name becomes the kind of the texts. [default: asks for a passage that fails one requirement of the query]
        temperature: Sampling temperature of the language model.
        max_tokens: Maximum tokens per generated text.
        seed: Random seed for edits and sampling.
        block_size: Queries per task; an interrupted run loses at most one task of each worker.
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        overwrite: Replace the output of a run with other settings.
        workers: Number of worker processes; GPUs are divided among them. [default: 1; one per GPU or machine with engine='ray']
        engine: Where workers run: on this machine, or on a Ray cluster with shared directories.
        ray_address: Address of the Ray cluster: auto for this machine's, or HOST:PORT. [default: RAY_ADDRESS, else a new local one]
        max_memory: Memory limit for all workers together, such as 12GB; fewer start if it is too small.
        task: Share of the tasks for this process, I/N from 0/N, to run the command on several machines.
        finish: Complete a run whose tasks were done with task; fail if any is missing.
        split: Splits to read, such as train or train,dev or all; CONFIG/SPLIT for data sets with several configurations.
        column: Column with an unusual name, such as corpus.text=body, or a number without a header.
        quoting: Whether quotes in text tables enclose values (csv) or belong to them (none).
        encoding: Encoding of text files without a byte order mark, such as cp1252.
        on_bad_row: What to do with rows that are null, blank or contradict others.
        pairs: Pairs of query and positive text: a file, directory or glob.
        queries: Queries with ids, to use with qrels instead of pairs.
        qrels: Judgements: query id, corpus id and, if graded, score.
        min_grade: Lowest grade at which a judged document is a positive.
        timeout: Seconds to wait for a whole answer of the server.
        requests: Number of concurrent requests to the server.
        api_key_env: Environment variable with the server's key, if it needs one.
        recipe: Recipe, such as bge; config and the keywords win over it.
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def mix(
    mined: str | PathLike[str],
    *,
    output: str | PathLike[str],
    by: str | Sequence[str] = ['mochi:4', 'mochi-query:1'],
    neighbours: int = 5,
    vectors: bool = False,
    seed: int = 0,
    threads: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    max_memory: str | None = None,
    task: str | None = None,
    finish: bool = False,
    candidates: str | PathLike[str] | None = None,
    index: str | PathLike[str] | None = None,
    recipe: str | None = None,
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> StageResult:
    """Mix the vectors of queries and hard negatives into synthetic negatives.

    Args:
        mined: Directory that `hnmine filter` wrote.
        output: Directory for the mixtures.
        by: What to mix, as NAME:N for N mixtures per query: mochi (two negatives), mochi-query, m2-mix (query and positive), or smote. [default: mochi:4 and mochi-query:1]
        neighbours: Number of nearest negatives that smote draws from.
        vectors: Write the mixed vectors, not only their parents and weights.
        seed: Random seed for pairs and weights.
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        overwrite: Replace the output of a run with other settings.
        workers: Number of worker processes; GPUs are divided among them. [default: 1; one per GPU or machine with engine='ray']
        engine: Where workers run: on this machine, or on a Ray cluster with shared directories.
        ray_address: Address of the Ray cluster: auto for this machine's, or HOST:PORT. [default: RAY_ADDRESS, else a new local one]
        max_memory: Memory limit for all workers together, such as 12GB; fewer start if it is too small.
        task: Share of the tasks for this process, I/N from 0/N, to run the command on several machines.
        finish: Complete a run whose tasks were done with task; fail if any is missing.
        candidates: Candidates directory, if it has moved since `hnmine filter`. [default: as recorded]
        index: Index directory, if it has moved since `hnmine mine`. [default: as recorded]
        recipe: Recipe, such as bge; config and the keywords win over it.
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def skill(
    folder: str | PathLike[str] | None = None,
) -> Skill:
    """Print instructions on hnmine for coding agents, or write them to a folder.

    Args:
        folder: Folder of an agent's skills to write hnmine/SKILL.md into. [default: print it]

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def models(
    folder: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    *,
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> Installed:
    """List the models, devices and precisions available on this machine.

    Args:
        folder: Folder to search for models, besides the hub's cache and installed packages.
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def audit(
    mined: str | PathLike[str],
    *,
    sample: int | None = None,
    sheet: str | PathLike[str] | None = None,
    seed: int = 0,
    split: str | None = None,
    threads: int | None = None,
    progress: bool = True,
    candidates: str | PathLike[str] | None = None,
    index: str | PathLike[str] | None = None,
    qrels: str | PathLike[str] | None | Tabular = None,
    min_grade: float = 1.0,
    verdicts: str | PathLike[str] | None | Tabular = None,
    shortcuts: bool = True,
    config: str | PathLike[str] | Mapping[str, object] | None = None,
) -> Audit:
    """Count false negatives by judgements.

    Args:
        mined: Directory that `hnmine filter` wrote.
        sample: Number of negatives to draw for a person or a model to judge.
        sheet: File for the sample: .csv or .parquet.
        seed: Random seed for the sample.
        split: Splits to read, such as train or train,dev or all; CONFIG/SPLIT for data sets with several configurations.
        threads: CPU threads to use. [default: all]
        progress: Show progress on stderr: bars on a terminal or in a notebook, else a line every 30 s.
        candidates: Candidates directory, if it has moved since `hnmine filter`. [default: as recorded]
        index: Index directory, if it has moved since `hnmine mine`. [default: as recorded]
        qrels: Judgements to count false negatives with, more complete than those mined with.
        min_grade: Lowest grade at which a judged document counts as relevant.
        verdicts: Sheet of verdicts that `hnmine judge` or `hnmine review` filled.
        shortcuts: Measure how well length, BM25, shared words or wording alone separate positives from negatives.
        config: YAML file, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
