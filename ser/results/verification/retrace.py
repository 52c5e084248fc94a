"""From a summary back to its runs: records and predictions as they lie on disk, each checked against the others."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.errors import ConfigError, SerError
from ser.jsonfile import fault_of, read_object
from ser.results.metrics.classification import scores
from ser.results.metrics.predictions import SPLITS, check_predictions
from ser.results.records.model import Run
from ser.results.records.names import amount_of
from ser.results.records.record import read_predictions
from ser.results.verification.verdict import Verdict

TIE = 1e-6  # by which the predicted class's probability may be below the highest: they are stored in single precision


@dataclass(eq=False)
class Runs:
    """The runs of a summary.

    Attributes:
        rows: those of the summary whose record and predictions could be read.
        records: of these, in the same order.
        frames: of these, their predictions.
        whole: whether all could be read.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    frames: list[pd.DataFrame] = field(default_factory=list)
    whole: bool = True

    @property
    def predictions(self) -> pd.DataFrame:
        return pd.concat(self.frames, ignore_index=True)

    def upto(self, runs: int) -> "Runs":
        """Those of the first runs: a summary may have got more since a study was made of it."""
        keep = [k for k, row in enumerate(self.rows) if row["run"] < runs]
        rows, records = ([part[k] for k in keep] for part in (self.rows, self.records))
        return Runs(rows, records, [self.frames[k] for k in keep], self.whole)

    def pairs(self) -> list[tuple[dict[str, Any], pd.DataFrame]]:
        return list(zip(self.records, self.frames, strict=True))


def classes_of(frame: pd.DataFrame) -> list[str]:
    return [column[2:] for column in frame.columns if column.startswith("p_")]


def retrace(path: Path, summary: dict[str, Any], verdict: Verdict) -> Runs:
    """Read the runs of a summary; what is missing, damaged, or does not belong together is a fault."""
    found = Runs()
    for row in summary["runs"]:
        record = _record(path.parent / row["record"], row, summary, verdict)
        frame = None if record is None else _frame(path.parent, row, record, verdict)
        if record is None or frame is None:
            found.whole = False
            continue
        found.rows.append(row)
        found.records.append(record)
        found.frames.append(frame)
    return found


def _record(file: Path, row: dict[str, Any], summary: dict[str, Any], verdict: Verdict) -> dict[str, Any] | None:
    try:
        record = read_object(file, "record")
    except ConfigError as error:
        verdict.add(row["record"], error.problem, "a run's record")
        return None
    fault = fault_of(record, Run)
    if fault is not None:
        verdict.add(row["record"], fault, "a valid run's record")
        return None
    same = {
        "run": row["run"],
        "fold": row["fold"],
        "seed": row["seed"],
        "experiment": summary["experiment"],
        **amount_of(row),
    }
    same |= {"predictions": Path(row["predictions"]).name}
    same |= {key: row[key] for key in ("best_epoch", "seconds") if key in row}
    same |= {"config_hash": summary["config_hash"]} if "config_hash" in record else {}
    verdict.compare({key: record.get(key) for key in same}, same, row["record"])
    return record


def _frame(folder: Path, row: dict[str, Any], record: dict[str, Any], verdict: Verdict) -> pd.DataFrame | None:
    """A run's predictions: of the recorded hash, of this run, and with the record's scores."""
    name = row["predictions"]
    try:
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        frame = read_predictions(folder / "_", {"runs": [row]})
        verdict.files += 1
        if digest != record["predictions_sha256"]:
            verdict.add(f"{name}, SHA-256", record["predictions_sha256"], digest)
        check_predictions(frame, classes_of(frame))
    except OSError as error:
        verdict.add(name, f"cannot be read: {error.strerror}", "a run's predictions")
        return None
    except (SerError, TypeError) as error:
        verdict.add(name, str(error), "predictions as they were written")
        return None
    own = frame[(frame["run"] != row["run"]) | (frame["fold"] != row["fold"])]
    if len(own):
        verdict.add(f"{name}, run and fold of {own['utterance_id'].iloc[0]}", own["run"].iloc[0], row["run"])
    _compare_scores(name, row["record"], record, frame, verdict)
    return frame


def _compare_scores(name: str, file: str, record: dict[str, Any], frame: pd.DataFrame, verdict: Verdict) -> None:
    """A run's own scores, by scikit-learn and not by the counts that a summary's are made of."""
    classes = classes_of(frame)
    for split in SPLITS:
        part = frame[frame["split"] == split]
        known = len(part) > 0
        again = scores(part["true"].to_numpy(), part["predicted"].to_numpy(), classes) if known else None
        verdict.compare(record.get(split), again, f"{file} $.{split}")
        if split == "test" or known:
            verdict.compare(record["n"][split], len(part), f"{file} $.n.{split}")
    shares = frame[[f"p_{c}" for c in classes]].to_numpy(dtype=np.float64)
    place = {c: k for k, c in enumerate(classes)}
    own = shares[np.arange(len(frame)), [place[c] for c in frame["predicted"]]]
    wrong = own < shares.max(1) - TIE
    if wrong.any():
        row = frame.iloc[int(wrong.argmax())]
        likely = classes[int(shares[int(wrong.argmax())].argmax())]
        verdict.add(f"{name}, predicted of {row['utterance_id']}", row["predicted"], likely)


def tested_labels(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Utterance, dataset (`""` where there is one), true label, speaker and gender of all predictions, each once."""
    columns = ["utterance_id", "dataset", "true", "speaker", "gender"]
    parts = [f.assign(dataset=f.get("dataset", ""))[columns].drop_duplicates() for f in frames]
    found: pd.DataFrame = pd.concat(parts, ignore_index=True).drop_duplicates()
    return found
