"""A dataset split into folds by a protocol, and what a record says of it.

`SplitTable` has the rows of a table, for an audit; `SplitData` has features too, for training and for verification.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ser.audit import sharing
from ser.errors import CorpusError
from ser.features.normalise import STAMPS
from ser.features.stores.names import split_name
from ser.features.tensors import NOT_IN_SCHEME, NOT_IN_USE, Tensors, too_few_classes
from ser.metadata import ledger
from ser.metadata.folds.fold import Fold, FoldOptions, Rows
from ser.metadata.folds.protocols import default_protocol, make_folds, why_random
from ser.metadata.labels import load_scheme
from ser.metadata.table import Table
from ser.metadata.targets import DIMENSIONS
from ser.metadata.texts import text_sources


@dataclass(frozen=True, eq=False)
class SplitTable:
    """The rows of a table that a label scheme keeps, split by a protocol.

    Attributes:
        table: the whole table.
        frame: the rows that the label scheme keeps, `(n, columns)`.
        labels: the class number of each of them, `(n,)`.
        classes: the names of the classes.
        protocol: its name.
        folds: positions in `frame`.
    """

    table: Table
    frame: pd.DataFrame
    labels: Rows
    classes: tuple[str, ...]
    protocol: str
    folds: list[Fold]

    @property
    def tested(self) -> int:
        """The number of test utterances, summed over folds."""
        return sum(len(fold.test) for fold in self.folds)


def split_table(table: Table, protocol: str | None, options: FoldOptions, scheme: str) -> SplitTable:
    """Split the rows that a label scheme keeps.

    Args:
        protocol: None takes the one that fits the table.

    Raises:
        ConfigError, CorpusError: the scheme or the protocol does not fit the table.
    """
    frame, labels, names = labelled_rows(table, scheme)
    name = protocol or default_protocol(table, options)
    folds = make_folds(name, table, frame, labels, options)
    sharing.refuse_overlap(table.dataset, name, folds)
    return SplitTable(table, frame, labels, names, name, folds)


def labelled_rows(table: Table, scheme: str) -> tuple[pd.DataFrame, Rows, tuple[str, ...]]:
    """Select the rows that a label scheme keeps; return them, their class numbers, and the classes that occur.

    Raises:
        ConfigError: the scheme keeps no row.
    """
    rule = load_scheme(scheme, table.frame)
    names = rule.apply(table.frame)
    keep = names.isin(rule.classes).to_numpy()
    if not keep.any():
        raise too_few_classes(table, scheme, ())
    present = tuple(c for c in rule.classes if (names == c).any())
    number = {c: k for k, c in enumerate(present)}
    labels = np.array([number[n] for n in names[keep]], dtype=np.int64)
    return table.frame[keep].reset_index(drop=True), labels, present


@dataclass(frozen=True, eq=False)
class SplitData:
    """Features and labels of a dataset, split by a protocol, and what the record says of them.

    Attributes:
        data: tensors before normalisation.
        protocol: its name.
        folds: positions in `data`.
        facts: the `data` of the record.
        stamps: sentences that the result must carry.
    """

    data: Tensors
    protocol: str
    folds: list[Fold]
    facts: dict[str, Any]
    stamps: list[str]


def split_data(
    data: Tensors, protocol: str | None, options: FoldOptions, normalize: str, scheme: str, untested: Collection[str] = ()
) -> SplitData:
    """Split the data by a protocol, and audit the folds.

    Args:
        protocol: None takes the one that fits the table.
        untested: ids that are taken out of the test parts, as there is no prediction of them.

    Raises:
        ConfigError, CorpusError: the protocol does not fit the data, or breaks its own promise; no test part is left.
    """
    named = protocol is not None
    protocol = protocol or default_protocol(data.table, options)
    reason = why_random(data.table) if protocol == "random" and not named else ""
    if data.untested is not None:
        untested = {*untested, *data.frame["utterance_id"][data.untested]}
    folds = _tested(make_folds(protocol, data.table, data.frame, data.labels, options), data, untested)
    verdict = sharing.judge_folds(data.dataset, protocol, data.frame, folds, data.table.copies)
    used = np.unique(np.concatenate([np.concatenate([f.train, f.validation, f.test]) for f in folds]))
    ids = data.frame["utterance_id"].to_numpy()
    facts = {
        **describe_data(data, scheme),
        "protocol": protocol,
        "folds_sha256": digest(f"{f.name} {part} {i}" for f in folds for part, rows in f.parts().items() for i in ids[rows]),
        "folds": [
            {"name": f.name, **{part: len(rows) for part, rows in f.parts().items()}, "validation_by": f.validation_by}
            for f in folds
        ],
        "fold_options": {**vars(options), "file": options.file.name if options.file else None},
        "normalize": normalize,
        "audit": verdict.facts(),
    }
    if untested:
        facts["untested"] = sorted(untested)
    if len(used) < len(data.frame):
        facts["dropped"] = {**data.dropped, f"in no part of protocol {protocol}": len(data.frame) - len(used)}
    stamps = _stamps(data, folds, verdict, normalize)
    strangers = load_scheme(scheme, data.table.frame).strangers(data.table.frame)
    if strangers:
        stamps.append(f"words of the scheme that no utterance has, and that are no known emotion: {', '.join(strangers)}")
    if reason:
        stamps.append(f"protocol random was chosen, which mixes speakers: {reason}")
    return SplitData(data, protocol, folds, facts, stamps)


def _tested(folds: list[Fold], data: Tensors, untested: Collection[str]) -> list[Fold]:
    """The folds without some utterances in their test parts."""
    if not untested:
        return folds
    keep = ~data.frame["utterance_id"].isin(list(untested)).to_numpy()
    found = [replace(fold, test=fold.test[keep[fold.test]]) for fold in folds]
    if data.untested is not None:
        judged = ~data.untested
        found = [replace(fold, validation=fold.validation[judged[fold.validation]]) for fold in found]
    empty = next((fold.name for fold in found if not len(fold.test)), None)
    if empty is not None:
        raise CorpusError(f"{data.dataset}: no prediction of the test part of fold {empty}", expected="one or more")
    return found


def _stamps(data: Tensors, folds: list[Fold], verdict: sharing.SharingVerdict, normalize: str) -> list[str]:
    stamps = sharing.sharing_stamps(verdict, data.table.facts, _spoken(data))
    stamps += text_sources.text_stamps(data.text_sources, data.table.frame, {n: s["identity"] for n, s in data.stores.items()})
    stamps += ledger.encoder_stamps(data.table.facts, data.stores)
    stamps += [f"{name} is an augmented view, in training and test" for name in data.stores if split_name(name)[1]]
    stamps += [data.views.stamp] if data.views is not None else []
    stamps += [*data.stamps, *([STAMPS[normalize]] if normalize in STAMPS else [])]
    stamps += _missing_classes(data, folds)
    missing = sum(n for reason, n in data.dropped.items() if reason.startswith("no ") and reason.endswith(" features"))
    return stamps + ([f"left out: {missing} utterances have no features"] if missing else [])


def _spoken(data: Tensors) -> set[str]:
    """The modalities of what people said: sentences that were made up say nothing of the corpus's own."""
    sources = data.text_sources.values()
    made_up = bool(sources) and all(text_sources.is_simulated(source, data.table.frame) for source in sources)
    return data.modalities - ({"text"} if made_up else set())


