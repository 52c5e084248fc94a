"""`combine`: one head for several corpora, trained on the union of their training parts, beside a head of each corpus alone.

Every corpus keeps the folds of its own protocol. Where their numbers differ, the shorter list is used again: fold k of
the union trains on fold k modulo K of a corpus with K folds, and a test part is tested the first time only, so that each
utterance is tested once. Beside the combined head stand ordinary `fit` experiments on each corpus alone, with the same folds,
classes and seeds, compared in pairs on the same test utterances.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from msgspec.structs import asdict

from ser.audit.split_data import SplitData
from ser.errors import ConfigError
from ser.features.shared_audio import stamps as shared_audio
from ser.features.tensors import Tensors
from ser.metadata.folds.fold import Fold
from ser.registry import unknown, words
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.records.model import AloneExperiment, CorpusNumbers
from ser.results.records.numbers import AdjustedComparison
from ser.results.result import Result
from ser.results.statistics import paired
from ser.results.statistics.gains import combination_verdict
from ser.train.runs.experiment import Experiment, fit_experiment, kind_of, make_experiment
from ser.train.runs.identity import identity
from ser.train.runs.joined_corpora import join, load_shared, named_stamps, shared_facts, short, starts_of
from ser.train.runs.options import FitOptions, read_options, with_options
from ser.train.runs.recipe import make_recipe
from ser.train.runs.scheduler import train_all
from ser.train.runs.source_target import moved
from ser.workspace import Workspace

BALANCES = ("corpus", "none")


@with_options()
def combine(
    datasets: str | Sequence[str],
    workspace: Workspace | str | Path = ".",
    *,
    head: str = "mlp",
    balance: str = "corpus",
    **options: Any,
) -> Result:
    """Train on the union of some corpora, test on each, and write the record.

    `refit` `auto` trains again where every corpus's validation part was carved out of training, else nowhere, and alike for
    all heads compared.

    Args:
        datasets: two or more of the workspace with the same features.
        balance: `corpus`: each corpus equally often in an epoch; `none`: every utterance once. See
            `ser.train.runs.joined_corpora.balanced`.

    Returns:
        The summary, as written. Its numbers are of all corpora together; `datasets` has those of each: `test`, `pooled` and the
        others, `alone` (the head of that corpus only) and `comparison` (combined minus alone).

    Raises:
        ConfigError: fewer than two corpora, or fewer than two classes that all have.
        StoreError: their features are not of the same encoder.
    """
    given = read_options(combine, workspace, head, options)
    names = words("datasets", datasets) or ()
    if balance not in BALANCES:
        raise unknown("balance", balance, BALANCES)
    if len(names) < 2:
        raise ConfigError("a union of fewer than two corpora", expected="--datasets A,B,...", found=", ".join(names))
    parts = load_shared(names, given)
    alone = _alone(parts, given)
    union = _union(parts, alone, balance, replace(given, refit=alone[0].job.refit))
    train_all([union, *alone], given, union.name)
    for experiment in alone:
        experiment.summarise(part=True)
    union.summarise(datasets=_reports(parts, alone, union))
    return given.result(union.numbers)


def _alone(parts: Sequence[Tensors], options: FitOptions) -> list[Experiment]:
    """The experiments on each corpus by itself, trained again on validation in all of them or in none."""

    def each(refit: str) -> list[Experiment]:
        return [fit_experiment(data, replace(options, output=None, save=False, refit=refit)) for data in parts]

    found = each(options.refit)
    carved = {fold.carved for experiment in found for fold in experiment.folds}
    return each("never") if options.refit == "auto" and len(carved) > 1 else found


def _union(parts: Sequence[Tensors], alone: Sequence[Experiment], balance: str, options: FitOptions) -> Experiment:
    """The experiment on all corpora."""
    recipe = make_recipe(options.head, **options.training, **kind_of(parts[0]))
    if balance == "corpus" and getattr(recipe, "context", "utterance") == "dialogue":
        raise ConfigError(
            "--balance corpus with --context dialogue: a turn cannot be in its dialogue twice", action="Take --balance none."
        )
    folds, account = union_folds([e.folds for e in alone], parts)
    facts = {
        **shared_facts(parts, options),
        "protocol": "+".join(dict.fromkeys(e.setup.protocol for e in alone)),
        "balance": balance,
        "folds": account,
        "datasets": {d.dataset: e.setup.facts for d, e in zip(parts, alone, strict=True)},
    }
    setup = SplitData(join(parts), facts["protocol"], folds, facts, [])
    more = {"limit": options.limit, "refit": options.refit, "balance": balance}
    config = identity(recipe, options.seed, *facts["datasets"].values(), task="combine", **more)
    stamps = named_stamps(parts, [e.setup.stamps for e in alone]) + shared_audio(parts)
    names = ["combine", short([d.dataset for d in parts])]
    return make_experiment(setup, recipe, config, names, options, stamps, balance=balance)


def union_folds(each: Sequence[Sequence[Fold]], parts: Sequence[Tensors]) -> tuple[list[Fold], list[dict[str, Any]]]:
    """Folds over the rows of all corpora joined, as many as the corpus with most has, and the record's account of them."""
    starts = starts_of(parts)
    folds, account = [], []
    for k in range(max(map(len, each))):
        pieces = [moved(own[k % len(own)], start) for own, start in zip(each, starts, strict=True)]
        tested = [k < len(own) for own in each]
        fold = Fold(
            str(k),
            np.concatenate([p.train for p in pieces]),
            np.concatenate([p.validation for p in pieces]),
            np.concatenate([p.test for p, is_tested in zip(pieces, tested, strict=True) if is_tested]),
            "+".join(dict.fromkeys(p.validation_by for p in pieces)),
            all(p.carved for p in pieces),
        )
        folds.append(fold)
        account.append(
            {
                "name": fold.name,
                **{part: len(getattr(fold, part)) for part in ("train", "validation", "test")},
                "parts": {
                    data.dataset: {"fold": piece.name, "tested": is_tested}
                    for data, piece, is_tested in zip(parts, pieces, tested, strict=True)
                },
            }
        )
    return folds, account


