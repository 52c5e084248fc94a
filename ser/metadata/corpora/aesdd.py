"""AESDD: Greek actors, 19 sentences and one of the actor's own, five emotions.

File names: first letter of the emotion, sentence, actor: `anger/a01 (1).wav`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.schema import Row

TITLE = "AESDD, the Acted Emotional Speech Dynamic Database"
CITATION = (
    "N. Vryzas, R. Kotsakis, A. Liatsou, C. A. Dimoulas, G. Kalliris: Speech Emotion Recognition for Performance "
    "Interaction. Journal of the Audio Engineering Society 66(6), 457-467, 2018. doi:10.17743/jaes.2018.0036"
)
LICENCE = "freely available (published without a licence text; a copy on the Hugging Face hub says CC BY 4.0)"
URL = "http://m3c.web.auth.gr/research/aesdd-speech-emotion-recognition/"
RELEASE = "1.0 with a sixth actor"
LANGUAGE = "el"
TREE = """
anger/a01 (1).wav                   605 files in anger/, disgust/, fear/, happiness/, sadness/
"""
LABELS = {"a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "s": "sadness"}
UTTERANCES = 605
SENTENCES = 19
NOTES = (
    "The database grows: the paper has five actors (three women, two men) and about 500 utterances, the files have six "
    "actors. Who of them is a woman is not published.",
    "sadness/s05 (3).wav of the release cannot be read: it has no audio data.",
    "Sentence 20 is each actor's own, another one for each emotion; it has no prompt.",
    "Some sentences have a second take (a06 (5)b.wav), some actors' numbers a zero (f10 (01).wav). There is no neutral speech.",
)
IMPROVISED = "20"
_NAME = re.compile(r"(?P<label>[a-z])(?P<prompt>\d\d)\s*\(0*(?P<speaker>\d+)\s*[a-z]?\)\s*[a-z]?")


def parse(root: Path) -> Iterator[Row]:
    for row, name in named_rows(root, _NAME, "AESDD"):
        yield {**row, "prompt": "" if name["prompt"] == IMPROVISED else name["prompt"]}


def example(root: Path) -> Path:
    return write_tones(root, "anger/a01 (1).wav", "anger/a06 (5)b.wav", "fear/f10 (01).wav", "sadness/s20 (6).wav")
