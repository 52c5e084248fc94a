"""Which rows of a table have features: those without are known to be impossible, or an error names them."""

import hashlib
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from ser.errors import StoreError
from ser.features.stores.failures import read_failures
from ser.features.stores.names import CLASSES, options_of_name
from ser.features.stores.store import FeatureStore
from ser.metadata.ledger import is_imported
from ser.metadata.table import Table
from ser.metadata.texts import text_sources
from ser.workspace import Workspace

UNKNOWN_SOURCE = bytes(32)  # of features that were imported, not extracted


def rows_with_features(
    table: Table,
    frame: pd.DataFrame,
    names: NDArray[Any],
    opened: dict[str, FeatureStore],
    space: Workspace,
    dropped: dict[str, int],
) -> tuple[pd.DataFrame, NDArray[Any]]:
    """Leave out utterances whose features are known to be impossible; any other gap is an error that names the id."""
    for name, store in opened.items():
        has = frame["utterance_id"].isin(set(store.ids)).to_numpy()
        imported = is_imported(store.facts.identity)  # then the table's audio and text say nothing of it
        texts = text_sources.with_text(frame, text_sources.source_of(store.facts.identity), table.dataset, space)
        excused = (texts["path" if store.modality == "audio" else "text"] == "").to_numpy() & (not imported)
        failures = space.features(table.dataset) / f"{name}.failures.csv"
        if failures.exists():
            excused = excused | frame["utterance_id"].isin(read_failures(failures)).to_numpy()
        gap = ~has & ~excused
        if gap.any():
            missing = frame["utterance_id"][gap].iloc[0]
            raise StoreError(
                f"{store.path} lacks {gap.sum()} of {len(frame)} utterances, first {missing}",
                expected="features of every utterance of the table",
                action=f"Go on with: {_command_of(name, store.modality, table.dataset, imported)}",
            )
        if store.modality == "text":
            _refuse_stale(name, store, texts[has], table.dataset)
        if not has.all():
            dropped[f"no {name} features"] = int((~has).sum())
        frame, names = frame[has].reset_index(drop=True), names[has]
    return frame, names


def _command_of(store: str, modality: str, dataset: str, imported: bool) -> str:
    """The command that completes a store."""
    if imported:
        return f"ser store import --dataset {dataset} --features {modality}:{store}=FILE"
    if store.endswith(CLASSES):
        return f"ser classify --dataset {dataset} --model {store.removesuffix(CLASSES)}"
    return f"ser extract --dataset {dataset} --{modality} {options_of_name(store)}"


def _refuse_stale(name: str, store: FeatureStore, frame: pd.DataFrame, dataset: str) -> None:
    """Refuse texts that are no longer those of the features. (Audio is compared by `ser extract`.)"""
    sources = store.sources()
    for utterance, text in zip(frame["utterance_id"], frame["text"], strict=True):
        if sources[utterance] not in (hashlib.sha256(text.encode()).digest(), UNKNOWN_SOURCE):
            raise StoreError(
                f"the text of {utterance} is not the one that its features in {store.path} were made of",
                action=f"Bring the store up to date: ser extract --dataset {dataset} --text {options_of_name(name)}",
            )
