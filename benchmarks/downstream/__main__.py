"""`python -m benchmarks.downstream --data FOLDER`: train on mined negatives, and measure."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.common import add_collections, parsed
from benchmarks.downstream.arms import ARMS, QUICK, WHOLE, Arm
from benchmarks.downstream.report import markdown, summary
from benchmarks.downstream.runs import Plan, choose, prepare, run
from benchmarks.quality.__main__ import CROSS_ENCODER, ENCODER
from hnmine.training.reached import UNTRAINED
from hnmine.training.retrieval_measures import NDCG
from hnmine.training.runs import Run
from hnmine.training.students import Recipe

MINE = "--source dense:50 --source bm25:10 --source random:5"


def main(given: list[str] | None = None) -> None:
    """Train all students that are not there yet; write results.json and table.md."""
    arguments = parse(given)
    plan = Plan(
        output=arguments.out.resolve(),
        encoder=arguments.encoder,
        cross_encoder=arguments.cross_encoder,
        mine=arguments.mine,
        recipe=Recipe(
            arguments.student or arguments.encoder,
            arguments.steps,
            learning_rate=arguments.learning_rate or (4e-4 if arguments.adapter else 2e-5),
            max_length=arguments.tokens,
            device=arguments.device,
            toward_base=arguments.toward_base,
        ),
        adapter=arguments.adapter,
        negatives=arguments.negatives,
        train=arguments.train,
        evaluate=arguments.evaluate,
        documents=arguments.documents,
        words=arguments.words,
    )
    arms = {name: ARMS[name] for name in arguments.arms}
    folders = [arguments.data / collection for collection in arguments.collections]
    if arguments.only_choose:
        choose_all(plan, folders, arms, arguments.seeds)
        return
    total = summary(train_all(plan, folders, arms, arguments.seeds, arguments.processes))
    plan.output.mkdir(parents=True, exist_ok=True)
    (plan.output / "results.json").write_text(json.dumps(total, indent=2) + "\n")
    (plan.output / "table.md").write_text(markdown(total))
    print(markdown(total))


def choose_all(plan: Plan, folders: Sequence[Path], arms: Mapping[str, Arm], seeds: int) -> None:
    """Write the rows of all students, so that training needs neither candidates nor index."""
    for folder in folders:
        home = prepare(plan, folder)
        for name, arm in arms.items():
            for seed in range(seeds if "--sampling" in arm.flags else 1):
                rows = choose(plan, home, name, arm, seed).about["rows"]
                print(f"{folder.name}, {name}, seed {seed}: {rows} rows", flush=True)


def train_all(
    plan: Plan,
    folders: Sequence[Path],
    arms: Mapping[str, Arm],
    seeds: int,
    processes: int = 1,
) -> dict[str, dict[str, list[Run]]]:
    """Train all students that are not there yet, and print what each reached.

    Args:
        plan: the settings.
        folders: collections.
        arms: by name, in the order to train them: each on all collections before the next.
        seeds: students of each arm.
        processes: students trained at once, which a GPU has room for.
    """
    results: dict[str, dict[str, list[Run]]] = {folder.name: {} for folder in folders}
    asked = [
        (folder, name, seed)
        for seed in range(seeds)
        for name in (UNTRAINED, *arms)[seed > 0 :]
        for folder in folders
    ]

    def took(folder: Path, name: str, seed: int, one: Run) -> None:
        results[folder.name].setdefault(name, []).append(one)
        reached, seconds = one.measures[NDCG].mean(), one.about["seconds"]
        print(f"{folder.name}, {name}, seed {seed}: {reached:.4f} ({seconds} s)", flush=True)

    if processes == 1:
        for folder, name, seed in asked:
            took(folder, name, seed, run(plan, prepare(plan, folder), name, arms.get(name), seed))
        return results
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        waiting = [
            pool.submit(run, plan, prepare(plan, folder), name, arms.get(name), seed)
            for folder, name, seed in asked
        ]
        for (folder, name, seed), one in zip(asked, waiting, strict=True):
            took(folder, name, seed, one.result())
    return results


def parse(given: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.downstream", description=__doc__)
    add_collections(parser)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), help="all, without it")
    parser.add_argument("--whole", action="store_true", help="the arms for whole encoders, in turn")
    parser.add_argument("--only-choose", action="store_true", help="write rows, train nothing")
    parser.add_argument("--device", default="cpu", help="that trains, such as cuda")
    parser.add_argument("--processes", type=int, default=1, help="students trained at once")
    parser.add_argument("--quick", action="store_true", help="a few arms, one seed, the adapter")
    parser.add_argument(
        "--no-cross-encoder", action="store_true", help="leave out the arms that need one"
    )
    parser.add_argument("--seeds", type=int, help="students of each arm; 3, with --quick 1")
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, help="2e-5; with --adapter 4e-4")
    parser.add_argument("--adapter", action="store_true", help="train a matrix on frozen vectors")
    parser.add_argument("--negatives", type=int, default=3, help="for each query")
    parser.add_argument("--train", type=int, default=512, help="at most so many queries to mine")
    parser.add_argument("--evaluate", type=int, default=400, help="at most so many to measure on")
    parser.add_argument("--documents", type=int, default=10_000, help="to search, at least")
    parser.add_argument("--tokens", type=int, default=96, help="of each text of a whole encoder")
    parser.add_argument(
        "--toward-base", type=float, default=0.0, help="share of the untrained weights at the end"
    )
    parser.add_argument("--words", type=int, default=64, help="of each document")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/downstream"))
    parser.add_argument("--encoder", default=ENCODER)
    parser.add_argument("--student", help="the encoder, without it")
    parser.add_argument("--cross-encoder", default=CROSS_ENCODER)
    parser.add_argument("--mine", default=MINE, help="flags of hnmine mine")
    arguments = parsed(parser, given)
    arguments.arms = arguments.arms or list(
        QUICK if arguments.quick else WHOLE if arguments.whole else ARMS
    )
    if arguments.no_cross_encoder:
        arguments.arms = [name for name in arguments.arms if not ARMS[name].judged]
    arguments.seeds = arguments.seeds or (1 if arguments.quick else 3)
    arguments.adapter |= arguments.quick
    return arguments


if __name__ == "__main__":
    main()
