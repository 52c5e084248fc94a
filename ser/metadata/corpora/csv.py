"""A corpus of one's own, from a CSV, TSV or Excel file (or JSON lines, by its ending)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ser.metadata.column_names import translate_file
from ser.metadata.corpora._example import write_text, write_tone
from ser.metadata.labels import BY_WORD
from ser.metadata.schema import Row
from ser.metadata.table_files import read_rows

TITLE = "CSV, TSV or Excel file"
CITATION = "none: a corpus of one's own"
LICENCE = "that of the audio it names"
URL = ""
LANGUAGE = ""
TREE = """
FILE.csv                a header, then one row per utterance: path, emotion, speaker, text, ... (as in the utterance table)
*.wav                   audio; paths are relative to the file's folder, or to that of --root
"""
LABELS = BY_WORD
UTTERANCES = None
SENTENCES = None
NOTES = (
    "Usual other names of columns are known: file, wav, audio_path; label; speaker_id; transcript, sentence; and more.",
    "Emotion words that are not known become the emotion 'other' and keep their label. Other columns are ignored.",
    "Labels that differ in case only are one; NA, nan, none, unknown, - and ? are not labels; columns of 0 and 1 called like "
    "emotions are labels; columns such as start_ms and end_ms are in milliseconds.",
)


def parse(root: Path, ratings: Sequence[str] = (), audio: Path | None = None) -> Iterator[Row]:
    """Rows of the file, see `translate_file`."""
    return translate_file(root, "csv", read_rows, ratings, audio)


def example(root: Path) -> Path:
    write_tone(root / "audio" / "a.wav")
    write_tone(root / "audio" / "b.wav", seconds=2.0)
    table = (
        "file,Label,speaker_id,sex,sentence,start,end,set,mood\n"
        'audio/a.wav,angry,01,f,"Well, ""no"".\nNever.",,,dev,x\n'
        "audio/b.wav,sad,02,M,NA,0.5,1.25,train,y\n"
    )
    return write_text(root / "mine.csv", table)
