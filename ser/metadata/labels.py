"""Canonical emotions and the label schemes over them.

A scheme is applied when tensors are made, never before: one table and one feature store serve every scheme. Names, never
numbers, cross between corpora.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from ser.errors import ConfigError
from ser.metadata.parsing import LOG, few
from ser.metadata.words_in_cells import words_of_list
from ser.registry import unknown

if TYPE_CHECKING:
    import pandas as pd

# Words that people use for the canonical emotions, for corpora without a label list of their own (folder, csv).
SYNONYMS = {
    "anger": ("angry", "ang", "anger"),
    "happiness": ("happy", "hap", "happiness", "joy", "joyful"),
    "neutral": ("neutral", "neu"),
    "sadness": ("sad", "sadness"),
    "fear": ("fear", "fearful", "fea", "afraid", "scared"),
    "disgust": ("disgust", "disgusted", "dis"),
    "surprise": ("surprise", "surprised", "sur", "ps", "pleasant_surprise"),
    "calm": ("calm", "calmness"),
    "excitement": ("excitement", "excited", "exc"),
    "frustration": ("frustration", "frustrated", "fru"),
    "boredom": ("boredom", "bored", "bor"),
    "contempt": ("contempt", "contemptuous"),
    "other": ("other", "oth"),
}
CANONICAL = tuple(SYNONYMS)  # the emotions, in the order of classes
FILES = (".json", ".yaml", ".yml")
WITHOUT = "-without-"
BY_WORD = {word: name for name, words in SYNONYMS.items() for word in words}


def from_word(word: str) -> str:
    """Canonical emotion of an everyday word, also with a number before it; `other` for one that is not known.

    >>> from_word("Angry"), from_word("03-sad"), from_word("whispered")
    ('anger', 'sadness', 'other')
    """
    plain = unicodedata.normalize("NFC", word).strip().lower().replace(" ", "_").replace("-", "_")
    return BY_WORD.get(plain) or BY_WORD.get(re.sub(r"^\d+[._)]+", "", plain), "other")


def by_word(*words: str) -> dict[str, str]:
    """Labels of a corpus that are everyday words, and the canonical emotion of each."""
    return {word: from_word(word) for word in words}


def is_strange(word: str) -> bool:
    """True for a word that is neither a known emotion nor a word for others."""
    return from_word(word) == "other" and word.lower() not in SYNONYMS["other"]


def ways_with_labels(labels: Sequence[str]) -> str:
    """The ways to train on labels that are no emotion words, numbers among them."""
    return (
        "--scheme native takes each as a class; a scheme of your own says which emotion each is: --scheme FILE.yaml with "
        f"{{anger: [{labels[0]!r}], ...}}."
    )


def note_strange(what: str, labels: Sequence[str]) -> None:
    """Say which labels, or folders of labels, are no known emotion words, and what can be done with them."""
    if labels:
        LOG.warning("%s that are not known emotion words (emotion: other): %s. %s", what, few(labels), ways_with_labels(labels))


def one_spelling(words: Iterable[str]) -> dict[str, str]:
    """Choose a spelling for each word: those that differ in case only get the commonest, of equals the first.

    Words of one letter stay: `A` and `a` may be codes of two classes.

    >>> one_spelling(["Sad", "sad", "sad", "A", "a"])
    {'sad': 'sad', 'Sad': 'sad', 'A': 'A', 'a': 'a'}
    """
    kept: dict[str, str] = {}
    counts = Counter(words).most_common()
    return {word: kept.setdefault(word.casefold() if len(word) > 1 else word, word) for word, _ in counts}


def alike(one: str, other: str) -> bool:
    """True for two spellings of one label; see `one_spelling`."""
    return len(set(one_spelling([one, other]).values())) == 1


def several(cell: str, labels: Collection[str] = ()) -> list[str]:
    """The labels of a cell that holds more than one; [] for one label.

    Those of a list (`["a", "b"]`) may be any words; otherwise all are words for emotions, or labels of the column. A
    class may be called `anger/frustration`: with a slash it is several only where a part is a label of its own too.

    Args:
        labels: all that the column has.

    >>> several("anger;sadness"), several("['a', 'b']"), several("happy/excited"), several("well-known, loud")
    (['anger', 'sadness'], ['a', 'b'], [], [])
    """
    found = words_of_list(cell)
    if found is not None:
        return found if len(found) > 1 else []
    inner = cell.strip().strip("[](){}")
    for separator in ";|,+&/":
        parts = [part for p in inner.split(separator) if (part := p.strip().strip("'\"").strip())]
        if len(parts) < 2:
            continue
        own = {label.casefold() for label in labels}
        known = all(from_word(p) != "other" or p.casefold() in (*own, *SYNONYMS["other"]) for p in parts)
        if known and (separator != "/" or any(p.casefold() in own for p in parts)):
            return parts
    return []


@dataclass(frozen=True)
class Scheme:
    """Classes in order, and which canonical emotion (or corpus label) goes to which.

    Attributes:
        name: as given on the command line.
        classes: class names; their order is the order of the numbers.
        mapping: canonical emotion, or the corpus's own label, -> class. What is not in it is left out.
    """

    name: str
    classes: tuple[str, ...]
    mapping: dict[str, str]

    def apply(self, frame: "pd.DataFrame") -> "pd.Series[str]":
        """Class name of each row, "" for rows that the scheme leaves out. The label wins over the emotion."""
        by_label, by_emotion = (frame[column].map(self.mapping).astype(object) for column in ("label", "emotion"))
        known = by_label.where(by_label.notna(), by_emotion)
        classes: pd.Series[str] = known.where(known.notna(), "")
        return classes

    def strangers(self, frame: "pd.DataFrame") -> list[str]:
        """Words of the scheme that are not canonical emotions and that no row has: misspelt, or labels of another corpus."""
        return sorted(set(self.mapping) - {*CANONICAL, *frame["label"], *frame["emotion"]})


def _plain(name: str, *classes: str, **extra: str) -> Scheme:
    return Scheme(name, classes, {**{c: c for c in classes}, **extra})


_FOUR = ("anger", "happiness", "neutral", "sadness")
SCHEMES = {
    s.name: s
    for s in (
        _plain("4", *_FOUR, excitement="happiness"),
        _plain("4-noexc", *_FOUR),
        _plain("6-iemocap", "happiness", "sadness", "neutral", "anger", "excitement", "frustration"),
        _plain("6", "anger", "disgust", "fear", "happiness", "neutral", "sadness"),
        _plain("7", "anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
        _plain("8", "neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise"),
        _plain("4-ravdess", *_FOUR, calm="happiness", fear="sadness", disgust="anger", surprise="happiness"),
    )
}


def native(frame: "pd.DataFrame") -> Scheme:
    """The corpus's own classes: its canonical emotions in canonical order, then, by name, labels that are `other`."""
    present = set(frame["emotion"]) - {"", "other"}
    if not present:  # of several labels in each row none is the main one
        several_labels = frame.loc[frame["label"].str.contains(";", regex=False), "label"]
        present = {from_word(word) for text in several_labels for word in text.split(";")} - {"other"}
    others = sorted(set(frame.loc[frame["emotion"] == "other", "label"]) - {""} - present)
    classes = tuple(e for e in CANONICAL if e in present) + tuple(others)
    return Scheme("native", classes, {c: c for c in classes})


