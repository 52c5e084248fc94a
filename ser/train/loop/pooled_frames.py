"""Frames that are pooled once, before training, where a head does nothing else with them.

A head that says `POOLS_FIRST` pools frames before any of its weights or draws. Where the pooling has no weights either, and no
augmentation changes frames, each utterance is the same vector in every step of every run: it is computed once, and the head is
trained on vectors. Then the runs can be stacked, as no batch is padded. Saved heads read frames: their weights are the same.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from ser.features.blocks import Block
from ser.train.heads._base import options_of, part_of, pools_first
from ser.train.loop.augmentation import is_augmented
from ser.train.loop.config import Config
from ser.train.loop.data import Resident
from ser.train.nn.layers import Input
from ser.train.nn.pooling import Pooling, make_pooling

AT_ONCE = 512  # utterances that are padded together, at most
FIXED = ("mean", "mean+std", "max")  # poolings without weights


def poolings(config: Config, inputs: Sequence[Input]) -> dict[str, Pooling]:
    """The pooling of each store whose frames are pooled before training; {} where there is none.

    The selection `iwv` reads the means of frames, whatever the head's pooling.
    """
    head = part_of(config.head)
    kind = str(dict(config.head_options).get("pooling", options_of(head).get("pooling", "")))
    if not pools_first(head) or kind not in FIXED or config.context != "utterance":
        return {}
    if is_augmented(config) or config.selection == "iwv":
        return {}
    return {i.name: make_pooling(kind, i, i.dim) for i in inputs if i.framewise and not i.vocabulary}


def read_inputs(config: Config, inputs: Sequence[Input]) -> list[Input]:
    """The stores as a head reads them in training.

    Args:
        inputs: the stores as they are.
    """
    ahead = poolings(config, inputs)
    return [i._replace(framewise=False, dim=ahead[i.name].size) if i.name in ahead else i for i in inputs]


@torch.no_grad()
def pooled_blocks(config: Config, blocks: Sequence[Block], device: str = "cpu") -> list[Block]:
    """The features with frames pooled that are pooled before training: `(sum T, D)` -> `(n, size)`.

    Which utterances are padded together depends on the features alone, so that no run's numbers depend on another.
    """
    found = []
    for block in blocks:
        resident = Resident([block], device) if block.framewise else None
        ahead = {} if resident is None else poolings(config, resident.inputs)
        if resident is None or block.offsets is None or not ahead:
            found.append(block)
            continue
        vectors = torch.empty(len(block.offsets) - 1, ahead[block.name].size)
        for rows in resident.chunks(np.arange(len(vectors)), AT_ONCE):
            feature = resident.feature(block.name, rows[None])
            vectors[rows.cpu()] = ahead[block.name](*feature)[0].float().cpu()
        found.append(replace(block, values=vectors.numpy(), offsets=None))
    return found