def _missing_classes(data: Tensors, folds: list[Fold]) -> list[str]:
    found: list[str] = []
    if data.target.kind == DIMENSIONS:
        return found
    every = set(range(len(data.classes)))
    for part in ("train", "test"):
        missing = set().union(*(every - set(np.unique(data.labels[f.parts()[part]]).tolist()) for f in folds))
        if missing:
            names = ", ".join(data.classes[c] for c in sorted(missing))
            found.append(f"classes missing from the {part} part of some fold: {names}")
    return found


def describe_data(data: Tensors, scheme: str) -> dict[str, Any]:
    """Describe a dataset for a record: the table, the stores, the scheme and utterances that were left out."""
    counts = np.bincount(data.labels, minlength=len(data.classes))
    if data.values is not None and data.target.kind != "votes":
        counts = (data.values > 0).sum(0) if data.target.kind == "labels" else np.full(len(data.classes), len(data.frame))
    frame = data.frame
    rows = zip(frame["utterance_id"], data.labels, frame["speaker"], frame["gender"], strict=True)
    return {
        "dataset": data.dataset,
        "corpus": data.table.facts.get("corpus"),
        "licence": data.table.facts.get("licence"),
        "table": {"path": f"metadata/{data.dataset}.csv", "sha256": data.table.sha256},
        "stores": data.stores,
        "rows_sha256": digest(f"{i}\t{data.classes[k]}\t{s}\t{g}" for i, k, s, g in rows),
        "scheme": scheme,
        "utterances": len(frame),
        "classes": {c: int(n) for c, n in zip(data.classes, counts, strict=True)},
        "dropped": data.dropped,
        **_target_facts(data),
        **({} if data.views is None else {"views": {"names": data.views.names, "stores": data.views.facts}}),
    }


def _target_facts(data: Tensors) -> dict[str, Any]:
    """The target, where it is not one class: its name, the hash of its values, and the scales of dimensions."""
    if data.values is None:
        return {}
    values = digest(" ".join(map(repr, row)) for row in data.values.tolist())
    return {"learns": data.target.text, "learns_sha256": values, **({"scales": data.scales} if data.scales else {})}


def label_space(parts: Sequence[Tensors]) -> dict[str, Any]:
    """Describe the classes that corpora share, and each corpus's part in them."""
    corpora = [in_label_space(data.dataset, len(data.frame), data.dropped) for data in parts]
    return {"classes": list(parts[0].classes), "corpora": corpora}


def in_label_space(dataset: str, utterances: int, dropped: Mapping[str, int]) -> dict[str, Any]:
    """Describe the part of a corpus in the shared classes, and the emotions that were left out with their utterances.

    Args:
        utterances: that are in use.
        dropped: those that are not, by reason, as of `describe_data`.
    """
    left_out: Counter[str] = Counter()
    for words, number in dropped.items():
        reason, _, emotion = words.partition(": ")
        left_out[emotion] += number if reason.startswith((NOT_IN_SCHEME, NOT_IN_USE)) else 0
    return {"dataset": dataset, "utterances": utterances, "left_out": dict(+left_out)}


def tested_only(stamps: Sequence[str]) -> list[str]:
    """Select the stamps that hold of a dataset that is only tested on: its own training part does not matter then."""
    apart = ("speakers shared", "speakers unknown", "validation shares speakers", "classes missing from the train part")
    return [s for s in stamps if not s.startswith(apart)]


def digest(lines: Iterable[str]) -> str:
    """The SHA-256 of some texts, in order."""
    return hashlib.sha256("\0".join(lines).encode()).hexdigest()
