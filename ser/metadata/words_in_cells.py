"""The words that people write into cells of a table: those that stand for nothing, numbers, lists, genders and splits."""

import re
import unicodedata
from typing import Any

# Words for nothing, in lower case. In texts and ids they may be words like others.
MISSING = frozenset(
    ("", "nan", "na", "n/a", "n.a", "n.a.", "#n/a", "<na>", "null", "none", "nil", "unknown", "undefined", "unlabeled",
     "unlabelled", "no agreement", "no_agreement", "xxx")
)  # fmt: skip
# White space, byte order marks, marks of direction and characters of no width, which other programs leave at the ends.
_UNSEEN = " \t\r\n\v\f\x1c\x1d\x1e\x1f\x85\xa0\xad\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, (*range(0x2000, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065)))
)
_QUOTES = "'\"`\u00b4\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"
GENDERS = {"f": "female", "w": "female", "woman": "female", "female": "female",
           "m": "male", "man": "male", "male": "male"}  # fmt: skip
SPLITS = {"train": "train", "training": "train", "dev": "validation", "val": "validation", "valid": "validation",
          "validation": "validation", "development": "validation", "devel": "validation", "test": "test", "eval": "test",
          "evaluation": "test"}  # fmt: skip

_QUOTED_WORD = r"\"[^\"]*\"|'[^']*'"
_NONE = r"\b(?:null|None|NaN|nan)\b"  # an entry without a word, as JSON, Python or NumPy write it
_QUOTED_WORDS = rf"(?:(?:{_QUOTED_WORD}|{_NONE})\s*(?:,\s*)?)*"


def said(value: Any) -> str:
    """A cell as text without white space and unseen characters at its ends; "" for an empty one."""
    return "" if value is None or value != value else str(value).strip(_UNSEEN)


def cleaned(value: Any) -> Any:
    """A cell as it is, a text without white space and unseen characters at its ends."""
    return value.strip(_UNSEEN) if isinstance(value, str) else value


def is_missing(word: str) -> bool:
    """True for a word that stands for nothing: one of `MISSING`, or punctuation only.

    >>> [is_missing(word) for word in ("NaN", "--", "?", "Unknown", "sad", "A")]
    [True, True, True, True, False, False]
    """
    return word.lower() in MISSING or all(unicodedata.category(c)[0] == "P" for c in word)


def seconds_of(value: Any) -> float | None:
    """Seconds of a time as clocks and subtitles write it, hours or minutes first; None for anything else.

    >>> [seconds_of(text) for text in ("00:16:16,059", "2:03.5", "75:30", "12.5", "1:75")]
    [976.059, 123.5, 4530.0, None, None]
    """
    match = re.fullmatch(r"(?:(\d+):(?=[0-5]?\d:))?(\d+):([0-5]?\d)(?:[,.](\d+))?", said(value))
    if match is None:
        return None
    hours, minutes, seconds, fraction = match.groups(default="0")
    return int(hours) * 3600 + int(minutes) * 60 + float(f"{seconds}.{fraction}")


def words_of_list(cell: str) -> list[str] | None:
    """The words of a cell that is written as a list, as JSON, Python or NumPy do; None for any other cell.

    >>> [words_of_list(cell) for cell in ('["a", "b"]', "['sad' 'calm']", "[0, 2]", '["a", null]', "[]", "[laughs]")]
    [['a', 'b'], ['sad', 'calm'], ['0', '2'], ['a'], [], None]
    """
    if not (cell.startswith("[") and cell.endswith("]")):
        return None
    inner = cell[1:-1].strip()
    if re.fullmatch(_QUOTED_WORDS, inner):
        return [said(one[1:-1]) for one in re.findall(_QUOTED_WORD, inner)]
    parts = [said(part) for part in inner.split(",")]
    if len(parts) < 2 or not all(parts) or set(inner) & set("\"'[]"):
        return None
    return [part for part in parts if not re.fullmatch(_NONE, part)]


def as_label(value: Any) -> str:
    """A label as text: in the one encoding of accents, with single spaces, without quotation marks around it.

    >>> as_label(' "very  sad"'), as_label("\\u2018sad\\u2019"), as_label(["sad"]), as_label(None)
    ('very sad', 'sad', 'sad', '')
    """
    word = " ".join(unicodedata.normalize("NFC", said(value)).split())
    one = words_of_list(word)
    if one is not None and len(one) < 2:
        word = "".join(one)
    while len(word) > 2 and word[0] in _QUOTES and word[-1] in _QUOTES:
        word = said(word[1:-1])
    return word


def number_of(value: Any, scale: float) -> Any:
    """A number as it is, or of a text that is one, also with a decimal comma; None for nothing; else the text."""
    text = said(value)
    if is_missing(text):
        return None
    if re.fullmatch(r"[-+]?\d+,\d+", text):
        text = text.replace(",", ".")
    try:
        return float(text) / scale if scale != 1 or isinstance(value, str) else value
    except ValueError:
        return value


def as_written(numbers: list[str]) -> list[str]:
    """Whole numbers of a column without the decimal point that a spreadsheet or pandas adds; any other column as it is.

    >>> as_written(["1.0", "", "10"]), as_written(["1.0", "1.1"])
    (['1', '', '10'], ['1.0', '1.1'])
    """
    whole = [re.fullmatch(r"(\d+)(?:\.0+)?|", number) for number in numbers]
    return [match[1] or "" for match in whole if match] if all(whole) else numbers


def part_of(word: str) -> str | None:
    """The part that a word means; None for another word.

    >>> part_of("Dev"), part_of("test1"), part_of("Training set"), part_of("anna")
    ('validation', 'test', 'train', None)
    """
    word = word.lower()
    return SPLITS.get(word) or SPLITS.get(re.sub(r"[\s_-]*(set|split|partition)?[\s_-]*\d*$", "", word))
