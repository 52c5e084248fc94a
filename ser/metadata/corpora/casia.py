"""CASIA: the public part of a Mandarin corpus: four speakers, 50 sentences, six emotions.

Folders have the speaker and the emotion, files the sentence: `liuchanhg/angry/201.wav`. Some copies have all of it in the name:
`201-angry-liuchanhg.wav`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.labels import by_word
from ser.metadata.schema import Row

TITLE = "CASIA, a Chinese emotional speech corpus (public part)"
CITATION = (
    "Institute of Automation, Chinese Academy of Sciences (no publication of its own; often cited: J. Tao, F. Liu, M. Zhang, "
    "H. Jia: Design of Speech Corpus for Mandarin Text to Speech. Blizzard Challenge 2008 workshop; no DOI)"
)
LICENCE = "the whole corpus (9,600 files) is sold; the public part is passed on without a licence text"
URL = "https://aistudio.baidu.com/aistudio/datasetdetail/209512"
RELEASE = "public part"
LANGUAGE = "zh"
TREE = """
liuchanhg/angry/201.wav                 1,200 files of liuchanhg, wangzhe, zhaoquanyin, ZhaoZuoxiang; sentences 201 to 250
"""
LABELS = by_word("angry", "fear", "happy", "neutral", "sad", "surprise")
UTTERANCES = 1200
SENTENCES = 50
NOTES = (
    "All sentences are said in all emotions: text says nothing about the emotion. The release has no texts; prompts are the "
    "sentences' numbers.",
    "The speakers' sex is not stated with the files.",
)
_SPEAKER = "liuchanhg|wangzhe|zhaoquanyin|zhaozuoxiang"
_NAME = re.compile(rf"(?P<speaker>{_SPEAKER})/(?P<label>[a-z]+)/(?P<prompt>\d+)")
_FLAT = re.compile(rf"(\d+)-([a-z]+)-({_SPEAKER})")


def parse(root: Path) -> Iterator[Row]:
    """Rows of the files that lie as those of CASIA do, at any depth below the folder."""
    for row, name in named_rows(root, _NAME, "CASIA", name=_with_folders):
        yield {**row, "utterance_id": "_".join(name.groups())}


def example(root: Path) -> Path:
    names = ("liuchanhg/angry/201", "ZhaoZuoxiang/neutral/201", "wangzhe/happy/250")
    return write_tones(root, *(f"CASIA/{name}.wav" for name in names), "flat/sad/203-sad-wangzhe.wav")


def _with_folders(path: str) -> str:
    """`SPEAKER/EMOTION/SENTENCE` of either layout, in lower case."""
    parts = path.lower().rsplit(".", 1)[0].split("/")
    flat = _FLAT.fullmatch(parts[-1])
    return f"{flat[3]}/{flat[2]}/{flat[1]}" if flat else "/".join(parts[-3:])
