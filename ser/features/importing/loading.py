"""One file of features with the facts beside it: labels, ids, lengths, speakers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError, CorpusError
from ser.features.importing.arrays import PICKLES, Folder, pickled, read, read_facts
from ser.features.importing.feature_files import Beside, Content, FeatureFile, Values, as_rating, composed, labelled, same_label
from ser.metadata.build import parse_rating
from ser.metadata.parsing import few
from ser.metadata.schema import Scale

FRAMES, TURNS = "frames", "turns"
_OWN = ("ids", "lengths")  # facts that are not joined to ids
# Dialogue features of one modality, as Poria et al. (ACL 2017) publish them: a tuple of arrays (dialogues, turns, features),
# labels (dialogues, turns), and how many turns each dialogue has. Where data, labels and lengths of each part are:
_TUPLES = {7: {"train": (0, 1, 5), "test": (2, 3, 6)}, 13: {"train": (0, 1, 7), "validation": (2, 3, 8), "test": (4, 5, 9)}}


@dataclass(frozen=True)
class ImportOptions:
    """Choices of an import.

    Attributes:
        rows: row k of every file is the same utterance.
        id_column, label: column of ids, of labels: its name, or its number.
        label_names: names of the labels 0, 1, ...
        axis: the meaning of the second of three axes: `frames` of an utterance, or `turns` of a dialogue.
        columns: of a table, those that are features: names, numbers, or FIRST:LAST; None takes all that may be.
        encoders: store -> the encoder that its user declares it to be of; the key "" is for the only store.
        rating: `NAME:LOW:HIGH` where the labels are numbers, with the ends of their scale; None where they are classes.
    """

    rows: bool = False
    id_column: str | None = None
    label: str | None = None
    label_names: tuple[str, ...] | None = None
    axis: str | None = None
    columns: tuple[str, ...] | None = None
    encoders: Mapping[str, str] = field(default_factory=dict)
    rating: str | None = None

    @cached_property
    def rated(self) -> tuple[str, Scale] | None:
        """The column of ratings and its scale; None where labels are classes.

        Raises:
            ConfigError: `rating` is not so written, or there are names of classes too.
        """
        if self.rating is None:
            return None
        if self.label_names:
            raise ConfigError(
                "--rating says that labels are numbers, --label-names that they are classes", expected="one of them"
            )
        return parse_rating(self.rating)

    def cells(self, label: Any, where: object) -> dict[str, Any]:
        """The cells of the utterance table that a label becomes: its rating, None without one; or `label` and `emotion`.

        Raises:
            CorpusError, ConfigError: as `as_rating` and `labelled`.
        """
        if self.rated is not None:
            return {self.rated[0]: as_rating(label, where)}
        return {**labelled(label, self.label_names, where)}

    def labels(self, given: Sequence[Any] | None, where: object) -> list[Any] | None:
        """Labels as the table has them: names of classes, or ratings; see `cells` for errors."""
        return None if given is None else [next(iter(self.cells(label, where).values())) for label in given]


@dataclass(frozen=True, eq=False, kw_only=True)
class Loaded(Content):
    """Features of some utterances from one file, with the facts beside it.

    Attributes:
        source: the file.
        part: `train`, `validation`, `test`, or empty.
        dialogues: the utterances are turns that the file has in order.
        files: others that the values depend on.
    """

    source: FeatureFile
    part: str
    dialogues: bool = False
    files: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        return self.source.name


def load(source: FeatureFile, options: ImportOptions, beside: Mapping[str, FeatureFile]) -> Iterator[Loaded]:
    """Read a file as features of utterances; a pickle of several parts as several.

    Raises:
        ConfigError: an axis has no meaning, or facts by row come without `--rows`.
        CorpusError: facts that do not fit the features.
    """
    if source.path.suffix.lower() in PICKLES and not source.key:
        value = pickled(source.path)
        if isinstance(value, (tuple, list)) and len(value) in _TUPLES and np.ndim(value[0]) == 3:
            for part, (data, labels, lengths) in _TUPLES[len(value)].items():
                yield _dialogues(source, part, np.asarray(value[data]), value[labels], value[lengths], {}, options)
            return
    content = read(source, options.id_column, options.label, options.columns)
    facts = {what: read_facts(other) for what, other in {**_of_emotion2vec(source, beside), **beside}.items()}
    deep = isinstance(content.values, np.ndarray) and content.values.ndim == 3
    if deep and options.axis is None:
        raise ConfigError(
            f"{source.name} has three axes, {content.values.shape}",  # type: ignore[attr-defined]
            expected="to know the meaning of the second: --frames of an utterance, or --turns of a dialogue",
        )
    if deep and options.axis == TURNS:
        values = {what: fact.values for what, fact in facts.items()}
        dialogues = np.asarray(content.values)
        yield _dialogues(source, source.part, dialogues, values.get("labels"), values.get("lengths"), values, options)
        return
    yield _utterances(source, content, facts, options)


def _of_emotion2vec(source: FeatureFile, beside: Mapping[str, FeatureFile]) -> dict[str, FeatureFile]:
    """Files beside `NAME.npy` as emotion2vec's downstream code has them: `NAME.lengths`, and `NAME.emo` with ids and labels."""
    lengths, labels = source.path.with_suffix(".lengths"), source.path.with_suffix(".emo")
    if source.path.suffix.lower() != ".npy" or "lengths" in beside or not lengths.is_file():
        return {}
    found = {"lengths": FeatureFile("lengths", "", source.part, lengths)}
    return found | ({"labels": FeatureFile("labels", "", source.part, labels)} if labels.is_file() else {})


