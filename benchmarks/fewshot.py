"""Training work of `ser fewshot`: the source model trained once per seed, against once for every percentage.

    python benchmarks/fewshot.py --workspace DIR --source ravdess --target emodb [--method finetune] [--rounds 3] [--runs 2]

The ways take turns in one process with one thread, on the same features, folds and shots; what each predicts is compared, and
has to be the same. Work is CPU seconds of training and prediction, without loading and statistics; medians, and the median of
the rounds' ratios. Beside it stands a count that no other process can disturb: utterances that went through a training step.

- `once per seed`: what `ser fewshot` does; folds and percentages share the source model.
- `per percentage`: a source model for every percentage, shared by its folds.
- `per percentage and fold`: one for each of both, as a script that is called with a fold and a percentage trains.
"""

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ser.metadata.folds.fold import Fold
from ser.train.experiments.fewshot import fewshot_experiments
from ser.train.fewshot.job import FewshotJob, SourceModels, fewshot_job, make_shots
from ser.train.fewshot.shots import amounts
from ser.train.fewshot.worker import learn, train_source
from ser.train.runs.job import Run
from ser.train.runs.options import FitOptions
from ser.train.runs.recipe import make_recipe
from ser.workspace import Workspace

WAYS = ("once per seed", "per percentage", "per percentage and fold")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--method", default="finetune")
    parser.add_argument("--head", default="mlp")
    parser.add_argument("--protocol")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--percentages", nargs="+", type=float, default=[10, 20, 50, 100])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    job, folds = prepare(given)
    seconds: dict[str, list[float]] = {way: [] for way in given.ways}
    work: dict[str, int] = {}
    expected: list[Any] = []
    for number in range(given.rounds):
        for way in given.ways if number % 2 == 0 else given.ways[::-1]:
            begin = time.process_time()
            done, count = train(way, job, folds, list(range(given.runs)), given.method)
            seconds[way].append(time.process_time() - begin)
            work[way] = count
            found = np.concatenate([p.filter(like="p_").to_numpy() for row, p in done if row["percentage"]])
            expected = expected or [found]
            np.testing.assert_array_equal(found, expected[0])
    report(given, job, folds, seconds, work)


def prepare(given: argparse.Namespace) -> tuple[FewshotJob, list[Fold]]:
    workspace = Workspace(given.workspace)
    options = FitOptions(workspace, given.head, protocol=given.protocol, runs=given.runs, device="cpu")
    recipe = make_recipe(given.head)
    shots = make_shots(recipe, given.source, amounts(given.percentages, None), False, 30, 0.3, "none")
    experiments, first = fewshot_experiments(given.target, given.source, [given.method], recipe, shots, options)
    return fewshot_job(experiments, shots, first), experiments[given.method].folds


def train(way: str, job: FewshotJob, folds: list[Fold], runs: list[int], method: str) -> tuple[list[Run], int]:
    """All runs, in the order of percentages, and how many utterances went through a training step."""
    done: list[Run] = []
    work = 0
    if way == "once per seed":
        source = train_source(job, runs)
        work += trained_on(job, source)
        for fold in folds:
            done += learn(job, fold, runs, source, [method])[0][1]
        done.sort(key=lambda r: r[0]["percentage"])  # stable: folds and runs stay in order
    else:
        for amount in job.shots.amounts:
            one = replace(job, shots=replace(job.shots, amounts=[amount]))
            source = None
            for fold in folds:
                if source is None or way == "per percentage and fold":
                    source = train_source(one, runs)
                    work += trained_on(one, source)
                done += learn(one, fold, runs, source, [method])[0][1]
    work += sum(row["n"]["train"] * row.get("epochs", 0) for row, _ in done if row["percentage"])
    return done, work


def trained_on(job: FewshotJob, source: SourceModels) -> int:
    assert job.first is not None
    return len(job.first.train) * sum(t.epochs for t in source.trained)


def report(
    given: argparse.Namespace, job: FewshotJob, folds: list[Fold], seconds: dict[str, list[float]], work: dict[str, int]
) -> None:
    assert job.first is not None
    print(
        f"{given.source} -> {given.target}, {given.head}, {given.method}, {len(folds)} folds, {given.runs} runs, "
        f"{len(given.percentages)} percentages, {given.rounds} rounds; {len(job.first.train)} source utterances, "
        f"{len(folds[0].train)} target utterances in the first fold's training part\n"
    )
    print(
        "| source model trained | CPU s | times the work | utterances through a step | times |\n| --- | --- | --- | --- | --- |"
    )
    first = given.ways[0]
    for way in given.ways:
        ratio = statistics.median(a / b for a, b in zip(seconds[way], seconds[first], strict=True))
        median = statistics.median(seconds[way])
        print(f"| {way} | {median:.1f} | {ratio:.2f} | {work[way]} | {work[way] / work[first]:.2f} |")


if __name__ == "__main__":
    main()
