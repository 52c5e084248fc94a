"""Durations, rates and channels from audio headers, and why a file has none: a header is enough, nothing is decoded."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import nan
from pathlib import Path

import pandas as pd

from ser.audio.decoding import AudioHeader, header
from ser.audio.reading import SEGMENT_SLACK, in_milliseconds
from ser.errors import AudioError, CorpusError
from ser.metadata.parsing import LOG
from ser.metadata.schema import AudioForm
from ser.progress import progress

# Faults of a file (`ser.audio.files.FAULTS`) in words; the others make it unreadable as audio.
POINTER, MISSING = "Git LFS pointer", "not there"
_REASONS = {
    "missing": MISSING,
    "unreadable": "without permission to read it",
    "irregular": "not a regular file",
    "pointer": POINTER,
    "web-page": "HTML page",
    "empty": "empty",
}
DAMAGED = "not readable as audio"


@dataclass
class Unusable:
    """Audio files that cannot be used.

    Attributes:
        files: number of audio files that the table names, and of those that could not be named in it.
        reasons: reason -> paths, as in the table.
    """

    files: int = 0
    reasons: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(paths) for paths in self.reasons.values())

    def add(self, reason: str, path: str) -> None:
        """Add a file."""
        self.reasons.setdefault(reason, []).append(path)

    def line(self, root: Path) -> str:
        """The number of files, the reasons, and what to do, in one line."""
        most = sorted(self.reasons.items(), key=lambda item: -len(item[1]))
        parts = [f"{reason} {len(paths)} ({paths[0]}{', ...' if len(paths) > 1 else ''})" for reason, paths in most]
        text = f"{len(self)} of {self.files} audio files cannot be used: {'; '.join(parts)}."
        if POINTER in self.reasons:
            text += f" Fetch the audio with: cd {root} && git lfs install && git lfs pull"
        elif MISSING in self.reasons:
            absolute = all(Path(path).is_absolute() for path in self.reasons[MISSING])
            text += f" {'Is' if absolute else f'Paths are relative to {root}: is'} the audio there, under these names?"
        elif _REASONS["unreadable"] in self.reasons:
            text += f" Give yourself permission to read them: chmod -R u+rX {root}"
        return text


def measure(frame: pd.DataFrame, root: Path, quiet: bool = False) -> tuple[pd.DataFrame, Unusable, AudioForm | None]:
    """Take the duration of each row from the headers of the files below the root.

    A path that differs from the file's name only in how accents are encoded (NFC as most programs write them, NFD as macOS
    does) becomes the file's.

    Args:
        frame: with columns `path`, `start`, `end` and `duration`.

    Returns:
        The frame with `duration` in seconds: the header's length of whole files, `end - start` of segments, the row's own
        duration where the header does not give it, NaN where the file cannot be read; the files that cannot; and the rates and
        channels of all, None where a file does not say.

    Raises:
        CorpusError: most segments lie outside of their files, as where starts and ends are in milliseconds.
    """
    paths = [p for p in dict.fromkeys(frame["path"]) if p]
    found = Unusable(len(paths))
    lengths: dict[str, float] = {}
    headers: list[AudioHeader | None] = []
    named: dict[str, str] = {}
    for path in progress(paths, len(paths), "audio headers", "file", quiet):
        named[path] = _as_on_disk(root, path)
        try:
            headers.append(header(root / named[path]))
            lengths[path] = nan if headers[-1] is None else headers[-1].seconds
        except AudioError as error:
            found.add(_REASONS.get(error.fault, DAMAGED), path)
    _check_times(frame, lengths)
    durations = [
        _duration(lengths.get(path, nan), bool(path) and path not in lengths, start, end, stated)
        for path, start, end, stated in zip(frame["path"], frame["start"], frame["end"], frame["duration"], strict=True)
    ]
    measured = frame.assign(duration=pd.Series(durations, dtype=float, index=frame.index))
    return measured.assign(path=[named.get(path, path) for path in frame["path"]]), found, _form(headers)


def _form(headers: list[AudioHeader | None]) -> AudioForm | None:
    known = [one for one in headers if one is not None]
    if not known or len(known) < len(headers):
        return None
    rates = [one.rate for one in known]
    return {"lowest_rate": min(rates), "highest_rate": max(rates), "channels": max(one.channels for one in known)}


def refuse_all_unusable(found: Unusable, root: Path, title: str) -> None:
    """Stop where no audio file at all can be used: one message instead of a table of failures.

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
    raise CorpusError(f"{title}: {found.line(root)}")


def _duration(header: float, unread: bool, start: float, end: float, stated: float) -> float:
    if unread:
        return nan
    begin = 0.0 if pd.isna(start) else start
    if not pd.isna(end):
        return round(end - begin, 6)
    return stated if pd.isna(header) else round(max(header - begin, 0.0), 6)


def _as_on_disk(root: Path, path: str) -> str:
    """The path as the file system spells it, where there is a file of that name but for how accents are encoded."""
    if path.isascii() or _exists(root / path):
        return path
    folder = Path("/") if path.startswith("/") else root
    spelt = []
    for part in path.split("/"):
        if not _exists(folder / part):
            wanted = unicodedata.normalize("NFC", part)
            part = next((n for n in _names(folder) if unicodedata.normalize("NFC", n) == wanted), part)
        folder /= part
        spelt.append(part)
    return "/".join(spelt) if _exists(folder) else path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long
        return False


def _names(folder: Path) -> Iterable[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []


def _check_times(frame: pd.DataFrame, lengths: dict[str, float]) -> None:
    """Note segments that lie outside of their files; refuse a table of which most do, with what its times may be."""
    last = frame["end"].fillna(frame["start"])
    length = frame["path"].map(lengths).astype(float)
    last, length = last[last.notna() & length.notna()], length[last.notna() & length.notna()]
    outside = last > length + SEGMENT_SLACK
    if not outside.any():
        return
    row = list(last.index)[outside.to_numpy().argmax()]
    column = "start" if pd.isna(frame["end"][row]) else "end"
    found = f"{frame['utterance_id'][row]}: {column} {last[row]:g} of a file of {length[row]:.3f} s"
    count = int(outside.sum())
    if outside.mean() <= 0.5:
        LOG.warning("segments that lie outside of their files: %d (%s)", count, found)
        return
    counted = f"{count} of {len(last)} segments lie outside of their files"
    if in_milliseconds(last[outside], length[outside]).mean() > 0.5:
        raise CorpusError(
            f"start and end look like milliseconds: {counted}",
            expected="seconds",
            found=found,
            action="Write them in seconds, or call the columns start_ms and end_ms (a column duration: duration_ms).",
        )
    raise CorpusError(
        counted,
        expected="start and end in seconds, within the file of their row",
        found=found,
        action="Are they frames or samples, rounded up, or of other files? Write them as seconds within the file that the "
        "row names.",
    )
