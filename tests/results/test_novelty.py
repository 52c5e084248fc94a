"""Novelty scores against scikit-learn, SciPy and values by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, mahalanobis
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score, roc_curve

from ser.results.metrics import novelty


def test_energy_is_that_of_the_logits_and_members_are_averaged() -> None:
    z = np.random.default_rng(0).normal(size=(3, 7, 4))
    by_hand = -np.log(np.exp(z).sum(-1)).mean(0)
    np.testing.assert_allclose(novelty.energy(z), by_hand)
    np.testing.assert_allclose(novelty.energy(z[0]), -logsumexp(z[0], axis=1))
    sure, unsure = np.array([[9.0, 0, 0]]), np.array([[1.0, 1, 1]])
    assert novelty.energy(unsure)[0] > novelty.energy(sure)[0]
    assert novelty.max_softmax(np.array([[0.9, 0.1], [0.5, 0.5]])).tolist() == [-0.9, -0.5]


def test_mahalanobis_is_the_distance_to_the_nearest_class_under_the_shrunk_covariance() -> None:
    rng = np.random.default_rng(1)
    y = np.arange(90) % 3
    x = rng.normal(size=(90, 4)) * [1, 2, 0.5, 1] + 4 * np.eye(4)[y]
    score = novelty.Mahalanobis(x, y)
    new = rng.normal(size=(6, 4)) * 5
    means = [x[y == k].mean(0) for k in range(3)]
    by_hand = [min(mahalanobis(n, m, score.precision) ** 2 for m in means) for n in new]
    np.testing.assert_allclose(score(new), by_hand)
    within = np.concatenate([x[y == k] - means[k] for k in range(3)])
    large = novelty.Mahalanobis(np.tile(x, (200, 1)), np.tile(y, 200))  # so many that nothing is shrunk
    np.testing.assert_allclose(large.precision, np.linalg.inv(within.T @ within / 90), rtol=0.02, atol=0.02)


def test_the_kth_neighbour_on_the_sphere() -> None:
    rng = np.random.default_rng(2)
    x, new = rng.normal(size=(40, 5)), rng.normal(size=(7, 5))
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, new)]
    by_hand = np.sort(cdist(unit[1], unit[0]), axis=1)
    np.testing.assert_allclose(novelty.Neighbours(x, 3)(new), by_hand[:, 2])
    np.testing.assert_allclose(novelty.Neighbours(x, 3)(new * 10), by_hand[:, 2])
    np.testing.assert_allclose(novelty.Neighbours(x[:4], 10)(new), np.sort(cdist(unit[1], unit[0][:4]), axis=1)[:, 3])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 60))
def test_auroc_and_fpr95_are_those_of_scikit_learn(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    known, novel = np.round(rng.normal(size=n), 1), np.round(rng.normal(1, 1, m), 1)
    accepted, scores = np.repeat([1, 0], [n, m]), -np.concatenate([known, novel])  # the known are accepted, the lower
    assert novelty.auroc(known, novel) == pytest.approx(roc_auc_score(1 - accepted, -scores))
    fpr, tpr, _ = roc_curve(accepted, scores, drop_intermediate=False)
    assert novelty.fpr95(known, novel) == pytest.approx(fpr[tpr >= 0.95 - 1e-12].min())


def test_what_is_far_away_is_told_and_what_is_alike_is_not() -> None:
    rng = np.random.default_rng(3)
    known, alike = rng.normal(size=(2, 20000))
    assert novelty.auroc(known, known.max() + 1 + np.arange(5.0)) == 1
    assert novelty.fpr95(known, known.max() + 1 + np.arange(5.0)) == 0
    assert novelty.auroc(known, alike) == pytest.approx(0.5, abs=0.01)
    assert novelty.fpr95(known, alike) == pytest.approx(0.95, abs=0.01)
