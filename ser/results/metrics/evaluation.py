"""The numbers of an evaluation, from predictions alone: scores, calibration, abstention. Pure functions.

A unit predicts every test utterance once: a run, where the folds divide the corpus among them; a head (run and fold), where
each head predicts all of another corpus. Numbers are described over units.

The temperature and the thresholds of abstention come from the validation rows of the same run and fold; labels of test rows
are read for the scores alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import TrainingError
from ser.results.metrics import abstention as selective
from ser.results.metrics import calibration
from ser.results.metrics.classification import class_numbers
from ser.results.metrics.intervals import describe, describe_as
from ser.results.metrics.measures import columns, measure_of
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.records.evaluated_output import DescribedShare
from ser.results.records.evaluation import (
    DescribedBrier,
    DescribedNLL,
    Probabilities,
    ProbabilityScores,
    Reliability,
    RiskCurve,
    ScoreChange,
    Selective,
    Threshold,
)
from ser.results.records.numbers import Metrics

Floats = NDArray[np.float64]
Temperatures = Mapping[tuple[int, str], float]
CURVE = 100  # points of the risk-coverage curve


def units(test: pd.DataFrame, together: bool) -> pd.DataFrame:
    """Number the units in the column `run`: runs where their folds are of different utterances (`together`), else heads."""
    if together:
        return test
    number = test.groupby(["run", "fold"], sort=True).ngroup()
    found: pd.DataFrame = test.assign(run=number.to_numpy(), fold="all")
    return found


def by_head(rows: pd.DataFrame) -> list[tuple[tuple[int, str], pd.DataFrame]]:
    """Predictions of each run and fold."""
    found: list[tuple[tuple[int, str], pd.DataFrame]] = []
    for run, own in rows.groupby(rows["run"].astype(int)):
        found += [((int(str(run)), str(fold)), part) for fold, part in own.groupby(own["fold"].astype(str))]
    return found


def of_heads(rows: pd.DataFrame, found: Mapping[tuple[int, str], float], use: str) -> Floats:
    """The number of the run and fold that each prediction is of, `(n,)`.

    Args:
        found: by run and fold, made of validation predictions.
        use: of the number, for the message.

    Raises:
        TrainingError: a run and fold has none.
    """
    keys = list(zip(rows["run"].astype(int), rows["fold"].astype(str), strict=True))
    lacking = sorted(set(keys) - set(found))
    if lacking:
        run, fold = lacking[0]
        raise TrainingError(f"run {run}, fold {fold} has no validation predictions to {use}")
    return np.array([found[key] for key in keys])


def truth(rows: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.int64]:
    """Class numbers `(n,)`."""
    return class_numbers(rows["true"].to_numpy(), classes)


def fit_temperatures(validation: pd.DataFrame, classes: Sequence[str]) -> dict[tuple[int, str], float]:
    """The temperature of each run and fold, from its validation predictions: of heads on votes the one with the least
    cross-entropy with the votes, not with the label that most of them are for.

    Raises:
        TrainingError: there are no validation predictions.
    """
    if not len(validation):
        raise TrainingError("there are no validation predictions to fit a temperature on", action="Leave --calibrate out.")
    measure = measure_of(validation)

    def aim(rows: pd.DataFrame) -> Any:
        return columns(rows, measure.truth, classes) if measure.kind == "votes" else truth(rows, classes)

    return {
        key: calibration.fit_temperature(calibration.logits_of(columns(rows, "p_", classes)), aim(rows))
        for key, rows in by_head(validation)
    }


def calibrated(rows: pd.DataFrame, classes: Sequence[str], found: Temperatures) -> pd.DataFrame:
    """The same predictions with the probabilities under the temperature of their run and fold.

    Raises:
        TrainingError: a run and fold has no temperature.
    """
    temperatures = of_heads(rows, found, "fit a temperature on")
    values = calibration.scaled(columns(rows, "p_", classes), temperatures)
    found_rows: pd.DataFrame = rows.assign(**{f"p_{name}": values[:, k] for k, name in enumerate(classes)})
    return found_rows


class EvaluationNumbers(NamedTuple):
    """The numbers of a set of predictions.

    Attributes:
        scores: the four metrics over all test utterances.
        selective: of the calibrated probabilities where there are any.
    """

    scores: Metrics
    probabilities: Probabilities
    selective: Selective


def evaluation_numbers(
    test: pd.DataFrame, validation: pd.DataFrame | None, classes: Sequence[str], together: bool, found: Temperatures | None
) -> EvaluationNumbers:
    """Compute the numbers of a set of predictions.

    Args:
        test, validation: predictions; validation of the same runs and folds, None where there are none.
        found: temperatures, where probabilities are to be calibrated.
    """
    plain = units(test, together)
    scaled = None if found is None else calibrated(test, classes, found)
    if validation is not None and found is not None:
        validation = calibrated(validation, classes, found)
    before = _probabilities(plain, classes)
    after = None if scaled is None else _probabilities(units(scaled, together), classes)
    return EvaluationNumbers(
        metrics_from_predictions(plain, classes).pooled,
        Probabilities(
            uncalibrated=_described(before),
            calibrated=None if after is None else _described(after),
            change=None if after is None else _change(before, after),
        ),
        abstention(test if scaled is None else scaled, validation, classes, together),
    )


class _Unit(NamedTuple):
    """Scores and reliability curve of a unit, by name."""

    scores: dict[str, float]
    curve: dict[str, Floats]


def _probabilities(test: pd.DataFrame, classes: Sequence[str]) -> list[_Unit]:
    """Scores and reliability curve of each unit."""
    found = []
    for _, rows in test.groupby("run"):
        p, y = columns(rows, "p_", classes), truth(rows, classes)
        found.append(_Unit(calibration.probability_scores(p, y), calibration.reliability(p, y)))
    return found


def _described(found: Sequence[_Unit]) -> ProbabilityScores:
    """Describe scores over units; the curve is the mean of the units' bins, the i-th of each."""
    curve = {key: np.mean([unit.curve[key] for unit in found], axis=0).tolist() for key in found[0].curve}

    def of(name: str) -> list[float]:
        return [unit.scores[name] for unit in found]

    return ProbabilityScores(
        NLL=describe_as(DescribedNLL, of("NLL")),
        Brier=describe_as(DescribedBrier, of("Brier")),
        ECE=describe_as(DescribedShare, of("ECE")),
        ECE_by_chance=describe_as(DescribedShare, of(calibration.CHANCE)),
        reliability=Reliability(**curve),
    )


