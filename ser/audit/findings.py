"""Findings on single recordings (that cannot be used, or are worth listening to), and on the classes of a split."""

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd

from ser.audio.measure import Measured
from ser.audio.reading import CLIPPED_SHARE, SILENCE_PEAK
from ser.audit.measurements import Sound
from ser.audit.record import ERROR, INFO, WARNING, Finding, Severity, finding_on, some_names
from ser.audit.split_data import SplitTable

SHORTEST = 400  # samples at 16 kHz: the receptive field of the speech encoders
LONGEST = 60.0  # s
TELLING = 0.3  # Cramer's V of sample rate and class: from here on the rate helps to guess the class

UNEVEN, VERY_UNEVEN = 3.0, 10.0  # the largest class by the smallest
RARE = 10  # utterances of a class: with fewer, balanced weights of classes make each outweigh many others
FEW = 30  # test utterances: with fewer, the interval of an accuracy is up to ±18 points wide
SEVERITY: dict[str, Severity] = {"train": ERROR, "validation": INFO, "test": WARNING}
ACTION = {
    "train": "A head cannot learn what it never sees: take another protocol, or a scheme without that class.",
    "validation": "Validation scores of these folds are over fewer classes.",
    "test": "Compare pooled scores (over all folds together): a fold's own UA is over the classes that it has.",
}

AGAIN = "Download or copy these files again."
FAULTS = {
    "missing": ("files that are not there", "Is --root the corpus folder that the table was made from?"),
    "unreadable": ("files without permission to read them", "Give yourself permission: chmod u+r FILE."),
    "irregular": ("folders, named pipes or devices in place of files", "Correct the paths of the table."),
    "pointer": ("Git LFS pointers in place of audio", "In the corpus's repository: git lfs install && git lfs pull"),
    "web-page": ("pages of HTML in place of audio", "The download gave a login or error page. " + AGAIN),
    "empty": ("empty files", AGAIN),
    "truncated": ("files that are cut short, whose header says more than they have", AGAIN),
    "undecodable": ("files that cannot be decoded", AGAIN),
    "needs-ffmpeg": ("files that need ffmpeg", "Install ffmpeg: ser doctor says how."),
    "not-finite": ("audio with values that are not finite", "Write these files again from their source, or leave them out."),
    "scale": (
        "files of floats at the scale of integers, where full scale is 1",
        "Divide the samples by 32768 and write the files again.",
    ),
    "cancelling": (
        "channels of opposite phase, which cancel in their mean",
        "Take one of them: 0 in the table's column channel.",
    ),
    "segment": ("segments outside of their file", "Check the columns start and end of the table."),
    "channel": ("channels that their file does not have", "Check the column channel of the table."),
    "too-long": ("files of over half an hour, without start and end", "Give start and end of each utterance."),
}


def recordings(sound: Sound, longest: float = LONGEST) -> list[Finding]:
    """Find recordings that cannot be used, are silent, short, clipped or over `longest` s, and sample rates that differ."""
    frame, measured = sound.frame, sound.measured
    ids = frame["utterance_id"].to_numpy()
    found: list[Finding] = []
    for fault, (what, action) in FAULTS.items():
        bad = [i for i, m in zip(ids, measured, strict=True) if m.fault == fault]
        found += finding_on(bad, f"audio-{fault}", ERROR, what, len(ids), action=action)
    tests: list[tuple[str, Severity, str, Callable[[Measured], bool], Callable[[Measured], str], str]] = [
        ("silent", ERROR, f"silent utterances, with no sample over {SILENCE_PEAK:g} of full scale",
         lambda m: m.peak < SILENCE_PEAK, lambda m: f"{m.seconds:.1f} s",
         "They say nothing of any emotion: leave them out of the table."),
        ("short", ERROR, f"utterances shorter than {SHORTEST} samples at 16 kHz", lambda m: m.seconds * 16000 < SHORTEST,
         lambda m: f"{1000 * m.seconds:.0f} ms", "No speech encoder takes them: leave them out, or mend start and end."),
        ("long", WARNING, f"utterances longer than {longest:g} s", lambda m: m.seconds > longest,
         lambda m: f"{m.seconds:.0f} s", "One label for so long? Give start and end, or raise --longest."),
        ("clipped", WARNING, f"utterances with over {CLIPPED_SHARE:.1%} of their samples clipped",
         lambda m: m.clipped > CLIPPED_SHARE, lambda m: f"{m.clipped:.1%}",
         "Loud emotions clip first: a head may learn the distortion. Listen to some."),
    ]  # fmt: skip
    for kind, severity, what, test, number, action in tests:
        bad = [f"{i} ({number(m)})" for i, m in zip(ids, measured, strict=True) if not m.fault and test(m)]
        found += finding_on(bad, f"audio-{kind}", severity, what, len(ids), action=action)
    return [*found, *_rates(frame, measured)]


def _rates(frame: pd.DataFrame, measured: list[Measured]) -> list[Finding]:
    """Several sample rates in one corpus; a warning where they go with the class."""
    rates = pd.Series([m.rate for m in measured])
    there = rates > 0
    counts = rates[there].value_counts()
    if len(counts) < 2:
        return []
    table = pd.crosstab(rates[there], frame["emotion"][there])
    strength = cramers_v(table.to_numpy())
    telling = strength >= TELLING
    return [
        Finding(
            "sample-rates",
            WARNING if telling else INFO,
            "different sample rates",
            len(counts),
            None,
            f"association with the emotion: Cramer's V {strength:.2f}",
            some_names(f"{rate} Hz: {n:,}" for rate, n in counts.items()),
            "The rate gives the emotion away, also after resampling: bring all to the lowest rate first." if telling else "",
        )
    ]


def cramers_v(table: "np.typing.NDArray[np.int64]") -> float:
    """Compute the association of two nominal variables, 0 to 1, from their contingency table (H. Cramer, 1946).

    0 for a table of a single row or column.
    """
    if min(table.shape) < 2:
        return 0.0
    from scipy.stats.contingency import association

    return float(association(table, method="cramer", correction=False))


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
