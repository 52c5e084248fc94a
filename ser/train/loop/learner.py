"""A head on a dataset, whole or in parts: every experiment trains one and takes its probabilities.

A late fusion trains its part on each modality by itself; any other head is one part that sees all modalities.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, stack

from ser.features.blocks import Block
from ser.features.tensors import Tensors
from ser.metadata.targets import MIXED
from ser.train.heads._base import groups_of, part_of, plugin
from ser.train.loop.config import Config
from ser.train.loop.data import Account, Data, Resident, Trained, inputs_of
from ser.train.loop.dialogues import resident_of
from ser.train.loop.handover import Handover
from ser.train.loop.pooled_frames import pooled_blocks, read_inputs
from ser.train.loop.prediction import embed, layer_weights, outputs_of, predict, rescaled
from ser.train.loop.trainer import Judge, train
from ser.train.loop.validation import account
from ser.train.nn import streams

Rows = NDArray[np.int64]


@dataclass(eq=False)
class Learner:
    """One configuration over one dataset's (normalised) tensors.

    Attributes:
        data: the tensors.
        config: of the training.
        device: of the training.
        judge: decides which runs leave early, see `ser.train.loop.trainer.train`.
        handover: where a run is taken over from another worker or left to it, see there; of a head of one part.
    """

    data: Tensors
    config: Config
    device: str = "cpu"
    judge: Judge | None = None
    handover: Handover | None = None

    def __post_init__(self) -> None:
        self.part = replace(self.config, head=part_of(self.config.head))
        whole = self.part.head == self.config.head
        self.vad = self.data.frame[["valence", "arousal", "dominance"]].to_numpy(dtype=np.float64)
        self.residents = [
            ("all" if whole else blocks[0].name, self._resident(blocks))
            for blocks in groups_of(self.config.head, self.data.blocks)
        ]

    def _resident(self, blocks: Sequence[Block]) -> Resident:
        """Some features on the device, with frames pooled that a head pools before all else."""
        return resident_of(self.data, pooled_blocks(self.config, blocks, self.device), self.config, self.device)

    def under(self, config: Config) -> "Learner":
        """The same features in the same place, under another configuration of the same head."""
        inputs = inputs_of(self.data.blocks)
        if read_inputs(config, inputs) != read_inputs(self.config, inputs):
            return replace(self, config=config)
        other = copy(self)
        other.config, other.part = config, replace(config, head=self.part.head)
        return other

    def train(
        self,
        rows: Rows,
        validation: Rows,
        seeds: Sequence[int],
        start: list[Tensor] | None = None,
        *,
        unlabelled: Rows | None = None,
        oracle: Rows | None = None,
    ) -> list[list[Trained]]:
        """Train one run per seed; returns a list of parts, each a list of runs. A run that diverges has its `error`.

        Args:
            rows: training rows, `(m,)` or `(runs, m)`.
            validation: validation rows.
            start: weights of each part, `(runs, n)`, in place of random ones.
            unlabelled, oracle: rows of a target corpus, see `ser.train.loop.data.Data`.
        """
        return [
            train(
                self._data(resident, rows, validation, unlabelled, oracle),
                self.part,
                self._seeds(name, seeds),
                None if start is None else start[k],
                self.judge,
                self.handover,
            )
            for k, (name, resident) in enumerate(self.residents)
        ]

    def retrain(
        self,
        rows: Rows,
        seeds: Sequence[int],
        epochs: int | list[list[int]],
        start: list[Tensor] | None = None,
        *,
        unlabelled: Rows | None = None,
    ) -> list[list[Trained]]:
        """Train each run on other rows for a given number of epochs, such as were best before; the schedule ends with them.

        Runs of equally many epochs are trained together.

        Args:
            rows: training rows, `(m,)` or `(runs, m)`.
            epochs: of each part and run, as `best_epochs` finds them; or one number for all.
            start, unlabelled: as `train` had them.
        """
        found = []
        each = [[epochs] * len(seeds) for _ in self.residents] if isinstance(epochs, int) else epochs
        for k, ((name, resident), runs) in enumerate(zip(self.residents, each, strict=True)):
            own = self._seeds(name, seeds)
            again: dict[int, Trained] = {}
            for number in sorted(set(runs)):
                slots = [slot for slot, own_number in enumerate(runs) if own_number == number]
                config = replace(self.part, epochs=number, selection="last", patience=0)
                begin = None if start is None else start[k][slots]
                which = rows if rows.ndim == 1 else rows[slots]
                data = self._data(resident, which, np.arange(0), unlabelled)
                again |= zip(slots, train(data, config, [own[slot] for slot in slots], begin), strict=True)
            found.append([again[slot] for slot in range(len(runs))])
        return found

    def weights(self, parts: list[list[Trained]]) -> list[Tensor]:
        """The chosen weights of each part, `(runs, n)`."""
        return [stack([t.weights for t in runs]) for runs in parts]

    def _seeds(self, name: str, seeds: Sequence[int]) -> list[int]:
        """Seeds of a part: those of the runs where there is one part, else of its own."""
        return list(seeds) if len(self.residents) == 1 else [streams.derive(s, name) for s in seeds]

    def predict(self, weights: list[Tensor], rows: Rows) -> NDArray[np.float64]:
        """Probabilities `(runs, len(rows), classes)` under the weights of each part; of huge weights some are not finite.

        Of dimensions, values on the scale of the ratings; of a class and dimensions they follow the probabilities.
        """
        nothing = rows[:0]
        parts = [
            predict(self._data(resident, nothing, nothing), self.part, weights[k], rows)
            for k, (_, resident) in enumerate(self.residents)
        ]
        found = parts[0] if len(parts) == 1 else np.asarray(plugin(self.config.head).combine(parts))
        return found if self.data.unit is None else rescaled(found, *self.data.unit)

    def validated(self, parts: list[list[Trained]], rows: Rows) -> NDArray[np.float64]:
        """`predict` under the chosen weights; not computed again for the rows by which the only part's were chosen."""
        known = [trained.validated for trained in parts[0]]
        logits = [own[1] for own in known if own is not None and np.array_equal(own[0].numpy(), rows)]
        if len(parts) > 1 or len(logits) < len(known):
            return self.predict(self.weights(parts), rows)
        found = outputs_of(stack(logits).cpu().double(), self.config.target, len(self.data.classes)).numpy()
        return found if self.data.unit is None else rescaled(found, *self.data.unit)

    def embed(self, weights: list[Tensor], rows: Rows) -> NDArray[np.float64]:
        """Embeddings by the head's `embed`, those of several parts one after another, `(runs, len(rows), E)`."""
        nothing = rows[:0]
        parts = [
            embed(self._data(resident, nothing, nothing), self.part, weights[k], rows)
            for k, (_, resident) in enumerate(self.residents)
        ]
        return np.concatenate(parts, axis=-1)

    def account(self, trained: Trained, refitted: bool) -> Account:
        """The training in a run's record."""
        chosen = account(self.config.selection)
        if self.config.snapshots > 1:
            chosen = f"mean of {self.config.snapshots} snapshots"
        again = ", then trained again on training and validation for as many epochs" if refitted else ""
        return {
            "epochs": trained.epochs,
            "best_epoch": trained.best_epoch,
            "selection": chosen + again,
            "curves": {name: [*values] for name, values in trained.curves.items()},
        }

    def layer_weights(self, parts: Sequence[Trained]) -> dict[str, list[float]]:
        """The learned weights of stored layers, by store; {} where there are none.

        Args:
            parts: the run's outcome of each part; of a snapshot ensemble the last snapshot counts.
        """
        found: dict[str, list[float]] = {}
        nothing = np.arange(0)
        for (_, resident), trained in zip(self.residents, parts, strict=True):
            if any(i.layers > 1 for i in resident.inputs):
                found |= layer_weights(self._data(resident, nothing, nothing), self.part, trained.weights)
        return found

    def _data(
        self, resident: Resident, rows: Rows, validation: Rows, unlabelled: Rows | None = None, oracle: Rows | None = None
    ) -> Data:
        return Data(
            resident,
            self.data.labels,
            len(self.data.classes),
            rows,
            validation,
            self.data.classes,
            self.vad,
            unlabelled,
            oracle,
            self.data.views,
            self.data.values,
            len(self.data.target.names) if self.config.target == MIXED else 0,
        )

    def merge(self, parts: list[list[Trained]]) -> list[Trained]:
        """One outcome for each run: that of the only part, or the parts' with their curves side by side."""
        if len(parts) == 1:
            return parts[0]
        merged = []
        for of_run in zip(*parts, strict=True):
            curves = {
                f"{name}_{curve}": values
                for (name, _), t in zip(self.residents, of_run, strict=True)
                for curve, values in t.curves.items()
            }
            notes = [f"{n}: {note}" for (n, _), t in zip(self.residents, of_run, strict=True) for note in t.notes]
            longest = max(of_run, key=lambda t: t.epochs)
            seconds = sum(t.seconds for t in of_run)
            error = next((t.error for t in of_run if t.error is not None), None)
            best = longest.best_epoch
            merged.append(Trained(of_run[0].weights, longest.epochs, best, curves, notes, seconds, error))
        return merged
