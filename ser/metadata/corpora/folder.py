"""A corpus of one's own, from a folder of folders: `LABEL/*.wav`, `LABEL/SPEAKER/*.wav` or `SPEAKER/LABEL/*.wav`.

All of these may lie in folders `train`, `validation` (or `dev`) and `test`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ser.metadata.column_names import SPLITS, shared_stems
from ser.metadata.corpora._example import write_tones
from ser.metadata.labels import SYNONYMS, from_word, one_spelling
from ser.metadata.parsing import LOG, audio_below, few, left_out
from ser.metadata.schema import Row

TITLE = "Folder of folders"
CITATION = "none: a corpus of one's own"
LICENCE = "that of the audio in it"
URL = ""
LANGUAGE = ""
TREE = """
LABEL/*.wav             one folder for each emotion (angry, happy, ...), of any kind of audio file
LABEL/SPEAKER/*.wav     or, below it, one folder for each speaker
SPEAKER/LABEL/*.wav     or the other way round
train/..., test/...     or any of these in folders of the official split, which may also lie below LABEL
"""
LABELS = {word: emotion for emotion, words in SYNONYMS.items() for word in words}
UTTERANCES = None
SENTENCES = None
NOTES = (
    "Folder names that are no known emotion word become the emotion 'other' and keep their label.",
    "Of two levels of folders the one with more known emotion words is that of the labels, of equals the upper one.",
    "Ids are the paths without their ending. Files beside the label folders, or deeper than these, are left out.",
)


def parse(root: Path) -> Iterator[Row]:
    """Rows of all audio files in label folders."""
    paths = list(audio_below(root))
    folders = _without_common({path: path.split("/")[:-1] for path in paths})
    folders, splits = _without_split(folders)
    level = _label_level(list(folders.values()))
    used = {path: names for path, names in folders.items() if level < len(names) <= 2}
    left_out(len(paths) - len(used), "files that are not in LABEL/, LABEL/SPEAKER/ or SPEAKER/LABEL/")
    spelt = one_spelling(names[level] for names in used.values())
    clash = shared_stems(used)
    for path, names in used.items():
        label = spelt[names[level]]
        stem = path.rsplit(".", 1)[0]
        yield {
            "utterance_id": path if stem in clash else stem,
            "path": path,
            "label": label,
            "emotion": from_word(label),
            "speaker": names[1 - level] if len(names) == 2 else "",
            "split": splits.get(path, ""),
        }
    strange = sorted({label for label in spelt.values() if from_word(label) == "other"})
    if strange:
        LOG.warning("folders that are no known emotion word (emotion: other): %s", few(strange))


def _without_common(folders: dict[str, list[str]]) -> dict[str, list[str]]:
    """Leave out a folder that holds two levels of others, where it is not called after an emotion or a part."""
    tops = {names[0] if names else "" for names in folders.values()}
    wraps = len(tops) == 1 and all(len(names) > 2 for names in folders.values())
    if not wraps or any(from_word(top) != "other" or top.lower() in SPLITS for top in tops):
        return folders
    return _without_common({path: names[1:] for path, names in folders.items()})


def _without_split(folders: dict[str, list[str]]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Leave out a level of folders that are all called after parts (train, dev, test); with path -> part."""
    for level in range(max(map(len, folders.values()), default=0)):
        parts = {path: names[level] for path, names in folders.items() if len(names) > level}
        if all(part.lower() in SPLITS for part in parts.values()):
            shorter = {path: names[:level] + names[level + 1 :] for path, names in folders.items()}
            return shorter, {path: SPLITS[part.lower()] for path, part in parts.items()}
    return folders, {}


def _label_level(folders: Sequence[Sequence[str]]) -> int:
    """The level of folders that are called after emotions: 0 or 1."""
    deep = [names for names in folders if len(names) == 2]
    known = [len({names[k] for names in deep if from_word(names[k]) != "other"}) for k in (0, 1)]
    return int(known[1] > known[0])


def example(root: Path) -> Path:
    """Write an example tree and return its root."""
    return write_tones(root, "angry/a.wav", "Happy/anna/a.flac", "whispered/bert/a.wav")
