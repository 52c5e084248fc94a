"""The effect of augmentation on a head: the same seeds, folds and epochs without it and with some policies, compared in pairs.

    ser extract --dataset ravdess --audio logmel --views tta,classwise1
    python benchmarks/augment.py --workspace DIR [--dataset ravdess] [--head cnn2d] [--audio logmel] [--protocol emobox]
        [--policy NAME=VIEWS[+TIME,BANDS] ...] [--runs 5] [--epochs 15] [--head-option channels=16,32,64,64] [--first-folds N]

A policy is a list of views to draw among, SpecAugment's masks in time and over bands, or both: `--policy views=tta`,
`--policy masks=+2x30,2x8`, `--policy both=tta+2x30,2x8`, `--policy by-emotion=classwise1`. Each is an experiment of its
own with its record in `results/`; one that was interrupted goes on. Initial weights, order of the utterances and
dropout are those of the head without augmentation. Prints a table, and writes nothing else.

`cnn2d` as it is published takes a minute an epoch on one core; `--head-option channels=8,16,32,64 --head-option frames=250`
takes five seconds: fewer channels, and 2.5 s from the middle of each utterance, where speech is.

The difference is that of pooled UA, mean over runs, with its 95 % interval over speakers and runs and its p-value over
models and speakers together (`ser.results.statistics.paired`), adjusted for the number of policies.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ser.commands._training import _pairs as pairs
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.statistics.paired import compare, holm_of_known
from ser.train.runs.experiment import fit_experiment
from ser.train.runs.joined_corpora import load
from ser.train.runs.options import FitOptions
from ser.train.runs.scheduler import train_all
from ser.workspace import Workspace

OFF = "off"


def main() -> None:
    given = arguments()
    options = FitOptions(
        Workspace(given.workspace),
        given.head,
        scheme=given.scheme,
        protocol=given.protocol,
        runs=given.runs,
        stores=(given.audio,),
        fold_file=given.fold_file,
        refit="never",
        jobs=given.jobs,
        command="benchmarks/augment.py",
    )
    policies = {OFF: policy_of(""), **dict(parsed(word) for word in given.policy)}
    predictions, classes = {}, list[str]()
    for name, (views, masks) in policies.items():
        begun = time.time()
        predictions[name], classes = trained(given, replace(options, views=tuple(views) if views else None), masks)
        print(f"{name}: {time.time() - begun:.0f} s", flush=True)
    table(predictions, classes, policies)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--dataset", default="ravdess")
    parser.add_argument("--head", default="cnn2d")
    parser.add_argument("--audio", default="logmel")
    parser.add_argument("--scheme", default="native")
    parser.add_argument("--protocol")
    parser.add_argument("--fold-file", type=Path)
    parser.add_argument("--policy", action="append", default=[], metavar="NAME=VIEWS[+TIME,BANDS]")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--head-option", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--first-folds", type=int, help="Train these folds only, and write no summary: to try.")
    parser.add_argument("--jobs", type=int)
    given = parser.parse_args()
    given.policy = given.policy or ["views=tta"]
    return given


def parsed(word: str) -> tuple[str, tuple[list[str] | None, dict[str, Any]]]:
    """`both=tta+2x30,2x8` -> the name, the views and the masks."""
    name, equals, text = word.partition("=")
    if not (name and equals and text):
        raise SystemExit(f"--policy {word}: expected NAME=VIEWS, NAME=+TIME,BANDS or NAME=VIEWS+TIME,BANDS")
    return name, policy_of(text)


def policy_of(text: str) -> tuple[list[str] | None, dict[str, Any]]:
    """The views and the masks of a policy. (The names of some views have a plus: masks are what follows the last one.)"""
    views, plus, masks = text.rpartition("+")
    if not plus or "x" not in masks:
        views, masks = text, ""
    time_masks, _, band_masks = masks.partition(",")
    return views.split(",") if views else None, {"time_masks": time_masks, "band_masks": band_masks}


def trained(given: argparse.Namespace, options: FitOptions, masks: dict[str, Any]) -> tuple[pd.DataFrame, list[str]]:
    """Test predictions of all runs of a policy."""
    training = {"epochs": given.epochs, "patience": 0, "batch_size": given.batch_size, "lr": given.lr, **masks}
    training |= {"head_options": pairs(tuple(given.head_option))}
    options = replace(options, training=training)
    experiment = fit_experiment(load(given.dataset, options), options)
    if given.first_folds:
        experiment.setup = replace(experiment.setup, folds=experiment.folds[: given.first_folds])
    train_all([experiment], replace(options, quiet=False), experiment.name)
    if not given.first_folds:
        experiment.summarise()
    epochs = sum(run.record["epochs"] for run in experiment.done)
    cost = experiment.seconds
    print(f"{experiment.name}: {cost:.0f} s of training, {cost / epochs:.2f} s an epoch", flush=True)
    return experiment.predictions, list(experiment.job.classes)


def table(predictions: dict[str, pd.DataFrame], classes: list[str], policies: dict[str, Any]) -> None:
    """Print UA of each policy and its difference from none."""
    others = [name for name in policies if name != OFF]
    found = [compare(predictions[name], predictions[OFF], classes) for name in others]
    adjusted = dict(zip(others, holm_of_known([c.p for c in found]), strict=True))
    print("\n| augmentation | UA of test, mean of runs and folds | pooled UA | difference | 95 % interval | p (Holm) |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in policies:
        scores = metrics_from_predictions(predictions[name], classes)
        test, pooled = scores.test.UA, scores.pooled.UA
        row = f"| {name} | {test.mean:.3f} ± {test.std or 0:.3f} | {pooled.mean:.3f}"
        if name == OFF:
            print(f"{row} |  |  |  |")
            continue
        c = found[others.index(name)]
        low, high = c.ci_95 or (float("nan"),) * 2
        p = "none" if adjusted[name] is None else f"{adjusted[name]:.4f}"
        print(f"{row} | {c.difference:+.3f} | {low:+.3f} to {high:+.3f} | {p} |")


if __name__ == "__main__":
    main()
