"""`fewshot`: how much labelled target data is a source model worth? A curve over percentages of the target's training set.

The source model is trained once a seed. From it, for each target fold and percentage, a copy is fine-tuned on a nested,
stratified subset; the target's validation part is not used (those labels would be shots that are not counted), so the last
epoch is taken. Percentage 0 is the source model itself, zero-shot. Without a source, heads start from random weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import ConfigError
from ser.features.normalise import LIMIT, apply_statistics, normalise
from ser.features.tensors import Tensors
from ser.metadata.splits import Fold, Options, hold_out
from ser.progress import progress
from ser.results import record
from ser.train import executor, experiment, streams
from ser.train.begin import check_runs, notes_of
from ser.train.classical import Classical
from ser.train.pairs import shared
from ser.train.recipe import Recipe, device_of, learner_of, make_recipe, stack_of, stamps_of
from ser.train.shots import check_percentages, subsets
from ser.train.trainer import Trained
from ser.workspace import Workspace

Run = tuple[dict[str, Any], pd.DataFrame]


@dataclass(frozen=True, eq=False)
class _Source:
    """Source models of some runs: their weights a part, and the predictions of their own validation set."""

    weights: list[Any]
    trained: list[Trained]
    validation: list[pd.DataFrame]
    n: dict[str, int]
    selection: str  # what picked the epoch
    folds: int  # of the target, which share the cost of the source in the records
    statistics: dict[str, dict[str, Any]]  # of the training utterances, by store; {} where others normalise


@dataclass(frozen=True, eq=False)
class _Job:
    source: Tensors | None
    target: Tensors
    config: Recipe
    tuning: Recipe
    percentages: tuple[float, ...]
    normalize: str
    limit: float
    seed: int
    device: str
    experiment: str
    config_hash: str


def fewshot(
    target: str,
    source: str | None = None,
    workspace: Workspace | str | Path = ".",
    *,
    percentages: Sequence[float] = (10, 20, 50, 100),
    head: str = "mlp",
    scheme: str = "4",
    protocol: str | None = None,
    runs: int = 5,
    seed: int = 0,
    stores: Sequence[str] | None = None,
    modalities: Sequence[str] | None = None,
    normalize: str = "train",
    limit: float = LIMIT,
    folds: Options | None = None,
    tune_epochs: int = 30,
    lr_factor: float = 0.3,
    output: Path | None = None,
    jobs: int | None = None,
    stack: int | None = None,
    device: str = "auto",
    quiet: bool = True,
    command: str = "ser.fewshot",
    **training: Any,
) -> dict[str, Any]:
    """The curve over the amount of labelled target data, and its record.

    Args:
        target, source: datasets of the workspace with the same features; no source trains from random weights.
        percentages: of the target's training part, each fold.
        protocol: of the target.
        normalize: `train` uses the statistics of the source's training utterances for both corpora (without a source,
            of the target's training part, unlabelled); `corpus` and `speaker` use each corpus's, each speaker's own.
        tune_epochs, lr_factor: fine-tuning: epochs, and share of the learning rate.

    Returns:
        The summary, as written; for the other arguments see `ser.train.fit.fit`.

    Raises:
        StoreError: the two corpora's features are not of the same encoder.
        ConfigError: they share fewer than two classes.
    """
    started = datetime.now(timezone.utc)
    space = workspace if isinstance(workspace, Workspace) else Workspace(Path(workspace))
    config = make_recipe(head, **training)
    tuning = _tuning(config, source, tune_epochs, lr_factor)
    check_percentages(percentages)
    check_runs(runs)
    chosen = {"scheme": scheme, "stores": stores, "modalities": modalities}
    there, here = shared(target, source, space, chosen)
    setup = experiment.prepare(there, protocol, folds or Options(), normalize, scheme)
    facts = [setup.facts] + ([{**experiment.describe(here, scheme), "normalize": normalize}] if here else [])
    shares = tuple(sorted({float(p) for p in percentages}))
    asked = experiment.identity(config, seed, *facts, limit=limit, tuning=tuning.as_dict(), percentages=list(shares))
    words = ["fewshot", *([source] if source else []), target, head, setup.protocol, Path(scheme).stem]
    name, path = experiment.place(space, output, words, asked)
    place = device_of(config, device)
    job = _Job(here, there, config, tuning, shares, normalize, limit, seed, place, name, record.config_hash(asked))
    done = _run(job, setup.folds, path.with_suffix(""), range(runs), jobs, stack, quiet)
    order = [f.name for f in setup.folds]
    done.sort(key=lambda r: (r[0]["percentage"], r[0]["run"], order.index(r[0]["fold"])))
    datasets = {f["dataset"]: f for f in facts}
    summary = record.summarise_fewshot(
        experiment=name,
        command=command,
        config=asked,
        data={"source": source, "target": target, "scheme": scheme, "protocol": setup.protocol, "datasets": datasets},
        stamps=setup.stamps + stamps_of(config) + _stamps(here, normalize),
        runs=[r for r, _ in done],
        predictions=pd.concat([p for _, p in done], ignore_index=True),
        classes=list(there.classes),
        started=started,
        seconds=sum(r["seconds"] for r, _ in done),
        device=place,
        folder=path.stem,
        extra={"notes": notes_of(done)},
    )
    record.write_summary(path, summary)
    return summary


def _tuning(config: Recipe, source: str | None, epochs: int, lr_factor: float) -> Recipe:
    """How the target's shots are learned: gently from a source model, in full without one."""
    if isinstance(config, Classical):
        if source is not None:
            raise ConfigError(
                f"{config.head} cannot be fine-tuned from {source}", expected="a neural head, or no source"
            )
        return config
    if epochs < 1:
        raise ConfigError(f"tune_epochs = {epochs}", expected="1 or more")
    if not 0 < lr_factor < float("inf"):
        raise ConfigError(f"lr_factor = {lr_factor}", expected="above 0")
    if source is None:
        return replace(config, selection="last", patience=0)
    return replace(config, epochs=epochs, lr=config.lr * lr_factor, selection="last", patience=0)


