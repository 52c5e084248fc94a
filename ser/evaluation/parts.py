"""Parts of an evaluation that are set beside the plain predictions: views averaged, runs averaged, snapshots, votes, gaps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from ser.evaluation.asked import Asked
from ser.evaluation.augmented import averaged, view_sources
from ser.evaluation.outputs import Floats, Rows, Source
from ser.evaluation.predicting import head_of, replaced
from ser.evaluation.subject import Key, Subject
from ser.features.views import TTA_VIEWS
from ser.metadata.labels import load_scheme
from ser.metadata.table import Table
from ser.results.metrics import evaluation, gaps, soft_labels
from ser.results.metrics.classification import scores
from ser.results.metrics.ensemble import against_members, mean_of_runs
from ser.results.statistics.intervals import describe
from ser.results.statistics.paired import compare
from ser.train.classical.classifier import Classical
from ser.workspace import Workspace


def tta_part(
    asked: Asked, space: Workspace, found: evaluation.Temperatures | None
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The mean over the original and its views, beside the original; the temperature is that of the original."""
    assert asked.source is not None
    views = view_sources(asked.source, asked.dataset, space)
    new = averaged(asked.subject, asked.test, [asked.source, *views])
    classes = asked.subject.classes
    part = {
        "views": ["original", *TTA_VIEWS],
        **evaluation.numbers(new, asked.validation, classes, asked.own, found),
        "comparison": compare(new, asked.test, classes),
    }
    return part, new


def ensemble_part(
    test: pd.DataFrame, validation: pd.DataFrame | None, classes: Sequence[str], together: bool, calibrate: bool
) -> dict[str, Any] | None:
    """The mean of the runs' probabilities, beside the runs one by one; None with one run."""
    runs = int(test["run"].nunique())
    if runs < 2:
        return None
    one = mean_of_runs(test, classes)
    held = None if validation is None else mean_of_runs(validation, classes)
    own = evaluation.temperatures(held, classes) if calibrate and held is not None else None
    return {
        "members": runs,
        **evaluation.numbers(one, held, classes, together, own),
        "comparison": against_members(one, test, classes),
    }


def snapshot_part(subject: Subject, test: pd.DataFrame, source: Source) -> dict[str, Any] | None:
    """The snapshot ensemble of each run beside its single snapshots; None where heads have one, or are of several parts."""
    head = head_of(next(iter(subject.heads.values())))
    count = 1 if isinstance(head.config, Classical) else head.config.snapshots
    if count == 1 or len(head.weights) > 1:
        return None
    kept: dict[Key, Floats] = {}

    def one(number: int) -> pd.DataFrame:
        def made(key: Key, rows: pd.DataFrame, where: Rows) -> Floats:
            if key not in kept:
                logits = source.outputs(head_of(subject.heads[key]), where).logits
                assert logits is not None
                kept[key] = softmax(logits, axis=-1)
            return np.asarray(kept[key][number])

        return replaced(subject, test, source, made)

    each = [one(k) for k in range(count)]
    return {
        "members": count,
        "UA_of_each": [
            float(
                np.mean(
                    [scores(r["true"].to_numpy(), r["predicted"].to_numpy(), subject.classes)["UA"] for r in _runs(f)]
                )
            )
            for f in each
        ],
        "comparison_with_last": compare(test, each[-1], subject.classes),
    }


def _runs(frame: pd.DataFrame) -> list[pd.DataFrame]:
    return [rows for _, rows in frame.groupby("run")]


def soft_part(
    test: pd.DataFrame,
    table: Table,
    scheme: str,
    classes: Sequence[str],
    together: bool,
    found: evaluation.Temperatures | None,
) -> dict[str, Any] | None:
    """Predictions beside the annotators' votes; None where the table has none for the classes."""
    votes = soft_labels.votes_of(table.frame, load_scheme(scheme, table.frame).mapping, classes)
    place = {utterance: k for k, utterance in enumerate(votes.ids)}
    ids = test["utterance_id"].astype(str).str.removeprefix(f"{table.dataset}/")
    where = np.array([place.get(a, place.get(b, -1)) for a, b in zip(test["utterance_id"], ids, strict=True)])
    if not (where >= 0).any():
        return None
    rows, at = test[where >= 0], where[where >= 0]
    states = {
        "uncalibrated": rows,
        "calibrated": None if found is None else evaluation.calibrated(rows, classes, found),
    }
    first = np.unique(at, return_index=True)[1]
    label = evaluation.truth(rows, classes)
    shares, complete = votes.shares[at[first]], votes.complete[at[first]]
    unit = evaluation.units(rows, together).assign(at=at)
    groups = [g for _, g in unit.groupby("run")]
    pairs = [
        soft_labels.pairwise(
            votes.shares[g["at"]][votes.complete[g["at"]]],
            _numbers(g["predicted"], classes)[votes.complete[g["at"]]],
        )
        for g in groups
    ]
    whole = [p for p in pairs if p is not None]
    return {
        "n": len(first),
        "complete": int(complete.sum()),
        "human": soft_labels.human(shares, label[first]),
        "head": {
            m: describe([scores(g["true"].to_numpy(), g["predicted"].to_numpy(), classes)[m] for g in groups])
            for m in ("WA", "UA")
        },
        "pairwise": {
            "head": describe([p["head"] for p in whole]),
            "annotators": float(np.mean([p["annotators"] for p in whole])),
        }
        if whole
        else None,
        **{name: None if f is None else _distances(f, at, votes, classes, together) for name, f in states.items()},
    }


def _numbers(names: "pd.Series[str]", classes: Sequence[str]) -> Rows:
    return np.array([list(classes).index(n) for n in names], dtype=np.int64)


def _distances(
    rows: pd.DataFrame, at: Rows, votes: soft_labels.Votes, classes: Sequence[str], together: bool
) -> dict[str, Any]:
    unit = evaluation.units(rows, together).assign(at=at)
    each = [
        soft_labels.distances(evaluation.shares(g, classes), votes.shares[g["at"]], votes.complete[g["at"]])
        for _, g in unit.groupby("run")
    ]
    return {name: describe([e[name] for e in each]) for name in each[0]}


def gap_part(test: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """Gaps between genders and speakers, of what is right over all runs (and heads)."""
    rights = gaps.rights_of(test, classes)
    return {"gender": gaps.gender_gaps(rights), "speaker": gaps.speaker_gaps(rights)}
