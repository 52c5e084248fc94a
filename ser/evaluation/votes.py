"""Predictions beside the annotators' votes, where the table has them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.evaluation.predictions import EvaluatedPredictions
from ser.metadata.labels import load_scheme
from ser.metadata.table import Table
from ser.results.metrics import evaluation, soft_labels
from ser.results.metrics.classification import class_numbers, scores
from ser.results.metrics.intervals import describe, describe_as
from ser.results.metrics.measures import columns
from ser.results.records.evaluated_output import DescribedShare
from ser.results.records.evaluation import Distances, HeadAccuracy, HumanAccuracy, Pairwise, VoteScores


def compare_with_votes(
    predictions: EvaluatedPredictions, table: Table, found: evaluation.Temperatures | None
) -> VoteScores | None:
    """Compare predictions, and those under temperatures, with the votes; None where the table has none for the classes."""
    test, classes, together = predictions.test, predictions.model.classes, predictions.own
    votes = soft_labels.class_votes(table.frame, load_scheme(predictions.scheme, table.frame).mapping, classes)
    place = {utterance: k for k, utterance in enumerate(votes.ids)}
    ids = test["utterance_id"].astype(str).str.removeprefix(f"{table.dataset}/")
    where = np.array([place.get(a, place.get(b, -1)) for a, b in zip(test["utterance_id"], ids, strict=True)])
    if not (where >= 0).any():
        return None
    rows, at = test[where >= 0], where[where >= 0]
    first = np.unique(at, return_index=True)[1]
    label = evaluation.truth(rows, classes)
    shares, complete = votes.shares[at[first]], votes.complete[at[first]]
    groups = [g for _, g in evaluation.units(rows, together).assign(at=at).groupby("run")]
    heads = [scores(g["true"].to_numpy(), g["predicted"].to_numpy(), classes) for g in groups]
    pairs = [_pairwise(g, votes, classes) for g in groups]
    whole = [p for p in pairs if p is not None]
    changed = None if found is None else evaluation.calibrated(rows, classes, found)
    return VoteScores(
        n=len(first),
        complete=int(complete.sum()),
        human=HumanAccuracy(**soft_labels.human(shares, label[first])),
        head=HeadAccuracy(**{m: describe_as(DescribedShare, [own[m] for own in heads]) for m in ("WA", "UA")}),
        pairwise=Pairwise(
            head=describe_as(DescribedShare, [p["head"] for p in whole]),
            annotators=float(np.mean([p["annotators"] for p in whole])),
        )
        if whole
        else None,
        uncalibrated=_distances(rows, at, votes, classes, together),
        calibrated=None if changed is None else _distances(changed, at, votes, classes, together),
    )


def _pairwise(unit: pd.DataFrame, votes: soft_labels.Votes, classes: Sequence[str]) -> dict[str, float] | None:
    """The agreement with single annotators of a head's answers, and of another annotator, on complete votes."""
    complete = votes.complete[unit["at"]]
    answers = class_numbers(unit["predicted"].to_numpy(), classes)
    return soft_labels.pairwise(votes.shares[unit["at"]][complete], answers[complete])


def _distances(
    rows: pd.DataFrame, at: NDArray[np.int64], votes: soft_labels.Votes, classes: Sequence[str], together: bool
) -> Distances:
    """The distances between predicted distributions and votes, described over units."""
    unit = evaluation.units(rows, together).assign(at=at)
    each = [
        soft_labels.distances(columns(g, "p_", classes), votes.shares[g["at"]], votes.complete[g["at"]])
        for _, g in unit.groupby("run")
    ]

    def of(name: str) -> list[float]:
        return [e[name] for e in each]

    return Distances(
        cross_entropy=describe(of("cross_entropy")),
        JS=describe_as(DescribedShare, of("JS")),
        TVD=describe_as(DescribedShare, of("TVD")),
        entropy=describe(of("entropy")),
    )
