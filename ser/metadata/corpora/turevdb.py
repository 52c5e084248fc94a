"""TurEV-DB: Turkish words said by amateur actors in four emotions.

File names: actor, emotion in Turkish (two letters), word: `1984_sk_eger.wav`. The folder has the emotion.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.parsing import left_out
from ser.metadata.schema import Row

TITLE = "TurEV-DB, the Turkish Emotion Voice Database"
CITATION = (
    "S. F. Canpolat, Z. Ormanoğlu, D. Zeyrek: Turkish Emotion Voice Database (TurEV-DB). SLTU-CCURL 2020, 368-375. "
    "https://aclanthology.org/2020.sltu-1.52 (no DOI)"
)
LICENCE = "freely available for research (see the repository)"
URL = "https://github.com/Xeonen/TurEV-DB"
LANGUAGE = "tr"
TREE = """
Sound Source/Calm/1984_sk_eger.wav      1,735 files in Angry/, Calm/, Happy/, Sad/
"""
LABELS = {"Angry": "anger", "Calm": "calm", "Happy": "happiness", "Sad": "sadness"}
UTTERANCES = 1735
SENTENCES = 82
NOTES = (
    "Single words, said in all emotions: text says nothing about the emotion. The prompt is the word as the file name has it, "
    "without the letters of Turkish that ASCII lacks; so there is no text.",
    "The speakers' sex is not in the release's names.",
)
_NAME = re.compile(r"(?P<speaker>\d+)_[a-z]+_(?P<prompt>\w+)")


def parse(root: Path) -> Iterator[Row]:
    """Rows of the files named as those of TurEV-DB, below a folder of an emotion."""
    elsewhere = 0
    for row, _ in named_rows(root, _NAME, "TurEV-DB"):
        label = next((part for part in reversed(row["path"].split("/")[:-1]) if part in LABELS), None)
        if label is None:
            elsewhere += 1
            continue
        yield {**row, "label": label}
    left_out(elsewhere, f"audio files outside of {', '.join(LABELS)}")


def example(root: Path) -> Path:
    return write_tones(root / "Sound Source", "Calm/1984_sk_eger.wav", "Calm/1358_sk_dil.wav", "Angry/1984_ki_dil.wav")
