"""Features of a corpus in its stored views, for heads that were trained on the original audio."""

from collections.abc import Sequence
from pathlib import Path

from ser.errors import ConfigError
from ser.evaluation.head_outputs import CorpusFeatures
from ser.features.stored_layers import block_as_used
from ser.features.stores.store import FeatureStore
from ser.features.view_rows import rows_of
from ser.features.views import named, refuse_by_label, view_stores
from ser.workspace import Workspace


def stored_views(
    corpus: CorpusFeatures, dataset: str, space: Workspace, words: Sequence[str], option: str
) -> dict[str, dict[str, Path]]:
    """Find the views of all audio features: view -> name of the features -> file.

    Args:
        words: names of views, or lists of them; see `named`.
        option: that needs them.

    Raises:
        ConfigError: no audio features, or a view is missing; the message says how to make it.
    """
    blocks = corpus.data.blocks
    audio = [b.name for b in blocks if b.modality == "audio"]
    if not audio:
        raise ConfigError(f"{option} needs a head that takes audio", found=", ".join(b.name for b in blocks))
    there = {name: view_stores(space.features(dataset), name) for name in audio}
    views = named(words, list(there[audio[0]]), audio[0], dataset)
    for name in audio[1:]:
        named(views, list(there[name]), name, dataset)
    return {view: {name: there[name][view] for name in audio} for view in views}


def features_in_view(
    corpus: CorpusFeatures, files: dict[str, Path], dataset: str, space: Workspace, use: str
) -> CorpusFeatures:
    """The same utterances in a view; features other than audio are the original ones.

    Args:
        files: of the view, by name of the features.
        use: of the view, for the message that refuses it.

    Raises:
        ConfigError: the view was chosen by the true label.
        StoreError: it is of another encoder or of other audio.
    """
    data = corpus.data
    ids = list(data.frame["utterance_id"])
    blocks = []
    for block in data.blocks:
        if block.name in files:
            path = files[block.name]
            with FeatureStore(path) as view, FeatureStore(space.store(dataset, block.name)) as store:
                refuse_by_label(path.stem, view.facts.identity, use)
                rows_of(view, store, data.frame)
            block = block_as_used(path, ids, block.name, data.stores[block.name], block.streamed)
        blocks.append(block)
    return CorpusFeatures(data.with_blocks(blocks), corpus.device)
