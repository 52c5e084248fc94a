"""Dialogues: the turns of a dialogue as one sequence, and a label for each turn.

With `context = "dialogue"` a batch is a number of dialogues, each with the pooled features of its turns in order, and a head
that gives one vector for each step (`Head.steps`) gives logits for every turn. Sequences are made of the turns of one part at
a time: where a dialogue has turns in training and in test, the head sees two shorter dialogues, and nothing of one part in the
other.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ser.errors import ConfigError, TrainingError
from ser.features.blocks import Block
from ser.features.tensors import Tensors
from ser.train.heads._base import part_of, pools_first
from ser.train.loop.config import Config
from ser.train.loop.data import Resident, RowsOf
from ser.train.nn.layers import Feature, Features


class Turns(Resident):
    """Pooled features of utterances, given out as sequences of turns.

    Args:
        blocks: pooled features, aligned with the labels.
        dialogue: number of each row's dialogue, `(n,)`.
        turn: place in it, `(n,)`; larger is later.
        device: `cpu`, `cuda`, ...

    Raises:
        TrainingError: features that are not one vector for each utterance.
    """

    def __init__(
        self, blocks: Sequence[Block], dialogue: NDArray[np.int64], turn: NDArray[np.int64], device: str = "cpu"
    ) -> None:
        for block in blocks:
            if block.framewise or block.layers > 1:
                raise TrainingError(
                    f"{block.name} cannot be the features of turns",
                    expected="one vector for each utterance",
                    found="frames or words" if block.framewise else f"{block.layers} layers",
                    action="Extract with --level utterance, or leave --context dialogue out.",
                )
        super().__init__(blocks, device)
        self.inputs = [i._replace(framewise=True) for i in self.inputs]
        self.dialogue = torch.as_tensor(dialogue, device=device)
        self.turn = torch.as_tensor(turn, device=device)

    def units(self, rows: Tensor) -> Tensor:
        """The rows of each dialogue in order, `(runs, m)` -> `(runs, dialogues, longest)`; -1 after the last."""
        return torch.stack([self._sequences(own) for own in rows])

    def _sequences(self, rows: Tensor) -> Tensor:
        rows = rows[self.turn[rows].argsort(stable=True)]
        rows = rows[self.dialogue[rows].argsort(stable=True)]
        _, lengths = torch.unique_consecutive(self.dialogue[rows], return_counts=True)
        parts = list(torch.split(rows, lengths.tolist()))
        return nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=-1)

    def batch(self, units: Tensor, rows_of: RowsOf = lambda _, rows: rows) -> Features:
        """Features of dialogues `(runs, batch, longest)`, as sequences `(runs, batch, turns, D)`."""
        mask = self._mask(units)
        rows = units[..., : mask.shape[-1]].clamp_min(0)
        found = {}
        for i in self.inputs:
            values, where = self.places(i.name, rows_of(i.name, rows))
            found[i.name] = Feature(values[where] * mask[..., None], mask)
        return found

    def flat(self, logits: Tensor, units: Tensor) -> tuple[Tensor, Tensor]:
        """Flatten `(1, batch, turns, classes)` to `(1, all turns, classes)`, with their rows `(1, all turns)`."""
        mask = self._mask(units)
        return logits[mask][None], units[..., : mask.shape[-1]][mask][None]

    @staticmethod
    def _mask(units: Tensor) -> Tensor:
        mask = units >= 0
        return mask[..., : int(mask.sum(-1).max())]

    def chunks(self, rows: NDArray[np.int64], size: int) -> list[Tensor]:
        """The dialogues of some rows, in groups of about a number of turns."""
        # A row that is named twice is one turn all the same.
        units = self._sequences(torch.as_tensor(np.unique(rows), dtype=torch.long, device=self.device))
        return list(torch.split(units, max(1, size // units.shape[1])))


class PerTurn(nn.Module):
    """A head on sequences of turns: logits of every step, `(1, batch, turns, classes)`.

    Raises:
        ConfigError: a head that does not give a vector for each step.
    """

    stackable = False

    def __init__(self, head: nn.Module, name: str) -> None:
        super().__init__()
        if not hasattr(head, "steps"):
            raise ConfigError(
                f"head {name} gives one label for a whole sequence",
                expected="with --context dialogue one that has a label for each turn, such as bilstm",
            )
        self.head = head

    def embed(self, batch: Features) -> Tensor:
        """The head's vector of every step, `(1, batch, turns, E)`."""
        out: Tensor = self.head.steps(batch)  # type: ignore[operator]
        return out

    def forward(self, batch: Features) -> Tensor:
        out: Tensor = self.head.output(self.head.dropout(self.embed(batch)))  # type: ignore[operator]
        return out


def resident_of(data: Tensors, blocks: Sequence[Block], config: Config, device: str = "cpu") -> Resident:
    """Some blocks of a dataset on a device, as utterances or as turns of dialogues.

    Raises:
        ConfigError: a table without dialogues.
    """
    if config.context == "utterance":
        return Resident(blocks, device, concatenated=pools_first(part_of(config.head)))
    return Turns(blocks, *turns_of(data), device)


def turns_of(data: Tensors) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number of each utterance's dialogue and of its turn, each `(n,)`.

    Raises:
        ConfigError: a table without dialogues.
    """
    dialogue, turn = data.frame["dialogue"], data.frame["turn"]
    missing = int((dialogue.isna() | (dialogue == "") | turn.isna()).sum())
    if missing:
        raise ConfigError(
            f"context dialogue: {missing} of {len(dialogue)} utterances of {data.dataset} have no dialogue or no turn",
            expected="columns dialogue and turn in the utterance table",
            action="Leave --context dialogue out in training.",
        )
    if "dataset" in data.frame:  # several, joined
        dialogue = data.frame["dataset"] + "/" + dialogue
    return pd.factorize(dialogue)[0].astype(np.int64), turn.to_numpy(np.int64)
