"""Votes: carried over to classes, distances by hand and by SciPy, and people's agreement by counting."""

import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from ser.results.metrics import soft_labels

CLASSES = ["anger", "happiness", "sadness"]
MAPPING = {"anger": "anger", "happiness": "happiness", "excitement": "happiness", "sadness": "sadness"}


def votes(*texts: dict[str, float]) -> soft_labels.Votes:
    rows = [json.dumps(t) if t else "" for t in texts]
    frame = pd.DataFrame({"utterance_id": [f"u{k}" for k in range(len(rows))], "votes": rows})
    return soft_labels.class_votes(frame, MAPPING, CLASSES)


def test_votes_go_to_the_class_of_their_emotion() -> None:
    found = votes(
        {"anger": 0.5, "happiness": 0.25, "excitement": 0.25},
        {},
        {"disgust": 1.0},
        {"sadness": 0.6},
        {"anger": 0.4, "fear": 0.6},
    )
    assert found.ids == ["u0", "u3", "u4"]
    np.testing.assert_allclose(found.shares, [[0.5, 0.5, 0], [0, 0, 0.6], [0.4, 0, 0]])
    assert found.complete.tolist() == [True, False, True]  # of the fourth the other listeners are not known


def test_distances_of_whole_votes_are_scipys() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(3), (2, 20))
    found = soft_labels.distances(p, q, np.ones(20, dtype=bool))
    assert found["cross_entropy"] == pytest.approx(np.mean(entropy(q, axis=1) + entropy(q, p, axis=1)))
    assert found["entropy"] == pytest.approx(np.mean(entropy(q, axis=1)))
    assert found["JS"] == pytest.approx(np.mean([jensenshannon(a, b, base=2) ** 2 for a, b in zip(p, q, strict=True)]))
    assert found["TVD"] == pytest.approx(
        np.mean(
            [
                max(abs(sum(a[i] - b[i] for i in s)) for r in range(4) for s in combinations(range(3), r))
                for a, b in zip(p, q, strict=True)
            ]
        )
    )
    scaled = soft_labels.distances(p, q * 0.5, np.ones(20, dtype=bool))  # half of the votes fell on no class
    assert scaled == pytest.approx(found)
    same = soft_labels.distances(q, q, np.ones(20, dtype=bool))
    assert same["JS"] == pytest.approx(0, abs=1e-9)
    assert same["TVD"] == pytest.approx(0, abs=1e-9)
    assert same["cross_entropy"] == pytest.approx(same["entropy"])


def test_of_one_share_two_outcomes_are_compared() -> None:
    p, q = np.array([[0.2, 0.3, 0.5]]), np.array([[0.0, 0.0, 0.9]])
    found = soft_labels.distances(p, q, np.array([False]))
    assert found["TVD"] == pytest.approx(0.4)
    assert found["cross_entropy"] == pytest.approx(-0.9 * np.log(0.5) - 0.1 * np.log(0.5))
    assert found["JS"] == pytest.approx(jensenshannon([0.5, 0.5], [0.9, 0.1], base=2) ** 2)
    whole = soft_labels.distances(p, np.array([[0.1, 0.0, 0.9]]), np.array([True]))
    assert found["TVD"] <= whole["TVD"]
    assert found["JS"] <= whole["JS"]


def test_one_annotator_against_the_label_and_two_against_each_other() -> None:
    shares = np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0, 0.2, 0.8]])
    found = soft_labels.human(shares, np.array([0, 0, 2]))
    assert found == {"WA": pytest.approx((1 + 0.5 + 0.8) / 3), "UA": pytest.approx((0.75 + 0.8) / 2)}
    counts = np.array([[7, 3, 0], [10, 0, 0], [0, 3, 7], [1, 9, 0]])
    pairs = []
    for row in counts:
        each = np.repeat(np.arange(3), row)
        pairs.append(np.mean([a == b for a, b in combinations(each, 2)]))
    found = soft_labels.pairwise(counts / 10, np.array([0, 0, 2, 0]))
    assert found is not None
    assert found["annotators"] == pytest.approx(np.mean(pairs))
    assert found["head"] == pytest.approx((0.7 + 1 + 0.7 + 0.1) / 4)
    assert soft_labels.pairwise(np.zeros((0, 3)), np.zeros(0, dtype=np.int64)) is None


def test_annotators_who_heard_no_class_count_neither_for_the_head_nor_for_people() -> None:
    counts = np.array([[7, 3, 0], [6, 2, 0], [0, 3, 0], [0, 0, 10]])  # of ten each: two and seven heard something else
    found = soft_labels.pairwise(np.round(counts / 10, 6), np.array([0, 0, 1, 1]))
    each = [np.repeat(np.arange(3), row) for row in counts]
    assert found is not None
    assert found["head"] == pytest.approx(np.mean([np.mean(e == a) for e, a in zip(each, (0, 0, 1, 1), strict=True)]))
    assert found["annotators"] == pytest.approx(np.mean([np.mean([a == b for a, b in combinations(e, 2)]) for e in each]))
