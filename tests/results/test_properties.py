"""All numbers of a summary against scikit-learn and SciPy, on frames drawn at random."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from ser.jsonfile import plain
from ser.results.metrics.predictions import metrics_from_predictions

CLASSES = ["anger", "happiness", "neutral", "sadness"]
GENDER = {"s0": "female", "s1": "male", "s2": "female", "s3": "male", "s4": "male"}


@st.composite
def frames(draw: Any) -> pd.DataFrame:
    """Predictions of 1 to 3 runs on 1 to 3 folds; a few speakers in each; any labels, right or wrong, classes may lack."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    runs, folds, known = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(2, 4))
    rows = []
    for fold in range(folds):
        size = draw(st.integers(1, 12))
        truth = random.integers(0, known, size)
        speakers = random.integers(0, 5, size)
        for run in range(runs):
            for split in ("test", "validation"):
                for i in range(size):
                    guess = truth[i] if random.random() < 0.5 else random.integers(0, 4)
                    speaker = f"s{speakers[i]}"
                    rows.append(
                        {
                            "utterance_id": f"{split}-{fold}-{i}",
                            "run": run,
                            "fold": str(fold),
                            "split": split,
                            "true": CLASSES[truth[i]],
                            "predicted": CLASSES[guess],
                            "speaker": speaker,
                            "gender": GENDER[speaker],
                            **{f"p_{c}": 1.0 if k == guess else 0.0 for k, c in enumerate(CLASSES)},
                        }
                    )
    return pd.DataFrame(rows)


def again(rows: pd.DataFrame) -> dict[str, float]:
    """The four metrics by scikit-learn alone."""
    return _again(tuple(rows["true"]), tuple(rows["predicted"]))


@cache  # the same rows are looked at by fold, pooled and by group
def _again(t: tuple[str, ...], p: tuple[str, ...]) -> dict[str, float]:
    _, recall, f1, support = precision_recall_fscore_support(t, p, labels=sorted({*t, *p}), zero_division=0)
    return {
        "UA": float(np.mean(recall[support > 0])),
        "WA": float(accuracy_score(t, p)),
        "WF1": float(np.average(f1, weights=support)),
        "Macro_F1": float(np.mean(f1)),
    }


def check(found: dict[str, Any], values: list[dict[str, float]]) -> None:
    for name in values[0]:
        column = [v[name] for v in values]
        assert found[name]["values"] == pytest.approx(column, abs=1e-12)
        assert found[name]["mean"] == pytest.approx(np.mean(column))
        assert found[name]["n"] == len(column)
        if len(column) > 1:
            assert found[name]["std"] == pytest.approx(np.std(column, ddof=1), abs=1e-12)
            half = stats.t.isf(0.025, len(column) - 1) * stats.sem(column)
            assert found[name]["ci_95"] == pytest.approx([np.mean(column) - half, np.mean(column) + half], abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(frames())
def test_every_number_of_a_summary_is_scikit_learns(frame: pd.DataFrame) -> None:
    found = metrics_from_predictions(frame, CLASSES)
    runs = sorted(frame["run"].unique())
    for split in ("validation", "test"):
        rows = frame[frame["split"] == split]
        by_fold = [[again(f) for _, f in rows[rows["run"] == run].groupby("fold")] for run in runs]
        check(found[split], [{m: float(np.mean([f[m] for f in folds])) for m in folds[0]} for folds in by_fold])
    test = frame[frame["split"] == "test"]
    check(found["pooled"], [again(test[test["run"] == run]) for run in runs])
    for fold, rows in test.groupby("fold"):
        check(found["folds"][fold], [again(rows[rows["run"] == run]) for run in runs])
        assert found["folds"][fold]["n"] == len(rows) // len(runs)
    counts = confusion_matrix(test["true"], test["predicted"], labels=CLASSES)
    assert plain(found["confusion_matrix"]) == {"labels": CLASSES, "counts": counts.tolist(), "runs": len(runs)}
    _check_classes(found["per_class"], test, runs)
    _check_groups(found["groups"], test, runs)


def _check_classes(found: dict[str, Any], test: pd.DataFrame, runs: list[int]) -> None:
    parts = [test[test["run"] == run] for run in runs]
    each = [precision_recall_fscore_support(p["true"], p["predicted"], labels=CLASSES, zero_division=0) for p in parts]
    for k, name in enumerate(CLASSES):
        support = int((parts[0]["true"] == name).sum())
        assert found[name]["support"] == support
        seen = [support > 0 or (p["predicted"] == name).any() for p in parts]
        for score, column in (("precision", 0), ("F1", 2)):
            values = [e[column][k] for e, s in zip(each, seen, strict=True) if s]
            assert found[name][score] == (pytest.approx(np.mean(values)) if values else None)
        recall = np.mean([e[1][k] for e in each]) if support else None
        assert found[name]["recall"] == (None if recall is None else pytest.approx(recall))


def _check_groups(found: dict[str, Any], test: pd.DataFrame, runs: list[int]) -> None:
    for column in ("gender", "speaker"):
        means = {}
        for name, rows in test.groupby(column):
            each = [again(rows[rows["run"] == run]) for run in runs]
            means[name] = {m: float(np.mean([e[m] for e in each])) for m in ("UA", "WA")}
            got = found[column][name]
            assert {m: got[m] for m in means[name]} == pytest.approx(means[name])
            assert got["n"] == len(rows) // len(runs)
        assert set(found[column]) == set(means)
        gap = found[f"{column}_gap"]
        if len(means) < 2:
            assert gap is None
        else:
            for m in ("UA", "WA"):
                assert gap[m] == pytest.approx(max(v[m] for v in means.values()) - min(v[m] for v in means.values()))
