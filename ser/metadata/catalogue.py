"""What corpora there are, told from the plugins' own constants."""

from ser import registry
from ser.metadata.table import CORPORA, corpus


def listing() -> list[str]:
    """A line a plugin below a header: name, language, utterances and sentences of the release, licence, title."""
    head = ("name", "language", "utterances", "sentences", "licence", "title")
    rows = [head]
    for name in registry.names(CORPORA):
        facts = corpus(name)
        utterances, sentences = (f"{n:,}" if n is not None else "-" for n in (facts.UTTERANCES, facts.SENTENCES))
        rows.append((name, facts.LANGUAGE or "-", utterances, sentences, facts.LICENCE, facts.TITLE))
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
        f"language    {facts.LANGUAGE or 'not known'}",
        f"licence     {facts.LICENCE}",
        f"citation    {facts.CITATION}",
        f"see         {facts.URL}" if facts.URL else "",
        "labels      " + "; ".join(f"{emotion}: {', '.join(words)}" for emotion, words in labels.items()),
    ]
    lines = [lines[0], "", *(line for line in lines[2:] if line)]
    lines += ["", "expected tree", *(f"    {line}" for line in facts.TREE.strip("\n").splitlines())]
    notes = getattr(facts, "NOTES", ())
    return lines + (["", "to know", *(f"  - {note}" for note in notes)] if notes else [])
