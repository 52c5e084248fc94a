"""The runs of a summary: records and predictions as they lie on disk, each checked against the others."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ser.errors import ConfigError, SerError
from ser.files import read_bytes, why
from ser.jsonfile import plain
from ser.results.metrics.classification import class_numbers
from ser.results.metrics.measures import columns, outputs_of, run_scores, truth_columns
from ser.results.metrics.predictions import SPLITS, check_predictions
from ser.results.records.find import beside
from ser.results.records.kinds import read_run_record
from ser.results.records.model import FewshotSummary, RunRecord, RunRow, Summary
from ser.results.stored.runs import read_predictions
from ser.results.stored.verdict import Verdict

TIE = 1e-6  # by which the predicted class's probability may be below the highest: they are stored in single precision
SAME = ("run", "fold", "seed", "percentage", "shots", "best_epoch", "seconds")  # in a summary's row and in the run's record


@dataclass(eq=False)
class Runs:
    """The runs of a summary.

    Attributes:
        rows: those of the summary whose record and predictions could be read.
        records: of these, in the same order.
        frames: of these, their predictions.
        whole: true if all could be read.
    """

    rows: list[RunRow] = field(default_factory=list)
    records: list[RunRecord] = field(default_factory=list)
    frames: list[pd.DataFrame] = field(default_factory=list)
    whole: bool = True

    @property
    def predictions(self) -> pd.DataFrame:
        return pd.concat(self.frames, ignore_index=True)

    def first(self, number: int) -> "Runs":
        """The first runs: a summary may have more by now than when the study was made of it."""
        keep = [k for k, row in enumerate(self.rows) if row.run < number]
        return Runs([self.rows[k] for k in keep], [self.records[k] for k in keep], [self.frames[k] for k in keep], self.whole)

    def pairs(self) -> list[tuple[RunRecord, pd.DataFrame]]:
        """Each record with its predictions."""
        return list(zip(self.records, self.frames, strict=True))


def read_runs(path: Path, summary: Summary | FewshotSummary, verdict: Verdict) -> Runs:
    """Read the runs of a summary; files that are missing, damaged, or do not belong together are faults."""
    found = Runs()
    for row in summary.runs:
        record = _record(path, row, summary, verdict)
        frame = None if record is None else _frame(path, row, record, verdict)
        if record is None or frame is None:
            found.whole = False
            continue
        found.rows.append(row)
        found.records.append(record)
        found.frames.append(frame)
    return found


def _record(path: Path, row: RunRow, summary: Summary | FewshotSummary, verdict: Verdict) -> RunRecord | None:
    try:
        record = read_run_record(beside(path, row.record))
    except ConfigError as error:
        verdict.add(row.record, error.line(), "a valid run's record")
        return None
    stored, known = plain(record), plain(row)
    same = {key: known[key] for key in SAME if key in known}
    same |= {"experiment": summary.experiment, "predictions": Path(row.predictions).name}
    same |= {"config_hash": summary.config_hash} if "config_hash" in stored else {}
    verdict.compare({key: stored.get(key) for key in same}, same, row.record)
    return record


def _frame(path: Path, row: RunRow, record: RunRecord, verdict: Verdict) -> pd.DataFrame | None:
    """The predictions of a run: of the recorded hash, of this run, and with the record's scores."""
    name = row.predictions
    try:
        digest = hashlib.sha256(read_bytes(beside(path, name))).hexdigest()
        frame = read_predictions(path, [row])
        verdict.files += 1
        if digest != record.predictions_sha256:
            verdict.add(f"{name}, SHA-256", record.predictions_sha256, digest)
        check_predictions(frame, outputs_of(frame))
    except OSError as error:
        verdict.add(name, f"cannot be read: {why(error)}", "a run's predictions")
        return None
    except (SerError, TypeError) as error:
        verdict.add(name, str(error), "predictions as they were written")
        return None
    other = frame[(frame["run"] != row.run) | (frame["fold"] != row.fold)]
    if len(other):
        verdict.add(f"{name}, run and fold of {other['utterance_id'].iloc[0]}", int(other["run"].iloc[0]), row.run)
    _compare_scores(row, record, frame, verdict)
    return frame


def _compare_scores(row: RunRow, record: RunRecord, frame: pd.DataFrame, verdict: Verdict) -> None:
    """Compare the scores of a run with those of its predictions, the predicted classes with the probabilities."""
    classes = outputs_of(frame)
    for split in SPLITS:
        part = frame[frame["split"] == split]
        known = len(part) > 0
        again = run_scores(part, classes) if known else None
        verdict.compare(getattr(record, split) or None, again, f"{row.record} $.{split}")
        if split == "test" or known:
            verdict.compare(getattr(record.n, split), len(part), f"{row.record} $.n.{split}")
    if "predicted" not in frame:
        return
    shares = columns(frame, "p_", classes)
    own = shares[np.arange(len(frame)), class_numbers(frame["predicted"].to_numpy(), classes)]
    wrong = own < shares.max(1) - TIE
    if wrong.any():
        first = int(wrong.argmax())
        likely = classes[int(shares[first].argmax())]
        utterance = frame.iloc[first]
        verdict.add(f"{row.predictions}, predicted of {utterance['utterance_id']}", utterance["predicted"], likely)


def tested_labels(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Utterance, dataset (`""` where there is one), true label or values, speaker and gender of all predictions, each once."""
    columns = ["utterance_id", "dataset", *truth_columns(frames[0]), "speaker", "gender"]
    whole = pd.concat(frames, ignore_index=True)
    whole["dataset"] = whole["dataset"].fillna("") if "dataset" in whole else ""
    found: pd.DataFrame = whole[columns].drop_duplicates()
    return found
