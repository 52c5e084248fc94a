"""The inputs of a saved head: recordings or texts, and as far as it is known their speakers, dialogues and turns."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.audio.files import ENDINGS, PIPE
from ser.audio.streams import open_file, raw_format
from ser.errors import AudioError, ConfigError
from ser.files import open_regular, unreadable
from ser.metadata.column_names import ALIASES, choose, plain, scales_of
from ser.metadata.parsing import read_text
from ser.metadata.table_files import RawRow, read_rows
from ser.metadata.words_in_cells import cleaned, number_of, said, seconds_of
from ser.predict.recordings import Recording, RecordingLike, as_recordings, standard_input
from ser.registry import unknown

SEGMENT = ("start", "end", "channel")  # of a recording: s, s, and the channel, 0-based
COLUMNS = ("file", *SEGMENT, "text", "speaker", "dialogue", "turn")
MIX, SPLIT = "mix", "split"  # the mean of all channels; each by itself
LOOSE = "1"  # the name of a dialogue without one


@dataclass(frozen=True, eq=False)
class Inputs:
    """Recordings or texts, in the order of the answer; a column that was not given is None.

    Attributes:
        recordings: the recordings; a row may have none.
        texts: the words that are said.
        dialogues: the dialogue that each is a turn of; None: all are turns of one.
        turns: whole numbers, a larger one is later; None: the order of the rows.
        speakers: names; a name is the same speaker in all dialogues.
        dialogues_by: in words, the rule that made dialogues of inputs that name none.
        unused: true where dialogues or turns were given to a head that reads none.
        left_out: in words, the files of folders that are not audio, or the columns of a list that are not read.
    """

    recordings: list[Recording] | None = None
    texts: list[str] | None = None
    dialogues: list[str] | None = None
    turns: list[int] | None = None
    speakers: list[str] | None = None
    dialogues_by: str = ""
    unused: bool = False
    left_out: str = ""

    @property
    def names(self) -> list[str]:
        """The name of each row: its recording's, or its text where there are texts alone."""
        return list(self.texts or []) if self.recordings is None else [r.name for r in self.recordings]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def segments(self) -> dict[str, list[Any]]:
        """The columns of `SEGMENT` that any recording has, None where one has none."""
        found = {name: [getattr(r, name) for r in self.recordings or []] for name in SEGMENT}
        return {name: values for name, values in found.items() if any(v is not None for v in values)}

    @property
    def dialogue_names(self) -> list[str]:
        return [LOOSE] * len(self) if self.dialogues is None else self.dialogues

    @property
    def turn_numbers(self) -> list[int]:
        """The turns as they were given, or their places in their dialogues, from 1."""
        if self.turns is not None:
            return self.turns
        places = pd.Series(self.dialogue_names).groupby(self.dialogue_names).cumcount() + 1
        return [int(p) for p in places]

    def places(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The numbers of the dialogue and of the turn of some rows, each `(n,)`."""
        dialogue = pd.factorize(np.array(self.dialogue_names, dtype=object)[rows])[0].astype(np.int64)
        return dialogue, np.array(self.turn_numbers, dtype=np.int64)[rows]


def check_inputs(
    recordings: Sequence[RecordingLike] | RecordingLike = None,
    texts: Sequence[str] | str | None = None,
    dialogues: Sequence[Any] | None = None,
    turns: Sequence[Any] | None = None,
    speakers: Sequence[str] | None = None,
    *,
    segments: Mapping[str, Sequence[Any]] | None = None,
    reads_dialogues: bool = True,
) -> Inputs:
    """Check inputs, one of each column for every row.

    Args:
        recordings: see `ser.predict.recordings.Recording`; a single one stands for a list of one.
        segments: of the recordings by the names of `SEGMENT`: start, end, channel; None, NaN and "" are none.
        reads_dialogues: true for a head that does; else dialogues and turns are not looked at.

    Raises:
        ConfigError: there is nothing to predict, a value is not a recording, columns differ in length, a row lacks its dialogue
            or turn, or a turn is there twice.
    """
    columns: dict[str, Any] = {} if recordings is None else {"recordings": as_recordings(recordings)}
    texts = [texts] if isinstance(texts, str) else texts
    more = {"texts": texts, "dialogues": dialogues, "turns": turns, "speakers": speakers}
    columns |= {name: list(values) for name, values in more.items() if values is not None}
    rows = len(columns.get("recordings", columns.get("texts", [])))
    if not rows:
        raise ConfigError("nothing to predict", expected="audio files, or texts for a head on text alone")
    for name, values in columns.items():
        if len(values) != rows:
            raise ConfigError(f"{name} to predict", expected=f"one for each row: {rows}", found=len(values))
    for name, values in (segments or {}).items():
        if name not in SEGMENT:
            raise unknown("column of segments:", name, SEGMENT)
        if "recordings" not in columns or len(values) != rows:
            raise ConfigError(f"{name} of recordings", expected=f"one for each recording: {rows}", found=len(values))
        columns["recordings"] = [
            replace(recording, **{name: _place(name, value, row)})
            for row, (recording, value) in enumerate(zip(columns["recordings"], values, strict=True), start=1)
        ]
    unused = not reads_dialogues and bool({"dialogues", "turns"} & set(columns))
    if not reads_dialogues:
        columns = {name: values for name, values in columns.items() if name not in ("dialogues", "turns")}
    by = "" if "dialogues" in columns else "in the order of their turns" if "turns" in columns else "in the order given"
    if "dialogues" in columns:
        columns["dialogues"] = [_dialogue(value, row) for row, value in enumerate(columns["dialogues"], start=1)]
    if "turns" in columns:
        columns["turns"] = [_turn(value, row) for row, value in enumerate(columns["turns"], start=1)]
    for name in {"texts", "speakers"} & set(columns):
        columns[name] = ["" if pd.isna(value) else str(value) for value in columns[name]]
    found = Inputs(**columns, dialogues_by=by, unused=unused)
    if reads_dialogues:
        _refuse_repeated_turns(found)
    return found


def _refuse_repeated_turns(inputs: Inputs) -> None:
    places = Counter(zip(inputs.dialogue_names, inputs.turn_numbers, strict=True))
    twice = [place for place, n in places.items() if n > 1]
    if twice:
        dialogue, turn = twice[0]
        more = f" (and {len(twice) - 1} more)" if len(twice) > 1 else ""
        raise ConfigError(f"dialogue {dialogue} has turn {turn} twice{more}", expected="each turn of a dialogue once")


def _dialogue(value: Any, row: int) -> str:
    name = "" if pd.isna(value) else str(value)
    if not name:
        raise ConfigError(f"row {row} names no dialogue", expected="a dialogue in every row, or in none")
    return name


def _place(name: str, value: Any, row: int) -> float | int | None:
    """A start or end in s, or the number of a channel; None where there is none."""
    if value is None or value == "":
        return None
    clock = None if name == "channel" else seconds_of(value)
    try:
        number = float(value) if clock is None else clock
    except (TypeError, ValueError):
        number = -1.0
    if number != number and not isinstance(value, str):
        return None
    if not (0 <= number < float("inf")) or (name == "channel" and number != int(number)):
        expected = "a whole number, 0 or more" if name == "channel" else "seconds, 0 or more, such as 12.5 or 0:12.5"
        raise ConfigError(f"the {name} of row {row}", expected=f"{expected}, or nothing", found=repr(value))
    return int(number) if name == "channel" else number


def _turn(value: Any, row: int) -> int:
    for number in (str, float):  # `1.0` is one too; through float, large numbers would lose digits
        try:
            whole = int(number(value))
            if (number is str or whole == float(value)) and abs(whole) < 2**63:
                return whole
        except (TypeError, ValueError, OverflowError):
            continue
    raise ConfigError(f"the turn of row {row}", expected="a whole number in every row, or none", found=repr(value))


def inputs_of_command(
    paths: Sequence[Path], texts: Path | None, table: Path | None, dialogues: bool, channels: str = MIX, raw: str | None = None
) -> Inputs:
    """Read the inputs that a command line names: a table, or else paths and a file of texts.

    Args:
        channels: of each file: `mix`, the mean of all; `split`, each by itself; or the number of one, from 0.
        raw: `RATE` or `RATExCHANNELS` of raw samples on standard input, which is the path `-`.

    Raises:
        ConfigError: a table beside files or texts, raw samples of files, or as of `inputs_of_table` and `inputs_of_paths`.
        CorpusError: the table cannot be read.
    """
    refuse_raw_files(raw, paths)
    if table is None and channels == MIX:
        return inputs_of_paths(paths, texts, dialogues, raw)
    if table is None:
        return _inputs_of_channels(paths, texts, dialogues, channels, raw)
    if channels != MIX:
        raise ConfigError("--channels beside --list", expected="a column channel in the list", option="channels")
    if paths or texts:
        raise ConfigError(
            f"--list {table} beside {'files' if paths else '--texts'}",
            expected="one of them",
            action="Give the list the columns file and text.",
        )
    return inputs_of_table(table, dialogues)


def inputs_of_table(path: Path, dialogues: bool) -> Inputs:
    """Read inputs from a table: a header with some of `COLUMNS`, then one row for each utterance.

    Args:
        path: any file of `read_rows`. Its columns may have all names that those of a table of utterances may have, and others
            of such a table are left out; files are relative to its folder.
        dialogues: true where rows must name their dialogue.

    Raises:
        ConfigError: unknown columns, a column that is missing, or as of `check_inputs`.
        CorpusError: the table cannot be read.
    """
    rows, folder = read_rows(_existing(path))
    if not rows:
        raise ConfigError(f"{path} lists nothing", expected=f"a header ({', '.join(COLUMNS)}) and one row for each utterance")
    keys = list(dict.fromkeys(str(key) for row in rows for key in row))
    columns, strange = choose(keys)
    for key in strange:
        twice = next((columns[name] for name in columns if plain(key) in (name, *ALIASES.get(name, ()))), None)
        if twice is not None:
            raise ConfigError(f"{path} has two columns of one meaning: {twice} and {key}", expected="one of them")
        raise unknown(f"column of {path}:", key, COLUMNS)
    if "path" in columns:
        columns["file"] = columns.pop("path")
    column = _cells(rows, columns)
    if dialogues and column["dialogue"] is None:
        raise ConfigError(
            f"{path} does not say which dialogue a row is of",
            expected="a filled column dialogue, as the head reads dialogues",
            found=", ".join(keys),
        )
    files = column["file"]
    if files is not None:
        files = [str(folder / str(file)) if file else "" for file in files]
    segments = {name: values for name in SEGMENT if (values := column[name]) is not None}
    if segments and files is None:
        raise ConfigError(f"{path} has {', '.join(segments)} and no files", expected="a filled column file")
    others = [column[name] for name in ("text", "dialogue", "turn", "speaker")]
    unread = [key for name, key in columns.items() if name not in (*COLUMNS, "duration")]
    left_out = f"columns of {path}: {', '.join(unread)}" if unread else ""
    return replace(check_inputs(files, *others, segments=segments, reads_dialogues=dialogues), left_out=left_out)


def _cells(rows: Sequence[RawRow], columns: Mapping[str, str]) -> dict[str, list[Any] | None]:
    """The cells of each of `COLUMNS`, "" for an empty one; None for a column with nothing in it.

    A segment without an end has the one that its duration gives it.
    """
    scales = scales_of(columns)
    found: dict[str, list[Any] | None] = {}
    for name in (*COLUMNS, "duration"):
        cells = [cleaned(row.get(columns[name])) if name in columns else None for row in rows]
        if name in (*SEGMENT, "duration"):
            cells = [number_of(cell, scales.get(name, 1)) for cell in cells]
        cells = ["" if said(cell) == "" else cell for cell in cells]
        found[name] = None if all(cell == "" for cell in cells) else cells
    starts, lengths = found["start"], found.pop("duration")
    if starts is not None and lengths is not None:
        ends = found["end"] or [""] * len(rows)
        found["end"] = [_end(*cells) for cells in zip(starts, ends, lengths, strict=True)]
    return found


def _end(start: Any, end: Any, length: Any) -> Any:
    """The end of a segment, of which the length is known; as it is where it is there, or where the others are no times."""
    if end != "" or start == "" or length == "":
        return end
    first, seconds = (time if isinstance(time, (int, float)) else seconds_of(time) for time in (start, length))
    return "" if first is None or seconds is None else first + seconds


def inputs_of_paths(paths: Sequence[Path], texts: Path | None, dialogues: bool, raw: str | None = None) -> Inputs:
    """Take files as given, and of each folder the audio below it in order of name, numbers in names by their value.

    Args:
        texts: a file with one line for each.
        dialogues: true where they are turns: of one dialogue, or, where folders are given, of one in each folder.

    Raises:
        ConfigError: no audio at all, or as of `check_inputs`.
    """
    lines = None if texts is None else read_text(_existing(texts)).splitlines()
    if not paths and lines is not None:
        return check_inputs(None, lines)
    files, left_out = audio_files(paths)
    if not dialogues or not any(path.is_dir() for path in paths):
        return replace(check_inputs(_heard(files, raw), lines), left_out=left_out)
    loose = set(paths)
    names = [LOOSE if file in loose else f"{file.parent}/" for file in files]
    rest = ", the other files are one in the order given" if LOOSE in names else ""
    by = f"each folder is one, its files in order of name{rest}"
    return replace(check_inputs(_heard(files, raw), lines, names), dialogues_by=by, left_out=left_out)


def files_to_follow(paths: Sequence[Path], other: Path | None, raw: str | None) -> tuple[list[Path], str]:
    """The recordings that are followed over time, and in words the files of folders that are left out.

    Args:
        other: a list or a file of texts, which do not go with it.
        raw: as of `inputs_of_command`.

    Raises:
        ConfigError: no files, a list, raw samples of files or of another form.
    """
    if other is not None:
        raise ConfigError(f"{other} beside --window", expected="recordings alone, whose words and turns are not known")
    refuse_raw_files(raw, paths)
    raw_format(raw)
    return ([Path(PIPE)], "") if list(paths) == [Path(PIPE)] else audio_files(paths)


def refuse_raw_files(raw: str | None, paths: Sequence[Path]) -> None:
    """Refuse raw samples where standard input is not read.

    Raises:
        ConfigError: they are asked for.
    """
    if raw is not None and Path(PIPE) not in paths:
        raise ConfigError("--raw is of standard input", expected="- in place of files", option="raw")


def _heard(files: Sequence[Path], raw: str | None) -> list[RecordingLike]:
    """The files, and in place of `-` the recording on standard input."""
    return [standard_input(raw_format(raw)) if file == Path(PIPE) else file for file in files]


def check_channels(asked: str) -> None:
    """Refuse what is neither `mix`, `split` nor the number of a channel.

    Raises:
        ConfigError: it is something else.
    """
    if asked not in (MIX, SPLIT) and not asked.isdecimal():
        raise ConfigError("--channels", expected=f"{MIX}, {SPLIT}, or a number from 0", found=repr(asked))


def channel_numbers(asked: str, count: int) -> list[int | None]:
    """The channels that are heard of a recording with `count`, whether it has them or not; None is the mean of all.

    >>> channel_numbers("mix", 2), channel_numbers("split", 2), channel_numbers("1", 2)
    ([None], [0, 1], [1])
    """
    return [None] if asked == MIX else list(range(count)) if asked == SPLIT else [int(asked)]


def _inputs_of_channels(paths: Sequence[Path], texts: Path | None, dialogues: bool, channels: str, raw: str | None) -> Inputs:
    """Take one channel of each file, or each by itself; a file that cannot be opened is one row."""
    if texts or dialogues:
        problem = "--channels beside --texts" if texts else "--channels, of a head that reads dialogues"
        raise ConfigError(problem, expected="a list with the column channel: --list FILE", option="channels")
    check_channels(channels)
    files, left_out = audio_files(paths)
    if channels == SPLIT and Path(PIPE) in files:
        raise ConfigError(
            "--channels split of standard input (-)",
            expected="a file, or --window beside it, or the number of one channel",
            option="channels",
        )
    rows: list[tuple[Path, int | None]] = []
    for file in files:
        if file == Path(PIPE):
            rows.append((file, int(channels)))
            continue
        try:
            with open_file(file) as stream:
                rows += [(file, k) for k in channel_numbers(channels, stream.channels)]
        except AudioError:
            rows.append((file, None))
    found = check_inputs(_heard([f for f, _ in rows], raw), segments={"channel": [k for _, k in rows]})
    return replace(found, left_out=left_out)


def audio_files(paths: Sequence[Path]) -> tuple[list[Path], str]:
    """Take files as given; of a folder, the audio files below it in order of name, `a2` before `a10`.

    Returns:
        The files; and in words those of the folders that are left out because their ending is not one of audio.

    Raises:
        ConfigError: no audio at all, or standard input twice.
    """
    if list(paths).count(Path(PIPE)) > 1:
        raise ConfigError("standard input (-) is named twice", expected="once, as it is read once")
    found: list[Path] = []
    others: Counter[str] = Counter()
    for path in paths:
        if not path.is_dir():
            found.append(path)  # one that is not there is a row with an error
            continue
        inside = [p for p in path.rglob("*") if not p.is_dir() and not p.name.startswith(".")]
        audio = [p for p in inside if p.suffix.lower() in ENDINGS]
        found += sorted(audio, key=_natural)
        others.update(p.suffix.lower() or "without ending" for p in set(inside) - set(audio))
    kinds = ", ".join(f"{ending} {count}" for ending, count in others.most_common(5))
    if not found:
        raise ConfigError(
            "no audio found", expected=f"files, or folders with files that end in {', '.join(ENDINGS)}", found=kinds or None
        )
    return found, f"{others.total()} files that are not audio by their ending ({kinds})" if others else ""


def _existing(path: Path) -> Path:
    """The path of a regular file; a named pipe or a device is called what it is."""
    if not path.exists():
        raise ConfigError(f"there is no file {path}")
    try:
        open_regular(path).close()
    except OSError as error:
        raise unreadable(str(path), error) from None
    return path


def _natural(path: Path) -> tuple[list[list[str | int]], str]:
    return [[int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", part)] for part in path.parts], str(path)
