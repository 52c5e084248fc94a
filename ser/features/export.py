"""Export of a feature store for other programs, and of a table with its features to Hugging Face `datasets`.

Of a store, one block at a time is in memory.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import ConfigError, StoreError
from ser.features.label_leaks import IDENTITY, refuse_bare
from ser.features.store_selection import open_stores
from ser.features.stores.layout import FRAME
from ser.features.stores.store import FeatureStore
from ser.files import require_folder, require_new
from ser.metadata.parsing import few, optional
from ser.metadata.schema import TEXT
from ser.metadata.table import load_table
from ser.optional import absent
from ser.workspace import Workspace, open_workspace, writing, writing_folder

TABLES = (".npz", ".csv", ".parquet")  # endings of files with the features of one store
FEATURES = "features"  # the column of a `datasets.Dataset`
_OF_DATASET = ("dataset_info.json", "state.json")  # what its folder has beside `.arrow` files


def export(store: FeatureStore, path: Path, *, overwrite: bool = False) -> Path:
    """Write the features of a store for other programs.

    Args:
        path: its ending says how: `.npz` (`ids`, `features`, `identity`; framewise also `offsets`), `.csv` or `.parquet` (a
            column `utterance_id`, then one a feature; of Parquet the metadata have `ser.identity`). The identity is JSON.
        overwrite: the file may be there, and is written over.

    Raises:
        StoreError: for a table, a store without one vector per utterance; for a CSV, features that give the label away.
        ConfigError: a package is missing, or the file is there.
    """
    require_new(path, overwrite)
    if path.suffix != ".npz" and (store.level == FRAME or len(store.shape) != 1):
        raise StoreError(f"{store.path} does not have one vector per utterance", action="Export it with --format npz.")
    if path.suffix == ".csv":
        refuse_bare(store.path, store.facts.identity)
    with writing(path) as temporary:
        {".npz": _write_npz, ".csv": _write_csv, ".parquet": _write_parquet}[path.suffix](store, temporary)
    return path


def _write_npz(store: FeatureStore, path: Path) -> None:
    offsets = store.offsets(store.ids)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        _write_array(archive, "ids", [np.array(store.ids)])
        values = (block.values for block in store.blocks(store.ids))
        _write_array(archive, "features", values, (int(offsets[-1]), *store.shape))
        if store.level == FRAME:
            _write_array(archive, "offsets", [offsets])
        _write_array(archive, IDENTITY, [np.array(identity_of(store))])


def identity_of(store: FeatureStore) -> str:
    return json.dumps({"encoder": store.facts.encoder, **store.facts.identity}, ensure_ascii=False, sort_keys=True)


def _write_array(
    archive: zipfile.ZipFile, name: str, blocks: Iterable[NDArray[Any]], shape: tuple[int, ...] | None = None
) -> None:
    """Add an array of which a part at a time is in memory, as `np.savez` would add it whole."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        for number, block in enumerate(blocks):
            if number == 0:
                descr = np.lib.format.dtype_to_descr(block.dtype)
                header = {"descr": descr, "fortran_order": False, "shape": block.shape if shape is None else shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(block).view(np.uint8).data)


def _frames(store: FeatureStore) -> Iterator[pd.DataFrame]:
    """A table of the features, some rows at a time."""
    begin = 0
    for block in store.blocks(store.ids):
        frame = pd.DataFrame(block.values, columns=[f"f{i}" for i in range(store.dim)])
        frame.insert(0, "utterance_id", store.ids[begin : begin + len(frame)])
        begin += len(frame)
        yield frame


def _write_csv(store: FeatureStore, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, frame in enumerate(_frames(store)):
            frame.to_csv(file, index=False, header=number == 0, lineterminator="\n")


def _write_parquet(store: FeatureStore, path: Path) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise absent("pyarrow", by="parquet") from None
    writer = None
    try:
        for frame in _frames(store):
            table = pa.Table.from_pandas(frame, preserve_index=False)
            carried = {**(table.schema.metadata or {}), f"ser.{IDENTITY}": identity_of(store)}
            table = table.replace_schema_metadata(carried)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


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


def require_new_dataset(folder: Path, overwrite: bool) -> None:
    """Refuse a folder for a `datasets.Dataset` where something is that would be lost.

    Args:
        overwrite: there may be such a folder, and nothing else in it, that is written over.

    Raises:
        ConfigError: there is one; or something else.
    """
    require_folder(folder, made=True)
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    others = [name for name in there if name not in _OF_DATASET and not name.endswith(".arrow")]
    if others:
        raise ConfigError(
            f"{folder} holds more than a dataset, which would be lost",
            expected="a folder that is not there yet",
            found=few(others, 5),
            action="Move it away, or name another place: --output DIR.",
        )
    if there and not overwrite:
        raise ConfigError(f"{folder} is there already", action="Name another place, or write over it: --overwrite.")


def save_datasets(made: Any, folder: Path, *, overwrite: bool = False) -> Path:
    """Write a `datasets.Dataset` into a folder, whole or not at all.

    Raises:
        ConfigError: as of `require_new_dataset`.
    """
    require_new_dataset(folder, overwrite)
    optional("datasets").disable_progress_bars()
    with writing_folder(folder) as aside:
        made.save_to_disk(str(aside))
    return folder
