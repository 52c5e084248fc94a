"""A table that people made, translated: the column that each name means, and rows as the utterance table has them."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from ser.errors import CorpusError
from ser.metadata.labels_in_cells import Spelling, class_columns, label_of, marked_classes, votes_of
from ser.metadata.parsing import LOG, few
from ser.metadata.schema import COLUMNS, NUMBER, RATINGS, Row, is_dimension
from ser.metadata.table_files import RawRow
from ser.metadata.words_in_cells import GENDERS, SPLITS, cleaned, is_missing, number_of, part_of, said, seconds_of


def _also_in_ms(name: str, *others: str) -> tuple[str, ...]:
    """Other names of a column of times, then those that say that it is in milliseconds."""
    return (*others, *(f"{word}_ms" for word in (name, *others)))


# Other names of a column, as `plain` writes them; the first that a file has is taken, a column's own name before all others.
ALIASES = {
    "utterance_id": ("id", "utt_id", "uttid", "utt", "segment_id", "key"),
    "path": ("file", "filename", "file_name", "file_path", "filepath", "audio_path", "audio_filepath", "audio_file_path",
             "audio_file", "audio", "wav", "wav_path", "wav_file"),
    "start": _also_in_ms("start", "begin", "start_time", "begin_time", "time_start", "onset", "offset"),
    "end": _also_in_ms("end", "stop", "end_time", "stop_time", "time_end", "finish", "finish_time"),
    "duration": _also_in_ms("duration", "length", "dur"),
    "text": ("transcript", "transcription", "utterance", "sentence"),
    "emotion": ("emotions", "emo", "emotion_label", "emotion_class", "emotion_category", "emo_class", "emo_label", "class",
                "category", "categorical_emotion"),
    "label": ("labels",),
    "intensity": ("emotion_intensity", "level"),
    "valence": ("val", "emo_val"),
    "arousal": ("activation", "aro", "act", "emo_act", "emo_aro"),
    "dominance": ("dom", "emo_dom"),
    "speaker": ("speaker_id", "speakerid", "spk", "spk_id", "spkr", "spkr_id", "spkrid", "speaker_name", "actor",
                "actor_id", "subject", "subject_id", "talker"),
    "gender": ("sex", "speaker_gender"),
    "session": ("session_id",),
    "dialogue": ("dialogue_id", "dialog", "dialog_id", "conversation", "conversation_id"),
    "turn": ("turn_id",),
    "language": ("lang", "locale"),
    "split": ("subset", "partition", "set", "split_set", "data_split"),
}  # fmt: skip
_MILLISECONDS = re.compile(r"_ms$")


def translate(rows: Iterable[RawRow], folder: Path, where: object, ratings: Sequence[str] = ()) -> Iterator[Row]:
    """Turn rows as people write them into rows of the utterance table. Columns that are not known are noted, not fatal.

    Args:
        rows: dicts with the file's own column names; a list is emptied, as a million rows are large.
        folder: the folder that audio paths are relative to.
        where: the file, for errors.
        ratings: columns of numbers to keep beside those of every table, named as `plain` writes them.

    Raises:
        CorpusError: no column names the audio or the text, or is called as one of the ratings; two have one name, a cell holds
            several labels, or a gender or split is a word that is not known.
    """
    listed = rows if isinstance(rows, list) else list(rows)
    keys = list(dict.fromkeys(str(key) for row in listed for key in row))
    columns, ignored = choose(keys, ratings)
    lacking = next((name for name in ratings if name not in columns), None)
    if lacking is not None:
        raise CorpusError(f"{where}: --rating {lacking}: no column is called so", found=few(keys, 30))
    _refuse_ambiguous(keys, columns, where)
    if listed and not {"path", "text"} & set(columns):
        raise CorpusError(f"{where} names neither audio nor text", expected="a column path (or file, wav, ...) or text",
                          found=f"columns {', '.join(ignored + list(columns.values()))}")  # fmt: skip
    words = {} if {"emotion", "label"} & set(columns) else class_columns(listed, ignored)
    ignored = [key for key in ignored if key not in words]
    mode = next((key for key in ignored if plain(key) == "mode" and "split" not in columns and _are_parts(listed, key)), None)
    if mode is not None:  # in the label files of CMU-MOSI, CMU-MOSEI and CH-SIMS
        LOG.warning("split: the column %s, which holds parts alone, is read as it", mode)
        columns["split"] = mode
        ignored.remove(mode)
    if ignored:
        numbers = next((plain(key) for key in ignored if is_dimension(plain(key)) and _are_numbers(listed, key)), None)
        kept = f" (ratings are kept with --rating {numbers}:LOW:HIGH, the ends of their scale)" if numbers else ""
        LOG.warning("columns ignored: %s%s", few(ignored, 30), kept)
    _note_labels(columns, list(words), keys)
    for k, cells in enumerate(listed):
        listed[k] = {name: cells.get(key) for name, key in columns.items()}
        if words:
            listed[k]["emotion"] = marked_classes(cells, words)
    spelling = Spelling(listed, where, plural=plain(columns.get("label", "")) == "labels")
    base = folder.resolve()
    scales = scales_of(columns)
    starts = [cells.get("start") for cells in listed]
    splits = {said(cells.get("split")).lower(): None for cells in listed} if "split" in columns else {}
    for k, cells in enumerate(listed):
        listed[k] = _row(cells, base, k + 1, where, scales, spelling)
    _refuse_empty(ratings, listed, where)
    _name_rows(listed, starts, where, ignored)
    spelling.note()
    _note_splits(splits)
    listed.reverse()
    while listed:
        yield cast(Row, listed.pop())


def translate_file(
    path: Path,
    plugin: str,
    read: Callable[[Path], tuple[list[RawRow], Path]],
    ratings: Sequence[str] = (),
    audio: Path | None = None,
) -> Iterator[Row]:
    """Translate a table file for a plugin that reads one; ids are made of the paths where it has none.

    Args:
        read: gives the rows of the file, and its folder.
        audio: the folder that paths are relative to; None: the file's own.

    Raises:
        CorpusError: a folder, a file that `read` does not take, or as of `translate`.
    """
    if path.is_dir():
        action = f"Give it with: ser metadata --dataset NAME --from FILE --format {plugin}"
        raise CorpusError(f"{path} is a folder", expected="a file", action=action)
    rows, folder = read(path)
    yield from translate(rows, audio or folder, path, ratings)


def choose(keys: Iterable[str], ratings: Sequence[str] = ()) -> tuple[dict[str, str], list[str]]:
    """Say which of a file's columns is which of the table's: (table column -> file column, columns that are not used).

    Args:
        ratings: other columns that the table is to have.
    """
    keys = list(keys)
    known = {form: key for key in reversed(keys) for form in (plain(key), _in_one(key))}
    columns = {}
    for name in dict.fromkeys((*COLUMNS, *ratings)):
        aliases = (name, *ALIASES.get(name, ()))
        if "onset" in known and name in ("start", "end"):  # else an offset is where a segment starts
            aliases = tuple(a for a in aliases if a != "offset") + (("offset",) if name == "end" else ())
        found = next((alias for alias in aliases if alias in known), None)
        if found is not None:
            columns[name] = known[found]
    return columns, [key for key in keys if key not in columns.values()]


def scales_of(columns: Mapping[str, str]) -> dict[str, int]:
    """The parts of a second that a column is in, where its name says so: 1000 for `start_ms`; columns as of `choose`."""
    return {name: 1000 for name, key in columns.items() if _MILLISECONDS.search(plain(key))}


def _refuse_empty(ratings: Sequence[str], rows: Sequence[RawRow], where: object) -> None:
    """Refuse a column that is to be learned and has nothing in it."""
    for name in ratings:
        if rows and all(row.get(name) is None for row in rows):
            raise CorpusError(
                f"{where}: --rating {name}: the column is empty in all {len(rows)} rows",
                expected="numbers",
                action="Fill it in, or leave this --rating out.",
            )


def _are_numbers(rows: Sequence[RawRow], key: str) -> bool:
    """True for a column of numbers that are not all the same, which may be ratings."""
    cells = [cell for row in rows if (cell := number_of(row.get(key), 1)) is not None]
    numbers = all(isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in cells)
    return numbers and len(set(cells)) > 1


def _are_parts(rows: Sequence[RawRow], key: str) -> bool:
    """True for a column that holds words for two parts or more, and nothing else."""
    words = {said(row.get(key)).lower() for row in rows}
    return all(map(part_of, words)) and len({part_of(word) for word in words}) > 1


def plain(key: str) -> str:
    """A column's name as names are compared: in lower case, with `_` between words.

    >>> plain("Speaker ID"), plain("EmoClass"), plain("SpkrID"), plain("Start [ms]"), plain("end (s)")
    ('speaker_id', 'emo_class', 'spkr_id', 'start_ms', 'end')
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", unicodedata.normalize("NFC", said(key)))
    words = re.sub(r"[\s_()\[\]-]+", "_", words).lower()
    words = re.sub(r"_(msecs?|millis|milliseconds?)_?$", "_ms", words)
    return (
        re.sub(
            r"^((?:\w+_)?(?:start|begin|onset|end|stop|finish|offset|duration|dur|length|time))_(s|secs?|seconds?)_?$",
            r"\1",
            words,
        ).rstrip("_")
        or words
    )


