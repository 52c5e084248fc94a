"""ShEMO: utterances of Persian online radio plays, 87 speakers, six emotions.

File names: gender and number of the speaker, emotion, number: `F01A01.wav`. Texts lie in files of the same name (`.ort`), or in
one JSON file (`shemo.json`, or `modified_shemo.json` with the texts put right by other authors).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from ser.errors import CorpusError
from ser.metadata.corpora._example import write_text, write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.parsing import files_below, read_text, stem
from ser.metadata.schema import Row

TITLE = "ShEMO, the Sharif Emotional Speech Database"
CITATION = (
    "O. Mohamad Nezami, P. Jamshid Lou, M. Karami: ShEMO: a large-scale validated database for Persian speech emotion "
    "detection. Language Resources and Evaluation 53(1), 1-16, 2019. doi:10.1007/s10579-018-9427-x"
)
LICENCE = "free of charge for academic purposes (no licence text)"
URL = "https://github.com/mansourehk/ShEMO"
LANGUAGE = "fa"
TREE = """
female/F01A01.wav                   3,000 files in female/ and male/
transcript/.../F01A01.ort           texts; or shemo.json, or modified_shemo.json, which is preferred (if they are there)
"""
LABELS = {"A": "anger", "F": "fear", "H": "happiness", "N": "neutral", "S": "sadness", "W": "surprise"}
UTTERANCES = 3000
SENTENCES = None
NOTES = (
    "Semi-natural speech: radio plays, published online. The label is the majority of 12 listeners.",
    "Only 2,838 of the 3,000 texts are named as a recording, and some of those belong to another one; the texts of "
    "modified_shemo.json were put right with a recogniser. Its authors also doubt 163 labels: here they are the file's.",
    "EmoBox uses 2,838 of the utterances.",
)
LISTS = ("modified_shemo.json", "shemo.json")
_NAME = re.compile(r"(?P<speaker>([FM])\d\d)(?P<label>[A-Z])\d\d")


def parse(root: Path) -> Iterator[Row]:
    """Rows of the files named as those of ShEMO, anywhere below the folder.

    Raises:
        CorpusError: a damaged list of texts.
    """
    texts = _texts(root)
    for row, name in named_rows(root, _NAME, "ShEMO"):
        yield {**row, "text": texts.get(name[0], ""), "gender": "female" if name[2] == "F" else "male"}


def example(root: Path) -> Path:
    write_text(root / "transcript" / "female" / "F01A01.ort", "دیگه نمی‌تونم.\n")
    write_text(root / "transcript" / "male" / "M56W03.ort", "چی؟")
    return write_tones(root, "female/F01A01.wav", "male/M56W03.wav")


def _texts(root: Path) -> dict[str, str]:
    """Utterance -> text, from the best source there is."""
    file = next((root / name for name in LISTS if (root / name).is_file()), None)
    if file is None:
        return {stem(path): read_text(root / path).strip() for path in files_below(root, ".ort")}
    try:
        listed = json.loads(read_text(file))
        return {name.removesuffix(".wav"): str(entry.get("transcript", "")) for name, entry in listed.items()}
    except (ValueError, AttributeError) as error:
        raise CorpusError(f"{file}", expected='JSON such as {"F01A01": {"transcript": ...}}', found=str(error)) from None
