"""Audio that two corpora of a workspace share: a head that was trained on it in one must not be tested on it in the other."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ser.features.stores.store import FeatureStore
from ser.features.tensors import UNKNOWN_SOURCE, Tensors
from ser.metadata.copies import in_common
from ser.metadata.table import load_table
from ser.workspace import Workspace


def in_corpus(data: Tensors, corpus: str, space: Workspace) -> NDArray[np.bool_]:
    """Find the utterances whose audio a corpus of the workspace has too, `(n,)`.

    It has where it is the same byte for byte, or where a part of the same file is in it that overlaps with the utterance's.
    Utterances without features of audio are not looked for.
    """
    found = np.zeros(len(data.frame), dtype=np.bool_)
    audio = [b.name for b in data.blocks if b.modality == "audio"]
    for name in set(audio) & set(space.stores(corpus)):
        with FeatureStore(space.store(corpus, name)) as store:
            known = set(store.sources().values()) - {UNKNOWN_SOURCE}
        with FeatureStore(space.store(data.dataset, name)) as store:
            sources = store.sources()
        found |= np.array([sources[i] in known for i in data.frame["utterance_id"]], dtype=np.bool_)
    if audio and corpus in space.datasets() and data.table.facts.get("root"):
        table = load_table(corpus, space)
        if table.facts.get("root"):
            found |= in_common(data.frame, data.table.root, table.frame, table.root)
    return found


def stamps(corpora: Sequence[Tensors], space: Workspace) -> list[str]:
    """The stamp of each two corpora that are used together and share recordings, which may be in training and in test."""
    found = []
    for one, other in combinations(corpora, 2):
        number = int(in_corpus(other, one.dataset, space).sum())
        if number:
            found.append(
                f"shared audio: {number} of {len(other.frame)} utterances of {other.dataset} are recordings of {one.dataset} "
                "too, so that test audio may be in training"
            )
    return found
