"""The labels of a system as classes of a label scheme: by a stated map, else by the names that people use for emotions."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError
from ser.evaluation.systems.answers import Answers
from ser.metadata.labels import CANONICAL, FILES, Scheme, from_word, is_strange
from ser.metadata.parsing import few
from ser.metadata.words_in_cells import is_missing

NONE = ""  # the class of a label that stands for no class of the scheme
NO_ANSWER = ("unk", "emo_unknown", "neutral_unknown", "no answer", "no_answer", "refused", "nospeech")


def read_map(given: Sequence[str]) -> dict[str, str | None]:
    """Read a map: `LABEL=CLASS` pairs, or a YAML or JSON file `{LABEL: CLASS}`, where null or "" stands for no class.

    Raises:
        ConfigError: it is neither, or a label is there twice.
    """
    found: dict[str, str | None] = {}
    for word in given:
        label, equals, name = word.partition("=")
        if Path(word).suffix in FILES:
            from ser.yaml_file import read_yaml

            content = read_yaml(Path(word), "map of labels")
            if not isinstance(content, dict) or not all(v is None or isinstance(v, str) for v in content.values()):
                raise ConfigError(f"{word} is not a map of labels", expected="{LABEL: CLASS or null, ...}")
            pairs = {str(key): value for key, value in content.items()}
        elif equals:
            pairs = {label.strip(): name.strip() or None}
        else:
            raise ConfigError(f"--map {word}", expected=f"LABEL=CLASS, or a file that ends in {', '.join(FILES)}")
        twice = next((key for key in pairs if key in found), None)
        if twice is not None:
            raise ConfigError(f"--map has the label {twice!r} twice", expected="every label once")
        found |= pairs
    return found


def unused_labels(given: Mapping[str, str | None], words: Sequence[str]) -> list[str]:
    """A remark on labels of a stated map that the system does not have, which change nothing; [] where there are none.

    >>> unused_labels({"calmnes": "calm", "happy": "happiness"}, ["calmness", "happy"])
    ["not used of --map: 'calmnes'; the system has calmness, happy"]
    """
    strange = [label for label in given if label not in words]
    return [f"not used of --map: {few(map(repr, strange))}; the system has {few(words)}"] if strange else []


def map_labels(words: Sequence[str], scheme: Scheme, classes: Sequence[str], given: Mapping[str, str | None]) -> dict[str, str]:
    """The class of each label of a system; `NONE` for a label that stands for no class.

    A label that the map does not have is one of the scheme's classes, or of the emotions and labels that the scheme puts into
    a class, also in other words (`Angry`, `ang`), between `<|` and `|>`, or as one of several with `/` between them
    (`开心/happy`). A known emotion that the scheme leaves out, or a word for no answer, stands for no class.

    Args:
        words: the system's labels.
        scheme: puts emotions into classes.
        classes: those of the data: a class of the scheme that no utterance has is none.
        given: the stated map; its values may be emotions.

    Raises:
        ConfigError: a label is not known, the map names no class of the scheme, or no label stands for a class.
    """
    known = {**scheme.mapping, **{c: c for c in scheme.classes}}
    found: dict[str, str] = {}
    strange: list[str] = []
    for word in words:
        if word in given:
            found[word] = _given(word, given[word], scheme, known)
            continue
        name = _known(word, known)
        if name is None:
            strange.append(word)
        else:
            found[word] = name
    if strange:
        raise ConfigError(
            f"labels of the system that are not emotions known here: {few(map(repr, strange))}",
            expected=f"classes of scheme {scheme.name} ({', '.join(classes)}), or usual words for emotions",
            action=f"Say what they stand for: --map '{strange[0]}=CLASS', or '{strange[0]}=' for no class; or --map FILE.yaml.",
        )
    found = {word: name if name in classes else NONE for word, name in found.items()}
    if not any(found.values()):
        raise ConfigError(
            "no label of the system stands for a class of the data",
            expected=f"some of {', '.join(classes)}",
            found=few(map(repr, words)),
        )
    return found


def _given(word: str, value: str | None, scheme: Scheme, known: Mapping[str, str]) -> str:
    if not value:
        return NONE
    if value in known:
        return known[value]
    if value in CANONICAL:
        return NONE
    raise ConfigError(
        f"--map: {word!r} stands for {value!r}",
        expected=f"a class of scheme {scheme.name} ({', '.join(scheme.classes)}), an emotion, or nothing",
    )


def _known(word: str, known: Mapping[str, str]) -> str | None:
    """The class of a label that the map does not have, `NONE` for no class; None for a label that is not known."""
    whole = re.sub(r"^<\|?(.*?)\|?>$", r"\1", word.strip())
    for part in dict.fromkeys((word, whole, *whole.split("/"))):
        if part in known:
            return known[part]
        if part.lower() in known:
            return known[part.lower()]
        if part and not is_strange(part):
            return known.get(from_word(part), NONE)
        if part and (part.lower() in NO_ANSWER or is_missing(part)):
            return NONE
    return None


def by_class(answers: Answers, classes: Sequence[str], mapping: Mapping[str, str]) -> NDArray[np.float64]:
    """Probabilities of the classes, `(answers, classes)`: those of labels of one class are added up.

    Where labels stand for no class, the others' probabilities are divided by their sum: a choice among the classes. A label
    alone has the probability 1. Rows without an answer, or with an answer that stands for no class, are NaN.
    """
    place = {name: k for k, name in enumerate(classes)}
    found = np.zeros((len(answers.ids), len(classes)))
    if answers.names:
        for k, word in enumerate(answers.names):
            if mapping[word]:
                found[:, place[mapping[word]]] += answers.shares[:, k]
        sums = found.sum(1, keepdims=True)
        if not all(mapping[word] for word in answers.names):
            with np.errstate(invalid="ignore"):
                found = found / sums  # 0 / 0: nothing was left for any class
        return np.minimum(found, 1.0)
    for k, word in enumerate(answers.labels):
        if word and mapping[word]:
            found[k, place[mapping[word]]] = 1.0
        else:
            found[k] = np.nan
    return found
