"""The labels that people write into a table: one spelling for each, several in one cell, columns of classes, and votes."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ser.errors import CorpusError
from ser.files import parse_json
from ser.metadata.labels import SYNONYMS, from_word, is_strange, note_strange, one_spelling, several
from ser.metadata.parsing import LOG, few
from ser.metadata.table_files import RawRow
from ser.metadata.words_in_cells import as_label, is_missing, number_of, said, words_of_list

_OFF, _ON = ("", "0", "0.0", "false", "no", "n", "f"), ("1", "1.0", "true", "yes", "y", "t", "x")
_PREFIX = re.compile(r"(?:emotion|emo|label|class|is)[\s_-]+(?=\S)", re.IGNORECASE)


class Spelling:
    """One spelling for each label of a table: those that differ in case or encoding only become the commonest.

    Args:
        rows: with `emotion` and `label` as they are in the file.
        where: the file, for errors.
        plural: true where the column is called `labels`: its cells may hold several, which are kept with `;` between them.

    Raises:
        CorpusError: a cell of another column holds several labels.
    """

    def __init__(self, rows: Sequence[RawRow], where: object, plural: bool = False) -> None:
        labels, emotions = [label_of(row) for row in rows], [as_label(row.get("emotion")) for row in rows]
        self._several: dict[str, str] = {}
        if plural:
            cells = {as_label(row.get("label")) for row in rows}
            self._several = {c: ";".join(dict.fromkeys(parts)) for c in cells if (parts := _in_one_cell(c)) is not None}
            labels = ["" if word in self._several else word for word in labels]
        both = labels + [emotion for label, emotion in zip(labels, emotions, strict=True) if emotion != label]
        self._missing = Counter(word for word in both if is_missing(word))
        del self._missing[""]
        counts = Counter(word for word in both if word and word not in self._missing)
        many = {word: parts for word in counts if (parts := several(word, counts))}
        if many:
            row, word = next((k, w) for k, pair in enumerate(zip(labels, emotions, strict=True), 1) for w in pair if w in many)
            parts = many[word]
            raise CorpusError(
                f"{where}, row {row}: {word!r} is several labels (rows of this kind: {sum(counts[w] for w in many)})",
                expected="one label in each row",
                action="Keep the main emotion there, and give the shares of all in a column votes "
                f"({json.dumps({from_word(p): round(1 / len(parts), 2) for p in parts})}); or call the column labels, and "
                "train with --target labels; or leave such rows out.",
            )
        self._spelt = one_spelling(counts.elements())
        self._changed = [(kept, word) for word, kept in self._spelt.items() if word != kept]
        self._strange = [word for word in dict.fromkeys(self._spelt.values()) if is_strange(word)]

    def of(self, word: str) -> str:
        """The spelling that is kept; "" for a word that stands for no label."""
        return "" if word in self._missing else self._several.get(word, self._spelt.get(word, word))

    def emotion_of(self, cell: object, label: str) -> str:
        """The canonical emotion of a row: that of its cell, or else of its label; "" of several labels without a main one."""
        word = self.of(as_label(cell)) or ("" if ";" in label and label in self._several.values() else label)
        return from_word(word) if word else ""

    def note(self) -> None:
        """Say what was changed."""
        if self._missing:
            LOG.warning("read as no label: %s", few(f"{word!r} {n}" for word, n in self._missing.most_common()))
        for kept, word in self._changed:
            LOG.warning("labels that differ in case only are one: %s, %s", kept, word)
        note_strange("labels", self._strange)


def label_of(row: RawRow) -> str:
    """The label of a row as its cells have it, or else its emotion."""
    return as_label(row.get("label")) or as_label(row.get("emotion"))


def _in_one_cell(cell: str) -> list[str] | None:
    """The labels of a cell of a column of several: with `;` or as a list whatever they are called, else as `several`.

    None for one label.

    >>> _in_one_cell("anger;grumpy;"), _in_one_cell(";"), _in_one_cell("sad, calm"), _in_one_cell("well-known, loud")
    (['anger', 'grumpy'], [], ['sad', 'calm'], None)
    >>> _in_one_cell('["a", "unknown", "b"]')
    ['a', 'b']
    """
    words = cell.split(";") if ";" in cell and words_of_list(cell) is None else several(cell)
    parts = [part for word in words if (part := word.strip().strip("'\"[](){}").strip()) and not is_missing(part)]
    return parts if words else None


def votes_of(given: Any) -> Any:
    """Votes by emotion word, shares or counts, or a list of the words, as shares by canonical emotion; others as they are."""
    if isinstance(given, str) and given.startswith("{"):
        with suppress(ValueError):
            given = parse_json(given)
    words = None if isinstance(given, dict) else words_of_list(said(given))
    # A word for each annotator; numbers in a list do not say which emotions they are of.
    if words is not None and not any(isinstance(number_of(word, 1), float) for word in words):
        given = dict(Counter(word for word in words if not is_missing(word)))
    if not isinstance(given, dict) or not all(type(n) in (int, float) and n >= 0 for n in given.values()):
        return None if is_missing(said(given)) else given
    votes: dict[str, float] = {}
    for word, number in given.items():
        votes[from_word(word)] = votes.get(from_word(word), 0.0) + number
    total = max(1.0, sum(votes.values()))
    return {emotion: round(n / total, 6) for emotion, n in votes.items() if n} or None


def class_columns(rows: Sequence[RawRow], keys: Sequence[str]) -> dict[str, str]:
    """The columns that hold a 1 where a row is of a class, and the label that each stands for; {} where there are none.

    Columns are called like emotions (`angry`, `emotion_angry`, `is_angry`), or have one prefix and a mark in exactly one of
    them in each row (`emotion_froh`). A column of another name (`whispered`) is one where it has the only mark of each
    row that would have none.

    Args:
        keys: the columns that have no other use.
    """
    classes = {key: _PREFIX.sub("", key.strip(), count=1) for key in keys}
    flags = [key for key in keys if all(said(row.get(key)).lower() in (*_OFF, *_ON) for row in rows)]
    emotions = [key for key in keys if from_word(classes[key]) != "other"]
    if len(emotions) >= 2:
        if not set(emotions) <= set(flags):
            return {}  # shares or counts of votes
        found = emotions + [key for key in keys if classes[key].lower() in SYNONYMS["other"] and key in flags]
        more = [key for key in flags if key not in found]
        bare = [_marked(row, more) for row in rows if not _marked(row, found)]
        used = {key for marked in bare for key in marked}
        apart = not any(used & {*_marked(row, more)} for row in rows if _marked(row, found))
        if bare and all(len(marked) == 1 for marked in bare) and apart:
            found += [key for key in more if key in used]
    else:
        found = [key for key in flags if classes[key] != key.strip()]
        if len(found) < 2 or any(len(_marked(row, found)) != 1 for row in rows):
            return {}
    return {key: classes[key] for key in found}


def marked_classes(row: RawRow, classes: dict[str, str]) -> str:
    """The classes of the columns that hold a mark; several are refused as several labels in one cell are."""
    return ";".join(classes[key] for key in _marked(row, list(classes)))


def _marked(row: RawRow, keys: Sequence[str]) -> list[str]:
    return [key for key in keys if said(row.get(key)).lower() in _ON]
