"""A corpus of one's own, from a file of JSON lines."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ser.metadata.column_names import translate_file
from ser.metadata.corpora._example import write_text, write_tone
from ser.metadata.labels import BY_WORD
from ser.metadata.schema import Row
from ser.metadata.table_files import read_json_lines

TITLE = "JSON lines file"
CITATION = "none: a corpus of one's own"
LICENCE = "that of the audio it names"
URL = ""
LANGUAGE = ""
TREE = """
FILE.jsonl              an object a line: {"path": "a.wav", "emotion": "angry", "speaker": "s1", "text": "...", ...}
*.wav                   audio; paths are relative to the file's folder, or to that of --root
"""
LABELS = BY_WORD
UTTERANCES = None
SENTENCES = None
NOTES = ("Keys are the columns of the utterance table, or their usual other names, as for csv; votes may be an object.",)


def parse(root: Path, ratings: Sequence[str] = (), audio: Path | None = None) -> Iterator[Row]:
    """Rows of the file, see `translate_file`."""
    return translate_file(root, "jsonl", read_json_lines, ratings, audio)


def example(root: Path) -> Path:
    write_tone(root / "a.wav")
    lines = (
        '{"audio_filepath": "a.wav", "emotion": "Happy", "speaker": 7, "votes": {"happy": 3, "angry": 1}}\n'
        '{"id": "t1", "transcript": "only text", "label": "fearful"}\n'
    )
    return write_text(root / "mine.jsonl", lines)
