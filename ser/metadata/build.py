"""From a corpus folder to its table in the workspace: parse it, measure the audio, report, write."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ser import registry
from ser.errors import ConfigError, CorpusError, NoCorpus
from ser.metadata.column_names import plain
from ser.metadata.corpus import CORPORA, absent, corpus, parse_corpus
from ser.metadata.durations import Unusable, measure, refuse_all_unusable
from ser.metadata.folds.fold_file import Line, write_folds
from ser.metadata.parsing import LOG
from ser.metadata.schema import COLUMNS, Scale, TableFacts, check_name, is_dimension, outside_scales
from ser.metadata.table import Table, emotions_in_words, load_table, speakers_in_words, table_of_columns, write_table
from ser.metadata.table_files import EXCEL, JSON_LINES, OTHER_SHEETS
from ser.workspace import Workspace

Say = Callable[[str], None]
SUFFIXES = dict.fromkeys((".csv", ".tsv", ".tab", *EXCEL), "csv") | dict.fromkeys(JSON_LINES, "jsonl")


@dataclass(frozen=True, eq=False)
class Built:
    """A table that was just made, and notes for its user.

    Attributes:
        table: with durations; not yet written.
        notes: on files that the plugin left out.
        unusable: audio files that cannot be read, or cannot be named in a table.
        folds: published folds that came with it.
    """

    table: Table
    notes: list[str]
    unusable: Unusable
    folds: tuple[Line, ...] = ()


def plugin_for(dataset: str, source: Path, plugin: str | None = None) -> str:
    """Choose the corpus plugin for a source: the one named, else by a file's ending, else the one called like the dataset.

    Raises:
        ConfigError: none of them is a plugin.
        CorpusError: there is no such source, and no plugin that describes one.
    """
    kinds = SUFFIXES | dict.fromkeys(OTHER_SHEETS, "csv")  # refused there, with what to do
    name = (
        (plugin and registry.resolve(CORPORA, plugin))
        or (kinds.get(source.suffix.lower()) if source.is_file() else None)
        or dataset
    )
    if not registry.has(CORPORA, name):
        if not source.exists():
            raise NoCorpus(absent(source), expected="a corpus folder after --root, or a table file after --from")
        if not (source.is_file() or source.is_dir()):
            raise CorpusError(f"{source} is neither a regular file nor a folder")
        if source.is_file():
            raise ConfigError(
                f"{source}: unknown kind of table {source.suffix!r}",
                expected=f"a file ending in {', '.join(SUFFIXES)}",
                action="Or say how to read it with --format csv or --format jsonl.",
            )
        error = registry.unknown("corpus", name, registry.names(CORPORA))
        near = f"{error.action} " if error.action else ""
        hint = f"For a corpus of your own: ser metadata --dataset {dataset} --format folder --root DIR"
        raise ConfigError(error.problem, expected=error.expected, action=near + hint)
    return name


def build(
    dataset: str,
    root: Path,
    plugin: str | None = None,
    quiet: bool = False,
    ratings: Sequence[str] = (),
    votes_of: str | None = None,
    audio: Path | None = None,
) -> Built:
    """Parse a corpus and measure its audio; nothing is written.

    Args:
        dataset: the table's name.
        root: the corpus folder, or the file for plugins that read one.
        plugin: the one that parses it; see `plugin_for`.
        ratings: `NAME:LOW:HIGH`, columns of numbers that a table of one's own has, with the ends of their scales.
        votes_of: whose votes, of a corpus with several kinds; None: its first.
        audio: the folder that the paths in a table of one's own are relative to; None: the table's.

    Raises:
        ConfigError: ratings that are not so written, votes that the corpus does not have, or a folder of audio for a corpus
            that knows its own.
        CorpusError: the folder is not as the plugin expects, a row is not valid, or none of its audio can be read.
    """
    check_name(dataset)
    stated = [parse_rating(text) for text in ratings]
    scales = dict(stated)
    if len(scales) < len(stated):
        raise ConfigError(f"--rating {' --rating '.join(ratings)}", expected="each column once")
    with _notes() as (notes, unnamed):
        name = plugin_for(dataset, root, plugin)
        parsed = parse_corpus(name, root, dataset, scales, votes_of, audio)
        published = getattr(corpus(name), "folds", None)
        folds = tuple(published(root)) if published else ()
        frame, unusable, form = measure(parsed.frame, parsed.root, quiet)
    refuse_all_unusable(unusable, parsed.root, parsed.facts["title"])
    for reason, path in unnamed:
        unusable.files += 1
        unusable.add(reason, path)
    notes += outside_scales(frame, parsed.facts, scales)
    facts: TableFacts = {**parsed.facts, "notes": notes, "unreadable": {r: len(p) for r, p in unusable.reasons.items()}}
    if form is not None:
        facts["audio"] = form
    cells = {str(name): column for name, column in frame.items()}
    return Built(table_of_columns(cells, len(frame), dataset, facts), notes, unusable, folds)


def parse_rating(text: str) -> tuple[str, Scale]:
    """A column of ratings and its scale, of `NAME:LOW:HIGH`."""
    name, _, ends = text.partition(":")
    name = plain(name)
    try:
        low, high = map(float, ends.split(":"))
    except ValueError:
        low = high = 0.0
    if -math.inf < high < low < math.inf:
        raise ConfigError(f"--rating {text}: the ends are reversed", expected=f"NAME:LOW:HIGH, as {name}:{high:g}:{low:g}")
    if name in COLUMNS and not is_dimension(name):
        raise ConfigError(
            f"--rating {text}: {name} is a column with another meaning",
            expected="a name of its own for the column of ratings",
            action="Rename that column in the table.",
        )
    if not is_dimension(name) or not -math.inf < low < high < math.inf:
        raise ConfigError(
            f"--rating {text}",
            expected="NAME:LOW:HIGH, a column of numbers that is not otherwise used, and the ends of its scale, as valence:1:7",
        )
    return name, {"low": low, "high": high}


def keep(built: Built, workspace: Workspace) -> Path:
    """Write a table into the workspace, with the folds that came with it; returns the table's path."""
    folds = workspace.folds(built.table.dataset)
    if built.folds:
        write_folds(folds, built.folds)
    else:
        folds.unlink(missing_ok=True)  # of an earlier table of that name
    return write_table(built.table, workspace)


