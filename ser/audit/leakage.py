"""What the test parts share with training and validation: speakers, sessions, dialogues, sentences."""

from typing import Any

import numpy as np

from ser.audit.finding import ERROR, INFO, WARNING, Finding, Subject, over, share, some
from ser.audit.sharing import fold_sharing, validation_sharing, values_of

OFTEN = 0.5  # of the test utterances: sentences that training has too are then more than greetings
FEW_TEXTS = 0.05  # distinct texts by utterances: below, the text is fixed, whatever the corpus says of itself
ENOUGH_TEXTS = 100  # utterances with text, for that to be told

SEVERITY = {"speaker": ERROR, "dialogue": ERROR, "session": WARNING, "sentence": INFO}
ACTION = {
    "speaker": "A head can learn the voice in place of the emotion. Report --protocol speaker (with --folds K, --stratified) "
    "beside this one.",
    "dialogue": "Keep dialogues whole: turns of one dialogue share speakers, topic and channel.",
    "session": "Sessions share the room, the channel, and often the other speaker: --protocol session keeps them whole.",
    "sentence": "Say so with every result on text; audio may learn the wording as well.",
}


def leakage(subject: Subject) -> list[Finding]:
    """Findings on shared groups, over all folds."""
    by_fold = [fold_sharing(subject.frame, fold) for fold in subject.folds]
    found = []
    for group in SEVERITY:
        shares = [s[group] for s in by_fold if group in s]
        if shares:
            found += _shared(subject, group, shares)
    if not any(finding.kind.startswith("shared-speakers") for finding in found):
        found += _validation(subject)
    return [*found, *_unknown_speakers(subject), *_fixed_text(subject), *_other_label(subject)]


def folds_facts(subject: Subject) -> list[dict[str, Any]]:
    """Each fold for the JSON: its sizes, the test utterances of each class, and what it shares."""
    facts = []
    for fold in subject.folds:
        shares = fold_sharing(subject.frame, fold)
        counts = np.bincount(subject.labels[fold.test], minlength=len(subject.classes)).tolist()
        facts.append(
            {
                "name": fold.name,
                **{part: len(rows) for part, rows in fold.parts().items()},
                "validation_by": fold.validation_by,
                "test_classes": dict(zip(subject.classes, counts, strict=True)),
                "shares": {
                    group: {
                        "test": s["test"],
                        "shared": len(s["shared"]),
                        "shared_with_validation": len(s["shared_with_validation"]),
                        "utterances": s["utterances"],
                        "utterances_with_validation": s["utterances_with_validation"],
                    }
                    for group, s in shares.items()
                },
            }
        )
    return facts


def _shared(subject: Subject, group: str, shares: list[dict[str, Any]]) -> list[Finding]:
    """Groups of the test parts that training has, and those that only validation has."""
    found = []
    words = f"{group}s"
    worst = max(shares, key=lambda s: len(s["shared"]))
    if worst["shared"]:
        concerned = sum(s["utterances"] for s in shares)
        often = group == "sentence" and not _fixed(subject) and concerned > OFTEN * subject.tested
        found.append(
            Finding(
                f"shared-{words}",
                WARNING if often else SEVERITY[group],
                f"test {words} in training",
                len(worst["shared"]),
                worst["test"],
                f"{share(concerned, subject.tested)} test utterances{over(len(shares))}",
                () if group == "sentence" and _fixed(subject) else some(worst["shared"]),
                ACTION[group],
            )
        )
    worst = max(shares, key=lambda s: len(s["shared_with_validation"]))
    concerned = sum(s["utterances_with_validation"] for s in shares)
    if worst["shared_with_validation"] and group != "sentence":
        found.append(
            Finding(
                f"shared-{words}-validation",
                INFO if found or SEVERITY[group] != ERROR else WARNING,
                f"test {words} in validation",
                len(worst["shared_with_validation"]),
                worst["test"],
                f"{share(concerned, subject.tested)} test utterances{over(len(shares))}",
                some(worst["shared_with_validation"]),
                "" if found else f"Validation picks the epoch: hold it out by {group}.",
            )
        )
    return found


def _validation(subject: Subject) -> list[Finding]:
    """Validation by voices that training knows, where the test has new ones."""
    own = validation_sharing(subject.frame, subject.folds)
    if not own["folds"]:
        return []
    return [
        Finding(
            "validation-speakers",
            WARNING,
            "folds whose validation has speakers of training",
            own["folds"],
            len(subject.folds),
            f"up to {own['speakers']} speakers; the test parts have new ones",
            some(fold.name for fold in subject.folds if validation_sharing(subject.frame, [fold])["folds"]),
            "The epoch is picked by known voices. More speakers in training (more --folds), or a fixed number of epochs.",
        )
    ]


def _unknown_speakers(subject: Subject) -> list[Finding]:
    unknown = subject.frame["speaker"] == ""
    if not unknown.any():
        return []
    return [
        Finding(
            "unknown-speakers",
            WARNING,
            "utterances whose speaker is not known",
            int(unknown.sum()),
            len(unknown),
            examples=some(subject.frame["utterance_id"][unknown]),
            action="Give the table a column speaker: without it nobody can say that test speakers are new.",
        )
    ]


def _fixed(subject: Subject) -> int | None:
    """Size of the fixed set of sentences, by the corpus's own word or as the texts show; None for free speech."""
    if subject.table.sentences:
        return subject.table.sentences
    texts = [text for text in values_of(subject.frame, "sentence") if text]
    distinct = len(set(texts))
    return distinct if len(texts) >= ENOUGH_TEXTS and distinct <= FEW_TEXTS * len(texts) else None


def _fixed_text(subject: Subject) -> list[Finding]:
    sentences = _fixed(subject)
    if sentences is None:
        return []
    return [
        Finding(
            "fixed-text",
            WARNING,
            "fixed sentences: the text says nothing of the emotion",
            sentences,
            None,
            f"{len(subject.frame):,} utterances say {sentences} sentences",
            some(dict.fromkeys(t for t in subject.frame["text"] if t)),
            "Report audio alone. A result on text, or a gain by it, is worth nothing here.",
        )
    ]


def _other_label(subject: Subject) -> list[Finding]:
    """Test utterances whose sentence training knows under another label."""
    texts, labels = values_of(subject.frame, "sentence"), subject.labels
    if not (texts != "").any():
        return []
    other, never, examples = 0, 0, []
    for fold in subject.folds:
        known: dict[str, set[int]] = {}
        for text, label in zip(texts[fold.train], labels[fold.train], strict=True):
            known.setdefault(text, set()).add(int(label))
        for row in fold.test:
            trained = known.get(texts[row], set()) if texts[row] else set()
            if trained - {int(labels[row])}:
                other += 1
                never += int(labels[row]) not in trained
                examples.append(subject.frame["utterance_id"].iloc[row])
    if not other:
        return []
    return [
        Finding(
            "sentence-other-label",
            INFO,
            "test sentences in training under another label",
            other,
            subject.tested,
            f"{never:,} of them never under their own",
            () if _fixed(subject) else some(dict.fromkeys(examples)),
            "" if _fixed(subject) else "Words alone cannot tell these apart: look at what text adds over audio.",
        )
    ]
