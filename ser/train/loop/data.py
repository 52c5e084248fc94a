"""The data of a stack of runs: features on a device, batches taken from them by index, rows, and the outcome of a run."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ser.errors import TrainingError
from ser.features.blocks import Block
from ser.features.stores.streamed import Streamed
from ser.features.view_rows import ViewRows
from ser.train.nn.layers import Feature, Features, Input

# Of a group in evaluation, padding counted: more leaves the cache, and a long utterance could fill the memory.
FRAMES = 8192
RowsOf = Callable[[str, Tensor], Tensor]


def _same(store: str, rows: Tensor) -> Tensor:
    return rows


def inputs_of(blocks: Sequence[Block]) -> list[Input]:
    """The facts of features that a head is built by."""
    return [Input(b.name, b.modality, b.dim, b.framewise, b.vocabulary, b.layers) for b in blocks]


class Resident:
    """The blocks of a dataset as tensors on a device; those that stay on disk are read as their utterances are needed.

    Args:
        blocks: features, aligned with the labels.
        device: `cpu`, `cuda`, ...
        concatenated: the head concatenates the vectors of all stores before anything else, so that a batch on a CPU has them
            side by side in one block, see `ser.train.nn.layers.concatenate`.
    """

    def __init__(self, blocks: Sequence[Block], device: str = "cpu", concatenated: bool = False) -> None:
        self.device = device
        self.inputs = inputs_of(blocks)
        with warnings.catch_warnings():
            # Workers get large arrays as read-only memory maps; nothing here writes into them.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            self.values = {b.name: self._held(b.values) for b in blocks}
            self.offsets = {b.name: torch.from_numpy(b.offsets).to(device) for b in blocks if b.offsets is not None}
        vectors = {n: v for n, v in self.values.items() if isinstance(v, Tensor) and v.ndim == 2}
        plain = len(vectors) == len(blocks) and all(v.dtype == torch.float32 for v in vectors.values()) and not self.offsets
        self.concatenated = vectors if concatenated and device == "cpu" and plain else {}

        # Padding is the first of all rows times 0: where it is negative, the zeros are too.
        self.padding = {
            name: torch.from_numpy(values[np.zeros(1, np.int64)]).to(device)
            for name, values in self.values.items()
            if isinstance(values, Streamed) and name in self.offsets and len(values)
        }

    def _held(self, values: NDArray[Any] | Streamed) -> Tensor | Streamed:
        if isinstance(values, Streamed):
            return values
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    @property
    def framewise(self) -> bool:
        return bool(self.offsets)

    def units(self, rows: Tensor) -> Tensor:
        """The units that batches of an epoch are made of: utterances `(runs, m)`; dialogues in `ser.train.loop.dialogues`."""
        return rows

    def flat(self, logits: Tensor, units: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the utterances of some units, `(runs, n, classes)`, and their rows, `(runs, n)`."""
        return logits, units

    def batch(self, units: Tensor, rows_of: RowsOf = _same) -> Features:
        """Features of the utterances `units (runs, batch)`.

        Args:
            rows_of: of a store and utterances, the rows of features that these are (augmented views, perhaps).
        """
        rows = {i.name: rows_of(i.name, units) for i in self.inputs}
        if not self.concatenated:
            return {name: self.feature(name, own) for name, own in rows.items()}
        sizes = [i.dim for i in self.inputs]
        block = torch.empty(*units.shape, sum(sizes))
        parts = dict(zip(rows, torch.split(block, sizes, dim=-1), strict=True))
        for name, part in parts.items():
            torch.index_select(self.concatenated[name], 0, rows[name].reshape(-1), out=part.view(-1, part.shape[-1]))
        return {name: Feature(part, None) for name, part in parts.items()}

    def batches(self, units: Sequence[Tensor], rows_of: RowsOf = _same) -> Iterator[tuple[Tensor, Features]]:
        """Some units, `(runs, batch)` each, and their features, one after another.

        What stays on disk is read by a thread while the batch before is in use.
        """
        if not any(isinstance(values, Streamed) for values in self.values.values()):
            yield from ((own, self.batch(own, rows_of)) for own in units)
            return
        with ThreadPoolExecutor(1) as pool:
            ahead = [pool.submit(self.batch, own, rows_of) for own in units[:1]]
            for number, own in enumerate(units, 1):
                features = ahead.pop().result()
                ahead += [pool.submit(self.batch, following, rows_of) for following in units[number : number + 1]]
                yield own, features

    def feature(self, name: str, rows: Tensor) -> Feature:
        """One store's features of the utterances `rows (runs, batch)`."""
        values, first = self.places(name, rows)
        if name not in self.offsets:
            return Feature(_rows(values, first), None)
        lengths = self.offsets[name][rows + 1] - self.offsets[name][rows]
        steps = torch.arange(int(lengths.max()), device=self.device)
        mask = steps < lengths[..., None]
        picked = _rows(values, torch.where(mask, first[..., None] + steps, 0))
        return Feature(picked * mask[..., None], mask)

    def places(self, name: str, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Values of one store that have the utterances `rows`, and the first row of each in them.

        All values where they are in memory, else those of these utterances alone; then frames follow a row of padding.
        """
        values = self.values[name]
        if isinstance(values, Tensor):
            return values, rows if name not in self.offsets else self.offsets[name][rows]
        wanted, which = torch.unique(rows.cpu(), return_inverse=True)
        found, begins = values.read(wanted.numpy())
        first = torch.from_numpy(begins)[which].to(self.device)
        there = torch.from_numpy(found).to(self.device)
        if name not in self.offsets:
            return there, first
        return torch.cat([self.padding[name], there]), first + 1

    def chunks(self, rows: NDArray[np.int64], size: int) -> list[Tensor]:
        """Rows in groups for evaluation: framewise ones sorted by length, so that little is padded, and by `FRAMES`."""
        order = torch.as_tensor(rows, dtype=torch.long, device=self.device)
        if not self.offsets or not len(order):
            return list(torch.split(order, size))
        offsets = next(iter(self.offsets.values()))
        lengths, by = (offsets[order + 1] - offsets[order]).sort(stable=True)
        groups, first = [], 0
        for k, length in enumerate(lengths.tolist()):
            if k > first and (k - first >= size or (k - first + 1) * length > FRAMES):
                groups.append(order[by[first:k]])
                first = k
        return [*groups, order[by[first:]]]


@dataclass(frozen=True, eq=False)
class Data:
    """The data that one stack is trained on.

    Attributes:
        resident: the features.
        labels: class number of every row, `(n,)`.
        classes: the number of classes.
        train: training rows, `(m,)` for all runs, or `(runs, m)` for runs with training sets of their own.
        validation: validation rows; may be empty when the last epoch is taken.
        names: of the classes, for notes; () where they have none.
        vad: valence, arousal and dominance of every row on the corpus's scale, `(n, 3)`, NaN where unknown; None where no
            loss reads them.
        unlabelled: rows of a target corpus, `(m,)`, whose features may be used, never their labels; None where there is none.
        oracle: validation rows of the target, whose labels the selection `oracle` alone may read.
        views: augmented views that training rows are drawn among; None where there are none.
        values: the target of every row where it is not one class, `(n, classes)`, see `ser.train.losses._base.Batch`;
            of a class and dimensions that of the dimensions.
        dimensions: the number of values that a head gives after its classes; 0 where they are all there is, or none.
    """

    resident: Resident
    labels: NDArray[np.int64]
    classes: int
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    names: tuple[str, ...] = ()
    vad: NDArray[np.float64] | None = None
    unlabelled: NDArray[np.int64] | None = None
    oracle: NDArray[np.int64] | None = None
    views: ViewRows | None = None
    values: NDArray[np.float64] | None = None
    dimensions: int = 0

    @property
    def outputs(self) -> int:
        """The number of a head's outputs."""
        return self.classes + self.dimensions


@dataclass(eq=False)
class Trained:
    """One run's outcome.

    Attributes:
        weights: of the chosen epoch, `(n,)`; of a snapshot ensemble those of all its snapshots, one after another.
        epochs, best_epoch: epochs trained, and the chosen one (1-based).
        curves: one value for each epoch: `loss` (training), `validation_loss` (plain cross-entropy, whatever the loss of
            training), `validation_UA`, `validation_WA`; with adaptation `adaptation_loss` (before lambda, and no part of
            `loss`); with a selection for a target corpus `selection_NAME`, see `ser.train.loop.target_selection`.
        notes: for the reader of the record, such as a collapse.
        seconds: of the stack, divided by its runs.
        error: the reason for a run without a result: it diverged, and its weights are not numbers. None for a run that has one.
        validated: the validation rows, and their logits `(rows, outputs)` under the weights; None where they are not known.
    """

    weights: Tensor
    epochs: int = 0
    best_epoch: int = 0
    curves: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: TrainingError | None = None
    validated: tuple[Tensor, Tensor] | None = None


class Account(TypedDict, total=False):
    """A learner's account of the training of a run: fields of `ser.results.records.model.RunResult`."""

    epochs: int
    best_epoch: int | None
    selection: str
    probabilities: str
    curves: dict[str, list[float | None]]
    layer_weights: dict[str, list[float]]


def best_epochs(parts: list[list[Trained]]) -> list[list[int]]:
    """The chosen epoch of each part and run."""
    return [[run.best_epoch for run in part] for part in parts]


def _rows(values: Tensor, rows: Tensor) -> Tensor:
    """`values[rows]`, three times as fast for whole rows."""
    return values.index_select(0, rows.reshape(-1)).view(*rows.shape, *values.shape[1:])


def not_finite(what: str, epoch: int | None = None) -> TrainingError:
    """The error of a run with a part (`the loss is`) that is not finite."""
    when = "" if epoch is None else f" in epoch {epoch}"
    return TrainingError(f"{what} not finite{when}", action="Lower --lr, or check the features: ser store verify.")
