"""nEMO: nine Polish actors, 90 sentences, six emotions.

File names: speaker, emotion, sentence: `MK0_fear_13.wav`. `data.tsv` has the text, and the speaker's gender and age.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_text, write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.labels import by_word
from ser.metadata.parsing import LOG, rows_of_csv
from ser.metadata.schema import Row

TITLE = "nEMO, a dataset of emotional speech in Polish"
CITATION = (
    "I. Christop: nEMO: Dataset of Emotional Speech in Polish. LREC-COLING 2024, 12111-12116. doi:10.48550/arXiv.2404.06292"
)
LICENCE = "CC BY-NC-SA 4.0"
URL = "https://github.com/amu-cai/nEMO"
LANGUAGE = "pl"
TREE = """
samples/MK0_fear_13.wav             4,481 files
data.tsv                            file_id, emotion, raw_text, normalized_text, speaker_id, gender, age
"""
LABELS = by_word("anger", "fear", "happiness", "neutral", "sadness", "surprised")
UTTERANCES = 4481
SENTENCES = 90
NOTES = (
    "All sentences are said in all emotions: text says little or nothing about the emotion.",
    "The copy on the Hugging Face hub keeps the audio in Parquet files; this plugin reads the repository on GitHub.",
)
_NAME = re.compile(r"(?P<speaker>[A-Z]{2}\d)_(?P<label>[a-z]+)_(?P<prompt>\d+)")
_COLUMNS = ("file_id", "raw_text", "gender", "age")


def parse(root: Path) -> Iterator[Row]:
    """Rows of the files named as those of nEMO, anywhere below the folder.

    Raises:
        CorpusError: a `data.tsv` without its columns.
    """
    facts = _facts(root)
    for row, _ in named_rows(root, _NAME, "nEMO"):
        known = facts.get(row["utterance_id"], {})
        yield {**row, "text": known.get("raw_text", ""), "gender": known.get("gender", ""), "age": known.get("age")}


def example(root: Path) -> Path:
    write_text(
        root / "data.tsv",
        "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage\n"
        'MK0_fear_13.wav\tfear\tTo "jest" zdanie.\tto jest zdanie\t        MK0\tfemale\t23\n'
        "KS0_surprised_35.wav\tsurprised\tAby upiec, muszę.\taby upiec muszę\t        KS0\tmale\t23\n"
        'EB0_neutral_13.wav\tneutral\tTo "jest" zdanie.\tto jest zdanie\t        EB0\tfemale\t27\n',
    )
    names = ("MK0_fear_13", "KS0_surprised_35", "EB0_neutral_13")
    return write_tones(root, *(f"samples/{name}.wav" for name in names))


def _facts(root: Path) -> dict[str, dict[str, str]]:
    """Utterance -> its line of `data.tsv`, which lies at the root or above `samples/`; {} where it is not there."""
    file = next((p for p in (root / "data.tsv", root.parent / "data.tsv", *root.glob("*/data.tsv")) if p.is_file()), None)
    if file is None:
        LOG.warning("not there: data.tsv; so no text, gender and age")
        return {}
    lines = rows_of_csv(file, *_COLUMNS, delimiter="\t", quoting=csv.QUOTE_NONE)
    rows = ({k: (v or "").strip() for k, v in row.items() if isinstance(k, str)} for row in lines)
    return {row["file_id"].removesuffix(".wav"): row for row in rows}