def _change(before: Sequence[_Unit], after: Sequence[_Unit]) -> ScoreChange:
    """After minus before, unit by unit."""
    pairs = list(zip(after, before, strict=True))
    return ScoreChange(**{name: describe([a.scores[name] - b.scores[name] for a, b in pairs]) for name in calibration.SCORES})


def abstention(test: pd.DataFrame, validation: pd.DataFrame | None, classes: Sequence[str], together: bool) -> Selective:
    """Compute risk against coverage, and the outcome of thresholds from validation on the test utterances."""
    unit = units(test, together)["run"].to_numpy()
    confidence, right = _certain(test, classes)
    each = [(confidence[unit == u], right[unit == u]) for u in np.unique(unit)]
    grid = np.arange(1, CURVE + 1) / CURVE
    curves = [selective.risk_curve(c, r) for c, r in each]
    risks = [curve[np.maximum(np.ceil(grid * len(curve) - 1e-9).astype(int), 1) - 1] for curve in curves]
    return Selective(
        AURC=describe_as(DescribedShare, [selective.aurc(c, r) for c, r in each]),
        E_AURC=describe([selective.excess_aurc(c, r) for c, r in each]),
        curve=RiskCurve(coverage=grid.tolist(), risk=np.mean(risks, axis=0).tolist()),
        accuracy_at={
            f"{share:g}": describe_as(DescribedShare, [selective.accuracy_at(c, r, share) for c, r in each])
            for share in selective.COVERAGES
        },
        coverage_at={
            f"{risk:g}": describe_as(DescribedShare, [selective.coverage_at(c, r, risk) for c, r in each])
            for risk in selective.RISKS
        },
        from_validation=None
        if validation is None or not len(validation)
        else _from_validation(test, validation, classes, unit, confidence, right),
    )


def _certain(rows: pd.DataFrame, classes: Sequence[str]) -> tuple[Floats, NDArray[np.bool_]]:
    p = columns(rows, "p_", classes)
    return p.max(axis=1), p.argmax(axis=1) == truth(rows, classes)


def _from_validation(
    test: pd.DataFrame,
    validation: pd.DataFrame,
    classes: Sequence[str],
    unit: NDArray[np.int64],
    confidence: Floats,
    right: NDArray[np.bool_],
) -> dict[str, Threshold]:
    """Coverage and risk on the test utterances, each fold under the threshold of its validation part, for each of `RISKS`."""
    held_out = {key: _certain(rows, classes) for key, rows in by_head(validation)}
    keys = list(zip(test["run"].astype(int), test["fold"].astype(str), strict=True))
    found = {}
    for risk in selective.RISKS:
        limits = {key: selective.threshold(*of, risk) for key, of in held_out.items()}
        answered = confidence >= np.array([limits.get(key, np.inf) for key in keys])
        names = np.unique(unit)
        cover = [float(answered[unit == u].mean()) for u in names]
        reached = [float(1 - right[(unit == u) & answered].mean()) for u in names if answered[unit == u].any()]
        found[f"{risk:g}"] = Threshold(
            coverage=describe_as(DescribedShare, cover), risk=describe_as(DescribedShare, reached) if reached else None
        )
    return found