def ensure_table(
    dataset: str, workspace: Workspace, root: Path | None = None, say: Say | None = None, quiet: bool = False
) -> Table:
    """Load the dataset's table, or make it from the root and write it into the workspace.

    A table made from another root is kept; its audio is then looked for below the root given here, for this call.

    Args:
        root: the corpus folder; None where the table is already there.
        say: called with each line that a user should see; by default a warning is logged.

    Raises:
        CorpusError: there is neither a table nor a root, or the corpus cannot be parsed.
    """
    inform = say or LOG.warning
    if workspace.table(dataset).is_file() or root is None:
        table = load_table(dataset, workspace)
        return table if root is None else _moved(table, root, inform)
    built = build(dataset, root, quiet=quiet)
    path = keep(built, workspace)
    for line in summary_lines(built, path) + ([built.unusable.line(built.table.root)] if built.unusable else []):
        inform(line)
    return replace(built.table, path=path)


def replaced(built: Built, workspace: Workspace) -> list[str]:
    """Say what a table that was just made replaces: no line where the one before has the same plugin, root and ids."""
    new, lines = built.table, []
    if new.dataset != new.facts.get("corpus") in SUFFIXES.values() and registry.has(CORPORA, new.dataset):
        lines.append(
            f"{new.dataset} is the name of a corpus that ser knows, and this is a table of one's own: --dataset with another "
            "name keeps both"
        )
    try:
        old = load_table(new.dataset, workspace)
    except CorpusError:  # none, or a damaged one
        return lines
    gone = len(set(old.ids) - set(new.ids))
    if (old.facts.get("corpus"), old.facts.get("root"), gone) == (new.facts.get("corpus"), new.facts.get("root"), 0):
        return lines
    lost = [name for name in old.columns if old.has(name) and not (name in new.columns and new.has(name))]
    by = f" by {old.facts['corpus']}" if old.facts.get("corpus") else ""
    lines.append(f"this replaces the table made{by} from {old.root}" + (f", without its {', '.join(lost)}" if lost else ""))
    if gone:
        again = f"; features in {workspace.features(new.dataset)} are of those: ser extract --dataset {new.dataset}"
        known = again if workspace.stores(new.dataset) else ""
        lines.append(f"{gone} of its {len(old.ids)} utterance ids are not in the new one{known}")
    return lines


