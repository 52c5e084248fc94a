"""URDU: utterances of Urdu talk shows, four emotions.

File names: speaker (S, gender, number), file, emotion and its number: `SM1_F1_A01.wav`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.schema import Row

TITLE = "URDU, emotional utterances of Urdu talk shows"
CITATION = (
    "S. Latif, A. Qayyum, M. Usman, J. Qadir: Cross Lingual Speech Emotion Recognition: Urdu vs. Western Languages. "
    "International Conference on Frontiers of Information Technology (FIT) 2018, 88-93. doi:10.1109/FIT.2018.00023"
)
LICENCE = "for research only (no licence text)"
URL = "https://github.com/siddiquelatif/URDU-Dataset"
LANGUAGE = "ur"
TREE = """
Angry/SM1_F1_A01.wav                400 files in Angry/, Happy/, Neutral/, Sad/ (folders of speakers below them do as well)
"""
LABELS = {"A": "anger", "H": "happiness", "N": "neutral", "S": "sadness"}
UTTERANCES = 400
SENTENCES = None
NOTES = (
    "Spontaneous speech, cut from talk shows on YouTube: an encoder that was trained on web video may have heard it.",
    "The paper and the release speak of 38 speakers (27 men, 11 women); the file names tell 29 apart, and those are used.",
    "Speakers do not show all emotions; nothing is transcribed.",
)
_NAME = re.compile(r"(?P<speaker>S([FM])\d+)_F\d+_(?P<label>[A-Z])\d+")


def parse(root: Path) -> Iterator[Row]:
    for row, name in named_rows(root, _NAME, "URDU"):
        yield {**row, "gender": "male" if name[2] == "M" else "female"}


def example(root: Path) -> Path:
    return write_tones(root, "Angry/SM1_F1_A01.wav", "Happy/SF1_F10_H010.wav", "Neutral/SM5/SM5_F3_N057.wav")
