"""A corpus of the EmoBox benchmark, from its JSON lines file, with its published folds."""

import json
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora import _emobox as emobox
from ser.metadata.corpora._example import write_text, write_tone
from ser.metadata.folds.fold_file import Line
from ser.metadata.labels import BY_WORD
from ser.metadata.schema import Row, TableFacts
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
LABELS = BY_WORD
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


def parse(root: Path) -> Iterator[Row]:
    """Rows of the file.

    Raises:
        CorpusError: no such file, or a line that EmoBox would not write.
    """
    yield from emobox.rows_of(root)


def example(root: Path) -> Path:
    """Write an example tree and return the file to import."""
    below, keys, lines = root / "data" / "tess", [], []
    for name, emotion in {"OAF-back": "angry", "YAF-back": "ps", "OAF-bite": "neutral", "YAF-bite": "neutral"}.items():
        key, wav = f"tess-{name}", f"downloads/tess/{name}.wav"
        write_tone(root / wav)
        facts = {"key": key, "dataset": "tess", "wav": wav, "type": "raw", "sample_rate": 16000, "num_frame": 1600.0}
        facts |= {"task": "category", "length": 0.1, "emo": emotion, "channel": 1}
        keys.append(key)
        lines.append(json.dumps(facts) + "\n")
    write_text(below / "label_map.json", '{"angry": "Angry", "ps": "Surprise", "neutral": "Neutral"}')
    speakers = (f"{k} 1 {k[5:8]} 0 0.1 <id={k},lang=en,spk={k[5:8]},emotion=x> x\n" for k in keys)
    write_text(below / "data.seg.wrd.stm", "".join(speakers))
    write_text(below / "fold_1" / "tess_train_fold_1.jsonl", "".join(lines[1:]))
    write_text(below / "fold_1" / "tess_test_fold_1.jsonl", lines[0])
    return write_text(below / "tess.jsonl", "".join(lines))


def facts(root: Path) -> TableFacts:
    """Entries of the sidecar: the folder of its audio, and which of EmoBox's corpora it is."""
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
