"""A corpus of the EmoBox benchmark, from its JSON lines file, with its published folds (Ma et al., Interspeech 2024).

`data/NAME/NAME.jsonl` has one object per utterance: `key`, `wav` (relative to EmoBox's folder), `length` in s, `emo`, `channel`
(from 1), and for segments `start_time` and `end_time`. Beside it lie `label_map.json` (in one corpus `label_dict.json`), the
file `data.seg.wrd.stm`, whose third column is the speaker, and `fold_K/` (or `foldK/`) with `NAME_train_fold_K.jsonl`,
`NAME_test_fold_K.jsonl` and, in three corpora, `NAME_valid_fold_K.jsonl`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ser.errors import CorpusError
from ser.metadata.corpora._example import write_text, write_tone
from ser.metadata.folds.fold_file import Line
from ser.metadata.labels import BY_WORD, from_word, note_strange
from ser.metadata.parsing import LOG, few, left_out, read_text
from ser.metadata.schema import Row, TableFacts
from ser.metadata.table_files import RawRow, read_json_lines

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


LANGUAGE_OF = {
    "aesdd": "el", "ased": "am", "cafe": "fr", "casia": "zh", "cremad": "en", "emns": "en", "emodb": "de", "emovdb": "en",
    "emovo": "it", "emozionalmente": "it", "enterface": "en", "iemocap": "en", "jlcorpus": "en", "m3ed": "zh", "mead": "en",
    "meld": "en", "mer2023": "zh", "mesd": "es", "msppodcast": "en", "oreau": "fr", "pavoque": "de", "polish": "pl",
    "ravdess": "en", "resd": "ru", "savee": "en", "shemo": "fa", "subesco": "bn", "tess": "en", "turevdb": "tr", "urdu": "ur",
}  # fmt: skip
# EmoBox's words for utterances without an emotion, or without one that the annotators agree on.
NO_EMOTION = ("no-agreement", "unknown")
# There the third column is not the speaker: that of MESD is female, male or child, eleven people in all.
VOICES = {"mesd": {"Female": "female", "Male": "male", "Child": ""}}
_SPOKEN = re.compile(r"(?P<key>.+?) \d+ (?P<speaker>.+?) [\d.e-]+ [\d.e-]+ <")
# In IEMOCAP it is the wearer of the markers (Ses01F of Ses01F_impro01_M003); the key's last part has the speaker.
_IEMOCAP = re.compile(r"(?:iemocap-)?(Ses\d\d)[FM]_.+_([FM])\d+[a-z]?")
_FOLD = re.compile(r"fold_?(\d+)")
_PART = {"train": "train", "valid": "validation", "test": "test"}


def listing(source: Path) -> Path:
    """The corpus's own JSON lines file, from itself or from its folder.

    Raises:
        CorpusError: the folder has none, or several.
    """
    if source.is_file():
        return source
    files = sorted(p for p in source.glob("*.jsonl") if not p.name.startswith("."))
    named = [p for p in files if p.stem == source.resolve().name] or files
    if len(named) != 1:
        raise CorpusError(
            f"{source}: no EmoBox metadata",
            expected="NAME/NAME.jsonl",
            found=few([p.name for p in files]) or "no .jsonl file",
            action="Give the file with: ser metadata --dataset NAME --from data/NAME/NAME.jsonl --format emobox",
        )
    return named[0]


def corpus_of(lines: list[RawRow], file: Path) -> str:
    """EmoBox's name of the corpus: that in the lines, else the file's name."""
    return str(lines[0].get("dataset") or file.stem).lower() if lines else file.stem.lower()


def audio_root(file: Path, lines: list[RawRow]) -> Path:
    """The folder that the paths are relative to: the nearest above the file where the first is found, else EmoBox's own."""
    first = str(_given(lines[0], "wav", "audio")) if lines else ""
    folders = list(file.resolve().parents)
    there = next((folder for folder in folders if first and (folder / first).exists()), None)
    return there or next((f.parent for f in folders if f.name == "data"), folders[0])


def _row(line: RawRow, where: str) -> Row:
    lacking = [name for name, other in (("key", "key"), ("wav", "audio"), ("emo", "label")) if not {name, other} & set(line)]
    if lacking:
        raise CorpusError(where, expected="key, wav and emo, as EmoBox writes them", found=f"no {lacking[0]}")
    row: Row = {
        "utterance_id": str(line["key"]),
        "path": str(_given(line, "wav", "audio")),
        "label": str(_given(line, "emo", "label")),
        "duration": line.get("length"),
        "start": line.get("start_time"),
        "end": line.get("end_time"),
    }
    channel = line.get("channel")
    if channel is not None:
        if not isinstance(channel, int) or channel < 1:
            raise CorpusError(f"{where}: channel", expected="a whole number from 1", found=repr(channel))
        row["channel"] = channel - 1
    return row


def _given(line: RawRow, *names: str) -> Any:
    return next((line[name] for name in names if name in line), "")


def _emotion(label: str, emotions: dict[str, str]) -> str:
    """The label's own word before EmoBox's, which merges some (excitement with happiness)."""
    word = emotions.get(label.lower(), label)
    if word.lower() in NO_EMOTION:
        return ""
    own = from_word(label)
    return own if own != "other" else from_word(word)


