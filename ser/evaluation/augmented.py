"""Test-time augmentation: the mean of a head's probabilities over stored views of the same utterances."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ser.errors import ConfigError
from ser.evaluation.outputs import Floats, Rows, Source
from ser.evaluation.predicting import head_of, refuse_other, replaced
from ser.evaluation.subject import Key, Subject
from ser.features.blocks import stored_block
from ser.features.stores.store import FeatureStore
from ser.features.view_rows import rows_of
from ser.features.views import TTA_VIEWS, named, refuse_by_label, view_stores
from ser.workspace import Workspace


def averaged(subject: Subject, test: pd.DataFrame, sources: Sequence[Source]) -> pd.DataFrame:
    """Test predictions made anew: the mean over several versions of the features.

    Args:
        sources: of the same utterances in the same order; the first are the original features.

    Raises:
        StoreError: the original features no longer give the recorded probabilities.
    """
    columns = [f"p_{name}" for name in subject.classes]

    def mean(key: Key, rows: pd.DataFrame, where: Rows) -> Floats:
        head = head_of(subject.heads[key])
        each = [s.outputs(head, where).probabilities for s in sources]
        refuse_other(each[0], rows[columns].to_numpy(dtype=np.float64), subject, key)
        return np.asarray(np.mean(each, axis=0))

    return replaced(subject, test, sources[0], mean)


def view_sources(source: Source, dataset: str, space: Workspace) -> list[Source]:
    """The same utterances in each view of test-time augmentation; features other than audio are the original ones.

    Raises:
        ConfigError: a view is not there; it says which command makes it. Or one was chosen by the true label.
        StoreError: a view of another encoder, or of other audio.
    """
    data = source.data
    ids = list(data.frame["utterance_id"])
    audio = [b.name for b in data.blocks if b.modality == "audio"]
    if not audio:
        raise ConfigError("--tta needs a head that takes audio", found=", ".join(b.name for b in data.blocks))
    there = {name: view_stores(space.features(dataset), name) for name in audio}
    for name in audio:
        named(["tta"], list(there[name]), name, dataset)
    found = []
    for view in TTA_VIEWS:
        blocks = []
        for block in data.blocks:
            if block.name not in audio:
                blocks.append(block)
                continue
            path = there[block.name][view]
            _refuse_view(path, space.store(dataset, block.name), data.frame)
            blocks.append(stored_block(path, block.name, ids))
        found.append(Source(data.with_blocks(blocks), source.device))
    return found


def _refuse_view(path: Path, original: Path, frame: pd.DataFrame) -> None:
    """Refuse a view that tells the label, or that is not of the original's encoder and audio."""
    with FeatureStore(path) as view, FeatureStore(original) as store:
        refuse_by_label(path.stem, view.attrs["identity"], "averaged over in an evaluation")
        rows_of(view, store, frame)
