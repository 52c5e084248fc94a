"""Durations from audio headers, and why a file has none: a header is enough, nothing is decoded."""

from dataclasses import dataclass, field
from math import nan
from pathlib import Path

import pandas as pd

from ser.errors import CorpusError
from ser.progress import progress

# What libsndfile reads. Other files (the video of MELD) keep the duration that their corpus states.
SOUND = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au")
LFS_HEAD = b"version https://git-lfs"  # what a clone without LFS leaves where a large file should be

POINTER, WEB_PAGE, EMPTY, MISSING, DAMAGED = (
    "Git LFS pointer",
    "HTML page",
    "empty",
    "not there",
    "not readable as audio",
)


@dataclass
class Unreadable:
    """Files that are no audio.

    Attributes:
        files: number of audio files that the table names.
        reasons: reason -> paths, as in the table.
    """

    files: int = 0
    reasons: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(paths) for paths in self.reasons.values())

    def line(self, root: Path) -> str:
        """How many, why, and what to do, in one line."""
        parts = [
            f"{reason} {len(paths)} ({paths[0]}{', ...' if len(paths) > 1 else ''})" for reason, paths in self._most()
        ]
        text = f"{len(self)} of {self.files} audio files cannot be read: {'; '.join(parts)}."
        if POINTER in self.reasons:
            text += f" Fetch the audio with: cd {root} && git lfs install && git lfs pull"
        return text

    def _most(self) -> list[tuple[str, list[str]]]:
        return sorted(self.reasons.items(), key=lambda item: -len(item[1]))


def measure(frame: pd.DataFrame, root: Path, quiet: bool = False) -> tuple["pd.Series[float]", Unreadable]:
    """Duration of each row in seconds, from the headers of the files below the root.

    Args:
        frame: with columns `path`, `start`, `end` and `duration`.

    Returns:
        The header's length of whole files, `end - start` of segments, the row's own duration where the file is no
        sound file, NaN where the file cannot be read; and what could not be read.
    """
    paths = [p for p in dict.fromkeys(frame["path"]) if p]
    found = Unreadable(len(paths))
    lengths: dict[str, float] = {}
    for path in progress(paths, len(paths), "audio headers", "file", quiet):
        seconds, reason = _length(root / path)
        lengths[path] = seconds
        if reason:
            found.reasons.setdefault(reason, []).append(path)
    unread = {p for paths in found.reasons.values() for p in paths}
    values = [
        _duration(lengths.get(path, nan), path in unread, start, end, stated)
        for path, start, end, stated in zip(frame["path"], frame["start"], frame["end"], frame["duration"], strict=True)
    ]
    return pd.Series(values, dtype=float, index=frame.index), found


def refuse_all_unreadable(found: Unreadable, root: Path, title: str) -> None:
    """Stop where no audio file at all can be read: one message instead of a table of failures.

    Raises:
        CorpusError: saying why, and how to get the audio.
    """
    if not found.files or len(found) < found.files:
        return
    if len(found.reasons.get(POINTER, [])) == found.files:
        raise CorpusError(
            f"{title}: all {found.files} audio files in {root} are Git LFS pointers",
            expected="audio",
            found="about 130 bytes of text each, as a clone or a download without Git LFS leaves them",
            action=f"Install Git LFS, then: cd {root} && git lfs install && git lfs pull; then give this command again.",
        )
    raise CorpusError(f"{title}: {found.line(root).rstrip('.')}", action="Check --root.")


def _duration(header: float, unread: bool, start: float, end: float, stated: float) -> float:
    if unread:
        return nan
    begin = 0.0 if pd.isna(start) else start
    if not pd.isna(end):
        return round(end - begin, 6)
    return stated if pd.isna(header) else round(max(header - begin, 0.0), 6)


def _length(path: Path) -> tuple[float, str]:
    """Seconds (NaN where not known), and why the file cannot be read ("" where it can)."""
    import soundfile

    if path.suffix.lower() in SOUND:
        try:
            info = soundfile.info(str(path))
            return float(info.duration), ""
        except (soundfile.LibsndfileError, OSError):
            return nan, _reason(path) or DAMAGED
    return nan, _reason(path)


def _reason(path: Path) -> str:
    if not path.is_file():
        return MISSING
    if path.stat().st_size == 0:
        return EMPTY
    with path.open("rb") as handle:
        head = handle.read(256)
    if head.startswith(LFS_HEAD):
        return POINTER
    return WEB_PAGE if head.lstrip().lower().startswith((b"<!doctype", b"<html")) else ""