def _label_map(folder: Path) -> dict[str, str]:
    """Label in lower case (the map of EmoDB differs from its data in case) -> EmoBox's word."""
    file = next((folder / n for n in ("label_map.json", "label_dict.json") if (folder / n).is_file()), None)
    if file is None:
        LOG.warning("not there: label_map.json; labels are read as words")
        return {}
    try:
        content = json.loads(read_text(file))
        return {str(label).lower(): str(word) for label, word in content.items()}
    except (ValueError, AttributeError) as error:
        raise CorpusError(f"{file}", expected='JSON such as {"a": "Angry"}', found=str(error)) from None


def _speakers(folder: Path, corpus: str) -> dict[str, str]:
    """Utterance -> speaker; {} where the file is not there, or names each utterance as its own speaker."""
    file = folder / "data.seg.wrd.stm"
    if not file.is_file():
        LOG.warning("not there: data.seg.wrd.stm; so no speakers")
        return {}
    found = (_SPOKEN.match(line) for line in read_text(file).splitlines())
    speakers = {line["key"]: line["speaker"] for line in found if line}
    if len(speakers) > 1 and len(set(speakers.values())) == len(speakers):  # MER2023 and RESD
        LOG.warning("data.seg.wrd.stm names every file as its own speaker; so no speakers")
        return {}
    if corpus in VOICES:
        LOG.warning("data.seg.wrd.stm has voice types, not speakers; so no speakers")
    return speakers


def _of_iemocap(key: str) -> Row:
    name = _IEMOCAP.fullmatch(key)
    if name is None:
        return {}
    return {"speaker": name[1] + name[2], "gender": "female" if name[2] == "F" else "male", "session": name[1]}


def _folds(folder: Path) -> dict[str, dict[str, Path]]:
    """Fold -> part -> file. EmoDB has an older set beside (`..._fold1.jsonl`): names with `_fold_1` come first."""
    found: dict[str, dict[str, Path]] = {}
    for below in sorted(folder.iterdir()):
        fold = _FOLD.fullmatch(below.name)
        if fold is None or not below.is_dir():
            continue
        parts = found.setdefault(fold[1], {})
        for file in sorted(below.glob("[!.]*.jsonl"), key=lambda p: ("_fold_" not in p.name, p.name)):
            part = re.search(rf"_(train|valid|test)_fold_?{fold[1]}$", file.stem)
            if part:
                parts.setdefault(_PART[part[1]], file)
    return {name: parts for name, parts in sorted(found.items(), key=lambda f: int(f[0])) if parts}


def _splits(folder: Path) -> dict[str, str]:
    """Utterance -> part, where there is one fold: then it is the corpus's split."""
    folds = _folds(folder)
    if len(folds) != 1:
        return {}
    (parts,) = folds.values()
    return {key: part for part, file in parts.items() for key in _keys(file)}


def _keys(file: Path) -> list[str]:
    lines, _ = read_json_lines(file)
    without = sum("key" not in line for line in lines)
    left_out(without, f"lines of {file.name} without a key")
    return [str(line["key"]) for line in lines if "key" in line]


def parse(root: Path) -> Iterator[Row]:
    """Rows of the file.

    Raises:
        CorpusError: no such file, a line lacks a field or has one that is not a number, or a label map is damaged.
    """
    file = listing(root)
    lines, folder = read_json_lines(file)
    corpus = corpus_of(lines, file)
    emotions = _label_map(folder)
    speakers = _speakers(folder, corpus)
    splits = _splits(folder)
    strange: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        row = _row(line, f"{file}, line {number}")
        label = str(row["label"])
        row["emotion"] = _emotion(label, emotions)
        if row["emotion"] == "other":
            strange.setdefault(label)
        spoken = speakers.get(row["utterance_id"], "")
        voices = VOICES.get(corpus, {})
        who: Row = {"gender": voices.get(spoken, "")} if voices else {"speaker": spoken}
        if corpus == "iemocap":
            who = _of_iemocap(row["utterance_id"]) or who
        yield {**row, **who, "language": LANGUAGE_OF.get(corpus, ""), "split": splits.get(row["utterance_id"], "")}
    note_strange("labels", list(strange))


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
    file = listing(root)
    lines, _ = read_json_lines(file)
    name = corpus_of(lines, file)
    return {
        "root": str(audio_root(file, lines)),
        "source_corpus": name,
        "title": f"{name}, as in the EmoBox benchmark",
        "language": LANGUAGE_OF.get(name, ""),
    }


def folds(root: Path) -> Iterator[Line]:
    """The published folds: the test and validation utterances of each, and those that it leaves out.

    Raises:
        CorpusError: a fold without a test part.
    """
    file = listing(root)
    lines, folder = read_json_lines(file)
    keys = [str(line.get("key", "")) for line in lines]
    for name, parts in _folds(folder).items():
        if "test" not in parts:
            raise CorpusError(f"{folder}: fold {name}", expected="a file NAME_test_fold_K.jsonl")
        members = {part: dict.fromkeys(_keys(path)) for part, path in parts.items()}
        for part in ("test", "validation"):
            yield from ((name, key, part) for key in members.get(part, ()))
        if "train" in members:
            known = {k for part in members.values() for k in part}
            yield from ((name, key, "unused") for key in keys if key not in known)
