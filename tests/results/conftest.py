"""Simulated predictions and the records of an experiment made of them."""

import copy
import hashlib
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
from msgspec import convert

from ser.jsonfile import plain
from ser.results.metrics.classification import scores
from ser.results.records.model import RunResult
from ser.results.stored.runs import write_record, write_run
from ser.results.stored.summary import FinishedExperiment, summarise, summarise_fewshot

CLASSES = ["anger", "happiness", "neutral", "sadness"]
WRITTEN: dict[tuple[Any, ...], tuple[dict[str, bytes], dict[str, Any]]] = {}  # made once a process
STARTED = "2026-01-02T03:04:05+00:00"


def simulate(
    *,
    runs: int = 3,
    folds: int = 2,
    speakers: int = 6,
    a_speaker: int = 12,
    classes: Sequence[str] = CLASSES,
    skill: float = 1.5,
    splits: Sequence[str] = ("validation", "test"),
    seed: int = 0,
) -> pd.DataFrame:
    """A frame of predictions: speakers are distributed over the folds; each fold's neighbour is its validation part."""
    random = np.random.default_rng(seed)
    names = [f"s{i:02d}" for i in range(speakers)]
    truth = random.integers(0, len(classes), (speakers, a_speaker))
    rows: list[dict[str, Any]] = []
    for run in range(runs):
        for fold in range(folds):
            for s, name in enumerate(names):
                split = {(fold + 1) % folds: "validation", fold: "test"}.get(s % folds)
                if split not in splits:
                    continue
                for i in range(a_speaker):
                    logits = random.normal(size=len(classes)) + skill * (np.arange(len(classes)) == truth[s, i])
                    p = np.exp(logits) / np.exp(logits).sum()
                    rows.append(
                        {
                            "utterance_id": f"{name}_{i:03d}",
                            "run": run,
                            "fold": str(fold + 1),
                            "split": split,
                            "true": classes[truth[s, i]],
                            "predicted": classes[int(p.argmax())],
                            "speaker": name,
                            "gender": "female" if s % 4 < 2 else "male",
                            **{f"p_{c}": np.float32(v) for c, v in zip(classes, p, strict=True)},
                        }
                    )
    return pd.DataFrame(rows)


def record_of(part: pd.DataFrame, experiment: str, classes: Sequence[str], **more: Any) -> dict[str, Any]:
    """The record of one run and fold, from its predictions."""
    run, fold = int(part["run"].iloc[0]), str(part["fold"].iloc[0])
    found = {
        split: scores(rows["true"].to_list(), rows["predicted"].to_list(), list(classes)) if len(rows) else None
        for split, rows in ((s, part[part["split"] == s]) for s in ("validation", "test"))
    }
    sizes = {"train": 40, **{s: int((part["split"] == s).sum()) for s in ("validation", "test")}}
    length = 8 + (run * 3 + len(fold)) % 5
    return {
        "experiment": experiment,
        "run": run,
        "fold": fold,
        "seed": 1000 + run + (100 * int(fold) if fold.isdecimal() else 0),
        "n": sizes,
        "epochs": length,
        "best_epoch": length - 3,
        "selection": "validation UA",
        "curves": {
            "train_loss": [float(1.4 * np.exp(-e / 4) + 0.02 * run) for e in range(length)],
            "validation_loss": [float(1.4 * np.exp(-e / 5) + 0.004 * e * e) for e in range(length)],
            "validation_UA": [float(0.7 - 0.4 * np.exp(-e / 3) + 0.01 * run) for e in range(length)],
        },
        "seconds": 1.5,
        "notes": [],
        **found,
        **more,
    }


def write_experiment(
    folder: Path, experiment: str = "emodb-mlp", *, frame: pd.DataFrame | None = None, **changes: Any
) -> tuple[Path, dict[str, Any]]:
    """Write runs and summary of simulated predictions, as training does; returns the summary's path and content.

    What was written before of the same is copied.
    """
    given = b"" if frame is None else pickle.dumps(frame)
    key = (experiment, hashlib.sha256(given).digest(), repr(changes))
    path = folder / f"{experiment}.json"
    if key not in WRITTEN:
        with TemporaryDirectory() as place:
            content = _write(Path(place), experiment, simulate() if frame is None else frame, changes)
            files = [f for f in Path(place).rglob("*") if f.is_file()]
            WRITTEN[key] = {str(f.relative_to(place)): f.read_bytes() for f in files}, content
    written, content = WRITTEN[key]
    (folder / experiment).mkdir(parents=True, exist_ok=True)
    for name, data in written.items():
        (folder / name).write_bytes(data)
    return path, copy.deepcopy(content)


def _write(folder: Path, experiment: str, frame: pd.DataFrame, changes: dict[str, Any]) -> dict[str, Any]:
    classes = [c[2:] for c in frame.columns if c.startswith("p_")]
    few = "percentage" in frame.columns
    records = []
    for key, part in frame.groupby([*(["percentage"] if few else []), "run", "fold"]):
        more = {"percentage": float(key[0])} if few else {}
        records.append(convert(record_of(part, experiment, classes, **more), RunResult))
        write_run(folder / experiment, records[-1], part)
    data = {"source": "ravdess", "target": "emodb"} if few else {"dataset": "emodb"}
    content: dict[str, Any] = {
        "experiment": experiment,
        "command": "fewshot" if few else "fit",
        "config": {"head": "mlp", "scheme": "4", "protocol": "speaker", "runs": 3, "normalize": "speaker"},
        "data": data,
        "stamps": ["speaker normalisation used the test speakers' unlabelled data"],
        "started": STARTED,
        "seconds": 12.25,
        **changes,
    }
    notes = content.pop("notes", [])
    finished = FinishedExperiment(runs=records, predictions=frame, classes=classes, **content)
    summary = summarise_fewshot(finished, notes=notes) if few else summarise(finished, notes=notes)
    write_record(folder / f"{experiment}.json", summary)
    content = plain(summary)
    assert isinstance(content, dict)
    return content


def simulate_fewshot(percentages: Sequence[float] = (0, 10, 20, 50), **options: Any) -> pd.DataFrame:
    """Predictions of a source model (0) and of models with more and more target data, better and better."""
    parts = [simulate(skill=0.5 + 0.6 * i, seed=i, **options).assign(percentage=float(p)) for i, p in enumerate(percentages)]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="session", name="simulate")
def simulate_fixture() -> Callable[..., pd.DataFrame]:
    return simulate


@pytest.fixture(scope="session", name="simulate_fewshot")
def simulate_fewshot_fixture() -> Callable[..., pd.DataFrame]:
    return simulate_fewshot


@pytest.fixture(scope="session", name="write_experiment")
def write_experiment_fixture() -> Callable[..., tuple[Path, dict[str, Any]]]:
    return write_experiment


@pytest.fixture(scope="session", name="record_of")
def record_of_fixture() -> Callable[..., dict[str, Any]]:
    return record_of
