"""Export of a feature store for other programs; one block at a time is in memory."""

import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import StoreError
from ser.features.label_leaks import IDENTITY, refuse_bare
from ser.features.stores.layout import FRAME
from ser.features.stores.store import FeatureStore
from ser.optional import absent
from ser.workspace import writing

if TYPE_CHECKING:
    import pandas as pd


def export(store: FeatureStore, path: Path) -> Path:
    """Write the features of a store for other programs.

    Args:
        path: its ending says how: `.npz` (`ids`, `features`, `identity`; framewise also `offsets`), `.csv` or `.parquet` (a
            column `utterance_id`, then one a feature; of Parquet the metadata have `ser.identity`). The identity is JSON.

    Raises:
        StoreError: for a table, a store without one vector per utterance; for a CSV, features that give the label away.
        ConfigError: a package is missing.
    """
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


def _frames(store: FeatureStore) -> "Iterator[pd.DataFrame]":
    """A table of the features, some rows at a time."""
    import pandas as pd

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
