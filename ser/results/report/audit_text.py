"""An audit as text for the terminal. Pure and light: record in, text out."""

import textwrap
from collections.abc import Sequence
from typing import Any

from ser.results.report.tables import grid

SEVERITIES = (("error", "errors"), ("warning", "warnings"), ("info", "facts"))
SHOWN = 5  # examples of a finding on the terminal; the JSON has more
LONG = 60  # characters of an example
WIDTH = 110


def audit_text(record: dict[str, Any]) -> str:
    """An audit for the terminal: what was looked at, then findings by severity, each with what to do."""
    parts = [_head(record)]
    for severity, plural in SEVERITIES:
        found = [f for f in record["findings"] if f["severity"] == severity]
        if found:
            parts.append("\n".join([f"{plural} ({len(found)})", *_findings(found)]))
    if not record["counts"]["error"] and not record["counts"]["warning"]:
        parts.append("no errors, no warnings")
    return "\n\n".join(parts)


def _head(record: dict[str, Any]) -> str:
    tested = sum(fold["test"] for fold in record["folds"])
    least = min(fold["test"] for fold in record["folds"])
    most = max(fold["test"] for fold in record["folds"])
    each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    sizes = f"{tested:,} test utterances" if len(record["folds"]) == 1 else f"{each} test utterances each"
    counts = ", ".join(f"{name} {n:,}" for name, n in record["classes"].items())
    rows = [
        ["dataset", f"{record['dataset']}, {record['utterances']:,} utterances in use (scheme {record['scheme']})"],
        ["classes", counts],
        ["protocol", f"{record['protocol']}: {_many(len(record['folds']), 'fold')}, {sizes}"],
        ["audio", _audio(record)],
    ]
    return "\n".join(f"{name:<9} {value}" for name, value in rows)


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _audio(record: dict[str, Any]) -> str:
    audio = record["audio"]
    if audio is None:
        silent = any(f["kind"] == "text-only" and f["count"] == f["of"] for f in record["findings"])
        return "none" if silent else "not looked at"
    rates = ", ".join(f"{rate} Hz" for rate in audio["rates"])
    unusable = f", {audio['unusable']:,} cannot be used" if audio["unusable"] else ""
    return f"{audio['utterances']:,} utterances, {audio['hours']:.2f} h, {rates or 'none readable'}{unusable}"


def _findings(found: Sequence[dict[str, Any]]) -> list[str]:
    """A line a finding, and below it its numbers, its examples and what to do."""
    rows = grid([[f["what"], f"{f['count']:,}", *_share(f)] for f in found])
    lines = []
    for row, finding in zip(rows, found, strict=True):
        lines.append(f"  {row}")
        if finding["detail"]:
            lines += _wrapped(finding["detail"], "      ")
        if finding["examples"]:
            lines += _wrapped(_examples(finding), "      ")
        if finding["action"]:
            lines += _wrapped(finding["action"], "      -> ")
    return lines


def _share(finding: dict[str, Any]) -> tuple[str, str]:
    """Of how many, and what share that is."""
    if not finding["of"]:
        return "", ""
    return f"of {finding['of']:,}", f"{100 * finding['count'] / finding['of']:.1f} %"


def _examples(finding: dict[str, Any]) -> str:
    shown = [textwrap.shorten(example, LONG, placeholder=" ...") for example in finding["examples"][:SHOWN]]
    return "e.g. " + "; ".join(shown) + ("; ..." if len(finding["examples"]) > len(shown) else "")


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent), break_long_words=False
    )
