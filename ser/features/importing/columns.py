"""The use of each column of a table of features: ids, labels, facts of an utterance, features. None is a feature by chance."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ser.errors import ConfigError, CorpusError
from ser.metadata.column_names import ALIASES, choose, plain
from ser.metadata.parsing import few
from ser.metadata.schema import COLUMNS
from ser.metadata.words_in_cells import is_missing

# Facts of the utterance that go into the table. (`valence` or `duration` may be features as well: neither, unless asked.)
FACTS = ("path", "text", "speaker", "gender", "session", "dialogue", "turn", "language", "split")
KNOWN = {*COLUMNS, "frame_time", *(alias for aliases in ALIASES.values() for alias in aliases)}
# Words that are in the names of counts and targets, and hardly in those of features.
_STRANGE = {"id", "ids", "idx", "index", "fold", "folds", "target", "targets", "label", "labels", "emotion", "unnamed", "y"}
INDEX = "A row index is left out with pandas' index=False."


@dataclass(frozen=True)
class Columns:
    """Names of columns by their use.

    Attributes:
        ids, labels: None where there are none.
        facts: the table's column -> the file's.
        features: those that were named, or all others.
        left_out: known columns that are not features and have no other use.
    """

    ids: str | None
    labels: str | None
    facts: dict[str, str]
    features: list[str]
    left_out: list[str]

    @property
    def words(self) -> list[str]:
        """Columns that are read as texts."""
        return [name for name in (self.ids, self.labels, *self.facts.values()) if name is not None]


def assign(
    names: Sequence[str],
    header: bool,
    where: object,
    id_column: str | None = None,
    label: str | None = None,
    columns: Sequence[str] | None = None,
) -> Columns:
    """Find the use of each column.

    Args:
        names: of all columns; without a header, their numbers.
        where: the file, for errors.
        id_column, label: name or number.
        columns: the features: names, numbers, FIRST:LAST; None takes all that are neither known nor strange.

    Raises:
        ConfigError: no such column, or one that is given twice.
        CorpusError: no features, or a column that may be anything and is not named.
    """
    if not names:
        raise CorpusError(f"{where} has no columns", expected="a table of features")
    known = choose(names)[0] if header else {}
    labels = _take(label, names, where) or known.get("label") or known.get("emotion")
    ids = _take(id_column, names, where) or known.get("utterance_id")
    asked = None if columns is None else _several(columns, names, where)
    if ids is None and names[0] == "" and (asked is None or "" not in asked):
        ids = ""  # as pandas writes an index without a name
    facts = {name: known[name] for name in FACTS if name in known and known[name] not in (labels, ids, *(asked or ()))}
    used = {labels, ids, *facts.values()}
    if asked is not None:
        twice = next((name for name in asked if name in used), None)
        if twice is not None:
            raise ConfigError(f"{where}: column {twice!r} is not a feature", expected="--columns without ids and labels")
        return Columns(ids, labels, facts, asked, [])
    rest = [name for name in names if name not in used]
    left_out = [name for name in rest if header and plain(name) in KNOWN]
    features = [name for name in rest if name not in left_out]
    strange = [name for name in features if header and _is_strange(name)]
    if strange:
        raise CorpusError(
            f"{where}: " + (f"is column {strange[0]!r} a feature?" if strange[0] else "a column has no name"),
            expected="columns of features, and those that a table of utterances has",
            found=few(map(repr, strange)),
            action="Name the features with --columns (f0:f99). " + INDEX,
        )
    if not features:
        raise CorpusError(f"{where}: there is no column of features", found=few(map(repr, names)))
    return Columns(ids, labels, facts, features, left_out)


def of_words(labels: list[str], emotions: list[str]) -> list[str]:
    """Labels, or the emotions beside them where these are words and the labels are the numbers of classes.

    >>> of_words(["0", "1"], ["sad", "angry"]), of_words(["h", "a"], ["happy", "angry"])
    (['sad', 'angry'], ['h', 'a'])
    """
    numbers = all(re.fullmatch(r"[-+]?\d+(\.0*)?", word) or is_missing(word) for word in labels)
    return emotions if numbers and any(re.search(r"[^\W\d]{2}", word) for word in emotions) else labels


def numbered(asked: str, count: int, where: object) -> int:
    """Find the number of a column that is given by number, from 0; from -1 backwards.

    Raises:
        ConfigError: it is not a number, or there is no such column.
    """
    try:
        number = int(asked)
    except ValueError:
        raise ConfigError(f"{where}: there is no column {asked!r}", expected="its name, or its number") from None
    if not -count <= number < count:
        raise ConfigError(f"{where}: there is no column {number}", expected=f"one of {count}")
    return number % count


def _take(asked: str | None, names: Sequence[str], where: object) -> str | None:
    if asked is None or asked in names:
        return asked
    return names[numbered(asked, len(names), where)]


def _several(asked: Sequence[str], names: Sequence[str], where: object) -> list[str]:
    """Resolve names, numbers and ranges to columns, in the same order.

    >>> _several(["f1", "f3:-1"], ["id", "f1", "f2", "f3", "f4"], "")
    ['f1', 'f3', 'f4']
    """
    found: list[str] = []
    for word in asked:
        first, colon, last = word.partition(":")
        if word in names or not colon:
            found.append(_take(word, names, where) or "")
            continue
        begin, end = (names.index(_take(edge, names, where) or "") for edge in (first, last))
        if begin > end:
            raise ConfigError(f"{where}: --columns {word}", expected="FIRST:LAST")
        found += names[begin : end + 1]
    return list(dict.fromkeys(found))


def _is_strange(name: str) -> bool:
    """True for a name that is empty, or has a word that hardly a feature has.

    >>> [_is_strange(name) for name in ("labelId", "f0", "mfcc_3", "Unnamed: 0")]
    [True, False, False, True]
    """
    words = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    return not name or not _STRANGE.isdisjoint(words)
