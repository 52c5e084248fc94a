"""IITKGP-SEHSC: ten radio artists of Varanasi, 15 sentences, eight emotions, ten sessions. Hindi.

File names: speaker, session, then emotion and sentence: `anger/1.2.anger-3.wav`; the folder is the emotion.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.labels import by_word
from ser.metadata.parsing import stem
from ser.metadata.schema import Row

TITLE = "IITKGP-SEHSC, the Simulated Emotion Hindi Speech Corpus"
CITATION = (
    "S. G. Koolagudi, R. Reddy, J. Yadav, K. S. Rao: IITKGP-SEHSC: Hindi speech corpus for emotion analysis. International "
    "Conference on Devices and Communications (ICDeCom) 2011, 1-5. doi:10.1109/ICDECOM.2011.5738540"
)
LICENCE = "for research, on request from IIT Kharagpur"
URL = "https://cse.iitkgp.ac.in/~ksrao/"
LANGUAGE = "hi"
TREE = """
1/session1/anger/1.2.anger-3.wav    12,000 files: speaker.session.emotion-sentence, in a folder of the emotion
"""
LABELS = by_word("anger", "disgust", "fear", "happy", "neutral", "sadness", "sad", "sarcastic", "surprise")
UTTERANCES = 12000
SENTENCES = 15
NOTES = (
    "The release is licensed and its naming is not published: this is the layout of a copy that other researchers (van Rijn "
    "and Larrouy-Maestri, Nature Human Behaviour 2023) processed. Folders above the emotion's may be any.",
    "That copy has seven of the ten speakers: 1 to 6 and 10, speaker 1 also miswritten as 71, which is put right here.",
    "All sentences are said in all emotions; there are no texts, prompts are the sentences' numbers.",
    "Sessions are not in the table: every speaker has them all, so that they hold no speakers apart.",
)
# Of the speakers of that copy.
WOMEN, MEN = ("1", "2", "4", "5"), ("3", "6", "10")
MISWRITTEN = {"71": "1"}
_NAME = re.compile(r"0*(?P<speaker>\d+)\.0*(\d+)\.(?P<label>[a-z]+)[-_ ]?0*(?P<prompt>\d+)", re.IGNORECASE)


def parse(root: Path) -> Iterator[Row]:
    for row, name in named_rows(root, _NAME, "IITKGP-SEHSC", name=_mended):
        speaker = name["speaker"]
        yield {**row, "gender": "female" if speaker in WOMEN else "male" if speaker in MEN else ""}


def example(root: Path) -> Path:
    names = ("1/session2/anger/01.2.anger-3", "1/session3/sarcastic/71.3.sar-12", "10/session1/sadness/10.1.sad-3")
    return write_tones(root, *(f"{name}.wav" for name in names))


def _mended(path: str) -> str:
    """The name without zeros, with the speaker put right, and with the folder's word for the emotion before its own."""
    name = _NAME.fullmatch(stem(path))
    if name is None:
        return stem(path)
    folder = path.rpartition("/")[0].rpartition("/")[2].lower()
    label = folder if folder in LABELS else name[3].lower()
    return f"{MISWRITTEN.get(name[1], name[1])}.{name[2]}.{label}-{name[4]}"
