"""Augmentation of cached features, in training batches only; each run draws from a stream of its own.

First each utterance is itself or one of its stored views. Then follow, each where it is wanted and in this order: mixup, masks
in time and over bands, noise, modality dropout. Features are standardised before training, so 0 is the mean of the training
part: a masked or absent feature is set to it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ser.errors import TrainingError
from ser.features.view_rows import NO_VIEW, ViewRows
from ser.train.loop.callbacks import Callback, Step
from ser.train.loop.config import Config, masks
from ser.train.nn import streams
from ser.train.nn.layers import Feature, Input

LONGEST = 0.2  # of an utterance, that one mask in time may cover: p of SpecAugment


class ViewDraws(Callback):
    """The draws of each run and epoch: for each training utterance, the original or a view, each as likely.

    Utterances that are not training rows (validation, test, the unlabelled rows of a target corpus) are always the original, so
    a view that was chosen by the label is seen with that label in training and nowhere else.

    Args:
        views: the views to draw among.
        rows: training rows, `(runs, m)`.

    Attributes:
        now: the row of features that each utterance is in this epoch, in each run, `(runs, n)`.
    """

    def __init__(self, views: ViewRows, rows: Tensor) -> None:
        self.stores = views.stores
        device, count = rows.device, len(views.rows)
        rows_of_views = torch.as_tensor(views.rows, device=device)
        there = rows_of_views != NO_VIEW
        first = there.long().argsort(dim=1, descending=True, stable=True)
        self.table = torch.cat([torch.arange(count, device=device)[:, None], rows_of_views.gather(1, first)], dim=1)
        self.number = 1 + there.sum(1)
        self.trains = torch.zeros(len(rows), count, dtype=torch.bool, device=device).scatter_(1, rows, True)
        self.now = torch.zeros(0)

    def begin_epoch(self, seeds: Sequence[int], epoch: int, steps: int) -> None:
        count = len(self.table)
        drawn = [torch.rand(count, generator=streams.generator(s, "views", epoch), dtype=torch.float64) for s in seeds]
        number = (torch.stack(drawn).to(self.table.device) * self.number).long().clamp(max=self.number - 1)
        number = torch.where(self.trains, number, 0)
        self.now = self.table.expand(len(seeds), -1, -1).gather(2, number[..., None])[..., 0]

    def rows(self, store: str, rows: Tensor) -> Tensor:
        return self.now.gather(1, rows.flatten(1)).view(rows.shape) if store in self.stores else rows

    def keep(self, index: Tensor) -> None:
        self.trains = self.trains[index]


class Augment(Callback):
    """The augmentation of a stack of runs.

    - `mixup` (Zhang et al., ICLR 2018): each utterance is mixed with the next of its batch, whose order is random, with one
      share from Beta(alpha, alpha) for each run and step. Sequences are mixed frame by frame from their beginnings; past the
      end of the shorter one it counts as 0.
    - `time_masks`, `band_masks` (SpecAugment, Park et al., Interspeech 2019) of every framewise audio store: a number
      of masks for each utterance, each of 0 to a number of frames or bands; a mask in time covers at most a fifth of it.
    - `feature_noise`: Gaussian, of this standard deviation, on all features but word pieces.
    - `modality_dropout`: the share of utterances of which one modality, drawn at random, is absent: its features are 0,
      its frames stay, and its words become padding.

    Args:
        config: the parts that are wanted, and their strengths.
        inputs: of the head.
        device: where the features lie.

    Raises:
        TrainingError: an augmentation that means nothing for these features.
    """

    def __init__(self, config: Config, inputs: Sequence[Input], device: str) -> None:
        self.config, self.device = config, device
        self.time, self.bands = masks(config.time_masks), masks(config.band_masks)
        self.modalities = list(dict.fromkeys(i.modality for i in inputs))
        self.inputs = {i.name: i for i in inputs}
        self.generators: list[torch.Generator] = []
        self.shares = torch.ones(0)
        self._refuse(list(inputs))

    def _refuse(self, inputs: list[Input]) -> None:
        config = self.config
        words = [i.name for i in inputs if i.vocabulary]
        if config.mixup and words:
            raise TrainingError(f"mixup cannot mix the word pieces of {words[0]}", action="Leave --mixup out.", option="mixup")
        if (config.time_masks or config.band_masks) and not any(_is_masked(i) for i in inputs):
            name = "time_masks" if config.time_masks else "band_masks"
            flag = f"--{name.replace('_', '-')}"
            raise TrainingError(
                f"{flag} needs audio features of frames",
                expected="such as logmel",
                found=", ".join(i.name for i in inputs),
                action=f"Leave {flag} out.",
                option=name,
            )
        if config.feature_noise and len(words) == len(inputs):
            raise TrainingError(
                "noise cannot be added to word pieces", action="Leave --feature-noise out.", option="feature_noise"
            )
        if config.modality_dropout and len(self.modalities) < 2:
            raise TrainingError(
                f"modality dropout with one modality, {self.modalities[0]}",
                expected="two or more",
                action="Leave --modality-dropout out.",
                option="modality_dropout",
            )

    def begin_epoch(self, seeds: Sequence[int], epoch: int, steps: int) -> None:
        self.generators = [streams.generator(s, "augment", epoch, device=self.device) for s in seeds]
        if self.config.mixup:
            alpha = self.config.mixup
            drawn = [np.random.default_rng(streams.derive(s, "mixup", epoch)).beta(alpha, alpha, steps) for s in seeds]
            self.shares = torch.tensor(np.array(drawn), dtype=torch.float32).to(self.device)

    def before_forward(self, step: Step) -> None:
        batch = step.features
        if self.config.mixup:
            share = step.share = self.shares[:, step.number]
            batch = {name: mix(feature, share) for name, feature in batch.items()}
        for name, source in self.inputs.items():
            if _is_masked(source) and (self.time[0] or self.bands[0]):
                batch[name] = self._masked(batch[name])
            if self.config.feature_noise and not source.vocabulary:
                batch[name] = self._noisy(batch[name])
        if self.config.modality_dropout:
            absent = self._absent(next(iter(batch.values())).values)
            for name, source in self.inputs.items():
                gone = absent[..., self.modalities.index(source.modality)]
                values = batch[name].values
                away = gone.view(*gone.shape, *[1] * (values.ndim - 2))
                batch[name] = Feature(values.masked_fill(away, 0), batch[name].mask)
        step.features = batch

    def _uniform(self, *shape: int) -> Tensor:
        """Numbers in [0, 1), `(runs, *shape)`, each run's own."""
        return torch.stack([torch.rand(shape, generator=g, device=self.device) for g in self.generators])

    def _masked(self, feature: Feature) -> Feature:
        values, there = feature
        assert there is not None
        runs, batch, frames, bands = values.shape
        hidden = torch.zeros(runs, batch, frames, 1, dtype=torch.bool, device=self.device)
        if self.time[0]:
            lengths = there.sum(-1)
            widest = (LONGEST * lengths).floor().clamp_max(self.time[1])
            hidden = spans(self._uniform(batch, self.time[0], 2), widest, lengths, frames)[..., None]
        if self.bands[0]:
            whole = torch.full((runs, batch), bands, device=self.device)
            widest = whole.clamp_max(self.bands[1])
            hidden = hidden | spans(self._uniform(batch, self.bands[0], 2), widest, whole, bands)[:, :, None]
        return Feature(values.masked_fill(hidden, 0), there)

    def _noisy(self, feature: Feature) -> Feature:
        values, there = feature
        noise = torch.zeros_like(values)
        for r, generator in enumerate(self.generators):
            part = noise[r]
            if there is not None and not values.is_cuda:
                # As many frames as the run alone would be padded to, so that its draws do not depend on its neighbours.
                part = part[:, : int(there[r].sum(-1).max())]
            part.copy_(torch.randn(part.shape, generator=generator, device=self.device))
        if there is not None:
            noise = noise * there[..., None]
        return Feature(values + self.config.feature_noise * noise, there)

    def _absent(self, values: Tensor) -> Tensor:
        """True where a modality is absent of an utterance, `(runs, batch, modalities)`: one at most."""
        count = len(self.modalities)
        drawn = self._uniform(values.shape[1], 2)
        which = (drawn[..., 1] * count).long().clamp_max(count - 1)
        hit = drawn[..., 0] < self.config.modality_dropout
        return hit[..., None] & (which[..., None] == torch.arange(count, device=self.device))


