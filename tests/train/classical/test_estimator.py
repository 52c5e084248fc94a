"""The scikit-learn estimator does what scikit-learn expects, in its own tools."""

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import ser


def test_it_works_in_a_pipeline_with_groups() -> None:
    random = np.random.default_rng(0)
    y = np.array(["anger", "calm", "fear"])[np.arange(120) % 3]
    X = random.normal(size=(120, 10)) + np.eye(10)[np.arange(120) % 3] * 4 + 50
    head = make_pipeline(StandardScaler(), ser.HeadClassifier("linear", {"epochs": 60}))
    scores = cross_val_score(head, X, y, groups=np.arange(120) // 10, cv=GroupKFold(3), scoring="balanced_accuracy")
    assert scores.min() > 0.9
    fitted = clone(head).fit(X, y)
    np.testing.assert_allclose(fitted.predict_proba(X).sum(1), 1)
    assert set(fitted.predict(X)) == {"anger", "calm", "fear"}
    assert list(fitted.predict(X)) == list(clone(head).fit(X, y).predict(X))


@pytest.mark.parametrize(
    ("head", "options", "words"),
    [
        ("nosuch", None, r"unknown head 'nosuch'; expected one of .*linear.*mlp"),
        ("lineer", None, r"Did you mean 'linear'"),
        ("sklearn:SVC", None, r"is an estimator of scikit-learn already; expected one of"),
        ("mlp", {"epoch": 3}, r"'epoch'.*Did you mean 'epochs'"),
        ("mlp", {"epochs": 0}, r"epochs = 0; expected 1 or more"),
    ],
)
def test_what_there_is_not_is_refused(head: str, options: Any, words: str) -> None:
    with pytest.raises(ser.SerError, match=words):
        ser.HeadClassifier(head, options).fit(np.eye(6), np.arange(6) % 2)  # too few to hold any out


@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_s_own_checks() -> None:
    """All of them but those whose data have a class with one utterance, where nothing can be held out by class."""
    estimator = ser.HeadClassifier("linear", {"epochs": 15, "batch_size": 16}, validation=0)
    report = check_estimator(estimator, on_fail=None)
    failed = [r["check_name"] for r in report if r["status"] == "failed"]
    assert failed == [], failed