def _in_one(key: str) -> str:
    return said(key).lower().replace(" ", "_").replace("-", "_")


def _refuse_ambiguous(keys: Sequence[str], columns: Mapping[str, str], where: object) -> None:
    """Refuse two columns with the name of one that is used, but for case."""
    for used in columns.values():
        same = [key for key in keys if _in_one(key) == _in_one(used)]
        if len(same) > 1:
            raise CorpusError(
                f"{where}: two columns are called {plain(used)!r}", expected="every name once", found=", ".join(same)
            )


def _note_labels(columns: Mapping[str, str], words: Sequence[str], keys: Sequence[str]) -> None:
    if words:
        LOG.warning("labels are those of the columns that hold a 1: %s", few(words, 30))
    if words or {"emotion", "label", "votes"} & set(columns):
        return
    ratings = [columns[name] for name in RATINGS if name in columns]
    if ratings:
        LOG.warning(
            "no column of emotions, but ratings (%s): train heads on them with --target %s, or add a column emotion, made "
            "of the ratings for instance (low and high)",
            ", ".join(ratings),
            ",".join(name for name in RATINGS if name in columns),
        )
    else:
        LOG.warning("no column of emotions among %s: call the column that has them emotion or label", few(map(repr, keys), 30))


def _row(cells: RawRow, base: Path, number: int, where: object, scales: Mapping[str, float], spelling: Spelling) -> RawRow:
    row = {name: cleaned(value) for name, value in cells.items()}
    row["label"] = spelling.of(label_of(cells))
    row["emotion"] = spelling.emotion_of(row.get("emotion"), row["label"])
    row["path"] = _relative(said(row.get("path")), base)
    for name, words in (("gender", GENDERS), ("split", SPLITS)):
        given = said(row.get(name)).lower()
        given = "" if is_missing(given) or (name == "gender" and given == "other") else given
        part = part_of(given) if name == "split" else words.get(given)
        if given and part is None:
            raise CorpusError(f"{where}, row {number}: {name} {given!r}", expected=f"one of {', '.join(words)}")
        row[name] = part or ""
    for name in ("speaker", "session", "dialogue"):
        word = said(row.get(name))
        row[name] = "" if is_missing(word) and word.lower() != "na" else row.get(name)  # a speaker may be called NA
    row["votes"] = votes_of(row.get("votes"))
    for name in row:
        if COLUMNS.get(name, NUMBER) == NUMBER:
            row[name] = number_of(row[name], scales.get(name, 1))
            if name in ("start", "end", "duration") and isinstance(row[name], str):
                row[name] = seconds_of(given := row[name])
                if row[name] is None:
                    raise CorpusError(
                        f"{where}, row {number}: {name} {given!r}",
                        expected=f"seconds, such as 12.5 or 0:12.5 (or milliseconds in a column {name}_ms)",
                    )
    if row.get("end") is None and row.get("start") is not None and row.get("duration") is not None:
        # As NeMo's manifests give a segment; make_table names a cell that is not a number.
        with suppress(TypeError, ValueError):
            row["end"] = float(row["start"]) + float(row["duration"])
    return row


