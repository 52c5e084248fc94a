"""Findings on what the test parts share with training and validation: groups of utterances, sentences, copies of audio."""

from collections.abc import Sequence

from ser.audit.record import ERROR, INFO, WARNING, Finding, Severity, finding_on, over, share, some_names
from ser.audit.sharing import FoldShare, fold_shares, group_values, locate_copies, validation_share
from ser.audit.split_data import SplitTable
from ser.metadata.copies import Copies

OFTEN = 0.5  # of the test utterances: above, sentences that training has too are more than greetings
FEW_TEXTS = 0.05  # distinct texts by utterances: below, the text is fixed, also where the plugin does not say so
ENOUGH_TEXTS = 100  # utterances with text: below, their number does not show whether the text is fixed

SEVERITY: dict[str, Severity] = {"speaker": ERROR, "dialogue": ERROR, "session": WARNING, "sentence": INFO}
ACTION = {
    "speaker": "A head can learn the voice in place of the emotion. Report --protocol speaker (with --folds K, --stratified) "
    "beside this one.",
    "dialogue": "Keep dialogues whole: turns of one dialogue share speakers, topic and channel.",
    "session": "Sessions share the room, the channel, and often the other speaker: --protocol session keeps them whole.",
    "sentence": "Say so with every result on text; audio may learn the wording as well.",
}


def leakage(split: SplitTable) -> list[Finding]:
    """Find the groups and sentences that parts of folds share, over all folds."""
    by_fold = [fold_shares(split.frame, fold) for fold in split.folds]
    found = []
    for group in SEVERITY:
        shares = [s[group] for s in by_fold if group in s]
        if shares:
            found += _shared(split, group, shares)
    if not any(finding.kind.startswith("shared-speakers") for finding in found):
        found += _validation(split)
    return [*found, *_unknown_speakers(split), *_fixed_text(split), *_other_label(split)]


def _shared(split: SplitTable, group: str, shares: Sequence[FoldShare]) -> list[Finding]:
    """The groups of the test parts that training has, and those that only validation has."""
    found = []
    words = f"{group}s"
    worst = max(shares, key=lambda s: len(s.shared))
    fixed = group == "sentence" and _fixed(split)
    if worst.shared:
        concerned = sum(s.utterances for s in shares)
        often = group == "sentence" and not fixed and concerned > OFTEN * split.tested
        found.append(
            Finding(
                f"shared-{words}",
                WARNING if often else SEVERITY[group],
                f"test {words} in training",
                len(worst.shared),
                worst.test,
                f"{share(concerned, split.tested)} test utterances{over(len(shares))}",
                () if fixed else some_names(worst.shared),
                ACTION[group],
            )
        )
    worst = max(shares, key=lambda s: len(s.shared_with_validation))
    concerned = sum(s.utterances_with_validation for s in shares)
    if worst.shared_with_validation and group != "sentence":
        found.append(
            Finding(
                f"shared-{words}-validation",
                INFO if found or SEVERITY[group] != ERROR else WARNING,
                f"test {words} in validation",
                len(worst.shared_with_validation),
                worst.test,
                f"{share(concerned, split.tested)} test utterances{over(len(shares))}",
                some_names(worst.shared_with_validation),
                "" if found else f"Validation picks the epoch: hold it out by {group}.",
            )
        )
    return found


def _validation(split: SplitTable) -> list[Finding]:
    """Validation by voices that training knows, where the test has new ones."""
    return finding_on(
        (fold.name for fold in split.folds if validation_share(split.frame, [fold]).folds),
        "validation-speakers",
        WARNING,
        "folds whose validation has speakers of training",
        len(split.folds),
        f"up to {validation_share(split.frame, split.folds).speakers} speakers; the test parts have new ones",
        "The epoch is picked by known voices. More speakers in training (more --folds), or a fixed number of epochs.",
    )


