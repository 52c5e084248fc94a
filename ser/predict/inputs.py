"""What a saved head is given: recordings or texts, and where known who speaks them, in which dialogue, at which turn."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import ConfigError
from ser.metadata.parsing import read_text
from ser.metadata.table_files import read_delimited
from ser.registry import unknown

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".aiff", ".aif", ".webm")
COLUMNS = ("file", "text", "speaker", "dialogue", "turn")
LOOSE = "1"  # what a dialogue is called that nobody has named


@dataclass(frozen=True)
class Given:
    """Recordings or texts, in the order of the answer; a column that is not given is None.

    Attributes:
        files: audio files, "" where a row has none.
        texts: what is said.
        dialogues: which dialogue each is a turn of; None: all are turns of one.
        turns: whole numbers, a larger one is later; None: the order of the rows.
        speakers: who speaks; a name is the same speaker in all dialogues.
        how: in words, how dialogues came about that were not named.
        unused: whether dialogues or turns were given to a head that reads none.
    """

    files: list[str] | None = None
    texts: list[str] | None = None
    dialogues: list[str] | None = None
    turns: list[int] | None = None
    speakers: list[str] | None = None
    how: str = ""
    unused: bool = False

    @property
    def names(self) -> list[str]:
        """What each row is called: its file, or its text where there are texts alone."""
        return list(self.files if self.files is not None else self.texts or [])

    def __len__(self) -> int:
        return len(self.names)

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
        """Of some rows the number of their dialogue and of their turn, each `(n,)`."""
        dialogue = pd.factorize(np.array(self.dialogue_names, dtype=object)[rows])[0].astype(np.int64)
        return dialogue, np.array(self.turn_numbers, dtype=np.int64)[rows]


def given(
    files: Sequence[Path | str] | None = None,
    texts: Sequence[str] | None = None,
    dialogues: Sequence[Any] | None = None,
    turns: Sequence[Any] | None = None,
    speakers: Sequence[str] | None = None,
    *,
    reads_dialogues: bool = True,
) -> Given:
    """Check what is given; each is one a row.

    Args:
        reads_dialogues: whether the head does; if not, dialogues and turns are not looked at.

    Raises:
        ConfigError: nothing, columns of unlike lengths, a row without its dialogue or turn, or a turn that is there twice.
    """
    columns = {"files": files, "texts": texts, "dialogues": dialogues, "turns": turns, "speakers": speakers}
    there: dict[str, list[Any]] = {name: list(values) for name, values in columns.items() if values is not None}
    rows = len(there.get("files", there.get("texts", [])))
    if not rows:
        raise ConfigError("nothing to predict", expected="audio files, or texts for a head on text alone")
    for name, values in there.items():
        if len(values) != rows:
            raise ConfigError(f"{name} of what is to be predicted", expected=f"one a row: {rows}", found=len(values))
    unused = not reads_dialogues and bool({"dialogues", "turns"} & set(there))
    if not reads_dialogues:
        dialogues = turns = None
        there = {name: values for name, values in there.items() if name not in ("dialogues", "turns")}
    how = "in the order given" if turns is None else "in the order of their turns"
    if dialogues is not None:
        there["dialogues"] = [_named(value, row) for row, value in enumerate(there["dialogues"], start=1)]
        how = ""
    if turns is not None:
        there["turns"] = [_whole(value, row) for row, value in enumerate(there["turns"], start=1)]
    for name in {"files", "texts", "speakers"} & set(there):
        there[name] = ["" if pd.isna(value) else str(value) for value in there[name]]
    found = Given(**there, how=how, unused=unused)
    if not reads_dialogues:
        return found
    twice = [place for place, n in Counter(zip(found.dialogue_names, found.turn_numbers, strict=True)).items() if n > 1]
    if twice:
        dialogue, turn = twice[0]
        more = f" (and {len(twice) - 1} more)" if len(twice) > 1 else ""
        raise ConfigError(f"dialogue {dialogue} has turn {turn} twice{more}", expected="each turn of a dialogue once")
    return found


def asked_for(paths: Sequence[Path], texts: Path | None, table: Path | None, dialogues: bool) -> Given:
    """What the command line names: `from_list` where there is a table, else `from_paths`.

    Raises:
        ConfigError: a table beside files or texts, or what these refuse.
    """
    if table is None:
        return from_paths(paths, texts, dialogues)
    if paths or texts:
        raise ConfigError(
            f"--list {table} beside {'files' if paths else '--texts'}",
            expected="one of them",
            action="Give the list the columns file and text.",
        )
    return from_list(table, dialogues)


def from_list(path: Path, dialogues: bool) -> Given:
    """What a table lists: a header with some of `COLUMNS`, then a row an utterance; comma, semicolon or tab between.

    Args:
        path: files in it are relative to its folder.
        dialogues: whether rows must name their dialogue.

    Raises:
        ConfigError: unknown columns, a column that is missing, or what `given` refuses.
        CorpusError: it is no such table.
    """
    rows, folder = read_delimited(_there(path))
    if not rows:
        raise ConfigError(f"{path} lists nothing", expected=f"a header ({', '.join(COLUMNS)}) and a row an utterance")
    strange = [name for name in rows[0] if name not in COLUMNS]
    if strange:
        raise unknown(f"column of {path}:", strange[0], COLUMNS)
    column = {name: [r.get(name, "") for r in rows] if any(r.get(name) for r in rows) else None for name in COLUMNS}
    if dialogues and column["dialogue"] is None:
        raise ConfigError(
            f"{path} does not say which dialogue a row is of",
            expected="a filled column dialogue, for the head reads dialogues",
            found=", ".join(rows[0]),
        )
    files = column["file"]
    if files is not None:
        files = [str(folder / file) if file else "" for file in files]
    return given(
        files, column["text"], column["dialogue"], column["turn"], column["speaker"], reads_dialogues=dialogues
    )


def from_paths(paths: Sequence[Path], texts: Path | None, dialogues: bool) -> Given:
    """Files as given, and of each folder the audio below it in order of name, numbers in names by their value.

    Args:
        texts: a file with a line for each.
        dialogues: whether they are turns: of one dialogue, but where folders are given, a folder is one.

    Raises:
        ConfigError: a path that is not there, no audio at all, or what `given` refuses.
    """
    lines = None if texts is None else read_text(_there(texts)).splitlines()
    if not paths and lines is not None:
        return given(None, lines)
    files = audio_files(paths)
    if not dialogues or not any(path.is_dir() for path in paths):
        return given(files, lines)
    loose = set(paths)
    names = [LOOSE if file in loose else f"{file.parent}/" for file in files]
    rest = ", the other files are one in the order given" if LOOSE in names else ""
    return replace(given(files, lines, names), how=f"each folder is one, its files in order of name{rest}")


def audio_files(paths: Iterable[Path]) -> list[Path]:
    """Files as given; of a folder, the audio files below it in order of name, `a2` before `a10`.

    Raises:
        ConfigError: a path that is not there, or no audio at all.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ConfigError(f"there is no {path}", expected="audio files or folders of them")
        inside = [p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES] if path.is_dir() else [path]
        found += sorted(inside, key=_natural)
    if not found:
        raise ConfigError("no audio found", expected=f"files that end in {', '.join(SUFFIXES)}")
    return found


def _there(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    return path


def _natural(path: Path) -> tuple[list[list[str | int]], str]:
    return [[int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", part)] for part in path.parts], str(path)


def _named(value: Any, row: int) -> str:
    name = "" if pd.isna(value) else str(value)
    if not name:
        raise ConfigError(f"row {row} names no dialogue", expected="a dialogue in every row, or in none")
    return name


def _whole(value: Any, row: int) -> int:
    for number in (str, float):  # `1.0` is one too; through float, large numbers would lose digits
        try:
            whole = int(number(value))
            if (number is str or whole == float(value)) and abs(whole) < 2**63:
                return whole
        except (TypeError, ValueError, OverflowError):
            continue
    raise ConfigError(f"the turn of row {row}", expected="a whole number in every row, or none", found=repr(value))
