"""A corpus as a plugin: its facts, its parser, and its description for people."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, Protocol, cast

from ser import registry
from ser.errors import ConfigError, CorpusError, NoCorpus
from ser.metadata import ledger
from ser.metadata.parsing import canonical, files_below, in_columns, left_out, stem
from ser.metadata.schema import Row, Scale, TableFacts
from ser.metadata.table import Table, columns_of_rows, table_of_columns
from ser.registry import unknown

CORPORA = "ser.metadata.corpora"


class Corpus(Protocol):
    """The contents of a plugin in `ser/metadata/corpora/`: facts as constants, then `parse` and `example`.

    A row that `parse` yields has at least `utterance_id` and `label`; None is an empty cell, votes are a dict. Its `emotion` is
    that of the label in `LABELS`, unless the row has one. What `parse` leaves out it notes (`ser.metadata.parsing.left_out`).

    A plugin may also have `RELEASE` (which one the facts are of), `NOTES` (a tuple of sentences that a user should know),
    `EMOBOX_FOLDS` (speakers of each test fold of the EmoBox benchmark, in fold order), `LANGUAGES` (where rows differ),
    `VOTES_OF` (whose votes `parse(root, votes_of)` may take, by name, the default first),
    `DIMENSIONS` (the columns of ratings, with the lowest and the highest value of their scale: `{"arousal": (1, 7)}`; a name
    that is not a column of the table becomes one), `PACKAGES` (optional packages that it needs) and `SYNTHETIC` (true: no
    recording of people); and functions: `facts(root)`, entries of the sidecar that differ from the constants, and
    `folds(root)`, published folds as lines of `ser.metadata.folds.fold_file`. The parser of tables of one's own also takes
    `ratings`, the names of columns of numbers to keep.
    """

    TITLE: str
    CITATION: str
    LICENCE: str
    URL: str
    LANGUAGE: str  # ISO 639-1; "" where it differs between rows or is not known
    TREE: str  # the expected layout, as a drawing
    LABELS: dict[str, str]  # the corpus's label -> canonical emotion, "" for one that is not an emotion
    UTTERANCES: int | None  # rows of the whole release
    SENTENCES: int | None  # size of the fixed set of sentences; None where speech is free

    def parse(self, root: Path, **options: Any) -> Iterable[Row]:
        """Read a corpus folder into rows."""
        ...

    def example(self, root: Path) -> Path:
        """Write a tiny corpus in the layout of the release into an empty folder; return what `parse` is given."""
        ...


def named_rows(
    root: Path, pattern: re.Pattern[str], corpus: str, *suffixes: str, name: Callable[[str], str] = stem
) -> Iterator[tuple[Row, re.Match[str]]]:
    """Rows of the audio files that are named as a corpus's are, anywhere below a folder, each name once; note the others.

    Archives are often unpacked into folders of their own, and some public copies hold every file twice.

    Args:
        pattern: of the whole name; groups of it that have a name are columns of the row.
        corpus: of the files, for the note.
        suffixes: lower-case endings; `.wav` by default.
        name: gives the part of a path that the pattern is compared with, and by which copies are recognised.

    Yields:
        The row, with the whole name as its `utterance_id` and the path relative to the root, and the match.
    """
    seen: set[str] = set()
    strange = copies = 0
    for path in files_below(root, *(suffixes or (".wav",))):
        match = pattern.fullmatch(name(path))
        if match is None:
            strange += 1
        elif match[0] in seen:
            copies += 1
        else:
            seen.add(match[0])
            yield cast(Row, {"utterance_id": match[0], "path": path, **match.groupdict()}), match
    left_out(copies, "second copies of a file")
    left_out(strange, f"audio files that are not named as {corpus}'s are")


def corpus(name: str) -> Corpus:
    """The corpus plugin of that name.

    Raises:
        ConfigError: there is none; the message lists those there are.
    """
    return cast(Corpus, registry.load(CORPORA, name))


def absent(path: Path) -> str:
    """Say that a path is not there; of a relative one, at which place it was looked for."""
    return f"there is no {path}" + ("" if path.is_absolute() else f" ({path.resolve()})")


def parse_corpus(
    name: str,
    root: Path,
    dataset: str | None = None,
    ratings: Mapping[str, Scale] | None = None,
    votes_of: str | None = None,
    audio: Path | None = None,
) -> Table:
    """Parse a corpus folder (or file) with a plugin.

    Args:
        name: the plugin.
        root: the corpus folder, or the file for plugins that read one.
        dataset: name of the table; the plugin's name by default.
        ratings: columns of numbers that a table of one's own has, and their scales.
        votes_of: whose votes, of a corpus with several kinds; None: its first.
        audio: the folder that the paths in a table of one's own are relative to; None: the table's.

    Raises:
        ConfigError: ratings of a corpus, which states its own, votes that it does not have, or a folder of audio beside a
            corpus folder.
        CorpusError: the folder is not there, is not laid out as the plugin expects, or its rows are not valid.
    """
    plugin = corpus(name)
    if not root.exists():
        raise NoCorpus(
            f"{plugin.TITLE}: {absent(root)}",
            expected=f"a tree like: {' | '.join(plugin.TREE.strip().splitlines())}",
            action="Give the corpus folder with --root. A table file: ser metadata --dataset NAME --from FILE",
        )
    if ratings and "ratings" not in signature(plugin.parse).parameters:
        raise ConfigError(
            f"--rating: {name} is not a table of one's own; its parser says which columns of ratings there are",
            expected="--from FILE",
        )
    if audio and "audio" not in signature(plugin.parse).parameters:
        raise ConfigError(
            f"--from and --root together: {name} knows where its audio lies",
            expected="one of the two; both only for a table of one's own, whose paths are relative to the folder of --root",
        )
    if audio and not audio.is_dir():
        raise NoCorpus(f"there is no folder {audio}", expected="with --from, the folder that the table's paths are relative to")
    kinds = tuple(getattr(plugin, "VOTES_OF", ()))
    if votes_of is not None and votes_of not in kinds:
        if kinds:
            raise unknown(f"votes of {name}:", votes_of, kinds)
        raise ConfigError(f"--votes {votes_of}: {name} has no votes to choose among", action="Leave --votes out.")
    own: dict[str, Any] = {"ratings": list(ratings)} if ratings else {}
    own |= {"votes_of": votes_of} if votes_of else {}
    own |= {"audio": audio} if audio else {}
    cells, count = columns_of_rows(_whole(row, plugin.LABELS) for row in plugin.parse(root, **own))
    if not count:
        tree = plugin.TREE.strip().splitlines()
        single = root.is_file() and tree[0].startswith("FILE.")  # a table
        raise CorpusError(
            f"{plugin.TITLE}: no utterance found in {root}",
            expected=" with ".join(word.strip() for word in tree[0].split(" ", 1))
            if single
            else f"a tree like: {' | '.join(tree)}",
            found="an empty file" if single and not root.stat().st_size else None,
            action="Give the folder that holds this tree with --root." if root.is_dir() else None,
        )
    facts = _facts(plugin, name, root)
    if audio:
        facts["root"] = str(audio.resolve())
    if ratings:
        facts["dimensions"] = {**facts.get("dimensions", {}), **ratings}
    if kinds:
        facts["votes_of"] = votes_of or kinds[0]
    try:
        return table_of_columns(cells, count, dataset or name, facts)
    except CorpusError as error:
        if not root.is_file():
            raise
        raise CorpusError(f"{root}: {error.problem}", expected=error.expected, found=error.found, action=error.action) from None


def _whole(row: Row, labels: dict[str, str]) -> Row:
    """A row with the emotion of its label, and with accents in one encoding (NFC): the same word is one label and one id.

    Paths stay as they are on the disk.
    """
    if "emotion" not in row:
        label = row.get("label") or ""
        row["emotion"] = canonical(labels, label, row.get("path") or row["utterance_id"]) if label else ""
    return cast(
        Row,
        {
            column: unicodedata.normalize("NFC", cell) if isinstance(cell, str) and column != "path" else cell
            for column, cell in row.items()
        },
    )


def _facts(plugin: Corpus, name: str, root: Path) -> TableFacts:
    facts: TableFacts = {
        "corpus": name,
        "title": plugin.TITLE,
        "release": getattr(plugin, "RELEASE", None),
        "root": str((root if root.is_dir() else root.parent).resolve()),
        "licence": plugin.LICENCE,
        "citation": plugin.CITATION,
        "language": plugin.LANGUAGE,
        "sentences": plugin.SENTENCES,
        "utterances_of_release": plugin.UTTERANCES,
        "synthetic": (root / "SYNTHETIC.txt").is_file(),
    }
    dimensions = getattr(plugin, "DIMENSIONS", {})
    if dimensions:
        facts["dimensions"] = {name: {"low": low, "high": high} for name, (low, high) in dimensions.items()}
    own = getattr(plugin, "facts", None)
    if own:
        facts.update(own(root))
    if facts["synthetic"]:  # the corpus's layout, but nothing of the corpus
        facts["title"] = f"SYNTHETIC speech in the layout of {plugin.TITLE}"
        facts["licence"], facts["citation"] = "none needed: synthesised, no recording of people", ""
        facts["release"] = facts["utterances_of_release"] = None
    return facts


def listing() -> list[str]:
    """A header, then one line for each plugin: name, language, utterances, sentences, title, licence in brief."""
    head = ("name", "language", "utterances", "sentences", "title", "licence")
    rows = [head]
    for name in registry.names(CORPORA):
        facts = corpus(name)
        utterances, sentences = (f"{n:,}" if n is not None else "-" for n in (facts.UTTERANCES, facts.SENTENCES))
        licence = re.split(r" \(|; ", facts.LICENCE)[0]
        rows.append((name, _languages(facts) or "-", utterances, sentences, facts.TITLE, licence))
    return in_columns(rows)


def description(name: str) -> list[str]:
    """Everything a plugin says of its corpus.

    Raises:
        ConfigError: there is no such plugin.
    """
    facts = corpus(name)
    free = "not known" if not facts.URL else "free speech"
    release = getattr(facts, "RELEASE", "")
    scales = "; ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in getattr(facts, "DIMENSIONS", {}).items())
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
        f"dimensions  {scales}" if scales else "",
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
