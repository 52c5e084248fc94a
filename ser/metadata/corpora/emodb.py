"""EmoDB (Berlin): ten German actors, ten sentences, seven emotions.

File names: two digits of the speaker, three characters of the sentence, one letter of the emotion (of its German word), one
letter of the version: `03a01Fa.wav`. `erkennung.txt` has, in percent, the 20 listeners who recognised the emotion (`erkannt`)
and those who found it natural (`natuerlich`).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from ser.errors import CorpusError
from ser.metadata.corpora._example import write_text, write_tone
from ser.metadata.corpus import named_rows
from ser.metadata.parsing import canonical, read_text, stem
from ser.metadata.schema import Row

TITLE = "EmoDB, the Berlin Database of Emotional Speech"
CITATION = (
    "F. Burkhardt, A. Paeschke, M. Rolfes, W. F. Sendlmeier, B. Weiss: A Database of German Emotional Speech. "
    "Interspeech 2005, 1517-1520. doi:10.21437/Interspeech.2005-446"
)
LICENCE = "freely available (published without a licence text)"
URL = "http://emodb.bilderbar.info"
LANGUAGE = "de"
TREE = """
wav/03a01Fa.wav         535 files; also directly here, or in wav_corpus/
erkennung.txt           listeners who recognised the emotion, and who found it natural (if it is there)
"""
LABELS = {
    "W": "anger",  # Wut, Ärger
    "L": "boredom",  # Langeweile
    "E": "disgust",  # Ekel
    "A": "fear",  # Angst
    "F": "happiness",  # Freude
    "T": "sadness",  # Trauer
    "N": "neutral",
}
DIMENSIONS = {"recognition": (0, 100), "naturalness": (0, 100)}
UTTERANCES = 535
SENTENCES = 10
NOTES = (
    "Votes hold one share only, that of the listeners who recognised the intended emotion: the release does not say "
    "what the others took it for.",
    "The folds of the EmoBox benchmark share all ten speakers between training and test: --protocol speaker does not.",
)
TEXTS = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
# Published with the corpus: sex, and age in years.
SPEAKERS = {
    "03": ("male", 31),
    "08": ("female", 34),
    "09": ("female", 21),
    "10": ("male", 32),
    "11": ("male", 26),
    "12": ("male", 30),
    "13": ("female", 32),
    "14": ("female", 35),
    "15": ("male", 25),
    "16": ("female", 31),
}
_NAME = re.compile(r"(\d\d)([ab]\d\d)([A-Z])([a-z]?)")


def parse(root: Path) -> Iterator[Row]:
    """Rows of the files named as EmoDB's are, anywhere below the folder.

    Raises:
        CorpusError: a letter is not that of an emotion of EmoDB, or a recognition rate is not a percentage.
    """
    percentages = _percentages(root)
    for row, name in named_rows(root, _NAME, "EmoDB"):
        emotion = canonical(LABELS, name[3], row["path"])
        gender, age = SPEAKERS.get(name[1], ("", None))
        percent = percentages.get(name[0], {})
        share = round(percent.get("recognition", 0) / 100, 6)
        ratings = {dimension: percent.get(dimension) for dimension in DIMENSIONS}
        facts = {
            "text": TEXTS.get(name[2], ""),
            "label": name[3],
            "emotion": emotion,
            "votes": {emotion: share} if share else None,
            "speaker": name[1],
            "gender": gender,
            "age": age,
            **ratings,
        }
        yield cast(Row, row | facts)


def example(root: Path) -> Path:
    for name in ("03a01Fa", "08b09Wb", "16a07Nc"):
        write_tone(root / "wav" / f"{name}.wav", seconds=0.25)
    lines = (
        "Nr.\tSatz\terkannt\tnatuerlich",
        "1\xa0\xa0\t03a01Fa.wav\t65,00\xa0\xa0\t35,00\xa0",
        "2\t08b09Wb.wav\t100,00\t95,00",
    )
    write_text(root / "erkennung.txt", "\n".join(lines) + "\n", "latin-1")
    return root


def _percentages(root: Path) -> dict[str, dict[str, float]]:
    """Utterance -> percentages of listeners, from `erkennung.txt`; {} where it is not there."""
    file = next((p for p in (root / "erkennung.txt", root.parent / "erkennung.txt") if p.is_file()), None)
    found: dict[str, dict[str, float]] = {}
    for line in read_text(file).splitlines()[1:] if file else ():
        fields = [f.strip() for f in line.split("\t")]  # padded with no-break spaces
        if len(fields) < 3 or not fields[1]:
            continue
        for name, cell in zip(DIMENSIONS, fields[2:], strict=False):
            if not cell:
                continue  # not rated
            try:
                percent = float(cell.replace(",", "."))
            except ValueError:
                percent = -1.0
            if not 0 <= percent <= 100:
                raise CorpusError(f"{file}: {fields[1]}", expected="a percentage such as 65,00", found=repr(cell))
            found.setdefault(stem(fields[1]), {})[name] = percent
    return found
