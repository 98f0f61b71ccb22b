# Made by `python docs/make_api.py`; a test keeps it in step.

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal

from typing_extensions import deprecated

from hnmine.audit.estimate import Audit
from hnmine.encode.installed import Installed
from hnmine.exports.pushing import Pushed
from hnmine.report.changes import Changes
from hnmine.report.inspecting import Inspected
from hnmine.report.reporting import Report as ReportOfReport
from hnmine.results import StageResult
from hnmine.results import StageResults
from hnmine.review.reviewing import Reviewed
from hnmine.validate.findings import Report as ReportOfValidate
from hnmine.validate.initialising import Written

__version__: str
__all__ = ["audit", "batch", "build_index", "diff", "export", "filter_negatives", "generate", "init", "inspect", "mine", "mix", "models", "push", "report", "review", "run", "validate"]

def init(
    *paths: str | PathLike[str],
    file: str | PathLike[str] = "hnmine.yaml",
    output: str | PathLike[str] = "runs/first",
    encoder: str = "sentence-transformers/all-MiniLM-L6-v2",
    cross_encoder: str = "cross-encoder/ms-marco-MiniLM-L6-v2",
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
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> Written:
    """Write a commented configuration for given inputs; what each is, its columns say.

    Args:
        paths: Inputs; what each is, its columns say.
        file: File to write the settings to.
        output: Directory that `hnmine run` will write to.
        encoder: Bi-encoder: a hub name, a folder, or pkg:package/folder, as `hnmine models` lists them.
        cross_encoder: Cross-encoder, named likewise.
        overwrite: Replace what a run with other settings wrote to the output directory.
        workers: Processes that share the tasks, and the threads of their machine; each loads the models. [default: 1; with engine ray one for each GPU of the cluster, or for each machine where there are none]
        engine: Who starts the workers: local, this machine; ray, a Ray cluster, whose machines share the directories.
        ray_address: The cluster of engine ray: auto for the one that this machine belongs to, or HOST:PORT. [default: the one of RAY_ADDRESS, else one is started here]
        max_memory: Memory that all workers together may take, such as 12GB: fewer are started, and one is stopped where they take more.
        task: Share the tasks with other processes that run this command, here or on other machines, as process I of N, from 0: I/N.
        finish: End a run whose tasks other processes have done with task; fail if one is missing that they could have shared.
        split: Splits to read of inputs that have several, such as train, several with commas, or all; CONFIG/SPLIT where a data set has several configurations.
        column: Name a column that is not found by convention, as TABLE.ROLE=NAME, such as corpus.text=body or, inside a struct, corpus.text=document.body; `pairs.label=` says that no column is a label. In a file without a header, columns are numbered: corpus.text=2. Tables: corpus, pairs, queries, qrels, run, written. One, or several.
        quoting: Whether quotes in text tables quote values, as in CSV, or belong to the values. auto: CSV is quoted; all lines of a TSV file must prove that it is, or that it isn't.
        encoding: Encoding of text files, such as cp1252 for Windows and Latin-1. A byte order mark in a file overrides it.
        on_bad_row: What to do with rows that are null, blank or contradict others.
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def validate(
    *paths: str | PathLike[str],
    corpus: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    pairs: str | PathLike[str] | None = None,
    queries: str | PathLike[str] | None = None,
    encoder: str | None = None,
    faiss: str = "Flat",
    cross_encoder: str | None = None,
    calibrate: bool = True,
    seed: int = 0,
    device: str = "auto",
    backend: Literal["auto", "torch", "openvino", "onnx"] = "auto",
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "fp32",
    batch_tokens: int | None = None,
    max_length: int | None = None,
    split: str | None = None,
    column: Mapping[str, str] | Sequence[str] = (),
    quoting: Literal["auto", "csv", "none"] = "auto",
    encoding: str = "utf-8",
    on_bad_row: Literal["error", "skip"] = "error",
    qrels: str | PathLike[str] | None = None,
    min_grade: float = 1.0,
    top_k: int = 100,
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> ReportOfValidate:
    """Check inputs before hours are spent, and estimate what a run will need.

    Args:
        paths: Inputs; what each is, its columns say.
        corpus: Corpus: a file, a directory or a glob. One, or several.
        pairs: (query, positive) pairs as text.
        queries: Queries with ids.
        encoder: Bi-encoder whose length limit, vectors and time are estimated.
        faiss: FAISS index-factory string, to check for these documents.
        cross_encoder: Cross-encoder whose time is estimated, at its own length limit.
        calibrate: Run the models on a few texts, to estimate the time that they need.
        seed: Seed of the samples that lengths and near copies are from.
        device: auto, cpu, cuda, cuda:1 or mps.
        backend: What runs the model; auto: onnxruntime for ONNX graphs, OpenVINO on a CPU where it is installed, else PyTorch.
        dtype: Number format of the model's weights; auto: bf16 where the machine computes in it, else fp32.
        batch_tokens: Tokens in one forward pass, about. [default: 1024 on a CPU, 32768 on a GPU]
        max_length: Tokens after which a text is cut. [default: the model's]
        split: Splits to read of inputs that have several, such as train, several with commas, or all; CONFIG/SPLIT where a data set has several configurations.
        column: Name a column that is not found by convention, as TABLE.ROLE=NAME, such as corpus.text=body or, inside a struct, corpus.text=document.body; `pairs.label=` says that no column is a label. In a file without a header, columns are numbered: corpus.text=2. Tables: corpus, pairs, queries, qrels, run, written. One, or several.
        quoting: Whether quotes in text tables quote values, as in CSV, or belong to the values. auto: CSV is quoted; all lines of a TSV file must prove that it is, or that it isn't.
        encoding: Encoding of text files, such as cp1252 for Windows and Latin-1. A byte order mark in a file overrides it.
        on_bad_row: What to do with rows that are null, blank or contradict others.
        qrels: Judgements: query id, corpus id and, if graded, score.
        min_grade: Judgements below this grade are not positives.
        top_k: Candidates from each source for each query.
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def models(
    *,
    folder: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> Installed:
    """List the models that can be used here, and what the machine runs them on.

    Args:
        folder: A folder to look for models in, beside the hub's cache and installed packages. One, or several.
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def run(
    *,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    max_memory: str | None = None,
    task: str | None = None,
    finish: bool = False,
    device: str = "auto",
    backend: Literal["auto", "torch", "openvino", "onnx"] = "auto",
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "fp32",
    batch_tokens: int | None = None,
    max_length: int | None = None,
    split: str | None = None,
    column: Mapping[str, str] | Sequence[str] = (),
    quoting: Literal["auto", "csv", "none"] = "auto",
    encoding: str = "utf-8",
    on_bad_row: Literal["error", "skip"] = "error",
    corpus: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    pairs: str | PathLike[str] | None = None,
    bm25: bool = True,
    dense: bool = True,
    encoder: str | None = None,
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
    qrels: str | PathLike[str] | None = None,
    min_grade: float = 1.0,
    top_k: int = 100,
    queries: str | PathLike[str] | None = None,
    source: str | Sequence[str] = (),
    from_run: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    matching: str | None = None,
    constraint: str | Sequence[str] = (),
    attribute: Mapping[str, str] | Sequence[str] = (),
    clusters: int | None = None,
    query_encoder: str | None = None,
    previous: str | PathLike[str] | None = None,
    seed: int = 0,
    bm25_engine: Literal["hnmine", "rank-bm25"] = "hnmine",
    faiss_search: str | None = None,
    block_size: int = 512,
    cross_encoder: str | None = None,
    judge: str | Sequence[str] = (),
    score: str | None = None,
    positive_score: Literal["min", "max", "mean"] = "min",
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
    max_p_relevant: float | None = None,
    target_fn_rate: float | None = None,
    calibrate_by: str | None = None,
    depth: float | None = None,
    default_rule: bool = True,
    num_negatives: int = 5,
    budget: str | None = None,
    sampling: str = "top",
    order: str = "rank",
    within: str | None = None,
    strata: str | None = None,
    quota: Mapping[str, int] | Sequence[str] = (),
    weight: str | None = None,
    query_where: str | None = None,
    train_column: Mapping[str, str] | Sequence[str] = (),
    format: Literal["triplet", "n-tuple", "labeled-pair", "labeled-list"] = "triplet",
    output_scores: bool = False,
    deepen: int = 1,
    max_uses: int | None = None,
    lazy: bool = False,
    compat: Literal["sentence-transformers"] | None = None,
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> StageResults:
    """Build the index, mine and filter from one configuration, into index/, candidates/ and mined/ in output; generated/, batches/ and mixed/ too where the file has a section `generate`, `batch` or `mix`.

    Args:
        output: Directory to write the candidates to.
        overwrite: Replace what a run with other settings wrote to the output directory.
        workers: Processes that share the tasks, and the threads of their machine; each loads the models. [default: 1; with engine ray one for each GPU of the cluster, or for each machine where there are none]
        engine: Who starts the workers: local, this machine; ray, a Ray cluster, whose machines share the directories.
        ray_address: The cluster of engine ray: auto for the one that this machine belongs to, or HOST:PORT. [default: the one of RAY_ADDRESS, else one is started here]
        max_memory: Memory that all workers together may take, such as 12GB: fewer are started, and one is stopped where they take more.
        task: Share the tasks with other processes that run this command, here or on other machines, as process I of N, from 0: I/N.
        finish: End a run whose tasks other processes have done with task; fail if one is missing that they could have shared.
        device: auto, cpu, cuda, cuda:1 or mps.
        backend: What runs the model; auto: onnxruntime for ONNX graphs, OpenVINO on a CPU where it is installed, else PyTorch.
        dtype: Number format of the model's weights; auto: bf16 where the machine computes in it, else fp32.
        batch_tokens: Tokens in one forward pass, about. [default: 1024 on a CPU, 32768 on a GPU]
        max_length: Tokens after which a text is cut. [default: the model's]
        split: Splits to read of inputs that have several, such as train, several with commas, or all; CONFIG/SPLIT where a data set has several configurations.
        column: Name a column that is not found by convention, as TABLE.ROLE=NAME, such as corpus.text=body or, inside a struct, corpus.text=document.body; `pairs.label=` says that no column is a label. In a file without a header, columns are numbered: corpus.text=2. Tables: corpus, pairs, queries, qrels, run, written. One, or several.
        quoting: Whether quotes in text tables quote values, as in CSV, or belong to the values. auto: CSV is quoted; all lines of a TSV file must prove that it is, or that it isn't.
        encoding: Encoding of text files, such as cp1252 for Windows and Latin-1. A byte order mark in a file overrides it.
        on_bad_row: What to do with rows that are null, blank or contradict others.
        corpus: Corpus: a Parquet, JSONL or CSV file, a directory or a glob. One, or several.
        pairs: (query, positive) pairs as text: file, directory or glob.
        bm25: Build the BM25 index.
        dense: Build the dense index.
        encoder: Bi-encoder: a hub name, a folder, or pkg:package/folder. Needed for dense.
        query_prompt: Put before every query. [default: the model's own]
        document_prompt: Put before every document. [default: the model's own]
        pooling: Pooling of ONNX bi-encoders that judge. [default: the model's own, else mean]
        truncate_dim: Keep this many dimensions of each vector, for Matryoshka models. [default: the model's own, else all]
        faiss: FAISS index-factory string; Flat is exact.
        bm25_variant: BM25 formula; okapi, plus and l are those of rank-bm25.
        k1: BM25 term frequency saturation.
        b: BM25 length normalisation.
        tokenizer: BM25 tokens: auto takes lower-cased words, and pairs of characters in scripts without spaces and in Korean; word takes words only; whitespace splits at white space.
        stemmer: Snowball stemmer of the BM25 tokens: a language of PyStemmer such as hindi or arabic, or none.
        shard_size: Documents in one shard: the most that a kill can lose.
        qrels: Judgements: query id, corpus id and, if graded, score.
        min_grade: Judgements below this grade are not positives.
        top_k: Candidates from each source for each query.
        queries: Queries with ids; needs qrels.
        source: Where candidates come from: bm25, dense, bm25-from-positive, dense-from-positive, dense-from-queries, random, matching, judged, run; NAME:K takes K of them instead of top_k. One, or several. [default: bm25 and dense, where the index has them; run with from_run, matching with matching]
        from_run: What another system found: a TREC run, a table of query id, document id and score or rank, or another miner's output by text (FlagEmbedding's query and neg; sentence-transformers' triplets and n-tuples). One, or several.
        matching: The source matching takes documents for which this is true, at random, such as 'doc.topic = positive.topic'.
        constraint: Candidates must be documents for which this is true, such as 'doc.date < query.date'. One, or several.
        attribute: Add a column, as NAME=EXPRESSION over query and doc, such as same_topic='doc.topic = query.topic'. One, or several.
        clusters: Cluster the documents' vectors by k-means, for conditions on doc.cluster.
        query_encoder: Encode the queries with this model instead of the index's, such as the checkpoint of a student whose documents were encoded before (ADORE).
        previous: What `hnmine filter` wrote in an earlier round: adds previous_rank, previous_score and previous_selected.
        seed: Seed of every random choice.
        bm25_engine: What searches: hnmine's index, or the package rank-bm25 (slow).
        faiss_search: FAISS search parameters of an approximate index, such as nprobe=32.
        block_size: Queries in one task: the most that a kill can lose.
        cross_encoder: Cross-encoder: a hub name, a folder, or pkg:package/folder.
        judge: A further judge of relevance: a bi-encoder or a cross-encoder, or a file of verdicts (query id, document id, score from 0 to 1). One, or several.
        score: The score that the rules compare: ce, dense, bm25, or an expression. [default: ce with cross_encoder, else dense, else bm25]
        positive_score: The query's score among those of its positives.
        margin: Keep a candidate if score <= positive - MARGIN.
        relative_margin: Keep a candidate if score <= positive - |positive| * MARGIN.
        max_score: Keep a candidate if score <= MAX_SCORE.
        min_score: Keep a candidate if score >= MIN_SCORE.
        near_copy: Leave out candidates of which, or of whose positive, this share stands word for word in the other; above 1: off.
        range_min: Leave out the candidates of rank < RANGE_MIN.
        range_max: Leave out the candidates of rank >= RANGE_MAX.
        derive: Add a column, as NAME=EXPRESSION over the columns there are. One, or several.
        where: Keep a candidate if this expression is true. One, or several.
        relabel: Make a candidate a positive of its query if this expression is true, such as 'score > positive_score + 2'.
        max_p_relevant: Drop the candidates whose estimated chance of being relevant is higher. [default: 0.5 with the default rule]
        target_fn_rate: Drop the candidates with so much evidence of relevance that at most this share of relevant documents would be left.
        calibrate_by: Expression whose values get a cut of their own from target_fn_rate, where they have positives enough.
        depth: Mean rank by the bi-encoder of the negatives that the default choice aims at: the deeper, the surer and the easier they are. [default: 20, or 0, 5, 10 or 40 where a trial on the known positives says so]
        default_rule: Where no rule and no order is given, choose what is least likely relevant for its depth; where there are too few positives to learn that from, all judges count the same.
        num_negatives: Hard negatives for each query.
        budget: Negatives for each query as an expression, at most num_negatives.
        sampling: Among the survivors: top, the first by order; random; or an expression, the weight of each in a draw without replacement.
        order: Expression by which sampling top goes, the smallest first.
        within: Choose only among survivors for which this expression is true; its rank(x), avg(x) and so on count survivors.
        strata: Expression whose values take turns, so that each is chosen as often.
        quota: Negatives of one kind, as EXPRESSION=N, such as 'bm25_rank is not null=2'; together they replace num_negatives. One, or several.
        weight: Expression for the weight of a chosen negative. [default: 1]
        query_where: Use a query only if this expression is true, such as "count(*) filter (where reason = 'relabelled') <= 7"; it may be about selected and reason.
        train_column: Add a column to train/, as NAME=EXPRESSION over the scored columns, such as weight=weight or negative_id=doc_id. One, or several.
        format: Layout of train/, as in sentence-transformers.
        output_scores: Add the column `scores` (or `score`) that distillation losses take.
        deepen: Mine a query that got too few negatives again, twice as deep and so on, up to DEEPEN times as deep as `mine` did.
        max_uses: Let no document serve as a negative of more than MAX_USES queries; which of them is drawn, and the others get their next best.
        lazy: Score with the cross-encoder, in order of rank, only until each query has its negatives. They are the same as without, by margin and the like (3 logits where none is given); what needs every score, such as the default rule, cannot be had.
        compat: Choose as mine_hard_negatives of sentence-transformers does: ranges count survivors, the best by score come first, no rule is on by default.
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def build_index(
    *,
    index: str | PathLike[str],
    corpus: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    pairs: str | PathLike[str] | None = None,
    bm25: bool = True,
    dense: bool = True,
    encoder: str | None = None,
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
    overwrite: bool = False,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    max_memory: str | None = None,
    task: str | None = None,
    finish: bool = False,
    device: str = "auto",
    backend: Literal["auto", "torch", "openvino", "onnx"] = "auto",
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "fp32",
    batch_tokens: int | None = None,
    max_length: int | None = None,
    split: str | None = None,
    column: Mapping[str, str] | Sequence[str] = (),
    quoting: Literal["auto", "csv", "none"] = "auto",
    encoding: str = "utf-8",
    on_bad_row: Literal["error", "skip"] = "error",
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> StageResult:
    """Build the BM25 and dense index of a corpus.

    Args:
        index: Directory to write the index to.
        corpus: Corpus: a Parquet, JSONL or CSV file, a directory or a glob. One, or several.
        pairs: Pairs whose positives are added to the corpus; without corpus they are the corpus.
        bm25: Build the BM25 index.
        dense: Build the dense index.
        encoder: Bi-encoder: a hub name, a folder, or pkg:package/folder. Needed for dense.
        query_prompt: Put before every query. [default: the model's own]
        document_prompt: Put before every document. [default: the model's own]
        pooling: Pooling of an ONNX encoder. [default: the model's own, else mean]
        truncate_dim: Keep this many dimensions of each vector, for Matryoshka models. [default: the model's own, else all]
        faiss: FAISS index-factory string; Flat is exact.
        bm25_variant: BM25 formula; okapi, plus and l are those of rank-bm25.
        k1: BM25 term frequency saturation.
        b: BM25 length normalisation.
        tokenizer: BM25 tokens: auto takes lower-cased words, and pairs of characters in scripts without spaces and in Korean; word takes words only; whitespace splits at white space.
        stemmer: Snowball stemmer of the BM25 tokens: a language of PyStemmer such as hindi or arabic, or none.
        shard_size: Documents in one shard: the most that a kill can lose.
        overwrite: Replace what a run with other settings wrote to the output directory.
        workers: Processes that share the tasks, and the threads of their machine; each loads the models. [default: 1; with engine ray one for each GPU of the cluster, or for each machine where there are none]
        engine: Who starts the workers: local, this machine; ray, a Ray cluster, whose machines share the directories.
        ray_address: The cluster of engine ray: auto for the one that this machine belongs to, or HOST:PORT. [default: the one of RAY_ADDRESS, else one is started here]
        max_memory: Memory that all workers together may take, such as 12GB: fewer are started, and one is stopped where they take more.
        task: Share the tasks with other processes that run this command, here or on other machines, as process I of N, from 0: I/N.
        finish: End a run whose tasks other processes have done with task; fail if one is missing that they could have shared.
        device: auto, cpu, cuda, cuda:1 or mps.
        backend: What runs the model; auto: onnxruntime for ONNX graphs, OpenVINO on a CPU where it is installed, else PyTorch.
        dtype: Number format of the model's weights; auto: bf16 where the machine computes in it, else fp32.
        batch_tokens: Tokens in one forward pass, about. [default: 1024 on a CPU, 32768 on a GPU]
        max_length: Tokens after which a text is cut. [default: the model's]
        split: Splits to read of inputs that have several, such as train, several with commas, or all; CONFIG/SPLIT where a data set has several configurations.
        column: Name a column that is not found by convention, as TABLE.ROLE=NAME, such as corpus.text=body or, inside a struct, corpus.text=document.body; `pairs.label=` says that no column is a label. In a file without a header, columns are numbered: corpus.text=2. Tables: corpus, pairs, queries, qrels, run, written. One, or several.
        quoting: Whether quotes in text tables quote values, as in CSV, or belong to the values. auto: CSV is quoted; all lines of a TSV file must prove that it is, or that it isn't.
        encoding: Encoding of text files, such as cp1252 for Windows and Latin-1. A byte order mark in a file overrides it.
        on_bad_row: What to do with rows that are null, blank or contradict others.
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def mine(
    *,
    index: str | PathLike[str],
    output: str | PathLike[str],
    pairs: str | PathLike[str] | None = None,
    queries: str | PathLike[str] | None = None,
    source: str | Sequence[str] = (),
    from_run: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    matching: str | None = None,
    constraint: str | Sequence[str] = (),
    attribute: Mapping[str, str] | Sequence[str] = (),
    clusters: int | None = None,
    query_encoder: str | None = None,
    previous: str | PathLike[str] | None = None,
    seed: int = 0,
    bm25_engine: Literal["hnmine", "rank-bm25"] = "hnmine",
    device: str = "auto",
    faiss_search: str | None = None,
    block_size: int = 512,
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
    qrels: str | PathLike[str] | None = None,
    min_grade: float = 1.0,
    top_k: int = 100,
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> StageResult:
    """Mine candidates for every query from an index.

    Args:
        index: Directory that `hnmine build-index` wrote.
        output: Directory to write the candidates to.
        pairs: (query, positive) pairs as text: file, directory or glob.
        queries: Queries with ids; needs qrels.
        source: Where candidates come from: bm25, dense, bm25-from-positive, dense-from-positive, dense-from-queries, random, matching, judged, run; NAME:K takes K of them instead of top_k. One, or several. [default: bm25 and dense, where the index has them; run with from_run, matching with matching]
        from_run: What another system found: a TREC run, a table of query id, document id and score or rank, or another miner's output by text (FlagEmbedding's query and neg; sentence-transformers' triplets and n-tuples). One, or several.
        matching: The source matching takes documents for which this is true, at random, such as 'doc.topic = positive.topic'.
        constraint: Candidates must be documents for which this is true, such as 'doc.date < query.date'. One, or several.
        attribute: Add a column, as NAME=EXPRESSION over query and doc, such as same_topic='doc.topic = query.topic'. One, or several.
        clusters: Cluster the documents' vectors by k-means, for conditions on doc.cluster.
        query_encoder: Encode the queries with this model instead of the index's, such as the checkpoint of a student whose documents were encoded before (ADORE).
        previous: What `hnmine filter` wrote in an earlier round: adds previous_rank, previous_score and previous_selected.
        seed: Seed of every random choice.
        bm25_engine: What searches: hnmine's index, or the package rank-bm25 (slow).
        device: Of the encoder: auto, cpu, cuda, cuda:1 or mps.
        faiss_search: FAISS search parameters of an approximate index, such as nprobe=32.
        block_size: Queries in one task: the most that a kill can lose.
        overwrite: Replace what a run with other settings wrote to the output directory.
        workers: Processes that share the tasks, and the threads of their machine; each loads the models. [default: 1; with engine ray one for each GPU of the cluster, or for each machine where there are none]
        engine: Who starts the workers: local, this machine; ray, a Ray cluster, whose machines share the directories.
        ray_address: The cluster of engine ray: auto for the one that this machine belongs to, or HOST:PORT. [default: the one of RAY_ADDRESS, else one is started here]
        max_memory: Memory that all workers together may take, such as 12GB: fewer are started, and one is stopped where they take more.
        task: Share the tasks with other processes that run this command, here or on other machines, as process I of N, from 0: I/N.
        finish: End a run whose tasks other processes have done with task; fail if one is missing that they could have shared.
        split: Splits to read of inputs that have several, such as train, several with commas, or all; CONFIG/SPLIT where a data set has several configurations.
        column: Name a column that is not found by convention, as TABLE.ROLE=NAME, such as corpus.text=body or, inside a struct, corpus.text=document.body; `pairs.label=` says that no column is a label. In a file without a header, columns are numbered: corpus.text=2. Tables: corpus, pairs, queries, qrels, run, written. One, or several.
        quoting: Whether quotes in text tables quote values, as in CSV, or belong to the values. auto: CSV is quoted; all lines of a TSV file must prove that it is, or that it isn't.
        encoding: Encoding of text files, such as cp1252 for Windows and Latin-1. A byte order mark in a file overrides it.
        on_bad_row: What to do with rows that are null, blank or contradict others.
        qrels: Judgements: query id, corpus id and, if graded, score.
        min_grade: Judgements below this grade are not positives.
        top_k: Candidates from each source for each query.
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def filter_negatives(
    *,
    candidates: str | PathLike[str],
    output: str | PathLike[str],
    index: str | PathLike[str] | None = None,
    cross_encoder: str | None = None,
    judge: str | Sequence[str] = (),
    pooling: Literal["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] | None = None,
    score: str | None = None,
    positive_score: Literal["min", "max", "mean"] = "min",
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
    max_p_relevant: float | None = None,
    target_fn_rate: float | None = None,
    calibrate_by: str | None = None,
    depth: float | None = None,
    default_rule: bool = True,
    num_negatives: int = 5,
    budget: str | None = None,
    sampling: str = "top",
    order: str = "rank",
    within: str | None = None,
    strata: str | None = None,
    quota: Mapping[str, int] | Sequence[str] = (),
    weight: str | None = None,
    query_where: str | None = None,
    train_column: Mapping[str, str] | Sequence[str] = (),
    format: Literal["triplet", "n-tuple", "labeled-pair", "labeled-list"] = "triplet",
    output_scores: bool = False,
    deepen: int = 1,
    max_uses: int | None = None,
    lazy: bool = False,
    seed: int = 0,
    compat: Literal["sentence-transformers"] | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    max_memory: str | None = None,
    task: str | None = None,
    finish: bool = False,
    device: str = "auto",
    backend: Literal["auto", "torch", "openvino", "onnx"] = "auto",
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "fp32",
    batch_tokens: int | None = None,
    max_length: int | None = None,
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> StageResult:
    """Keep false negatives out, choose hard negatives, write training data.

    Args:
        candidates: Directory that `hnmine mine` wrote.
        output: Directory to write the mined negatives to.
        index: The index, where it has moved since `hnmine mine`. [default: where it was]
        cross_encoder: Cross-encoder: a hub name, a folder, or pkg:package/folder.
        judge: A further judge of relevance: a bi-encoder or a cross-encoder, or a file of verdicts (query id, document id, score from 0 to 1). One, or several.
        pooling: Pooling of ONNX bi-encoders that judge. [default: the model's own, else mean]
        score: The score that the rules compare: ce, dense, bm25, or an expression. [default: ce with cross_encoder, else dense, else bm25]
        positive_score: The query's score among those of its positives.
        margin: Keep a candidate if score <= positive - MARGIN.
        relative_margin: Keep a candidate if score <= positive - |positive| * MARGIN.
        max_score: Keep a candidate if score <= MAX_SCORE.
        min_score: Keep a candidate if score >= MIN_SCORE.
        near_copy: Leave out candidates of which, or of whose positive, this share stands word for word in the other; above 1: off.
        range_min: Leave out the candidates of rank < RANGE_MIN.
        range_max: Leave out the candidates of rank >= RANGE_MAX.
        derive: Add a column, as NAME=EXPRESSION over the columns there are. One, or several.
        where: Keep a candidate if this expression is true. One, or several.
        relabel: Make a candidate a positive of its query if this expression is true, such as 'score > positive_score + 2'.
        max_p_relevant: Drop the candidates whose estimated chance of being relevant is higher. [default: 0.5 with the default rule]
        target_fn_rate: Drop the candidates with so much evidence of relevance that at most this share of relevant documents would be left.
        calibrate_by: Expression whose values get a cut of their own from target_fn_rate, where they have positives enough.
        depth: Mean rank by the bi-encoder of the negatives that the default choice aims at: the deeper, the surer and the easier they are. [default: 20, or 0, 5, 10 or 40 where a trial on the known positives says so]
        default_rule: Where no rule and no order is given, choose what is least likely relevant for its depth; where there are too few positives to learn that from, all judges count the same.
        num_negatives: Hard negatives for each query.
        budget: Negatives for each query as an expression, at most num_negatives.
        sampling: Among the survivors: top, the first by order; random; or an expression, the weight of each in a draw without replacement.
        order: Expression by which sampling top goes, the smallest first.
        within: Choose only among survivors for which this expression is true; its rank(x), avg(x) and so on count survivors.
        strata: Expression whose values take turns, so that each is chosen as often.
        quota: Negatives of one kind, as EXPRESSION=N, such as 'bm25_rank is not null=2'; together they replace num_negatives. One, or several.
        weight: Expression for the weight of a chosen negative. [default: 1]
        query_where: Use a query only if this expression is true, such as "count(*) filter (where reason = 'relabelled') <= 7"; it may be about selected and reason.
        train_column: Add a column to train/, as NAME=EXPRESSION over the scored columns, such as weight=weight or negative_id=doc_id. One, or several.
        format: Layout of train/, as in sentence-transformers.
        output_scores: Add the column `scores` (or `score`) that distillation losses take.
        deepen: Mine a query that got too few negatives again, twice as deep and so on, up to DEEPEN times as deep as `mine` did.
        max_uses: Let no document serve as a negative of more than MAX_USES queries; which of them is drawn, and the others get their next best.
        lazy: Score with the cross-encoder, in order of rank, only until each query has its negatives. They are the same as without, by margin and the like (3 logits where none is given); what needs every score, such as the default rule, cannot be had.
        seed: Seed of every random choice.
        compat: Choose as mine_hard_negatives of sentence-transformers does: ranges count survivors, the best by score come first, no rule is on by default.
        overwrite: Replace what a run with other settings wrote to the output directory.
        workers: Processes that share the tasks, and the threads of their machine; each loads the models. [default: 1; with engine ray one for each GPU of the cluster, or for each machine where there are none]
        engine: Who starts the workers: local, this machine; ray, a Ray cluster, whose machines share the directories.
        ray_address: The cluster of engine ray: auto for the one that this machine belongs to, or HOST:PORT. [default: the one of RAY_ADDRESS, else one is started here]
        max_memory: Memory that all workers together may take, such as 12GB: fewer are started, and one is stopped where they take more.
        task: Share the tasks with other processes that run this command, here or on other machines, as process I of N, from 0: I/N.
        finish: End a run whose tasks other processes have done with task; fail if one is missing that they could have shared.
        device: auto, cpu, cuda, cuda:1 or mps.
        backend: What runs the model; auto: onnxruntime for ONNX graphs, OpenVINO on a CPU where it is installed, else PyTorch.
        dtype: Number format of the model's weights; auto: bf16 where the machine computes in it, else fp32.
        batch_tokens: Tokens in one forward pass, about. [default: 1024 on a CPU, 32768 on a GPU]
        max_length: Tokens after which a text is cut. [default: the model's]
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

@deprecated("use filter_negatives")
def filter(
    *,
    candidates: str | PathLike[str],
    output: str | PathLike[str],
    index: str | PathLike[str] | None = None,
    cross_encoder: str | None = None,
    judge: str | Sequence[str] = (),
    pooling: Literal["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] | None = None,
    score: str | None = None,
    positive_score: Literal["min", "max", "mean"] = "min",
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
    max_p_relevant: float | None = None,
    target_fn_rate: float | None = None,
    calibrate_by: str | None = None,
    depth: float | None = None,
    default_rule: bool = True,
    num_negatives: int = 5,
    budget: str | None = None,
    sampling: str = "top",
    order: str = "rank",
    within: str | None = None,
    strata: str | None = None,
    quota: Mapping[str, int] | Sequence[str] = (),
    weight: str | None = None,
    query_where: str | None = None,
    train_column: Mapping[str, str] | Sequence[str] = (),
    format: Literal["triplet", "n-tuple", "labeled-pair", "labeled-list"] = "triplet",
    output_scores: bool = False,
    deepen: int = 1,
    max_uses: int | None = None,
    lazy: bool = False,
    seed: int = 0,
    compat: Literal["sentence-transformers"] | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    max_memory: str | None = None,
    task: str | None = None,
    finish: bool = False,
    device: str = "auto",
    backend: Literal["auto", "torch", "openvino", "onnx"] = "auto",
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "fp32",
    batch_tokens: int | None = None,
    max_length: int | None = None,
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> StageResult:
    """Keep false negatives out, choose hard negatives, write training data.

    Args:
        candidates: Directory that `hnmine mine` wrote.
        output: Directory to write the mined negatives to.
        index: The index, where it has moved since `hnmine mine`. [default: where it was]
        cross_encoder: Cross-encoder: a hub name, a folder, or pkg:package/folder.
        judge: A further judge of relevance: a bi-encoder or a cross-encoder, or a file of verdicts (query id, document id, score from 0 to 1). One, or several.
        pooling: Pooling of ONNX bi-encoders that judge. [default: the model's own, else mean]
        score: The score that the rules compare: ce, dense, bm25, or an expression. [default: ce with cross_encoder, else dense, else bm25]
        positive_score: The query's score among those of its positives.
        margin: Keep a candidate if score <= positive - MARGIN.
        relative_margin: Keep a candidate if score <= positive - |positive| * MARGIN.
        max_score: Keep a candidate if score <= MAX_SCORE.
        min_score: Keep a candidate if score >= MIN_SCORE.
        near_copy: Leave out candidates of which, or of whose positive, this share stands word for word in the other; above 1: off.
        range_min: Leave out the candidates of rank < RANGE_MIN.
        range_max: Leave out the candidates of rank >= RANGE_MAX.
        derive: Add a column, as NAME=EXPRESSION over the columns there are. One, or several.
        where: Keep a candidate if this expression is true. One, or several.
        relabel: Make a candidate a positive of its query if this expression is true, such as 'score > positive_score + 2'.
        max_p_relevant: Drop the candidates whose estimated chance of being relevant is higher. [default: 0.5 with the default rule]
        target_fn_rate: Drop the candidates with so much evidence of relevance that at most this share of relevant documents would be left.
        calibrate_by: Expression whose values get a cut of their own from target_fn_rate, where they have positives enough.
        depth: Mean rank by the bi-encoder of the negatives that the default choice aims at: the deeper, the surer and the easier they are. [default: 20, or 0, 5, 10 or 40 where a trial on the known positives says so]
        default_rule: Where no rule and no order is given, choose what is least likely relevant for its depth; where there are too few positives to learn that from, all judges count the same.
        num_negatives: Hard negatives for each query.
        budget: Negatives for each query as an expression, at most num_negatives.
        sampling: Among the survivors: top, the first by order; random; or an expression, the weight of each in a draw without replacement.
        order: Expression by which sampling top goes, the smallest first.
        within: Choose only among survivors for which this expression is true; its rank(x), avg(x) and so on count survivors.
        strata: Expression whose values take turns, so that each is chosen as often.
        quota: Negatives of one kind, as EXPRESSION=N, such as 'bm25_rank is not null=2'; together they replace num_negatives. One, or several.
        weight: Expression for the weight of a chosen negative. [default: 1]
        query_where: Use a query only if this expression is true, such as "count(*) filter (where reason = 'relabelled') <= 7"; it may be about selected and reason.
        train_column: Add a column to train/, as NAME=EXPRESSION over the scored columns, such as weight=weight or negative_id=doc_id. One, or several.
        format: Layout of train/, as in sentence-transformers.
        output_scores: Add the column `scores` (or `score`) that distillation losses take.
        deepen: Mine a query that got too few negatives again, twice as deep and so on, up to DEEPEN times as deep as `mine` did.
        max_uses: Let no document serve as a negative of more than MAX_USES queries; which of them is drawn, and the others get their next best.
        lazy: Score with the cross-encoder, in order of rank, only until each query has its negatives. They are the same as without, by margin and the like (3 logits where none is given); what needs every score, such as the default rule, cannot be had.
        seed: Seed of every random choice.
        compat: Choose as mine_hard_negatives of sentence-transformers does: ranges count survivors, the best by score come first, no rule is on by default.
        overwrite: Replace what a run with other settings wrote to the output directory.
        workers: Processes that share the tasks, and the threads of their machine; each loads the models. [default: 1; with engine ray one for each GPU of the cluster, or for each machine where there are none]
        engine: Who starts the workers: local, this machine; ray, a Ray cluster, whose machines share the directories.
        ray_address: The cluster of engine ray: auto for the one that this machine belongs to, or HOST:PORT. [default: the one of RAY_ADDRESS, else one is started here]
        max_memory: Memory that all workers together may take, such as 12GB: fewer are started, and one is stopped where they take more.
        task: Share the tasks with other processes that run this command, here or on other machines, as process I of N, from 0: I/N.
        finish: End a run whose tasks other processes have done with task; fail if one is missing that they could have shared.
        device: auto, cpu, cuda, cuda:1 or mps.
        backend: What runs the model; auto: onnxruntime for ONNX graphs, OpenVINO on a CPU where it is installed, else PyTorch.
        dtype: Number format of the model's weights; auto: bf16 where the machine computes in it, else fp32.
        batch_tokens: Tokens in one forward pass, about. [default: 1024 on a CPU, 32768 on a GPU]
        max_length: Tokens after which a text is cut. [default: the model's]
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def batch(
    *,
    mined: str | PathLike[str],
    output: str | PathLike[str],
    candidates: str | PathLike[str] | None = None,
    index: str | PathLike[str] | None = None,
    by: Literal["cluster", "balanced-cluster", "greedy", "random"] = "greedy",
    batch_size: int = 64,
    epochs: int | None = None,
    clusters: int | None = None,
    cluster_size: int | Sequence[int] = (),
    neighbours: int | None = None,
    guard: str | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    max_memory: str | None = None,
    task: str | None = None,
    finish: bool = False,
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> StageResult:
    """Put the training rows in batches that are hard, and safe, as in-batch negatives.

    Args:
        mined: Directory that `hnmine filter` wrote.
        output: Directory to write the batches to.
        candidates: The candidates, where they have moved since `hnmine filter`. [default: where they were]
        index: The index, where it has moved since `hnmine mine`. [default: where it was]
        by: What a batch is made of: queries of one k-means cluster; small clusters of equal size, drawn at random; a query and its nearest; or queries drawn at random.
        batch_size: Rows in a batch.
        epochs: Times that every row comes. [default: 1, or one for each cluster_size]
        clusters: Clusters of by cluster. [default: one for every 200 queries]
        cluster_size: Queries in a cluster of by balanced-cluster, at most. Given several times, one for each epoch; the last stays.
        neighbours: Nearest queries that by greedy goes through. [default: 64]
        guard: Expression that must be true of a query and each document of the other rows of its batch, over dense_score and keep, false where `hnmine filter` dropped it, else null. [default: 'dense_score < pos(dense_score) and coalesce(keep, true)']
        seed: Seed of every random choice.
        device: Of the encoder: auto, cpu, cuda, cuda:1 or mps.
        overwrite: Replace what a run with other settings wrote to the output directory.
        workers: Processes that share the tasks, and the threads of their machine; each loads the models. [default: 1; with engine ray one for each GPU of the cluster, or for each machine where there are none]
        engine: Who starts the workers: local, this machine; ray, a Ray cluster, whose machines share the directories.
        ray_address: The cluster of engine ray: auto for the one that this machine belongs to, or HOST:PORT. [default: the one of RAY_ADDRESS, else one is started here]
        max_memory: Memory that all workers together may take, such as 12GB: fewer are started, and one is stopped where they take more.
        task: Share the tasks with other processes that run this command, here or on other machines, as process I of N, from 0: I/N.
        finish: End a run whose tasks other processes have done with task; fail if one is missing that they could have shared.
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def export(
    *,
    mined: str | PathLike[str],
    to: str,
    output: str | PathLike[str],
    scores: str | None = None,
    prompt: str | None = None,
    candidates: str | PathLike[str] | None = None,
    index: str | PathLike[str] | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    max_memory: str | None = None,
    task: str | None = None,
    finish: bool = False,
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> StageResult:
    """Write mined negatives as the files of another trainer, without scoring anything.

    Args:
        mined: Directory that `hnmine filter` wrote.
        to: The format; all are listed above.
        output: Directory to write the files to.
        scores: The scores to write: ce, dense, bm25, or an expression over the columns of scored/. [default: those that `hnmine filter` compared; with the layouts of sentence-transformers and with colbert none]
        prompt: Instruction of the queries, for formats with a field for it, such as flagembedding.
        candidates: The candidates, where they have moved since `hnmine filter`. [default: where they were]
        index: The index, where it has moved since `hnmine mine`. [default: where it was]
        overwrite: Replace what a run with other settings wrote to the output directory.
        workers: Processes that share the tasks, and the threads of their machine; each loads the models. [default: 1; with engine ray one for each GPU of the cluster, or for each machine where there are none]
        engine: Who starts the workers: local, this machine; ray, a Ray cluster, whose machines share the directories.
        ray_address: The cluster of engine ray: auto for the one that this machine belongs to, or HOST:PORT. [default: the one of RAY_ADDRESS, else one is started here]
        max_memory: Memory that all workers together may take, such as 12GB: fewer are started, and one is stopped where they take more.
        task: Share the tasks with other processes that run this command, here or on other machines, as process I of N, from 0: I/N.
        finish: End a run whose tasks other processes have done with task; fail if one is missing that they could have shared.
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def push(
    *,
    data: str | PathLike[str],
    repo: str,
    private: bool = True,
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> Pushed:
    """Upload a directory with a dataset card to the Hugging Face hub.

    Args:
        data: Directory that `hnmine filter` or `hnmine export` wrote.
        repo: Dataset repository, as OWNER/NAME; made if it is not there.
        private: Make a new repository private; one that is there stays as it is.
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def generate(
    *,
    output: str | PathLike[str],
    corpus: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    pairs: str | PathLike[str] | None = None,
    queries: str | PathLike[str] | None = None,
    qrels: str | PathLike[str] | None = None,
    min_grade: float = 1.0,
    edit: Literal["number", "unit", "entity", "negation", "comparison", "date"] | Sequence[Literal["number", "unit", "entity", "negation", "comparison", "date"]] = (),
    per_positive: int = 4,
    written: str | PathLike[str] | None = None,
    endpoint: str | PathLike[str] | None = None,
    llm: str | None = None,
    prompt: str | PathLike[str] | None = None,
    temperature: float = 0.7,
    max_tokens: int = 512,
    timeout: float = 120.0,
    requests: int = 4,
    api_key_env: str | PathLike[str] = "OPENAI_API_KEY",
    seed: int = 0,
    block_size: int = 64,
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
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> StageResult:
    """Make texts that may serve as negatives: positives edited by rule, or written by a language model.

    Args:
        output: Directory to write the texts to.
        corpus: Corpus: none of its documents is generated again. One, or several.
        pairs: (query, positive) pairs as text: file, directory or glob.
        queries: Queries with ids; needs qrels and corpus.
        qrels: Judgements: query id, corpus id and, if graded, score.
        min_grade: Judgements below this grade are not positives.
        edit: Edit positives by rule: number, unit, entity, negation, comparison, date. One, or several. [default: all, unless written or endpoint is given]
        per_positive: Edits, and texts of the model, for each positive at most.
        written: Texts that were written elsewhere: query id, or query, and text: file, directory or glob.
        endpoint: Let a language model write: the address of an OpenAI-compatible server, such as http://localhost:8000/v1.
        llm: The model's name, as the server knows it.
        prompt: File with the prompt, in which {query} and {positive} are filled in. [default: asks for a passage that differs from the positive in one thing that the query requires]
        temperature: Of the language model's sampling.
        max_tokens: Of a text that the model writes.
        timeout: Seconds that the server has for a whole answer.
        requests: Requests to the server at a time.
        api_key_env: Environment variable that holds the server's key, if it wants one.
        seed: Seed of every random choice.
        block_size: Queries in one task: the most that a kill can lose.
        overwrite: Replace what a run with other settings wrote to the output directory.
        workers: Processes that share the tasks, and the threads of their machine; each loads the models. [default: 1; with engine ray one for each GPU of the cluster, or for each machine where there are none]
        engine: Who starts the workers: local, this machine; ray, a Ray cluster, whose machines share the directories.
        ray_address: The cluster of engine ray: auto for the one that this machine belongs to, or HOST:PORT. [default: the one of RAY_ADDRESS, else one is started here]
        max_memory: Memory that all workers together may take, such as 12GB: fewer are started, and one is stopped where they take more.
        task: Share the tasks with other processes that run this command, here or on other machines, as process I of N, from 0: I/N.
        finish: End a run whose tasks other processes have done with task; fail if one is missing that they could have shared.
        split: Splits to read of inputs that have several, such as train, several with commas, or all; CONFIG/SPLIT where a data set has several configurations.
        column: Name a column that is not found by convention, as TABLE.ROLE=NAME, such as corpus.text=body or, inside a struct, corpus.text=document.body; `pairs.label=` says that no column is a label. In a file without a header, columns are numbered: corpus.text=2. Tables: corpus, pairs, queries, qrels, run, written. One, or several.
        quoting: Whether quotes in text tables quote values, as in CSV, or belong to the values. auto: CSV is quoted; all lines of a TSV file must prove that it is, or that it isn't.
        encoding: Encoding of text files, such as cp1252 for Windows and Latin-1. A byte order mark in a file overrides it.
        on_bad_row: What to do with rows that are null, blank or contradict others.
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def mix(
    *,
    mined: str | PathLike[str],
    output: str | PathLike[str],
    candidates: str | PathLike[str] | None = None,
    index: str | PathLike[str] | None = None,
    by: str | Sequence[str] = ['mochi:4', 'mochi-query:1'],
    neighbours: int = 5,
    vectors: bool = False,
    seed: int = 0,
    overwrite: bool = False,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    max_memory: str | None = None,
    task: str | None = None,
    finish: bool = False,
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> StageResult:
    """Mix the vectors of queries and hard negatives into synthetic negatives.

    Args:
        mined: Directory that `hnmine filter` wrote.
        output: Directory to write the mixtures to.
        candidates: The candidates, where they have moved since `hnmine filter`. [default: where they were]
        index: The index, where it has moved since `hnmine mine`. [default: where it was]
        by: What is mixed, as NAME:N for N mixtures of each query: mochi, two negatives; mochi-query, the query and a negative; m2-mix, the query and a positive on the sphere; smote, a negative and one of its nearest. One, or several. [default: mochi:4 and mochi-query:1]
        neighbours: Nearest negatives of a negative that smote draws from.
        vectors: Write the mixed vectors too, not only their parents and weights.
        seed: Seed of every random choice.
        overwrite: Replace what a run with other settings wrote to the output directory.
        workers: Processes that share the tasks, and the threads of their machine; each loads the models. [default: 1; with engine ray one for each GPU of the cluster, or for each machine where there are none]
        engine: Who starts the workers: local, this machine; ray, a Ray cluster, whose machines share the directories.
        ray_address: The cluster of engine ray: auto for the one that this machine belongs to, or HOST:PORT. [default: the one of RAY_ADDRESS, else one is started here]
        max_memory: Memory that all workers together may take, such as 12GB: fewer are started, and one is stopped where they take more.
        task: Share the tasks with other processes that run this command, here or on other machines, as process I of N, from 0: I/N.
        finish: End a run whose tasks other processes have done with task; fail if one is missing that they could have shared.
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def audit(
    *,
    mined: str | PathLike[str],
    qrels: str | PathLike[str] | None = None,
    min_grade: float = 1.0,
    verdicts: str | PathLike[str] | None = None,
    sample: int | None = None,
    sheet: str | PathLike[str] | None = None,
    shortcuts: bool = True,
    seed: int = 0,
    split: str | None = None,
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> Audit:
    """Estimate what share of the negatives is false, from all that is known of them.

    Args:
        mined: Directory that `hnmine filter` wrote.
        qrels: Fuller judgements than those that were mined with.
        min_grade: Judgements from this grade on are relevant.
        verdicts: A sheet that sample wrote, with verdicts filled in.
        sample: Draw this many negatives for a person, or a model, to judge.
        sheet: File to write the sample to: .csv or .parquet.
        shortcuts: Say how well length, BM25, shared words or wording alone tell the positives from the negatives.
        seed: Seed of the sample.
        split: Splits to read of inputs that have several, such as train, several with commas, or all; CONFIG/SPLIT where a data set has several configurations.
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def report(
    mined: str | PathLike[str],
    *,
    html: bool = True,
    output: str | PathLike[str] | None = None,
    candidates: str | PathLike[str] | None = None,
    index: str | PathLike[str] | None = None,
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> ReportOfReport:
    """Write one page, and a summary, about what was mined and what became of the rest.

    Args:
        mined: Directory that `hnmine filter` wrote.
        html: Write the page; without it, print the summary alone.
        output: File to write the page to. [default: report.html in the mined directory]
        candidates: The candidates, where they have moved since `hnmine filter`. [default: where they were]
        index: The index, where it has moved since `hnmine mine`. [default: where it was]
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

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
    candidates: str | PathLike[str] | None = None,
    index: str | PathLike[str] | None = None,
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> Inspected:
    """Show single queries: their positives, all their candidates, scores and verdicts.

    Args:
        mined: Directory that `hnmine filter` wrote.
        query: Show the query of this id. One, or several.
        text: Show queries that hold this text; that which is no more than it first.
        reason: Show queries that lost most candidates for this reason, such as margin, and of their candidates those alone.
        worst: Show this many queries with most negatives that are likely false. [default: 1, where nothing else is asked]
        limit: Queries to show for text and reason, at most.
        characters: Characters to show of a text, at most.
        candidates: The candidates, where they have moved since `hnmine filter`. [default: where they were]
        index: The index, where it has moved since `hnmine mine`. [default: where it was]
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def diff(
    before: str | PathLike[str],
    after: str | PathLike[str],
    *,
    queries: int = 10,
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> Changes:
    """Say which negatives another setting of `filter` gains and loses, and why.

    Args:
        before: Directory that `hnmine filter` wrote.
        after: Another, to compare it with.
        queries: Queries that changed most to name, at most.
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """

def review(
    mined: str | PathLike[str],
    *,
    sheet: str | PathLike[str] | None = None,
    doubtful: int = 60,
    even: int = 40,
    page: bool = True,
    port: int = 0,
    seed: int = 0,
    candidates: str | PathLike[str] | None = None,
    index: str | PathLike[str] | None = None,
    threads: int | None = None,
    progress: bool = True,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
) -> Reviewed:
    """Judge the doubtful candidates by hand, on a local page or in a sheet, for `filter` and `audit` to use.

    Args:
        mined: Directory that `hnmine filter` wrote.
        sheet: Sheet to write, or to go on with: .csv or .parquet. [default: the one that the directory was filtered with, else MINED-review.csv]
        doubtful: Doubtful candidates to ask about: negatives that are likeliest relevant, candidates dropped most narrowly, and those on which judges disagree, in turns.
        even: Other negatives to ask about, each as likely to be drawn as any other: the estimated share of false negatives rests on them.
        page: Serve a page to judge with the keyboard, on this machine alone, until it is ended there or by Ctrl-C; without it, only write the sheet.
        port: Port of the page; 0: any that is free.
        seed: Seed of the even sample, and of the order of the queries.
        candidates: The candidates, where they have moved since `hnmine filter`. [default: where they were]
        index: The index, where it has moved since `hnmine mine`. [default: where it was]
        threads: CPU threads. [default: all]
        progress: Show progress bars on stderr, where that is a terminal.
        config: YAML file, the name of a recipe, or what such a file holds; the keywords win over it.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
