"""`ser audit`: examine table, folds, audio and stores, and keep the findings for every later record."""

import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from ser.audit.agreement import agreement, measure_agreement
from ser.audit.findings import LONGEST, classes, recordings
from ser.audit.leakage import leakage, shared_audio
from ser.audit.measurements import Sound, measure_audio
from ser.audit.record import (
    ERROR,
    INFO,
    SEVERITIES,
    WARNING,
    AuditedAudio,
    AuditedFold,
    AuditRecord,
    CopyPairs,
    Finding,
    SeverityCounts,
)
from ser.audit.sharing import SharingVerdict, fold_shares, judge_folds
from ser.audit.split_data import SplitTable, split_table
from ser.audit.stores import store_findings
from ser.errors import CorpusError
from ser.jsonfile import TableFile, Time, write_json
from ser.metadata.build import ensure_table
from ser.metadata.copies import write_copies
from ser.metadata.folds.fold import FoldOptions
from ser.metadata.folds.fold_file import save_folds
from ser.workspace import Workspace, open_workspace


@dataclass(frozen=True, eq=False)
class Audit:
    """The findings on a dataset, and the dataset's facts.

    Attributes:
        split: the rows and folds.
        scheme: the name of the label scheme.
        sound: the audio; None where there is none, or it was left out.
        findings: errors first, then warnings, then facts.
        verdict: carried by records of these folds; None where the protocol breaks its promise, so that training refuses it.
    """

    split: SplitTable
    scheme: str
    sound: Sound | None
    findings: tuple[Finding, ...]
    verdict: SharingVerdict | None

    @property
    def counts(self) -> SeverityCounts:
        """The number of findings of each severity."""
        found = Counter(finding.severity for finding in self.findings)
        return SeverityCounts(error=found[ERROR], warning=found[WARNING], info=found[INFO])

    def record(self, options: FoldOptions, time: Time) -> AuditRecord:
        """Make the record of the audit."""
        split, table, labels = self.split, self.split.table, Counter(self.split.labels.tolist())
        return AuditRecord(
            dataset=table.dataset,
            corpus=table.facts.get("corpus"),
            licence=table.facts.get("licence"),
            table=TableFile(path=f"metadata/{table.dataset}.csv", sha256=table.sha256),
            scheme=self.scheme,
            protocol=split.protocol,
            utterances=len(split.frame),
            classes={name: labels[k] for k, name in enumerate(split.classes)},
            counts=self.counts,
            findings=list(self.findings),
            folds=_folds(split),
            agreement=measure_agreement(split.frame),
            audio=None if self.sound is None else _audio(self.sound),
            verdict=None if self.verdict is None else self.verdict.facts(),
            fold_options={**vars(options), "file": options.file.name if options.file else None},
            command=shlex.join(["ser", *sys.argv[1:]]),
            time=time,
        )


def audit_dataset(
    dataset: str,
    workspace: Workspace | str | Path = ".",
    *,
    root: Path | None = None,
    protocol: str | None = None,
    options: FoldOptions | None = None,
    scheme: str = "native",
    longest: float = LONGEST,
    audio: bool = True,
    jobs: int | None = None,
    write_folds: Path | None = None,
    more: Sequence[Finding] = (),
    quiet: bool = True,
    say: Callable[[str], None] | None = None,
) -> tuple[AuditRecord, Path]:
    """Audit a dataset under a protocol; write `results/audit-NAME-PROTOCOL.json` and `metadata/NAME.copies.json`.

    Args:
        root: the corpus folder; the table is made of it where there is none.
        protocol: None takes the one that fits the table.
        longest: s; longer utterances are a finding.
        audio: decode the audio too.
        write_folds: a CSV to write the folds to.
        more: findings from elsewhere.

    Returns:
        The record and its file.

    Raises:
        ConfigError, CorpusError: there is no such dataset, or the protocol or scheme does not fit it.
    """
    started, clock = datetime.now(timezone.utc), time.monotonic()
    space, options = open_workspace(workspace), options or FoldOptions()
    table = ensure_table(dataset, space, root, say=say, quiet=quiet)
    split = split_table(table, protocol, options, scheme)  # refuses what does not fit before the audio is read
    if write_folds is not None:
        save_folds(write_folds, split.frame, split.folds)
    sound = measure_audio(table, space, jobs, quiet) if audio else None
    if sound is not None:
        write_copies(space, dataset, table.sha256, sound.copies)
        split = replace(split, table=replace(table, copies=sound.copies))
    audit = examine(split, scheme, sound, longest, [*store_findings(space, split), *more])
    took = Time(started=started.isoformat(timespec="seconds"), seconds=round(time.monotonic() - clock, 3))
    record = audit.record(options, took)
    path = space.results / f"audit-{dataset}-{split.protocol}.json"
    write_json(path, record)
    return record, path


