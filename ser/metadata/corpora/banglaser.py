"""BanglaSER: 34 speakers of Bengali, three sentences, five emotions, three takes each, recorded by telephone and laptop.

File names are seven numbers, as those of RAVDESS: mode - type - emotion - intensity - sentence - take - speaker (odd: male).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.schema import Row

TITLE = "BanglaSER, a speech emotion recognition dataset for the Bangla language"
CITATION = (
    "R. K. Das, N. Islam, M. R. Ahmed, S. Islam, S. Shatabda, A. K. M. M. Islam: BanglaSER: A speech emotion recognition "
    "dataset for the Bangla language. Data in Brief 42: 108091, 2022. doi:10.1016/j.dib.2022.108091"
)
LICENCE = "CC BY 4.0"
URL = "https://data.mendeley.com/datasets/t9h6p943xy/5"
RELEASE = "5 (14 March 2022)"
LANGUAGE = "bn"
TREE = """
BanglaSER/Actor 01/03-01-01-01-01-01-01.wav     1,467 files of 34 speakers; other folders do as well
"""
# Number in the name, less one: unlike RAVDESS, 01 is happy.
LABELS = {"happy": "happiness", "sad": "sadness", "angry": "anger", "surprise": "surprise", "neutral": "neutral"}
UTTERANCES = 1467
SENTENCES = 3
NOTES = (
    "The emotions' numbers are those of two independent readers of version 5 and of its forerunner; a third public reader "
    "takes them otherwise (01 neutral). Listen to some files before you trust a copy.",
    "All sentences are said in all emotions; the release has no texts, prompts are the sentences' numbers.",
    "27 of the 34 speakers have neutral speech. Version 2 (BEASC) has the same names without neutral: 1,224 files.",
    "RAVDESS has the same form of names and other emotions: keep the two apart.",
)
INTENSITIES = {"01": "normal", "02": "strong"}
_NAME = re.compile(r"\d\d-\d\d-(\d\d)-(\d\d)-(?P<prompt>0[1-3])-\d\d-(?P<speaker>0[1-9]|[12]\d|3[0-4])")


def parse(root: Path) -> Iterator[Row]:
    words = dict(enumerate(LABELS, start=1))
    for row, name in named_rows(root, _NAME, "BanglaSER"):
        yield {
            **row,
            "label": words.get(int(name[1]), name[1]),
            "intensity": INTENSITIES.get(name[2], ""),
            "gender": "male" if int(name["speaker"]) % 2 else "female",
        }


def example(root: Path) -> Path:
    names = ("03-01-01-01-01-01-01", "03-01-03-02-03-02-34", "03-01-05-01-02-03-10")
    return write_tones(root, *(f"BanglaSER/Actor {name[-2:]}/{name}.wav" for name in names))
