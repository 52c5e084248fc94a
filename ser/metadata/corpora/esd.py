"""ESD: ten speakers of Mandarin and ten of English, 350 sentences each, five emotions.

File names: speaker, number: `0011_000351.wav`. A speaker's numbers run through the emotions in blocks of 350, in the same
order of sentences. `0011/0011.txt` has the texts: number, text, emotion, separated by tabs.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.errors import CorpusError
from ser.metadata.corpora._example import write_text, write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.parsing import few, files_below, left_out, read_text, stem
from ser.metadata.schema import Row

TITLE = "ESD, the Emotional Speech Database for voice conversion and speech synthesis"
CITATION = (
    "K. Zhou, B. Sisman, R. Liu, H. Li: Emotional voice conversion: Theory, databases and ESD. Speech Communication 137, "
    "1-18, 2022. doi:10.1016/j.specom.2021.11.006"
)
LICENCE = "for research, on request (release form of the National University of Singapore)"
URL = "https://github.com/HLTSingapore/Emotional-Speech-Data"
LANGUAGE = ""
LANGUAGES = ("en", "zh")
TREE = """
0011/Angry/0011_000351.wav          35,000 files of 20 speakers (0001-0010 Mandarin, 0011-0020 English)
0011/Angry/train/0011_000401.wav    or, in an earlier release, in evaluation/, test/ and train/: the official split
0011/0011.txt                       number, text, emotion
"""
LABELS = {"Neutral": "neutral", "Angry": "anger", "Happy": "happiness", "Sad": "sadness", "Surprise": "surprise"}
UTTERANCES = 35000
SENTENCES = 700
NOTES = (
    "350 sentences a language, all said in all emotions by all speakers of the language: text says nothing of the emotion.",
    "The official split (only where its folders are there) shares all speakers between its parts, but no sentence.",
    "Genders are those that public lists agree on; the release itself does not state them.",
    "Texts are read as UTF-8, UTF-16 or GB 18030: copies differ.",
)
WOMEN = ("0001", "0002", "0003", "0007", "0009", "0015", "0016", "0017", "0018", "0019")
SPLITS = {"train": "train", "evaluation": "validation", "test": "test"}
A_BLOCK = 350
_NAME = re.compile(r"(?P<speaker>00(?:0[1-9]|1\d|20))_(\d{6})")
_LINE = re.compile(r"(\d{4}_\d{6})\s+(.*?)\s+(\S+)\s*$")


def parse(root: Path) -> Iterator[Row]:
    """Rows of the files named as those of ESD, anywhere below the folder.

    Raises:
        CorpusError: a number that ESD does not have, or a file in the folder of another emotion than its number tells.
    """
    texts = _texts(root)
    lacking = set()
    for row, name in named_rows(root, _NAME, "ESD"):
        path, language = row["path"], "zh" if name[1] <= "0010" else "en"
        block, sentence = divmod(int(name[2]) - 1, A_BLOCK)
        if block not in range(len(LABELS)):
            raise CorpusError(f"{path}: number {name[2]}", expected=f"000001 to {A_BLOCK * len(LABELS):06d}")
        label = list(LABELS)[block]
        _same_folder(path, label)
        lacking |= {name[1]} if name[0] not in texts else set()
        yield {
            **row,
            "text": texts.get(name[0], ""),
            "prompt": f"{language}{sentence + 1:03d}",
            "label": label,
            "gender": "female" if name[1] in WOMEN else "male",
            "language": language,
            "split": next((SPLITS[part] for part in path.split("/")[:-1] if part in SPLITS), ""),
        }
    left_out(len(lacking), f"texts of speakers without a complete list ({few(sorted(lacking))})")


def example(root: Path) -> Path:
    top = root / "Emotion Speech Dataset"
    write_text(top / "0001" / "0001.txt", "0001_001750\t他说 好。\t惊喜\n", "gb18030")
    lines = (
        "0011_000001\tThe nine the eggs, I keep.\tNeutral",
        "0011_000351\tThe nine the eggs, I keep.\tAngry",
        "0011_000401\tTom then climbed.\tAngry",
    )
    write_text(top / "0011" / "0011.txt", "\r\n".join(lines), "utf-16")
    write_tones(top, "0001/Surprise/0001_001750.wav", "0011/Neutral/0011_000001.wav")
    write_tones(top, "0011/Angry/evaluation/0011_000351.wav", "0011/Angry/train/0011_000401.wav")
    return root


def _same_folder(path: str, label: str) -> None:
    folders = {part for part in path.split("/")[:-1] if part in LABELS}
    if folders and folders != {label}:
        raise CorpusError(f"{path}: the number is one of {label}", expected=f"it in {label}/", found=", ".join(folders))


def _texts(root: Path) -> dict[str, str]:
    """Utterance -> text, from the speakers' lists."""
    texts: dict[str, str] = {}
    for path in files_below(root, ".txt"):
        if re.fullmatch(r"\d{4}", stem(path)):
            lines = (_LINE.match(line) for line in _decoded(root / path).splitlines())
            texts |= {line[1]: line[2] for line in lines if line}
    return texts


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return read_text(path)
