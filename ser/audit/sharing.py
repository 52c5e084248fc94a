"""Sharing between the parts of folds: the groups (speakers, sessions, dialogues, sentences) and the copies of audio that
the test part has in common with training and validation; and the verdict on it that every record carries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.audit.record import SharedGroups
from ser.errors import CorpusError
from ser.metadata.copies import Copies, Pairs
from ser.metadata.folds.fold import Fold
from ser.metadata.folds.protocols import DISJOINT

GROUPS = ("speaker", "session", "dialogue", "sentence")


@dataclass(frozen=True)
class FoldShare:
    """The groups of one kind that the test part of one fold shares with the other parts.

    Attributes:
        test: the number of groups in the test part.
        shared, shared_with_validation: those of them that training (validation) has too, those with most test utterances
            first.
        utterances, utterances_with_validation: the number of test utterances of these groups.
    """

    test: int
    shared: tuple[str, ...]
    shared_with_validation: tuple[str, ...]
    utterances: int
    utterances_with_validation: int

    def counts(self) -> SharedGroups:
        """The numbers alone, for the record of an audit."""
        shared, with_validation = len(self.shared), len(self.shared_with_validation)
        return SharedGroups(self.test, shared, with_validation, self.utterances, self.utterances_with_validation)


@dataclass(frozen=True)
class GroupShare:
    """The groups of one kind that test parts share with the other parts, over all folds.

    Attributes:
        unknown: the number of rows without such a group.
        test: the number of groups in a test part, the mean over folds.
        shared, shared_with_validation: the number of them that training (validation) has too, the largest over folds.
        utterances: the share of a test part's utterances that are of groups in training, the largest over folds.
    """

    unknown: int
    test: float
    shared: int
    shared_with_validation: int
    utterances: float

    @property
    def seen(self) -> int:
        """The number of test groups that were seen before the test, to fit weights or to pick the epoch."""
        return max(self.shared, self.shared_with_validation)


@dataclass(frozen=True)
class ValidationShare:
    """The speakers that validation shares with training.

    Attributes:
        speakers: the largest number in a fold.
        folds: the number of folds with any.
    """

    speakers: int
    folds: int


@dataclass(frozen=True)
class Crossing:
    """The places of pairs of copies in the folds.

    Attributes:
        pairs: those among the rows in use.
        across: the pairs of a test utterance and one of training or validation, in any fold.
        test_utterances: the number of test utterances, summed over folds, whose audio training or validation has too.
        labels_differ: the number of pairs, of all, with two labels.
    """

    pairs: tuple[tuple[str, str], ...]
    across: tuple[tuple[str, str], ...]
    test_utterances: int
    labels_differ: int

    def facts(self) -> dict[str, int]:
        """The counts, for a record."""
        return {
            "pairs": len(self.pairs),
            "across": len(self.across),
            "test_utterances": self.test_utterances,
            "labels_differ": self.labels_differ,
        }


@dataclass(frozen=True)
class SharingVerdict:
    """The audit of the folds that a record carries.

    Attributes:
        shares: kind of group -> see `GroupShare`; None where the table does not say.
        speaker_independent: None where the speakers are not known.
        validation: see `ValidationShare`.
        copies: kind of copies -> see `Crossing`; None where the audio was not audited.
    """

    shares: Mapping[str, GroupShare | None]
    speaker_independent: bool | None
    validation: ValidationShare
    copies: Mapping[str, Crossing] | None

    def facts(self) -> dict[str, Any]:
        """The verdict as it stands in a record; `overlap` is always 0, for overlapping parts are refused."""
        return {
            "shares": {
                group: {"known": False} if share is None else {"known": True, **asdict(share)}
                for group, share in self.shares.items()
            },
            "overlap": 0,
            "speaker_independent": self.speaker_independent,
            "validation": asdict(self.validation),
            "copies": None if self.copies is None else {kind: lies.facts() for kind, lies in self.copies.items()},
        }


def group_values(frame: pd.DataFrame, group: str) -> NDArray[np.object_]:
    """The group of each row, `(n,)`; "" where the table does not say. A sentence is the prompt's id, or else the text."""
    if group == "sentence":
        group = "prompt" if "prompt" in frame and (frame["prompt"] != "").any() else "text"
    return np.asarray(frame[group].to_numpy(), dtype=object)


