"""What `--help` says about each command."""

from __future__ import annotations

from hnmine.config.export_settings import FORMATS

FIRST_STEPS = """Mine hard negatives for training dense retrievers, offline.

Example:

\b
  hnmine init corpus.parquet pairs.parquet    what is there, as a configuration
  hnmine run --config hnmine.yaml             index, mine, filter
  hnmine report runs/first/mined              what came out"""
EXAMPLES = {
    "build-index": "hnmine build-index --corpus corpus.parquet --pairs pairs.parquet "
    "--encoder sentence-transformers/all-MiniLM-L6-v2 --index runs/index",
    "mine": "hnmine mine --index runs/index --pairs pairs.parquet --output runs/candidates",
    "filter": "hnmine filter --candidates runs/candidates "
    "--cross-encoder cross-encoder/ms-marco-MiniLM-L6-v2 --margin 3 --output runs/mined",
    "batch": "hnmine batch --mined runs/mined --by greedy --batch-size 64 --output runs/batches",
    "export": "hnmine export --mined runs/mined --to flagembedding --output runs/export",
    "push": "hnmine push --data runs/mined --repo me/hard-negatives",
    "generate": "hnmine generate --corpus corpus.parquet --pairs pairs.parquet "
    "--output runs/generated",
    "mix": "hnmine mix --mined runs/mined --by mochi:4 --by mochi-query:1 --output runs/mixed",
    "validate": "hnmine validate --config configs/demo.yaml",
    "audit": "hnmine audit --mined runs/mined --sample 300 --sheet sheet.csv",
    "report": "hnmine report runs/mined",
    "inspect": "hnmine inspect runs/mined --reason margin",
    "diff": "hnmine diff runs/mined runs/mined-margin-1",
    "review": "hnmine review runs/mined --doubtful 100",
    "models": "hnmine models --folder models",
    "init": "hnmine init corpus.parquet pairs.parquet --file hnmine.yaml",
    "run": "hnmine run --config configs/demo.yaml --output runs/demo --num-negatives 3",
}
SUMMARIES = {
    "build-index": "Build the BM25 and dense index of a corpus.",
    "mine": "Mine candidates for every query from an index.",
    "filter": "Keep false negatives out, choose hard negatives, write training data.",
    "batch": "Put the training rows in batches that are hard, and safe, as in-batch negatives.",
    "export": "Write mined negatives as the files of another trainer, without scoring anything.",
    "push": "Upload a directory with a dataset card to the Hugging Face hub.",
    "generate": "Make texts that may serve as negatives: positives edited by rule, or written by a "
    "language model.",
    "mix": "Mix the vectors of queries and hard negatives into synthetic negatives.",
    "validate": "Check inputs before hours are spent, and estimate what a run will need.",
    "audit": "Estimate what share of the negatives is false, from all that is known of them.",
    "report": "Write one page, and a summary, about what was mined and what became of the rest.",
    "inspect": "Show single queries: their positives, all their candidates, scores and verdicts.",
    "diff": "Say which negatives another setting of `filter` gains and loses, and why.",
    "review": "Judge the doubtful candidates by hand, on a local page or in a sheet, for `filter` "
    "and `audit` to use.",
    "models": "List the models that can be used here, and what the machine runs them on.",
    "init": "Write a commented configuration for given inputs; what each is, its columns say.",
    "run": "Build the index, mine and filter from one configuration, into index/, candidates/ and "
    "mined/ in --output; generated/, batches/ and mixed/ too where the file has a section "
    "`generate`, `batch` or `mix`.",
}
MORE_HELP = {"export": "\b\nFormats:\n" + "\n".join(f"  {n:<20}{s}" for n, s in FORMATS.items())}
"""Of commands, below their example; the mark keeps lines as they are."""
