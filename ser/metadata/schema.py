"""The columns of the utterance table, and the values that they may hold."""

import math
import re
from collections.abc import Collection
from typing import Any, TypeAlias, TypedDict, cast

import pandas as pd

from ser.errors import ConfigError, CorpusError
from ser.files import parse_json
from ser.metadata.labels import CANONICAL

RATINGS = ("valence", "arousal", "dominance")
SPLITS = ("train", "validation", "test")
TEXT_SOURCES = ("corpus", "asr", "simulated")
GENDERS = ("female", "male")
NOT_NEGATIVE = ("start", "duration", "channel", "age", "turn")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
Text: TypeAlias = str | None
Number: TypeAlias = float | str | None


class Row(TypedDict, total=False):
    """A row of the utterance table by column, as a corpus plugin gives it: any of the columns; None is an empty cell."""

    utterance_id: str
    path: str  # relative to the corpus root; empty where there is no audio
    start: Number  # s within the file; empty: its beginning
    end: Number  # s within the file; empty: its end
    channel: Number  # 0-based; empty: mean of all
    duration: Number  # s
    text: Text
    text_source: Text  # corpus, asr, simulated
    prompt: Text  # id of the fixed sentence that is read, where the corpus has such a set
    emotion: Text  # canonical; empty: the corpus gives none (no agreement, say)
    label: Text  # the corpus's own
    votes: dict[str, float] | Text  # canonical emotion -> share of annotators; under 1 in sum where the release says no more
    intensity: Text
    valence: Number  # on the corpus's own scale, which its plugin and the sidecar (`dimensions`) state
    arousal: Number
    dominance: Number
    speaker: Text
    gender: Text  # female, male, or empty
    age: Number  # years
    session: Text
    dialogue: Text
    turn: Number
    language: Text  # ISO 639-1
    split: Text  # train, validation, test: the corpus's own, where there is one


TEXT, NUMBER = "text", "number"
COLUMNS = {name: NUMBER if kind == Number else TEXT for name, kind in Row.__annotations__.items()}


class Scale(TypedDict):
    """The ends of the scale that a dimension was rated on."""

    low: float
    high: float


class Counts(TypedDict):
    """Counts of a table: `emotions` by canonical emotion, `hours` where durations are known."""

    utterances: int
    speakers: int
    hours: float
    emotions: dict[str, int]


class AudioForm(TypedDict):
    """The rates of audio files in Hz, and the largest number of their channels."""

    lowest_rate: int
    highest_rate: int
    channels: int


class TableFacts(TypedDict, total=False):
    """The sidecar of a table: the origin of its rows, and their counts.

    `root` is the corpus folder; `sentences` the size of the fixed set of sentences (None where speech is free);
    `utterances_of_release` the rows of the whole release; `source_corpus` the corpus that another format has it from;
    `dimensions` are the columns of ratings with their scales: of valence, arousal and dominance, and of columns that the table
    has behind those of `COLUMNS`; `votes_of` says whose votes the table has, where the corpus has several kinds; `features` is
    "imported" where rows need neither audio nor text; `audio` is the form of its files, where headers say it; `unreadable`
    counts files by reason; `sha256` is the CSV's.
    """

    corpus: str | None
    title: str
    release: str | None
    root: str
    licence: str
    citation: str
    language: str
    sentences: int | None
    utterances_of_release: int | None
    synthetic: bool
    dimensions: dict[str, Scale]
    votes_of: str
    source_corpus: str
    features: str
    dataset: str
    counts: Counts
    notes: list[str]
    audio: AudioForm
    unreadable: dict[str, int]
    sha256: str


_FACT_TYPES: dict[str, tuple[type, ...]] = {
    "corpus": (str, type(None)),
    "release": (str, type(None)),
    "sentences": (int, type(None)),
    "utterances_of_release": (int, type(None)),
    "synthetic": (bool,),
    "dimensions": (dict,),
    "audio": (dict,),
    "counts": (dict,),
    "notes": (list,),
    "unreadable": (dict,),
}


def check_table_facts(value: object) -> TableFacts:
    """Check the content of a sidecar from elsewhere.

    Raises:
        ValueError: it is not an object, or a fact is of a wrong type.
    """
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__} in place of a JSON object")
    for name in TableFacts.__annotations__:
        if name in value and not isinstance(value[name], _FACT_TYPES.get(name, (str,))):
            raise ValueError(f"{name}: {str(value[name])[:60]!r}")
    for name, scale in value.get("dimensions", {}).items():
        if not is_dimension(name) or not _is_scale(scale):
            raise ValueError(f"dimensions: {name}: {str(scale)[:60]!r}")
    form = value.get("audio")
    if form is not None and not all(type(form.get(name)) is int and form[name] > 0 for name in AudioForm.__annotations__):
        raise ValueError(f"audio: {str(form)[:60]!r}")
    return cast(TableFacts, value)


def columns_of(facts: TableFacts) -> dict[str, str]:
    """The columns of a table, with their kinds: `COLUMNS`, then other dimensions of its sidecar, which are numbers."""
    return COLUMNS | {name: NUMBER for name in facts.get("dimensions", {}) if name not in COLUMNS}


