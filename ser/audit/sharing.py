"""What could make the numbers a lie: what training and test share, over a table and a protocol."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import CorpusError
from ser.metadata.copies import Copies, crossing
from ser.metadata.folds.fold import Fold
from ser.metadata.folds.protocols import DISJOINT

GROUPS = ("speaker", "session", "dialogue", "sentence")


def values_of(frame: pd.DataFrame, group: str) -> NDArray[np.object_]:
    """The group of each row, "" where the table does not say; a sentence is its prompt's id, without one the text."""
    if group == "sentence":
        group = "prompt" if "prompt" in frame and (frame["prompt"] != "").any() else "text"
    return np.asarray(frame[group].to_numpy(), dtype=object)


def fold_sharing(frame: pd.DataFrame, fold: Fold) -> dict[str, dict[str, Any]]:
    """What one test part shares with training and validation.

    Returns:
        For each of `GROUPS` that the table knows: `test`, the groups that the test part has; `shared` and
        `shared_with_validation`, those of them that the other parts have too, those with most test utterances first;
        `utterances` and `utterances_with_validation`, how many test utterances are of those groups.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in GROUPS:
        codes, values = pd.factorize(values_of(frame, name))
        if set(values) <= {""}:
            continue
        known = np.asarray(values != "", dtype=bool)
        test = codes[fold.test]
        in_test, in_train, in_validation = (
            _present(codes[rows], known) for rows in (fold.test, fold.train, fold.validation)
        )
        order = np.lexsort((values.astype(str), -np.bincount(test, minlength=len(values))))
        found[name] = {
            "test": int(in_test.sum()),
            "shared": list(values[order][(in_test & in_train)[order]]),
            "shared_with_validation": list(values[order][(in_test & in_validation)[order]]),
            "utterances": int(in_train[test].sum()),
            "utterances_with_validation": int(in_validation[test].sum()),
        }
    return found


def _present(codes: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the groups these rows have; rows whose group is not known have none."""
    there = np.zeros(len(known), dtype=bool)
    there[codes] = True
    return there & known


def sharing(frame: pd.DataFrame, folds: list[Fold]) -> dict[str, dict[str, Any]]:
    """What the test parts share with training and validation, counted on the rows.

    Returns:
        For speaker, session, dialogue and sentence: `test`: how many the test parts have (the mean over folds),
        `shared`: how many of those are in training too, `shared_with_validation`: in validation (the largest over folds);
        `utterances`: the share of a test part's utterances that are of groups in training (the largest over folds);
        `known` false where the table does not say, `unknown` the rows without one.
    """
    by_fold = [fold_sharing(frame, fold) for fold in folds]
    found: dict[str, dict[str, Any]] = {}
    for name in GROUPS:
        if not any(name in shares for shares in by_fold):
            found[name] = {"known": False}
            continue
        shares = [s[name] for s in by_fold]
        found[name] = {
            "known": True,
            "unknown": int((values_of(frame, name) == "").sum()),
            "test": float(np.mean([s["test"] for s in shares])),
            "shared": max(len(s["shared"]) for s in shares),
            "shared_with_validation": max(len(s["shared_with_validation"]) for s in shares),
            "utterances": max(s["utterances"] / max(1, len(f.test)) for s, f in zip(shares, folds, strict=True)),
        }
    return found


def verdict(
    dataset: str, protocol: str, frame: pd.DataFrame, folds: list[Fold], copies: Copies | None = None
) -> dict[str, Any]:
    """The audit that a record carries.

    Args:
        copies: what `ser audit` found in the audio of this very table; None where it was not asked.

    Returns:
        `shares` (see `sharing`), `overlap` (utterances in two parts of a fold: always 0, else an error),
        `speaker_independent`: true, false, or null where speakers are not known, and `copies`: null where the audio was
        not audited, else how often test audio is in training or validation too (see `ser.metadata.copies.crossing`);
        `validation`: see `validation_sharing`.

    Raises:
        CorpusError: a part overlaps another, or the protocol breaks its own promise.
    """
    refuse_overlap(dataset, protocol, folds)
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
    found = None if copies is None else {k: crossing(p, frame, folds).facts() for k, p in copies.pairs().items()}
    own = validation_sharing(frame, folds)
    return {"shares": shares, "overlap": 0, "speaker_independent": independent, "validation": own, "copies": found}


def validation_sharing(frame: pd.DataFrame, folds: list[Fold]) -> dict[str, int]:
    """How far validation has the voices of training: `speakers`, the most of a fold that both have; `folds` where any are."""
    speaker = values_of(frame, "speaker")
    common = [len((set(speaker[f.train]) & set(speaker[f.validation])) - {""}) for f in folds]
    return {"speakers": max(common, default=0), "folds": sum(map(bool, common))}


def refuse_overlap(dataset: str, protocol: str, folds: list[Fold]) -> None:
    """Refuse folds that use an utterance twice.

    Raises:
        CorpusError: naming the fold.
    """
    for fold in folds:
        rows = np.concatenate([fold.train, fold.validation, fold.test])
        if len(np.unique(rows)) != len(rows):
            raise CorpusError(f"{dataset}: protocol {protocol}, fold {fold.name}: an utterance is in two parts")


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
    own = audit.get("validation") or {}
    if audit["speaker_independent"] and own.get("speakers"):
        found.append(
            f"validation shares speakers with training in {own['folds']} of the folds, up to {own['speakers']}: it picks the "
            "epoch by voices that are known, the test has new ones"
        )
    for kind, words in (("identical", "identical audio"), ("near_identical", "the same recordings")):
        copies = (audit.get("copies") or {}).get(kind, {})
        if copies.get("test_utterances"):
            found.append(
                f"{words}: {copies['test_utterances']} test utterances are in training or validation too"
                f"{', some under another label' if copies['labels_differ'] else ''}"
            )
    if facts.get("synthetic"):
        found.append("synthetic: the audio is synthesised, no recording of people")
    if facts.get("sentences") and "text" in modalities:
        found.append(f"fixed sentences: the corpus has {facts['sentences']} sentences, its text says little or nothing")
    return found