def load_scheme(name: str, frame: "pd.DataFrame") -> Scheme:
    """Load a scheme by name, `native`, or from a user's file.

    Args:
        name: a name of `SCHEMES`, `native`, or a JSON/YAML file `{class: [emotion or label, ...], ...}`; the first two also
            as `NAME-without-CLASS`, of which several are joined by `+`.
        frame: the rows it will be applied to; `native` is made from them.

    Raises:
        ConfigError: there is no such scheme, the file is not of that form or has a misspelt emotion, or the scheme has no such
            class to leave out.
    """
    whole, without, left_out = name.partition(WITHOUT)
    if without and Path(name).suffix not in FILES:
        return _reduced(load_scheme(whole, frame), left_out.split("+"), name)
    if name == "native":
        return native(frame)
    if name in SCHEMES:
        return SCHEMES[name]
    path = Path(name)
    if path.suffix not in FILES:
        raise unknown("scheme", name, [*SCHEMES, "native", "a .json or .yaml file"])
    return _from_file(path, frame)


def _reduced(scheme: Scheme, left_out: list[str], name: str) -> Scheme:
    """A scheme without some of its classes."""
    for one in left_out:
        if one not in scheme.classes:
            raise unknown(f"class of scheme {scheme.name}:", one, scheme.classes)
    classes = tuple(c for c in scheme.classes if c not in left_out)
    if len(classes) < 2:
        raise ConfigError(f"scheme {name}: {len(classes)} class", expected="two or more")
    return Scheme(name, classes, {word: c for word, c in scheme.mapping.items() if c in classes})


def _from_file(path: Path, frame: "pd.DataFrame") -> Scheme:
    from ser.yaml_file import read_yaml

    content = read_yaml(path, "label scheme")
    if not isinstance(content, dict) or not all(isinstance(v, (list, str)) and v for v in content.values()):
        raise ConfigError(f"{path} is not a label scheme", expected="{class: [emotion or label, ...], ...}")
    known = {*CANONICAL, *frame["label"], *frame["emotion"]}
    mapping: dict[str, str] = {}
    for name, members in content.items():
        _refuse_no_word(path, name)
        members = [members] if isinstance(members, str) else members
        for member in members:
            _refuse_no_word(path, member)
            if str(member) in mapping:
                raise ConfigError(f"{path}: {member!r} is in two classes", expected="every emotion in one class")
            meant = None if str(member) in known else _meant(str(member), known)
            if meant is not None and meant not in members:
                raise ConfigError(
                    f"{path}: {member!r} is neither an emotion nor a label here", action=f"Did you mean {meant!r}?"
                )
            mapping[str(member)] = str(name)
    names = [str(name).strip() for name in content]
    twice = next((pair for pair in combinations(names, 2) if alike(*pair)), None)
    if twice is not None:
        raise ConfigError(f"{path}: the classes {twice[0]!r} and {twice[1]!r} have one name", expected="every name once")
    if len(content) < 2:
        raise ConfigError(f"{path}: {len(content)} class", expected="two or more")
    return Scheme(path.stem, tuple(str(c) for c in content), mapping)


def _refuse_no_word(path: Path, word: object) -> None:
    if isinstance(word, bool) or not isinstance(word, (str, int)) or word == "":
        raise ConfigError(
            f"{path} has {word!r} among its classes and labels",
            expected="words",
            action="Put a word such as true or null between quotation marks.",
        )


def _meant(word: str, known: set[str]) -> str | None:
    """The emotion or label that a misspelt word means; None for a word that may be a label of another corpus."""
    from difflib import get_close_matches

    plain = from_word(word)
    near = [plain] if plain != "other" else get_close_matches(word.lower(), sorted(known - {""}), n=1, cutoff=0.8)
    return near[0] if near else None
