"""What corpora there are, told from the plugins' own constants."""

import re

from ser import registry
from ser.metadata import ledger
from ser.metadata.table import CORPORA, Corpus, corpus


def listing() -> list[str]:
    """A line a plugin below a header: name, language, utterances and sentences of the release, title, licence in brief."""
    head = ("name", "language", "utterances", "sentences", "title", "licence")
    rows = [head]
    for name in registry.names(CORPORA):
        facts = corpus(name)
        utterances, sentences = (f"{n:,}" if n is not None else "-" for n in (facts.UTTERANCES, facts.SENTENCES))
        licence = re.split(r" \(|; ", facts.LICENCE)[0]
        rows.append((name, _languages(facts) or "-", utterances, sentences, facts.TITLE, licence))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def description(name: str) -> list[str]:
    """Everything a plugin says of its corpus.

    Raises:
        ConfigError: there is no such plugin.
    """
    facts = corpus(name)
    free = "not known" if not facts.URL else "free speech"
    release = getattr(facts, "RELEASE", "")
    labels: dict[str, list[str]] = {}
    for label, emotion in facts.LABELS.items():
        labels.setdefault(emotion or "no emotion", []).append(label)
    lines = [
        facts.TITLE,
        "",
        f"release     {release}" if release else "",
        f"utterances  {facts.UTTERANCES:,}" if facts.UTTERANCES is not None else "",
        f"sentences   {facts.SENTENCES if facts.SENTENCES is not None else free}",
        f"language    {_languages(facts) or 'not known'}",
        f"licence     {facts.LICENCE}",
        f"citation    {facts.CITATION}",
        f"see         {facts.URL}" if facts.URL else "",
        "labels      " + "; ".join(f"{emotion}: {', '.join(words)}" for emotion, words in labels.items()),
    ]
    lines = [lines[0], "", *(line for line in lines[2:] if line)]
    lines += ["", "expected tree", *(f"    {line}" for line in facts.TREE.strip("\n").splitlines())]
    saw = ledger.encoders_that_saw(name)
    if saw:
        lines += ["", "encoders that have seen it", *(f"    in {kind}: {', '.join(who)}" for kind, who in saw.items())]
    notes = getattr(facts, "NOTES", ())
    return lines + (["", "to know", *(f"  - {note}" for note in notes)] if notes else [])


def _languages(facts: Corpus) -> str:
    return ", ".join(getattr(facts, "LANGUAGES", ())) or facts.LANGUAGE
