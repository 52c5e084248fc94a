"""TESS: two actresses of Toronto, 26 and 64 years old, 200 words in one carrier phrase, seven emotions.

File names: actress (OAF older, YAF younger), word, emotion: `OAF_back_angry.wav`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.labels import by_word
from ser.metadata.parsing import stem
from ser.metadata.schema import Row

TITLE = "TESS, the Toronto Emotional Speech Set"
CITATION = (
    "M. K. Pichora-Fuller, K. Dupuis: Toronto emotional speech set (TESS). Borealis, University of Toronto Dataverse, "
    "2020. doi:10.5683/SP2/E8H2MF"
)
LICENCE = "CC BY-NC-ND 4.0"
URL = "https://doi.org/10.5683/SP2/E8H2MF"
LANGUAGE = "en"
TREE = """
OAF_back_angry.wav                  2,800 files, all in one folder
OAF_angry/OAF_back_angry.wav        or in 14 folders: OAF_Fear/, OAF_Pleasant_surprise/, YAF_pleasant_surprised/, ...
"""
LABELS = by_word("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")  # ps: pleasant surprise
UTTERANCES = 2800
SENTENCES = 200
NOTES = (
    "Two speakers only: no protocol holds speakers apart with a training part of more than one voice.",
    "All 200 words are said in all seven emotions by both speakers: random parts share every word.",
    "The file OA_bite_neutral.wav of the release lacks a letter; its utterance is OAF_bite_neutral here.",
    "One circulating copy holds all files a second time in a folder of the same name; copies are used once.",
)
AGES = {"OAF": 64, "YAF": 26}
_NAME = re.compile(r"(?P<speaker>OAF|YAF)_(?P<prompt>[A-Za-z']+)_(?P<label>[A-Za-z]+)")


def parse(root: Path) -> Iterator[Row]:
    for row, name in named_rows(root, _NAME, "TESS", name=_mended):
        word = name["prompt"].lower()
        yield {
            **row,
            "text": f"Say the word {word}.",
            "prompt": word,
            "label": name["label"].lower(),
            "gender": "female",
            "age": AGES[name["speaker"]],
        }


def example(root: Path) -> Path:
    write_tones(
        root / "TESS Toronto emotional speech set data",
        "OAF_neutral/OA_bite_neutral.wav",
        "OAF_Pleasant_surprise/OAF_back_ps.wav",
        "YAF_angry/YAF_back_angry.wav",
    )
    return write_tones(root, "YAF_sheep_sad.wav")


def _mended(path: str) -> str:
    name = stem(path)
    return "OAF_" + name[3:] if name.startswith("OA_") else name
