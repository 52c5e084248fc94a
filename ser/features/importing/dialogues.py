"""Pickles of whole dialogues: a tuple of dicts from dialogue to a list of one entry per turn, and of the parts' dialogues.

So are the features of IEMOCAP and MELD published that came with DialogueRNN (Majumder et al., AAAI 2019) and that many systems
for emotion in conversation train on. The file does not name the members of the tuple: the arrangements
below are known, and are taken only where every member is of the kind that its name says; any other is given with `--fields`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ser.errors import ConfigError, CorpusError
from ser.features.importing.arrays import pickled
from ser.features.importing.feature_files import Imported, ImportedFeature, sha256
from ser.features.importing.loading import ImportOptions
from ser.features.stores.layout import MODALITIES
from ser.metadata.schema import Row, TableFacts

FIELDS = ("ids", "speakers", "labels", "sentences", "train", "validation", "test", "-")
_EKMAN = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
_ROBERTA = ("text:roberta1", "text:roberta2", "text:roberta3", "text:roberta4")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


KNOWN = (
    _words("ids speakers labels text audio visual sentences train test"),  # IEMOCAP_features.pkl, ..._raw.pkl
    _words("ids speakers labels text audio sentences train test -"),  # MELD_features_raw.pkl; the last is sentiment
    _words("speakers labels text audio visual train test"),
    _words("speakers labels text audio visual train test validation"),
    ("ids", "speakers", "labels", *_ROBERTA, "audio", "visual", "sentences", "train", "test"),
    ("ids", "speakers", "labels", *_ROBERTA, "audio", "visual", "sentences", "train", "test", "-"),
)
_IEMOCAP = re.compile(r"Ses0(\d)[FM]_\w+")
_IEMOCAP_LABELS = ("happiness", "sadness", "neutral", "anger", "excitement", "frustration")


def is_dialogues(value: Any) -> bool:
    """True where a pickle's content is a tuple of dicts by dialogue."""
    return isinstance(value, (tuple, list)) and len(value) > 2 and sum(isinstance(v, dict) for v in value) > 1


def read_dialogues(path: Path, fields: Sequence[str] | None, options: ImportOptions) -> Imported:
    """A pickle of dialogues as rows and features.

    Args:
        fields: the meaning of each member: of `FIELDS`, or a modality, also as `text:roberta1`; None where it is a known one.
        options: of these, names of labels, or their rating; with neither the names that IEMOCAP's and MELD's files are known
            to have.

    Raises:
        ConfigError: no known arrangement, or members that are not of the kind that their names say.
        CorpusError: a dialogue has other numbers of turns in other members, or the pickle is refused.
    """
    value = pickled(path)
    if not is_dialogues(value):
        raise ConfigError(f"{path} holds no dialogues", expected="a tuple of dicts by dialogue", found=_kind(value))
    chosen = _fields(path, value, fields)
    parts = {f: value[k] for k, f in enumerate(chosen) if f in ("train", "validation", "test")}
    members: dict[str, Mapping[Any, Any]] = {f: value[k] for k, f in enumerate(chosen) if f not in parts and f != "-"}
    notes: list[str] = []
    if options.rated is None:
        names, notes = _names(members, options.label_names)
        options = replace(options, label_names=names)
    turns = _Turns(path, members, options)
    rows, features = ([], {f: ImportedFeature(*_store(f), files={path.name: sha256(path)}) for f in members if _store(f)[1]})
    for part, dialogues in parts.items():
        for dialogue in sorted(dialogues, key=str) if isinstance(dialogues, (set, frozenset)) else list(dialogues):
            listed = turns.rows(dialogue, part)
            rows += listed
            for name, feature in features.items():
                feature.pieces.append(([r["utterance_id"] for r in listed], list(members[name][dialogue])))
    corpus = "iemocap" if turns.iemocap else ""
    facts: TableFacts = {"language": "en", "source_corpus": corpus, "title": "IEMOCAP, dialogue features"} if corpus else {}
    return Imported(rows, list(features.values()), facts, notes)


