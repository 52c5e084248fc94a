"""What could make the numbers a lie: what training and test share, over a table and a protocol."""

from typing import Any

import numpy as np
import pandas as pd

from ser.errors import CorpusError
from ser.metadata.splits import DISJOINT, Fold

GROUPS = {"speaker": "speaker", "session": "session", "dialogue": "dialogue", "sentence": "text"}


def sharing(frame: pd.DataFrame, folds: list[Fold]) -> dict[str, dict[str, Any]]:
    """What the test parts share with training and validation, counted on the rows.

    Returns:
        For speaker, session, dialogue and sentence: `test`: how many the test parts have (the mean over folds),
        `shared`: how many of those are in training too, `shared_with_validation`: in validation (the largest over folds);
        `known` false where the table does not say,
        `unknown` the rows without one.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, column in GROUPS.items():
        values = frame[column].to_numpy()
        if not (values != "").any():
            found[name] = {"known": False}
            continue
        tests, shared, validated = [], [], []
        for fold in folds:
            test = set(values[fold.test]) - {""}
            tests.append(len(test))
            shared.append(len(test & set(values[fold.train])))
            validated.append(len(test & set(values[fold.validation])))
        counts = {"shared": max(shared), "shared_with_validation": max(validated)}
        unknown = int((values == "").sum())
        found[name] = {"known": True, "unknown": unknown, "test": float(np.mean(tests)), **counts}
    return found


def verdict(dataset: str, protocol: str, frame: pd.DataFrame, folds: list[Fold]) -> dict[str, Any]:
    """The audit that a record carries.

    Returns:
        `shares` (see `sharing`), `overlap` (utterances in two parts of a fold: always 0, else an error), and
        `speaker_independent`: true, false, or null where speakers are not known.

    Raises:
        CorpusError: a part overlaps another, or the protocol breaks its own promise.
    """
    for fold in folds:
        rows = np.concatenate([fold.train, fold.validation, fold.test])
        if len(np.unique(rows)) != len(rows):
            raise CorpusError(f"{dataset}: protocol {protocol}, fold {fold.name}: an utterance is in two parts")
    shares = sharing(frame, folds)
    for group in DISJOINT[protocol]:
        if _overlap(shares[group]):
            raise CorpusError(
                f"{dataset}: protocol {protocol} promises disjoint {group}s",
                found=f"{_overlap(shares[group])} {group}s in training or validation, and in test",
            )
    speaker = shares["speaker"]
    independent = (
        None if not speaker["known"] or (speaker["unknown"] and not _overlap(speaker)) else not _overlap(speaker)
    )
    return {"shares": shares, "overlap": 0, "speaker_independent": independent}


def _overlap(share: dict[str, Any]) -> int:
    """How many of the test parts' groups were seen before the test, to fit weights or to pick the epoch."""
    return max(int(share.get("shared", 0)), int(share.get("shared_with_validation", 0)))


def stamps(audit: dict[str, Any], facts: dict[str, Any], modalities: set[str]) -> list[str]:
    """Sentences that a result of this data must carry."""
    found = []
    speaker = audit["shares"]["speaker"]
    for part, count in (("training", "shared"), ("validation, which picks the epoch", "shared_with_validation")):
        if speaker.get(count):
            found.append(f"speakers shared: {speaker[count]} of the test speakers are in {part} too")
    if audit["speaker_independent"] is None:
        found.append("speakers unknown: the table does not say who speaks, so test speakers may be in training")
    if facts.get("synthetic"):
        found.append("synthetic: the audio is synthesised, no recording of people")
    if facts.get("sentences") and "text" in modalities:
        found.append(f"fixed sentences: the corpus has {facts['sentences']} sentences, its text says little or nothing")
    return found
