"""Audio that two corpora of a workspace share: a head that was trained on it in one must not be tested on it in the other."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ser.features.rows_with_features import UNKNOWN_SOURCE
from ser.features.stores.store import FeatureStore
from ser.features.tensors import OpenDataset, Tensors
from ser.metadata.copies import in_common
from ser.metadata.table import Table, load_table
from ser.workspace import Workspace

Stores = Mapping[str, FeatureStore]


def in_corpus(data: Tensors, corpus: str, space: Workspace) -> NDArray[np.bool_]:
    """Find the utterances whose audio a corpus of the workspace has too, `(n,)`, see `in_other`."""
    names = {b.name for b in data.blocks if b.modality == "audio"} & set(space.stores(corpus))
    with ExitStack() as stack:
        own, other = (
            {name: stack.enter_context(FeatureStore(space.store(dataset, name))) for name in sorted(names)}
            for dataset in (data.dataset, corpus)
        )
        return in_other(data, own, load_table(corpus, space) if corpus in space.datasets() else None, other)


def in_other(data: Tensors, own: Stores, table: Table | None, stores: Stores) -> NDArray[np.bool_]:
    """Find the utterances whose audio another corpus has too, `(n,)`.

    It has where it is the same byte for byte, or where a part of the same file is in it that overlaps with the utterance's.
    Utterances without features of audio are not looked for.

    Args:
        own: the stores of the data.
        table, stores: of the other corpus; None where it has no table.
    """
    found = np.zeros(len(data.frame), dtype=np.bool_)
    audio = [b.name for b in data.blocks if b.modality == "audio"]
    for name in audio:
        if name in own and name in stores:
            known = set(stores[name].sources().values()) - {UNKNOWN_SOURCE}
            sources = own[name].sources() if known else {}
            found |= np.array([sources.get(i) in known for i in data.frame["utterance_id"]], dtype=np.bool_)
    if audio and table is not None and data.table.facts.get("root") and table.facts.get("root"):
        found |= in_common(data.frame, data.table.root, table.frame, table.root)
    return found


def with_shared(parts: Sequence[Tensors], corpora: Sequence[OpenDataset]) -> list[Tensors]:
    """The data of several corpora, which know how many recordings they share with those before them."""
    found = []
    for k, (data, own) in enumerate(zip(parts, corpora, strict=True)):
        counts = {
            other.table.dataset: int(in_other(data, own.stores, other.table, other.stores).sum()) for other in corpora[:k]
        }
        found.append(replace(data, shared={name: number for name, number in counts.items() if number}))
    return found


def stamps(corpora: Sequence[Tensors]) -> list[str]:
    """The stamp of each two corpora that are used together and share recordings, which may be in training and in test."""
    names = [data.dataset for data in corpora]
    return [
        f"shared audio: {number} of {len(data.frame)} utterances of {data.dataset} are recordings of {other} "
        "too, so that test audio may be in training"
        for data in corpora
        for other, number in data.shared.items()
        if other in names
    ]
