"""SAVEE: four British men, 120 TIMIT sentences each, seven emotions.

File names: letters of the emotion, number of the sentence: `DC/a01.wav`; in copies that hold all in one folder, the speaker
before it: `DC_a01.wav`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.parsing import stem
from ser.metadata.schema import Row

TITLE = "SAVEE, the Surrey Audio-Visual Expressed Emotion Database (audio)"
CITATION = (
    "S. Haq, P. J. B. Jackson: Multimodal Emotion Recognition. In: W. Wang (ed.), Machine Audition: Principles, Algorithms "
    "and Systems, IGI Global, 398-423, 2010. doi:10.4018/978-1-61520-919-4.ch017"
)
LICENCE = "free of charge for research, on registration with the University of Surrey"
URL = "http://kahlan.eps.surrey.ac.uk/savee/"
LANGUAGE = "en"
TREE = """
AudioData/DC/a01.wav                480 files: a folder for each speaker (DC, JE, JK, KL)
ALL/DC_a01.wav                      or all in one folder, with the speaker in the name
"""
LABELS = {"a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "n": "neutral", "sa": "sadness", "su": "surprise"}
UTTERANCES = 480
SENTENCES = 120
NOTES = (
    "15 sentences an emotion, 30 for neutral: 3 are common to all emotions, 2 belong to one emotion (and to neutral), 10 are "
    "the emotion's own. So most texts are said in one emotion only, and text gives the label away.",
    "Prompts are the codes of emotion and sentence (a01); which codes share a sentence is not published with the audio, so "
    "the 120 prompts are fewer sentences.",
    "All speakers are men.",
)
SPEAKERS = ("DC", "JE", "JK", "KL")
# Test speakers of EmoBox's four folds (Ma et al., Interspeech 2024).
EMOBOX_FOLDS = (("JE",), ("KL",), ("DC",), ("JK",))
_NAME = re.compile(rf"(?P<speaker>{'|'.join(SPEAKERS)})_(?P<prompt>(?P<label>[a-z]{{1,2}})\d\d)")


def parse(root: Path) -> Iterator[Row]:
    """Rows of the files named as those of SAVEE, in folders of the speakers or with the speaker in the name."""
    for row, _ in named_rows(root, _NAME, "SAVEE", name=_with_speaker):
        yield {**row, "gender": "male"}


def example(root: Path) -> Path:
    return write_tones(root, "AudioData/DC/a01.wav", "AudioData/DC/sa15.wav", "AudioData/KL/su03.wav", "ALL/JE_n30.wav")


def _with_speaker(path: str) -> str:
    """`DC/a01.wav` and `DC_a01.wav` -> `DC_a01`."""
    name, folder = stem(path), path.rpartition("/")[0].rpartition("/")[2]
    return f"{folder}_{name}" if folder in SPEAKERS and "_" not in name else name
