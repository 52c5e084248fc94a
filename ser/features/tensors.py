"""Join a table with its feature stores: the tensors that a head is trained on.

Utterances are joined by id, never by position. Labels are applied here, so one extraction serves every label scheme.
"""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import ConfigError, StoreError
from ser.features.store import FeatureStore
from ser.metadata import texts
from ser.metadata.labels import Scheme, load_scheme
from ser.metadata.table import Table, load_table
from ser.registry import unknown
from ser.workspace import Workspace

UNKNOWN_SOURCE = bytes(32)  # of features that were imported, not extracted
MODALITIES = ("audio", "text", "visual")


@dataclass(frozen=True, eq=False)
class Block:
    """Features of n utterances from one store.

    Attributes:
        name: the store's name.
        modality: audio, text or visual.
        values: `(n, D)` pooled, `(n, L, D)` pooled per layer, or `(sum T, D)` framewise; float32, int32 for ids.
        offsets: framewise: utterance i is `values[offsets[i]:offsets[i + 1]]`; None when pooled.
        vocabulary: number of ids where the features are word pieces, else 0.
        assets: texts that belong to the features (a tokenizer).
    """

    name: str
    modality: str
    values: NDArray[Any]
    offsets: NDArray[np.int64] | None = None
    vocabulary: int = 0
    assets: dict[str, str] = field(default_factory=dict)

    @property
    def framewise(self) -> bool:
        return self.offsets is not None

    @property
    def dim(self) -> int:
        return int(self.values.shape[-1])

    @property
    def layers(self) -> int:
        """Stored layers of a pooled block; 1 where there is one vector."""
        return int(self.values.shape[1]) if not self.framewise and self.values.ndim == 3 else 1

    def rows(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """All vectors of some utterances, `(m, D)` or `(m, L, D)`; framewise: their frames one after another."""
        if self.offsets is None:
            return np.asarray(self.values[positions])
        return np.asarray(self.values[self.frame_rows(positions)])

    def frame_rows(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row numbers of the frames of some utterances, one utterance after another."""
        assert self.offsets is not None
        lengths = np.diff(self.offsets)[positions]
        first = np.repeat(self.offsets[positions] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
        return np.asarray(first + np.arange(int(lengths.sum())), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Tensors:
    """What a head is trained on.

    Attributes:
        dataset: its name.
        frame: the rows in use, in table order, `(n, columns)`.
        labels: class number of each row, `(n,)`.
        classes: class names in order.
        blocks: one a store, aligned with `frame`.
        table: the whole table.
        dropped: reason -> number of the table's utterances that are not in use.
        stores: store name -> path, sha256 and identity, for the record.
    """

    dataset: str
    frame: pd.DataFrame
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    blocks: tuple[Block, ...]
    table: Table
    dropped: dict[str, int]
    stores: dict[str, dict[str, Any]]

    @property
    def modalities(self) -> set[str]:
        return {b.modality for b in self.blocks}

    @property
    def text_sources(self) -> dict[str, str]:
        """Store of text -> where the text is from, see `ser.metadata.texts`."""
        names = [b.name for b in self.blocks if b.modality == "text"]
        return {name: texts.source_of(self.stores[name]["identity"]) for name in names}

    def with_blocks(self, blocks: Sequence[Block]) -> "Tensors":
        return replace(self, blocks=tuple(blocks))


def load_tensors(
    dataset: str,
    workspace: Workspace | str | Path = ".",
    *,
    scheme: str = "4",
    stores: Sequence[str] | None = None,
    modalities: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
) -> Tensors:
    """Tensors of a dataset under a label scheme.

    Args:
        dataset: a table of the workspace.
        scheme: see `ser.metadata.labels.load_scheme`.
        stores: names of stores, or short names of encoders; None takes the only store of each modality.
        modalities: take stores of these only; None takes all that are cached.
        classes: keep these classes of the scheme only, in this order (the label space shared with another corpus).

    Raises:
        ConfigError: several stores of one modality and none named, or no such store.
        StoreError: an utterance that should have features has none.
    """
    space = workspace if isinstance(workspace, Workspace) else Workspace(Path(workspace))
    table = load_table(dataset, space)
    opened = {n: FeatureStore(space.store(dataset, n)) for n in choose_stores(space, table, stores, modalities)}
    try:
        rule = load_scheme(scheme, table.frame)
        frame, names, dropped = _rows(table, rule, classes)
        frame, names = _with_features(table, frame, names, opened, space, dropped)
        present = tuple(c for c in (classes or rule.classes) if classes or (names == c).any())
        if len(present) < 2:
            raise ConfigError(
                f"{dataset}: scheme {scheme} leaves {len(present)} class ({', '.join(present) or 'none'})",
                expected="two or more",
                action=f"Its emotions are: {', '.join(sorted(set(table.frame['emotion']) - {''}))}.",
            )
        number = {c: k for k, c in enumerate(present)}
        labels = np.array([number[n] for n in names], dtype=np.int64)
        with ThreadPoolExecutor() as pool:
            for store in opened.values():
                pool.submit(getattr, store, "sha256")  # of the whole file: takes longer than reading it
            blocks = tuple(_block(n, s, list(frame["utterance_id"])) for n, s in opened.items())
        facts = {n: _store_facts(s, list(frame["utterance_id"])) for n, s in opened.items()}
    finally:
        for store in opened.values():
            store.close()
    return Tensors(dataset, frame, labels, present, blocks, table, dropped, facts)


def choose_dataset(workspace: Workspace) -> str:
    """The only dataset of a workspace that has features.

    Raises:
        ConfigError: there is none, or several: they are listed.
    """
    cached = [d for d in workspace.datasets() if workspace.stores(d)]
    if len(cached) == 1:
        return cached[0]
    raise ConfigError(
        f"{len(cached)} datasets have features in {workspace.root.resolve()}",
        expected="one, or --dataset NAME",
        found=", ".join(cached) or None,
        action=None if cached else "Extract some: ser extract --dataset NAME --root DIR",
    )


def choose_stores(
    workspace: Workspace, table: Table, stores: Sequence[str] | None, modalities: Sequence[str] | None
) -> list[str]:
    """Names of the stores to take: those named, or the only one of each modality.

    Stores of simulated text are taken by name only.

    Raises:
        ConfigError: none cached, an unknown name, or several of one modality and none named.
    """
    dataset = table.dataset
    cached = workspace.stores(dataset)
    if not cached:
        raise ConfigError(
            f"{dataset} has no features in {workspace.features(dataset)}",
            action=f"Extract some: ser extract --dataset {dataset} --audio egemaps",
        )
    if stores:
        return [_named(name, cached, dataset) for name in stores]
    by_modality: dict[str, list[str]] = {}
    simulated: list[str] = []
    for name in cached:
        with FeatureStore(workspace.store(dataset, name)) as store:
            if store.modality == "text" and texts.is_simulated(texts.source_of(store.facts.identity), table.frame):
                simulated.append(name)
            else:
                by_modality.setdefault(store.modality, []).append(name)
    wanted = list(modalities or [m for m in MODALITIES if m in by_modality])
    lacking = [m for m in wanted if m not in by_modality]
    if simulated and (not wanted or "text" in lacking):
        raise ConfigError(
            f"the only text of {dataset} is simulated, which leaks the label: {', '.join(simulated)}",
            action=f"To study that, name it: --text {simulated[0]}.",
        )
    if lacking:
        raise ConfigError(f"{dataset} has no {lacking[0]} features", found=f"stores {', '.join(cached)}")
    for modality in wanted:
        if len(by_modality[modality]) > 1:
            raise ConfigError(
                f"{dataset} has several stores of {modality} features: {', '.join(by_modality[modality])}",
                action=f"Choose with --{modality} NAME.",
            )
    return [by_modality[m][0] for m in wanted]


def _named(name: str, cached: list[str], dataset: str) -> str:
    if name in cached:
        return name
    short = [c for c in cached if c.split(".")[0] == name or (name.endswith("+asr") and c.startswith(f"{name}-"))]
    if len(short) == 1:
        return short[0]
    if short:
        raise ConfigError(f"{dataset} has several stores of {name}: {', '.join(short)}", action="Name one of them.")
    raise unknown(f"store of {dataset}:", name, cached)


def _rows(
    table: Table, rule: Scheme, classes: Sequence[str] | None
) -> tuple[pd.DataFrame, NDArray[Any], dict[str, int]]:
    names = rule.apply(table.frame)
    keep = names.isin(list(classes or rule.classes))
    left_out = table.frame.loc[~keep, "emotion"].replace("", "no emotion").value_counts()
    dropped = {f"not in scheme {rule.name}: {emotion}": int(n) for emotion, n in left_out.items()}
    frame = table.frame[keep].reset_index(drop=True)
    return frame, names[keep].to_numpy(dtype=object), dropped


def _with_features(
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
        imported = store.facts.identity.get("model") == "imported"  # then the table's audio and text say nothing of it
        told = texts.with_text(frame, texts.source_of(store.facts.identity), table.dataset, space)
        excused = (told["path" if store.modality == "audio" else "text"] == "").to_numpy() & (not imported)
        failures = space.features(table.dataset) / f"{name}.failures.csv"
        if failures.exists():
            failed = pd.read_csv(failures, dtype=str, keep_default_na=False)["utterance_id"]
            excused = excused | frame["utterance_id"].isin(set(failed)).to_numpy()
        gap = ~has & ~excused
        if gap.any():
            missing = frame["utterance_id"][gap].iloc[0]
            raise StoreError(
                f"{store.path} lacks {gap.sum()} of {len(frame)} utterances, first {missing}",
                expected="features of every utterance of the table",
                action=f"Go on with: ser store import --dataset {table.dataset} --features {store.modality}:{name}=FILE"
                if imported
                else f"Go on with: ser extract --dataset {table.dataset} --{store.modality} {texts.options_of(name)}",
            )
        if store.modality == "text":
            _refuse_stale(name, store, told[has], table.dataset)
        if not has.all():
            dropped[f"no {name} features"] = int((~has).sum())
        frame, names = frame[has].reset_index(drop=True), names[has]
    return frame, names


def _refuse_stale(name: str, store: FeatureStore, frame: pd.DataFrame, dataset: str) -> None:
    """Texts that are no longer those of the features. (Audio is compared by `ser extract`, where it lies.)"""
    sources = store.sources()
    for utterance, text in zip(frame["utterance_id"], frame["text"], strict=True):
        if sources[utterance] not in (hashlib.sha256(text.encode()).digest(), UNKNOWN_SOURCE):
            raise StoreError(
                f"the text of {utterance} is not the one that its features in {store.path} were made of",
                action=f"Bring the store up to date: ser extract --dataset {dataset} --text {texts.options_of(name)}",
            )


def _block(name: str, store: FeatureStore, ids: list[str]) -> Block:
    # Frames stored in float16 are widened here, not a batch at a time: what normalises and trains them computes in
    # float32. So they take twice the memory of the file, and no more.
    read = store.read(ids, np.int32 if store.vocabulary else np.float32)
    if isinstance(read, np.ndarray):
        return Block(name, store.modality, read)
    return Block(name, store.modality, read.values, read.offsets, store.vocabulary, dict(store.assets))


def _store_facts(store: FeatureStore, ids: list[str]) -> dict[str, Any]:
    identity = json.dumps(store.attrs["identity"], sort_keys=True)
    values = "".join(f"{i} {crc:08x}\n" for i, crc in zip(ids, store.index(ids).crc32, strict=True))
    return {
        "features_sha256": hashlib.sha256((identity + values).encode()).hexdigest(),  # of the values, not of the file
        "path": store.path.name,
        "sha256": store.sha256,
        "encoder": store.facts.encoder,
        "level": store.level,
        "identity": store.attrs["identity"],
    }
