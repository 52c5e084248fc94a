"""A corpus of the EmoBox benchmark, from its JSON lines file, with its published folds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ser.metadata import emobox
from ser.metadata.folds.fold_file import Line
from ser.metadata.labels import SYNONYMS
from ser.metadata.table_files import read_json_lines

TITLE = "EmoBox metadata"
CITATION = (
    "Z. Ma, M. Chen, H. Zhang, Z. Zheng, W. Chen, X. Li, J. Ye, X. Chen, T. Hain: EmoBox: Multilingual Multi-corpus Speech "
    "Emotion Recognition Toolkit and Benchmark. Interspeech 2024. And the corpus's own."
)
LICENCE = "that of the corpus"
URL = ""
LANGUAGE = ""
TREE = """
EmoBox/
  data/NAME/NAME.jsonl              the file to give with --from; one of 32 corpora, see github.com/emo-box/EmoBox
  data/NAME/label_map.json          labels (or label_dict.json)
  data/NAME/data.seg.wrd.stm        speakers
  data/NAME/fold_1/NAME_train_fold_1.jsonl, NAME_test_fold_1.jsonl, ...     folds (also fold1/, ..._fold1.jsonl)
  downloads/NAME/...                audio
"""
LABELS = {word: emotion for emotion, words in SYNONYMS.items() for word in words}
UTTERANCES = None
SENTENCES = None
NOTES = (
    "ser metadata --dataset NAME --from data/NAME/NAME.jsonl --format emobox; then --protocol emobox takes the folds as "
    "published. A corpus with one fold also has its parts as the official split.",
    "Half of the benchmark's splits share speakers between training and test: the audit says so.",
    "Labels that EmoBox merges stay apart (excitement is not happiness); label schemes merge them.",
    "Speakers are left empty for MER2023 and RESD, where every file is named as its own speaker, and for MESD, where voice "
    "types stand for them; those of IEMOCAP are read from the keys, as EmoBox has the wearer of the markers instead.",
)


def parse(root: Path) -> Iterator[dict[str, Any]]:
    """Rows of the file.

    Raises:
        CorpusError: no such file, or a line that EmoBox would not write.
    """
    yield from emobox.rows_of(root)


def facts(root: Path) -> dict[str, Any]:
    """What the sidecar says of this corpus: where its audio lies, and which of EmoBox's it is."""
    file = emobox.listing(root)
    lines, _ = read_json_lines(file)
    name = emobox.corpus_of(lines, file)
    return {
        "root": str(emobox.audio_root(file, lines)),
        "source_corpus": name,
        "title": f"{name}, as in the EmoBox benchmark",
        "language": emobox.LANGUAGES.get(name, ""),
    }


def folds(root: Path) -> Iterator[Line]:
    """The published folds."""
    yield from emobox.fold_lines(root)
