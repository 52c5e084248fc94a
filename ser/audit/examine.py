"""An audit: everything that is found in a table, a protocol's folds and the audio."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ser.audit import agreement
from ser.audit import sharing as verdicts
from ser.audit.classes import classes
from ser.audit.finding import ERROR, INFO, SEVERITIES, WARNING, Finding, Subject, in_use
from ser.audit.leakage import folds_facts, leakage
from ser.audit.measurements import Sound
from ser.audit.recordings import LONGEST, duplicates, recordings
from ser.errors import CorpusError
from ser.metadata.folds.fold import FoldOptions
from ser.metadata.folds.protocols import default_protocol, make_folds
from ser.metadata.table import Table

SCHEMA = "ser.audit/1"


@dataclass(frozen=True, eq=False)
class Audit:
    """What was audited and what was found.

    Attributes:
        subject: the rows and folds.
        scheme: the label scheme's name.
        findings: errors first, then warnings, then facts.
        sound: the audio; None where there is none, or it was left out.
        record: the whole audit as plain values, which `ser/results/audit.schema.json` describes.
    """

    subject: Subject
    scheme: str
    findings: tuple[Finding, ...]
    sound: Sound | None
    record: dict[str, Any]

    @property
    def clean(self) -> bool:
        """Whether there is nothing but facts."""
        return all(finding.severity == INFO for finding in self.findings)


def subject_of(table: Table, protocol: str | None, options: FoldOptions, scheme: str) -> Subject:
    """The rows that a scheme keeps, under a protocol; None takes the one that fits the table.

    Raises:
        ConfigError, CorpusError: the scheme or the protocol does not fit.
    """
    frame, labels, names = in_use(table, scheme)
    name = protocol or default_protocol(table, options)
    folds = make_folds(name, table, frame, labels, options)
    verdicts.refuse_overlap(table.dataset, name, folds)
    return Subject(table, frame, labels, names, name, folds)


def examine(
    subject: Subject, scheme: str, sound: Sound | None, longest: float = LONGEST, more: Sequence[Finding] = ()
) -> Audit:
    """Look for everything.

    Args:
        sound: of `ser.audit.measurements.listen`.
        longest: s; longer utterances are told.
        more: findings from elsewhere, of encoders that have seen the corpus, for instance.
    """
    found = [*leakage(subject), *_promise(subject, sound), *classes(subject), *agreement.agreement(subject)]
    if sound is not None:
        found += [*recordings(sound, longest), *duplicates(sound, subject)]
    found += [*_corpus(subject), *more]
    findings = tuple(sorted(found, key=lambda f: SEVERITIES.index(f.severity)))
    return Audit(subject, scheme, findings, sound, _record(subject, scheme, findings, sound))


def _promise(subject: Subject, sound: Sound | None) -> list[Finding]:
    """A protocol that shares what it promises not to: training refuses it."""
    try:
        _verdict(subject, sound)
    except CorpusError as error:
        said = f"{error.problem}: {error.found}"
        return [Finding("broken-promise", ERROR, "the protocol does not keep its promise", 1, None, said)]
    return []


def _verdict(subject: Subject, sound: Sound | None) -> dict[str, Any]:
    copies = subject.table.copies if sound is None else sound.copies
    return verdicts.verdict(subject.table.dataset, subject.protocol, subject.frame, subject.folds, copies)


def _corpus(subject: Subject) -> list[Finding]:
    """What the corpus's own facts give reason to say."""
    facts, count = subject.table.facts, len(subject.table.frame)
    found = []
    release = facts.get("utterances_of_release")
    if release is not None and release != count:
        words = (
            f"{release - count:,} are missing" if count < release else f"{count - release:,} more than the release has"
        )
        action = "Compare with others' results on the same utterances only, or complete the corpus."
        found.append(Finding("release-count", WARNING, "not the whole release", count, release, words, action=action))
    if facts.get("synthetic"):
        found.append(Finding("synthetic", INFO, "synthesised audio, no recording of people", count, count))
    silent = int((subject.table.frame["path"] == "").sum())
    if silent:
        found.append(Finding("text-only", INFO, "utterances without audio", silent, count))
    return found


def _record(subject: Subject, scheme: str, findings: tuple[Finding, ...], sound: Sound | None) -> dict[str, Any]:
    table, counts = subject.table, Counter(f.severity for f in findings)
    labels = Counter(subject.labels.tolist())
    try:
        verdict: dict[str, Any] | None = _verdict(subject, sound)
    except CorpusError:
        verdict = None
    return {
        "schema": SCHEMA,
        "dataset": table.dataset,
        "corpus": table.facts.get("corpus"),
        "licence": table.facts.get("licence"),
        "table": {"path": f"metadata/{table.dataset}.csv", "sha256": table.sha256},
        "scheme": scheme,
        "protocol": subject.protocol,
        "utterances": len(subject.frame),
        "classes": {name: labels[k] for k, name in enumerate(subject.classes)},
        "counts": {severity: counts[severity] for severity in SEVERITIES},
        "findings": [finding.facts() for finding in findings],
        "folds": folds_facts(subject),
        "agreement": agreement.facts(subject.frame),
        "audio": None if sound is None else _audio(sound),
        "verdict": verdict,
    }


def _audio(sound: Sound) -> dict[str, Any]:
    rates = Counter(m.rate for m in sound.measured if m.rate)
    return {
        "utterances": len(sound.measured),
        "unusable": sum(1 for m in sound.measured if m.fault),
        "hours": round(sum(m.seconds for m in sound.measured) / 3600, 4),
        "rates": {str(rate): n for rate, n in sorted(rates.items())},
        "copies": {kind: [list(pair) for pair in pairs] for kind, pairs in sound.copies.pairs().items()},
    }
