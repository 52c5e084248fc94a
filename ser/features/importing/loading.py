"""One file of features with what lies beside it: labels, ids, lengths, speakers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError, CorpusError
from ser.features.importing.arrays import PICKLES, array, pickled, read
from ser.features.importing.feature_files import Content, FeatureFile, Values, labelled

FRAMES, TURNS = "frames", "turns"
# Dialogue features of one modality, as Poria et al. (ACL 2017) publish them: a tuple of arrays (dialogues, turns, features),
# labels (dialogues, turns), and how many turns each dialogue has. Where data, labels and lengths of each part are:
_TUPLES = {
    7: {"train": (0, 1, 5), "test": (2, 3, 6)},
    13: {"train": (0, 1, 7), "validation": (2, 3, 8), "test": (4, 5, 9)},
}


@dataclass(frozen=True)
class ImportOptions:
    """How files are read and joined.

    Attributes:
        rows: row k of every file is the same utterance.
        id_column, label: column of ids, of labels: its name, or its number.
        label_names: names of the labels 0, 1, ...
        axis: what the second of three axes is: `frames` of an utterance, or `turns` of a dialogue.
        columns: of a table, those that are features: names, numbers, or FIRST:LAST; None takes all that may be.
    """

    rows: bool = False
    id_column: str | None = None
    label: str | None = None
    label_names: tuple[str, ...] | None = None
    axis: str | None = None
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Loaded:
    """Features of some utterances from one file.

    Attributes:
        values: one array an utterance, `(D,)` or `(frames, D)`.
        ids, labels, facts, names, left_out: as of `Content`.
        dialogues: whether the utterances are turns that the file has in order.
    """

    source: FeatureFile
    part: str
    values: Values
    ids: list[str] | None = None
    labels: list[Any] | None = None
    facts: dict[str, list[Any]] = field(default_factory=dict)
    dialogues: bool = False
    names: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.source.name


def load(source: FeatureFile, options: ImportOptions, beside: Mapping[str, FeatureFile]) -> Iterator[Loaded]:
    """A file as features of utterances; a pickle of several parts as several.

    Raises:
        ConfigError: an axis of which it is not said what it is.
        CorpusError: facts that do not fit the features.
    """
    if source.path.suffix.lower() in PICKLES and not source.key:
        value = pickled(source.path)
        if isinstance(value, (tuple, list)) and len(value) in _TUPLES and np.ndim(value[0]) == 3:
            for part, (data, labels, lengths) in _TUPLES[len(value)].items():
                yield _dialogues(source, part, np.asarray(value[data]), value[labels], value[lengths], {})
            return
    content = read(source, options.id_column, options.label, options.columns)
    facts = {what: array(other) for what, other in beside.items()}
    deep = isinstance(content.values, np.ndarray) and content.values.ndim == 3
    if deep and options.axis is None:
        raise ConfigError(
            f"{source.name} has three axes, {content.values.shape}",  # type: ignore[attr-defined]
            expected="to know what the second is: --frames of an utterance, or --turns of a dialogue",
        )
    if deep and options.axis == TURNS:
        yield _dialogues(
            source, source.part, np.asarray(content.values), facts.get("labels"), facts.get("lengths"), facts
        )
        return
    yield _utterances(source, content, facts, options)


def _utterances(source: FeatureFile, content: Content, facts: dict[str, Any], options: ImportOptions) -> Loaded:
    count, values = len(content.values), content.values
    for what in facts:
        if len(facts[what]) != count:
            raise CorpusError(f"{what} of {source.name}", expected=f"{count}, one a row", found=len(facts[what]))
    if "lengths" in facts:
        valid = [int(n) if np.ndim(n) == 0 else _prefix(n, source) for n in facts["lengths"]]
        if max(valid) > max(len(v) for v in values):
            raise CorpusError(f"lengths of {source.name}", expected="no more than there are frames", found=max(valid))
        values = [v[:n] for v, n in zip(values, valid, strict=True)]
    ids = [str(i) for i in facts["ids"]] if "ids" in facts else content.ids
    labels = _classes(facts["labels"], 1) if "labels" in facts else content.labels
    more = {"speaker": [str(s) for s in facts["speakers"]]} if "speakers" in facts else {}
    _agree(source, "id", ids, content.ids)
    _agree(source, "label", *(_words(given, options, source) for given in (labels, content.labels)))
    _agree(source, "speaker", more.get("speaker"), content.facts.get("speaker"))
    found = {**content.facts, **more}
    return Loaded(source, source.part, values, ids, labels, found, names=content.names, left_out=content.left_out)


def _agree(source: FeatureFile, what: str, beside: list[str] | None, own: list[str] | None) -> None:
    """Refuse what lies beside a file and is not what the file itself says."""
    if beside is None or own is None:
        return
    row = next((k for k, pair in enumerate(zip(beside, own, strict=True)) if all(pair) and pair[0] != pair[1]), None)
    if row is not None:
        raise CorpusError(
            f"{what}s=FILE is not of {source.name}, which has {what}s of its own",
            expected=f"{own[row]!r} in row {row + 1}",
            found=repr(beside[row]),
            action=f"Leave {what}s= out, or take the column out of the file.",
        )


def _words(given: list[Any] | None, options: ImportOptions, source: FeatureFile) -> list[str] | None:
    return None if given is None else [labelled(cell, options.label_names, source.name)["label"] for cell in given]


def _dialogues(
    source: FeatureFile, part: str, values: NDArray[Any], labels: Any, lengths: Any, facts: Mapping[str, Any]
) -> Loaded:
    """`(dialogues, turns, D)` with the number of turns of each, or a mask, as one vector a turn that is there."""
    if lengths is None:
        raise ConfigError(f"{source.name}: how many turns has each dialogue?", expected="lengths=FILE, or a mask")
    counts = np.asarray(lengths)
    real = np.arange(values.shape[1]) < counts[:, None] if counts.ndim == 1 else counts.astype(bool)
    if real.shape != values.shape[:2] or (counts.ndim == 1 and counts.max() > values.shape[1]):
        raise CorpusError(
            f"{source.name} has {values.shape[:2]} dialogues and turns",
            expected="lengths (dialogues,) or a mask (dialogues, turns)",
            found=f"{counts.shape}, up to {counts.max()}",
        )
    which, turn = np.nonzero(real)
    found: dict[str, list[Any]] = {
        "dialogue": [f"{part or 'dialogue'}-{k:04d}" for k in which.tolist()],
        "turn": turn.tolist(),
    }
    own = {what: _turns_of(facts[what], real, what, source) for what in ("ids", "speakers") if what in facts}
    if "speakers" in own:
        found["speaker"] = [str(s) for s in own["speakers"]]
    ids = [str(i) for i in own["ids"]] if "ids" in own else None
    classes = None if labels is None else _turns_of(labels, real, "labels", source)
    return Loaded(source, part, values[real], ids, classes, found, dialogues=True)


def _turns_of(given: Any, real: NDArray[np.bool_], what: str, source: FeatureFile) -> list[Any]:
    """`(dialogues, turns)`, or a list of lists of the turns that are there, as one list."""
    if isinstance(given, (list, tuple)) and [len(g) for g in given] == real.sum(1).tolist():
        return [cell for turns in given for cell in turns]
    values = np.asarray(given)
    if values.shape[:2] != real.shape:
        raise CorpusError(f"{what} of {source.name}", expected=f"{real.shape}, as the features", found=values.shape)
    return _classes(values[real], 1) if what == "labels" else list(values[real].tolist())


def _classes(given: Any, axes: int) -> list[Any]:
    """Labels as they are; a vector of one 1 and otherwise 0 as the place of the 1."""
    values = np.asarray(given)
    if values.ndim > axes and values.shape[-1] > 1 and np.isin(values, (0, 1)).all() and (values.sum(-1) == 1).all():
        return list(values.argmax(-1).tolist())
    if values.size != len(values):
        raise CorpusError("labels", expected="one a row, or a vector of one 1 and otherwise 0", found=values.shape)
    return list(values.reshape(-1).tolist())


def _prefix(mask: Sequence[Any], source: FeatureFile) -> int:
    """Frames of a mask, which must come first."""
    real = np.asarray(mask, dtype=bool)
    count = int(real.sum())
    if not real[:count].all():
        raise CorpusError(f"lengths of {source.name}", expected="masks without gaps", found=real.astype(int).tolist())
    return count