def _moved(table: Table, root: Path, inform: Say) -> Table:
    here = (root if root.is_dir() else root.parent).resolve()
    again = f"To make the table again: ser metadata --dataset {table.dataset}"
    made_by = table.facts.get("corpus")
    if made_by and made_by != table.dataset and root.is_dir() and registry.has(CORPORA, table.dataset):
        inform(
            f"{table.dataset}: the table in use was made by {made_by}, not by {table.dataset}. "
            f"{again} --root {root}; to keep both, give one another name."
        )
    if table.facts.get("root") and table.root != here:
        inform(
            f"{table.dataset}: the table was made from {table.root}; its audio is now read below {here}. "
            f"{again} {_source_option(table, root)}"
        )
    return replace(table, facts={**table.facts, "root": str(here)})


def _source_option(table: Table, root: Path) -> str:
    """The option of `ser metadata` that reads the table's source again, where its folder is now the root."""
    plugin = str(table.facts.get("corpus", table.dataset))
    if plugin in SUFFIXES.values():
        return f"--from FILE --root {root}" if root.is_dir() else f"--from {root}"
    return f"--root {root}" + ("" if plugin == table.dataset else f" --format {plugin}")


def summary_lines(built: Built, path: Path) -> list[str]:
    """Lines for people: the content of the table, its differences from the release, files that were left out."""
    frame, facts = built.table.frame, built.table.facts
    counts = facts["counts"]
    languages = ", ".join(sorted(set(frame["language"]) - {""})) or "language not known"
    speakers = speakers_in_words(counts["speakers"])
    length = f"{counts['hours']:.2f} h" if counts["hours"] else "length not known"
    lines = [
        f"{path}: {len(frame)} utterances, {speakers}, {length}, {languages}",
        "emotions: " + ", ".join(f"{e} {n}" for e, n in emotions_in_words(frame).items()),
        f"licence: {facts['licence']}",
        *_difference(len(frame), facts.get("utterances_of_release")),
    ]
    unknown = int((frame["speaker"] == "").sum())
    if counts["speakers"] and unknown:
        lines.append(f"without a speaker: {unknown} of {len(frame)} utterances")
    silent = int((frame["path"] == "").sum())
    if silent:
        lines.append(f"without audio: {silent} of {len(frame)} utterances (text only)")
    if built.folds:
        names = list(dict.fromkeys(fold for fold, _, _ in built.folds))
        lines.append(f"folds: {len(names)} published, kept beside the table; --protocol emobox takes them")
    return lines + [f"note: {note}" for note in built.notes]


def _difference(found: int, release: int | None) -> list[str]:
    if release is None or found == release:
        return []
    differs = f"{release - found} are missing" if found < release else f"{found - release} more than the release has"
    return [f"the release has {release} utterances, {found} were found: {differs}"]


@contextmanager
def _notes() -> Iterator[tuple[list[str], list[tuple[str, str]]]]:
    """Collect what plugins note while the block runs: lines, and files that cannot be used with their reasons."""
    notes: list[str] = []
    unusable: list[tuple[str, str]] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            file = getattr(record, "unusable", None)
            if file is None:
                notes.append(record.getMessage())
            else:
                unusable.append(file)

    handler, propagate = Collect(), LOG.propagate
    LOG.addHandler(handler)
    LOG.propagate = False
    try:
        yield notes, unusable
    finally:
        LOG.removeHandler(handler)
        LOG.propagate = propagate