def _utterances(source: FeatureFile, content: Content, facts: Mapping[str, Beside], options: ImportOptions) -> Loaded:
    values = content.values
    if "lengths" in facts:
        values = _cut_to(values, facts["lengths"], source)
    ids = _ids_of(facts, content, source, len(values))
    found = {what: _joined(fact, ids, content, options, len(values)) for what, fact in facts.items() if what not in _OWN}
    labels = _single(found["labels"], 1, options) if "labels" in found else content.labels
    more = {"speaker": [str(s) for s in found["speakers"]]} if "speakers" in found else {}
    _agree(source, "id", ids, content.ids)
    _agree(source, "label", *(options.labels(given, source.name) for given in (labels, content.labels)))
    _agree(source, "speaker", more.get("speaker"), content.facts.get("speaker"))
    own = {**content.facts, **more}
    files = tuple(f.source.path for f in facts.values() if f.source.path == source.path.with_suffix(".lengths"))
    return Loaded(values, ids, labels, own, content.names, content.left_out, source=source, part=source.part, files=files)


def _ids_of(facts: Mapping[str, Beside], content: Content, source: FeatureFile, count: int) -> list[str] | None:
    """Ids of the rows: from a file of ids, the features' own file, or labels that lie beside in the same order.

    emotion2vec's `NAME.emo` is by definition in the order of `NAME.npy`.
    """
    if "ids" in facts:
        _refuse_count(facts["ids"], source, count)
        return [str(i) for i in facts["ids"].values]
    if content.ids is not None:
        return content.ids
    labels = facts.get("labels")
    if labels is not None and labels.ids is not None and labels.source.path == source.path.with_suffix(".emo"):
        _refuse_count(labels, source, count)
        return labels.ids
    return None


def _joined(fact: Beside, ids: list[str] | None, content: Content, options: ImportOptions, count: int) -> Any:
    """Values of facts in the order of the features' rows: by id where they have ids, else by row where that is safe.

    Raises:
        ConfigError: the features have ids and the facts none, or the other way round, without `--rows`.
        CorpusError: as many facts as rows are wanted, or no id is in both.
    """
    name = fact.source.name
    if fact.ids is not None:
        if ids is None:
            raise ConfigError(f"{name} has ids, and the features have none", expected="ids=FILE for the features")
        known = _by_id(fact)
        wanted = [composed(i) for i in ids]
        if not known.keys() & set(wanted):
            raise CorpusError(
                f"{name}: none of its {len(known)} ids is among those of the features",
                expected=f"ids such as {few(ids, 2)}",
                found=few(fact.ids, 2),
            )
        return [known.get(utterance, "") for utterance in wanted]
    _refuse_count(fact, None, count)
    compared = content.labels if fact.source.what == "labels" else content.facts.get("speaker")
    if content.ids is not None and compared is None:
        in_a_folder = isinstance(content.values, Folder)
        if in_a_folder or not options.rows:
            raise ConfigError(
                f"{name} does not say which utterance a row is of",
                expected=f"a table with columns of ids and {fact.source.what}",
                action="The files of a folder have no order that a list could follow."
                if in_a_folder
                else "If row k of it is of the same utterance as row k of the features, say so: --rows.",
            )
    return fact.values


def _by_id(fact: Beside) -> dict[str, Any]:
    """Id -> value."""
    known: dict[str, Any] = {}
    for utterance, value in zip(map(composed, fact.ids or ()), fact.values, strict=True):
        if known.setdefault(utterance, value) != value:
            raise CorpusError(
                f"{fact.source.name}: utterance {utterance!r} is there twice",
                expected=f"one of {fact.source.what} for each",
                found=f"{known[utterance]} and {value}",
            )
    return known


def _refuse_count(fact: Beside, source: FeatureFile | None, count: int) -> None:
    if len(fact.values) != count:
        of = fact.source.name if source is None else f"{fact.source.what} of {source.name}"
        raise CorpusError(of, expected=f"{count}, one for each row", found=len(fact.values))


