"""Looking after feature stores: which there are, what they hold, whether they are sound, and writing them otherwise."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError, StoreError
from ser.features.layout import Damaged
from ser.features.store import FeatureStore, Ragged, store_files
from ser.features.writer import StoreWriter
from ser.metadata.table import load_table
from ser.registry import unknown
from ser.workspace import Workspace, writing


def choose(workspace: Workspace, datasets: Sequence[str] | None, stores: Sequence[str] | None) -> list[Path]:
    """Paths of the stores of some datasets, or of all, with some names, or all.

    Raises:
        ConfigError: there are none, or none of that name.
    """
    root = workspace.root / "features"
    there = {d.name: workspace.stores(d.name) for d in sorted(root.glob("*")) if d.is_dir()}
    there = {dataset: names for dataset, names in there.items() if names}
    if not there:
        raise ConfigError(f"there are no feature stores in {root}", action="Make one with: ser extract --dataset NAME")
    for dataset in datasets or ():
        if dataset not in there:
            raise unknown("dataset with feature stores:", dataset, sorted(there))
    chosen = {d: there[d] for d in (datasets or there)}
    for store in stores or ():
        if not any(store in names for names in chosen.values()):
            raise unknown("store", store, sorted({name for names in chosen.values() for name in names}))
    return [workspace.store(d, n) for d, names in chosen.items() for n in names if not stores or n in stores]


def describe(store: FeatureStore) -> str:
    """One line: what the store holds."""
    facts, files = store.facts, store.files
    size = sum(file.stat().st_size for file in files)
    index = store.index(store.ids)
    parts = [f"{len(store)} utterances", f"{facts.modality}, {facts.level} level"]
    parts.append(" x ".join(map(str, store.shape)) + f" {store.dtype}")
    if facts.sample_rate:
        parts.append(f"{facts.sample_rate} Hz, {index.n_samples.sum() / facts.sample_rate / 3600:.2f} h")
    if facts.level == "frame":
        parts.append(f"{index.n_frames.sum()} frames")
    shards = len(files) - store.path.exists()
    merged = "merged" if not shards else f"{shards} shards to merge: ser store merge"
    where = f"{store.path.parent.name} {store.path.name.removesuffix('.h5')}"
    return f"{where}: {', '.join(parts)}, {size / 1e6:.1f} MB, {merged}"


def details(store: FeatureStore) -> str:
    """Identity and provenance, as indented JSON."""
    held = {
        "identity": store.attrs["identity"],
        "provenance": store.attrs["provenance"],
        "assets": sorted(store.assets),
    }
    return json.dumps({**held, "sha256": store.sha256}, indent=2, ensure_ascii=False)


@dataclass(frozen=True)
class Finding:
    """What a check of one store found.

    Attributes:
        path: the store.
        count: utterances compared with their check sums.
        damaged: ids of those that do not match.
        broken: files that cannot be read.
        repaired: whether the damage was dropped.
    """

    path: Path
    count: int
    damaged: list[str]
    broken: list[Path]
    repaired: bool = False

    @property
    def sound(self) -> bool:
        return not self.damaged and not self.broken

    def line(self) -> str:
        """The finding for people."""
        dataset, name = self.path.parent.name, self.path.name.removesuffix(".h5")
        if self.sound:
            return f"{dataset} {name}: {self.count} utterances, all as they were written"
        listed = [*map(str, self.broken), *self.damaged]
        what = f"{len(self.broken)} files and {len(self.damaged)} utterances damaged: {', '.join(listed)}"
        again = f"ser extract --dataset {dataset} makes what is missing again"
        how = f"dropped; {again}" if self.repaired else f"`ser store verify --repair` drops them, and {again}"
        return f"{dataset} {name}: {what}. {how}."


def verify(path: Path, repair: bool, say: Callable[[str], None]) -> Finding:
    """Compare a store with its check sums.

    Args:
        repair: set damaged files aside, and drop damaged utterances of the merged file.
    """
    broken: list[Path] = []
    damaged: list[str] = []
    count = 0
    try:
        with FeatureStore(path) as store:
            count, damaged = len(store), store.verify()
    except Damaged as error:
        broken = [error.path]
    if repair and (broken or damaged):
        _drop_damage(path, say)
        return Finding(path, count, damaged, broken, repaired=True)
    return Finding(path, count, damaged, broken)


def _drop_damage(path: Path, say: Callable[[str], None]) -> None:
    try:
        with StoreWriter(path, None, say=say) as writer:
            writer.check()
            writer.merge(list(writer.stored))
    except StoreError:
        if store_files(path):  # otherwise nothing was sound: all is set aside, and nothing is left to write
            raise


def merge(path: Path, workspace: Workspace, say: Callable[[str], None]) -> str:
    """Merge a store's shards, in the order of its dataset's table if there is one; a line that says so."""
    name = f"{path.parent.name} {path.name.removesuffix('.h5')}"
    shards = [file for file in store_files(path) if file != path]
    if not shards:
        return f"{name}: merged already"
    with StoreWriter(path, None, say=say) as writer:
        lost = writer.check()
        stored = list(writer.stored)
        there = workspace.table(path.parent.name).is_file()
        writer.merge(load_table(path.parent.name, workspace).ids if there else stored)
        dropped = len(stored) - len(writer.stored)
    line = f"{name}: {len(shards)} shards merged, {len(writer.stored)} utterances"
    line += f", {dropped} no longer in the table dropped" if dropped else ""
    return line + (f", {len(lost)} damaged: extract them again" if lost else "")


def export(store: FeatureStore, path: Path) -> Path:
    """Write a store's features for other programs.

    Args:
        path: its ending says how: `.npz` (`ids`, `features`; framewise also `offsets`), `.csv` or `.parquet` (a column
            `utterance_id`, then one a feature).

    Raises:
        StoreError: not one vector an utterance, for a table.
        ConfigError: a package is missing.
    """
    read = store.read(store.ids)
    if path.suffix == ".npz":
        arrays: dict[str, Any] = {"ids": np.array(store.ids)}
        if isinstance(read, Ragged):
            arrays |= {"features": read.values, "offsets": read.offsets}
        else:
            arrays["features"] = read
        with writing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)
        return path
    if isinstance(read, Ragged) or read.ndim != 2:
        raise StoreError(f"{store.path} is not one vector an utterance", action="Export it with --format npz.")
    return _export_table(store.ids, read, path)


def _export_table(ids: list[str], values: NDArray[np.float32], path: Path) -> Path:
    import pandas as pd

    frame = pd.DataFrame(values, columns=[f"f{i}" for i in range(values.shape[1])])
    frame.insert(0, "utterance_id", ids)
    with writing(path) as temporary:
        if path.suffix == ".csv":
            frame.to_csv(temporary, index=False, lineterminator="\n")
            return path
        try:
            frame.to_parquet(temporary, index=False)
        except ImportError:
            raise ConfigError("parquet needs the package pyarrow", action="Install it: pip install pyarrow") from None
    return path
