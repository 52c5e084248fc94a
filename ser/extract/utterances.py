"""The utterances of a table as one modality's sources: the place of the audio or the text, and its hash."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ser.audio.reading import file_hash, none_if_nan, segment_hash
from ser.errors import AudioError, CorpusError
from ser.features.stores.failures import Failure
from ser.features.stores.names import source_as
from ser.metadata.labels import Scheme
from ser.metadata.table import Table


@dataclass(frozen=True, slots=True)
class Item:
    """The source of one utterance's features: audio where `path` is given, else the text.

    Attributes:
        id: utterance id.
        path: the audio file.
        start, end: s within it; None is its beginning and its end.
        channel: 0-based; None is the mean of all.
        text: the text, for text encoders.
        seconds: the length of the audio, as far as the table knows it; for planning only.
        emotion: its class under a label scheme, where a view is chosen by it; "" elsewhere.
    """

    id: str
    path: Path | None = None
    start: float | None = None
    end: float | None = None
    channel: float | None = None
    text: str = ""
    seconds: float | None = None
    emotion: str = ""


def audio_items(table: Table) -> list[Item]:
    """The utterances that have audio.

    Raises:
        CorpusError: none has, or the corpus folder is gone.
    """
    frame = table.frame[table.frame["path"] != ""]
    if frame.empty:
        raise CorpusError(
            f"{table.dataset} has no audio", action="Take a text encoder with --text, or make its table again with audio files."
        )
    if not table.root.is_dir():
        raise CorpusError(
            f"the audio of {table.dataset} is gone: there is no folder {table.root}",
            action="Say with --root where the corpus lies now.",
        )
    columns = (frame[c] for c in ("utterance_id", "path", "start", "end", "channel", "duration"))
    return [
        Item(i, table.root / p, none_if_nan(s), none_if_nan(e), none_if_nan(c), seconds=none_if_nan(d))
        for i, p, s, e, c, d in zip(*columns, strict=True)
    ]


def with_classes(items: Sequence[Item], table: Table, scheme: Scheme) -> list[Item]:
    """The items with their classes under a label scheme; "" for those that it leaves out."""
    classes = dict(zip(table.frame["utterance_id"], scheme.apply(table.frame), strict=True))
    return [replace(item, emotion=classes[item.id]) for item in items]


def text_items(table: Table) -> list[Item]:
    """The utterances that have text.

    Raises:
        CorpusError: none has.
    """
    frame = table.frame[table.frame["text"].str.strip() != ""]
    if frame.empty:
        raise CorpusError(
            f"{table.dataset} has no text", action="Take an audio encoder with --audio, or give the table a column text."
        )
    return [Item(i, text=t) for i, t in zip(frame["utterance_id"], frame["text"], strict=True)]


def training_texts(table: Table) -> list[str]:
    """The texts that an encoder may be made from: those of the training part, or all where the table has no parts."""
    frame = table.frame[table.frame["text"].str.strip() != ""]
    train = frame[frame["split"] == "train"]
    return list((frame if train.empty else train)["text"])


def hashes(items: Sequence[Item]) -> tuple[dict[str, bytes], list[Failure]]:
    """SHA-256 of each item's source, and the items whose source cannot be read.

    A file is read once, however many utterances it holds.
    """
    paths = list(dict.fromkeys(item.path for item in items if item.path is not None))
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        files = dict(zip(paths, pool.map(_read, paths), strict=True))
    found = [(item, _hash(item, files)) for item in items]
    return (
        {item.id: result for item, result in found if isinstance(result, bytes)},
        [Failure.of(item.id, item.path, result) for item, result in found if isinstance(result, AudioError)],
    )


def with_emotions(items: Sequence[Item], sources: dict[str, bytes]) -> dict[str, bytes]:
    """Hashes of the audio together with the class by which it is augmented: with another class the features are out of date."""
    return {item.id: source_as(sources[item.id], item.emotion) for item in items if item.id in sources}


def _read(path: Path) -> Any:
    """The hash of a file, or the error of reading it."""
    try:
        return file_hash(path)
    except AudioError as error:
        return error


def _hash(item: Item, files: dict[Path, Any]) -> "bytes | AudioError":
    if item.path is None:
        return hashlib.sha256(item.text.encode()).digest()
    file = files[item.path]
    return file if isinstance(file, AudioError) else segment_hash(file, item.start, item.end, item.channel)


def lengths(items: Sequence[Item]) -> list[float]:
    """Seconds of audio of each item: the table's, or what the file's header says; 0 where neither does."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(_seconds, items))


def _seconds(item: Item) -> float:
    if item.seconds is not None:
        return item.seconds
    if item.start is not None and item.end is not None:
        return item.end - item.start
    assert item.path is not None
    import soundfile

    try:
        whole = float(soundfile.info(item.path).duration)
    except (OSError, soundfile.LibsndfileError):
        return 0.0  # a container, or damaged: decoding it will tell
    return max(0.0, (whole if item.end is None else item.end) - (item.start or 0.0))