def _cut_to(values: Values, lengths: Beside, source: FeatureFile) -> Values:
    """Features without padding: of frames `(n, frames, D)`, or of frames one after another `(sum of lengths, D)`."""
    try:
        valid = [int(n) if np.ndim(n) == 0 else _prefix(n, source) for n in lengths.values]
    except (TypeError, ValueError) as error:
        raise CorpusError(f"lengths of {source.name}", expected="whole numbers, or masks", found=error) from None
    if not valid or min(valid) < 0:
        raise CorpusError(f"lengths of {source.name}", expected="0 or more of each", found=min(valid, default="none"))
    if isinstance(values, np.ndarray) and values.ndim == 2:
        if sum(valid) != len(values):
            raise CorpusError(
                f"{source.name} has {len(values)} rows",
                expected=f"{sum(valid)} frames one after another, the sum of {lengths.source.path.name}",
            )
        return np.split(values, np.cumsum(valid)[:-1])
    _refuse_count(lengths, source, len(values))
    if max(valid) > max(len(v) for v in values):
        raise CorpusError(f"lengths of {source.name}", expected="no more than there are frames", found=max(valid))
    return [v[:n] for v, n in zip(values, valid, strict=True)]


def _agree(source: FeatureFile, what: str, beside: list[Any] | None, own: list[Any] | None) -> None:
    """Refuse what lies beside a file and is not what the file itself says."""
    if beside is None or own is None:
        return
    pairs = enumerate(zip(beside, own, strict=True))
    row = next((k for k, pair in pairs if "" not in pair and not same_label(*pair)), None)
    if row is not None:
        raise CorpusError(
            f"{what}s=FILE is not of {source.name}, which has {what}s of its own",
            expected=f"{own[row]!r} in row {row + 1}",
            found=repr(beside[row]),
            action=f"Leave {what}s= out, or take the column out of the file.",
        )


def _dialogues(
    source: FeatureFile,
    part: str,
    values: NDArray[Any],
    labels: Any,
    lengths: Any,
    facts: Mapping[str, Any],
    options: ImportOptions,
) -> Loaded:
    """`(dialogues, turns, D)` with the number of turns of each, or a mask, as one vector for each real turn."""
    if lengths is None:
        raise ConfigError(
            f"{source.name}: the number of turns of each dialogue is not known", expected="lengths=FILE, or a mask"
        )
    counts = np.asarray(lengths)
    real = np.arange(values.shape[1]) < counts[:, None] if counts.ndim == 1 else counts.astype(bool)
    if real.shape != values.shape[:2] or (counts.ndim == 1 and counts.max() > values.shape[1]):
        raise CorpusError(
            f"{source.name} has {values.shape[:2]} dialogues and turns",
            expected="lengths (dialogues,) or a mask (dialogues, turns)",
            found=f"{counts.shape}, up to {counts.max()}",
        )
    which, turn = np.nonzero(real)
    found: dict[str, list[Any]] = {"dialogue": [f"{part or 'dialogue'}-{k:04d}" for k in which.tolist()], "turn": turn.tolist()}
    own = {what: _turns_of(facts[what], real, what, source, options) for what in ("ids", "speakers") if what in facts}
    if "speakers" in own:
        found["speaker"] = [str(s) for s in own["speakers"]]
    ids = [str(i) for i in own["ids"]] if "ids" in own else None
    classes = None if labels is None else _turns_of(labels, real, "labels", source, options)
    return Loaded(values[real], ids, classes, found, source=source, part=part, dialogues=True)


def _turns_of(given: Any, real: NDArray[np.bool_], what: str, source: FeatureFile, options: ImportOptions) -> list[Any]:
    """`(dialogues, turns)`, or a list of lists of the real turns, as one list."""
    if isinstance(given, (list, tuple)) and [len(g) for g in given] == real.sum(1).tolist():
        return [cell for turns in given for cell in turns]
    values = np.asarray(given)
    if values.shape[:2] != real.shape:
        raise CorpusError(f"{what} of {source.name}", expected=f"{real.shape}, as the features", found=values.shape)
    return _single(values[real], 1, options) if what == "labels" else list(values[real].tolist())


def _single(given: Any, axes: int, options: ImportOptions) -> list[Any]:
    """Labels as they are; of classes, a vector of one 1 and otherwise 0 as the place of the 1."""
    values, vectors = np.asarray(given), options.rated is None
    several = values.ndim > axes and values.shape[-1] > 1
    if vectors and several and np.isin(values, (0, 1)).all() and (values.sum(-1) == 1).all():
        return list(values.argmax(-1).tolist())
    if values.size != len(values):
        raise CorpusError(
            "labels",
            expected="one for each row" + (", or a vector of one 1 and otherwise 0" if vectors else ", a rating"),
            found=values.shape,
        )
    return list(values.reshape(-1).tolist())


def _prefix(mask: Sequence[Any], source: FeatureFile) -> int:
    """Frames of a mask, which must come first."""
    real = np.asarray(mask, dtype=bool)
    count = int(real.sum())
    if not real[:count].all():
        raise CorpusError(f"lengths of {source.name}", expected="masks without gaps", found=real.astype(int).tolist())
    return count