@dataclass(frozen=True, eq=False)
class _Turns:
    """Makes rows of the turns of a dialogue."""

    path: Path
    members: Mapping[str, Mapping[Any, Any]]
    options: ImportOptions

    @property
    def iemocap(self) -> bool:
        return all(_IEMOCAP.fullmatch(str(d)) for d in self.members["labels"])

    def rows(self, dialogue: Any, part: str) -> list[Row]:
        lengths = {f: len(m[dialogue]) for f, m in self.members.items() if dialogue in m}
        lacking = [f for f in self.members if f not in lengths]
        if lacking or len(set(lengths.values())) > 1:
            raise CorpusError(
                f"{self.path}: dialogue {dialogue}",
                expected="as many turns in every member",
                found=f"none in {lacking[0]}" if lacking else ", ".join(f"{f} {n}" for f, n in lengths.items()),
            )
        return [self._row(dialogue, turn, part) for turn in range(lengths["labels"])]

    def _row(self, dialogue: Any, turn: int, part: str) -> Row:
        given = {f: self.members[f][dialogue][turn] for f in ("ids", "speakers", "sentences") if f in self.members}
        own = str(given.get("ids", ""))
        unique = isinstance(given.get("ids"), str) and own.startswith(str(dialogue))
        label: Any = self.options.cells(self.members["labels"][dialogue][turn], self.path)
        return {
            "utterance_id": own if unique else f"{dialogue}-{turn:03d}",
            **label,
            **self._who(str(dialogue), given.get("speakers")),
            "text": _mended(str(given.get("sentences", ""))),
            "dialogue": str(dialogue),
            "turn": turn,
            "split": part,
        }

    def _who(self, dialogue: str, speaker: Any) -> Row:
        """Of IEMOCAP, whose files say `M` or `F`, the speaker of the session; else what the file says."""
        if speaker is None:
            return {}
        if not isinstance(speaker, str):
            vector = np.asarray(speaker)
            return {"speaker": str(int(vector.argmax() if vector.ndim else vector))}
        match = _IEMOCAP.fullmatch(dialogue)
        if match is None or speaker not in ("M", "F"):
            return {"speaker": speaker}
        gender = "female" if speaker == "F" else "male"
        return {"speaker": f"Ses0{match[1]}{speaker}", "session": f"Ses0{match[1]}", "gender": gender}


def _store(field: str) -> tuple[str, str]:
    """Store and modality of a field; no modality if it does not hold features."""
    modality, _, store = field.partition(":")
    return (store or modality, modality) if modality in MODALITIES else (field, "")


def _fields(path: Path, value: Sequence[Any], given: Sequence[str] | None) -> Sequence[str]:
    kinds = [_kind(member) for member in value]
    fitting = [f for f in ([tuple(given)] if given else KNOWN) if len(f) == len(value) and not _misfit(f, value)]
    if len(fitting) == 1 and {"labels", "train"} <= set(fitting[0]):
        return fitting[0]
    wrong = [f for f in given or () if f not in FIELDS and not _store(f)[1]]
    misfit = _misfit(given, value) if given and len(given) == len(value) else ""
    raise ConfigError(
        f"{path}: " + (f"--fields {','.join(given)} does not fit" if given else "an arrangement that is not known"),
        expected=misfit
        or f"one word for each of its {len(value)} members, of {', '.join((*FIELDS, *MODALITIES))}, with labels and train",
        found=f"{wrong[0]!r}" if wrong else "; ".join(f"{n}: {kind}" for n, kind in enumerate(kinds)),
        action=None if given else "Name them with --fields, - for members that are not to be read.",
    )


def _misfit(fields: Sequence[str], value: Sequence[Any]) -> str:
    """The first member that is not what its field says; empty where all are."""
    dialogues = {d for v in value if isinstance(v, dict) for d in v}
    for number, (name, member) in enumerate(zip(fields, value, strict=True)):
        if not _is(name, member, dialogues):
            return f"{name} as member {number}"
    return ""


def _is(name: str, member: Any, dialogues: set[Any]) -> bool:
    if name == "-":
        return True
    if name in ("train", "validation", "test"):
        listed = isinstance(member, (list, tuple, set, frozenset, np.ndarray))
        return listed and all(d in dialogues for d in (member.tolist() if isinstance(member, np.ndarray) else member))
    if not isinstance(member, dict) or not member:
        return False
    turn = next((turns[0] for turns in member.values() if len(turns)), None)
    if turn is None:
        return False
    shape, text = np.shape(turn), isinstance(turn, str)
    number = not text and not shape and np.asarray(turn).dtype.kind in "iuf"
    if name == "labels":
        return number
    if name == "sentences":
        return text
    if name in ("ids", "speakers"):
        return text or number or (name == "speakers" and len(shape) == 1)
    return len(shape) in (1, 2) and np.asarray(turn).dtype.kind in "iuf"


def _kind(value: Any) -> str:
    """Describe a member, for an error."""
    if isinstance(value, dict):
        turns: Any = next(iter(value.values()), [])
        turn = turns[0] if isinstance(turns, (list, tuple, np.ndarray)) and len(turns) else turns
        inner = f"vectors of {len(turn)}" if np.ndim(turn) == 1 and not isinstance(turn, str) else repr(turn)[:30]
        return f"{len(value)} dialogues of {inner}"
    return f"{type(value).__name__} of {len(value)}" if hasattr(value, "__len__") else repr(value)[:30]


def _names(members: Mapping[str, Mapping[Any, Any]], given: tuple[str, ...] | None) -> tuple[tuple[str, ...] | None, list[str]]:
    """Names of the labels: those given, or those of the files that this arrangement is known from."""
    if given:
        return given, []
    iemocap = all(_IEMOCAP.fullmatch(str(d)) for d in members["labels"])
    largest = max((int(v) for turns in members["labels"].values() for v in turns), default=0)
    names = _IEMOCAP_LABELS if iemocap else _EKMAN if "visual" not in members and "audio" in members else ()
    if largest >= len(names):
        return None, ["labels are numbers: --label-names gives their names, in order"]
    return names, [f"labels 0 to {len(names) - 1} read as {', '.join(names)}: --label-names says otherwise"]


def _mended(text: str) -> str:
    """Text that Python 2 wrote as bytes of UTF-8, which a pickle gives as Latin-1."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
