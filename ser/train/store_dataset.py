"""A feature store as a `torch.utils.data.Dataset`, for training loops of one's own.

Rows, labels and folds are those of `ser fit`. Features are read when they are asked for, so the store may be larger than
memory; each worker process of a `DataLoader` opens the store for itself.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from ser.audit.split_data import SplitData, split_data
from ser.errors import ConfigError
from ser.features.stores.layout import FRAME
from ser.features.stores.store import FeatureStore
from ser.features.tensors import OpenDataset
from ser.metadata.folds.fold import FoldOptions
from ser.registry import unknown, words
from ser.workspace import Workspace, open_workspace

Item = tuple[Tensor, Tensor]


class StoreDataset(Dataset[Item]):
    """The utterances of one part of one fold, or all: pairs of features and class number.

    Features are `(D,)`, of several layers `(L, D)`, framewise `(T, D)`, in float32 and as they are stored; ids of word pieces
    are int64. Standardise them by the training part alone.

    Args:
        dataset: a table of the workspace with features.
        store: its store, by name or by encoder; None: the only one.
        scheme: the label scheme.
        part: `train`, `validation` or `test` of the fold; None: every row that the scheme keeps.
        fold: its name; None: the first.
        protocol: the rule that makes the folds; None: the first that the table allows.
        folds: their number, or all choices within the protocol.

    Attributes:
        ids: utterance ids.
        labels: class numbers, `(n,)` int64.
        classes: names of the classes.
        framewise: true where features are frames.
        stamps: what a result on these parts must say; none without a part.

    Raises:
        ConfigError: several stores, or an unknown part or fold.
        CorpusError, StoreError: as of `ser.load_tensors`.
    """

    def __init__(
        self,
        dataset: str,
        workspace: Workspace | str | Path = ".",
        *,
        store: str | None = None,
        scheme: str | int = "4",
        part: str | None = None,
        fold: str | int | None = None,
        protocol: str | None = None,
        folds: int | FoldOptions | None = None,
    ) -> None:
        space = open_workspace(workspace)
        with OpenDataset(dataset, space, words("store", store or ()) or None) as opened:
            if len(opened.stores) != 1:
                raise ConfigError(
                    f"{dataset} has several stores", expected="store=NAME, one of them", found=", ".join(opened.stores)
                )
            ((name, read),) = opened.stores.items()
            self.framewise, self._ids_of_words = read.level == FRAME, bool(read.vocabulary)
            data = opened.tensors(str(scheme), values=False)
        rows: NDArray[np.int64] = np.arange(len(data.frame))
        self._title, self.stamps = f"{dataset} {name}", list[str]()
        if part is not None:
            options = folds if isinstance(folds, FoldOptions) else FoldOptions(folds)
            split = split_data(data, protocol, options, "none", str(scheme))
            rows, title = _part(split, part, fold)
            self._title, self.stamps = f"{self._title}, {title}", split.stamps
        elif (fold, protocol, folds) != (None, None, None):
            raise ConfigError("a fold without a part", expected="part: train, validation or test")
        self.ids = list(data.frame["utterance_id"].iloc[rows])
        self.labels = torch.from_numpy(data.labels[rows])
        self.classes = data.classes
        self._path = space.store(dataset, name)
        self._opened: tuple[int, FeatureStore] | None = None

    def __repr__(self) -> str:
        return f"{self._title}: {len(self)} utterances; {', '.join(self.classes)}"

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Item:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        """Several at once, which `DataLoader` asks for: they are read together."""
        rows, places = np.unique(np.arange(len(self))[np.asarray(indices)], return_inverse=True)
        read: Any = self._store().read([self.ids[row] for row in rows], np.int64 if self._ids_of_words else np.float32)
        if self.framewise:
            each = [torch.from_numpy(v) for v in np.split(read.values, read.offsets[1:-1])]
        else:
            each = list(torch.from_numpy(read))
        return [(each[place], self.labels[rows[place]]) for place in places]

    def __getstate__(self) -> dict[str, Any]:
        """For worker processes: without the open file."""
        return {**self.__dict__, "_opened": None}

    def _store(self) -> FeatureStore:
        """The store, opened in this process: a process that was forked must not read by its parent's handle."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), FeatureStore(self._path)
        return self._opened[1]

    @staticmethod
    def collate(batch: Sequence[Item]) -> tuple[Tensor, Tensor, Tensor]:
        """Make a batch of utterances of different length, for `DataLoader(..., collate_fn=StoreDataset.collate)`.

        Returns:
            Frames `(batch, frames, D)`, zeros behind the shorter ones; the number of frames of each, `(batch,)`; class numbers
            `(batch,)`.
        """
        frames = [features for features, _ in batch]
        lengths = torch.tensor([len(features) for features in frames])
        return pad_sequence(frames, batch_first=True), lengths, torch.stack([label for _, label in batch])


def _part(split: SplitData, part: str, fold: str | int | None) -> tuple[NDArray[np.int64], str]:
    """Positions of one part of a fold, and their name."""
    names = [f.name for f in split.folds]
    if fold is not None and str(fold) not in names:
        raise unknown("fold", str(fold), names)
    chosen = split.folds[0 if fold is None else names.index(str(fold))]
    if part not in chosen.parts():
        raise unknown("part", part, list(chosen.parts()))
    return chosen.parts()[part], f"{part} of fold {chosen.name} of {split.protocol}"
