"""Maintenance of feature stores: listing, describing, checking and merging them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ser.errors import ConfigError, StoreError
from ser.features.stores.file import StoreFile
from ser.features.stores.layout import Damaged, Malformed
from ser.features.stores.store import FeatureStore, store_files
from ser.features.stores.writer import StoreWriter
from ser.files import why
from ser.metadata.table import load_table
from ser.registry import unknown
from ser.workspace import Workspace


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


def info(path: Path, verbose: bool = False) -> str:
    """Describe the store at a path, with its identity and provenance where `verbose`.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        with FeatureStore(path) as store:
            return "\n".join([repr(store), *([details(store)] if verbose else [])])
    except OSError as error:
        raise StoreError(f"cannot read the feature store {path}", found=why(error)) from None


def details(store: FeatureStore) -> str:
    """Identity and provenance, as indented JSON."""
    held = {"identity": store.facts.identity, "provenance": store.attrs["provenance"], "assets": sorted(store.assets)}
    return json.dumps({**held, "sha256": store.sha256}, indent=2, ensure_ascii=False)


@dataclass(frozen=True)
class StoreCheck:
    """The outcome of a check of one store.

    Attributes:
        path: the store.
        count: utterances compared with their check sums.
        damaged: ids of those that do not match.
        not_finite: ids of those with values that are not finite.
        broken: files that cannot be read, with the reason.
        repaired: the damage was dropped.
    """

    path: Path
    count: int
    damaged: list[str]
    not_finite: list[str]
    broken: dict[Path, str]
    repaired: bool = False

    @property
    def sound(self) -> bool:
        return not self.damaged and not self.broken and not self.not_finite

    def line(self) -> str:
        """The outcome for people."""
        dataset, name = self.path.parent.name, self.path.name.removesuffix(".h5")
        if self.sound:
            return f"{dataset} {name}: {self.count} utterances, all as they were written"
        parts = []
        for items, kind, fault in (
            ([f"{file} ({fault})" for file, fault in self.broken.items()], "file", "damaged"),
            (self.damaged, "utterance", "damaged"),
            (self.not_finite, "utterance", "with values that are not finite"),
        ):
            if items:
                parts.append(f"{len(items)} {kind}{'s' * (len(items) > 1)} {fault}: {', '.join(items)}")
        again = f"ser extract --dataset {dataset} makes missing utterances again"
        how = f"dropped; {again}" if self.repaired else f"`ser store verify --repair` drops them, and {again}"
        return f"{dataset} {name}: {'; '.join(parts)}. {how}."


def verify(path: Path, repair: bool, say: Callable[[str], None]) -> StoreCheck:
    """Compare a store with its check sums, and look for values that are not finite.

    Args:
        repair: set damaged files aside, and drop damaged utterances.
        say: called with a line for each damaged file that is set aside.
    """
    # A link that leads nowhere is listed, and is not a file of the store.
    broken = {file: fault for file in store_files(path) or [path] if (fault := _fault(file))}
    damaged: list[str] = []
    not_finite: list[str] = []
    count = 0
    if not broken:
        with FeatureStore(path) as store:
            count = len(store)
            damaged, not_finite = store.faults()
    repair = repair and bool(broken or damaged or not_finite) and all(file.is_file() for file in broken)
    if repair:
        for file in broken:
            _set_aside_malformed(file, say)
        _drop_damage(path, say)
    return StoreCheck(path, count, damaged, not_finite, broken, repaired=repair)


def _fault(path: Path) -> str:
    """The reason why a file cannot be used; "" where it can."""
    try:
        StoreFile(path)
    except (Damaged, Malformed) as error:
        return str(error.found)
    except OSError as error:  # a folder or a named pipe in its place, or no permission
        return why(error)
    return ""


def _set_aside_malformed(path: Path, say: Callable[[str], None]) -> None:
    """Rename a file of which nothing can be kept, as it is not what `ser` writes."""
    try:
        StoreFile(path)
    except Malformed:
        aside = path.replace(path.with_name(f"{path.name}.damaged"))
        say(f"{path} is not a sound feature store: set aside as {aside.name}")
    except (StoreError, OSError):
        return  # damaged: its sound utterances are kept


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