def is_augmented(config: Config) -> bool:
    """True for a configuration that needs `Augment`."""
    parts = (config.mixup, config.time_masks, config.band_masks, config.feature_noise, config.modality_dropout)
    return any(parts)


def mix(feature: Feature, share: Tensor) -> Feature:
    """Mix each utterance with the next of its batch: `share` of itself, `(runs,)`, the rest of the other."""
    values, there = feature
    own = share.view(-1, *[1] * (values.ndim - 1)).to(values.dtype)
    mixed = own * values + (1 - own) * values.roll(-1, 1)
    return Feature(mixed, None if there is None else there | there.roll(-1, 1))


def spans(drawn: Tensor, widest: Tensor, lengths: Tensor, positions: int) -> Tensor:
    """The places of masks, `(runs, batch, positions)`: each has a width in 0 ... widest, and lies where it fits.

    Args:
        drawn: uniform in [0, 1), `(runs, batch, masks, 2)`.
        widest, lengths: `(runs, batch)`.
        positions: frames of the padded batch, or bands.
    """
    most, whole = widest[..., None], lengths[..., None]
    width = torch.minimum((drawn[..., 0] * (most + 1)).floor(), most)
    first = torch.minimum((drawn[..., 1] * (whole - width + 1)).floor(), whole - width)
    position = torch.arange(positions, device=drawn.device)
    inside = (position >= first[..., None]) & (position < (first + width)[..., None])
    return inside.any(2)


def _is_masked(source: Input) -> bool:
    return source.framewise and source.modality == "audio" and not source.vocabulary
