"""The suite of robustness and fairness: heads on test audio in stated conditions, gaps between groups, speakers."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ser.evaluation.evaluated_model import EvaluatedModel, EvaluationOptions
from ser.evaluation.head_outputs import CorpusFeatures, probabilities
from ser.evaluation.outputs import KINDS
from ser.evaluation.predictions import EvaluatedPredictions
from ser.evaluation.rerun import (
    features_in_view,
    outputs_on_test_rows,
    refuse_other_probabilities,
    replace_probabilities,
    stored_views,
)
from ser.features.blocks import store_facts
from ser.features.stores.store import FeatureStore
from ser.metadata.table import load_table
from ser.metadata.targets import DIMENSIONS
from ser.results.metrics import gaps
from ser.results.metrics.evaluation import units
from ser.results.metrics.measures import columns, measure_of
from ser.results.metrics.outputs import output_gaps, output_speaker_gap
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.metrics.suite import fairness_checks, read_limits, robustness_check, speaker_check
from ser.results.records.evaluation import AnyEvaluation, Evaluation, Suite
from ser.results.records.gaps import Genders, MeasuredGenders
from ser.results.statistics.paired import compare


def evaluate_suite(
    predictions: EvaluatedPredictions, options: EvaluationOptions, result: AnyEvaluation
) -> tuple[Suite, pd.DataFrame]:
    """Test the heads in each condition, and check gaps and speakers.

    Args:
        result: the evaluation without the suite, which has the gaps of genders; of heads on classes those of speakers too.

    Returns:
        The record's part, and the predictions in each condition.

    Raises:
        ConfigError: a view is missing or was chosen by the true label, or a limit is not one.
        StoreError: a view of another encoder or of other audio, or features that are not those of the record.
    """
    model, test, original = predictions.model, predictions.test, predictions.features
    files = stored_views(predictions, options.views or ["suite"], "--suite")
    metric = measure_of(test).names[0]
    bounds = read_limits(options.limits, list(files), metric)
    gender: Genders | MeasuredGenders | None
    if isinstance(result, Evaluation):
        gender, speakers = result.groups.gender, result.groups.speaker
        speaker = None if speakers is None else speakers.gap
    else:
        gender, speaker = result.genders, output_speaker_gap(units(test, predictions.own), model.classes)
    _predicted(predictions, original, same=True)
    checks, frames, stores = [], [], {}
    for view, own in files.items():
        changed = features_in_view(predictions, own, "tested on in an evaluation")
        new = _predicted(predictions, changed, same=False)
        scores = metrics_from_predictions(units(new, predictions.own), model.classes).pooled
        unchanged = None if model.learns.kind == DIMENSIONS else _same_answers(test, new, model)
        compared = compare(test, new, model.classes, metric)
        checks.append(robustness_check(view, scores.main.mean, compared, unchanged, bounds))
        frames.append(_shown(new.assign(view=view)))
        for path in own.values():
            with FeatureStore(path) as store:
                facts = store_facts(store, list(original.data.frame["utterance_id"]), hashed=False)
            stores[path.name.removesuffix(".h5")] = {k: facts[k] for k in ("path", "features_sha256", "identity")}
    found = {"gender": gender, **_other_groups(predictions)}
    for name, gap in found.items():
        checks += [] if gap is None else fairness_checks(name, gap, bounds, metric)
    checks += [] if speaker is None else [speaker_check(speaker, bounds)]
    unknown = [name for name, gap in {**found, "speaker": speaker}.items() if gap is None]
    part = Suite(metric=metric, checks=checks, limits=bounds, not_checked=unknown, stores=stores)
    return part, pd.concat(frames, ignore_index=True)


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns for the table beside the record: the utterance, the truth and the answers."""
    named = [name for name in ("view", "run", "fold", "utterance_id", "true", "predicted") if name in rows]
    answers = ("p_", *(("t_", "y_") if "true" not in rows else ()))
    found: pd.DataFrame = rows[[*named, *(name for name in rows.columns if str(name).startswith(answers))]]
    return found


def _same_answers(test: pd.DataFrame, new: pd.DataFrame, model: EvaluatedModel) -> float:
    """The share of predictions that are the same class, or the same set of labels."""
    if "predicted" in test:
        return float((new["predicted"].to_numpy() == test["predicted"].to_numpy()).mean())
    old, now = (columns(rows, "p_", model.classes) > 0.5 for rows in (test, new))
    return float((old == now).all(axis=1).mean())


def _predicted(predictions: EvaluatedPredictions, corpus: CorpusFeatures, same: bool) -> pd.DataFrame:
    """The test predictions from some features; `same`: refuse probabilities that are not the recorded ones."""
    new = {}
    for key, rows, (found,) in outputs_on_test_rows(probabilities, predictions, [corpus]):
        if same:
            refuse_other_probabilities(found, rows, predictions.model, key)
        new[key] = found
    return replace_probabilities(predictions, new)


def _other_groups(predictions: EvaluatedPredictions) -> Mapping[str, Genders | MeasuredGenders | None]:
    """Gaps between the languages and between the corpora of all test rows; None where there are fewer than two."""
    rows = predictions.test
    if predictions.own and "dataset" in rows:
        recorded = predictions.model.predictions
        rows = recorded[recorded["split"] == "test"]
    corpus = rows["dataset"].astype(str) if "dataset" in rows else pd.Series(predictions.dataset, index=rows.index)
    plain = [str(i).removeprefix(f"{c}/") for i, c in zip(rows["utterance_id"], corpus, strict=True)]
    spoken: dict[tuple[str, str], str] = {}
    for name in sorted(set(corpus)):
        frame = load_table(name, predictions.space).frame
        spoken |= {(name, i): lang for i, lang in zip(frame["utterance_id"], frame["language"], strict=True)}
    keys = list(zip(corpus, plain, strict=True))
    rows = rows.assign(
        utterance_id=[f"{c}/{i}" for c, i in keys],
        corpus=[c for c, _ in keys],
        language=[str(spoken.get(key, "")) for key in keys],
    )
    names, classes = ("language", "corpus"), predictions.model.classes
    if predictions.model.learns.kind in KINDS:
        each = units(rows, predictions.own)
        return {name: output_gaps(each, classes, name) for name in names}
    first = rows.groupby("utterance_id", sort=True)[list(names)].first()
    rights = gaps.rights_of(rows, classes)
    return {name: gaps.group_gaps(rights, np.asarray(first[name], dtype=object)) for name in names}
