"""The arms: each a choice by `hnmine filter`, and the columns of its `train/` to train on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Arm:
    """One way to choose negatives.

    Args:
        flags: of `hnmine filter`.
        judged: whether the cross-encoder scores the candidates.
        columns: to train on; all without it.
    """

    flags: str
    judged: bool = False
    columns: tuple[str, ...] = ()


RANDOM = "random_rank is not null"


def _top(order: str, where: str = "") -> str:
    """Return flags without any rule but --where: the first by --order."""
    return f"--order {order}" + (f' --where "{where}"' if where else "")


def _compat(relative_margin: str) -> str:
    """Return the flags with which `hnmine filter` chooses as `mine_hard_negatives` does."""
    return f"--compat sentence-transformers --relative-margin {relative_margin}"


IN_BATCH, RANDOM_ARM, PEER = "in-batch only", "random", "sentence-transformers, documented"

ARMS: dict[str, Arm] = {
    IN_BATCH: Arm(_top("random_rank", RANDOM), columns=("query", "positive")),
    RANDOM_ARM: Arm(_top("random_rank", RANDOM)),
    "BM25 top": Arm(_top("bm25_rank", "bm25_rank is not null")),
    "dense top": Arm(_top("dense_rank", "dense_rank is not null")),
    "dense ranks 10-50": Arm('--sampling random --where "dense_rank between 10 and 49"'),
    "dense ranks 20-40": Arm('--sampling random --where "dense_rank between 20 and 39"'),
    PEER: Arm(_compat("0.05")),
    "cross-encoder, margin 3": Arm("--margin 3", judged=True),
    "far below the positive": Arm(_top("dense_rank", "dense_score <= pos(dense_score) - 0.1")),
    "hnmine, bi-encoder": Arm(""),
    "hnmine, bi-encoder, depth 10": Arm("--depth 10"),
    "hnmine, bi-encoder, nothing random": Arm('--where "dense_rank is not null"'),
    "hnmine, cross-encoder": Arm("", judged=True),
    "distillation from the cross-encoder": Arm(
        '--sampling random --where "dense_rank is not null" --output-scores', judged=True
    ),
}
