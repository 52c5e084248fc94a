"""EmoV-DB: four English speakers, sentences of CMU ARCTIC, in five styles.

Folders are named by speaker and style (`bea_Amused/`, or `bea/Amused/`), files by style, the sentences of the session, and the
sentence: `amused_1-28_0001.wav`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_text, write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.parsing import files_below, read_text, stem
from ser.metadata.schema import Row

TITLE = "EmoV-DB, the Emotional Voices Database"
CITATION = (
    "A. Adigwe, N. Tits, K. El Haddad, S. Ostadabbas, T. Dutoit: The Emotional Voices Database: Towards Controlling the "
    "Emotion Dimension in Voice Generation Systems. arXiv:1806.09514, 2018. doi:10.48550/arXiv.1806.09514"
)
LICENCE = "non-commercial, see the repository"
URL = "https://github.com/numediart/EmoV-DB"
RELEASE = "sorted version"
LANGUAGE = "en"
TREE = """
bea_Amused/amused_1-28_0001.wav         6,887 files of bea, jenie, josh and sam; also bea/Amused/, or bea/
cmuarctic.data                          text, if it is there (CMU ARCTIC's list of sentences)
"""
LABELS = {"amused": "other", "anger": "anger", "disgust": "disgust", "neutral": "neutral", "sleepiness": "other"}
UTTERANCES = 6887
SENTENCES = 593
NOTES = (
    "Amused and sleepy speech are classes of their own (`other`); a label scheme of your own may count amusement as happiness.",
    "All styles have the same sentences: text says nothing about the style. Not every speaker has every sentence.",
    "josh has neither anger nor disgust.",
    "The number of files is that of a public reader (EmoBox); the repository's own list adds up to 7,000.",
)
WORDS = {"angry": "anger", "disgusted": "disgust", "sleepy": "sleepiness"}
SPEAKERS = {"bea": "female", "jenie": "female", "josh": "male", "sam": "male"}
_NAME = re.compile(r"(?P<speaker>bea|jenie|josh|sam)/([a-z]+)_(\d+-\d+)_(?P<prompt>\d{4})")
_SPEAKER = re.compile(r"(bea|jenie|josh|sam)(?:_[^/]*)?")
_SENTENCE = re.compile(r'\(\s*arctic_a(\d{4})\s+"(.*)"\s*\)')


def parse(root: Path) -> Iterator[Row]:
    """Rows of the files named as those of EmoV-DB, below a folder that is named after a speaker."""
    texts = _texts(root)
    for row, name in named_rows(root, _NAME, "EmoV-DB", name=_with_folders):
        speaker, label, prompt = name["speaker"], WORDS.get(name[2], name[2]), name["prompt"]
        yield {
            **row,
            "utterance_id": f"{speaker}_{label}_{name[3]}_{prompt}",
            "text": texts.get(prompt, ""),
            "label": label,
            "gender": SPEAKERS[speaker],
        }


def example(root: Path) -> Path:
    write_text(
        root / "cmuarctic.data",
        '( arctic_a0001 "Is it the first of them?" )\n( arctic_a0002 "So are \\"they\\"." )\n( arctic_b0001 "Not here." )\n',
    )
    return write_tones(
        root, "bea_Amused/amused_1-28_0001.wav", "josh_Sleepy/sleepiness_1-28_0002.wav", "sam/Angry/anger_1-28_0001.wav"
    )


def _with_folders(path: str) -> str:
    """A file's name below the speaker of the nearest folder that has one, in lower case; the bare name where there is none."""
    *folders, _ = path.lower().split("/")
    speaker = next((found[1] for folder in reversed(folders) if (found := _SPEAKER.fullmatch(folder))), None)
    return f"{speaker}/{stem(path).lower()}" if speaker else stem(path)


def _texts(root: Path) -> dict[str, str]:
    """Number of a sentence -> its text, of the first part of CMU ARCTIC."""
    file = next((root / f for f in files_below(root, ".data") if f.rsplit("/", 1)[-1] == "cmuarctic.data"), None)
    lines = read_text(file).splitlines() if file else []
    return {match[1]: match[2].replace('\\"', '"') for match in map(_SENTENCE.match, lines) if match}
