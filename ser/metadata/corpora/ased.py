"""ASED: 65 speakers of Amharic in four dialects, 27 sentences, five emotions, two takes each.

File names: emotion and its number, sentence, take, sex (01 female), speaker: `a5-02-01-01-33.wav`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.parsing import stem
from ser.metadata.schema import Row

TITLE = "ASED, the Amharic Speech Emotion Dataset"
CITATION = (
    "E. A. Retta, E. Almekhlafi, R. Sutcliffe, M. Mhamed, H. Ali, J. Feng: A New Amharic Speech Emotion Dataset and "
    "Classification Benchmark. ACM Transactions on Asian and Low-Resource Language Information Processing 22(1), 2023. "
    "doi:10.1145/3529759"
)
LICENCE = "freely available (published without a licence text)"
URL = "https://github.com/wgwangang/ASED_V1"
RELEASE = "V1"
LANGUAGE = "am"
TREE = """
05Angry/a5-02-01-01-33.wav              2,474 files in a folder for each emotion
"""
LABELS = {"n": "neutral", "f": "fear", "h": "happiness", "s": "sadness", "a": "anger"}
UTTERANCES = 2474
SENTENCES = 27
NOTES = (
    "The sentences are numbered for each emotion separately, 1 to 7: five are the emotion's own, so that text would give it "
    "away, and two are said in all emotions; which numbers these have is not published. The prompt is the emotion's letter "
    "with the sentence's number; there are no texts.",
    "The speaker's dialect is not in the names.",
)
_NAME = re.compile(r"(?P<label>[nfhsa])\d-(\d\d)-\d\d-(0[12])-(?P<speaker>\d\d)")


def parse(root: Path) -> Iterator[Row]:
    """Rows of the files named as those of ASED, anywhere below the folder; some begin with a capital letter."""
    for row, name in named_rows(root, _NAME, "ASED", name=lambda path: stem(path).lower()):
        yield {**row, "prompt": f"{name[1]}{name[2]}", "gender": "female" if name[3] == "01" else "male"}


def example(root: Path) -> Path:
    return write_tones(root, "05Angry/a5-02-01-01-33.wav", "05Angry/a5-06-02-02-45.wav", "04Sad/S4-01-01-02-45.wav")