def _stamps(source: Tensors | None, normalize: str) -> list[str]:
    if source is None and normalize == "train":
        return ["normalised by all of the target's training part, of which only the stated share has labels"]
    synthetic = source is not None and source.table.facts.get("synthetic")
    return ["synthetic source: its audio is synthesised, no recording of people"] if synthetic else []


def _run(
    job: _Job, folds: list[Fold], folder: Path, runs: Sequence[int], jobs: int | None, stack: int | None, quiet: bool
) -> list[Run]:
    done: list[Run] = []
    shares = [*([0.0] if job.source else []), *job.percentages]
    missing: dict[str, list[int]] = {}
    for fold in folds:
        for k in runs:
            earlier = [record.read_run(folder, k, fold.name, percentage=p, config_hash=job.config_hash) for p in shares]
            found = [r for r in earlier if r is not None]
            if len(found) == len(shares):
                done += found
            else:
                missing.setdefault(fold.name, []).append(k)
    size = stack_of(job.config, job.target, len(runs), job.device, stack, [len(f.train) for f in folds])
    needed = sorted({k for ks in missing.values() for k in ks})
    stacks = executor.groups(needed, size)
    sources: list[_Source | None] = [None] * len(stacks)
    if job.source is not None:
        units = [(job, g, len(folds)) for g in stacks]
        results = executor.run_units(_train_source, units, executor.workers(jobs, len(units), job.device))
        sources = list(progress(results, len(units), f"{job.experiment}: source", "stack", quiet))
    work = [
        (job, f, g, s)
        for f in folds
        for g, s in zip(stacks, sources, strict=True)
        if set(g) & set(missing.get(f.name, []))
    ]
    results_of_folds = executor.run_units(_tune, work, executor.workers(jobs, len(work), job.device))
    for finished in progress(results_of_folds, len(work), job.experiment, "stack", quiet):
        for run, predictions in finished:
            record.write_run(folder, run, predictions)
            done.append((run, predictions))
    known = {(r["percentage"], r["run"], r["fold"]): (r, p) for r, p in done}
    return list(known.values())


