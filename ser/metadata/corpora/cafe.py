"""CaFE: twelve Canadian French actors, six sentences, seven emotions, two intensities.

File names: actor (odd: male), emotion (of its French word), intensity, sentence: `01-C-1-4.wav`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.schema import Row

TITLE = "CaFE, the Canadian French Emotional speech dataset"
CITATION = (
    "P. Gournay, O. Lahaie, R. Lefebvre: A Canadian French Emotional Speech Dataset. ACM Multimedia Systems Conference "
    "(MMSys) 2018, 399-402. doi:10.1145/3204949.3208121"
)
LICENCE = "CC BY-NC-SA 4.0"
URL = "https://zenodo.org/record/1478765"
LANGUAGE = "fr"
TREE = """
Colère/Faible/01-C-1-1.wav          936 files: a folder an emotion, and below it Faible/ and Fort/
Neutre/01-N-1-1.wav                 (also below CaFE_48k/, or as .aiff below CaFE_192k_1/ and CaFE_192k_2/)
"""
LABELS = {
    "C": "anger",  # colère
    "D": "disgust",  # dégoût
    "J": "happiness",  # joie
    "N": "neutral",
    "P": "fear",  # peur
    "S": "surprise",
    "T": "sadness",  # tristesse
}
UTTERANCES = 936
SENTENCES = 6
NOTES = (
    "All sentences are said in all emotions: text says nothing about the emotion.",
    "The same recordings are published at 48 and at 192 kHz: where both are there, the first by path is used.",
    "EmoBox has three folds of four actors: import its file to have them (--format emobox).",
)
TEXTS = {
    "1": "Un cheval fou dans mon jardin",
    "2": "Deux ânes aigris au pelage brun",
    "3": "Trois cygnes aveugles au bord du lac",
    "4": "Quatre vieilles truies éléphantesques",
    "5": "Cinq pumas fiers et passionnés",
    "6": "Six ours aimants domestiqués",
}
INTENSITIES = {"1": "low", "2": "high"}
AGES = {"01": 46, "02": 64, "03": 18, "04": 50, "05": 22, "06": 34, "07": 15, "08": 25, "09": 42, "10": 20, "11": 35,
        "12": 37}  # fmt: skip
_NAME = re.compile(r"(?P<speaker>0[1-9]|1[0-2])-(?P<label>[A-Z])-([12])-(?P<prompt>[1-6])")


def parse(root: Path) -> Iterator[Row]:
    for row, name in named_rows(root, _NAME, "CaFE", ".wav", ".aif", ".aiff"):
        yield {
            **row,
            "text": TEXTS[name["prompt"]],
            "intensity": "" if name["label"] == "N" else INTENSITIES[name[3]],
            "gender": "male" if int(name["speaker"]) % 2 else "female",
            "age": AGES[name["speaker"]],
        }


def example(root: Path) -> Path:
    names = ("Colère/Faible/01-C-1-4", "Tristesse/Fort/12-T-2-1", "Neutre/02-N-1-6")
    return write_tones(root, *(f"CaFE_48k/{name}.wav" for name in names))
