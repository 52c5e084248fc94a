"""What a record says of its data: rows, folds, audit and stamps, from a table, its stores and a protocol."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ser.audit import sharing
from ser.features.normalise import STAMPS
from ser.features.stores.names import split_name
from ser.features.tensors import Tensors
from ser.metadata import ledger
from ser.metadata.folds import protocols
from ser.metadata.folds.fold import Fold, FoldOptions
from ser.metadata.texts import text_sources


@dataclass(frozen=True, eq=False)
class Setup:
    """A dataset under a protocol, and what the record says of it.

    Attributes:
        data: tensors before normalisation.
        protocol: its name.
        folds: row positions.
        facts: the record's `data`.
        stamps: sentences that the result must carry.
    """

    data: Tensors
    protocol: str
    folds: list[Fold]
    facts: dict[str, Any]
    stamps: list[str]


def prepare(data: Tensors, protocol: str | None, options: FoldOptions, normalize: str, scheme: str) -> Setup:
    """Folds of the data under a protocol (None: the one that fits the table), audited."""
    protocol = protocol or protocols.default_protocol(data.table, options)
    folds = protocols.make_folds(protocol, data.table, data.frame, data.labels, options)
    report = sharing.verdict(data.dataset, protocol, data.frame, folds, data.table.copies)
    stamps = sharing.stamps(report, data.table.facts, _spoken(data))
    stamps += text_sources.stamps(
        data.text_sources, data.table.frame, {n: s["identity"] for n, s in data.stores.items()}
    )
    stamps += ledger.stamps(data.table.facts, data.stores)
    stamps += [f"{name} is an augmented view, in training and test" for name in data.stores if split_name(name)[1]]
    stamps += [data.views.stamp] if data.views is not None else []
    stamps += [STAMPS[normalize]] if normalize in STAMPS else []
    stamps += _empty_classes(data, folds)
    missing = sum(n for reason, n in data.dropped.items() if reason.startswith("no ") and reason.endswith(" features"))
    stamps += [f"left out: {missing} utterances have no features"] if missing else []
    used = np.unique(np.concatenate([np.concatenate([f.train, f.validation, f.test]) for f in folds]))
    facts = {
        **describe(data, scheme),
        "protocol": protocol,
        "folds_sha256": _folds_digest(data, folds),
        "folds": [
            {
                "name": f.name,
                "train": len(f.train),
                "validation": len(f.validation),
                "test": len(f.test),
                "validation_by": f.validation_by,
            }
            for f in folds
        ],
        "fold_options": {**vars(options), "file": options.file.name if options.file else None},
        "normalize": normalize,
        "audit": report,
    }
    if len(used) < len(data.frame):
        facts["dropped"] = {**data.dropped, f"in no part of protocol {protocol}": len(data.frame) - len(used)}
    return Setup(data, protocol, folds, facts, stamps)


def _spoken(data: Tensors) -> set[str]:
    """Modalities of what people said: sentences that were made up say nothing of the corpus's."""
    sources = data.text_sources.values()
    made_up = bool(sources) and all(text_sources.is_simulated(source, data.table.frame) for source in sources)
    return data.modalities - ({"text"} if made_up else set())


def _folds_digest(data: Tensors, folds: list[Fold]) -> str:
    ids = data.frame["utterance_id"].to_numpy()
    parts = ("train", "validation", "test")
    return digest(f"{f.name} {p} {i}" for f in folds for p in parts for i in ids[getattr(f, p)])


def describe(data: Tensors, scheme: str) -> dict[str, Any]:
    """The record's account of a dataset: table, stores, scheme and what was left out."""
    counts = np.bincount(data.labels, minlength=len(data.classes))
    return {
        "dataset": data.dataset,
        "corpus": data.table.facts.get("corpus"),
        "licence": data.table.facts.get("licence"),
        "table": {"path": f"metadata/{data.dataset}.csv", "sha256": data.table.sha256},
        "stores": data.stores,
        "rows_sha256": digest(
            f"{i}\t{data.classes[k]}\t{s}\t{g}"
            for i, k, s, g in zip(
                data.frame["utterance_id"], data.labels, data.frame["speaker"], data.frame["gender"], strict=True
            )
        ),
        "scheme": scheme,
        "utterances": len(data.frame),
        "classes": {c: int(n) for c, n in zip(data.classes, counts, strict=True)},
        "dropped": data.dropped,
        **({} if data.views is None else {"views": {"names": data.views.names, "stores": data.views.facts}}),
    }


def _empty_classes(data: Tensors, folds: list[Fold]) -> list[str]:
    found = []
    for part in ("train", "test"):
        lacking = {
            c
            for f in folds
            for c in set(range(len(data.classes))) - set(np.unique(data.labels[getattr(f, part)]).tolist())
        }
        if lacking:
            names = ", ".join(data.classes[c] for c in sorted(lacking))
            found.append(f"classes missing from the {part} part of some fold: {names}")
    return found


def tested_only(stamps: Sequence[str]) -> list[str]:
    """The stamps that hold where a dataset is only tested on: what its training part has or shares does not matter then."""
    apart = ("speakers shared", "speakers unknown", "classes missing from the train part")
    return [s for s in stamps if not s.startswith(apart)]


def digest(lines: Iterable[str]) -> str:
    """SHA-256 of some texts, in order."""
    return hashlib.sha256("\0".join(lines).encode()).hexdigest()


def label_space(data: Tensors) -> dict[str, Any]:
    """What of a corpus is in the shared classes, and which emotions were left out with how many utterances."""
    left_out = {
        reason.partition(": ")[2]: number
        for reason, number in data.dropped.items()
        if reason.startswith("not in scheme")
    }
    return {"dataset": data.dataset, "utterances": len(data.frame), "left_out": left_out}
