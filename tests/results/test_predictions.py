"""The numbers of a summary, derived again with pandas and scikit-learn, one run and fold after another."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score, recall_score

from ser.errors import TrainingError
from ser.jsonfile import plain
from ser.results.metrics.predictions import metrics_from_predictions

Simulate = Callable[..., pd.DataFrame]
CLASSES = ["anger", "happiness", "neutral", "sadness"]
BY_SKLEARN: dict[str, Callable[..., float]] = {
    "UA": balanced_accuracy_score,
    "WA": accuracy_score,
    "WF1": lambda t, p: f1_score(t, p, average="weighted"),
    "Macro_F1": lambda t, p: f1_score(t, p, average="macro"),
}


@pytest.mark.parametrize("metric", list(BY_SKLEARN))
def test_test_and_validation_are_means_over_folds_and_pooled_is_over_all(simulate: Simulate, metric: str) -> None:
    frame = simulate(runs=3, folds=3)
    numbers = metrics_from_predictions(frame.sample(frac=1, random_state=0), CLASSES)
    of = BY_SKLEARN[metric]
    for split in ("validation", "test"):
        part = frame[frame["split"] == split]
        values = [
            np.mean([of(fold["true"], fold["predicted"]) for _, fold in run.groupby("fold")]) for _, run in part.groupby("run")
        ]
        assert numbers[split][metric]["values"] == pytest.approx(values)
        assert numbers[split][metric]["mean"] == pytest.approx(np.mean(values))
    test = frame[frame["split"] == "test"]
    pooled = [of(run["true"], run["predicted"]) for _, run in test.groupby("run")]
    assert numbers["pooled"][metric]["values"] == pytest.approx(pooled)
    low, high = numbers["pooled"][metric]["ci_95_speakers"]
    assert low < numbers["pooled"][metric]["mean"] < high


def test_each_fold_has_its_own_numbers(simulate: Simulate) -> None:
    frame = simulate(runs=3, folds=12, speakers=12)
    folds = metrics_from_predictions(frame, CLASSES)["folds"]
    assert list(folds) == sorted(folds, key=int)
    test = frame[frame["split"] == "test"]
    for name, fold in test.groupby("fold"):
        assert folds[name]["n"] == len(fold) / 3
        runs = [(r["true"], r["predicted"]) for _, r in fold.groupby("run")]
        values = [recall_score(t, p, labels=t.unique(), average="macro") for t, p in runs]
        assert folds[name]["UA"]["values"] == pytest.approx(values)


def test_confusion_per_class_and_groups(simulate: Simulate) -> None:
    frame = simulate(runs=3, folds=2)
    numbers = metrics_from_predictions(frame, CLASSES)
    test = frame[frame["split"] == "test"]
    matrix = confusion_matrix(test["true"], test["predicted"], labels=CLASSES)
    assert plain(numbers["confusion_matrix"]) == {"labels": CLASSES, "counts": matrix.tolist(), "runs": 3}
    for name in CLASSES:
        f1 = [f1_score(r["true"] == name, r["predicted"] == name) for _, r in test.groupby("run")]
        assert numbers["per_class"][name]["F1"] == pytest.approx(np.mean(f1))
        assert numbers["per_class"][name]["support"] == (test[test["run"] == 0]["true"] == name).sum()
    for column in ("gender", "speaker"):
        for name, group in test.groupby(column):
            runs = [(r["true"], r["predicted"]) for _, r in group.groupby("run")]
            found = numbers["groups"][column][name]
            assert found["WA"] == pytest.approx(np.mean([accuracy_score(*r) for r in runs]))
            assert found["n"] == len(group) / 3
    ua = [g["UA"] for g in numbers["groups"]["gender"].values()]
    assert numbers["groups"]["gender_gap"]["UA"] == pytest.approx(max(ua) - min(ua))


def test_a_group_without_a_class_has_ua_over_the_others(simulate: Simulate) -> None:
    frame = simulate(runs=1, folds=1, splits=("test",))
    one = frame["speaker"] == "s00"
    frame.loc[one, ["true", "predicted"]] = "anger"
    assert metrics_from_predictions(frame, CLASSES)["groups"]["speaker"]["s00"]["UA"] == 1.0


def test_without_validation_speakers_or_genders(simulate: Simulate) -> None:
    frame = simulate(runs=1, folds=1, splits=("test",)).assign(speaker="", gender="")
    numbers = metrics_from_predictions(frame, CLASSES)
    assert numbers["validation"] is None
    assert plain(numbers["groups"]) == {"gender": {}, "gender_gap": None, "speaker": {}, "speaker_gap": None}
    assert numbers["pooled"]["UA"]["ci_95_speakers"] is None
    assert numbers["pooled"]["UA"]["std"] is None


def test_a_class_that_nothing_has_is_null_and_not_zero(simulate: Simulate) -> None:
    frame = simulate(folds=1, splits=("test",)).assign(p_fear=0.0)
    with_fear = metrics_from_predictions(frame, [*CLASSES, "fear"])
    assert plain(with_fear["per_class"]["fear"]) == {"precision": None, "recall": None, "F1": None, "support": 0}
    without = metrics_from_predictions(frame, CLASSES)
    for name in BY_SKLEARN:
        assert with_fear["pooled"][name]["values"] == without["pooled"][name]["values"]


def _set(column: str, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy()
        frame.loc[frame.index[3], column] = value
        return frame

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="speaker"), "no column 'speaker'"),
        (lambda f: f.drop(columns="p_anger"), "no column 'p_anger'"),
        (lambda f: f.iloc[:0], "no predictions"),
        (_set("true", "joy"), "column true.*found 'joy'"),
        (_set("predicted", ""), "column predicted"),
        (_set("split", "train"), "column split"),
        (_set("p_anger", np.nan), "not finite"),
        (lambda f: pd.concat([f, f.iloc[[7]]]), "predicted twice"),
        (lambda f: f[f["split"] == "validation"], "no test predictions"),
        (lambda f: f[(f["run"] != 1) | (f["fold"] != "2")], "run 1 has no validation predictions of fold 2"),
        (
            lambda f: pd.concat([f, f[(f["fold"] == "1") & (f["split"] == "test")].assign(fold="2")]),
            "predicted twice in the test folds",
        ),
    ],
)
def test_refused(simulate: Simulate, change: Callable[[pd.DataFrame], pd.DataFrame], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        metrics_from_predictions(change(simulate()), CLASSES)
