"""Classes: how uneven they are, which parts lack one, and test parts too small to tell anything."""

from math import sqrt

import numpy as np

from ser.audit.finding import ERROR, INFO, WARNING, Finding, Subject, some

UNEVEN, VERY_UNEVEN = 3.0, 10.0  # the largest class by the smallest
FEW = 30  # test utterances: with fewer, accuracy is known to 18 points at best

SEVERITY = {"train": ERROR, "validation": INFO, "test": WARNING}
ACTION = {
    "train": "A head cannot learn what it never sees: take another protocol, or a scheme without that class.",
    "validation": "Validation scores of these folds are over fewer classes.",
    "test": "Compare pooled scores (over all folds together): a fold's own UA is over the classes that it has.",
}


def classes(subject: Subject) -> list[Finding]:
    """Findings on the classes, over all folds."""
    return [*_imbalance(subject), *_missing(subject), *_small(subject), *_left_out(subject)]


def _imbalance(subject: Subject) -> list[Finding]:
    counts = np.bincount(subject.labels, minlength=len(subject.classes))
    ratio = counts.max() / counts.min()
    if ratio < UNEVEN:
        return []
    order = np.argsort(-counts, kind="stable")
    return [
        Finding(
            "imbalance",
            WARNING if ratio >= VERY_UNEVEN else INFO,
            "classes of very different size",
            len(subject.classes),
            None,
            f"the largest is {ratio:.1f} times the smallest; always saying {subject.classes[order[0]]} gives "
            f"{100 * counts[order[0]] / counts.sum():.1f} % accuracy",
            some(f"{subject.classes[k]} {counts[k]:,}" for k in order),
            "Compare UA, not accuracy.",
        )
    ]


def _missing(subject: Subject) -> list[Finding]:
    """One finding a part: the folds in which it lacks a class."""
    found = []
    for part, severity in SEVERITY.items():
        lacking = {}
        for fold in subject.folds:
            there = set(subject.labels[fold.parts()[part]].tolist())
            missing = [name for k, name in enumerate(subject.classes) if k not in there]
            if missing:
                lacking[fold.name] = missing
        if lacking:
            found.append(
                Finding(
                    f"missing-class-{part}",
                    severity,
                    f"folds whose {part} part lacks a class",
                    len(lacking),
                    len(subject.folds),
                    examples=some(f"{fold}: {', '.join(names)}" for fold, names in lacking.items()),
                    action=ACTION[part],
                )
            )
    return found


def _small(subject: Subject) -> list[Finding]:
    small = [fold for fold in subject.folds if len(fold.test) < FEW]
    if not small:
        return []
    least = min(len(fold.test) for fold in small)
    return [
        Finding(
            "small-test",
            WARNING,
            f"folds with fewer than {FEW} test utterances",
            len(small),
            len(subject.folds),
            f"the smallest has {least}: a 95 % interval of accuracy is up to ±{98 / sqrt(least):.0f} points wide",
            some(f"{fold.name}: {len(fold.test)}" for fold in small),
            "Take fewer folds (--folds K), or look at pooled scores only.",
        )
    ]


def _left_out(subject: Subject) -> list[Finding]:
    kept = set(subject.frame["utterance_id"])
    frame = subject.table.frame
    out = frame[~frame["utterance_id"].isin(kept)]
    if out.empty:
        return []
    return [
        Finding(
            "left-out",
            INFO,
            "utterances that the label scheme leaves out",
            len(out),
            len(frame),
            ", ".join(f"{e or 'no emotion'} {n:,}" for e, n in out["emotion"].value_counts().items()),
            some(out["utterance_id"]),
        )
    ]
