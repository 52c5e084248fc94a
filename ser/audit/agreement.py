"""The agreement of annotators, where the table has their votes."""

import json

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.audit.record import INFO, WARNING, Agreement, Finding, Severity, finding_on
from ser.audit.split_data import SplitTable
from ser.metadata.labels import CANONICAL

MOST_RATERS = 30
MANY = 0.1  # of the utterances with votes
ROUNDING = 2e-6  # of a share: tables keep six digits


def krippendorff_alpha(counts: NDArray[np.int64]) -> float:
    """Compute Krippendorff's alpha for nominal data: 1 - observed / expected disagreement.

    K. Krippendorff: Computing Krippendorff's Alpha-Reliability, 2011, section C.

    Args:
        counts: votes, `(units, values)`; units with fewer than two votes are left out, as they show no agreement.

    Returns:
        1 for perfect agreement, 0 for chance, NaN where there is nothing to disagree about.
    """
    counts = counts[counts.sum(axis=1) >= 2].astype(np.float64)
    votes = counts.sum(axis=1)
    values = counts.sum(axis=0)
    total = float(votes.sum())
    if total < 2:
        return float("nan")
    observed = float(((votes**2 - (counts**2).sum(axis=1)) / (votes - 1)).sum()) / total
    expected = (total**2 - float((values**2).sum())) / (total * (total - 1))
    return float("nan") if expected == 0 else 1 - observed / expected


def vote_counts(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Infer the votes from their shares, as a table keeps shares and not the number of annotators.

    The smallest number of annotators that gives the shares is too small where they have a common divisor (where all agree,
    one is enough). So it is multiplied by the whole number that brings it nearest to the number that most utterances need at
    least, their upper quartile.

    Args:
        shares: `(units, values)`, each row summing to 1.

    Returns:
        `(units, values)`; 0 in rows whose shares no number of annotators up to 30 gives.
    """
    least = np.zeros(len(shares), dtype=np.int64)
    for raters in range(MOST_RATERS, 0, -1):
        scaled = shares * raters
        least[(np.abs(scaled - np.round(scaled)) <= raters * ROUNDING).all(axis=1)] = raters
    known = least > 0
    usual = float(np.quantile(least[known], 0.75)) if known.any() else 1.0
    raters_of = least * np.maximum(1, np.round(usual / np.maximum(least, 1))).astype(np.int64)
    return np.round(shares * raters_of[:, None]).astype(np.int64)


def vote_shares(frame: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Select the rows that have votes; return them and the share of each canonical emotion, `(n, 13)`."""
    rows = frame[frame["votes"] != ""]
    shares = np.zeros((len(rows), len(CANONICAL)))
    for n, text in enumerate(rows["votes"]):
        for emotion, value in json.loads(text).items():
            shares[n, CANONICAL.index(emotion)] = value
    return rows, shares


def measure_agreement(frame: pd.DataFrame) -> Agreement | None:
    """Measure the agreement of the annotators of a table; None where it has no votes."""
    rows, shares = vote_shares(frame)
    if rows.empty:
        return None
    complete = np.abs(shares.sum(axis=1) - 1) < 1e-3
    counts = vote_counts(shares[complete])
    value = krippendorff_alpha(counts) if complete.any() else float("nan")
    return Agreement(
        len(rows),
        int(complete.sum()),
        None if np.isnan(value) else round(value, 4),
        int(np.median(counts.sum(axis=1))) if complete.any() else None,
        round(float(shares.max(axis=1).mean()), 4),
        int((shares.max(axis=1) <= 0.5).sum()),
        int(_label_not_first(rows, shares).sum()),
    )


def _label_not_first(rows: pd.DataFrame, shares: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the rows whose emotion has fewer votes than another, `(n,)`."""
    of_label = np.array([s[CANONICAL.index(e)] if e else np.inf for s, e in zip(shares, rows["emotion"], strict=True)])
    return np.asarray(shares.max(axis=1) > of_label)


def agreement(split: SplitTable) -> list[Finding]:
    """Find what the votes of the annotators say of the labels."""
    numbers = measure_agreement(split.frame)
    if numbers is None:
        return []
    rows, shares = vote_shares(split.frame)
    whole = numbers.complete == numbers.utterances
    value = "" if numbers.alpha is None else f"Krippendorff's alpha {numbers.alpha:.2f} (nominal), "
    lacking = "" if whole else "; the release does not say what the other votes were"
    found = [
        Finding(
            "agreement",
            INFO,
            "utterances with annotators' votes",
            numbers.utterances,
            len(split.frame),
            f"{value}mean share of the first emotion {numbers.majority_share:.2f}{lacking}",
        )
    ]
    for kind, what, bad, action in (
        (
            "no-majority",
            "utterances where no emotion has more than half of the votes",
            shares.max(axis=1) <= 0.5,
            "Their label is one opinion among several: report with and without them.",
        ),
        (
            "label-not-first",
            "utterances whose label is not what most annotators heard",
            _label_not_first(rows, shares),
            "Say whether labels are what was intended or what was heard: a ceiling on accuracy follows from it.",
        ),
    ):
        many = bad.sum() > MANY * len(rows)
        severity: Severity = WARNING if many else INFO
        advice = action if many else ""
        found += finding_on(rows["utterance_id"][bad], kind, severity, what, len(rows), action=advice)
    return found
