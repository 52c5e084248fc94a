"""The suite of robustness and fairness: heads on test audio in stated conditions, gaps between groups, speakers."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ser.evaluation.head_outputs import (
    CorpusFeatures,
    outputs_on_test_rows,
    probabilities,
    refuse_other_probabilities,
    replace_probabilities,
)
from ser.evaluation.predictions import EvaluatedPredictions
from ser.evaluation.views import features_in_view, stored_views
from ser.features.blocks import store_facts
from ser.features.stores.store import FeatureStore
from ser.metadata.table import load_table
from ser.results.metrics import gaps
from ser.results.metrics.evaluation import units
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.metrics.suite import (
    fairness_checks,
    read_limits,
    robustness_check,
    speaker_check,
)
from ser.results.records.evaluation import EvaluatedGroups, Genders, Suite
from ser.results.statistics.paired import compare
from ser.workspace import Workspace

SHOWN = ("view", "run", "fold", "utterance_id", "true", "predicted")


def evaluate_suite(
    predictions: EvaluatedPredictions,
    space: Workspace,
    words: Sequence[str],
    limits: Sequence[str],
    groups: EvaluatedGroups,
) -> tuple[Suite, pd.DataFrame]:
    """Test the heads in each condition, and check gaps and speakers.

    Args:
        words: names of views.
        limits: as `ser.results.metrics.suite.read_limits` takes them.
        groups: gaps of genders and speakers, each None where they are not known.

    Returns:
        The record's part, and the predictions in each condition.

    Raises:
        ConfigError: a view is missing or was chosen by the true label, or a limit is not one.
        StoreError: a view of another encoder or of other audio, or features that are not those of the record.
    """
    model, test, original = predictions.model, predictions.test, predictions.features
    files = stored_views(original, predictions.dataset, space, words, "--suite")
    bounds = read_limits(limits, list(files))
    _predicted(predictions, original, same=True)
    checks, frames, stores = [], [], {}
    for view, own in files.items():
        changed = features_in_view(original, own, predictions.dataset, space, "tested on in an evaluation")
        new = _predicted(predictions, changed, same=False)
        ua = metrics_from_predictions(units(new, predictions.own), model.classes)["pooled"]["UA"]["mean"]
        unchanged = float((new["predicted"].to_numpy() == test["predicted"].to_numpy()).mean())
        checks.append(robustness_check(view, ua, compare(test, new, model.classes), unchanged, bounds))
        frames.append(new.assign(view=view)[[*SHOWN, *(c for c in new.columns if c.startswith("p_"))]])
        for path in own.values():
            with FeatureStore(path) as store:
                facts = store_facts(store, list(original.data.frame["utterance_id"]), hashed=False)
            stores[path.name.removesuffix(".h5")] = {k: facts[k] for k in ("path", "features_sha256", "identity")}
    found = {"gender": groups.gender, **_other_groups(predictions, space)}
    for name, gap in found.items():
        checks += [] if gap is None else fairness_checks(name, gap, bounds)
    checks += [] if groups.speaker is None else [speaker_check(groups.speaker, bounds)]
    unknown = [name for name, gap in {**found, "speaker": groups.speaker}.items() if gap is None]
    part = Suite(checks=checks, limits=bounds, not_checked=unknown, stores=stores)
    return part, pd.concat(frames, ignore_index=True)


def _predicted(predictions: EvaluatedPredictions, corpus: CorpusFeatures, same: bool) -> pd.DataFrame:
    """The test predictions from some features; `same`: refuse probabilities that are not the recorded ones."""
    model, test, new = predictions.model, predictions.test, {}
    for key, rows, (found,) in outputs_on_test_rows(probabilities, model, test, [corpus], predictions.engine):
        if same:
            refuse_other_probabilities(found, rows, model, key)
        new[key] = found
    return replace_probabilities(model, test, new)


def _other_groups(predictions: EvaluatedPredictions, space: Workspace) -> dict[str, Genders | None]:
    """Gaps between the languages and between the corpora of all test rows; None where there are fewer than two."""
    rows = predictions.test
    if predictions.own and "dataset" in rows:
        recorded = predictions.model.predictions
        rows = recorded[recorded["split"] == "test"]
    corpus = rows["dataset"].astype(str) if "dataset" in rows else pd.Series(predictions.dataset, index=rows.index)
    plain = [str(i).removeprefix(f"{c}/") for i, c in zip(rows["utterance_id"], corpus, strict=True)]
    spoken: dict[tuple[str, str], str] = {}
    for name in sorted(set(corpus)):
        frame = load_table(name, space).frame
        spoken |= {(name, i): lang for i, lang in zip(frame["utterance_id"], frame["language"], strict=True)}
    keys = list(zip(corpus, plain, strict=True))
    rows = rows.assign(
        utterance_id=[f"{c}/{i}" for c, i in keys],
        corpus=[c for c, _ in keys],
        language=[str(spoken.get(key, "")) for key in keys],
    )
    first = rows.groupby("utterance_id", sort=True)[["language", "corpus"]].first()
    rights = gaps.rights_of(rows, predictions.model.classes)
    return {name: gaps.group_gaps(rights, np.asarray(first[name], dtype=object)) for name in ("language", "corpus")}
