"""Metrics against values worked out by hand and against formulas written again here."""

import warnings
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support, recall_score

from ser.results.metrics import classification
from ser.results.metrics.measures import Labels, concordance
from ser.results.records.names import METRICS

CLASSES = ["anger", "happiness", "neutral", "sadness"]
# truth: 4 anger, 2 happiness, 2 neutral, no sadness.
TRUTH = ["anger"] * 4 + ["happiness"] * 2 + ["neutral"] * 2
GUESS = ["anger", "anger", "anger", "happiness", "happiness", "anger", "neutral", "sadness"]

pairs = st.integers(2, 6).flatmap(
    lambda k: st.tuples(st.just(k), st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=1, max_size=60))
)


def per_class(truth: Labels, guess: Labels, classes: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """The scores of each class, by name; None where `class_scores` has NaN."""
    found = classification.class_scores(classification.confusion(truth, guess, classes))
    return {n: {s: None if np.isnan(v[k]) else float(v[k]) for s, v in found.items()} for k, n in enumerate(classes)}


def test_by_hand() -> None:
    # recalls 3/4, 1/2, 1/2; precisions 3/4, 1/2, 1/1, 0/1; F1 3/4, 1/2, 2/3, 0
    found = classification.scores(TRUTH, GUESS, CLASSES)
    assert found["WA"] == pytest.approx(5 / 8)
    assert found["UA"] == pytest.approx((3 / 4 + 1 / 2 + 1 / 2) / 3)  # not / 4: sadness is not in the truth
    assert found["WF1"] == pytest.approx((4 * 3 / 4 + 2 * 1 / 2 + 2 * 2 / 3) / 8)
    assert found["Macro_F1"] == pytest.approx((3 / 4 + 1 / 2 + 2 / 3 + 0) / 4)  # sadness is predicted: F1 0
    assert list(found) == list(METRICS)


def test_per_class_by_hand() -> None:
    found = per_class(TRUTH, GUESS, [*CLASSES, "fear"])
    assert found["anger"] == {"precision": 0.75, "recall": 0.75, "F1": 0.75, "support": 4}
    assert found["neutral"] == {"precision": 1.0, "recall": 0.5, "F1": pytest.approx(2 / 3), "support": 2}
    assert found["sadness"] == {"precision": 0.0, "recall": None, "F1": 0.0, "support": 0}
    assert found["fear"] == {"precision": None, "recall": None, "F1": None, "support": 0}


def test_confusion_by_hand() -> None:
    assert classification.confusion(TRUTH, GUESS, CLASSES).tolist() == [[3, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]]


def test_a_class_never_predicted_has_precision_zero() -> None:
    assert per_class([0, 1], [0, 0], ["a", "b"])["b"] == {"precision": 0, "recall": 0, "F1": 0, "support": 1}


def _again(pairs: list[tuple[int, int]], k: int) -> dict[str, float]:
    """The four metrics, straight from their definitions."""
    n = len(pairs)
    support = [sum(t == c for t, _ in pairs) for c in range(k)]
    found = [sum(p == c for _, p in pairs) for c in range(k)]
    right = [sum(t == p == c for t, p in pairs) for c in range(k)]
    f1 = [2 * right[c] / (support[c] + found[c]) if support[c] + found[c] else None for c in range(k)]
    recalls = [right[c] / support[c] for c in range(k) if support[c]]
    known = [f for f in f1 if f is not None]
    return {
        "UA": sum(recalls) / len(recalls),
        "WA": sum(right) / n,
        "WF1": sum(support[c] * (f1[c] or 0) for c in range(k)) / n,
        "Macro_F1": sum(known) / len(known),
    }


@given(pairs)
def test_both_ways_equal_the_definitions(case: tuple[int, list[tuple[int, int]]]) -> None:
    k, both = case
    truth, guess = [t for t, _ in both], [p for _, p in both]
    names = [f"c{i}" for i in range(k)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # none of scikit-learn's or NumPy's warnings may leak
        direct = classification.scores(truth, guess, names)
        counts = classification.scores_from_counts(classification.confusion(truth, guess, names))
    for name, value in _again(both, k).items():
        assert direct[name] == pytest.approx(value, abs=1e-12)
        assert float(counts[name]) == pytest.approx(value, abs=1e-12)
        assert 0 <= direct[name] <= 1


@given(pairs)
def test_values_are_those_of_scikit_learn(case: tuple[int, list[tuple[int, int]]]) -> None:
    k, both = case
    truth, guess = [t for t, _ in both], [p for _, p in both]
    names = [f"c{i}" for i in range(k)]
    found, there = classification.scores(truth, guess, names), sorted(set(truth))
    expected = {
        "UA": recall_score(truth, guess, labels=there, average="macro", zero_division=0),
        "WA": accuracy_score(truth, guess),
        "WF1": f1_score(truth, guess, labels=there, average="weighted", zero_division=0),
        "Macro_F1": f1_score(truth, guess, average="macro", zero_division=0),
    }
    assert found == pytest.approx(expected, abs=1e-12)
    by_class = precision_recall_fscore_support(truth, guess, labels=range(k), zero_division=0)
    for n, name in enumerate(names):
        own = per_class(truth, guess, names)[name]
        for score, values in zip(("precision", "recall", "F1", "support"), by_class, strict=True):
            assert own[score] is None or own[score] == pytest.approx(values[n], abs=1e-12)
        assert (own["recall"] is None) == (n not in truth)
        assert (own["precision"] is None) == (own["F1"] is None) == (n not in truth and n not in guess)


def test_one_definition_for_numpy_and_torch_and_any_leading_dimensions() -> None:
    random = np.random.default_rng(0)
    support = random.integers(0, 5, (2, 3, 4))
    support[0, 0] = 0
    hits = random.integers(0, support + 1).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for function in (classification.ua, classification.wa):
            found = function(hits, support)
            assert found.shape == (2, 3)
            assert np.isnan(found[0, 0])
            assert np.isfinite(found[1]).all()
            np.testing.assert_array_equal(function(torch.from_numpy(hits), torch.from_numpy(support)), found)
            np.testing.assert_array_equal(function(hits, np.ones(4)), function(hits, np.ones((2, 3, 4))))
        either = support + random.integers(0, 3, support.shape)
        found = classification.f1(hits, either)
        np.testing.assert_array_equal(found, np.divide(2 * hits, either, out=np.zeros(hits.shape), where=either > 0))
        np.testing.assert_array_equal(classification.f1(torch.from_numpy(hits), torch.from_numpy(either)), found)
    moments = random.normal(size=(3, 2, 4))
    of_tensors = concordance(*map(torch.from_numpy, moments))
    np.testing.assert_allclose(concordance(*moments), of_tensors, rtol=1e-12)
    np.testing.assert_allclose(of_tensors, 2 * moments[0] / (moments[1] + moments[2] * moments[2]), rtol=1e-12)


@given(pairs, st.randoms())
def test_invariances(case: tuple[int, list[tuple[int, int]]], random: object) -> None:
    """Order of the utterances, names and order of the classes, and classes that do not occur change nothing."""
    k, both = case
    truth, guess = [t for t, _ in both], [p for _, p in both]
    names = [f"c{i}" for i in range(k)]
    base = classification.scores(truth, guess, names)
    shuffled = list(both)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert classification.scores([t for t, _ in shuffled], [p for _, p in shuffled], names) == pytest.approx(base)
    words = ([names[t] for t in truth], [names[p] for p in guess])
    assert classification.scores(*words, names[::-1]) == pytest.approx(base)
    assert classification.scores(truth, guess, [*names, "never"]) == base


@given(pairs)
def test_all_right_is_one(case: tuple[int, list[tuple[int, int]]]) -> None:
    k, both = case
    truth = [t for t, _ in both]
    assert classification.scores(truth, truth, [f"c{i}" for i in range(k)]) == dict.fromkeys(METRICS, 1.0)


def test_stacks_keep_their_shape_and_empty_ones_are_nan() -> None:
    counts = np.zeros((2, 3, 4, 4), dtype=np.int64)
    counts[0, 0] = np.eye(4, dtype=np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = classification.scores_from_counts(counts)
    for name in METRICS:
        assert found[name].shape == (2, 3)
        assert found[name][0, 0] == 1.0
        assert np.isnan(found[name][1]).all()


@pytest.mark.parametrize(
    ("truth", "guess", "words"),
    [
        (["anger"], ["joy"], "'joy' is not among the classes"),
        ([0, 4], [0, 0], "4 is not among"),
        ([0, -1], [0, 0], "-1 is not among"),
        ([0], [0, 1], "1 true labels and 2 predicted"),
        ([], [], "no utterances"),
        ([[0]], [[0]], "shape"),
    ],
)
def test_refused(truth: list[object], guess: list[object], words: str) -> None:
    for function in (classification.scores, classification.confusion, per_class):
        with pytest.raises(ValueError, match=words):
            function(truth, guess, CLASSES)  # type: ignore[operator]