def _reports(parts: Sequence[Tensors], alone: Sequence[Experiment], union: Experiment) -> dict[str, CorpusNumbers]:
    """By corpus: the combined head's numbers, those of its own head, and their difference, p-values adjusted (Holm)."""
    combined, classes = union.predictions, list(parts[0].classes)
    names = [data.dataset for data in parts]
    own, other = {}, {}
    for data, experiment, start in zip(parts, alone, starts_of(parts), strict=True):
        rows = union.setup.data.frame.iloc[start : start + len(data.frame)]
        own[data.dataset] = own_predictions(combined, data, rows, [f.name for f in experiment.folds])
        other[data.dataset] = experiment.predictions
    compared = [
        AdjustedComparison(**asdict(paired.compare(own[name], other[name], classes)), p_holm=None, verdict="") for name in names
    ]
    random = getattr(union.job.recipe, "random", True)
    for c in paired.adjusted(compared):
        c.verdict = combination_verdict(c.difference, c.p_holm, single=random and c.tests.models is None)
    return {
        name: CorpusNumbers(
            **asdict(metrics_from_predictions(own[name], classes)),
            alone=_alone_numbers(experiment, union, classes),
            comparison=comparison,
        )
        for name, experiment, comparison in zip(names, alone, compared, strict=True)
    }


def _alone_numbers(experiment: Experiment, union: Experiment, classes: list[str]) -> AloneExperiment:
    numbers = metrics_from_predictions(experiment.predictions, classes)
    return AloneExperiment(
        **experiment.reference(union.path), validation=numbers.validation or None, test=numbers.test, pooled=numbers.pooled
    )


def own_predictions(predictions: pd.DataFrame, data: Tensors, rows: pd.DataFrame, folds: Sequence[str]) -> pd.DataFrame:
    """A corpus's rows of the union's predictions, in the folds that test it, with its own names of utterances and folds.

    Args:
        predictions: of the union; folds are numbers.
        rows: those of the corpus in the joined frame, in the order of `data.frame`.
        folds: names of the corpus's own folds.
    """
    name_of = {str(k): name for k, name in enumerate(folds)}
    chosen = (predictions["dataset"] == data.dataset) & predictions["fold"].isin(name_of)
    frame: pd.DataFrame = predictions[chosen].copy()
    for column in ("utterance_id", "speaker"):
        frame[column] = frame[column].map(dict(zip(rows[column], data.frame[column], strict=True)))
    frame["fold"] = frame["fold"].map(name_of)
    return frame
