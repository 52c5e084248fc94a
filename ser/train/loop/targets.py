"""What a stack of runs is trained towards: class numbers, class weights and counts, valence, arousal and dominance."""

import torch
from torch import Tensor

from ser.errors import TrainingError
from ser.train.loop.config import Config
from ser.train.loop.data import Data
from ser.train.loop.objective import Batch
from ser.train.losses.cross_entropy import class_weights


class Targets:
    """Targets on the device.

    Args:
        data: labels, and values of valence, arousal and dominance.
        rows: training rows of each run, `(runs, m)`.
        config: class weights and smoothing.
        vad: whether a loss reads valence, arousal and dominance.

    Raises:
        TrainingError: a training part with one class, or without a value of valence, arousal or dominance where a loss reads
            them.
    """

    def __init__(self, data: Data, rows: Tensor, config: Config, vad: bool) -> None:
        self.labels = torch.as_tensor(data.labels, device=rows.device)
        self.smoothing = config.label_smoothing
        self.counts = torch.stack([torch.bincount(self.labels[r], minlength=data.classes) for r in rows])
        if int((self.counts > 0).sum(1).min()) < 2:
            raise TrainingError(
                "the training part has fewer than two classes", action="Take more data or another scheme."
            )
        balanced = config.class_weights == "balanced"
        self.weights = class_weights(self.counts) if balanced else torch.ones_like(self.counts, dtype=torch.float32)
        self.vad = _standardised(data, rows) if vad else None

    def batch(self, rows: Tensor, logits: Tensor, embedding: Tensor | None) -> Batch:
        """What the losses of utterances `rows (runs, batch)` see."""
        vad = None if self.vad is None else self.vad.gather(1, rows[..., None].expand(-1, -1, 3))
        return Batch(logits, self.labels[rows], self.weights, self.counts, self.smoothing, embedding, vad)

    def keep(self, index: Tensor) -> None:
        """Keep these runs only."""
        self.counts, self.weights = self.counts[index], self.weights[index]
        self.vad = None if self.vad is None else self.vad[index]


def _standardised(data: Data, rows: Tensor) -> Tensor:
    """Each run's values in standard deviations of its training part, `(runs, n, 3)`."""
    if data.vad is None:
        values = torch.full((len(data.labels), 3), torch.nan, device=rows.device)
    else:
        values = torch.tensor(data.vad, dtype=torch.float32, device=rows.device)
    ours = values[rows]
    known = ~ours.isnan()
    number = known.sum(1, keepdim=True)
    if not bool((number >= 2).any(-1).all()):
        raise TrainingError(
            "loss vad: the training part has no values of valence, arousal or dominance",
            expected="columns valence, arousal, dominance in the utterance table",
            action="Leave the loss vad out.",
        )
    mean = ours.nan_to_num().sum(1, keepdim=True) / number.clamp_min(1)
    variance = (ours - mean).square().nan_to_num().sum(1, keepdim=True) / number.clamp_min(1)
    scale = torch.where(variance > 0, variance.sqrt(), 1)
    return (values - mean) / scale
