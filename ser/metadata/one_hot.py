"""Labels in columns of their own, one for each class, that hold a 1 where a row is of it."""

import re
from collections.abc import Sequence

from ser.metadata.labels import SYNONYMS, from_word
from ser.metadata.table_files import RawRow
from ser.metadata.words_in_cells import said

_OFF, _ON = ("", "0", "0.0", "false", "no", "n", "f"), ("1", "1.0", "true", "yes", "y", "t", "x")
_PREFIX = re.compile(r"(?:emotion|emo|label|class|is)[\s_-]+(?=\S)", re.IGNORECASE)


def find_columns(rows: Sequence[RawRow], keys: Sequence[str]) -> dict[str, str]:
    """Columns of classes, and the label that each stands for; {} where there are none.

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


def label_of(row: RawRow, classes: dict[str, str]) -> str:
    """The classes of the columns that hold a mark; several are refused as several labels in one cell are."""
    return ";".join(classes[key] for key in _marked(row, list(classes)))


def _marked(row: RawRow, keys: Sequence[str]) -> list[str]:
    return [key for key in keys if said(row.get(key)).lower() in _ON]
