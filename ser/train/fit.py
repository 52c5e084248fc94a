"""`fit`: a head over seeds and folds of one dataset, and its record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.features.normalise import LIMIT, normalise
from ser.features.tensors import Tensors, load_tensors
from ser.metadata.splits import Fold, Options
from ser.progress import progress
from ser.results import record
from ser.results.names import run_name
from ser.train import executor, experiment, streams
from ser.train.batches import Resident
from ser.train.config import Config, make_config
from ser.train.learner import Learner, weights_of
from ser.train.saved import load_head, save_head
from ser.train.trainer import Trained
from ser.workspace import Workspace

Run = tuple[dict[str, Any], pd.DataFrame]


def fit(
    dataset: str,
    workspace: Workspace | str | Path = ".",
    *,
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
    refit: str = "auto",
    save: bool = False,
    output: Path | None = None,
    jobs: int | None = None,
    stack: int | None = None,
    device: str = "auto",
    quiet: bool = True,
    command: str = "ser.fit",
    **training: Any,
) -> dict[str, Any]:
    """Train a head over seeds and folds on cached features, and write the record.

    Args:
        dataset: a dataset of the workspace with features.
        head, training: the head plugin, and fields of `ser.train.config.Config`.
        scheme: label scheme.
        protocol: None takes the one that fits the table.
        runs: seeds; run k has the same numbers whatever `runs` is.
        seed: of the experiment.
        stores, modalities: which features; None takes all cached modalities.
        normalize, limit: see `ser.features.normalise.normalise`.
        folds: options of the protocol.
        refit: whether the head that is tested is trained again, on training and validation, for the number of epochs that
            validation picked: `always`, `never`, or `auto`: where validation was carved out of the protocol's training
            part, and not where it is a published part of its own. Validation scores are of the head before.
        save: also write each run's head, for `ser.Predictor`.
        output: summary file; None names it after the experiment in `results/`.
        jobs, stack: workers, and runs trained together; None lets the executor choose.
        device: `auto`, `cpu`, `cuda`, ...

    Returns:
        The summary, as written. Runs that were finished by an earlier, interrupted call are not trained again.
    """
    started = datetime.now(timezone.utc)
    space = workspace if isinstance(workspace, Workspace) else Workspace(Path(workspace))
    config = make_config(head, **training)
    data = load_tensors(dataset, space, scheme=scheme, stores=stores, modalities=modalities)
    setup = experiment.prepare(data, protocol, folds or Options(), normalize, scheme)
    asked = experiment.identity(config, seed, setup.facts, limit=limit, refit=refit)
    name, path = experiment.place(space, output, ["fit", dataset, head, setup.protocol, Path(scheme).stem], asked)
    place = executor.pick_device(device)
    heads = path.with_suffix("") if save else None
    job = _Job(data, config, normalize, limit, seed, place, name, record.config_hash(asked), setup.stamps, heads, refit)
    done = _run(job, setup.folds, path.with_suffix(""), range(runs), jobs, stack, quiet)
    done.sort(key=lambda r: (r[0]["run"], [f.name for f in setup.folds].index(r[0]["fold"])))
    notes = sorted({f"run {r['run']}, fold {r['fold']}: {n}" for r, _ in done for n in r["notes"]})
    summary = record.summarise(
        experiment=name,
        command=command,
        config=asked,
        data=setup.facts,
        stamps=setup.stamps,
        runs=[r for r, _ in done],
        predictions=pd.concat([p for _, p in done], ignore_index=True),
        classes=list(data.classes),
        started=started,
        seconds=sum(r["seconds"] for r, _ in done),
        device=place,
        folder=path.stem,
        extra={"notes": notes},
    )
    record.write_summary(path, summary)
    return summary


@dataclass(frozen=True, eq=False)
class _Job:
    data: Tensors
    config: Config
    normalize: str
    limit: float
    seed: int
    device: str
    experiment: str
    config_hash: str
    stamps: list[str]
    save: Path | None
    refit: str


def _run(
    job: _Job, folds: list[Fold], folder: Path, runs: Sequence[int], jobs: int | None, stack: int | None, quiet: bool
) -> list[Run]:
    """All runs on all folds: those recorded before are read, the others trained and recorded as they finish."""
    done: list[Run] = []
    units: list[tuple[_Job, Fold, list[int]]] = []
    inputs = Resident(job.data.blocks).inputs
    size = stack or executor.stack_size(job.config, inputs, len(job.data.classes), len(runs), job.device)
    for fold in folds:
        earlier = {k: record.read_run(folder, k, fold.name, config_hash=job.config_hash) for k in runs}
        if job.save is not None:
            earlier = {k: r if _head_of(job, folder, k, fold.name) else None for k, r in earlier.items()}
        done += [r for r in earlier.values() if r is not None]
        units += [(job, fold, g) for g in executor.groups([k for k in runs if earlier[k] is None], size)]
    workers = executor.workers(jobs, len(units), job.device)
    results = executor.run_units(_unit, units, workers)
    for finished in progress(results, len(units), job.experiment, "stack", quiet):
        for run, predictions in finished:
            record.write_run(folder, run, predictions)
            done.append((run, predictions))
    return done


def _head_of(job: _Job, folder: Path, run: int, fold: str) -> bool:
    """Whether a run's saved head is there and of this configuration."""
    path = folder / f"{run_name(run, fold)}.safetensors"
    return path.exists() and load_head(path).about["config_hash"] == job.config_hash


