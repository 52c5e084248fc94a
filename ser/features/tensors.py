"""The tensors that a head is trained on: a table joined with its feature stores.

Utterances are joined by id, never by position. Labels are applied here, so one extraction serves every label scheme.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import ConfigError
from ser.features.blocks import Block, StoreFacts, read_block, store_facts
from ser.features.rows_with_features import rows_with_features
from ser.features.store_selection import open_stores
from ser.features.stores.names import refuse_by_label, view_stores
from ser.features.stores.store import FeatureStore
from ser.features.view_rows import ViewRows, load_view_rows
from ser.metadata.labels import Scheme, load_scheme, native, ways_with_labels
from ser.metadata.parsing import few
from ser.metadata.schema import Scale
from ser.metadata.table import Table, emotions_in_words, load_table
from ser.metadata.targets import EMOTION, ONE_CLASS, Target, parse_target
from ser.metadata.targets import plugin as target_plugin
from ser.metadata.targets.dimensions import on_scales
from ser.metadata.texts import text_sources
from ser.registry import words
from ser.workspace import Workspace, open_workspace

# Reasons for which labels are left out: no class of the scheme, or one that another corpus, or a saved head, does not have.
NOT_IN_SCHEME, NOT_IN_USE = "not in scheme", "of the scheme, but not among the classes in use"


@dataclass(frozen=True, eq=False, repr=False)
class Tensors:
    """Rows, labels and features that a head is trained on.

    Attributes:
        dataset: its name.
        frame: the rows in use, in table order, `(n, columns)`.
        labels: class number of each row, `(n,)`.
        classes: class names in order.
        blocks: one for each store, aligned with `frame`; views, where there are any, follow.
        table: the whole table.
        dropped: reason -> number of the table's utterances that are not in use.
        stores: store name -> path, sha256 and identity, for the record.
        views: augmented views that training rows are drawn among, in the blocks after the rows of `frame`; None: none.
        target: what heads learn. Where it is not one class, `classes` are the names of its outputs; of a class and dimensions
            those of the classes.
        values: of such a target, `(n, K)`; of a class and dimensions those of the dimensions; None for classes.
        untested: true for rows that may be trained on but not tested, `(n,)`; None where there are none.
        unit: of dimensions, mean and standard deviation, `(K,)` each, that `values` were standardised by; None before.
        stamps: sentences that a result with this target must carry.
        shared: corpus that it is used with -> number of its recordings that are in `frame` too (`ser.features.shared_audio`).
    """

    dataset: str
    frame: pd.DataFrame
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    blocks: tuple[Block, ...]
    table: Table
    dropped: dict[str, int]
    stores: dict[str, StoreFacts]
    views: ViewRows | None = None
    target: Target = ONE_CLASS
    values: NDArray[np.float64] | None = None
    untested: NDArray[np.bool_] | None = None
    unit: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    stamps: tuple[str, ...] = ()
    shared: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        """The content in one line."""
        blocks = ", ".join(f"{block.name} ({block.modality})" for block in self.blocks) or "no features"
        return f"{self.dataset}: {len(self.frame)} utterances; {', '.join(self.classes)}; {blocks}"

    @property
    def modalities(self) -> set[str]:
        return {b.modality for b in self.blocks}

    @property
    def text_sources(self) -> dict[str, str]:
        """Store of text -> the source of the text, see `ser.metadata.texts.text_sources`."""
        names = [b.name for b in self.blocks if b.modality == "text"]
        return {name: text_sources.source_of(self.stores[name]["identity"]) for name in names}

    @property
    def scales(self) -> dict[str, Scale]:
        """The scale of each dimension that heads learn, where the table states it."""
        return {name: self.table.dimensions[name] for name in self.target.names if name in self.table.dimensions}

    def with_blocks(self, blocks: Sequence[Block]) -> "Tensors":
        return replace(self, blocks=tuple(blocks))


def load_tensors(
    dataset: str,
    workspace: Workspace | str | Path = ".",
    *,
    scheme: str | int = "4",
    stores: str | Sequence[str] | None = None,
    modalities: str | Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    views: str | Sequence[str] | None = None,
    values: bool = True,
    target: str = EMOTION,
    scales: Mapping[str, Scale] | None = None,
    memory: float | None = None,
) -> Tensors:
    """Load the tensors of a dataset under a label scheme.

    Args:
        dataset: a table of the workspace.
        scheme: see `ser.metadata.labels.load_scheme`.
        stores: names of stores, or short names of encoders; None takes the only store of each modality.
        modalities: take stores of these only; None takes all that are cached.
        classes: keep these classes of the scheme only, in this order (the label space shared with another corpus).
        views: augmented views of the audio that training may draw among: names, `all`, or `tta`.
        values: False reads no features and hashes no file: blocks are `(n, 0)`, all else is the same.
        target: what heads learn, see `ser.metadata.targets.parse_target`.
        scales: those that dimensions are brought to, see `ser.metadata.targets.dimensions`; None leaves the corpus's own.
        memory: GiB that the features may take, see `too_large`; None: as much as they need.

    Raises:
        ConfigError: several stores of one modality and none named, or no such store.
        StoreError: an utterance that should have features has none.
    """
    with OpenDataset(dataset, workspace, words("stores", stores or ()), words("modalities", modalities or ())) as opened:
        drawn = words("views", views or ())
        opened.bring_to(scales or {})
        streamed = too_large([opened], memory, drawn)
        return opened.tensors(str(scheme), classes=classes, views=drawn, values=values, target=target, streamed=streamed)


def load_labels(
    dataset: str,
    workspace: Workspace | str | Path = ".",
    *,
    scheme: str | int = "4",
    classes: Sequence[str] | None = None,
    target: str = EMOTION,
    scales: Mapping[str, Scale] | None = None,
) -> Tensors:
    """Load the rows and labels of a dataset under a label scheme, without features: there are no blocks.

    Args:
        dataset, workspace, scheme, classes, target, scales: as of `load_tensors`.

    Raises:
        ConfigError: the scheme leaves fewer than two classes.
    """
    opened = OpenDataset(dataset, workspace, ())
    opened.bring_to(scales or {})
    return opened.tensors(str(scheme), classes=classes, target=target)


class OpenDataset:
    """A table and its feature stores, opened once, of which tensors are made. A context manager.

    Args:
        dataset, workspace, modalities: as of `load_tensors`.
        stores: likewise; () takes none.

    Attributes:
        table: the whole table.
        stores: by name.
        brought: stamps of the dimensions that were brought to another scale.
    """

    def __init__(
        self,
        dataset: str,
        workspace: Workspace | str | Path = ".",
        stores: Sequence[str] | None = None,
        modalities: Sequence[str] | None = None,
    ) -> None:
        self.space = open_workspace(workspace)
        self.table = load_table(dataset, self.space)
        self.brought: list[str] = []
        self.stores = {} if stores == () else open_stores(self.space, self.table, stores, modalities)

    def __enter__(self) -> "OpenDataset":
        return self

    def __exit__(self, *_: object) -> None:
        for store in self.stores.values():
            store.close()

    @property
    def identities(self) -> dict[str, dict[str, Any]]:
        """Store name -> what its features are."""
        return {name: store.facts.identity for name, store in self.stores.items()}

    def feature_bytes(self, views: Sequence[str] | None = None) -> int:
        """Bytes that the features of the stores take in memory, with all their views where some are drawn among."""
        found = 0
        for name, store in self.stores.items():
            files = [store]
            if views and store.modality == "audio":
                files += map(FeatureStore, view_stores(self.space.features(self.table.dataset), name).values())
            for file in files:
                found += 4 * int(file.offsets(file.ids)[-1]) * math.prod(file.shape)
                if file is not store:
                    file.close()
        return found

    def bring_to(self, scales: Mapping[str, Scale]) -> None:
        """Bring dimensions of the table to some scales."""
        self.table, self.brought = on_scales(self.table, scales)

    def classes(self, scheme: str, target: str = EMOTION) -> tuple[str, ...]:
        """The classes of a scheme that utterances with features have; of another target its outputs."""
        if target != EMOTION:
            return self.tensors(scheme, values=False, target=target).classes
        return self._labelled(scheme, None)[2]

    def tensors(
        self,
        scheme: str,
        *,
        classes: Sequence[str] | None = None,
        views: Sequence[str] | None = None,
        values: bool = True,
        target: str = EMOTION,
        streamed: bool = False,
    ) -> Tensors:
        """Tensors under a label scheme, see `load_tensors`; `streamed`: features stay on disk until they are needed."""
        asked = parse_target(target, list(self.table.ratings))
        more: dict[str, Any] = {}
        if asked.kind == EMOTION:
            frame, names, present, dropped = self._labelled(scheme, classes)
            number = {c: k for k, c in enumerate(present)}
            labels = np.array([number[n] for n in names], dtype=np.int64)
        else:
            frame, labels, present, dropped, more = self._with_target(asked, scheme, classes)
        ids = list(frame["utterance_id"])
        nothing = np.empty((len(frame), 0), dtype=np.float32)
        blocks = [Block(n, s.modality, nothing) for n, s in self.stores.items()]
        if values:
            with ThreadPoolExecutor() as pool:
                for store in self.stores.values():
                    pool.submit(getattr, store, "sha256")  # of the whole file: takes longer than reading it
                blocks = [read_block(n, s, ids, streamed) for n, s in self.stores.items()]
        facts = {n: store_facts(s, ids, hashed=values) for n, s in self.stores.items()}
        drawn = None
        if views:
            folder = self.space.features(self.table.dataset)
            blocks, drawn = load_view_rows(views, folder, blocks, self.stores, frame)
        name = self.table.dataset
        return Tensors(name, frame, labels, present, tuple(blocks), self.table, dropped, facts, drawn, **more)

    def _with_target(
        self, asked: Target, scheme: str, classes: Sequence[str] | None
    ) -> tuple[pd.DataFrame, NDArray[np.int64], tuple[str, ...], dict[str, int], dict[str, Any]]:
        """The rows with a target that is not one class, as `_labelled`, and what `Tensors` have of such a target."""
        self._refuse_by_label()
        rule = load_scheme(scheme, self.table.frame)
        rows = target_plugin(asked.kind).read(self.table, rule, asked.names, classes)
        frame = self.table.frame.iloc[np.flatnonzero(rows.keep)].reset_index(drop=True)
        dropped = dict(rows.dropped)
        order = np.arange(len(frame)).astype(object)
        frame, kept = rows_with_features(self.table, frame, order, self.stores, self.space, dropped)
        own = kept.astype(np.int64)
        untested = rows.untested[own]
        more = {
            "target": asked,
            "values": None if rows.values is None else rows.values[own],
            "untested": untested if untested.any() else None,
            "stamps": (*rows.stamps, *self.brought),
        }
        return frame, rows.labels[own], rows.outputs, dropped, more

    def _refuse_by_label(self) -> None:
        for name, store in self.stores.items():
            refuse_by_label(name, store.facts.identity, "the features of validation and test data")

    def _labelled(
        self, scheme: str, classes: Sequence[str] | None
    ) -> tuple[pd.DataFrame, NDArray[Any], tuple[str, ...], dict[str, int]]:
        """The rows in use, the class of each, the classes that there are, and the utterances that are not in use by reason."""
        self._refuse_by_label()
        rule = load_scheme(scheme, self.table.frame)
        frame, names, dropped = _rows(self.table, rule, classes)
        frame, names = rows_with_features(self.table, frame, names, self.stores, self.space, dropped)
        present = tuple(c for c in (classes or rule.classes) if classes or (names == c).any())
        if len(present) < 2:
            raise too_few_classes(self.table, scheme, present)
        return frame, names, present, dropped


def too_large(corpora: Sequence[OpenDataset], memory: float | None, views: Sequence[str] | None = None) -> bool:
    """True if the features of some corpora, as they are stored and once more standardised, take more than `memory` GiB."""
    return memory is not None and 2 * sum(corpus.feature_bytes(views) for corpus in corpora) > memory * 2**30


def too_few_classes(table: Table, scheme: str, present: Sequence[str]) -> ConfigError:
    """The error of a table with fewer than two classes, with what can be done: not all tables have emotions."""
    emotions, labels = sorted(set(table.frame["emotion"]) - {""}), native(table.frame).classes
    ratings = table.ratings
    action = f"Its emotions are: {', '.join(emotions)}. `--scheme native` takes the classes that there are."
    if emotions == ["other"] and len(labels) > 1:
        action = f"Its labels ({few(labels)}) are no known emotion words. {ways_with_labels(labels)}"
    elif len(emotions) == 1 and len(labels) == 1:
        action = f"All of its utterances are {labels[0]}: there is nothing to tell apart, by any scheme."
    if not emotions:
        action = "It has no emotions: give its table a column emotion or label, and make it again with ser metadata."
        if ratings:
            action = (
                f"It has ratings ({', '.join(ratings)}) and no emotions. Train on them: --target {','.join(ratings)}; or "
                "add a column label made of the ratings (low and high, for instance)."
            )
    classes = "class" if present else "classes"
    return ConfigError(
        f"{table.dataset}: scheme {scheme} leaves {len(present)} {classes} ({', '.join(present) or 'none'})",
        expected="two or more",
        action=action,
    )


def load_features(
    dataset: str, workspace: Workspace, stores: Sequence[str], keep: Callable[[pd.DataFrame], NDArray[np.bool_]] | None = None
) -> Tensors:
    """Load features of utterances whatever their emotion: there are no classes, and every class number is -1.

    Args:
        stores: names of stores.
        keep: chooses rows of the table; None takes all.

    Raises:
        ConfigError, StoreError: as `load_tensors`.
    """
    with OpenDataset(dataset, workspace, stores) as opened:
        table = opened.table
        frame = table.frame if keep is None else table.frame[keep(table.frame)].reset_index(drop=True)
        dropped: dict[str, int] = {}
        nothing = np.full(len(frame), "", dtype=object)
        frame, _ = rows_with_features(table, frame, nothing, opened.stores, workspace, dropped)
        ids = list(frame["utterance_id"])
        blocks = tuple(read_block(n, s, ids) for n, s in opened.stores.items())
        facts = {n: store_facts(s, ids) for n, s in opened.stores.items()}
    return Tensors(dataset, frame, np.full(len(frame), -1), (), blocks, table, dropped, facts)


def _rows(table: Table, rule: Scheme, classes: Sequence[str] | None) -> tuple[pd.DataFrame, NDArray[Any], dict[str, int]]:
    names = rule.apply(table.frame)
    keep = names.isin(list(classes or rule.classes))
    dropped = {
        f"{reason}: {emotion}": n
        for reason, rows in ((f"{NOT_IN_SCHEME} {rule.name}", names == ""), (NOT_IN_USE, ~keep & (names != "")))
        for emotion, n in emotions_in_words(table.frame[rows], "no emotion").items()
    }
    frame = table.frame[keep].reset_index(drop=True)
    return frame, names[keep].to_numpy(dtype=object), dropped