def _train_source(job: _Job, runs: list[int], folds: int) -> _Source:
    """Train source models once a seed, on all of the source but a validation part."""
    assert job.source is not None
    rows, validation = hold_out(job.source.frame, job.source.labels, Options())
    data, statistics = normalise(job.source, job.normalize, rows, job.limit)
    learner = learner_of(data, job.config, job.device)
    parts = learner.train(rows, validation, [streams.derive(job.seed, k, "source") for k in runs])
    weights = learner.weights(parts)
    probabilities = learner.predict(weights, validation)
    frames = [
        experiment.prediction_rows(data, validation, probabilities[slot], run=k, fold="", split="validation")
        for slot, k in enumerate(runs)
    ]
    n = {"train": len(rows), "validation": len(validation)}
    trained = learner.merge(parts)
    selection = f"source {learner.account(trained[0], False)['selection']}"
    return _Source(weights, trained, frames, n, selection, folds, statistics)


def _tune(job: _Job, fold: Fold, runs: list[int], source: _Source | None) -> list[Run]:
    """Fine-tune a stack of runs on each share of one fold's training part, and predict its test part."""
    if source is not None and job.normalize == "train":
        data = apply_statistics(job.target, source.statistics, job.limit)
    else:
        data = normalise(job.target, job.normalize, fold.train, job.limit)[0]
    learner = learner_of(data, job.tuning, job.device)
    seeds = [streams.derive(job.seed, k, fold.name) for k in runs]
    shots = [subsets(data.labels, fold.train, job.percentages, s) for s in seeds]
    finished: list[Run] = []
    if source is not None:
        probabilities = learner.predict(source.weights, fold.test)
        for slot, k in enumerate(runs):
            own = source.validation[slot].assign(fold=fold.name)
            row = learner.account(source.trained[slot], False) | {"selection": source.selection}
            row |= {"seconds": source.trained[slot].seconds / source.folds, "n": {**source.n, "test": len(fold.test)}}
            finished.append(_recorded(job, data, fold, k, seeds[slot], 0.0, probabilities[slot], row, own))
    for share in job.percentages:
        rows = np.stack([s[share] for s in shots])
        start = source.weights if source is not None else None
        parts = learner.train(rows, fold.validation[:0], [streams.derive(s, share) for s in seeds], start)
        probabilities = learner.predict(learner.weights(parts), fold.test)
        for slot, (k, trained) in enumerate(zip(runs, learner.merge(parts), strict=True)):
            row = {**learner.account(trained, False), "seconds": trained.seconds, "notes": trained.notes}
            row |= {"n": {"train": rows.shape[1], "validation": 0, "test": len(fold.test)}}
            finished.append(_recorded(job, data, fold, k, seeds[slot], share, probabilities[slot], row, None))
    return finished


def _recorded(
    job: _Job,
    data: Tensors,
    fold: Fold,
    run: int,
    seed: int,
    share: float,
    probabilities: NDArray[np.float64],
    row: dict[str, Any],
    validation: pd.DataFrame | None,
) -> Run:
    test = experiment.prediction_rows(data, fold.test, probabilities, run=run, fold=fold.name, split="test")
    predictions = test if validation is None else pd.concat([validation, test], ignore_index=True)
    return {
        "experiment": job.experiment,
        "config_hash": job.config_hash,
        "run": run,
        "fold": fold.name,
        "seed": seed,
        "percentage": share,
        **row,
        **experiment.scores_by_split(predictions, data.classes),
        "notes": row.get("notes", []) + experiment.collapse_note(predictions, data.classes),
    }, predictions.assign(percentage=share)