def _unit(job: _Job, fold: Fold, runs: list[int]) -> list[Run]:
    """Train a stack of runs on one fold, and predict its validation and test parts."""
    data, statistics = normalise(job.data, job.normalize, fold.train, job.limit)
    learner = Learner(data, job.config, job.device)
    seeds = [streams.derive(job.seed, k, fold.name) for k in runs]
    parts = learner.train(fold.train, fold.validation, seeds)
    final = parts
    if _refits(job, fold):
        final = learner.retrain(np.concatenate([fold.train, fold.validation]), seeds, parts)
    splits = {"validation": fold.validation, "test": fold.test}
    chosen = {"validation": weights_of(parts), "test": weights_of(final)}
    probabilities = {s: learner.predict(chosen[s], rows) for s, rows in splits.items()}
    finished = []
    for slot, (k, trained) in enumerate(zip(runs, learner.merge(parts), strict=True)):
        if final is not parts:
            trained.seconds += sum(part[slot].seconds for part in final)
        frames = [
            experiment.prediction_rows(data, rows, probabilities[s][slot], run=k, fold=fold.name, split=s)
            for s, rows in splits.items()
        ]
        finished.append(_recorded(job, fold, k, seeds[slot], trained, pd.concat(frames, ignore_index=True)))
        if job.save is not None:
            save_head(
                job.save / f"{run_name(k, fold.name)}.safetensors",
                data=job.data,
                config=job.config,
                weights=[part[slot].weights for part in final],
                normalize=job.normalize,
                limit=job.limit,
                statistics=statistics,
                stamps=job.stamps,
                source={
                    "experiment": job.experiment,
                    "config_hash": job.config_hash,
                    "run": k,
                    "fold": fold.name,
                    "seed": seeds[slot],
                },
            )
    return finished


def _refits(job: _Job, fold: Fold) -> bool:
    return job.refit == "always" or (job.refit == "auto" and fold.carved)


def _recorded(job: _Job, fold: Fold, run: int, seed: int, trained: Trained, predictions: pd.DataFrame) -> Run:
    classes = job.data.classes
    return {
        "experiment": job.experiment,
        "config_hash": job.config_hash,
        "run": run,
        "fold": fold.name,
        "seed": seed,
        "n": {"train": len(fold.train), "validation": len(fold.validation), "test": len(fold.test)},
        "epochs": trained.epochs,
        "best_epoch": trained.best_epoch,
        "selection": (f"validation {job.config.selection}" if job.config.selection != "last" else "last epoch")
        + (", then trained again on training and validation for as many epochs" if _refits(job, fold) else ""),
        "curves": trained.curves,
        **experiment.scores_by_split(predictions, classes),
        "seconds": trained.seconds,
        "notes": trained.notes + experiment.collapse_note(predictions, classes),
    }, predictions
