"""IITKGP-SESC: ten radio artists of Vijayawada, 15 sentences, eight emotions, ten sessions. Telugu.

Files hold all 15 sentences of a speaker, a session and an emotion: `Speaker (1)/Season (2)/Anger_all.wav`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_tones
from ser.metadata.labels import by_word
from ser.metadata.parsing import LOG, files_below, left_out, stem
from ser.metadata.schema import Row

TITLE = "IITKGP-SESC, the Simulated Emotion Speech Corpus in Telugu"
CITATION = (
    "S. G. Koolagudi, S. Maity, V. A. Kumar, S. Chakrabarti, K. S. Rao: IITKGP-SESC: Speech Database for Emotion Analysis. "
    "Contemporary Computing (IC3) 2009, CCIS 40, 485-492. doi:10.1007/978-3-642-03547-0_46"
)
LICENCE = "for research, on request from IIT Kharagpur"
URL = "https://cse.iitkgp.ac.in/~ksrao/"
LANGUAGE = "te"
TREE = """
Speaker (1)/Season (1)/Anger_all.wav        800 files of 15 sentences each; ten speakers, ten sessions, eight emotions
Speaker (1)/Season (1)/Anger_07.wav         or, cut by yourself, 12,000: the sentence's number after the emotion
"""
LABELS = by_word("anger", "compassion", "disgust", "fear", "happy", "neutral", "sarcastic", "surprise")
UTTERANCES = 800
SENTENCES = 15
NOTES = (
    "The release is licensed and its naming is not published: this is the layout of a copy that other researchers (van Rijn "
    "and Larrouy-Maestri, Nature Human Behaviour 2023) processed.",
    "The 12,000 sentences come as 800 recordings of 15; they are long for an encoder. Cut at the pauses, they are named with "
    "the sentence's number (Anger_07.wav), and have prompts.",
    "Emotions are miswritten in places (Angerl, Compasion, Compasssion); that is put right here.",
    "Sessions are not in the table: every speaker has them all, so that they hold no speakers apart.",
)
MISWRITTEN = {"angerl": "anger", "compasion": "compassion", "compasssion": "compassion"}
WOMEN = ("1", "2", "3", "5", "7")
_FOLDERS = re.compile(r"(?:.*/)?speaker\s*[(_ -]?0*(\d+)\)?/(?:season|session)\s*[(_ -]?0*(\d+)\)?/", re.IGNORECASE)
_NAME = re.compile(r"([a-z]+)(?:[ _-]?all|[ _-]?0*(\d+))?", re.IGNORECASE)


def parse(root: Path) -> Iterator[Row]:
    """Rows of the recordings in folders of a speaker and a session."""
    strange = whole = 0
    for path in files_below(root, ".wav"):
        folders, name = _FOLDERS.match(path), _NAME.fullmatch(stem(path))
        if folders is None or name is None:
            strange += 1
            continue
        speaker, session, sentence = folders[1], folders[2], name[2] or ""
        label = MISWRITTEN.get(name[1].lower(), name[1].lower())
        whole += not sentence
        yield {
            "utterance_id": f"{speaker}.{session}.{label}" + (f"-{sentence}" if sentence else ""),
            "path": path,
            "prompt": sentence,
            "label": label,
            "speaker": speaker,
            "gender": "female" if speaker in WOMEN else "male",
        }
    if whole:
        LOG.warning("recordings of 15 sentences, not cut into utterances: %d", whole)
    left_out(strange, "audio files that are not laid out as IITKGP-SESC's are")


def example(root: Path) -> Path:
    return write_tones(
        root,
        "Speaker (1)/Season (2)/Anger_all.wav",
        "Speaker (4)/Season (10)/Compasssion_all.wav",
        "Speaker (10)/Season (1)/Happy_07.wav",
    )
