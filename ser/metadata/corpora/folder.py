"""A corpus of one's own, from a folder of folders: `label/*.wav` or `label/speaker/*.wav`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ser.metadata.corpora._example import write_tones
from ser.metadata.labels import SYNONYMS, from_word
from ser.metadata.parsing import AUDIO, LOG, few, files_below, left_out

TITLE = "Folder of folders"
CITATION = "none: a corpus of one's own"
LICENCE = "that of the audio in it"
URL = ""
LANGUAGE = ""
TREE = """
LABEL/*.wav             a folder an emotion (angry, happy, ...); flac, ogg and mp3 do as well
LABEL/SPEAKER/*.wav     or, below it, a folder a speaker
"""
LABELS = {word: emotion for emotion, words in SYNONYMS.items() for word in words}
UTTERANCES = None
SENTENCES = None
NOTES = (
    "Folder names that are no known emotion word become the emotion 'other' and keep their label.",
    "Ids are the paths without their ending. Files beside the label folders, or deeper than a speaker's, are left out.",
)


def parse(root: Path) -> Iterator[dict[str, Any]]:
    """Rows of all audio files in label folders."""
    elsewhere = 0
    strange: set[str] = set()
    for path in files_below(root, *AUDIO):
        label, *between = path.split("/")[:-1] or [""]
        if not label or len(between) > 1:
            elsewhere += 1
            continue
        emotion = from_word(label)
        if emotion == "other":
            strange.add(label)
        yield {
            "utterance_id": path.rsplit(".", 1)[0],
            "path": path,
            "label": label,
            "emotion": emotion,
            "speaker": between[0] if between else "",
        }
    left_out(elsewhere, "files that are not in LABEL/ or LABEL/SPEAKER/")
    if strange:
        LOG.warning("folders that are no known emotion word (emotion: other): %s", few(sorted(strange)))


def example(root: Path) -> Path:
    """Write an example tree and return its root."""
    return write_tones(root, "angry/a.wav", "Happy/anna/a.flac", "whispered/bert/a.wav")
