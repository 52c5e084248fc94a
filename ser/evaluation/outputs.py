"""The parts of an evaluation that are of dimensions or of several labels."""

from collections.abc import Mapping

import pandas as pd
from msgspec import UNSET
from msgspec.structs import asdict

from ser.errors import ConfigError
from ser.evaluation.ensembles import mean_of_runs, mean_of_views
from ser.evaluation.evaluated_model import EvaluatedModel
from ser.evaluation.predictions import EvaluatedPredictions
from ser.features.views import TTA_VIEWS
from ser.jsonfile import Time
from ser.metadata.targets import DIMENSIONS, LABELS
from ser.results.metrics.evaluation import units
from ser.results.metrics.measures import RATED_AS, VALUE, measure_of, ratings_beside
from ser.results.metrics.outputs import output_gaps, output_numbers
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.records.evaluated_output import EvaluatedOutput
from ser.results.records.evaluation import EvaluationOpening, OutputEnsemble, OutputEvaluation, OutputViews
from ser.results.statistics.gains import against_members
from ser.results.statistics.paired import compare
from ser.workspace import Workspace

KINDS = (DIMENSIONS, LABELS)  # of targets that have no class


def refuse_what_is_of_classes(model: EvaluatedModel, asked: Mapping[str, object]) -> None:
    """Refuse options that mean nothing to heads without classes.

    Args:
        asked: by option, what was given.

    Raises:
        ConfigError: one was given.
    """
    for option, given in asked.items():
        if given:
            raise ConfigError(
                f"{option} is of heads on classes, and {model.name} learned {model.learns.text}",
                action=f"Leave {option} out.",
            )


def evaluate_outputs(
    predictions: EvaluatedPredictions,
    space: Workspace,
    opening: EvaluationOpening,
    notes: list[str],
    spent: Time,
    coverage: float | None,
    tta: bool,
) -> tuple[OutputEvaluation, dict[str, pd.DataFrame]]:
    """The record of heads on dimensions or labels, and tables for beside it.

    Args:
        coverage: of the intervals of dimensions, or the answers to labels; None makes none.
        tta: also evaluate the mean over the stored views.
    """
    model, test, own = predictions.model, predictions.test, predictions.own
    outputs, plain = model.classes, units(test, own)
    scales = model.first_facts.scales if model.summary is None else model.summary.data.get("scales", {})
    found = OutputEvaluation(
        **asdict(opening),
        learns=model.learns.text,
        scales={} if scales is UNSET else scales,
        scores=metrics_from_predictions(plain, outputs).pooled,
        outputs=output_numbers(test, predictions.held_out, outputs, own, coverage),
        genders=output_gaps(plain, outputs),
        ensemble=None,
        tta=None,
        notes=notes,
        files={},
        time=spent,
    )
    metric = measure_of(test).names[0]
    if test["run"].nunique() > 1:
        mean = mean_of_runs(test, outputs)
        found.ensemble = OutputEnsemble(
            members=int(test["run"].nunique()),
            scores=metrics_from_predictions(units(mean, own), outputs).pooled,
            comparison=against_members(mean, test, outputs, metric),
        )
    if not tta:
        return found, {}
    new = mean_of_views(predictions, space)
    found.tta = OutputViews(
        views=["original", *TTA_VIEWS],
        scores=metrics_from_predictions(units(new, own), outputs).pooled,
        comparison=compare(new, test, outputs, metric),
    )
    return found, {"tta": new}


def ratings_of(predictions: EvaluatedPredictions, coverage: float | None) -> dict[str, EvaluatedOutput]:
    """The dimensions that are predicted beside classes; {} where the corpus has no ratings."""
    names, test = _rated(predictions.test)
    if not names:
        return {}
    return output_numbers(test, _rated(predictions.held_out)[1], names, predictions.own, coverage)


def _rated(rows: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    """The dimensions beside classes, and the rows with these alone, as of heads on dimensions."""
    names, frame = ratings_beside(rows)
    others = [
        c for c in rows.columns if c not in ("true", "predicted") and not str(c).startswith(("p_", RATED_AS, VALUE))
    ]
    joined: pd.DataFrame = pd.concat([rows[others], frame], axis=1)
    return names, joined
