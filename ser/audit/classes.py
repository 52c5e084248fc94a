"""Findings on the classes: uneven sizes, parts that lack one, test parts too small to show anything."""

from math import sqrt
from typing import Any

import numpy as np
import pandas as pd

from ser.audit.record import ERROR, INFO, WARNING, Finding, Severity, finding_on, some_names
from ser.audit.split_data import SplitTable

UNEVEN, VERY_UNEVEN = 3.0, 10.0  # the largest class by the smallest
RARE = 10  # utterances of a class: with fewer, balanced weights of classes make each outweigh many others
FEW = 30  # test utterances: with fewer, the interval of an accuracy is up to ±18 points wide

SEVERITY: dict[str, Severity] = {"train": ERROR, "validation": INFO, "test": WARNING}
ACTION = {
    "train": "A head cannot learn what it never sees: take another protocol, or a scheme without that class.",
    "validation": "Validation scores of these folds are over fewer classes.",
    "test": "Compare pooled scores (over all folds together): a fold's own UA is over the classes that it has.",
}


def classes(split: SplitTable) -> list[Finding]:
    """Find faults of the classes, over all folds."""
    return [*_imbalance(split), *_rare(split), *_missing(split), *_small(split), *_left_out(split)]


def _imbalance(split: SplitTable) -> list[Finding]:
    counts = np.bincount(split.labels, minlength=len(split.classes))
    ratio = counts.max() / counts.min()
    if ratio < UNEVEN:
        return []
    order = np.argsort(-counts, kind="stable")
    return [
        Finding(
            "imbalance",
            WARNING if ratio >= VERY_UNEVEN else INFO,
            "classes of very different size",
            len(split.classes),
            None,
            f"the largest is {ratio:.1f} times the smallest; always saying {split.classes[order[0]]} gives "
            f"{100 * counts[order[0]] / counts.sum():.1f} % accuracy",
            some_names(f"{split.classes[k]} {counts[k]:,}" for k in order),
            "Compare UA, not accuracy.",
        )
    ]


def _rare(split: SplitTable) -> list[Finding]:
    counts = np.bincount(split.labels, minlength=len(split.classes))
    rare = {name: int(n) for name, n in zip(split.classes, counts, strict=True) if n < RARE}
    return finding_on(
        (f"{name} {n}" for name, n in rare.items()),
        "rare-class",
        WARNING,
        f"classes with fewer than {RARE} utterances",
        len(split.classes),
        action="All classes weigh the same in training, so that these few outweigh the others: leave them out (--scheme "
        f"NAME-without-{'+'.join(rare)}), or take --class-weights none.",
    )


def _missing(split: SplitTable) -> list[Finding]:
    """One finding for each part: the folds in which it lacks a class."""
    found: list[Finding] = []
    for part, severity in SEVERITY.items():
        missing = []
        for fold in split.folds:
            there = set(split.labels[fold.parts()[part]].tolist())
            names = [name for k, name in enumerate(split.classes) if k not in there]
            if names:
                missing.append(f"{fold.name}: {', '.join(names)}")
        what = f"folds whose {part} part lacks a class"
        found += finding_on(missing, f"missing-class-{part}", severity, what, len(split.folds), action=ACTION[part])
    return found


def _small(split: SplitTable) -> list[Finding]:
    small = [fold for fold in split.folds if len(fold.test) < FEW]
    if not small:
        return []
    least = min(len(fold.test) for fold in small)
    return [
        Finding(
            "small-test",
            WARNING,
            f"folds with fewer than {FEW} test utterances",
            len(small),
            len(split.folds),
            f"the smallest has {least}: a 95 % interval of accuracy is up to ±{98 / sqrt(least):.0f} points wide",
            some_names(f"{fold.name}: {len(fold.test)}" for fold in small),
            "Take fewer folds (--folds K), or look at pooled scores only.",
        )
    ]


def _left_out(split: SplitTable) -> list[Finding]:
    kept = set(split.frame["utterance_id"])
    frame = split.table.frame
    out = frame[~frame["utterance_id"].isin(kept)]
    return finding_on(
        out["utterance_id"],
        "left-out",
        INFO,
        "utterances that the label scheme leaves out",
        len(frame),
        ", ".join(f"{word} {n:,}" for word, n in _in_words(out).value_counts().items()),
    )


def _in_words(rows: pd.DataFrame) -> "pd.Series[Any]":
    """The emotion of each row; of one with several labels its labels, of one without any that it has none."""
    labels = rows["label"].where(rows["label"].str.contains(";", regex=False), "no emotion")
    words: pd.Series[Any] = rows["emotion"].where(rows["emotion"] != "", labels)
    return words