def _note_splits(splits: Iterable[str]) -> None:
    """Say which different words are read as one part."""
    words: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for given in splits:
        words[part_of(given) or ""].setdefault(given)
    for part, several_words in words.items():
        if part and len(several_words) > 1:
            LOG.warning("split: %s are all read as %s", ", ".join(several_words), part)


def _name_rows(rows: Sequence[RawRow], starts: Sequence[Any], where: object, ignored: Sequence[str]) -> None:
    """Give ids to rows without one: the path without its ending, with the segment's start as written; else the row's number.

    Where two files differ by their ending alone, it stays.

    Raises:
        CorpusError: two rows are of one file, or of one start in it, and cannot be told apart.
    """
    made: dict[str, int] = {}
    clash = shared_stems(row["path"] for row in rows if not said(row.get("utterance_id")))
    for number, (row, given) in enumerate(zip(rows, starts, strict=True), start=1):
        if said(row.get("utterance_id")):
            continue
        name = row["path"].rsplit(".", 1)[0]
        name, start = row["path"] if name in clash else name, said(given)
        row["utterance_id"] = own = (f"{name}@{start}" if start else name) if name else f"row-{number:06d}"
        if made.setdefault(own, number) != number:
            raise CorpusError(
                f"{where}, rows {made[own]} and {number} are both of {row['path']}" + (f" from {start}" if start else ""),
                expected="columns start and end of each utterance in its file, in seconds (or start_ms and end_ms)",
                found=f"columns not known: {few(ignored)}" if ignored else None,
                action="Or leave the second row out, or give a column id.",
            )


def shared_stems(paths: Iterable[str]) -> set[str]:
    """Paths without ending that several different paths have in common.

    >>> shared_stems(["a/x.mp3", "a/x.m4a", "a/y.wav", "a/y.wav"])
    {'a/x'}
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in paths:
        found[path.rsplit(".", 1)[0]].add(path)
    return {name for name, same in found.items() if len(same) > 1}


def _relative(path: str, base: Path) -> str:
    """Relative to the file's folder where it lies below it; as given otherwise."""
    if is_missing(path):
        return ""
    if not path or not Path(path).is_absolute():
        return path.replace("\\", "/").removeprefix("./")
    try:
        return Path(path).relative_to(base).as_posix()
    except ValueError:
        return path
