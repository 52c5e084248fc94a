"""Heads run again on their test rows: on the features of the corpus, and on its stored views."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from ser.errors import ConfigError, StoreError
from ser.evaluation.evaluated_model import EvaluatedModel, Key
from ser.evaluation.head_outputs import CorpusFeatures, Floats, Sides, over_heads
from ser.evaluation.predictions import EvaluatedPredictions
from ser.features.stored_layers import block_as_used
from ser.features.stores.names import named, refuse_by_label, view_stores
from ser.features.stores.store import FeatureStore
from ser.features.view_rows import rows_of
from ser.metadata.targets import DIMENSIONS
from ser.results.metrics.measures import RATED_AS, VALUE

SAME = 5e-3  # probabilities of the same head on another machine, in another precision of the matrix product
T = TypeVar("T")


def stored_views(predictions: EvaluatedPredictions, words: Sequence[str], option: str) -> dict[str, dict[str, Path]]:
    """Find the views of all audio features of the corpus: view -> name of the features -> file.

    Args:
        words: names of views, or lists of them; see `named`.
        option: that needs them.

    Raises:
        ConfigError: no audio features, or a view is missing; the message says how to make it.
    """
    blocks, dataset = predictions.features.data.blocks, predictions.dataset
    audio = [b.name for b in blocks if b.modality == "audio"]
    if not audio:
        raise ConfigError(f"{option} needs a head that takes audio", found=", ".join(b.name for b in blocks))
    there = {name: view_stores(predictions.space.features(dataset), name) for name in audio}
    views = named(words, list(there[audio[0]]), audio[0], dataset)
    for name in audio[1:]:
        named(views, list(there[name]), name, dataset)
    return {view: {name: there[name][view] for name in audio} for view in views}


def features_in_view(predictions: EvaluatedPredictions, files: dict[str, Path], use: str) -> CorpusFeatures:
    """The same utterances in a view; features other than audio are the original ones.

    Args:
        files: of the view, by name of the features.
        use: of the view, for the message that refuses it.

    Raises:
        ConfigError: the view was chosen by the true label.
        StoreError: it is of another encoder or of other audio.
    """
    data = predictions.features.data
    ids = list(data.frame["utterance_id"])
    blocks = []
    for block in data.blocks:
        if block.name in files:
            path = files[block.name]
            original = predictions.space.store(predictions.dataset, block.name)
            with FeatureStore(path) as view, FeatureStore(original) as store:
                refuse_by_label(path.stem, view.facts.identity, use)
                rows_of(view, store, data.frame)
            block = block_as_used(path, ids, block.name, data.stores[block.name], block.streamed)
        blocks.append(block)
    return CorpusFeatures(data.with_blocks(blocks), predictions.resources.device)


def outputs_on_test_rows(
    function: Callable[[Path, Sides], T], predictions: EvaluatedPredictions, versions: Sequence[CorpusFeatures]
) -> Iterator[tuple[Key, pd.DataFrame, T]]:
    """Yield the key of each head, its test rows, and what a function makes of it and these in some versions of the corpus."""
    model, units = predictions.model, []
    own = model.head_rows(predictions.test)
    for key, rows in own:
        where = versions[0].recorded_positions(rows)
        units.append((model.heads[key], [(corpus, where) for corpus in versions]))
    for k, found in over_heads(function, model, units, predictions.resources.engine):
        yield (*own[k], found)


def replace_probabilities(predictions: EvaluatedPredictions, new: Mapping[Key, Floats]) -> pd.DataFrame:
    """The predictions with other probabilities or values, `(n, K)` by head; those of dimensions beside classes are dropped."""
    model, test = predictions.model, predictions.test
    columns = [f"p_{name}" for name in model.classes]
    found: pd.DataFrame = test[[c for c in test.columns if not str(c).startswith((RATED_AS, VALUE))]].copy()
    for key, rows in model.head_rows(test):
        found.loc[rows.index, columns] = new[key].astype(np.float32)
    if "predicted" not in found:
        return found
    best = found[columns].to_numpy().argmax(axis=1)
    named: pd.DataFrame = found.assign(predicted=np.array(model.classes, dtype=object)[best])
    return named


def refuse_other_probabilities(new: Floats, rows: pd.DataFrame, model: EvaluatedModel, key: Key) -> None:
    """Refuse features under which a head no longer gives the probabilities of its record.

    Args:
        new: `(n, K)`.
        rows: the recorded predictions, n of them.

    Raises:
        StoreError: it gives others.
    """
    old = rows[[f"p_{name}" for name in model.classes]].to_numpy(dtype=np.float64)
    apart = float(np.abs(new - old).max())
    if apart > SAME * max(1.0, float(np.abs(old).max())):
        what = "values" if model.learns.kind == DIMENSIONS else "probabilities"
        raise StoreError(
            f"the head of run {key[0]}, fold {key[1]} no longer gives the {what} of its record",
            expected=f"differences up to {SAME}",
            found=f"{apart:.3g}",
            action=f"Bring the features of {model.name} back, or train it again.",
        )
