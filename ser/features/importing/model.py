"""What an import is made of, before anything is written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from ser.errors import ConfigError, CorpusError
from ser.metadata.labels import from_word

Values = Sequence[NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Content:
    """What a file holds.

    Attributes:
        values: one array an utterance: `(D,)` or `(frames, D)`; or of dialogues, `(turns, D)`.
        ids: their utterance ids, where it has them.
        labels: their labels, where it has a column of them.
        facts: other columns of the utterance table, by name.
        names: of the features, where it has a header.
        left_out: columns that are facts of an utterance, not features, and have no other use here.
    """

    values: Values
    ids: list[str] | None = None
    labels: list[Any] | None = None
    facts: dict[str, list[str]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Feature:
    """Features of one store.

    Attributes:
        store: its name.
        modality: audio, text or visual.
        pieces: utterance ids and their features, `(D,)` or `(frames, D)` each; a piece a file.
        files: file's name -> its SHA-256.
        names: of the features, where the files have a header.
    """

    store: str
    modality: str
    pieces: list[tuple[list[str], Values]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Imported:
    """Features, and what the files say of their utterances.

    Attributes:
        rows: rows of the utterance table, each with `utterance_id` at least.
        features: one a store.
        facts: entries of the table's sidecar that differ from those of any import.
        notes: what a user should know.
    """

    rows: list[dict[str, Any]]
    features: list[Feature]
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def labelled(value: Any, names: Sequence[str] | None, where: object) -> dict[str, str]:
    """A label as files have it -> `label` and `emotion` of a row. Numbers are named by their place in `names`.

    Raises:
        CorpusError: a number that is no class.
        ConfigError: names for labels that are words.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        word = str(value).strip()
        if names and word:
            raise ConfigError(f"--label-names: the labels of {where} are words already, such as {word!r}") from None
        return {"label": word, "emotion": from_word(word) if word else ""}
    if number != number:
        return {"label": "", "emotion": ""}
    if not number.is_integer() or (names and not 0 <= number < len(names)):
        raise CorpusError(
            f"{where}: label {value}",
            expected=f"0 to {len(names) - 1}, as there are {len(names)} names" if names else "the number of a class",
        )
    word = names[int(number)] if names else str(int(number))
    return {"label": word, "emotion": from_word(word)}
