"""Sections on an audit: the data that was checked, then findings by severity, each with the remedy."""

from collections.abc import Iterator
from textwrap import shorten

from ser.audit.record import AuditRecord, Finding
from ser.results.blocks import Block, Facts, Notice, Section, Text
from ser.results.cells import date, many

SEVERITIES = {"error": "Errors", "warning": "Warnings", "info": "Facts"}
SHOWN = 5  # examples of a finding; the record has more
LONG = 60  # characters of an example


def audit_sections(record: AuditRecord) -> list[Section]:
    """An overview, and a section for each severity that there is."""
    counts = record.counts
    lead = "No errors, no warnings."
    if counts.error or counts.warning:
        lead = f"{many(counts.error, 'error')}, {many(counts.warning, 'warning')}."
    found = [Section("Audit", [Text(lead, lead=True), Facts("At a glance", _facts(record))])]
    for severity, title in SEVERITIES.items():
        own = [f for f in record.findings if f.severity == severity]
        blocks: list[Block] = [Notice(_heading(f), list(_lines(f)), warning=severity != "info") for f in own]
        found += [Section(f"{title} ({len(own)})", blocks)] if own else []
    return found


def _facts(record: AuditRecord) -> list[tuple[str, str]]:
    sizes = [fold.test for fold in record.folds]
    each = f"{min(sizes):,}" if len(set(sizes)) == 1 else f"{min(sizes):,} to {max(sizes):,}"
    tested = f"{each} test utterances" + (" each" if len(sizes) > 1 else "")
    return [
        ("dataset", f"{record.dataset}, {record.utterances:,} utterances in use (scheme {record.scheme})"),
        ("classes", ", ".join(f"{name} {n:,}" for name, n in record.classes.items())),
        ("protocol", f"{record.protocol}: {many(len(sizes), 'fold')}, {tested}"),
        ("audio", _audio(record)),
        ("date", f"{date(record.time.started)} UTC"),
        ("command", record.command),
    ]


def _audio(record: AuditRecord) -> str:
    audio = record.audio
    if audio is None:
        silent = any(f.kind == "text-only" and f.count == f.of for f in record.findings)
        return "none" if silent else "not looked at"
    rates = ", ".join(f"{rate} Hz" for rate in audio.rates)
    unusable = f", {audio.unusable:,} cannot be used" if audio.unusable else ""
    return f"{audio.utterances:,} utterances, {audio.hours:.2f} h, {rates or 'none readable'}{unusable}"


def _heading(finding: Finding) -> str:
    share = f" of {finding.of:,}, {100 * finding.count / finding.of:.1f} %" if finding.of else ""
    return f"{finding.what}: {finding.count:,}{share}"


def _lines(finding: Finding) -> Iterator[str]:
    """The numbers of a finding, its examples, and the remedy."""
    if finding.detail:
        yield finding.detail
    if finding.examples:
        shown = [shorten(example, LONG, placeholder=" ...") for example in finding.examples[:SHOWN]]
        yield "e.g. " + "; ".join(shown) + ("; ..." if len(finding.examples) > len(shown) else "")
    if finding.action:
        yield f"What to do: {finding.action}"
