"""SUBESCO: twenty actors of Bangladesh, ten sentences, seven emotions, five takes each. Bengali.

File names: gender and number of the speaker, name, sentence, emotion, take: `F_01_OISHI_S_1_ANGRY_1.wav`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.labels import by_word
from ser.metadata.parsing import stem
from ser.metadata.schema import Row

TITLE = "SUBESCO, the SUST Bangla Emotional Speech Corpus"
CITATION = (
    "S. Sultana, M. S. Rahman, M. R. Selim, M. Z. Iqbal: SUST Bangla Emotional Speech Corpus (SUBESCO): An audio-only "
    "emotional speech corpus for Bangla. PLoS ONE 16(4): e0250173, 2021. doi:10.1371/journal.pone.0250173"
)
LICENCE = "CC BY 4.0"
URL = "https://zenodo.org/records/4526477"
RELEASE = "1.1"
LANGUAGE = "bn"
TREE = """
SUBESCO/F_01_OISHI_S_1_ANGRY_1.wav          7,000 files in one folder
"""
LABELS = by_word("ANGRY", "DISGUST", "FEAR", "HAPPY", "NEUTRAL", "SAD", "SURPRISE")
UTTERANCES = 7000
SENTENCES = 10
NOTES = (
    "All sentences are said in all emotions; the release has no texts, prompts are the sentences' numbers.",
    "The file F_02_MONIKA_S_2_SURPRISE_3].wav of the release has a bracket too many; its utterance is named without it.",
    "Files of two sampling rates: 44.1 and 48 kHz.",
    "EmoBox has five folds of four speakers: import its file to have them (--format emobox).",
)
_NAME = re.compile(r"(?P<speaker>([FM])_\d\d)_[A-Za-z]+_S_(?P<prompt>\d+)_(?P<label>[A-Za-z]+)_\d")


def parse(root: Path) -> Iterator[Row]:
    for row, name in named_rows(root, _NAME, "SUBESCO", name=lambda path: stem(path).rstrip("]")):
        yield {**row, "label": name["label"].upper(), "gender": "female" if name[2] == "F" else "male"}


def example(root: Path) -> Path:
    names = ("F_01_OISHI_S_10_ANGRY_1", "F_02_MONIKA_S_2_SURPRISE_3]", "M_10_TITAS_S_2_NEUTRAL_5")
    return write_tones(root, *(f"SUBESCO/{name}.wav" for name in names))
