"""JL-Corpus: four speakers of New Zealand English, five primary and five secondary emotions.

File names: speaker, emotion, sentence with its session, repetition: `female1_angry_10a_1.wav`; beside it the text in `.txt`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_text, write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.labels import by_word
from ser.metadata.parsing import read_text
from ser.metadata.schema import Row

TITLE = "JL-Corpus"
CITATION = (
    "J. James, L. Tian, C. I. Watson: An Open Source Emotional Speech Corpus for Human Robot Interaction Applications. "
    "Interspeech 2018, 2768-2772. doi:10.21437/Interspeech.2018-1349"
)
LICENCE = "CC0 1.0"
URL = "https://www.kaggle.com/datasets/tli725/jl-corpus"
LANGUAGE = "en"
TREE = """
Raw JL corpus (unchecked and unannotated)/JL(wav+txt)/female1_angry_10a_1.wav       2,400 files
Raw JL corpus (unchecked and unannotated)/JL(wav+txt)/female1_angry_10a_1.txt       text, where it is there
"""
LABELS = by_word(
    "angry", "happy", "sad", "neutral", "excited", "anxious", "apologetic", "assertive", "concerned", "encouraging"
)
SECONDARY = tuple(label for label, emotion in LABELS.items() if emotion == "other")
UTTERANCES = 2400
SENTENCES = 90
NOTES = (
    "The five primary emotions share 15 sentences: text says nothing about them. Each secondary emotion has sentences of its "
    "own: text gives it away.",
)
_NAME = re.compile(r"(?P<speaker>(?P<gender>female|male)\d)_(?P<label>[a-z]+)_(\d+)(?P<session>[ab])_\d")


def parse(root: Path) -> Iterator[Row]:
    for row, name in named_rows(root, _NAME, "JL-Corpus"):
        text = (root / row["path"]).with_suffix(".txt")
        yield {
            **row,
            "text": read_text(text).strip() if text.is_file() else "",
            "prompt": f"{name[3]}{name[4]}" if name[3] in SECONDARY else name[4],
        }


def example(root: Path) -> Path:
    folder = root / "Raw JL corpus (unchecked and unannotated)" / "JL(wav+txt)"
    names = ("female1_angry_10a_1", "male2_excited_10b_2", "female2_anxious_10a_1")
    for name in names:
        write_text(folder / f"{name}.txt", "They went by the lake.\n" if "anxious" not in name else "Where can it be?\n")
    write_tones(folder, *(f"{name}.wav" for name in names))
    return root
