"""Export of a table, with the features of a store, to Hugging Face `datasets`. Needs the package."""

from pathlib import Path
from typing import Any

import numpy as np

from ser.features.export import identity_of
from ser.features.store_selection import open_stores
from ser.features.stores.layout import FRAME
from ser.metadata.parsing import optional
from ser.metadata.schema import TEXT
from ser.metadata.table import load_table
from ser.workspace import Workspace, open_workspace, writing_folder

FEATURES = "features"


def to_datasets(dataset: str, workspace: Workspace | str | Path = ".", *, store: str | None = None) -> Any:
    """Make a `datasets.Dataset` of a table: one row for each utterance, without columns that are empty.

    `emotion` is a `ClassLabel`; `path` is that of the audio file, for `cast_column("path", datasets.Audio())`.

    Args:
        dataset: a table of the workspace.
        store: of features, by name or by encoder, which become the column `features`: `(D,)`, `(L, D)`, or framewise
            `(T, D)`. Utterances without features are left out. The description has the identity of the features.

    Returns:
        The dataset, in memory; `save_to_disk` or `push_to_hub` keep it.

    Raises:
        CorpusError: there is no such table, or the package is missing.
        ConfigError, StoreError: there is no such store.
    """
    package: Any = optional("datasets")
    space = open_workspace(workspace)
    table = load_table(dataset, space)
    frame, kinds = table.frame, {}
    columns: dict[str, Any] = {}
    description = f"{dataset}, exported by ser. Licence: {table.facts.get('licence') or 'see the corpus'}."
    if store is not None:
        (named,) = open_stores(space, table, [store], None).values()
        with named as opened:
            frame = frame[frame["utterance_id"].isin(set(opened.ids))]
            values: Any = opened.read(list(frame["utterance_id"]), np.int32 if opened.vocabulary else np.float32)
            kind = package.Value(str(np.dtype(np.int32 if opened.vocabulary else np.float32)))
            for size in reversed(opened.shape):
                kind = package.Sequence(kind, length=size)
            framewise = opened.level == FRAME
            columns[FEATURES] = np.split(values.values, values.offsets[1:-1]) if framewise else list(values)
            kinds[FEATURES] = package.Sequence(kind) if framewise else kind
            description += f" Features: {identity_of(opened)}"
    for name in filter(table.has, table.columns):
        columns[name] = list(frame[name])
        kinds[name] = package.Value("string" if table.columns[name] == TEXT else "float64")
    if "path" in columns:
        columns["path"] = [str(table.root / path) if path else "" for path in columns["path"]]
    if "emotion" in columns:
        words = sorted(set(columns["emotion"]) - {""})
        numbers: dict[str, int | None] = {"": None, **{word: number for number, word in enumerate(words)}}
        columns["emotion"] = [numbers[word] for word in columns["emotion"]]
        kinds["emotion"] = package.ClassLabel(names=words)
    features = package.Features(kinds)
    citation = str(table.facts.get("citation") or "")
    about = package.DatasetInfo(description=description, citation=citation, features=features)
    return package.Dataset.from_dict(columns, info=about)


def save_datasets(made: Any, folder: Path) -> Path:
    """Write a `datasets.Dataset` into a folder, in place of what is there; whole or not at all."""
    optional("datasets").disable_progress_bars()
    with writing_folder(folder) as aside:
        made.save_to_disk(str(aside))
    return folder
