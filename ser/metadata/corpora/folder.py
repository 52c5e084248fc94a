"""A corpus of one's own, from a folder of folders: `LABEL/*.wav`, `LABEL/SPEAKER/*.wav` or `SPEAKER/LABEL/*.wav`.

All of these may lie in folders `train`, `validation` (or `dev`) and `test`.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ser.metadata.column_names import shared_stems
from ser.metadata.corpora._example import write_tones
from ser.metadata.labels import BY_WORD, from_word, is_strange, note_strange, one_spelling
from ser.metadata.parsing import LOG, audio_below, few, left_out
from ser.metadata.schema import Row
from ser.metadata.words_in_cells import GENDERS, SPLITS, as_label, is_missing, part_of

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
female/..., session1/.. or in folders of a gender or a session; folders called wav or audio are passed over
"""
LABELS = BY_WORD
UTTERANCES = None
SENTENCES = None
NOTES = (
    "Folder names that are not known emotion words become the emotion 'other' and keep their label.",
    "Of two levels of folders the one with more known emotion words is that of the labels, of equals the "
    "one that is not numbered, else the upper one.",
    "Ids are the paths without their ending. Files beside the label folders, or deeper than these, are left out.",
)


_PARTS = [word for word in SPLITS if word not in ("val", "valid", "dev")]  # those may be people
_WRAPPERS = (
    "audio",
    "audios",
    "clips",
    "data",
    "files",
    "flac",
    "mp3",
    "recordings",
    "sound",
    "sounds",
    "speech",
    "wav",
    "wavs",
)
_SESSION = re.compile(r"ses(s|sion)?[\s_-]*\d+", re.IGNORECASE)


def parse(root: Path) -> Iterator[Row]:
    """Rows of all audio files in label folders."""
    paths = list(audio_below(root))
    folders = _without_common({path: path.split("/")[:-1] for path in paths})
    folders, splits = _without(folders, lambda name: part_of(name) is not None)
    if not splits:  # those of one part may lie beside the others
        splits = {path: names[0] for path, names in folders.items() if len(names) > 1 and names[0].lower() in _PARTS}
        folders = {path: names[path in splits :] for path, names in folders.items()}
    folders, _ = _without(folders, lambda name: name.lower() in _WRAPPERS, leave=1)
    folders, sessions = _without(folders, lambda name: _SESSION.fullmatch(name) is not None, leave=1)
    folders, genders = _without(folders, lambda name: name.lower() in GENDERS, leave=1)
    level = _label_level(list(folders.values()))
    used = {path: names for path, names in folders.items() if level < len(names) <= 2}
    left_out(len(paths) - len(used), "files that are not in LABEL/, LABEL/SPEAKER/ or SPEAKER/LABEL/")
    words = {path: as_label(names[level]) for path, names in used.items()}
    missing = Counter(word for word in words.values() if is_missing(word))
    if missing:
        LOG.warning("read as no label: %s", few(f"{word!r} {n}" for word, n in missing.most_common()))
    spelt = one_spelling(word for word in words.values() if word not in missing)
    clash = shared_stems(used)
    for path, names in used.items():
        label = spelt.get(words[path], "")
        stem = path.rsplit(".", 1)[0]
        yield {
            "utterance_id": path if stem in clash else stem,
            "path": path,
            "label": label,
            "emotion": from_word(label) if label else "",
            "speaker": names[1 - level] if len(names) == 2 else "",
            "gender": GENDERS[genders[path].lower()] if path in genders else "",
            "session": sessions.get(path, ""),
            "split": part_of(splits[path]) if path in splits else "",
        }
    strange = sorted(label for label in set(spelt.values()) if is_strange(label))
    note_strange("folders", strange)


def _without_common(folders: dict[str, list[str]]) -> dict[str, list[str]]:
    """Leave out a folder that holds two levels of others, where it is not called after an emotion or a part."""
    tops = {names[0] if names else "" for names in folders.values()}
    wraps = len(tops) == 1 and all(len(names) > 2 for names in folders.values())
    if not wraps or any(from_word(top) != "other" or part_of(top) for top in tops):
        return folders
    return _without_common({path: names[1:] for path, names in folders.items()})


def _without(
    folders: dict[str, list[str]], fits: Callable[[str], bool], leave: int = 0
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Leave out a level of folders of which all names fit, where `leave` levels are left; with path -> name."""
    for level in range(max(map(len, folders.values()), default=0)):
        found = {path: names[level] for path, names in folders.items() if len(names) > max(level, leave)}
        if found and all(map(fits, found.values())) and (not leave or len(found) == len(folders)):
            shorter = {path: names[:level] + names[level + 1 :] for path, names in folders.items()}
            return shorter, found
    return folders, {}


def _label_level(folders: Sequence[Sequence[str]]) -> int:
    """The level of folders that are called after emotions: 0 or 1."""
    upper, lower = ({names[k] for names in folders if len(names) == 2} for k in (0, 1))
    known = [sum(map(_names_emotion, names)) for names in (upper, lower)]
    if known[0] != known[1]:
        return int(known[1] > known[0])
    numbered = [bool(names) and all(re.search(r"\d", name) for name in names) for names in (upper, lower)]
    level = int(numbered[0] and not numbered[1])  # speakers are numbered more often than emotions
    if upper and not known[0]:
        labels, speakers = (lower, upper) if level else (upper, lower)
        LOG.warning(
            "no folder is called after an emotion that is known: %s are taken for labels and %s for speakers",
            few(sorted(labels), 5),
            few(sorted(speakers), 5),
        )
    return level


def _names_emotion(name: str) -> bool:
    """True for a name with a word for an emotion in it: `angry`, `03-sad`, `OAF_happy`."""
    return any(from_word(word) != "other" for word in (name, *re.findall(r"[^\W\d_]{3,}", name)))


def example(root: Path) -> Path:
    return write_tones(root, "angry/a.wav", "Happy/anna/a.flac", "whispered/bert/a.wav")
