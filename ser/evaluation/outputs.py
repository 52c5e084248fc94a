"""The parts of an evaluation that are of dimensions or of several labels."""

from typing import Any

import pandas as pd
from msgspec import UNSET

from ser.evaluation.ensembles import mean_of_runs, mean_of_views
from ser.evaluation.evaluated_model import EvaluationOptions
from ser.evaluation.predictions import EvaluatedPredictions
from ser.features.stores.names import TTA_VIEWS
from ser.metadata.targets import DIMENSIONS, LABELS
from ser.results.metrics.evaluation import units
from ser.results.metrics.measures import RATED_AS, VALUE, dimensions_beside, ratings_beside
from ser.results.metrics.outputs import output_gaps, output_numbers
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.records.evaluated_output import EvaluatedOutput
from ser.results.records.evaluation import OutputEnsemble, OutputEvaluation, OutputViews
from ser.results.statistics.gains import against_members
from ser.results.statistics.paired import compare

KINDS = (DIMENSIONS, LABELS)  # of targets that have no class


def evaluate_outputs(
    predictions: EvaluatedPredictions, options: EvaluationOptions, fields: dict[str, Any]
) -> tuple[OutputEvaluation, dict[str, pd.DataFrame]]:
    """The record of heads on dimensions or labels, and tables for beside it; `fields` are those that all evaluations have."""
    model, test, own = predictions.model, predictions.test, predictions.own
    outputs, plain = model.classes, units(test, own)
    scales = model.first_facts.scales if model.summary is None else model.summary.data.get("scales", {})
    found = OutputEvaluation(
        **fields,
        learns=model.learns.text,
        scales={} if scales is UNSET else scales,
        scores=metrics_from_predictions(plain, outputs).pooled,
        outputs=output_numbers(test, predictions.held_out, outputs, own, options.conformal),
        genders=output_gaps(plain, outputs),
        ensemble=None,
        tta=None,
    )
    if test["run"].nunique() > 1:
        mean = mean_of_runs(test, outputs)
        found.ensemble = OutputEnsemble(
            members=int(test["run"].nunique()),
            scores=metrics_from_predictions(units(mean, own), outputs).pooled,
            comparison=against_members(mean, test, outputs),
        )
    if not options.tta:
        return found, {}
    new = mean_of_views(predictions)
    found.tta = OutputViews(
        views=["original", *TTA_VIEWS],
        scores=metrics_from_predictions(units(new, own), outputs).pooled,
        comparison=compare(new, test, outputs),
    )
    return found, {"tta": new}


def ratings_of(predictions: EvaluatedPredictions, coverage: float | None) -> dict[str, EvaluatedOutput]:
    """The dimensions that are predicted beside classes; {} where the corpus has no ratings."""
    if not dimensions_beside(predictions.test):
        return {}
    names, test = _rated(predictions.test)
    return output_numbers(test, _rated(predictions.held_out)[1], names, predictions.own, coverage)


def _rated(rows: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    """The dimensions beside classes, and the rows with these alone, as of heads on dimensions."""
    names, frame = ratings_beside(rows)
    others = [c for c in rows.columns if c not in ("true", "predicted") and not str(c).startswith(("p_", RATED_AS, VALUE))]
    joined: pd.DataFrame = pd.concat([rows[others], frame], axis=1)
    return names, joined