def examine(
    split: SplitTable, scheme: str, sound: Sound | None, longest: float = LONGEST, more: Sequence[Finding] = ()
) -> Audit:
    """Find all that could make numbers of these folds mislead.

    Args:
        sound: see `ser.audit.measurements.measure_audio`.
        longest: s; longer utterances are a finding.
        more: findings from elsewhere, on feature stores for instance.
    """
    found = leakage(split)
    copies = split.table.copies if sound is None else sound.copies
    judged: SharingVerdict | None = None
    try:
        judged = judge_folds(split.table.dataset, split.protocol, split.frame, split.folds, copies)
    except CorpusError as error:
        said = f"{error.problem}: {error.found}"
        found.append(Finding("broken-promise", ERROR, "the protocol shares what it promises to keep apart", 1, None, said))
    found += [*classes(split), *agreement(split)]
    if sound is not None:
        found += [*recordings(sound, longest), *shared_audio(sound.copies, split)]
    found += [*_corpus(split), *more]
    findings = tuple(sorted(found, key=lambda f: SEVERITIES.index(f.severity)))
    return Audit(split, scheme, sound, findings, judged)


def _corpus(split: SplitTable) -> list[Finding]:
    """Findings that follow from the corpus's own facts."""
    facts, count = split.table.facts, len(split.table.frame)
    found = []
    release = facts.get("utterances_of_release")
    if release is not None and release != count:
        words = f"{release - count:,} are missing" if count < release else f"{count - release:,} more than the release has"
        action = "Compare with others' results on the same utterances only, or complete the corpus."
        found.append(Finding("release-count", WARNING, "not the whole release", count, release, words, action=action))
    if facts.get("synthetic"):
        found.append(Finding("synthetic", INFO, "synthesised audio, no recording of people", count, count))
    silent = int((split.table.frame["path"] == "").sum())
    if silent:
        found.append(Finding("text-only", INFO, "utterances without audio", silent, count))
    return found


def _folds(split: SplitTable) -> list[AuditedFold]:
    """Each fold: its sizes, the test utterances of each class, and the groups that it shares."""
    return [
        AuditedFold(
            name=fold.name,
            train=len(fold.train),
            validation=len(fold.validation),
            test=len(fold.test),
            validation_by=fold.validation_by,
            test_classes=dict(
                zip(split.classes, np.bincount(split.labels[fold.test], minlength=len(split.classes)).tolist(), strict=True)
            ),
            shares={group: s.counts() for group, s in fold_shares(split.frame, fold).items()},
        )
        for fold in split.folds
    ]


def _audio(sound: Sound) -> AuditedAudio:
    rates = Counter(m.rate for m in sound.measured if m.rate)
    return AuditedAudio(
        utterances=len(sound.measured),
        unusable=sum(1 for m in sound.measured if m.fault),
        hours=round(sum(m.seconds for m in sound.measured) / 3600, 4),
        rates={str(rate): n for rate, n in sorted(rates.items())},
        copies=CopyPairs(identical=list(sound.copies.identical), near_identical=list(sound.copies.near_identical)),
    )
