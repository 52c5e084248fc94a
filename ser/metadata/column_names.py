"""One's own corpus from a table file: which column is what, and what people write into it."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ser.errors import CorpusError
from ser.metadata.labels import from_word
from ser.metadata.parsing import LOG, few
from ser.metadata.schema import COLUMNS

# Other names of a column; the first that a file has is taken. A column's own name comes before all of them.
ALIASES = {
    "utterance_id": ("id", "utt_id", "uttid", "utt", "segment_id", "key"),
    "path": ("file", "filename", "file_name", "file_path", "filepath", "audio_path", "audio_filepath", "audio_file",
             "audio", "wav", "wav_path"),
    "start": ("begin", "start_time", "offset"),
    "end": ("stop", "end_time"),
    "duration": ("length", "dur"),
    "text": ("transcript", "transcription", "utterance", "sentence"),
    "emotion": ("emo", "emotion_label", "class", "category"),
    "intensity": ("emotion_intensity", "level"),
    "valence": ("val",),
    "arousal": ("activation", "aro", "act"),
    "dominance": ("dom",),
    "speaker": ("speaker_id", "spk", "spk_id", "speaker_name", "actor", "subject"),
    "gender": ("sex", "speaker_gender"),
    "session": ("session_id",),
    "dialogue": ("dialogue_id", "dialog", "dialog_id", "conversation", "conversation_id"),
    "turn": ("turn_id",),
    "language": ("lang", "locale"),
    "split": ("subset", "partition", "set"),
}  # fmt: skip
GENDERS = {"f": "female", "w": "female", "woman": "female", "female": "female",
           "m": "male", "man": "male", "male": "male"}  # fmt: skip
SPLITS = {"train": "train", "training": "train", "dev": "validation", "val": "validation", "valid": "validation",
          "validation": "validation", "development": "validation", "test": "test", "eval": "test",
          "evaluation": "test"}  # fmt: skip


def translate(rows: Iterable[dict[str, Any]], folder: Path, where: object) -> Iterator[dict[str, Any]]:
    """Rows as people write them -> rows of the utterance table. Columns that are not known are noted, not fatal.

    Args:
        rows: dicts with the file's own column names.
        folder: which audio paths are relative to.
        where: the file, for errors.

    Raises:
        CorpusError: no column tells the audio or the text, or a gender or split is a word that is not known.
    """
    listed = list(rows)
    columns, ignored = choose(dict.fromkeys(str(key) for row in listed for key in row))
    if listed and not {"path", "text"} & set(columns):
        raise CorpusError(f"{where} names neither audio nor text", expected="a column path (or file, wav, ...) or text",
                          found=f"columns {', '.join(ignored + list(columns.values()))}")  # fmt: skip
    if ignored:
        LOG.warning("columns ignored: %s", few(ignored, 30))
    base = folder.resolve()
    strange: dict[str, None] = {}
    for number, cells in enumerate(listed, start=1):
        row = _row({name: cells.get(key) for name, key in columns.items()}, base, number, where)
        if row["emotion"] == "other":
            strange.setdefault(row["label"])
        yield row
    if strange:
        LOG.warning("labels that are no known emotion word (emotion: other): %s", few(strange))


def choose(keys: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Which of a file's columns is which of the table's: (table column -> file column, columns that are not used)."""
    keys = list(keys)
    plain = {key.strip().lower().replace(" ", "_").replace("-", "_"): key for key in reversed(keys)}
    columns = {}
    for name in COLUMNS:
        known = next((alias for alias in (name, *ALIASES.get(name, ())) if alias in plain), None)
        if known is not None:
            columns[name] = plain[known]
    return columns, [key for key in keys if key not in columns.values()]


def _row(cells: dict[str, Any], base: Path, number: int, where: object) -> dict[str, Any]:
    row = {name: value.strip() if isinstance(value, str) else value for name, value in cells.items()}
    word = _said(row.get("emotion")) or _said(row.get("label"))
    row["label"] = _said(row.get("label")) or word
    row["emotion"] = from_word(word) if word else ""
    row["path"] = _relative(_said(row.get("path")), base)
    for name, words in (("gender", GENDERS), ("split", SPLITS)):
        given = _said(row.get(name)).lower()
        if given and given not in words and not (name == "gender" and given in ("unknown", "other", "-")):
            raise CorpusError(f"{where}, row {number}: {name} {given!r}", expected=f"one of {', '.join(words)}")
        row[name] = words.get(given, "")
    row["votes"] = _votes(row.get("votes"))
    if _said(row.get("end")) == "" and _said(row.get("start")) and _said(row.get("duration")):
        with suppress(ValueError):  # as NeMo's manifests tell a segment; make_table names a cell that is no number
            row["end"] = float(row["start"]) + float(row["duration"])
    if not _said(row.get("utterance_id")):
        row["utterance_id"] = _name(row, number)
    return row


def _votes(given: Any) -> Any:
    """Votes by emotion word, shares or counts, as shares by canonical emotion; what is no such object stays as it is."""
    if isinstance(given, str) and given.startswith("{"):
        with suppress(ValueError):
            given = json.loads(given)
    if not isinstance(given, dict) or not all(type(n) in (int, float) and n >= 0 for n in given.values()):
        return given
    votes: dict[str, float] = {}
    for word, number in given.items():
        votes[from_word(word)] = votes.get(from_word(word), 0.0) + number
    total = max(1.0, sum(votes.values()))
    return {emotion: round(n / total, 6) for emotion, n in votes.items() if n} or None


def _name(row: dict[str, Any], number: int) -> str:
    """An id for a row without one: the path without its ending, with the segment's start; else the row's number."""
    if not row["path"]:
        return f"row-{number:06d}"
    name = row["path"].rsplit(".", 1)[0]
    return f"{name}@{row['start']}" if _said(row.get("start")) else str(name)


def _relative(path: str, base: Path) -> str:
    """Relative to the file's folder where it lies below it; as given otherwise."""
    if not path or not Path(path).is_absolute():
        return path.replace("\\", "/").removeprefix("./")
    try:
        return Path(path).relative_to(base).as_posix()
    except ValueError:
        return path


def _said(value: Any) -> str:
    return "" if value is None or value != value else str(value).strip()