def outside_scales(frame: pd.DataFrame, facts: TableFacts, stated: Collection[str] = ()) -> list[str]:
    """Say of which dimensions of a corpus some values lie outside of their scale; they are kept.

    Args:
        stated: dimensions whose scale is the user's own, as of `--rating` or of a command of theirs: such values are an
            error there.

    Raises:
        CorpusError: values of one of these lie outside.
    """
    lines = []
    for name, scale in facts.get("dimensions", {}).items():
        values = frame[name]
        strange = (values < scale["low"]) | (values > scale["high"])
        if strange.any():
            row = int(strange.to_numpy().argmax())
            found = f"{frame['utterance_id'].iloc[row]}: {values.iloc[row]:g}"
            span = f"{scale['low']:g} to {scale['high']:g}"
            count = f"{strange.sum()} of {values.notna().sum()} values"
            if name in stated:
                raise CorpusError(
                    f"ratings of {name}: {count} lie outside of the scale that is stated for them ({found})",
                    expected=f"values from {span}",
                    found=f"{values.min():g} to {values.max():g}",
                    action="State the ends of the scale that the values have, or correct the values.",
                )
            lines.append(f"{name}: {count} outside of {span} ({found})")
    return lines


def is_dimension(name: object) -> bool:
    """True for the name of a column of ratings: one that is not of the table itself for something else."""
    known = COLUMNS.get(str(name))
    return bool(re.fullmatch(r"[a-z][a-z0-9_]*", str(name))) if known is None else name in RATINGS


def _is_scale(scale: object) -> bool:
    if not isinstance(scale, dict) or set(scale) != {"low", "high"}:
        return False
    if not all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in scale.values()):
        return False
    return bool(-math.inf < scale["low"] < scale["high"] < math.inf)


def one_name(dataset: object) -> str:
    """Give back the name of one dataset.

    Raises:
        ConfigError: it is anything else, such as a list of names, or a text of several.
    """
    if isinstance(dataset, str) and "," not in dataset:
        return dataset
    raise ConfigError(
        "the name of a dataset",
        expected="one name, such as 'emodb'",
        found=repr(dataset)[:80],
        action="Name one dataset; ser combine trains on several, and ser extract takes several.",
    )


def check_name(dataset: str) -> str:
    """Give back a dataset's name that can be a file's name everywhere.

    Raises:
        ConfigError: it cannot.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", one_name(dataset)):
        raise ConfigError(f"{dataset!r} cannot be the name of a dataset", expected="letters, digits, '-', '_' and '.'")
    return dataset


def validate(frame: pd.DataFrame, dataset: str, bare: bool = False) -> None:
    """Check a table's rows.

    Args:
        frame: all of `COLUMNS`; text is "" where there is none, numbers NaN.
        bare: rows may have neither audio nor text, because their features are imported.

    Raises:
        CorpusError: naming the first row at fault.
    """

    def refuse(bad: "pd.Series[bool]", column: str, expected: str) -> None:
        if bad.any():
            row = int(bad.to_numpy().argmax())
            name = frame["utterance_id"].iloc[row] or f"row {row + 1}"
            found = repr(frame[column].astype(object).iloc[row])  # not np.float64(...)
            raise CorpusError(f"{dataset}: {name}: column {column}", expected=expected, found=found)

    def among(column: str, allowed: tuple[str, ...]) -> None:
        if set(frame[column]) <= {"", *allowed}:
            return
        refuse(frame[column].ne("") & ~frame[column].isin(allowed), column, f"{', '.join(allowed)}, or nothing")

    if not len(frame):
        raise CorpusError(f"{dataset}: there are no utterances", expected="one or more")
    refuse(frame["utterance_id"] == "", "utterance_id", "an id")
    _unique(frame["utterance_id"], dataset)
    # A look at all texts of a column at once is many times as fast as one at each: only what is wrong is looked for by row.
    for column in ("utterance_id", "path"):
        if CONTROL.search("".join(frame[column])):
            refuse(frame[column].str.contains(CONTROL.pattern, regex=True), column, "no control characters")
    for column, kind in COLUMNS.items():
        if kind == TEXT:
            together = "".join(frame[column])
            if "\x00" in together:
                refuse(frame[column].str.contains("\x00", regex=False), column, "no NUL characters")
            if not _is_unicode(together):
                refuse(~frame[column].map(_is_unicode).astype(bool), column, "Unicode text")
    among("emotion", CANONICAL)
    among("split", SPLITS)
    among("text_source", TEXT_SOURCES)
    among("gender", GENDERS)
    for column in NOT_NEGATIVE:
        refuse(frame[column] < 0, column, "0 or more")
    refuse(frame["end"].notna() & (frame["end"] <= frame["start"].fillna(0)), "end", "a time after start, in s")
    if not bare:
        refuse((frame["path"] == "") & (frame["text"] == ""), "path", "audio or text")
    if any(frame["votes"]):
        refuse(
            ~frame["votes"].map(_are_votes).astype(bool),
            "votes",
            'JSON such as {"anger": 0.75, "fear": 0.25}: shares by canonical emotion, together 1 or less',
        )


def _unique(ids: "pd.Series[Any]", dataset: str) -> None:
    twice = ids.duplicated(keep=False)
    if twice.any():
        name = ids[twice].iloc[0]
        raise CorpusError(
            f"{dataset}: utterance id {name!r} occurs {int((ids == name).sum())} times",
            expected="every id once",
            action="Make the ids unique, with the file's folder in them for instance.",
        )


def _is_unicode(text: str) -> bool:
    """True for a text that can be written: bytes of a file's name that are not UTF-8 and half surrogate pairs cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _are_votes(text: str) -> bool:
    if text == "":
        return True
    try:
        votes = parse_json(text)
    except ValueError:
        return False
    if not isinstance(votes, dict) or not votes or not set(votes) <= set(CANONICAL):
        return False
    shares = list(votes.values())
    if not all(isinstance(s, (int, float)) and not isinstance(s, bool) for s in shares):
        return False
    return all(s >= 0 for s in shares) and 0 < sum(shares) <= 1.001