def _unknown_speakers(split: SplitTable) -> list[Finding]:
    return finding_on(
        split.frame["utterance_id"][split.frame["speaker"] == ""],
        "unknown-speakers",
        WARNING,
        "utterances whose speaker is not known",
        len(split.frame),
        action="Give the table a column speaker: without it, nothing shows that test speakers are new.",
    )


def _fixed(split: SplitTable) -> int | None:
    """The size of the fixed set of sentences, by the corpus's own word or as the texts show; None for free speech."""
    if split.table.sentences:
        return split.table.sentences
    texts = [text for text in group_values(split.frame, "sentence") if text]
    distinct = len(set(texts))
    return distinct if len(texts) >= ENOUGH_TEXTS and distinct <= FEW_TEXTS * len(texts) else None


def _fixed_text(split: SplitTable) -> list[Finding]:
    sentences = _fixed(split)
    if sentences is None:
        return []
    return [
        Finding(
            "fixed-text",
            WARNING,
            "sentences of a fixed set, which say nothing of the emotion",
            sentences,
            None,
            f"{len(split.frame):,} utterances say {sentences} sentences",
            some_names(dict.fromkeys(t for t in split.frame["text"] if t)),
            "Report audio alone. A result on text, or a gain by it, is worth nothing here.",
        )
    ]


def _other_label(split: SplitTable) -> list[Finding]:
    """Test utterances whose sentence training knows under another label."""
    texts, labels = group_values(split.frame, "sentence"), split.labels
    if not (texts != "").any():
        return []
    other, never, examples = 0, 0, []
    for fold in split.folds:
        known: dict[str, set[int]] = {}
        for text, label in zip(texts[fold.train], labels[fold.train], strict=True):
            known.setdefault(text, set()).add(int(label))
        for row in fold.test:
            trained = known.get(texts[row], set()) if texts[row] else set()
            if trained - {int(labels[row])}:
                other += 1
                never += int(labels[row]) not in trained
                examples.append(split.frame["utterance_id"].iloc[row])
    if not other:
        return []
    fixed = _fixed(split)
    return [
        Finding(
            "sentence-other-label",
            INFO,
            "test sentences in training under another label",
            other,
            split.tested,
            f"{never:,} of them never under their own",
            () if fixed else some_names(dict.fromkeys(examples)),
            "" if fixed else "Words alone cannot tell these apart: look at what text adds over audio.",
        )
    ]


def shared_audio(copies: Copies, split: SplitTable) -> list[Finding]:
    """Find copies of the same audio: in test and training, within a part, and under two labels."""
    found: list[Finding] = []
    emotion = dict(zip(split.frame["utterance_id"], split.frame["emotion"], strict=True))
    for kind, words in (("identical", "identical audio"), ("near_identical", "the same recording")):
        lies = locate_copies(copies.pairs()[kind], split.frame, split.folds)
        name = kind.replace("_", "-")
        across = set(lies.across)
        found += finding_on(
            (" = ".join(pair) for pair in lies.across),
            f"{name}-across",
            ERROR,
            f"pairs of {words}, in test and in training or validation",
            len(lies.pairs),
            f"{share(lies.test_utterances, split.tested)} test utterances{over(len(split.folds))}",
            "Leave one of each out of the table, or keep them in one part: the test tests memory.",
        )
        found += finding_on(
            (" = ".join(pair) for pair in lies.pairs if pair not in across),
            f"{name}-within",
            WARNING,
            f"pairs of {words}, in one part of every fold",
            action="They count twice: leave one of each out, or say so.",
        )
        found += finding_on(
            (f"{a} ({emotion[a]}) = {b} ({emotion[b]})" for a, b in lies.pairs if emotion[a] != emotion[b]),
            f"{name}-labels",
            ERROR,
            f"pairs of {words} under two labels",
            len(lies.pairs),
            action="One of the labels is wrong, or the label is not in the audio.",
        )
    return found
