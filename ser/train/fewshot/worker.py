"""The work of one few-shot worker: train source models, or learn from the shots of one fold by some methods."""

from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
import torch
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from ser.features.normalise import by_scale, normalise, standardise_target
from ser.features.tensors import Tensors
from ser.metadata.folds.fold import Fold
from ser.metadata.targets import DIMENSIONS
from ser.results.records.model import Sizes
from ser.train.fewshot.job import FewshotJob, Learning, SourceModels
from ser.train.fewshot.methods._base import Answer, Task, method
from ser.train.fewshot.shots import NOTHING, Amount, lacking, subsets
from ser.train.loop.data import Account
from ser.train.loop.handover import Handover
from ser.train.loop.learner import Learner
from ser.train.nn import streams
from ser.train.runs.divergence import apart, folds_named, located, strange
from ser.train.runs.job import Finished, Run
from ser.train.runs.predictions import prediction_rows, scored_run
from ser.train.runs.recipe import again, learner_of
from ser.train.runs.worker import within_memory


def train_source(job: FewshotJob, runs: list[int], handover: Handover | None = None) -> SourceModels | None:
    """Train source models of some runs, once for all folds, amounts and methods.

    Args:
        handover: as of a `ser.train.runs.job.Unit`.

    Returns:
        None where another unit ends the run.
    """
    assert job.first is not None
    first, common = job.first, job.common

    def whole() -> SourceModels | None:
        learner = learner_of(standardise_target(common.data, first.train), common.recipe, common.device)
        if isinstance(learner, Learner):
            learner.handover = handover
        seeds = [streams.derive(common.seed, k, first.stream) for k in runs]
        trained = learner.train(first.train, first.validation, seeds)
        if handover is not None and handover.until is not None:
            return None
        errors, sound, (parts,) = apart(runs, "source", trained)
        if not sound:
            return SourceModels([], [], [], [], np.zeros((0, len(first.validation), len(common.classes))), errors)
        merged, weights = learner.merge(parts), learner.weights(parts)
        accounts = [learner.account(t, False) for t in merged]
        for account in accounts:
            account["selection"] = f"source {account['selection']}"
        return SourceModels(sound, weights, merged, accounts, learner.validated(parts, first.validation), errors)

    def halves(middle: int) -> SourceModels:
        a, b = (cast(SourceModels, train_source(job, part)) for part in (runs[:middle], runs[middle:]))
        weights = [torch.cat(each) for each in zip(*(s.weights for s in (a, b) if s.runs), strict=True)]
        validation = np.concatenate([a.validation, b.validation])
        together = (a.runs + b.runs, weights, a.trained + b.trained, a.account + b.account, validation)
        return SourceModels(*together, a.errors + b.errors)

    return within_memory(common.device, common.recipe.head, runs, "source", whole, halves)


def learn(
    job: FewshotJob, fold: Fold, runs: list[int], source: SourceModels | None, methods: list[str], amounts: list[Amount]
) -> list[tuple[str, Finished]]:
    """Learn from each amount by each method, and predict the fold's test part; the arguments are those of `Learning`.

    Returns:
        By method the runs, and an error for each that diverged.
    """

    unit = Learning(job, fold, runs, source, methods, amounts)

    def halves(middle: int) -> list[tuple[str, Finished]]:
        parts = [slice(None, middle), slice(middle, None)]
        found = [learn(*unit._replace(runs=runs[p], source=None if source is None else source.of(p))) for p in parts]
        return [(name, a + b) for (name, a), (_, b) in zip(*found, strict=True)]

    def whole() -> list[tuple[str, Finished]]:
        return _learn(unit)

    return within_memory(job.common.device, job.common.recipe.head, runs, f"fold {fold.name}", whole, halves)


