"""How far annotators agree, where the table has their votes."""

import json
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.audit.finding import INFO, WARNING, Finding, Subject, some
from ser.metadata.labels import CANONICAL

MOST_RATERS = 30
MANY = 0.1  # of the utterances with votes
ROUNDING = 2e-6  # of a share: tables keep six digits


def alpha(counts: NDArray[np.int64]) -> float:
    """Krippendorff's alpha for nominal data: 1 - observed by expected disagreement.

    K. Krippendorff: Computing Krippendorff's Alpha-Reliability, 2011, section C.

    Args:
        counts: votes, `(units, values)`; units with fewer than two votes say nothing and are passed over.

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
    """Votes of each annotator from their shares: a table keeps shares only, of no stated number of annotators.

    The smallest number that gives the shares is too small where they have a common divisor (all agree: one is enough). So it
    is taken times whatever brings it nearest to the number that most utterances need at least, their upper quartile.

    Args:
        shares: `(units, values)`, each row summing to 1.

    Returns:
        `(units, values)`; rows whose shares no number up to 30 gives are 0.
    """
    least = np.zeros(len(shares), dtype=np.int64)
    for raters in range(MOST_RATERS, 0, -1):
        scaled = shares * raters
        least[(np.abs(scaled - np.round(scaled)) <= raters * ROUNDING).all(axis=1)] = raters
    known = least > 0
    usual = float(np.quantile(least[known], 0.75)) if known.any() else 1.0
    raters_of = least * np.maximum(1, np.round(usual / np.maximum(least, 1))).astype(np.int64)
    return np.round(shares * raters_of[:, None]).astype(np.int64)


def votes_of(frame: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """The rows that have votes, and the shares of each canonical emotion: `(n, 13)`."""
    rows = frame[frame["votes"] != ""]
    shares = np.zeros((len(rows), len(CANONICAL)))
    for n, text in enumerate(rows["votes"]):
        for emotion, value in json.loads(text).items():
            shares[n, CANONICAL.index(emotion)] = value
    return rows, shares


def facts(frame: pd.DataFrame) -> dict[str, Any] | None:
    """Numbers of agreement: None where the table has no votes.

    Returns:
        `utterances` with votes; `complete`: those whose shares sum to 1; `alpha` over these, null where there are none, and
        `raters`, the median number that it takes (see `vote_counts`); `majority_share`: the mean of the largest share;
        `without_majority`: no emotion has more than half; `label_not_first`: another emotion has more votes than the label.
    """
    rows, shares = votes_of(frame)
    if rows.empty:
        return None
    complete = np.abs(shares.sum(axis=1) - 1) < 1e-3
    counts = vote_counts(shares[complete])
    found = alpha(counts) if complete.any() else float("nan")
    return {
        "utterances": len(rows),
        "complete": int(complete.sum()),
        "alpha": None if np.isnan(found) else round(found, 4),
        "raters": int(np.median(counts.sum(axis=1))) if complete.any() else None,
        "majority_share": round(float(shares.max(axis=1).mean()), 4),
        "without_majority": int((shares.max(axis=1) <= 0.5).sum()),
        "label_not_first": int(_against(rows, shares).sum()),
    }


def _against(rows: pd.DataFrame, shares: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Rows whose emotion has fewer votes than another."""
    of_label = np.array([s[CANONICAL.index(e)] if e else np.inf for s, e in zip(shares, rows["emotion"], strict=True)])
    return np.asarray(shares.max(axis=1) > of_label)


def agreement(subject: Subject) -> list[Finding]:
    """Findings on the votes."""
    numbers = facts(subject.frame)
    if numbers is None:
        return []
    rows, shares = votes_of(subject.frame)
    whole = numbers["complete"] == numbers["utterances"]
    value = "" if numbers["alpha"] is None else f"Krippendorff's alpha {numbers['alpha']:.2f} (nominal), "
    lacking = "" if whole else "; what the other votes were the release does not say"
    found = [
        Finding(
            "agreement",
            INFO,
            "utterances with annotators' votes",
            numbers["utterances"],
            len(subject.frame),
            f"{value}mean share of the first emotion {numbers['majority_share']:.2f}{lacking}",
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
            _against(rows, shares),
            "Say whether labels are what was intended or what was heard: a ceiling on accuracy follows from it.",
        ),
    ):
        if bad.any():
            many = bad.sum() > MANY * len(rows)
            ids = some(rows["utterance_id"][bad])
            severity = WARNING if many else INFO
            found.append(Finding(kind, severity, what, int(bad.sum()), len(rows), "", ids, action if many else ""))
    return found