def fold_shares(frame: pd.DataFrame, fold: Fold) -> dict[str, FoldShare]:
    """Count what the test part of a fold shares with training and validation.

    Returns:
        Kind of group -> counts, for those of `GROUPS` that the table knows.
    """
    found: dict[str, FoldShare] = {}
    for group in GROUPS:
        codes, values = pd.factorize(group_values(frame, group))
        if set(values) <= {""}:
            continue
        known = np.asarray(values != "", dtype=bool)
        test = codes[fold.test]
        in_test, in_train, in_validation = (_present(codes[rows], known) for rows in (fold.test, fold.train, fold.validation))
        order = np.lexsort((values.astype(str), -np.bincount(test, minlength=len(values))))
        found[group] = FoldShare(
            int(in_test.sum()),
            tuple(values[order][(in_test & in_train)[order]]),
            tuple(values[order][(in_test & in_validation)[order]]),
            int(in_train[test].sum()),
            int(in_validation[test].sum()),
        )
    return found


def _present(codes: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the groups that these rows have; rows whose group is not known have none."""
    there = np.zeros(len(known), dtype=bool)
    there[codes] = True
    return there & known


def group_shares(frame: pd.DataFrame, folds: list[Fold]) -> dict[str, GroupShare | None]:
    """Count what the test parts of all folds share; kind of group -> counts, None where the table does not say."""
    by_fold = [fold_shares(frame, fold) for fold in folds]
    found: dict[str, GroupShare | None] = {}
    for group in GROUPS:
        shares = [s[group] for s in by_fold if group in s]
        found[group] = None
        if shares:
            found[group] = GroupShare(
                int((group_values(frame, group) == "").sum()),
                float(np.mean([s.test for s in shares])),
                max(len(s.shared) for s in shares),
                max(len(s.shared_with_validation) for s in shares),
                max(s.utterances / max(1, len(f.test)) for s, f in zip(shares, folds, strict=True)),
            )
    return found


def validation_share(frame: pd.DataFrame, folds: list[Fold]) -> ValidationShare:
    """Count the speakers that validation shares with training."""
    speaker = group_values(frame, "speaker")
    common = [len((set(speaker[f.train]) & set(speaker[f.validation])) - {""}) for f in folds]
    return ValidationShare(max(common, default=0), sum(map(bool, common)))


def locate_copies(pairs: Pairs, frame: pd.DataFrame, folds: list[Fold]) -> Crossing:
    """Locate pairs of copies in the folds over the rows of a frame. Copies of copies count: pairs are joined first."""
    position = {utterance: row for row, utterance in enumerate(frame["utterance_id"])}
    kept = tuple((a, b) for a, b in pairs if a in position and b in position)
    labels = frame["emotion"].to_numpy()
    groups = _groups_of_copies(
        np.array([[position[a], position[b]] for a, b in kept], dtype=np.int64).reshape(-1, 2), len(frame)
    )
    across: set[tuple[str, str]] = set()
    tested = 0
    for fold in folds:
        part = np.zeros(len(frame), dtype=np.int8)
        part[np.concatenate([fold.train, fold.validation])] = 1
        part[fold.test] = 2
        seen = np.zeros(len(frame), dtype=bool)  # by group
        seen[groups[(part == 1) & (groups >= 0)]] = True
        of_test = groups[fold.test]
        tested += int(seen[of_test[of_test >= 0]].sum())
        across |= {(a, b) for a, b in kept if {part[position[a]], part[position[b]]} == {1, 2}}
    differ = sum(labels[position[a]] != labels[position[b]] for a, b in kept)
    return Crossing(kept, tuple(p for p in kept if p in across), tested, int(differ))


def _groups_of_copies(pairs: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """The number of each row's group of copies, `(rows,)`; -1 for a row without a copy."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(rows, rows))
    _, number = connected_components(edges, directed=False)
    found = np.full(rows, -1, dtype=np.int64)
    touched = np.unique(pairs)
    found[touched] = number[touched]
    return found


def refuse_overlap(dataset: str, protocol: str, folds: list[Fold]) -> None:
    """Refuse folds that use an utterance twice.

    Raises:
        CorpusError: names the fold.
    """
    for fold in folds:
        rows = np.concatenate([fold.train, fold.validation, fold.test])
        if len(np.unique(rows)) != len(rows):
            raise CorpusError(f"{dataset}: protocol {protocol}, fold {fold.name}: an utterance is in two parts")


def judge_folds(
    dataset: str, protocol: str, frame: pd.DataFrame, folds: list[Fold], copies: Copies | None = None
) -> SharingVerdict:
    """Judge the folds of a protocol by what their parts share.

    Args:
        copies: those that `ser audit` found in the audio of this very table; None where it has not looked.

    Raises:
        CorpusError: two parts of a fold overlap, or the protocol breaks its own promise.
    """
    refuse_overlap(dataset, protocol, folds)
    shares = group_shares(frame, folds)
    for group in DISJOINT[protocol]:
        share = shares[group]
        if share is not None and share.seen:
            raise CorpusError(
                f"{dataset}: protocol {protocol} promises disjoint {group}s",
                found=f"{share.seen} {group}s in training or validation, and in test",
            )
    speaker = shares["speaker"]
    independent = None if speaker is None or (speaker.unknown and not speaker.seen) else not speaker.seen
    lies = None if copies is None else {kind: locate_copies(p, frame, folds) for kind, p in copies.pairs().items()}
    return SharingVerdict(shares, independent, validation_share(frame, folds), lies)


# What stamps say of an epoch, and what they say where validation picked none.
_EPOCH = (
    (", which picks the epoch too", " too"),
    (": it picks the epoch by voices that are known, the test has new ones", ", and the test has new ones"),
)


def without_epoch(stamps: Sequence[str]) -> list[str]:
    """The stamps of a result for which validation picked no epoch, as of a classical head, the last epoch or a few shots."""
    found = list(stamps)
    for ending, other in _EPOCH:
        found = [s.removesuffix(ending) + other if s.endswith(ending) else s for s in found]
    return found


def sharing_stamps(found: SharingVerdict, facts: Mapping[str, Any], modalities: set[str]) -> list[str]:
    """The sentences that a result of this data must carry.

    Args:
        found: the verdict on the folds.
        facts: of the table.
        modalities: of the features, `audio`, `text`.
    """
    said = []
    speaker = found.shares["speaker"]
    if speaker is not None and speaker.shared:
        said.append(f"speakers shared: {speaker.shared} of the test speakers are in training too")
    if speaker is not None and speaker.shared_with_validation:
        said.append(
            f"speakers shared: {speaker.shared_with_validation} of the test speakers are in validation, which picks the "
            "epoch too"
        )
    if found.speaker_independent is None:
        said.append("speakers unknown: the table does not say who speaks, so test speakers may be in training")
    if found.speaker_independent and found.validation.speakers:
        said.append(
            f"validation shares speakers with training in {found.validation.folds} of the folds, up to "
            f"{found.validation.speakers}: it picks the epoch by voices that are known, the test has new ones"
        )
    for kind, words in (("identical", "identical audio"), ("near_identical", "the same recordings")):
        copies = (found.copies or {}).get(kind)
        if copies is not None and copies.test_utterances:
            said.append(
                f"{words}: {copies.test_utterances} test utterances are in training or validation too"
                f"{', some under another label' if copies.labels_differ else ''}"
            )
    if facts.get("synthetic"):
        said.append("synthetic: the audio is synthesised, no recording of people")
    if facts.get("sentences") and "text" in modalities:
        said.append(f"fixed sentences: the corpus has {facts['sentences']} sentences, its text says little or nothing")
    return said
