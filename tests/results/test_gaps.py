"""Gaps between groups: means against the metrics, intervals that cover, and chance that is chance."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from ser.results.metrics import gaps

CLASSES = ["anger", "happiness", "neutral", "sadness"]


def test_means_are_those_of_scikit_learn(simulate: Any) -> None:
    test = simulate(splits=("test",), runs=3)
    rights = gaps.rights_of(test, CLASSES)
    gender, speaker = gaps.group_gaps(rights, resamples=50), gaps.speaker_gaps(rights, resamples=50, permutations=19)
    assert gender is not None
    assert speaker is not None

    def ua(rows: pd.DataFrame) -> float:
        return float(
            np.mean(
                [
                    recall_score(r["true"], r["predicted"], labels=sorted(set(r["true"])), average="macro")
                    for _, r in rows.groupby("run")
                ]
            )
        )

    for name, group in gender["groups"].items():
        assert group["UA"]["mean"] == pytest.approx(ua(test[test["gender"] == name]))
        assert group["n"] == (test["gender"] == name).sum() / 3
    for name, group in speaker["groups"].items():
        rows = test[test["speaker"] == name]
        assert group["UA"]["mean"] == pytest.approx(ua(rows))
        assert group["WA"]["mean"] == pytest.approx((rows["true"] == rows["predicted"]).mean())
    means = [g["UA"]["mean"] for g in speaker["groups"].values()]
    assert speaker["gap"]["difference"] == pytest.approx(np.ptp(means))
    assert speaker["std"] == pytest.approx(np.std(means, ddof=1))
    (gap,) = gender["gaps"]
    assert gap["between"] == ("female", "male")
    of = {n: g["UA"]["mean"] for n, g in gender["groups"].items()}
    assert gap["UA"]["difference"] == pytest.approx(of["female"] - of["male"])


def made(skill: np.ndarray, rng: np.random.Generator, each: int = 40) -> gaps.Rights:
    """Utterances of speakers, one row of `skill` a speaker, half of each gender."""
    n = len(skill)
    label = np.tile(np.arange(each) % 4, n)
    speaker = np.repeat([f"s{k:02d}" for k in range(n)], each).astype(object)
    right = (rng.random(n * each) < np.repeat(skill, each)).astype(float)
    gender = np.repeat(["female" if k < n // 2 else "male" for k in range(n)], each).astype(object)
    return gaps.Rights(right, label, speaker, gender)


def test_the_interval_between_genders_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(60):
        skill = np.concatenate([rng.normal(0.7, 0.08, 12), rng.normal(0.6, 0.08, 12)])
        found = gaps.group_gaps(made(skill, rng), resamples=300)
        assert found is not None
        low, high = found["gaps"][0]["UA"]["ci_95"]
        hits += low <= 0.1 <= high
    assert 50 <= hits <= 60  # 95 % of 60 are 57


def test_speakers_that_are_alike_differ_as_chance_does_and_others_more() -> None:
    rng = np.random.default_rng(1)
    p = []
    for _ in range(100):
        found = gaps.speaker_gaps(made(np.full(8, 0.6), rng, 20), resamples=5, permutations=39)
        assert found is not None
        p.append(found["gap"]["p"])
    assert np.mean(np.array(p) <= 0.05) <= 0.12
    assert 0.35 < np.mean(p) < 0.65
    found = gaps.speaker_gaps(made(np.linspace(0.3, 0.9, 8), rng))
    assert found is not None
    assert found["gap"]["p"] < 0.01
    assert found["gap"]["difference"] > found["gap"]["chance"]["quantile_95"]
    assert found["gap"]["lowest"] in ("s00", "s01", "s02")
    assert found["gap"]["highest"] in ("s05", "s06", "s07")


def test_draws_of_a_speaker_scatter_around_the_speaker_where_classes_are_rare() -> None:
    """A class of few utterances drops out of no draw; the deviation is that of independent means of each class, by hand."""
    sizes, shares = [20, 2, 3, 1], [0.25, 0.5, 1 / 3, 0.0]
    right = np.concatenate([np.arange(n) < round(n * s) for n, s in zip(sizes, shares, strict=True)]).astype(float)
    label = np.repeat(np.arange(4), sizes)
    speaker = np.repeat(["x"], len(label)).astype(object)
    draws = gaps._resampled(gaps.Rights(right, label, speaker, speaker), np.arange(len(label)), 20000, np.random.default_rng(0))
    variance = sum(s * (1 - s) / n for n, s in zip(sizes, shares, strict=True)) / 16
    assert draws["UA"].mean() == pytest.approx(np.mean(shares), abs=4 * np.sqrt(variance / 20000))
    assert draws["UA"].std() == pytest.approx(np.sqrt(variance), rel=0.03)
    assert draws["WA"].mean() == pytest.approx(right.mean(), abs=0.003)


def test_what_is_not_known_is_not_told(simulate: Any) -> None:
    test = simulate(splits=("test",))
    assert gaps.group_gaps(gaps.rights_of(test.assign(gender=""), CLASSES)) is None
    assert gaps.group_gaps(gaps.rights_of(test.assign(gender="male"), CLASSES)) is None
    assert gaps.group_gaps(gaps.rights_of(test.assign(speaker=""), CLASSES)) is None
    assert gaps.speaker_gaps(gaps.rights_of(test.assign(speaker=""), CLASSES)) is None
    few = gaps.speaker_gaps(gaps.rights_of(simulate(splits=("test",), a_speaker=9), CLASSES))
    assert few is None  # fewer utterances than say anything