def _learn(unit: Learning) -> list[tuple[str, Finished]]:
    job, fold, runs, source, methods, amounts = unit
    common, shots = job.common, job.shots
    data = normalise(common.data, common.normalize, fold.train, common.limit)[0]
    base = fold.train[:0] if job.first is None else job.first.train
    scaled = by_scale(data) if job.first is None else standardise_target(data, base)
    learner = learner_of(scaled, shots.tuning, common.device)
    fresh = again(learner, shots.fresh)
    task = Task(scaled, learner, fresh, None if source is None else source.weights, base, fold.train, fold.test)
    seeds = [streams.derive(common.seed, k, fold.name) for k in runs]
    speakers = data.frame["speaker"].to_numpy()
    drawn = [subsets(data.labels, fold.train, shots.amounts, s, speakers if shots.speaker_aware else None) for s in seeds]
    zero = learner.predict(source.weights, fold.test) if source is not None and NOTHING in amounts else None
    found, where = [], folds_named([fold])
    for name in methods:
        described: Finished = []
        if source is not None and zero is not None and method(name).FROM_SOURCE:
            for r, k in enumerate(runs):
                error = strange(zero[r], source.validation[r])
                if error is not None:
                    described.append(located(error, f"run {k}", where, f"source, by {name}"))
                else:
                    described.append(_zero_shot(job, data, fold, name, k, seeds[r], source, zero, r))
        for amount in (a for a in amounts if a != NOTHING):
            rows = np.stack([own[amount] for own in drawn])
            answer = method(name).learn(task, rows, [streams.derive(s, amount.name) for s in seeds])
            strata = ["all utterances"] if data.target.kind == DIMENSIONS else data.classes
            few = lacking(data.labels, fold.train, amount, strata)
            for r, k in enumerate(runs):
                error = answer.error(r)
                if error is not None:
                    described.append(located(error, f"run {k}", where, f"{amount.name} by {name}"))
                    continue
                row = _account(answer, r, rows[r], fold, speakers, few)
                described.append(_recorded(job, name, data, fold, k, seeds[r], amount, answer.probabilities[r], row))
        found.append((name, described))
    return found


class _Row(NamedTuple):
    """The account of a run with its own numbers of utterances and speakers, seconds and notes."""

    account: Account
    n: Sizes
    seconds: float
    notes: list[str]
    speakers: int | UnsetType = UNSET


def _account(answer: Answer, slot: int, rows: NDArray[np.int64], fold: Fold, speakers: NDArray[Any], notes: list[str]) -> _Row:
    """A run's account of its shots and of the learning."""
    who = set(speakers[rows])
    return _Row(
        answer.account[slot],
        Sizes(train=len(rows), validation=0, test=len(fold.test)),
        answer.seconds[slot],
        notes + (answer.notes[slot] if answer.notes else []),
        UNSET if "" in who else len(who),
    )


def _zero_shot(
    job: FewshotJob,
    data: Tensors,
    fold: Fold,
    name: str,
    run: int,
    seed: int,
    source: SourceModels,
    probabilities: NDArray[np.float64],
    slot: int,
) -> Run:
    """The source model itself on the target's test part, with its own validation part and its share of the training."""
    assert job.first is not None
    trained, validation = source.trained[slot], job.first.validation
    n = Sizes(train=len(job.first.train), validation=len(validation), test=len(fold.test))
    row = _Row(source.account[slot], n, trained.seconds / job.folds, trained.notes)
    own = prediction_rows(data, validation, source.validation[slot], run=run, fold=fold.name, split="validation")
    return _recorded(job, name, data, fold, run, seed, NOTHING, probabilities[slot], row, own)


def _recorded(
    job: FewshotJob,
    name: str,
    data: Tensors,
    fold: Fold,
    run: int,
    seed: int,
    amount: Amount,
    probabilities: NDArray[np.float64],
    row: _Row,
    validation: pd.DataFrame | None = None,
) -> Run:
    test = prediction_rows(data, fold.test, probabilities, run=run, fold=fold.name, split="test")
    predictions = test if validation is None else pd.concat([validation, test], ignore_index=True)
    done = scored_run(
        predictions,
        data.classes,
        experiment=job.jobs[name].experiment,
        config_hash=job.jobs[name].config_hash,
        run=run,
        fold=fold.name,
        seed=seed,
        **amount.facts,
        **row.account,
        n=row.n,
        speakers=row.speakers,
        seconds=row.seconds,
        notes=row.notes,
    )
    return done._replace(predictions=predictions.assign(**amount.facts))
